"""Trains the tiny FLUX (transformer and both text encoders) on the linear latents of `latent_pca.py`.

    python -m models.recipes.train_flux --minutes 77

Rectified flow with logit-normal times; warm-up, constant, then a decay over the last quarter of the
minutes. The same command resumes from the newest checkpoint in `models/recipes/checkpoints/flux/`.
"""

import argparse
import copy
import datetime
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layered.arrays import UInt8Array
from layered.torchvision_cure import ensure_torchvision
from models.recipes.captions import base_prompt, layer_prompt
from models.recipes.drawings import BASE_SIZES, CHECKPOINTS, load_layers, load_scenes
from models.recipes.latent_pca import LatentPca
from models.recipes.training_state import NAME, load_average_state, load_state, save_state
from models.recipes.word_tokenizers import MAX_TOKENS, clip_tokenizer, t5_tokenizer
from models.vocabulary import load_vocabulary

FOLDER = CHECKPOINTS / "flux"
PCA_PATH = CHECKPOINTS / "latent_pca.safetensors"
BATCH = 96
SCENE_PART = 0.18  # of all batches
SHAPE_PART = 0.14  # of the layers
DEFAULT_STYLE_PART = 0.5
CAPTION_DROPOUT = 0.1
PEAK_RATE = 1.2e-3
MUON_RATE = 2e-3
WARMUP_STEPS = 300
DECAY_PART = 0.25  # of the minutes


class TextToLatent(nn.Module):
    """The three trained parts, named as in a FluxPipeline."""

    def __init__(self) -> None:
        ensure_torchvision()
        from diffusers import FluxTransformer2DModel
        from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

        super().__init__()
        self.t5 = t5_tokenizer()
        self.clip = clip_tokenizer()
        self.transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=2,
            num_single_layers=4,
            attention_head_dim=64,
            num_attention_heads=3,
            joint_attention_dim=128,
            pooled_projection_dim=128,
            guidance_embeds=False,
            axes_dims_rope=(8, 28, 28),
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(self.clip),
                hidden_size=128,
                intermediate_size=256,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=MAX_TOKENS,
                projection_dim=128,
                bos_token_id=self.clip.bos_token_id,
                eos_token_id=self.clip.eos_token_id,
                pad_token_id=self.clip.pad_token_id,
            )
        )
        self.text_encoder_2 = T5EncoderModel(
            T5Config(
                vocab_size=len(self.t5),
                d_model=128,
                d_kv=64,
                d_ff=256,
                num_layers=2,
                num_heads=2,
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                pad_token_id=0,
                eos_token_id=1,
            )
        )
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        """Zero-initialised AdaLN and output (DiT, section 3.2): every block starts as the identity."""
        for name, module in self.transformer.named_modules():
            if isinstance(module, nn.Linear) and (".norm" in name or "norm_out" in name or name == "proj_out"):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def tokenize(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Token numbers [n, 20] for the CLIP and the T5 encoder, padded as FluxPipeline pads them."""
        options: dict[str, Any] = {
            "padding": "max_length",
            "max_length": MAX_TOKENS,
            "truncation": True,
            "return_tensors": "pt",
        }
        return self.clip(prompts, **options).input_ids, self.t5(prompts, **options).input_ids

    def velocity(self, noisy: Tensor, times: Tensor, clip_ids: Tensor, t5_ids: Tensor) -> Tensor:
        """Predicted noise − data for latents [n, 16, height, width] at times [n] in 0 (data) … 1 (noise)."""
        count, channels, height, width = noisy.shape
        packed = noisy.view(count, channels, height // 2, 2, width // 2, 2)
        packed = packed.permute(0, 2, 4, 1, 3, 5).reshape(count, height * width // 4, channels * 4)
        grid = torch.zeros(height // 2, width // 2, 3)
        grid[..., 1] += torch.arange(height // 2)[:, None]
        grid[..., 2] += torch.arange(width // 2)[None, :]
        out = self.transformer(
            hidden_states=packed,
            timestep=times,
            pooled_projections=self.text_encoder(clip_ids).pooler_output,
            encoder_hidden_states=self.text_encoder_2(t5_ids)[0],
            txt_ids=torch.zeros(MAX_TOKENS, 3),
            img_ids=grid.reshape(-1, 3),
            return_dict=False,
        )[0]
        out = out.view(count, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
        velocity: Tensor = out.reshape(count, channels, height, width)
        return velocity


@dataclass
class Bucket:
    """Latents of one size and the token numbers of a few prompts for each of them."""

    latents: Tensor  # float16 [n, 16, height, width]
    clip_ids: Tensor  # int16 [n, wordings, 20]
    t5_ids: Tensor
    weight: Tensor  # how often each is drawn

    def draw(self, count: int, empty: tuple[Tensor, Tensor], rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.multinomial(self.weight, count, replacement=True, generator=rng)
        wording = torch.randint(self.clip_ids.shape[1], (count,), generator=rng)
        clip_ids, t5_ids = self.clip_ids[rows, wording].long(), self.t5_ids[rows, wording].long()
        dropped = torch.rand(count, generator=rng) < CAPTION_DROPOUT
        clip_ids[dropped], t5_ids[dropped] = empty[0], empty[1]
        return self.latents[rows].float(), clip_ids, t5_ids


def images_from(rgb: UInt8Array) -> Tensor:
    """uint8 [n, height, width, 3] to float [n, 3, height, width] in −1 … 1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2).float() / 127.5 - 1


