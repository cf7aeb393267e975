"""What happens in a small life of a run, for those who watch it."""

import socket
from typing import Any

from ledger.commit import ChunkRevision, Failure
from pipeline.committing import Committed
from pipeline.pools import BatchReport
from pipeline.retrying import Action, Fault, FaultReport

FAILURE = Failure("matting", 2, "no object", "Traceback …")
COMMITTED = Committed(ChunkRevision(7), 30, 120, (("s0000009", FAILURE),))
FAULT = FaultReport(Fault.WORKER_DIED, "layer_flux", 7, 16, 1, "the worker died", Action.RETRY)


def report(items: int = 12, failed: int = 0, stage: str = "layer_flux", attempt: int = 1) -> BatchReport:
    return BatchReport(
        stage,
        "layer_flux-1",
        7,
        items,
        failed,
        100.0,
        102.5,
        attempt=attempt,
        queue_seconds=0.5,
        peak_gpu_bytes=1 << 30,
    )


def tell(watcher: Any) -> None:
    """A small life: a batch that is tried again, one that fails in part, a commit."""
    watcher.on_asked("layer_flux", 20)
    watcher.on_fault(FAULT)
    watcher.on_batch(report(attempt=2))
    watcher.on_batch(report(4, failed=1))
    watcher.on_asked("layer_flux", -16)
    watcher.on_chunk(COMMITTED)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
