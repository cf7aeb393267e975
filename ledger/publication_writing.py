"""What writing a publication means to those who decide where it lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from layered.errors import UserError
from shards.reader import Publication

INPUTS_KEY: Final = "layerprism.inputs"
"""Of a manifest's metadata: the hash of all that the publication's bytes follow from."""

WritePublication = Callable[[Path, Callable[[Path], None]], Publication]
"""Writes a publication into a new local folder, and hands over each of its files once it is complete."""


def inputs_of(place: Path | str) -> str | None:
    """The hash of the inputs of a complete publication; None for any other folder, or none."""
    try:
        metadata = Publication.open(place).manifest.schema.metadata or {}
    except UserError:
        return None
    return str(metadata.get(INPUTS_KEY.encode(), b"").decode())
