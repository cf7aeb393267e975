"""The transparent autoencoder: what is left of layers after their latents have been decoded.

Held-out designs of every kind of layer go through the frozen RGB autoencoder and come back by four ways: the shipped
decoder, which sees all regions of a design; one of the same shape, data and steps that sees one region at a time; the
RGB autoencoder's own decoder, with RGB over gray and alpha as a gray picture encoded apart (twice the latents); the
same with RGB filled with gray only where alpha is 0; and this with half the pixels, so that both pictures together have
as many latents as the one picture of the transparent encoding. Differences have 95 % intervals (paired bootstrap over
designs).
Photo-like layers (`../shared/real_layers`, left out where they are absent) are reported only, at 256 px.

    python -m benchmarks.autoencoder [--designs 240] [--json FILE] [--picture FILE]

The decoder to compare with is not shipped: `python -m models.recipes.train_art_decoder --scope region` trains it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from art_model.autoencoder import encode_regions, prepare
from art_model.transparent_decoder import TransparentDecoder, load_decoder
from benchmarks.machine import machine
from layered.arrays import UInt8Array
from layered.box import Box
from layered.image import Layer, LayeredImage
from layered.pixels import clear_hidden, premultiply, resize, resize_rgb, round_to_uint8
from layered.placing import alpha_box
from layered.rendering import contact_sheet
from models.recipes.art_latents import load_vae
from models.recipes.cards import write_section
from models.recipes.decoder_cache import opaque, pictures_of, regions_in
from models.recipes.decoder_designs import EVALUATION, draw_decoder_design
from models.recipes.train_art_decoder import SHIPPED, is_trained, load_trained

REPOSITORY: Final = Path(__file__).parents[1]
REAL_LAYERS: Final = REPOSITORY.parent / "shared" / "real_layers"
RESULT: Final = REPOSITORY / "benchmarks" / "results" / "autoencoder.json"
PICTURE: Final = REPOSITORY / "docs" / "images" / "autoencoder.png"
CARD: Final = SHIPPED / "README.md"
REAL_SIDE: Final = 256
MARGINS: Final = (0, 8, 16, 32)
MEASURES: Final = ("rgb", "alpha", "composite")
JOINT, REGION, OVER_GRAY, STRAIGHT = "joint", "each region alone", "RGB VAE, over gray", "RGB VAE, straight"
EQUAL: Final = "RGB VAE, straight, equal latents"
_BEST_PSNR: Final = 60.0  # of a design; beyond it 8 bits decide
_RESAMPLES: Final = 10_000

RoundTrip = Callable[[LayeredImage], LayeredImage]
Scores = NDArray[np.float64]
"""PSNR ``[designs, 3]`` in dB, by `MEASURES`."""


def held_out(count: int) -> list[LayeredImage]:
    return [draw_decoder_design(np.random.default_rng([EVALUATION, number])) for number in range(count)]


def real_designs() -> list[LayeredImage]:
    """The photo-like scenes at 256 px, layers trimmed; none where the folder is absent."""
    designs = []
    for pattern in ("opaque_scenes/*", "semi_transparent/*"):
        for folder in sorted(REAL_LAYERS.glob(pattern)):
            base = resize_rgb(np.array(Image.open(folder / "bg.png").convert("RGB")), (REAL_SIDE, REAL_SIDE))
            layers = []
            for path in sorted([*folder.glob("layer_?.png"), *folder.glob("fg.png")]):
                rgba = resize(np.array(Image.open(path).convert("RGBA")), (REAL_SIDE, REAL_SIDE))
                if (box := alpha_box(rgba)) is not None:
                    layers.append(Layer(clear_hidden(rgba[box.pixels()]), box))
            designs.append(LayeredImage(base, tuple(layers)))
    return designs


def through_decoder(vae: Any, decoder: TransparentDecoder) -> RoundTrip:
    def decoded(image: LayeredImage) -> LayeredImage:
        regions = regions_in(image)
        pictures = decoder.decode(vae, encode_regions(vae, pictures_of(image), regions), regions)
        layers = (Layer(rgba, layer.box) for rgba, layer in zip(pictures[2:], image.layers, strict=True))
        return LayeredImage(pictures[1][..., :3], tuple(layers), merged=pictures[0][..., :3])

    return decoded


def through_vae(vae: Any, over_gray: bool, scale: float = 1.0) -> RoundTrip:
    """RGB and alpha as two pictures. `over_gray`: RGB is mixed with gray by alpha and unmixed again, else it stays.

    `scale` is that of the sides of both pictures on their way through the autoencoder.
    """

    def decoded(image: LayeredImage) -> LayeredImage:
        layers = []
        for layer in image.layers:
            alpha = round_trip(vae, np.repeat(layer.pixels[..., 3:], 3, 2), -1.0, scale).mean(-1, keepdims=True)
            visible = premultiply(layer.pixels)
            if over_gray:
                mixed = round_to_uint8(visible[..., :3] + 0.5 * (1 - visible[..., 3:]))
                color = (round_trip(vae, mixed, 0.0, scale) - 0.5 * (1 - alpha)) / np.maximum(alpha, 1 / 255)
            else:
                filled = np.where(layer.pixels[..., 3:] > 0, layer.pixels[..., :3], np.uint8(128))
                color = round_trip(vae, filled, 0.0, scale)
            layers.append(Layer(clear_hidden(round_to_uint8(np.concatenate([color, alpha], 2))), layer.box))
        return LayeredImage(round_to_uint8(round_trip(vae, image.base, 0.0)), tuple(layers))

    return decoded


@torch.inference_mode()
def round_trip(vae: Any, rgb: UInt8Array, around: float, scale: float = 1.0) -> NDArray[np.float32]:
    """A picture through encoder and decoder, ``[h, w, 3]`` in 0…1, with pixels of `around` about it."""
    size = rgb.shape[1], rgb.shape[0]
    width, height = (max(1, round(side * scale)) for side in size)
    scaled = rgb if scale == 1 else resize_rgb(rgb, (width, height))
    padded = F.pad(prepare(opaque(scaled)), (16, 16 + -width % 8, 16, 16 + -height % 8), value=around)
    decoded = vae.decode(vae.encode(padded[None]).latent_dist.mean).sample[0]
    pixels = (decoded[:, 16 : 16 + height, 16 : 16 + width].clamp(-1, 1) + 1) / 2
    found: NDArray[np.float32] = pixels.permute(1, 2, 0).numpy()
    return found if scale == 1 else np.divide(resize_rgb(round_to_uint8(found), size), 255, dtype=np.float32)


def scores(true: LayeredImage, found: LayeredImage) -> tuple[float, float, float]:
    """PSNR of RGB weighted by the true alpha and of alpha, over all foregrounds, and of the layers composited again."""
    pairs = [(a.pixels / 255.0, b.pixels / 255.0) for a, b in zip(true.layers, found.layers, strict=True)]
    color = sum(float((np.square(a[..., :3] - b[..., :3]) * a[..., 3:]).sum()) for a, b in pairs)
    weight = sum(3 * float(a[..., 3].sum()) for a, _ in pairs)
    alpha = sum(float(np.square(a[..., 3] - b[..., 3]).sum()) for a, b in pairs)
    area = sum(a[..., 3].size for a, _ in pairs)
    whole = np.square(true.whole() / 255.0 - found.whole() / 255.0).mean()
    return psnr(color / weight), psnr(alpha / area), psnr(float(whole))


def psnr(squared_error: float) -> float:
    return min(_BEST_PSNR, -10 * float(np.log10(max(squared_error, 1e-12))))


@dataclass(frozen=True)
class Interval:
    """A mean in dB and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: Scores) -> Interval:
    """By bootstrap over designs; of paired differences where such are given."""
    rng = np.random.default_rng(76)
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return Interval(float(values.mean()), low, high)


