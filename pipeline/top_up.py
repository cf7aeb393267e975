"""`plan.accepted`: a run that grows in rounds until so many samples pass its filters.

How many samples the next round adds follows from the committed scores of the rounds before it and from nothing else,
and is decided only when every planned sample is committed. So a run that was interrupted grows as an undisturbed one
does, at any number of workers.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from filters.clip_alignment import WHOLE_EMBEDDING
from filters.combined import combined_scores
from filters.duplicates import repeated_samples
from ledger.index import RunIndex
from ledger.licences import LicenceRule
from ledger.run_directory import RunDirectory
from ledger.selection import Selection, select
from pipeline.config import RunConfig


@dataclass(frozen=True)
class Round:
    """What `plan.accepted` asks for next.

    Attributes:
        total: samples that the plan must have after the next round; None when there is none.
        shortfall: why there is none although too few samples are accepted; empty when enough are.
    """

    total: int | None = None
    shortfall: str = ""


def selection_by_filters(run: RunDirectory, config: RunConfig) -> Selection:
    """What would be published if nobody had decided anything: by thresholds, licences and duplicates alone.

    People's decisions are left out on purpose: they come at any time, and what a run draws must not depend on when.
    """
    duplicates = config.filters.duplicates
    shards = config.shards
    return select(
        run.planned_samples(),
        RunIndex.load(run.storage),
        {},
        config.filters.thresholds(),
        functools.partial(repeated_samples, duplicates, WHOLE_EMBEDDING) if duplicates.enabled else None,
        functools.partial(combined_scores, config.filters.combined),
        LicenceRule(shards.licences, shards.whole_samples) if shards.licences else None,
    )


def next_round(planned: int, accepted: int, wanted: int, at_most: int) -> Round:
    """The next round, when all `planned` samples are committed and `accepted` of them pass.

    So many more are planned that, at the rate so far, the missing ones come out of them five times in six: a round
    costs a tail in which workers idle.

    Args:
        at_most: the most samples that may be planned.
    """
    if accepted >= wanted:
        return Round()
    so_far = f"{accepted} of {planned} samples are accepted, {wanted} are wanted"
    if not accepted:
        return Round(
            shortfall=f"{so_far}: nothing passes, so more samples would not help. The report shows why: lower "
            "filters.<name>.threshold or raise layer_flux.attempts"
        )
    if planned >= at_most:
        return Round(
            shortfall=f"{so_far}, and the plan ends at {at_most} samples: raise plan.samples_at_most, add briefs or "
            "variations, or lower thresholds"
        )
    rate = accepted / planned
    more = (wanted - accepted) / rate
    more += math.sqrt(more * (1 - rate) / rate)
    return Round(min(planned + math.ceil(more), at_most))