def fitted_pca() -> LatentPca:
    """The linear latents, fitted at the first call to a part of the layers and scenes and kept ever after."""
    if not PCA_PATH.exists():
        pictures = [images_from(load_layers().rgb[::4]), images_from(load_scenes(BASE_SIZES[0]).rgb[::2])]
        LatentPca.fit(torch.cat(pictures)).save(PCA_PATH)
    return LatentPca.load(PCA_PATH)


def layer_bucket(model: TextToLatent, pca: LatentPca, wordings: int = 6) -> Bucket:
    vocabulary = load_vocabulary()
    layers = load_layers()
    rng = np.random.default_rng(22)
    prompts = [
        layer_prompt(vocabulary.labels[label], vocabulary.styles[style], rng)
        for label, style in zip(layers.label, layers.style, strict=True)
        for _ in range(wordings)
    ]
    clip_ids, t5_ids = model.tokenize(prompts)
    label, style = torch.tensor(layers.label).long(), torch.tensor(layers.style).long()
    is_shape = label >= len(vocabulary.concepts)
    group = label * len(vocabulary.styles) + style
    weight = 1.0 / group.bincount()[group]
    weight = weight * torch.where(style == 0, DEFAULT_STYLE_PART, (1 - DEFAULT_STYLE_PART) / 6)
    weight = weight * torch.where(is_shape, SHAPE_PART / 144, (1 - SHAPE_PART) / len(vocabulary.concepts))
    latents = torch.cat([pca.encode(images_from(layers.rgb[i : i + 512])).half() for i in range(0, len(label), 512)])
    return Bucket(
        latents, clip_ids.short().view(-1, wordings, MAX_TOKENS), t5_ids.short().view(-1, wordings, MAX_TOKENS), weight
    )


def scene_bucket(model: TextToLatent, pca: LatentPca, size: tuple[int, int], wordings: int = 6) -> Bucket:
    vocabulary = load_vocabulary()
    scenes = load_scenes(size)
    rng = np.random.default_rng([23, *size])
    kinds, colors = list(vocabulary.scenes.values()), list(vocabulary.colors)
    prompts = [
        base_prompt(kinds[scene], colors[color] if color >= 0 else None, vocabulary.styles[style], rng)
        for scene, color, style in zip(scenes.scene, scenes.color, scenes.style, strict=True)
        for _ in range(wordings)
    ]
    clip_ids, t5_ids = model.tokenize(prompts)
    scene_index = torch.tensor(scenes.scene).long()
    share = torch.tensor([3.0 if kind.takes_color else 1.0 for kind in kinds])
    weight = (share / scene_index.bincount())[scene_index]
    return Bucket(
        pca.encode(images_from(scenes.rgb)).half(),
        clip_ids.short().view(-1, wordings, MAX_TOKENS),
        t5_ids.short().view(-1, wordings, MAX_TOKENS),
        weight,
    )