def measure(designs: Sequence[LayeredImage], ways: dict[str, RoundTrip]) -> dict[str, Scores]:
    return {name: np.array([scores(image, way(image)) for image in designs]) for name, way in ways.items()}


def summary(found: dict[str, Scores]) -> dict[str, Any]:
    """Means of every way, and by how much the joint decoder is better than each other one."""
    means = {
        name: {what: asdict(interval(values[:, column])) for column, what in enumerate(MEASURES)}
        for name, values in found.items()
    }
    gains = {
        name: {what: asdict(interval((found[JOINT] - values)[:, column])) for column, what in enumerate(MEASURES)}
        for name, values in found.items()
        if name != JOINT
    }
    return {"designs": len(found[JOINT]), "psnr": means, "joint_is_better_by": gains}


def margins(vae: Any, decoder: TransparentDecoder, designs: Sequence[LayeredImage]) -> dict[int, dict[str, float]]:
    """Foregrounds encoded as crops with a margin, against their part of a full canvas of gray.

    Returns per margin, as means over layers that lie within the canvas: the ratio of the latents' power to that of
    their difference, the PSNR of the premultiplied pictures decoded from both, and that of the crops' pictures against
    the truth.
    """
    inside = [image for image in designs if all(_is_inside(layer.box, image) for layer in image.layers)]
    full = {id(image): _full_canvas_latents(vae, image) for image in inside}
    found = {}
    for margin in MARGINS:
        rows = []
        for image in inside:
            regions = regions_in(image)
            crops = encode_regions(vae, pictures_of(image), regions, margin=margin)
            decoded = [decoder.decode(vae, latents, regions) for latents in (crops, full[id(image)])]
            for index, layer in enumerate(image.layers, start=2):
                one, other = crops[index], full[id(image)][index]
                ratio = float(10 * torch.log10(other.square().mean() / (one - other).square().mean().clamp_min(1e-9)))
                cropped, whole, true = (premultiply(p) for p in (decoded[0][index], decoded[1][index], layer.pixels))
                rows.append((ratio, _psnr_between(cropped, whole), _psnr_between(cropped, true)))
        means = np.array(rows).mean(0)
        found[margin] = {name: float(mean) for name, mean in zip(("latents", "pictures", "truth"), means, strict=True)}
    return found


