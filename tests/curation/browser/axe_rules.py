"""What axe-core finds on a page."""

from typing import Any

from tests.curation.browser.conftest import Page

WANTED = {"serious", "critical"}


def findings(axe: Any, page: Page) -> list[str]:
    """Rules that are broken seriously or worse, and where."""
    violations = axe.run(page.page).response["violations"]
    return [
        f"{found['id']}: {node['target']}"
        for found in violations
        if found["impact"] in WANTED
        for node in found["nodes"]
    ]
