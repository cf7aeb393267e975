"""The grid: what is drawn of it, what is chosen from it, and what keys do there."""

from tests.curation.browser.conftest import Page, Site
from tests.curation.browser.designs import DESIGNS, TINY

ALL = DESIGNS + TINY


def shown(page: Page) -> int:
    """How many samples the grid says it has."""
    return int(page.inner_text("#progress").split(" of ")[0].replace(",", ""))


def waits_for(page: Page, count: int) -> None:
    page.until(f"document.querySelector('#progress').textContent.startsWith('{count} of')")


def test_only_what_is_near_the_screen_exists_and_the_end_is_reached_by_one_key(page: Page) -> None:
    assert shown(page) == ALL
    page.locator("#toolbar input[type=range]").fill("360")
    page.until("document.querySelectorAll('.cell').length < 60")
    page.focus("#grid")
    page.press("End")
    page.until(f"document.querySelector('#cell-{ALL - 1}')?.dataset.state === 'filled'")
    assert page.locator("#cell-0").count() == 0
    assert page.locator("#grid").get_attribute("aria-activedescendant") == f"cell-{ALL - 1}"


def test_filters_leave_what_they_say(page: Page) -> None:
    page.click("text=flat")
    waits_for(page, DESIGNS)
    page.click("text=Flagged")
    waits_for(page, 1)
    page.shows(".cell", "s0000002")
    page.click("text=Clear filters")
    waits_for(page, ALL)
    page.fill("#search", "gray ramp")
    waits_for(page, DESIGNS - 1)
    page.fill("#search", "")
    waits_for(page, ALL)
    page.fill("[aria-label='Fewest layers']", "4")
    page.press("Tab")
    waits_for(page, sum(1 + number % 4 >= 4 for number in range(DESIGNS, ALL)))
    page.fill("#search", "nothing has these words")
    page.until("!document.querySelector('#empty').hidden")
    assert page.inner_text("#empty") == "Nothing is left by these filters."


def test_a_brush_on_a_histogram_keeps_its_range(page: Page) -> None:
    page.select_option("[aria-label='Score to filter by']", "clip_whole")
    page.wait_for_selector(".histogram .bars rect")
    page.until("document.querySelectorAll('.histogram .bars rect').length > 10")
    page.locator(".histogram").scroll_into_view_if_needed()
    box = page.locator(".histogram").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 20, box["y"] + 20, steps=3)
    page.mouse.up()
    page.until(f"!document.querySelector('#progress').textContent.startsWith('{ALL} of')")
    low = float(page.input_value("[aria-label='Least clip whole']"))
    expected = [number for number in range(DESIGNS) if 0.25 + 0.1 * number >= low]
    assert 0 < len(expected) < DESIGNS
    waits_for(page, len(expected))
    page.click(".chip:has-text('clip whole')")
    waits_for(page, ALL)


def test_sorting_puts_the_least_first_and_the_other_way_round(page: Page) -> None:
    page.select_option("[aria-label='Sort by']", "clip_whole")
    page.until("document.querySelector('#cell-0')?.dataset.id === 's0000006'")
    page.click("[aria-label='Least first']")
    page.until("document.querySelector('#cell-0')?.dataset.id === 's0000005'")


def test_near_duplicates_stand_side_by_side(page: Page) -> None:
    page.click("text=Near-duplicates side by side")
    waits_for(page, 2)
    page.until("document.querySelectorAll('.cell-twin').length === 2")
    page.view(0)
    page.click(".panel.right .chips >> text=s0000003")
    page.until("document.querySelector('.sample-title').textContent.startsWith('s0000003')")


def test_a_selection_is_decided_as_one_and_taken_back_as_one(page: Page, site: Site) -> None:
    page.press("Space", "Shift+ArrowRight", "Shift+ArrowRight")
    assert page.inner_text("#selection b") == "3 selected"
    page.press("k")
    page.saved()
    page.until("document.querySelectorAll('.cell[data-verdict=keep]').length === 3")
    assert {name for name, state in site.review.verdicts.states.items() if state.verdict == "keep"} == {
        "s0000000",
        "s0000001",
        "s0000002",
    }
    page.press("z")
    page.saved()
    page.until("document.querySelectorAll('.cell[data-verdict=keep]').length === 0")


def test_everything_that_the_filters_leave_is_decided_after_a_question(page: Page, site: Site) -> None:
    page.click("text=flat")
    waits_for(page, DESIGNS)
    page.until("document.querySelector('#cell-0')?.dataset.state === 'filled'")
    page.focus("#grid")
    page.press("Control+a")
    assert page.inner_text("#selection b") == f"{DESIGNS} selected"
    page.press("Home", "Space", "x")
    assert page.inner_text("#confirm-title") == f"Reject: {DESIGNS - 1} samples?"
    page.click("#confirm button.primary")
    page.until(f"document.querySelectorAll('.cell[data-verdict=reject]').length === {DESIGNS - 1}")
    assert "s0000000" not in site.review.verdicts.states
    page.press("z")
    page.until("document.querySelectorAll('.cell[data-verdict=reject]').length === 0")


def test_keys_do_nothing_while_somebody_types(page: Page, site: Site) -> None:
    before = site.review.store.last_seq()
    page.click("#search")
    page.page.keyboard.type("pkxsz?t")
    page.press("Enter")
    assert page.locator("dialog[open]").count() == 0
    assert page.input_value("#search") == "pkxsz?t"
    page.press("Escape")
    assert site.review.store.last_seq() == before


def test_a_queue_is_worked_through_by_keys_alone(page: Page, site: Site) -> None:
    page.press("q")
    page.wait_for_selector("#viewer .plane")
    seen = []
    for _ in range(4):
        seen.append(page.title().split()[0])
        page.press("s")
        page.until(f"!document.querySelector('.sample-title').textContent.startsWith('{seen[-1]}')")
    page.press("Escape")
    page.saved()
    assert len(set(seen)) == 4
    assert all(site.review.verdicts.states[name].verdict == "skip" for name in seen)
    page.shows(".queue", f"{ALL - 4} left")


MILLION = """async () => {
  const { Grid } = await import('/static/grid.js');
  const scroller = document.createElement('div');
  Object.assign(scroller.style, { position: 'fixed', inset: '0', overflowY: 'scroll', zIndex: 99 });
  document.body.append(scroller);
  const row = (index) => ({ id: `s${index}`, layers: 1, passed: true, thumb: null });
  const grid = new Grid(scroller, { onOpen() {}, onSelect() {}, onActive() {} });
  const drawn = () => new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 50));
  grid.show({ total: 1_000_000, get: row, want() {} });
  grid.resize(360);
  await drawn();
  const found = [];
  for (const index of [999_999, 500_000, 3]) {
    grid.activate(index);
    await drawn();
    await drawn();
    const box = scroller.querySelector(`[data-index='${index}']`)?.getBoundingClientRect();
    found.push(Boolean(box) && box.top >= -1 && box.bottom <= innerHeight + 1);
  }
  return found;
}"""


def test_every_one_of_a_million_samples_can_be_reached(page: Page) -> None:
    assert page.evaluate(MILLION) == [True, True, True]
