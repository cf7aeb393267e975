"""`layerprism review`: the review page over a run, with the thresholds that the run would be published with."""

from __future__ import annotations

import functools
import getpass
import json
import os
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from curation.errors import RequestError
from curation.library import Library
from curation.queues import queue_named
from curation.review import Review, ReviewSettings
from curation.server import bind, serve
from curation.store import DecisionStore, store_path
from filters.combined import COMBINED, CombinedConfig, combined_probability
from filters.config import FiltersConfig
from filters.duplicates import originals_of_hashes
from layered.errors import UserError
from ledger.run_directory import RunDirectory


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


def review_run(path: Path, options: ReviewOptions, console: Console) -> None:
    """Serves the page until it is stopped.

    Raises:
        UserError: when there is no run, when decisions have no place, or when the address cannot be taken.
    """
    review = open_review(path, options)
    address = bind(options.host, options.port)
    console.print(f"{review.settings.name}: {len(review.columns)} samples, {review.settings.reviewer} reviews")
    console.print(f"decisions are kept in {review.store.path}", soft_wrap=True)
    console.print(f"open {address.url}   (Ctrl-C ends)", soft_wrap=True)
    if options.opens_browser and _has_screen():
        webbrowser.open(address.url)
    try:
        serve(review, address)
    finally:
        review.push()
        if review.push_problem:
            console.print(f"not pushed: {review.push_problem}; they stay in {review.store.path}", soft_wrap=True)
        review.store.close()


def open_review(path: Path, options: ReviewOptions) -> Review:
    """The review of a run, its index read. Errors as `review_run`."""
    if options.queue:
        try:
            queue_named(options.queue)
        except RequestError as error:
            raise UserError(f"--queue: {error}") from error
    run = RunDirectory.open(path)
    filters = _filters_of(run.info)
    library = Library(
        run,
        filters.thresholds() if filters else {},
        functools.partial(_combined, filters.combined) if filters and filters.combined.enabled else None,
    )
    grouper = None
    if filters and filters.duplicates.enabled:
        grouper = functools.partial(originals_of_hashes, max_distance=filters.duplicates.max_distance)
    name = str(run.info.get("config", {}).get("name", path.name))
    settings = ReviewSettings(name, options.reviewer or _login_name(), options.overlap, options.queue)
    return Review(library, DecisionStore(store_path(run)), settings, grouper)


def _filters_of(info: Mapping[str, Any]) -> FiltersConfig | None:
    """The filters in a run's stored configuration; None where this version cannot read it."""
    try:
        return FiltersConfig.model_validate_json(json.dumps(info["config"]["filters"]))
    except (KeyError, TypeError, ValidationError):
        return None


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
