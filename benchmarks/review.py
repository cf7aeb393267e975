"""The review page on a large run: start, first screen, filters and sorting, scrolling, memory.

    python -m benchmarks.review                        200,000 samples, made in a temporary folder
    python -m benchmarks.review --samples 5000
    python -m benchmarks.review --run DIR              makes the run there and finds it again the next time
    python -m benchmarks.review --latency 30           every read of pictures takes 30 ms
    python -m benchmarks.review --s3 --latency 30      the run lies on an S3 server, and each request is 30 ms late

What a browser asks for is measured over HTTP, on six connections that are kept open, as a browser has. With Playwright
and Chromium at hand the page itself is measured too: from navigation to the last visible thumbnail, scrolling at 20
rows a second, the memory of its renderer, and how soon a key shows the next sample in the viewer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.machine import machine
from benchmarks.review_run import make_large_run
from benchmarks.s3_folder import BUCKET
from benchmarks.s3_server import Wire, environment

RESULT: Final = Path("benchmarks/results/review.json")
CONNECTIONS: Final = 6
SCREEN: Final = 60
"""Thumbnails of a first screen."""

COLUMNS: Final = 8
ROWS_PER_SECOND: Final = 20
SCROLL_SECONDS: Final = 10
SAMPLES_PASSED: Final = 40
QUERIES: Final[dict[str, dict[str, Any]]] = {
    "text": {"text": "red whale"},
    "style": {"styles": ["neon", "flat"]},
    "score range": {"scores": {"artifact_halo": [0.7, 0.9]}},
    "flagged": {"passed": False},
    "undecided": {"decisions": ["undecided"]},
    "sorted by a score": {"sort": [{"by": "clip_whole", "descending": True}]},
    "sorted by two": {"sort": [{"by": "style"}, {"by": "artifact"}]},
    "nearest to a threshold": {"queue": "threshold"},
    "near-duplicates": {"group": "duplicates"},
    "all at once": {
        "text": "castle",
        "styles": ["neon"],
        "passed": True,
        "scores": {"clip_layer": [0.5, 1]},
        "sort": [{"by": "threshold"}],
    },
}


@dataclass(frozen=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    start_seconds: float


class Browserlike:
    """Requests over connections that are kept open."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._free: SimpleQueue[http.client.HTTPConnection] = SimpleQueue()
        for _ in range(CONNECTIONS):
            self._free.put(http.client.HTTPConnection(self._host, timeout=120))
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def get(self, path: str, body: Any = None) -> bytes:
        connection = self._free.get()
        try:
            method, headers = ("GET", {}) if body is None else ("POST", {"content-type": "application/json"})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
            return content
        finally:
            self._free.put(connection)

    def json(self, path: str, body: Any = None) -> Any:
        return json.loads(self.get(path, body))

    def all(self, paths: Sequence[str]) -> list[bytes]:
        """Several files, six at a time."""
        return list(self._pool.map(self.get, paths))

    def arrival(self, path: str) -> Future[float]:
        """Asks for a file, and tells when it was there."""

        def get() -> float:
            self.get(path)
            return time.perf_counter()

        return self._pool.submit(get)


