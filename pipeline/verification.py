"""`layerprism verify`: what to check depends on what a path is."""

from __future__ import annotations

from pathlib import Path

from layered import UserError
from ledger.run_directory import RUN_FILE, is_run
from ledger.verify import verify_run
from shards.manifest import MANIFEST_FILE
from shards.reader import holds_publication
from shards.verify import Problem, verify_publication


def verify_path(place: Path | str) -> list[Problem]:
    """All damage found in a run or a publication; empty when every byte is as recorded and every composite exact.

    Raises:
        UserError: when the path is neither, or cannot be read.
    """
    if is_run(place):
        return verify_run(place)
    if holds_publication(place):
        return verify_publication(place)
    raise UserError(f"{place} is neither a run (no {RUN_FILE}) nor a publication (no {MANIFEST_FILE})")
