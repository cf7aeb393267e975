"""Trains the judge and writes `models/layerprism-judge` with its own validity.

python -m models.recipes.train_judge --minutes 9
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ImageFilter
from safetensors.torch import load_file, save_file

from evaluation.judge import Judge, build_network
from models.recipes.cards import number_table, write_section
from models.recipes.degrade import drawn_layers
from models.recipes.drawings import CHECKPOINTS
from models.recipes.sprites import place
from models.vocabulary import load_vocabulary

FOLDER = Path(__file__).resolve().parents[1] / "layerprism-judge"
PATH = CHECKPOINTS / "judge.safetensors"
CHANNELS = (40, 80, 144, 256)
DEPTHS = (1, 1, 1, 1)
BATCH = 96
RATE = 3e-3
SMOOTHING = 0.05


def train(minutes: float) -> Any:
    torch.manual_seed(50)
    vocabulary = load_vocabulary()
    classes, concepts, styles = len(vocabulary.labels), len(vocabulary.concepts), len(vocabulary.styles)
    network = build_network(classes, CHANNELS, DEPTHS).to(memory_format=torch.channels_last)
    spent, step = 0.0, 0
    if PATH.exists():
        state = load_file(PATH)
        spent, step = state.pop("recipe.spent").item(), int(state.pop("recipe.step").item())
        network.load_state_dict(state)
    rng = torch.Generator().manual_seed(51 + step)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02, fused=True)
    begun = saved = time.time()
    right: list[float] = []
    while (now := spent + time.time() - begun) < minutes * 60:
        progress = now / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200) * max(0.005, 0.5 * (1 + math.cos(math.pi * progress)))
        is_shape = torch.rand(BATCH, generator=rng) < 0.25
        labels = torch.where(
            is_shape,
            torch.randint(concepts, classes, (BATCH,), generator=rng),
            torch.randint(0, concepts, (BATCH,), generator=rng),
        )
        # A colour cannot be read from a sketch: shapes in that style teach only confusion.
        style = torch.randint(0, styles, (BATCH,), generator=rng)
        colorless = is_shape & (style == vocabulary.styles.index("sketch"))
        style = torch.where(colorless | (torch.rand(BATCH, generator=rng) < 0.25), 0, style)
        images = drawn_layers(labels, style, 64, (0.84, 1.0), rng) * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(images.contiguous(memory_format=torch.channels_last)).float()
        loss = torch.nn.functional.cross_entropy(scores, labels, label_smoothing=SMOOTHING)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        right.append((scores.argmax(1) == labels).float().mean().item())
        step += 1
        if step % 100 == 0:
            print(f"step {step} {now:.0f} s loss {loss.item():.3f} right {np.mean(right[-100:]):.3f}", flush=True)
        if time.time() - saved > 60:
            _save(network, now, step)
            saved = time.time()
    _save(network, minutes * 60, step)
    return network.eval().requires_grad_(False)


def _save(network: Any, spent: float, step: int) -> None:
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    state |= {"recipe.spent": torch.tensor(spent, dtype=torch.float64), "recipe.step": torch.tensor(step)}
    save_file(state, PATH.with_suffix(".tmp"))
    PATH.with_suffix(".tmp").replace(PATH)


def validity(judge: Judge, variants: int = 3) -> dict[str, float]:
    """How far the judge can be trusted, on sprites rendered anew at sizes and places it never saw, half of
    them softened.

    `top1_concepts` and `top1_pairs` over all styles (colour-shape pairs without `sketch`, which has no
    colour); `swaps`: how often the true label beats the label of another concept chosen at random, as when one
    concept of a design was exchanged.
    """
    vocabulary = load_vocabulary()
    rng = np.random.default_rng(59)
    layers, labels, styles = [], [], []
    for label in judge.labels:
        for style in vocabulary.styles:
            if label not in vocabulary.concepts and style == "sketch":
                continue
            for variant in range(variants if label in vocabulary.concepts else 1):
                side = int(rng.choice([64, 128]))
                shift = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.1)))
                layer = place(label, style, float(rng.uniform(0.45, 0.78)), shift, side)
                if variant % 2:
                    soft = layer.convert("RGBa").filter(ImageFilter.GaussianBlur(side / 64 * 0.8))
                    layer = soft.convert("RGBA")
                layers.append(np.asarray(layer))
                labels.append(judge.index(label))
                styles.append(style)
    scores = judge.log_probabilities(layers)
    wanted, best = np.array(labels), scores.argmax(1)
    is_concept = wanted < len(vocabulary.concepts)
    other = (wanted + rng.integers(1, len(vocabulary.concepts), len(wanted))) % len(vocabulary.concepts)
    rows = np.arange(len(wanted))
    beats = scores[rows, wanted] > scores[rows, other]
    facts = {
        "top1_concepts": float((best == wanted)[is_concept].mean()),
        "top1_pairs": float((best == wanted)[~is_concept].mean()),
        "swaps": float(beats[is_concept].mean()),
    }
    for style in vocabulary.styles:
        chosen = is_concept & (np.array(styles) == style)
        facts[f"top1_{style}"] = float((best == wanted)[chosen].mean())
    wrong = [(judge.labels[w], s, judge.labels[b]) for w, s, b in zip(wanted, styles, best, strict=True) if w != b]
    print(f"{len(wrong)} of {len(wanted)} wrong, such as {wrong[:12]}")
    return {name: round(value, 4) for name, value in facts.items()}


def export(network: Any) -> None:
    FOLDER.mkdir(exist_ok=True)
    labels = load_vocabulary().labels
    stored = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(stored, FOLDER / "model.safetensors")
    halved = build_network(len(labels), CHANNELS, DEPTHS)
    halved.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in stored.items()})
    facts = validity(Judge(halved.eval().requires_grad_(False), labels, {}))
    description = {
        "architecture": "ResNet of basic blocks",
        "channels": CHANNELS,
        "depths": DEPTHS,
        "side": 64,
        "background": [128, 128, 128],
        "revision": "1",
        "licence": "Apache-2.0",
        "validity": facts,
        "labels": labels,
    }
    (FOLDER / "judge.json").write_text(json.dumps(description, indent=1) + "\n", "utf-8")
    print(json.dumps(facts))
    words = {
        "top1_concepts": "right concept of all labels, all styles",
        "top1_pairs": "right colour and shape, all styles but sketch",
        "swaps": "true label before that of another concept",
        **{f"top1_{style}": f"right concept, {style} style" for style in load_vocabulary().styles},
    }
    write_section(FOLDER / "README.md", "judge", number_table(facts, words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9)
    torch.set_num_threads(1)
    export(train(parser.parse_args().minutes))


if __name__ == "__main__":
    main()
