"""Whether there is room for what a run will make, asked before anything is made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from layered.errors import UserError
from pipeline.config import RunConfig
from shards.files import local_path
from stages.layer_flux import resolve_defaults

LEAST_BYTES_PER_PIXEL = 0.02
"""Of all that is stored for a generated pixel, for the flattest of drawings; photographs take forty times as much."""

BYTES_IN_FLIGHT_PER_PIXEL = 3 + 3 + 4
"""A drawn picture, and the same with its matte: what the object store holds of a layer until its chunk is committed."""


def check_room(place: Path | str, pictures: Mapping[int, int], config: RunConfig) -> str:
    """Refuses a run that cannot end because its disk is too small, whatever it draws.

    Args:
        place: the run directory; an object store has room.
        pictures: to be drawn, by chunk.

    Returns:
        A line of advice when the run will be slow for want of shared memory; empty otherwise.

    Raises:
        UserError: when not even the flattest of drawings would fit.
    """
    settings = resolve_defaults(config.layer_flux)
    areas = [width * height for width, height in (*settings.layer_sizes, *settings.base_sizes)]
    folder = local_path(place)
    if folder is not None:
        least, free = sum(pictures.values()) * min(areas) * LEAST_BYTES_PER_PIXEL, shutil.disk_usage(folder).free
        if least > free:
            raise UserError(
                f"{folder} has {_gigabytes(free)} left, and this run needs more than {_gigabytes(least)} there: "
                "make room, choose another place with --out, or lower plan.samples"
            )
    executor = config.executor
    if executor.kind == "ray" and executor.ray_address is None:
        in_flight = executor.chunks_in_flight * max(pictures.values(), default=0)
        megabytes = in_flight * max(areas) * BYTES_IN_FLIGHT_PER_PIXEL / 2**20
        if megabytes > executor.object_store_mb:
            return (
                f"the chunks in flight take up to {megabytes:,.0f} MiB, and the object store has "
                f"{executor.object_store_mb}: Ray will write to its temporary folder; raise executor.object_store_mb"
            )
    return ""


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
