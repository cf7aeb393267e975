"""An 8K canvas with small layers: out and in again within four gigabytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MOST_BYTES = 4 * 1024**3

ROUND_TRIP = """
import resource, sys
from pathlib import Path
import numpy as np
from exports.formats import format_of, reader_of
from layered import Box, Layer, LayeredImage
from tests.exports.designs import assert_same_pixels, blob, record_of, sidecar_of

base = np.zeros((4320, 7680, 3), np.uint8)
base[..., 0] = np.arange(7680) // 31
base[..., 1] = np.arange(4320)[:, None] // 17
layers = tuple(
    Layer(blob((200, 160), (20 * n, 250 - 20 * n, 90)), Box(700 * n, 400 * n - 60, 700 * n + 200, 400 * n + 100))
    for n in range(11)
)
image = LayeredImage(base, layers)
sidecar = sidecar_of(image, [record_of(n, layer, f"blob {n}") for n, layer in enumerate(layers)])
path = Path(sys.argv[1])
format_of(path.suffix[1:]).write(image, sidecar, path)
found, described = reader_of(path)(path)
assert_same_pixels(found, image)
assert described == sidecar
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["psd", "ora"])
def test_an_8k_canvas_needs_little_memory(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, str(tmp_path / f"large.{name}")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= MOST_BYTES
