"""One browser for all tests of the page, and a server of its own for each file of tests."""

import functools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette

from curation.app import make_app
from curation.library import Library
from curation.review import Review, ReviewSettings
from curation.security import LOOPBACK_NAMES
from curation.server import bind
from curation.store import DecisionStore
from filters.duplicates import originals_of_hashes
from layered.arrays import UInt8Array
from tests.curation.browser.designs import THRESHOLDS, make_review_run

VIEW = {"width": 1280, "height": 800}
PATIENCE_SECONDS = 30
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Site:
    """A running server."""

    url: str
    review: Review


class Page:
    """A page of the browser, with the few things that every test does."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.problems.append(message.text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def open(self, url: str) -> "Page":
        self.page.goto(url)
        self.page.wait_for_selector(".cell[data-state=filled]")
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def view(self, index: int) -> None:
        """Opens the viewer on a cell of the grid."""
        self.page.click(f"#cell-{index}")
        self.page.wait_for_selector("#viewer .plane")

    def until(self, expression: str) -> None:
        """Waits until a JavaScript expression is true. (Playwright's own way needs `eval`, which the page forbids.)"""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(30)

    def shows(self, selector: str, text: str) -> None:
        """Waits until an element holds a text."""
        self.page.locator(selector).filter(has_text=text).first.wait_for()

    def saved(self) -> None:
        """Waits until the server has acknowledged every decision."""
        self.until("document.querySelector('#outbox').textContent.includes('all saved')")

    def title(self) -> str:
        return str(self.page.inner_text(".viewer .sample-title"))

    def picture(self) -> UInt8Array:
        """What the stage shows of the canvas, RGB ``[height, width, 3]``, one pixel to one pixel."""
        self.press("9")
        self.page.mouse.move(5, 5)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        box = self.page.locator(".viewer .canvas").bounding_box()
        png = self.page.screenshot(clip=box, animations="disabled")
        return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    from tests.conftest import missing

    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        missing("the program chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of a small run; see `designs.make_review_run`."""
    folder = tmp_path_factory.mktemp("review")
    run = make_review_run(folder / "run")
    grouper = functools.partial(originals_of_hashes, max_distance=24)
    settings = ReviewSettings("a small run", "ann")
    store = DecisionStore(folder / "review.sqlite")
    review = Review(Library(run, THRESHOLDS), store, settings, grouper)
    with serving(make_app(review, None, LOOPBACK_NAMES), review.bus.close) as url:
        yield Site(url, review)
    store.close()


class serving:  # noqa: N801  a context manager, used like a function
    """Serves an application from another thread; `close` ends its open streams."""

    def __init__(self, app: Starlette, close: Callable[[], None] = lambda: None) -> None:
        self.app = app
        self.close = close

    def __enter__(self) -> str:
        address = bind("127.0.0.1", 0)
        config = uvicorn.Config(self.app, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [address.listener]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return address.url

    def __exit__(self, *_: object) -> None:
        self.close()
        self.server.should_exit = True
        self.thread.join(timeout=20)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[], Page]]:
    """Opens pages that share nothing with each other; at the end none may have had an error."""
    opened: list[tuple[Any, Page]] = []

    def open_one() -> Page:
        context = browser.new_context(viewport=VIEW, reduced_motion="reduce")
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        page = Page(context.new_page())
        opened.append((context, page))
        return page

    yield open_one
    problems = [problem for _, page in opened for problem in page.problems]
    for context, _ in opened:
        context.close()
    assert not problems, problems


@pytest.fixture
def page(open_page: Callable[[], Page], site: Site) -> Page:
    """The grid of the small run, loaded."""
    return open_page().open(site.url)


@pytest.fixture(scope="package")
def axe() -> Any:
    """Deque's axe-core, as the package bundles it."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        from tests.conftest import missing

        missing("the package axe-playwright-python")
    return Axe()
