"""Trains the transparent decoder on cached designs.

    python -m models.recipes.decoder_cache                               draws and encodes the designs, once
    python -m models.recipes.train_art_decoder                   joint: the one that is shipped
    python -m models.recipes.train_art_decoder --scope region   to compare: each region alone

The same command resumes until the steps are done. State lies in `models/recipes/checkpoints/art_decoder_<scope>`;
with `--export` the averaged weights of the joint decoder are written to `models/layerprism-tiny/art/decoder`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from art_model.regions import FIRST_FOREGROUND, Regions
from art_model.transparent_decoder import DecoderConfig, TransparentDecoder, save_decoder
from models import TINY
from models.recipes.decoder_cache import Example, drawn_colors, parts, read_examples
from models.recipes.drawings import CHECKPOINTS
from models.recipes.training_state import NAME, load_average_state, load_state, save_state

SHIPPED: Final = TINY / "art" / "decoder"
BATCH: Final = 4  # designs
RATE, MUON_RATE = 2e-3, 3e-3
ALPHA: Final = (3.0, 6.0)  # what errors of alpha count against those of colour, at first and later
LATER: Final = 10_500  # steps
WARMUP_STEPS: Final = 50
HELD_OUT: Final = 40  # designs at the end of the last part, for the log
_SPREAD_PART: Final = 0.3  # of the designs have their layers moved apart on the layer axis
_FARTHEST_LAYER: Final = 51

Scope = Literal["design", "region"]


def decoder_loss(
    decoded: Sequence[Sequence[Tensor]],
    wanted: Sequence[Sequence[Tensor]],
    layouts: Sequence[Regions],
    alpha_weight: float = ALPHA[0],
) -> Tensor:
    """Errors of colour weighted by alpha, of alpha, and of the composite; each absolute plus squared.

    Alpha counts more, and its squares most: it is what the latents say least of, and a hole is worse than a soft edge.

    Args:
        decoded: per design and region ``[4, h, w]`` of the aligned box: RGB in −1…1, alpha in 0…1.
        wanted: the same, exact.
        layouts: of the designs.
        alpha_weight: what errors of alpha count against those of colour.
    """
    loss = torch.zeros(())
    for full in (True, False):  # merged and background, then foregrounds
        pairs = [
            (found, true)
            for own, exact, regions in zip(decoded, wanted, layouts, strict=True)
            for found, true, region in zip(own, exact, regions.items, strict=True)
            if (region.layer < FIRST_FOREGROUND) == full
        ]
        if pairs:
            found, true = (torch.cat([pair[side].flatten(1) for pair in pairs], 1) for side in range(2))
            color = _penalty(_within(found[:3], true[:3], -1.0, 1.0) - true[:3])
            loss = loss + (color * true[3]).sum() / (3 * true[3].sum().clamp_min(1))
            alpha = _within(found[3], true[3], 0.0, 1.0) - true[3]
            loss = loss + alpha_weight * (alpha.abs() + 10 * alpha.square()).mean()
    wholes = [
        _penalty(composite(found, regions) - composite(true, regions)).mean()
        for found, true, regions in zip(decoded, wanted, layouts, strict=True)
    ]
    return loss + torch.stack(wholes).mean()


def composite(pictures: Sequence[Tensor], regions: Regions) -> Tensor:
    """The foregrounds over the background, ``[3, height, width]`` of the canvas in −1…1."""
    whole = _on_canvas(pictures[1][:3], regions, 1)
    for index in range(FIRST_FOREGROUND, len(pictures)):
        alpha = pictures[index][3:].clamp(0, 1)
        whole = whole * (1 - _on_canvas(alpha, regions, index)) + _on_canvas(
            alpha * pictures[index][:3], regions, index
        )
    return whole


def exact_pictures(example: Example) -> list[Tensor]:
    """Per region the true ``[4, h, w]`` of its aligned box: RGB in −1…1, alpha in 0…1, nothing beside the exact box."""
    pictures = []
    for picture, region in zip(example.pictures, example.regions.items, strict=True):
        inner = region.inner()
        pixels = picture.float() / 255
        pixels[:3] = pixels[:3] * 2 - 1
        around = (inner.x0, region.aligned.width - inner.x1, inner.y0, region.aligned.height - inner.y1)
        pictures.append(F.pad(pixels, around))
    return pictures


def train(steps: int, scope: Scope) -> None:
    torch.manual_seed(73)
    decoder = TransparentDecoder(DecoderConfig(scope=scope))
    average = TransparentDecoder(decoder.config).requires_grad_(False)
    folder = _folder(scope)
    matrices = [p for name, p in decoder.named_parameters() if p.ndim == 2 and name.startswith("blocks.")]
    others = [p for p in decoder.parameters() if not any(p is matrix for matrix in matrices)]
    optimizers = [
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    ]
    examples = [example for path in parts() for example in read_examples(path)]
    trained, held_out = examples[:-HELD_OUT], examples[-HELD_OUT:]
    step, spent = 0, 0.0
    if (folder / NAME).exists():
        step, spent = load_state(folder, decoder, average, optimizers)
    else:
        average.load_state_dict(decoder.state_dict())
    begun = saved = time.time()
    losses: list[float] = []
    for batch in itertools.islice(_batches(trained, step), max(0, steps - step)):
        rate = min(1.0, (step + 1) / WARMUP_STEPS) * max(0.01, 0.5 * (1 + math.cos(math.pi * step / steps)))
        for optimizer, peak in zip(optimizers, (RATE, MUON_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
        rng = np.random.default_rng([74, step])
        samples = [_seen(each, _spread(each.regions, rng)) for each in batch]
        with torch.autocast("cpu", torch.bfloat16):
            decoded = decoder.packed(samples)
        wanted, layouts = [exact_pictures(each) for each in batch], [each.regions for each in batch]
        loss = decoder_loss(decoded, wanted, layouts, ALPHA[step >= LATER])
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        with torch.no_grad():
            keep = min(0.995, step / (step + 10))
            torch._foreach_lerp_(list(average.parameters()), list(decoder.parameters()), 1 - keep)
        now = spent + time.time() - begun
        if step % 250 == 0:
            mean = sum(losses) / len(losses)
            print(f"step {step} {now:.0f} s loss {mean:.4f} {_report(average, held_out)}", flush=True)
            losses.clear()
        if time.time() - saved > 60:
            save_state(folder, decoder, average, optimizers, step, now)
            saved = time.time()
    save_state(folder, decoder, average, optimizers, step, spent + time.time() - begun)
    print(f"step {step} {_report(average, held_out)}", flush=True)


def is_trained(scope: Scope) -> bool:
    """Whether an arm's state is at hand."""
    return (_folder(scope) / NAME).exists()