def sample(model: TextToLatent, prompts: list[str], size: tuple[int, int], steps: int, cfg: float, seed: int) -> Tensor:
    """Latents [n, 16, height / 8, width / 8] by Euler steps with true classifier-free guidance."""
    rng = torch.Generator().manual_seed(seed)
    latents = torch.randn(len(prompts), 16, size[1] // 8, size[0] // 8, generator=rng)
    clip_ids, t5_ids = model.tokenize(prompts + [""] * len(prompts))
    sigmas = torch.linspace(1, 0, steps + 1)
    with torch.inference_mode():
        for now, then in pairwise(sigmas):
            times = now.expand(2 * len(prompts))
            wanted, empty = model.velocity(torch.cat([latents, latents]), times, clip_ids, t5_ids).chunk(2)
            latents = latents + (then - now) * (empty + cfg * (wanted - empty))
    return latents


def write_grid(model: TextToLatent, pca: LatentPca, path: Path, styles: bool = False) -> None:
    """A contact sheet of one drawing per concept and a few shapes and scenes, decoded linearly."""
    from PIL import Image

    vocabulary = load_vocabulary()
    rng = np.random.default_rng(5)
    labels = [*vocabulary.concepts, *rng.choice(vocabulary.labels[len(vocabulary.concepts) :], 20, replace=False)]
    prompts = [
        vocabulary.templates.prompt.format(
            caption=vocabulary.label_caption(str(label)),
            style=vocabulary.styles[1 + i % 6] if styles else "cartoon",
            suffix=vocabulary.suffixes[0],
        )
        for i, label in enumerate(labels)
    ]
    prompts += [scene.caption("teal" if scene.takes_color else None) for scene in vocabulary.scenes.values()]
    images = pca.decode(sample(model, prompts, BASE_SIZES[0], 16, 3.0, 1))
    tiles = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    columns = 14
    tiles = np.concatenate([tiles, np.zeros((-len(tiles) % columns, *tiles.shape[1:]), np.uint8)])
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def train(minutes: float, folder: Path) -> None:
    torch.manual_seed(24)
    model = TextToLatent()
    pca = fitted_pca()
    layers = layer_bucket(model, pca)
    scenes = [scene_bucket(model, pca, size) for size in BASE_SIZES]
    average = copy.deepcopy(model).eval().requires_grad_(False)
    model.transformer.compile_repeated_blocks(dynamic=False)  # a third faster, for a minute of compiling
    matrices, others = _split_parameters(model)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    ]
    step, spent, last_loss = 0, 0.0, float("nan")
    if (folder / NAME).exists():
        step, spent = load_state(folder, model, average, optimizers)
        print(f"resumed at step {step} after {spent:.0f} s", flush=True)
    begun = time.time()
    total = minutes * 60
    empty = tuple(ids[0] for ids in model.tokenize([""]))
    rng = torch.Generator().manual_seed(1000 + step)
    losses: list[float] = []
    saved = drawn = time.time()
    while (now := spent + time.time() - begun) < total:
        left = (total - now) / total
        rate = min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, left / DECAY_PART)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("peak", group["lr"]) * rate
        chance = torch.rand((), generator=rng).item()
        bucket = scenes[step % len(scenes)] if chance < SCENE_PART else layers
        latents, clip_ids, t5_ids = bucket.draw(BATCH, (empty[0], empty[1]), rng)
        times = torch.randn(BATCH, generator=rng).sigmoid()
        noise = torch.randn(latents.shape, generator=rng)
        noisy = torch.lerp(latents, noise, times[:, None, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            predicted = model.velocity(noisy, times, clip_ids, t5_ids)
        loss = (predicted.float() - (noise - latents)).square().mean()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay = min(0.9985, (step + 1) / (step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step += 1
        if bucket is layers:
            losses.append(loss.item())
        if step % 100 == 0:
            last_loss = float(np.mean(losses[-400:]))
            speed = step * BATCH / (spent + time.time() - begun)
            print(
                f"{datetime.datetime.now():%H:%M:%S} step {step} samples {step * BATCH} loss {last_loss:.4f} "
                f"rate {rate:.3f} {speed:.0f} samples/s",
                flush=True,
            )
        if time.time() - saved > 180:
            save_state(folder, model, average, optimizers, step, spent + time.time() - begun)
            saved = time.time()
        if time.time() - drawn > 900:
            write_grid(average, pca, folder / f"grid_{step:06d}.png")
            drawn = time.time()
    save_state(folder, model, average, optimizers, step, spent + time.time() - begun)
    write_grid(average, pca, folder / "grid_final.png")
    write_grid(average, pca, folder / "grid_styles.png", styles=True)


def _split_parameters(model: TextToLatent) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden weight matrices of the transformer's blocks, and everything else."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (matrices if "transformer_blocks" in name and ".norm" not in name and parameter.ndim == 2 else others).append(
            parameter
        )
    return matrices, others


def load_average(folder: Path = FOLDER) -> TextToLatent:
    """The averaged weights of the newest checkpoint."""
    model = TextToLatent()
    load_average_state(folder, model)
    return model.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=77, help="of training in all, earlier starts counted in")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.minutes, arguments.folder)


if __name__ == "__main__":
    main()
