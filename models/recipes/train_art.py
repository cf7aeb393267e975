"""Trains the tiny ART from the tiny FLUX, on the latents of `art_latents.py`.

    python -m models.recipes.train_art --minutes 103

Rectified flow on the tokens of all regions. Most questions hold nothing (text → layers), some hold the merged image or
a part of the layers. The transformer starts from the tiny FLUX's and T5 from its T5, which is trained along; CLIP and
the autoencoder stay as they are. Warm-up, constant, then a decay over the second half of the minutes. The same command
resumes from the newest checkpoint in `models/recipes/checkpoints/art/`; there, too, lie `curve.json` and pictures.
"""

import argparse
import copy
import datetime
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from art_model.autoencoder import decode_regions
from art_model.checkpoint import Art, ArtSettings, load_transformer
from art_model.objective import class_losses
from art_model.packing import TokenSample, pack
from art_model.regions import Regions
from art_model.request import Layout, SampleRequest
from art_model.sampling import sample_batch
from art_model.text import PromptEncoder
from layered.arrays import UInt8Array
from layered.pixels import round_to_uint8
from layered.torchvision_cure import ensure_torchvision
from models import TINY
from models.recipes.art_batches import ALONE, CLASSES, Example, ask, lone_example, random_example
from models.recipes.art_designs import CANVASES, partial_caption
from models.recipes.art_latents import FOLDER as LATENTS
from models.recipes.art_latents import HELD_OUT, LatentDesign, load_vae, parts, read_part
from models.recipes.drawings import CHECKPOINTS
from models.recipes.evaluate_art import picture
from models.recipes.training_state import NAME, load_average_state, load_state, save_state

FOLDER = CHECKPOINTS / "art"
SETTINGS = ArtSettings(
    name="layerprism-tiny-art",
    revision="2",
    licence="Apache-2.0",
    true_cfg=1.4,
    steps=16,
    canvas=CANVASES[0],
    largest_side=max(map(max, CANVASES)),
    text_length=128,
    pad_text=False,
    parts={"vae": "../vae", "text_encoder": "../text_encoder", "tokenizer": "../tokenizer"},
)
BATCHES = ((12, 64), (26, 28))  # designs and parts of designs: first things are learned, then what goes where
SECOND_PART = 0.55  # of the minutes, from where on batches are of the second kind
ADAM_RATE = 1.2e-3
MUON_RATE = 2e-3
CLASS_WEIGHTS = (1.0, 0.5, 2.0, 1.5)  # merged, background, foregrounds, foregrounds alone
WARMUP_STEPS = 150
DECAY_PART = 0.45  # of the minutes
AVERAGING = 0.998
HELD_OUT_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # before the shift


class TextToLayers(nn.Module):
    """The transformer, and the text encoders of which T5 alone is trained."""

    def __init__(self) -> None:
        ensure_torchvision()
        from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

        super().__init__()
        self.transformer = load_transformer(TINY / "transformer").float()
        self.prompts = PromptEncoder(
            AutoTokenizer.from_pretrained(TINY / "tokenizer"),
            CLIPTextModel.from_pretrained(TINY / "text_encoder", dtype=torch.float32).eval().requires_grad_(False),
            AutoTokenizer.from_pretrained(TINY / "tokenizer_2"),
            T5EncoderModel.from_pretrained(TINY / "text_encoder_2", dtype=torch.float32),
            length=SETTINGS.text_length,
            pad=False,
        )

    def velocity(self, regions: Sequence[Regions], noisy: Sequence[Tensor], times: Sequence[Tensor],
                 prompts: Sequence[str]) -> Tensor:  # fmt: skip
        """Predicted noise − data of all samples' tokens, back to back `[tokens of all samples, channels]`."""
        with torch.no_grad():
            pooled = self.prompts.embed_pooled(prompts)
        texts = self.prompts.embed_tokens(prompts)
        samples = [
            TokenSample(tokens=tokens, positions=each.positions(), times=own, text=text, pooled=vector)
            for each, tokens, own, text, vector in zip(regions, noisy, times, texts, pooled, strict=True)
        ]
        velocity: Tensor = self.transformer(pack(samples))
        return velocity


def losses(model: TextToLayers, examples: Sequence[Example]) -> Tensor:
    """Mean squared error of the velocity per class of `CLASSES`, means over those samples that ask
    for the class; NaN for a class that none asks for."""
    with torch.autocast("cpu", torch.bfloat16):
        predicted = model.velocity(
            [each.regions for each in examples],
            [each.noisy for each in examples],
            [each.times for each in examples],
            [each.prompt for each in examples],
        )
    of_samples = class_losses(predicted, examples, len(CLASSES))
    return torch.stack([column[~column.isnan()].mean() for column in of_samples.T])


def held_out_losses(model: TextToLayers, designs: Sequence[LatentDesign]) -> list[list[float]]:
    """Per time of `HELD_OUT_TIMES` the losses of merged, background and foregrounds, text → all.

    Noise and captions are always the same.
    """
    rows = []
    with torch.inference_mode():
        for moment in HELD_OUT_TIMES:
            rng = np.random.default_rng(64)
            examples = [
                ask(
                    design,
                    moment,
                    [False] * (2 + len(design.boxes)),
                    partial_caption(design.contents, rng).text,
                    torch.from_numpy(rng.standard_normal(design.tokens.shape, dtype=np.float32)),
                )
                for design in designs
            ]
            parts = [losses(model, examples[start : start + 16]) for start in range(0, len(examples), 16)]
            rows.append([round(value, 5) for value in torch.stack(parts).mean(0)[:ALONE].tolist()])
    return rows