def _full_canvas_latents(vae: Any, image: LayeredImage) -> list[torch.Tensor]:
    """Each layer encoded as a whole canvas, cut to its aligned box afterwards."""
    regions = regions_in(image)
    latents = encode_regions(vae, pictures_of(image), regions)
    for index, layer in enumerate(image.layers, start=2):
        canvas = np.zeros((*image.base.shape[:2], 4), np.uint8)
        canvas[layer.box.pixels()] = layer.pixels
        alone = LayeredImage(image.base, (Layer(canvas, Box.canvas(image.canvas)),))
        whole = encode_regions(vae, pictures_of(alone), regions_in(alone), margin=0)[2]
        box = regions.items[index].aligned
        latents[index] = whole[:, box.y0 // 8 : box.y1 // 8, box.x0 // 8 : box.x1 // 8]
    return latents


def _is_inside(box: Box, image: LayeredImage) -> bool:
    width, height = image.canvas
    return not box.overflows((width // 16 * 16, height // 16 * 16))


def _psnr_between(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return psnr(float(np.square(one - other).mean()))


def picture(designs: Sequence[LayeredImage], ways: dict[str, RoundTrip], rows: int = 8) -> UInt8Array:
    """The largest layer of some designs, exact and as it comes back."""
    tiles, captions = [], []
    for image in [image for image in designs if max(min(layer.box.size) for layer in image.layers) > 56][: 2 * rows]:
        largest = int(np.argmax([layer.box.area for layer in image.layers]))
        shown = [("exact", image), *((name, way(image)) for name, way in ways.items() if name not in (STRAIGHT, EQUAL))]
        for name, each in shown:
            pixels = each.layers[largest].pixels
            tiles.append(np.repeat(np.repeat(pixels, 2, 0), 2, 1))
            captions.append(name)
    return contact_sheet(tiles, 2 * (len(tiles) // (2 * rows)), (144, 144), captions)


def table(title: str, result: dict[str, Any]) -> Table:
    shown = Table(
        "way", *(f"{what}, dB" for what in MEASURES), *(f"joint better, {what}" for what in MEASURES), title=title
    )
    for name, means in result["psnr"].items():
        gains = result["joint_is_better_by"].get(name)
        shown.add_row(
            name,
            *(f"{means[what]['mean']:.2f}" for what in MEASURES),
            *(f"{g['mean']:+.2f} ({g['low']:+.2f} … {g['high']:+.2f})" for g in (gains or {}).values()),
        )
    return shown


def markdown(result: dict[str, Any]) -> str:
    rows = [
        "| way back | RGB under alpha | alpha | composite | joint better: RGB | alpha | composite |",
        "|---" * 7 + "|",
    ]
    for name, means in result["psnr"].items():
        gains = result["joint_is_better_by"].get(name, {})
        cells = [f"{means[what]['mean']:.2f}" for what in MEASURES]
        cells += [f"{g['mean']:+.2f} ({g['low']:+.2f} … {g['high']:+.2f})" for g in gains.values()] or [""] * 3
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=240)
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vae, decoder, console = load_vae(), load_decoder(SHIPPED), Console()
    ways: dict[str, RoundTrip] = {JOINT: through_decoder(vae, decoder)}
    if is_trained("region"):
        ways[REGION] = through_decoder(vae, load_trained("region"))
    else:
        console.print("the decoder that sees one region at a time is not trained here and left out")
    ways |= {OVER_GRAY: through_vae(vae, over_gray=True), STRAIGHT: through_vae(vae, over_gray=False)}
    ways[EQUAL] = through_vae(vae, over_gray=False, scale=0.5**0.5)
    designs = held_out(arguments.designs)
    results: dict[str, Any] = {"machine": machine(), "held_out": summary(measure(designs, ways))}
    console.print(table("held-out designs", results["held_out"]))
    if real := real_designs():
        results["real_layers"] = summary(measure(real, ways))
        console.print(table("real layers, reported only", results["real_layers"]))
    else:
        console.print(f"{REAL_LAYERS} is absent: real layers are left out")
    results["margins"] = margins(vae, decoder, designs[:60])
    rows = Table("margin, px", "latents", "pictures", "truth", title="crop with a margin against the full canvas, dB")
    for margin, values in results["margins"].items():
        rows.add_row(str(margin), *(f"{value:.2f}" for value in values.values()))
    console.print(rows)
    arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    Image.fromarray(picture(designs, ways)).save(arguments.picture)
    if arguments.json == RESULT:
        measured = f"{arguments.designs} held-out designs, PSNR in dB:\n\n{markdown(results['held_out'])}"
        for page in (CARD, REPOSITORY / "docs" / "benchmarks.md"):
            write_section(page, "autoencoder", measured)


if __name__ == "__main__":
    main()
