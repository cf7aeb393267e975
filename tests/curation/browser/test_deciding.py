"""Verdicts: what a key means, what reaches the server, and that nothing is lost on the way."""

from collections.abc import Callable
from pathlib import Path

from tests.curation.browser.conftest import Page, Site


def verdict(site: Site, number: int) -> str | None:
    state = site.review.verdicts.states.get(f"s{number:07d}")
    return state.verdict if state else None


def at(page: Page, number: int) -> None:
    """Waits until the viewer shows a sample."""
    page.until(f"document.querySelector('.sample-title').textContent.startsWith('s{number:07d}')")


def test_a_verdict_goes_on_to_the_next_and_undo_comes_back(page: Page, site: Site) -> None:
    page.view(0)
    for number, (key, name) in enumerate([("p", "pro"), ("k", "keep"), ("x", "reject"), ("s", "skip")]):
        at(page, number)
        page.press(key)
        at(page, number + 1)
        page.saved()
        assert verdict(site, number) == name
    page.press("z")
    at(page, 3)
    page.press("z")
    at(page, 2)
    page.saved()
    assert verdict(site, 2) is None
    page.press("y")
    page.saved()
    assert verdict(site, 2) == "reject"
    page.press("Escape")
    assert page.locator("#cell-0").get_attribute("data-verdict") == "pro"
    assert page.locator("#cell-1").get_attribute("data-verdict") == "keep"


def test_a_held_key_decides_once(page: Page, site: Site) -> None:
    page.view(20)
    at(page, 20)
    before = site.review.store.last_seq()
    for _ in range(5):
        page.keyboard.down("k")
    page.keyboard.up("k")
    at(page, 21)
    page.saved()
    assert site.review.store.last_seq() == before + 1


def test_reasons_have_one_key_each(page: Page, site: Site) -> None:
    page.view(6)
    page.press("r")
    page.wait_for_selector("#reasons[open]")
    page.press("b", "o", "Enter")
    at(page, 7)
    page.saved()
    state = site.review.verdicts.states["s0000006"]
    assert state.verdict == "reject"
    chosen = {page.locator(f"#reasons input[name={name}]").count() for name in state.reasons}
    assert len(state.reasons) == 2
    assert chosen == {1}
    page.press("r", "b", "Escape")
    assert verdict(site, 7) is None


def test_a_layer_is_rejected_with_its_reasons(page: Page, site: Site) -> None:
    page.view(5)
    page.press("Shift+D")
    page.wait_for_selector("#reasons[open]")
    page.click("#reasons label:has-text('halo')")
    page.press("Enter")
    page.saved()
    layer = site.review.verdicts.states["s0000005"].layers[2]
    assert (layer.verdict, layer.reasons) == ("reject", ("halo",))
    page.wait_for_selector(".layer-row.rejected")
    page.shows(".trail", "layer 2")


def test_captions_and_ratings_go_with_the_verdict(page: Page, site: Site) -> None:
    page.view(8)
    page.press("c")
    page.fill(".caption textarea", "a better caption")
    page.press("Enter")
    page.press("4")
    assert page.locator(".star.lit").count() == 4
    assert verdict(site, 8) is None  # they wait for the verdict
    page.press("k")
    at(page, 9)
    page.saved()
    decisive = site.review.verdicts.states["s0000008"].decisive
    assert decisive is not None
    assert (decisive.caption, decisive.rating) == ("a better caption", 4)
    page.press("ArrowLeft")
    at(page, 8)
    page.shows(".caption-text", "a better caption")
    page.press("2")
    page.saved()
    decisive = site.review.verdicts.states["s0000008"].decisive
    assert decisive is not None
    assert (decisive.verdict, decisive.caption, decisive.rating) == ("keep", "a better caption", 2)


def test_letters_of_a_caption_are_not_keys(page: Page, site: Site) -> None:
    page.view(10)
    before = site.review.store.last_seq()
    page.press("Shift+C")
    page.fill(".caption textarea", "")
    page.page.keyboard.type("pkx skip z")
    page.press("Escape")
    at(page, 10)
    assert site.review.store.last_seq() == before
    assert page.locator(".caption textarea").count() == 0


