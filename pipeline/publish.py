"""From committed samples to `shards/` and `report/`: thresholds, duplicates, decisions, dataset card, pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from filters.clip_alignment import WHOLE_EMBEDDING
from filters.combined import combined_scores
from filters.duplicates import repeated_samples
from layered.errors import FailedWorkError
from ledger.publication import NothingToPublishError, Published, publish
from pipeline.phases import timed_phase
from pipeline.report import write_report
from pipeline.run import RunSession


@dataclass(frozen=True)
class PublishedRun:
    """A publication with its report, and what to say of them."""

    published: Published
    report: str
    summary: str


def publish_session(session: RunSession, prune: bool = False) -> PublishedRun:
    """Publishes what passes the thresholds and what people kept, then draws the report.

    Raises:
        FailedWorkError: when no sample passes; the report then shows why, and the current publication stays.
    """
    run, config = session.run, session.config
    thresholds = config.filters.thresholds()
    facts = {"name": config.name, "fingerprint": run.fingerprint}
    if run.imported is not None:
        facts["imported from"] = f"{Path(run.imported['path']).name} ({run.imported['kind']})"
    duplicates = config.filters.duplicates
    find_duplicates = functools.partial(repeated_samples, duplicates, WHOLE_EMBEDDING) if duplicates.enabled else None
    try:
        derive_scores = functools.partial(combined_scores, config.filters.combined)
        with timed_phase(run.storage, "publishing"):
            published = publish(
                run, config.shards, thresholds, find_duplicates, facts, prune, derive_scores, config.selection
            )
    except NothingToPublishError as error:
        report = write_report(run, error.selection, thresholds, config.report, facts, config)
        raise FailedWorkError(f"{error} (see {report})") from error
    with timed_phase(run.storage, "reporting"):
        report = write_report(run, published.selection, thresholds, config.report, facts, config)
    accepted = len(published.selection.published)
    considered = accepted + len(published.selection.left_out)
    reasons = ", ".join(f"{count} {reason}" for reason, count in published.selection.reasons().items())
    lines = [
        f"published {accepted} of {considered} samples ({100 * accepted / considered:.0f} %)"
        + (f"; left out: {reasons}" if reasons else ""),
        f"shards    {published.publication.place}" + ("" if published.written else " (unchanged)"),
        f"report    {report}",
    ]
    return PublishedRun(published, report, "\n".join(lines))
