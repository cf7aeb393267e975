"""The blind comparison, answered by keys."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from curation.compare_app import CompareDesk, make_compare_app
from curation.comparison import Comparison
from curation.security import LOOPBACK_NAMES
from curation.store import DecisionStore
from ledger.commit import encode_sample
from tests.curation.browser.axe_rules import findings
from tests.curation.browser.conftest import Page, serving
from tests.curation.browser.designs import design
from tests.ledger.runs import make_run

PAIRS = 3


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, CompareDesk]]:
    folder = tmp_path_factory.mktemp("compare")
    for name in ("a", "b"):
        samples = [design(number) for number in range(PAIRS)]
        make_run(folder / name, [[encode_sample(image, sidecar, {}) for image, sidecar in samples]])
    store = DecisionStore(folder / "answers.sqlite")
    desk = CompareDesk(Comparison({"a": folder / "a", "b": folder / "b"}), store, "ann")
    with serving(make_compare_app(desk, None, LOOPBACK_NAMES)) as url:
        yield url, desk
    store.close()


def test_every_pair_is_answered_by_keys_and_then_the_results_are_shown(
    open_page: Callable[[], Page], comparison: tuple[str, CompareDesk], axe: Any
) -> None:
    url, desk = comparison
    page = open_page()
    page.goto(url)
    page.wait_for_selector("#compare .plane")
    folder = str(desk.comparison.paths["a"].parent)
    assert folder not in page.content()  # nothing tells whose pictures they are
    assert page.locator("#compare .stage").count() == 2
    assert findings(axe, page) == []
    page.press("m")
    assert page.locator("#compare .stage.matte").count() == 2
    page.press("i")
    for number in range(PAIRS):
        page.shows("#compare h1", f"{number} of {PAIRS} answered")
        page.press("ArrowLeft")
        page.shows(".question.now legend", "hangs together")
        page.press("Backspace")
        page.shows(".question.now legend", "follows the text")
        page.press("ArrowRight", "ArrowDown", "ArrowRight")
        page.until(f"!document.querySelector('#compare h1').textContent.includes(' {number} of')")
    page.wait_for_selector(".results tbody tr")
    assert page.locator(".results tbody tr").count() == 3
    assert findings(axe, page) == []
    answers = desk.store.answers(desk.comparison.name)
    assert len(answers) == 3 * PAIRS
    for answer in answers:
        right = "b" if answer.left_is == "a" else "a"
        assert answer.answer == ("draw" if answer.question == "harmony" else right)