def test_keys_can_be_changed_and_stay_changed(page: Page, site: Site, open_page: Callable[[], Page]) -> None:
    page.press("?")
    page.click("button[aria-label^='Keep:']")
    page.press("p")
    page.shows("#help p[role=status]", "already means")
    page.click("button[aria-label^='Keep:']")
    page.press("j")
    page.press("Escape")
    page.until("fetch('/api/session').then((answer) => answer.json()).then(({ keys }) => keys.keep === 'j')")
    other = open_page().open(site.url)
    other.view(11)
    other.press("j")
    other.saved()
    at(other, 12)
    assert verdict(site, 11) == "keep"
    other.press("?")
    other.click("text=All as they were")
    other.until("fetch('/api/session').then((answer) => answer.json()).then(({ keys }) => !('keep' in keys))")


def test_decisions_wait_for_a_server_that_is_gone(page: Page, site: Site) -> None:
    page.route("**/api/decisions", lambda route: route.abort())
    page.view(13)
    page.press("k")
    at(page, 14)
    page.press("x")
    at(page, 15)
    page.shows("#outbox", "2 decisions are kept here")
    page.problems.clear()  # the browser reports the lost connection
    page.unroute("**/api/decisions")
    page.reload()
    page.saved()
    assert (verdict(site, 13), verdict(site, 14)) == ("keep", "reject")


def test_two_browsers_see_each_other(page: Page, site: Site, open_page: Callable[[], Page]) -> None:
    other = open_page().open(site.url)
    other.view(16)
    other.press("p")
    other.saved()
    page.until("document.querySelector('#cell-16').dataset.verdict === 'pro'")
    page.shows("#progress", "1 changes: show")


def test_people_work_under_names_of_their_own(page: Page, site: Site) -> None:
    page.press("t")
    page.fill("[aria-label='Your name']", "Zoë")
    page.press("Enter")
    page.shows("#outbox", "Zoë")
    page.wait_for_selector(".cell[data-state=filled]")
    page.view(17)
    page.press("k")
    page.saved()
    decisive = site.review.verdicts.states["s0000017"].decisive
    assert decisive is not None
    assert decisive.reviewer == "Zoë"


def test_decisions_leave_and_come_back_as_files(page: Page, site: Site, tmp_path: Path) -> None:
    page.view(18)
    page.press("x")
    page.saved()
    page.press("t")
    page.shows(".team caption", "Reviewers")
    with page.expect_download() as download:
        page.click("#team a:has-text('CSV')")
    download.value.save_as(tmp_path / "decisions.csv")
    lines = (tmp_path / "decisions.csv").read_text().splitlines()
    assert any("s0000018" in line and "reject" in line for line in lines)
    page.set_input_files("#team input[type=file]", tmp_path / "decisions.csv")
    page.shows("#notice", f"{len(lines) - 1} decisions read, 0 of them new.")


def test_scores_stay_hidden_in_a_calibration_queue_until_the_verdict(page: Page) -> None:
    page.click(".queue:has-text('Calibration')")
    page.until("document.querySelector('.queue[aria-pressed=true]').textContent.includes('Calibration')")
    page.wait_for_selector("text=Filters say", state="detached")
    page.until("document.querySelector('#grid').ariaBusy === 'false'")
    page.until("document.querySelector('#cell-0')?.dataset.state === 'filled'")
    assert page.locator(".cell-flag").count() == 0
    page.press("q")
    page.wait_for_selector("#viewer .plane")
    page.shows("[aria-label=Scores]", "Hidden in this queue")
    first = page.title().split()[0]
    page.press("k")
    page.until(f"!document.querySelector('.sample-title').textContent.startsWith('{first}')")
    page.saved()
    page.press("ArrowLeft")
    page.until(f"document.querySelector('.sample-title').textContent.startsWith('{first}')")
    page.until("document.querySelectorAll('table.scores tr').length > 0")
