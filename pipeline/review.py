"""`layerprism review`: the review page over a run, with the thresholds that the run would be published with."""

from __future__ import annotations

import functools
import getpass
import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from curation.app import make_app
from curation.compare_app import CompareDesk, make_compare_app
from curation.comparison import Comparison, results_json
from curation.errors import RequestError
from curation.library import Library
from curation.queues import queue_named
from curation.review import Review, ReviewSettings
from curation.server import Address, bind, serve
from curation.store import DecisionStore
from curation.store_place import store_path, user_data_path
from filters.combined import COMBINED, CombinedConfig, combined_probability
from filters.config import filters_of_run
from filters.duplicates import originals_of_hashes
from layered.errors import UserError
from ledger.run_directory import RunDirectory

PATIENCE_SECONDS = 10.0
"""That the page waits for a store which does not answer: whoever looks at it can ask again."""


@dataclass(frozen=True)
class ReviewOptions:
    """How the page is served.

    Attributes:
        reviewer: who reviews; the login name when empty.
        port: None takes the first free one.
        overlap: reviewers that each sample is given to.
        queue: that the page opens with.
    """

    reviewer: str = ""
    host: str = "127.0.0.1"
    port: int | None = None
    overlap: int = 1
    queue: str = ""
    opens_browser: bool = True


def review_run(place: Path | str, options: ReviewOptions, console: Console) -> None:
    """Serves the page until it is stopped.

    Raises:
        UserError: when there is no run, when decisions have no place, or when the address cannot be taken.
    """
    review = open_review(place, options)
    address = bind(options.host, options.port)
    console.print(f"{review.settings.name}: {len(review.columns)} samples, {review.settings.reviewer} reviews")
    console.print(f"decisions are kept in {review.store.path}", soft_wrap=True)
    _open(address, options, console)
    try:
        serve(functools.partial(make_app, review), address, review.bus.close)
    finally:
        review.push()
        if review.push_problem:
            console.print(f"not pushed: {review.push_problem}; they stay in {review.store.path}", soft_wrap=True)
        review.store.close()


def compare_designs(a: Path | str, b: Path | str, options: ReviewOptions, console: Console) -> None:
    """Serves a blind comparison until it is stopped, then prints what came of it.

    Raises:
        UserError: when one of both holds no designs, when they have none in common, and as `review_run`.
    """
    comparison = Comparison({"a": a, "b": b})
    store = DecisionStore(user_data_path(f"compare-{comparison.name}.sqlite"))
    desk = CompareDesk(comparison, store, options.reviewer or _login_name())
    address = bind(options.host, options.port)
    console.print(f"{len(comparison.pairs)} pairs of {a} and {b}; answers are kept in {store.path}", soft_wrap=True)
    _open(address, options, console)
    try:
        serve(functools.partial(make_compare_app, desk), address)
    finally:
        console.print(render_comparison(results_json(store.answers(comparison.name)), str(a), str(b)))
        store.close()


def render_comparison(results: Sequence[Mapping[str, Any]], a: str, b: str) -> Table:
    """Win, draw and lose by question, with 95 % intervals."""
    table = Table(title=f"A = {a}, B = {b}")
    for title in ("question", "A better", "draw", "B better", "answers", "reviewers"):
        table.add_column(title, justify="left" if title == "question" else "right")
    for each in results:
        shares = [_share(each[name]) for name in ("a", "draw", "b")]
        table.add_row(each["title"], *shares, str(each["total"]), str(each["reviewers"]))
    return table


def open_review(place: Path | str, options: ReviewOptions) -> Review:
    """The review of a run, its index read. Errors as `review_run`."""
    if options.queue:
        try:
            queue_named(options.queue)
        except RequestError as error:
            raise UserError(f"--queue: {error}") from error
    run = RunDirectory.open(place, PATIENCE_SECONDS)
    filters = filters_of_run(run.info)
    grouper = None
    if filters and filters.duplicates.enabled:
        grouper = functools.partial(originals_of_hashes, max_distance=filters.duplicates.max_distance)
    name = str(run.info.get("config", {}).get("name", run.place.rstrip("/").rpartition("/")[2]))
    settings = ReviewSettings(name, options.reviewer or _login_name(), options.overlap, options.queue)
    return Review(library_of(run), DecisionStore(store_path(run)), settings, grouper)


def library_of(run: RunDirectory) -> Library:
    """The samples of a run with the thresholds that it would be published with; nothing is read yet."""
    filters = filters_of_run(run.info)
    return Library(
        run,
        filters.thresholds() if filters else {},
        functools.partial(_combined, filters.combined) if filters and filters.combined.enabled else None,
    )


def _open(address: Address, options: ReviewOptions, console: Console) -> None:
    console.print(f"open {address.url}   (Ctrl-C ends)", soft_wrap=True)
    if options.opens_browser and _has_screen():
        webbrowser.open(address.url)


def _share(share: Mapping[str, Any]) -> str:
    if not share["total"]:
        return "–"
    low, high = share["interval"]
    return f"{100 * share['share']:.0f} % ({100 * low:.0f}…{100 * high:.0f})"


def _combined(config: CombinedConfig, worst: Mapping[str, float]) -> Mapping[str, float]:
    probability = combined_probability(config, worst)
    return {} if probability is None else {COMBINED: probability}


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "reviewer"


def _has_screen() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
