"""Something that one process of a machine does first, and the others then find done."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Lets the processes of this machine, and of this user, into the block one after the other.

    Many workers that start together on a machine would otherwise fetch the same weights each. A process that dies lets
    go.

    Args:
        what: names the work; different names do not wait for each other.
    """
    folder = Path(tempfile.gettempdir()) / f"layerprism-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
