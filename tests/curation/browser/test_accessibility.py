"""What axe-core finds in every view, and that the page can be used from the keyboard alone."""

from typing import Any

import pytest

from tests.curation.browser.axe_rules import findings
from tests.curation.browser.conftest import Page


def test_grid_filters_and_selection(axe: Any, page: Page) -> None:
    page.select_option("[aria-label='Score to filter by']", "clip_whole")
    page.click("text=Reasons")
    page.focus("#grid")
    page.press("Space", "k", "Space")
    page.saved()
    assert findings(axe, page) == []


@pytest.mark.parametrize(
    "keys", [("d", "b"), ("m",), ("e",), ("f",), ("c",)], ids=["rejected", "matte", "exploded", "difference", "editing"]
)
def test_viewer(axe: Any, page: Page, keys: tuple[str, ...]) -> None:
    page.view(2)
    page.press(*keys)
    assert findings(axe, page) == []


@pytest.mark.parametrize(("key", "dialog"), [("r", "reasons"), ("?", "help"), ("t", "team")])
def test_dialogs(axe: Any, page: Page, key: str, dialog: str) -> None:
    page.press(key)
    page.wait_for_selector(f"#{dialog}[open]")
    assert findings(axe, page) == []


def test_tab_reaches_every_part_and_dialogs_give_the_focus_back(page: Page) -> None:
    assert page.evaluate("document.activeElement.id") == "grid"
    page.press("?")
    assert page.evaluate("document.querySelector('#help').contains(document.activeElement)")
    page.press("Escape")
    assert page.evaluate("document.activeElement.id") == "grid"
    page.press("Enter")
    page.wait_for_selector("#viewer .plane")
    places = set()
    for _ in range(80):
        page.press("Tab")
        places.add(page.evaluate("document.activeElement.closest('.viewer-bar, .panel, .decide, .browse')?.className"))
    assert {"viewer-bar", "panel left", "panel right", "decide"} <= places
    assert "browse" not in places  # what lies under the viewer is out of reach
    page.press("Escape")
    assert page.evaluate("document.activeElement.id") == "grid"
