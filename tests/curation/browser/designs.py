"""A small run for browser tests: soft-edged designs whose pixels are known, and many tiny ones to scroll through."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from layered import Box, Layer, LayeredImage, LayerRecord, Sidecar
from layered.arrays import UInt8Array
from layered.png import encode_png
from layered.scores import Score
from ledger.commit import ChunkSample, encode_sample
from ledger.run_directory import RunDirectory
from tests.ledger.runs import make_run
from tests.shards.samples import make_sample

CANVAS = (240, 160)
COLORS = ((214, 72, 54), (58, 128, 196), (240, 190, 60))
BOXES = (Box(20, 30, 120, 110), Box(90, 50, 190, 150), Box(170, -20, 260, 70))
DESIGNS = 6
TINY = 130
HOSTILE, FLAGGED, TWIN, MERGED = 1, 2, 3, 4
HOSTILE_CAPTION = '<img src=x onerror="window.hacked=true"><b>bold</b> & "quoted"'
THRESHOLDS = {"alpha_halo": 0.3, "clip_whole": 0.2}


def design(number: int) -> tuple[LayeredImage, Sidecar]:
    """Three soft discs over a gradient; the third overflows the canvas. `MERGED` has a merged image, one gray off."""
    layers = tuple(Layer(disc(box, color, number), box) for box, color in zip(BOXES, COLORS, strict=True))
    ramp = np.linspace(40 + 9 * number, 200, CANVAS[0]).astype(np.uint8)
    base = np.repeat(np.broadcast_to(ramp, (CANVAS[1], CANVAS[0]))[..., None], 3, axis=2)
    image = LayeredImage(base, layers)
    if number == MERGED:
        image = replace(image, merged=np.minimum(image.whole().astype(np.int16) + 10, 255).astype(np.uint8))
    records = tuple(
        LayerRecord(
            index=index,
            kind="image",
            caption=HOSTILE_CAPTION if number == HOSTILE else f"a disc {index}",
            box=layer.box.as_tuple(),
            layout_box=(layer.box.x0 - 4, layer.box.y0, layer.box.x1 + 4, layer.box.y1),
            seed=2**62 + 1,
            attempt=0,
            sha256=hashlib.sha256(encode_png(layer.pixels)).hexdigest(),
            model="tiny",
            revision="r1",
            licence="Apache-2.0",
        )
        for index, layer in enumerate(layers)
    )
    caption = HOSTILE_CAPTION if number == HOSTILE else f"three discs on a gray ramp, number {number}"
    sidecar = Sidecar(
        id=f"s{number:07d}",
        canvas=CANVAS,
        style_category="flat",
        whole_caption=caption,
        base_caption="a gray ramp",
        layer_count=3,
        layers=records,
        provenance={"brief": f"b{number}", "attempts": '[{"layer":0}]'},
    )
    return image, sidecar


def disc(box: Box, color: tuple[int, int, int], number: int) -> UInt8Array:
    """RGBA ``[box.height, box.width, 4]``: a disc whose alpha falls off over a fifth of its radius."""
    y, x = np.mgrid[: box.height, : box.width]
    radius = min(box.width, box.height) / 2
    distance = np.hypot(x - (box.width - 1) / 2, y - (box.height - 1) / 2)
    alpha = np.clip((radius - distance) / (0.2 * radius), 0, 1) * (1 - 0.06 * number)
    rgba = np.zeros((box.height, box.width, 4), np.uint8)
    rgba[..., 3] = np.round(alpha * 255)
    rgba[rgba[..., 3] > 0, :3] = color
    return rgba


def make_review_run(path: Path) -> RunDirectory:
    """`DESIGNS` designs, then `TINY` tiny ones in another style; one design is flagged, two look alike."""
    return make_run(path, [[_encoded(number) for number in range(DESIGNS)], [_tiny(number) for number in range(TINY)]])


def _encoded(number: int) -> ChunkSample:
    image, sidecar = design(number)
    halo = 0.1 if number == FLAGGED else 0.9
    scores = [Score(sidecar.id, -1, "clip_whole", 0.25 + 0.1 * number)]
    scores += [Score(sidecar.id, index, "alpha_halo", halo if index == 1 else 0.95) for index in range(3)]
    fingerprint = bytes([0 if number == TWIN else number] * 32)
    return encode_sample(image, sidecar, {}, scores, {"phash": fingerprint})


def _tiny(number: int) -> ChunkSample:
    number += DESIGNS
    image, sidecar = make_sample(number, 1 + number % 4, style="outline")
    scores = [Score(sidecar.id, -1, "clip_whole", 0.21 + number / 1000)]
    return encode_sample(image, sidecar, {}, scores, {"phash": np.random.default_rng(number).bytes(32)})