def load_trained(scope: Scope) -> TransparentDecoder:
    """The averaged weights of an arm."""
    decoder = TransparentDecoder(DecoderConfig(scope=scope))
    load_average_state(_folder(scope), decoder)
    return decoder.eval().requires_grad_(False)


def _batches(examples: Sequence[Example], step: int) -> Iterator[list[Example]]:
    """Endless batches from `step` on; each round in its own order."""
    per_round = len(examples) // BATCH
    while True:
        order = np.random.default_rng([75, step // per_round]).permutation(len(examples))
        at = step % per_round * BATCH
        yield [examples[index] for index in order[at : at + BATCH]]
        step += 1


def _seen(example: Example, regions: Regions) -> tuple[list[Tensor], list[Tensor], Regions]:
    return [own.float() for own in example.latents], drawn_colors(example), regions


def _spread(regions: Regions, rng: np.random.Generator) -> Regions:
    """The same places, sometimes with gaps between the layers, so that designs of many layers are nothing new."""
    if rng.random() >= _SPREAD_PART:
        return regions
    count = len(regions.items) - FIRST_FOREGROUND
    layers = np.sort(rng.choice(np.arange(FIRST_FOREGROUND, _FARTHEST_LAYER + 1), count, replace=False))
    moved = (replace(r, layer=int(layer)) for r, layer in zip(regions.items[FIRST_FOREGROUND:], layers, strict=True))
    return replace(regions, items=(*regions.items[:FIRST_FOREGROUND], *moved))


def _on_canvas(picture: Tensor, regions: Regions, index: int) -> Tensor:
    """An aligned picture padded and cut to the canvas."""
    box, (width, height) = regions.items[index].aligned, regions.canvas
    return F.pad(picture, (box.x0, width - box.x1, box.y0, height - box.y1))


def _within(found: Tensor, true: Tensor, low: float, high: float) -> Tensor:
    """Where the truth is at an end of the range, overshooting it is no error: it is clipped when pixels are written."""
    found = torch.where((true <= low) & (found < low), low, found)
    return torch.where((true >= high) & (found > high), high, found)


def _penalty(error: Tensor) -> Tensor:
    return error.abs() + error.square()


def _report(decoder: TransparentDecoder, examples: Sequence[Example]) -> str:
    """PSNR over all foregrounds and composites of the examples together."""
    sums = torch.zeros(3, 2, dtype=torch.float64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for example in examples:
            found = decoder(*_seen(example, example.regions))
            true = exact_pictures(example)
            for one, exact in zip(found[FIRST_FOREGROUND:], true[FIRST_FOREGROUND:], strict=True):
                color = (one[:3].clamp(-1, 1) - exact[:3]).square() / 4 * exact[3]
                sums[0] += torch.stack([color.sum().double(), 3 * exact[3].sum().double()])
                alpha = (one[3].clamp(0, 1) - exact[3]).square()
                sums[1] += torch.tensor([float(alpha.sum()), alpha.numel()])
            whole = (composite(found, example.regions) - composite(true, example.regions)).square() / 4
            sums[2] += torch.tensor([float(whole.sum()), whole.numel()])
    rgb, alpha_psnr, whole_psnr = (-10 * torch.log10(sums[:, 0] / sums[:, 1])).tolist()
    return f"rgb {rgb:.2f} alpha {alpha_psnr:.2f} whole {whole_psnr:.2f} dB"


def _folder(scope: Scope) -> Path:
    return CHECKPOINTS / f"art_decoder_{scope}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=17_000)
    parser.add_argument("--scope", choices=["design", "region"], default="design")
    parser.add_argument("--export", action="store_true", help="only write the trained joint decoder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.export:
        save_decoder(load_trained("design"), SHIPPED)
    else:
        train(arguments.steps, arguments.scope)


if __name__ == "__main__":
    main()