@contextmanager
def on_s3(run: Path, latency: float) -> Iterator[str]:
    """The run's URL on an S3 server in a process of its own, with S3 clients pointed at it; each request is late."""
    command = [sys.executable, "-m", "benchmarks.s3_folder", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        wire = Wire(int(process.stdout.readline()), latency / 1000)
        with environment(wire.url):
            yield f"s3://{BUCKET}"
        wire.cut()
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def served(run: Path | str, latency: float) -> Iterator[Served]:
    """The server in a process of its own, ready to answer, near-duplicates found."""
    command = [sys.executable, "-m", "benchmarks.review_server", str(run), "--latency", str(latency)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.match(r"open (\S+)", line):
                break
        else:
            raise RuntimeError("the server did not start")
        browser = Browserlike(match[1])
        browser.json("/api/session")
        seconds = time.perf_counter() - start
        while not browser.json("/api/session")["duplicates"]:
            time.sleep(0.5)
        yield Served(process, match[1], seconds)
    finally:
        process.terminate()
        process.wait(timeout=60)


def first_screen(browser: Browserlike) -> float:
    """Seconds for what a page needs to show its first screen: itself, the session, rows, thumbnails."""
    start = time.perf_counter()
    page = browser.get("/").decode()
    browser.all(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    browser.json("/api/session")
    query = browser.json("/api/query", {})["query"]
    rows = browser.json(f"/api/query/{query}/rows?start=0&count={SCREEN}")["rows"]
    browser.all([row["thumb"] for row in rows])
    return time.perf_counter() - start


def query_seconds(browser: Browserlike, body: dict[str, Any], rounds: int) -> tuple[float, int]:
    """The slowest of some rounds of query and first rows, and how many samples matched."""
    times, total = [], 0
    for _ in range(rounds):
        start = time.perf_counter()
        found = browser.json("/api/query", body)
        browser.json(f"/api/query/{found['query']}/rows?start=0&count={SCREEN}")
        times.append(time.perf_counter() - start)
        total = found["total"]
    return max(times), total


def scroll_over_http(browser: Browserlike, seconds: float) -> float:
    """The share of thumbnails that are there within 100 ms of the row's time when rows pass at 20 a second."""
    query = browser.json("/api/query", {"sort": [{"by": "random"}]})
    rows: list[str] = []
    pending: list[tuple[float, Future[float]]] = []
    begin, row, late = time.perf_counter(), 0, 0
    while row < seconds * ROWS_PER_SECOND:
        due = begin + row / ROWS_PER_SECOND
        if len(rows) < (row + 1) * COLUMNS:
            address = f"/api/query/{query['query']}/rows?start={len(rows)}&count=200"
            rows += [each["thumb"] for each in browser.json(address)["rows"]]
        time.sleep(max(0.0, due - time.perf_counter()))
        for thumb in rows[row * COLUMNS : (row + 1) * COLUMNS]:
            pending.append((time.perf_counter(), browser.arrival(thumb)))
        row += 1
    for asked, future in pending:
        late += future.result() - asked > 0.1
    return 1 - late / len(pending)


def proportional_mib(process: int) -> float:
    """The memory of a process, what it shares counted in parts (PSS)."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024  # type: ignore[index]


def in_browser(url: str, seconds: float) -> dict[str, float] | None:
    """The page in Chromium; None where that or Playwright is missing."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if program is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(url)
        all_filled = "cells().length > 0 && cells().every(cell => cell.dataset.state === 'filled')"
        _until(page, all_filled)
        first_screen_seconds = page.evaluate("performance.now()") / 1000  # since the navigation began
        shares, stopped = page.evaluate(_SCROLL, [ROWS_PER_SECOND, seconds])
        pss = max(map(proportional_mib, _renderers(browser)))  # the others are spare ones, and almost empty
        passed = next_samples(page)
        browser.close()
    return {
        "first_screen_seconds": first_screen_seconds,
        "filled_while_scrolling": sum(shares) / len(shares),
        "filled_after_stop_seconds": stopped / 1000,
        "renderer_mib": pss,
        "next_sample_ms": statistics.median(passed),
        "next_sample_ms_95": sorted(passed)[int(0.95 * len(passed))],
    }


def next_samples(page: Any) -> list[float]:
    """Milliseconds from the key to the next sample on the screen, one sample after the other."""
    page.focus("#grid")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector(".viewer .plane")
    for _ in range(SAMPLES_PASSED):
        page.wait_for_timeout(400)  # a look, in which the page loads what comes next
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    durations: list[float] = page.evaluate(
        "performance.getEntriesByName('layerprism-next-sample').slice(1).map(each => each.duration)"
    )
    return durations


_VISIBLE: Final = """
const grid = document.querySelector('#grid');
const cells = () => {
  const frame = grid.getBoundingClientRect();
  return [...document.querySelectorAll('.cell')].filter(cell => {
    const box = cell.getBoundingClientRect();
    return box.bottom > frame.top && box.top < frame.bottom;
  });
};
"""
_SCROLL: Final = (
    "async ([rows, seconds]) => {"
    + _VISIBLE
    + """
  const cell = document.querySelector('.cell').getBoundingClientRect();
  const columns = cells().filter(each => Math.abs(each.getBoundingClientRect().top - cell.top) < 2).length;
  const next = cells()[columns].getBoundingClientRect();
  const height = next.top - cell.top, begin = performance.now(), shares = [];
  const frame = () => new Promise(requestAnimationFrame);
  let now = begin;
  while (now - begin < seconds * 1000) {
    grid.scrollTop = (now - begin) / 1000 * rows * height;
    await frame();
    const shown = cells();
    shares.push(shown.filter(each => each.dataset.state === 'filled').length / shown.length);
    now = performance.now();
  }
  const end = performance.now();
  while (!cells().every(each => each.dataset.state === 'filled')) await frame();
  return [shares, performance.now() - end];
}"""
)


def _until(page: Any, expression: str) -> None:
    end = time.monotonic() + 60
    while not page.evaluate("() => {" + _VISIBLE + f"return {expression}" + "}"):
        if time.monotonic() > end:
            raise RuntimeError("the page never showed its first screen")
        page.wait_for_timeout(10)


def _renderers(browser: Any) -> list[int]:
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return [process["id"] for process in processes if process["type"] == "renderer"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--run", type=Path, help="keeps the run there")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds that each read of pictures takes")
    parser.add_argument("--s3", action="store_true", help="serves from an S3 server, each request to it being late")
    parser.add_argument("--seconds", type=float, default=SCROLL_SECONDS, help="of scrolling")
    parser.add_argument("--json", type=Path, default=None, help=f"{RESULT} where nothing else is asked for")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        run = arguments.run or Path(folder) / "run"
        if not (run / "run.json").exists():
            make_large_run(run, arguments.samples)
        if arguments.s3:
            with on_s3(run, arguments.latency) as place, served(place, 0.0) as server:
                measured = measure(server, arguments.seconds)
        else:
            with served(run, arguments.latency) as server:
                measured = measure(server, arguments.seconds)
    store = "S3" if arguments.s3 else "disk"
    document = {"machine": machine(), "samples": arguments.samples, "latency_ms": arguments.latency, "store": store}
    document |= measured
    print(table(document))
    name = RESULT if not arguments.latency else RESULT.with_name("review_latency.json")
    name = RESULT.with_name("review_s3.json") if arguments.s3 else name
    (arguments.json or name).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def measure(server: Served, seconds: float) -> dict[str, Any]:
    """Everything, over HTTP first."""
    browser = Browserlike(server.url)
    cold = first_screen(browser)
    warm = min(first_screen(browser) for _ in range(3))
    queries = {name: query_seconds(browser, body, 3) for name, body in QUERIES.items()}
    filled = scroll_over_http(browser, seconds)
    page = in_browser(server.url, seconds)
    return {
        "start_seconds": server.start_seconds,
        "http_first_screen_seconds": cold,
        "http_first_screen_again_seconds": warm,
        "queries": {name: {"seconds": spent, "samples": total} for name, (spent, total) in queries.items()},
        "http_thumbnails_in_time": filled,
        "server_mib": proportional_mib(server.process.pid),
        "page": page,
    }


def table(document: dict[str, Any]) -> str:
    """The results as Markdown."""
    delay = f"reads from {document['store']} take {document['latency_ms']:g} ms"
    lines = [f"{document['machine']}, {document['samples']:,} samples, {delay}\n"]
    lines += ["| what | measured | wanted |", "|---|---|---|"]

    def line(what: str, value: str, wanted: str = "") -> None:
        lines.append(f"| {what} | {value} | {wanted} |")

    line("server answers, index read", f"{document['start_seconds']:.1f} s")
    line("first screen over HTTP, first and again", _pair(document), "≤ 1.5 s")
    for name, query in document["queries"].items():
        line(f"query: {name} ({query['samples']:,})", f"{1000 * query['seconds']:.0f} ms", "≤ 300 ms")
    line("thumbnails within 100 ms at 20 rows/s, HTTP", f"{document['http_thumbnails_in_time']:.1%}", "≥ 95 %")
    line("server, PSS", f"{document['server_mib']:.0f} MiB", "≤ 500 MiB")
    if page := document["page"]:
        line("first screen in Chromium, from navigation", f"{page['first_screen_seconds']:.2f} s", "≤ 1.5 s")
        line("cells filled while scrolling at 20 rows/s", f"{page['filled_while_scrolling']:.1%}", "≥ 95 %")
        line("all filled after stopping", f"{1000 * page['filled_after_stop_seconds']:.0f} ms", "≤ 200 ms")
        next_sample = f"{page['next_sample_ms']:.0f} ms, {page['next_sample_ms_95']:.0f} ms"
        line("next sample after its key, median and 95 %", next_sample, "≤ 50 ms")
        line("renderer, PSS", f"{page['renderer_mib']:.0f} MiB", "≤ 500 MiB")
    return "\n".join(lines)


def _pair(document: dict[str, Any]) -> str:
    first, again = document["http_first_screen_seconds"], document["http_first_screen_again_seconds"]
    return f"{first:.2f} s, {again:.2f} s"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
