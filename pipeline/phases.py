"""The parts of a run's time in which no batch is worked on: preparing, loading models, ending, publishing, reporting.

Each is a small file of `RUN/phases/`, written when it is over. Together with the timings they say where a run's time
went.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

from ledger.storage import Storage

PHASES_FOLDER = "phases"

PhaseName = Literal["preparing", "starting", "stopping", "publishing", "reporting"]


@dataclass(frozen=True)
class Phase:
    """One part of a sitting.

    Attributes:
        name: ``preparing`` is configuration, briefs and plan; ``starting`` lasts until all workers have loaded their
            models; ``stopping`` ends them; then ``publishing`` and ``reporting``.
        started, ended: seconds since the epoch.
        pending: chunks that were still to be made then.
    """

    name: PhaseName
    started: float
    ended: float
    pending: int = 0

    @property
    def seconds(self) -> float:
        return self.ended - self.started


def record_phase(storage: Storage, phase: Phase) -> None:
    """Keeps a phase that is over. For the driver of the run alone."""
    number = len(storage.list(PHASES_FOLDER))
    storage.write(f"{PHASES_FOLDER}/{number:05d}.json", (json.dumps(asdict(phase)) + "\n").encode())


@contextmanager
def timed_phase(storage: Storage, name: PhaseName) -> Iterator[None]:
    """Records the time that the block takes, unless it raises."""
    started = time.time()
    yield
    record_phase(storage, Phase(name, started, time.time()))


def read_phases(storage: Storage) -> list[Phase]:
    """All phases of a run, in order."""
    return [Phase(**json.loads(storage.read(name))) for name in storage.list(PHASES_FOLDER)]


def phase_seconds(phases: list[Phase], name: PhaseName) -> float:
    """The time spent in all phases of one name."""
    return sum(phase.seconds for phase in phases if phase.name == name)


def latest_phase(storage: Storage, name: PhaseName) -> Phase | None:
    """The last phase of a name, found without reading those before it."""
    for file in reversed(storage.list(PHASES_FOLDER)):
        phase = Phase(**json.loads(storage.read(file)))
        if phase.name == name:
            return phase
    return None
