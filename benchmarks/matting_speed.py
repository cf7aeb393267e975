"""How fast the matting back ends are: one picture at a time as in a run, and the network on batches.

    python -m benchmarks.matting_speed [--device cuda] [--batch 16 --side 1024] [--seconds 3] [--json FILE]

One thread on a CPU. On a GPU the batches pass in bfloat16, which is also measured against float32.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from layered.arrays import UInt8Array
from models import TINY
from models.recipes.matting_data import POOL, render_layer
from stages.matting import MattingConfig, matter_of
from stages.matting.layerprism import load_network

RESULT: Final = Path(__file__).parent / "results" / "matting_speed.json"
SIDES: Final = (256, 512, 1024, 2048)
SINGLE: Final = ("keyer", "layerprism")


@dataclass(frozen=True)
class Single:
    """Milliseconds for one picture, the fastest of several: what else runs only adds."""

    backend: str
    side: int
    fastest_ms: float
    median_ms: float


@dataclass(frozen=True)
class Batches:
    """The network alone on batches; `off` is the largest difference of alpha to float32, 0…1."""

    device: str
    dtype: str
    batch: int
    side: int
    mattes_per_second: float
    off: float


def picture(side: int) -> UInt8Array:
    """A synthetic layer over mid-gray with noise, ``[side, side, 3]``."""
    layer = torch.from_numpy(render_layer(POOL)).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(layer, size=(side, side), mode="bilinear")[0].permute(1, 2, 0).numpy()
    rgb = large[..., :3] + (1 - large[..., 3:]) * 128 / 255
    noise = np.random.default_rng(0).normal(0, 1.5, rgb.shape)
    return np.clip(np.rint(255 * rgb + noise), 0, 255).astype(np.uint8)


def single(backend: str, side: int, seconds: float) -> Single:
    """Times a back end as a run calls it: picture in, RGBA out."""
    matter = matter_of(MattingConfig(backend=backend, min_side=1, device="cpu" if backend == "layerprism" else "auto"))
    matter.setup()
    shown = picture(side)
    times = _times(lambda: matter.matte(shown), seconds)
    return Single(backend, side, 1000 * min(times), 1000 * float(np.median(times)))


def batches(device: str, batch: int, side: int, dtype: torch.dtype, seconds: float) -> Batches:
    """Times the network on batches that lie on the device already."""
    network = load_network(TINY / "matting").to(device)
    shown = torch.from_numpy(picture(side)).permute(2, 0, 1)[None].float().div(255).to(device)
    pictures = shown.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    flat = torch.full((batch, 3), 128 / 255, device=device)

    def run(dtype: torch.dtype) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            found: torch.Tensor = network(pictures, flat)
        if device != "cpu":
            torch.cuda.synchronize()
        return found

    off = float((run(dtype)[:1, 3].float() - run(torch.float32)[:1, 3]).abs().max())
    times = _times(lambda: run(dtype), seconds)
    return Batches(device, str(dtype).removeprefix("torch."), batch, side, batch / min(times), off)


def _times(work: Callable[[], object], seconds: float) -> list[float]:
    work()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu", help="for the batches: cpu or cuda")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    singles = [single(backend, side, arguments.seconds) for backend in SINGLE for side in SIDES]
    many = [
        batches(arguments.device, arguments.batch, arguments.side, dtype, arguments.seconds)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    table = Table(title=f"one picture, one thread ({machine()})")
    for heading in ("back end", "side", "fastest, ms", "median, ms"):
        table.add_column(heading, justify="right")
    for each in singles:
        table.add_row(each.backend, f"{each.side}²", f"{each.fastest_ms:.1f}", f"{each.median_ms:.1f}")
    Console().print(table)
    for batch in many:
        print(
            f"{batch.device}, {batch.dtype}: {batch.mattes_per_second:.1f} mattes/s at {batch.side}², "
            f"batch {batch.batch}; alpha off by at most {batch.off:.4f}"
        )
    document = {"machine": machine(), "single": list(map(asdict, singles)), "batches": list(map(asdict, many))}
    arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
