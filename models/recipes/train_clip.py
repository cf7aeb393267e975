"""Trains the filters' CLIP and writes `models/layerprism-tiny/clip`, a folder in open_clip's own form.

    python -m models.recipes.train_clip --minutes 14

Layers are ranked against the captions of all labels; whole designs against the other captions of the batch and
against their own captions with one thing exchanged. The same command resumes until the minutes are spent.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from layered.arrays import UInt8Array
from layered.torchvision_cure import ensure_torchvision
from models.recipes.captions import layer_phrase, reworded
from models.recipes.degrade import drawn_layers
from models.recipes.designs import draw_design
from models.recipes.drawings import DRAWINGS, WORK
from models.recipes.word_tokenizers import clip_tokenizer
from models.vocabulary import Vocabulary, load_vocabulary

FOLDER = Path(__file__).resolve().parents[1] / "layerprism-tiny" / "clip"
PATH = WORK / "clip.safetensors"
SIDE = 96
CONTEXT_LENGTH = 64
LAYER_BATCH = 64
DESIGN_BATCH = 48
DESIGNS = 7000
ASPECTS = ((128, 128), (160, 100), (100, 160), (150, 112), (112, 150), (176, 99))  # designs are squashed to a square
RATE = 2e-3


def model_config(vocabulary_size: int, end_token: int) -> dict[str, Any]:
    """open_clip's description of the model (`open_clip_config.json`)."""
    return {
        "model_cfg": {
            "embed_dim": 192,
            "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 24, "head_width": 64},
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": vocabulary_size,
                "hf_tokenizer_name": "layerprism-tiny",  # in this very folder
                "width": 128,
                "heads": 2,
                "layers": 2,
                "pool_type": "eos",
                "eos_id": end_token,
            },
        },
        "preprocess_cfg": {
            "size": SIDE,
            "mode": "RGB",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def build_clip() -> tuple[Any, Any]:
    """The untrained model and its tokenizer."""
    ensure_torchvision()
    from open_clip import CLIP

    tokenizer = clip_tokenizer()
    tokenizer.model_max_length = CONTEXT_LENGTH
    config = model_config(len(tokenizer), tokenizer.eos_token_id)["model_cfg"]
    return CLIP(**config), tokenizer


def designs() -> tuple[UInt8Array, list[tuple[str, str]]]:
    """Squashed designs uint8 [n, 96, 96, 3] and for each its true caption and one with a thing exchanged."""
    pictures, captions = DRAWINGS / "clip_designs.npy", DRAWINGS / "clip_captions.json"
    if not captions.exists():
        rng = np.random.default_rng(40)
        drawn = [draw_design(ASPECTS[i % len(ASPECTS)], rng) for i in range(DESIGNS)]
        squashed = [Image.fromarray(d.rgb).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for d in drawn]
        np.save(pictures, np.stack([np.asarray(picture) for picture in squashed]))
        captions.write_text(json.dumps([(d.caption, d.swapped) for d in drawn]))
    pairs = [(true, swapped) for true, swapped in json.loads(captions.read_text())]
    return np.load(pictures, mmap_mode="r"), pairs


def label_captions(vocabulary: Vocabulary, rng: np.random.Generator) -> list[str]:
    """One wording for every label; one in four names a style or asks for a plain background too."""
    captions = []
    for label in vocabulary.labels:
        caption = reworded(layer_phrase(label, rng), vocabulary.templates.layer, rng)
        if rng.random() < 0.25:
            caption += f", {rng.choice(vocabulary.styles)} style"
        if rng.random() < 0.1:
            caption += f", {rng.choice(vocabulary.suffixes)}"
        captions.append(caption)
    return captions


def tokens_of(tokenizer: Any, captions: list[str]) -> Tensor:
    """[n, length of the longest]; the model takes any length up to its context."""
    tokens: Tensor = tokenizer(
        captions, padding="longest", truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt"
    ).input_ids
    return tokens


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """open_clip's text tower for tokens shorter than its context [n, length]: the same vectors, a fraction of
    the time."""
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    last = (tokens == model.text_eos_id).int().argmax(1)
    return F.normalize(hidden[torch.arange(len(tokens)), last] @ model.text_projection, dim=-1)


def softened(images: Tensor, rng: torch.Generator) -> Tensor:
    """Designs as drawings of a model would show them: a little soft, brighter or darker, noisy; [n, 3, side, side]."""
    low = int(torch.randint(SIDE // 2, SIDE, (), generator=rng))
    soft = F.interpolate(F.interpolate(images, size=(low, low), mode="area"), size=(SIDE, SIDE), mode="bilinear")
    count = len(images)
    part = (torch.rand(count, 1, 1, 1, generator=rng) * 1.4 - 0.4).clamp_min(0)
    gain = 0.9 + 0.2 * torch.rand(count, 1, 1, 1, generator=rng)
    noise = 0.03 * torch.rand(count, 1, 1, 1, generator=rng) * torch.randn(images.shape, generator=rng)
    return ((torch.lerp(images, soft, part) - 0.5) * gain + 0.5 + noise).clamp(0, 1)


def train(minutes: float) -> None:
    torch.manual_seed(41)
    vocabulary = load_vocabulary()
    model, tokenizer = build_clip()
    model.visual.to(memory_format=torch.channels_last)
    pictures, pairs = designs()
    spent, step = 0.0, 0
    if PATH.exists():
        state = load_file(PATH)
        spent, step = state.pop("recipe.spent").item(), int(state.pop("recipe.step").item())
        model.load_state_dict(state)
    rng, numpy_rng = torch.Generator().manual_seed(42 + step), np.random.default_rng(43 + step)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip
    begun = saved = time.time()
    kept: list[tuple[float, float]] = []
    while (now := spent + time.time() - begun) < minutes * 60:
        progress = now / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200) * max(0.005, 0.5 * (1 + math.cos(math.pi * progress)))
        concepts = len(vocabulary.concepts)
        is_shape = torch.rand(LAYER_BATCH, generator=rng) < 0.25
        labels = torch.where(
            is_shape,
            torch.randint(concepts, len(vocabulary.labels), (LAYER_BATCH,), generator=rng),
            torch.randint(0, concepts, (LAYER_BATCH,), generator=rng),
        )
        styles = torch.randint(0, len(vocabulary.styles), (LAYER_BATCH,), generator=rng)
        plain = torch.rand(LAYER_BATCH, generator=rng) < 0.4
        plain |= is_shape & (styles == vocabulary.styles.index("sketch"))
        styles = torch.where(plain, 0, styles)
        layers = drawn_layers(labels, styles, SIDE, (0.55, 1.0), rng, mirror=True)
        rows = np.sort(numpy_rng.choice(len(pictures), DESIGN_BATCH, replace=False))
        wholes = torch.from_numpy(pictures[rows]).permute(0, 3, 1, 2).float() / 255
        if numpy_rng.random() < 0.5:
            wholes = wholes.flip(3)
        images = torch.cat([layers, softened(wholes, rng)]) * 2 - 1
        label_tokens = tokens_of(tokenizer, label_captions(vocabulary, numpy_rng))
        whole_tokens = tokens_of(tokenizer, [pairs[r][0] for r in rows] + [pairs[r][1] for r in rows])
        with torch.autocast("cpu", torch.bfloat16):
            seen = model.encode_image(images.contiguous(memory_format=torch.channels_last), normalize=True).float()
            of_labels = encode_text(model, label_tokens).float()
            of_wholes = encode_text(model, whole_tokens).float()
        scale = model.logit_scale.exp().clamp(max=100)
        ranked = scale * seen[:LAYER_BATCH] @ of_labels.T
        ranked_wholes = scale * seen[LAYER_BATCH:] @ of_wholes.T
        order = torch.arange(DESIGN_BATCH)
        loss = (
            F.cross_entropy(ranked, labels, label_smoothing=0.05)
            + 0.5 * F.cross_entropy(ranked_wholes, order)
            + 0.5 * F.cross_entropy(ranked_wholes[:, :DESIGN_BATCH].T, order)
        )
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        kept.append(
            (
                (ranked.argmax(1) == labels).float().mean().item(),
                (ranked_wholes.argmax(1) == order).float().mean().item(),
            )
        )
        step += 1
        if step % 50 == 0:
            right = np.mean(kept[-50:], axis=0)
            print(
                f"step {step} {now:.0f} s loss {loss.item():.3f} layers {right[0]:.3f} wholes {right[1]:.3f}",
                flush=True,
            )
        if time.time() - saved > 60:
            _save(model, now, step)
            saved = time.time()
    _save(model, minutes * 60, step)
    export(model, tokenizer)


def _save(model: Any, spent: float, step: int) -> None:
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    state |= {"recipe.spent": torch.tensor(spent, dtype=torch.float64), "recipe.step": torch.tensor(step)}
    save_file(state, PATH.with_suffix(".tmp"))
    PATH.with_suffix(".tmp").replace(PATH)


def export(model: Any, tokenizer: Any) -> None:
    """The open_clip folder: configuration, weights in half precision, tokenizer, and what a caller should know."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(state, FOLDER / "open_clip_model.safetensors")
    config = model_config(len(tokenizer), tokenizer.eos_token_id)
    (FOLDER / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    tokenizer.save_pretrained(FOLDER)
    facts = {
        "revision": "1",
        "licence": "Apache-2.0",
        "context_length": CONTEXT_LENGTH,
        "logit_scale": round(float(model.logit_scale.exp()), 3),
        "layer_background": [128, 128, 128],
    }
    (FOLDER / "layerprism.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=14)
    torch.set_num_threads(1)
    train(parser.parse_args().minutes)


if __name__ == "__main__":
    main()
