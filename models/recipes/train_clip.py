"""Trains the filters' CLIP and writes `models/layerprism-tiny/clip`, a folder in open_clip's own form.

    python -m models.recipes.train_clip --minutes 42

Layers are ranked against the captions of all labels; whole designs against the other captions of the batch,
against their own captions with one thing exchanged, and against the captions of all labels, of which several are
right. The same command resumes until the minutes are spent.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from layered.arrays import UInt8Array
from layered.torchvision_cure import ensure_torchvision
from models.clip import Clip, load_clip
from models.recipes.captions import layer_phrase, reworded
from models.recipes.cards import number_table, write_section
from models.recipes.degrade import drawn_layers
from models.recipes.designs import draw_design
from models.recipes.drawings import CHECKPOINTS, DRAWINGS
from models.recipes.sprites import on_gray, place
from models.recipes.word_tokenizers import clip_tokenizer
from models.vocabulary import Vocabulary, load_vocabulary

FOLDER = Path(__file__).resolve().parents[1] / "layerprism-tiny" / "clip"
PATH = CHECKPOINTS / "clip.safetensors"
SIDE = 96
CONTEXT_LENGTH = 64
BATCHES = ((96, 16), (48, 56))  # layers and designs: in the first half of the time, in the second
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


def designs() -> tuple[UInt8Array, list[tuple[str, str]], Tensor]:
    """Squashed designs uint8 [n, 96, 96, 3]; for each its true caption and one with a thing exchanged; and which labels
    it shows, float [n, labels], each row with the sum 1."""
    pictures, captions = DRAWINGS / "clip_designs.npy", DRAWINGS / "clip_captions.json"
    shown = DRAWINGS / "clip_labels.npy"
    if not shown.exists():
        rng = np.random.default_rng(40)
        drawn = [draw_design(ASPECTS[i % len(ASPECTS)], rng) for i in range(DESIGNS)]
        squashed = [Image.fromarray(d.rgb).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for d in drawn]
        np.save(pictures, np.stack([np.asarray(picture) for picture in squashed]))
        captions.write_text(json.dumps([(d.caption, d.swapped) for d in drawn]))
        numbers = {label: number for number, label in enumerate(load_vocabulary().labels)}
        present = np.zeros((DESIGNS, len(numbers)), np.float32)
        for row, design in zip(present, drawn, strict=True):
            row[[numbers[label] for label in set(design.labels)]] = 1 / len(set(design.labels))
        np.save(shown, present)
    pairs = [(true, swapped) for true, swapped in json.loads(captions.read_text())]
    return np.load(pictures, mmap_mode="r"), pairs, torch.from_numpy(np.load(shown))


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
    pictures, pairs, shown = designs()
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
        layer_batch, design_batch = BATCHES[int(progress >= 0.5)]
        concepts = len(vocabulary.concepts)
        is_shape = torch.rand(layer_batch, generator=rng) < 0.25
        labels = torch.where(
            is_shape,
            torch.randint(concepts, len(vocabulary.labels), (layer_batch,), generator=rng),
            torch.randint(0, concepts, (layer_batch,), generator=rng),
        )
        styles = torch.randint(0, len(vocabulary.styles), (layer_batch,), generator=rng)
        plain = torch.rand(layer_batch, generator=rng) < 0.4
        plain |= is_shape & (styles == vocabulary.styles.index("sketch"))
        styles = torch.where(plain, 0, styles)
        layers = drawn_layers(labels, styles, SIDE, (0.55, 1.0), rng, mirror=True)
        rows = np.sort(numpy_rng.choice(len(pictures), design_batch, replace=False))
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
        ranked = scale * seen[:layer_batch] @ of_labels.T
        ranked_wholes = scale * seen[layer_batch:] @ of_wholes.T
        true, swapped = ranked_wholes[:, :design_batch].diag(), ranked_wholes[:, design_batch:].diag()
        order = torch.arange(design_batch)
        loss = (
            F.cross_entropy(ranked, labels, label_smoothing=0.05)
            + 0.5 * F.cross_entropy(ranked_wholes, order)
            + 0.5 * F.cross_entropy(ranked_wholes[:, :design_batch].T, order)
            + F.cross_entropy(scale * seen[layer_batch:] @ of_labels.T, shown[rows])
            + F.softplus(swapped - true).mean()
        )
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        kept.append(
            (
                (ranked.argmax(1) == labels).float().mean().item(),
                (true > swapped).float().mean().item(),
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
    facts: dict[str, Any] = {
        "revision": "1",
        "licence": "Apache-2.0",
        "context_length": CONTEXT_LENGTH,
        "logit_scale": round(float(model.logit_scale.exp()), 3),
        "layer_background": [128, 128, 128],
        "validity": validity(load_clip(FOLDER)),
    }
    (FOLDER / "layerprism.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(json.dumps(facts["validity"]))
    words = {
        "top1_concepts": "layers of concepts: own caption first of all labels' captions, all styles",
        "top1_concepts_default_style": "the same, default style",
        "top1_pairs": "layers of colour-shape pairs: own caption first, all styles but sketch",
        "layer_swaps": "layers of concepts: own caption before that of another concept",
        **{f"wording_{n}": f"“{t}”" for n, t in enumerate(load_vocabulary().templates.layer)},
        "whole_swaps": "whole designs: true caption before the same with one thing exchanged",
    }
    write_section(FOLDER.parent / "README.md", "clip", number_table(facts["validity"], words))


def validity(clip: Clip) -> dict[str, float]:
    """How far the exported CLIP can be trusted, on pictures it never saw.

    `top1_concepts`, `top1_pairs`: layers of sprites rendered anew, half of them softened, against the plain captions
    of all labels. `wording_<n>`: concepts in the default style against captions in the n-th template. `layer_swaps`:
    the true caption beats that of another concept. `whole_swaps`: a design's true caption beats the same with one
    thing exchanged.
    """
    vocabulary = load_vocabulary()
    rng = np.random.default_rng(49)
    pictures, wanted, styles = [], [], []
    for index, label in enumerate(vocabulary.labels):
        for style in vocabulary.styles:
            if label not in vocabulary.concepts and style == "sketch":
                continue  # a sketch has no colour
            layer = place(label, style, float(rng.uniform(0.7, 0.9)), (0.02, -0.02), 96)
            if rng.random() < 0.5:
                layer = layer.convert("RGBa").filter(ImageFilter.GaussianBlur(1.2)).convert("RGBA")
            pictures.append(on_gray(layer))
            wanted.append(index)
            styles.append(style)
    target, plain = torch.tensor(wanted), torch.tensor([style == vocabulary.default_style for style in styles])
    concept = target < len(vocabulary.concepts)
    seen = _embedded(clip, pictures)
    captions = [vocabulary.label_caption(label) for label in vocabulary.labels]
    scores = seen @ _read(clip, captions).T
    right = scores.argmax(1) == target
    other = (target + torch.randint(1, len(vocabulary.concepts), target.shape)) % len(vocabulary.concepts)
    rows = torch.arange(len(target))
    facts = {
        "top1_concepts": right[concept].float().mean().item(),
        "top1_concepts_default_style": right[concept & plain].float().mean().item(),
        "top1_pairs": right[~concept].float().mean().item(),
        "layer_swaps": (scores[rows, target] > scores[rows, other])[concept].float().mean().item(),
    }
    for number, template in enumerate(vocabulary.templates.layer):
        worded = [template.format(caption=caption, name=caption.split(" ", 1)[1]) for caption in captions]
        best = (seen[concept & plain] @ _read(clip, worded).T).argmax(1)
        facts[f"wording_{number}"] = (best == target[concept & plain]).float().mean().item()
    held_out = [draw_design(ASPECTS[i % len(ASPECTS)], np.random.default_rng([48, i])) for i in range(300)]
    wholes = _embedded(clip, [design.rgb for design in held_out])
    true = (wholes * _read(clip, [design.caption for design in held_out])).sum(1)
    swapped = (wholes * _read(clip, [design.swapped for design in held_out])).sum(1)
    facts["whole_swaps"] = (true > swapped).float().mean().item()
    return {name: round(value, 4) for name, value in facts.items()}


def _embedded(clip: Clip, pictures: list[UInt8Array]) -> Tensor:
    with torch.inference_mode():
        batches = torch.split(torch.stack([clip.preprocess(picture) for picture in pictures]), 64)
        return torch.cat([clip.model.encode_image(batch, normalize=True) for batch in batches])


def _read(clip: Clip, captions: list[str]) -> Tensor:
    with torch.inference_mode():
        return torch.cat(
            [
                clip.model.encode_text(clip.tokenize(captions[i : i + 64]), normalize=True)
                for i in range(0, len(captions), 64)
            ]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=42)
    torch.set_num_threads(1)
    train(parser.parse_args().minutes)


if __name__ == "__main__":
    main()