class Preview:
    """Regions as the RGB autoencoder shows them, opaque on gray, while there is no transparent decoder yet."""

    def decode(self, vae: Any, latents: Sequence[Tensor], regions: Regions) -> list[UInt8Array]:
        """Pictures `[height, width, 4]` of the regions' exact boxes."""
        pictures = []
        for image, region in zip(decode_regions(vae, latents), regions.items, strict=True):
            opaque = torch.cat([image, torch.ones_like(image[:1])])
            values = np.asarray((opaque.permute(1, 2, 0) + 1) / 2, np.float32)
            pictures.append(round_to_uint8(values)[region.inner().pixels()])
        return pictures


def write_grid(model: TextToLayers, designs: Sequence[LatentDesign], path: Path) -> None:
    """A row for each design's layout and a caption of it: merged, recomposed, background and layers."""
    rng, vae = np.random.default_rng(65), load_vae()
    preview: Any = Preview()
    requests = [
        SampleRequest(partial_caption(design.contents, rng).text, Layout(design.canvas, design.boxes), sample_id=str(i))
        for i, design in enumerate(designs)
    ]
    images = sample_batch(Art(model.transformer, model.prompts, vae, preview, SETTINGS), requests)
    Image.fromarray(picture(images)).save(path)


def train(minutes: float, folder: Path, designs_at_most: int | None = None) -> None:
    torch.manual_seed(67)
    model = TextToLayers()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    matrices, others = _split_parameters(model)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    ]
    step, spent = 0, 0.0
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / NAME).exists():
        step, spent = load_state(folder, model, average, optimizers)
        print(f"resumed at step {step} after {spent:.0f} s", flush=True)
    held_out = read_part(LATENTS / HELD_OUT)[:64]
    designs: list[LatentDesign] = []
    read: set[Path] = set()
    rng = np.random.default_rng([68, step])
    weights = torch.tensor(CLASS_WEIGHTS)
    recent: list[Tensor] = []
    begun = saved = drawn = time.time()
    first = step
    while (now := spent + time.time() - begun) < minutes * 60:
        if step % 100 == 0 or not designs:
            for path in [each for each in parts() if each not in read]:
                designs += read_part(path)
                read.add(path)
            designs = designs[:designs_at_most]
        left = 1 - now / (minutes * 60)
        rate = min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, left / DECAY_PART)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("peak", group["lr"]) * rate
        whole, lone = BATCHES[left < 1 - SECOND_PART]
        chosen = rng.integers(len(designs), size=whole + lone)
        examples = [random_example(designs[index], rng) for index in chosen[:whole]]
        examples += [lone_example(designs[index], rng) for index in chosen[whole:]]
        found = losses(model, examples)
        loss = (found.nan_to_num() * weights).sum()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(AVERAGING, (step + 1) / (step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step += 1
        recent.append(found.detach())
        if step % 100 == 0:
            means = torch.stack(recent[-100:]).nanmean(0).tolist()
            print(
                f"{datetime.datetime.now():%H:%M:%S} step {step} of {len(designs)} designs, loss merged {means[0]:.4f} "
                f"background {means[1]:.4f} foreground {means[2]:.4f} alone {means[3]:.4f} rate {rate:.3f} "
                f"{(step - first) / (time.time() - begun):.2f} steps/s",
                flush=True,
            )
        if step % 250 == 0:
            _note(folder, step, held_out_losses(average, held_out), torch.stack(recent[-100:]).nanmean(0).tolist())
        if time.time() - saved > 180:
            save_state(folder, model, average, optimizers, step, spent + time.time() - begun)
            saved = time.time()
        if time.time() - drawn > 900:
            write_grid(average, held_out[:10], folder / f"grid_{step:06d}.png")
            drawn = time.time()
    save_state(folder, model, average, optimizers, step, spent + time.time() - begun)
    _note(folder, step, held_out_losses(average, held_out), torch.stack(recent[-100:]).nanmean(0).tolist())
    write_grid(average, held_out[:10], folder / "grid_final.png")


def _note(folder: Path, step: int, held_out: list[list[float]], training: list[float]) -> None:
    """One more point of the curve."""
    path = folder / "curve.json"
    points: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    points.append({"step": step, "held_out": held_out, "training": training})
    path.write_text(json.dumps(points) + "\n", "utf-8")
    means = np.array(held_out).mean(0)
    print(f"held out: merged {means[0]:.4f} background {means[1]:.4f} foreground {means[2]:.4f}", flush=True)


def _split_parameters(model: TextToLayers) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden weight matrices of the transformer's blocks, and everything else that is trained."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            hidden = "transformer_blocks" in name and ".norm" not in name and parameter.ndim == 2
            (matrices if hidden else others).append(parameter)
    return matrices, others


def load_average(folder: Path = FOLDER) -> TextToLayers:
    """The averaged weights of the newest checkpoint."""
    model = TextToLayers()
    load_average_state(folder, model)
    return model.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=103, help="of training in all, earlier starts counted in")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--designs", type=int, help="learn only so many designs, to see whether it can")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.minutes, arguments.folder, arguments.designs)


if __name__ == "__main__":
    main()
