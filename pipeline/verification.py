"""`layerprism verify`: what to check depends on what a path is."""

from __future__ import annotations

from pathlib import Path

from layered import UserError
from ledger.run_directory import RUN_FILE
from ledger.verify import verify_run
from shards.manifest import MANIFEST_FILE
from shards.verify import Problem, verify_publication


def verify_path(path: Path) -> list[Problem]:
    """All damage found in a run or a publication; empty when every byte is as recorded and every composite exact.

    Raises:
        UserError: when the path is neither, or cannot be read.
    """
    if (path / RUN_FILE).is_file():
        return verify_run(path)
    if (path / MANIFEST_FILE).is_file():
        return verify_publication(path)
    raise UserError(f"{path} is neither a run (no {RUN_FILE}) nor a publication (no {MANIFEST_FILE})")
