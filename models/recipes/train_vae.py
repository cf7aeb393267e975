"""Trains the autoencoder on the linear latents: the encoder regresses them, the decoder inverts them.

    python -m models.recipes.train_vae --minutes 32

The same command resumes until the minutes are spent. Writes `models/recipes/checkpoints/vae.safetensors`.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from layered.arrays import UInt8Array
from layered.torchvision_cure import ensure_torchvision
from models import TINY
from models.recipes.cards import write_section
from models.recipes.designs import draw_design
from models.recipes.drawings import BASE_SIZES, CHECKPOINTS, DRAWINGS, load_layers, load_scenes
from models.recipes.train_flux import fitted_pca, images_from

PATH = CHECKPOINTS / "vae.safetensors"
DESIGNS_PATH = DRAWINGS / "designs_128.npy"
BATCH = 16
DESIGN_BATCH = 8
RATE = 2e-3
LATENT_NOISE = 0.06  # of the latents' size: what the transformer leaves undone


def build_vae() -> Any:
    """An AutoencoderKL: f8, 16 channels, no attention, latents as they come from the linear fit."""
    ensure_torchvision()
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=64,
        scaling_factor=1.0,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )


def load_vae(path: Path = PATH) -> Any:
    vae = build_vae()
    vae.load_state_dict({k.removeprefix("vae."): v for k, v in load_file(path).items() if k.startswith("vae.")})
    return vae.eval().requires_grad_(False)


def designs() -> UInt8Array:
    """1,500 designs at 128 pixels with small sprites, rendered once."""
    if not DESIGNS_PATH.exists():
        rng = np.random.default_rng(30)
        np.save(DESIGNS_PATH, np.stack([draw_design((128, 128), rng).rgb for _ in range(1500)]))
    pictures: UInt8Array = np.load(DESIGNS_PATH, mmap_mode="r")
    return pictures


def decoder_loss(decoded: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of colours and of their differences between neighbours (sharp edges, flat areas)."""
    error = decoded - wanted
    horizontal, vertical = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * (horizontal + vertical)


def psnr(decoded: Tensor, wanted: Tensor) -> float:
    error = (decoded.clamp(-1, 1) - wanted).square().mean((1, 2, 3))
    return float((10 * torch.log10(4 / error.clamp_min(1e-8))).mean())


def train(minutes: float) -> None:
    torch.manual_seed(31)
    pca, vae = fitted_pca(), build_vae()
    averaged = build_vae().eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    spent, step = 0.0, 0
    if PATH.exists():
        state = load_file(PATH)
        vae.load_state_dict({k.removeprefix("raw."): v for k, v in state.items() if k.startswith("raw.")})
        averaged.load_state_dict({k.removeprefix("vae."): v for k, v in state.items() if k.startswith("vae.")})
        spent, step = state["spent"].item(), int(state["step"].item())
    else:
        averaged.load_state_dict(vae.state_dict())
    layers, wholes = load_layers().rgb, designs()
    scenes = [load_scenes(size).rgb for size in BASE_SIZES]
    rng = np.random.default_rng(32 + step)
    held_out = images_from(np.stack([draw_design((128, 128), np.random.default_rng(i)).rgb for i in range(9000, 9032)]))
    some_layers = images_from(layers[::311])
    begun = saved = time.time()
    while (now := spent + time.time() - begun) < minutes * 60:
        kind = rng.random()
        if kind < 0.55:
            images = images_from(layers[np.sort(rng.choice(len(layers), BATCH))])
        elif kind < 0.7:
            pool = scenes[rng.integers(len(scenes))]
            images = images_from(pool[np.sort(rng.choice(len(pool), BATCH))])
        else:
            images = images_from(wholes[np.sort(rng.choice(len(wholes), DESIGN_BATCH))])
        images = images.contiguous()
        latents = pca.encode(images)
        progress = now / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
        noise = LATENT_NOISE * torch.rand(len(images), 1, 1, 1) * torch.randn_like(latents)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = vae.decode(latents + noise).sample
        loss = decoder_loss(decoded.float(), images)
        if step % 4 == 0:
            with torch.autocast("cpu", torch.bfloat16):
                encoded = vae.encode(images).latent_dist.mean
            loss = loss + (encoded.float() - latents).square().mean()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(
                list(averaged.parameters()), list(vae.parameters()), 1 - min(0.998, (step + 1) / (step + 10))
            )
        step += 1
        if step % 250 == 0:
            print(f"step {step} {now:.0f} s {_report(averaged, pca, some_layers, held_out)}", flush=True)
        if time.time() - saved > 60:
            _save(vae, averaged, now, step)
            saved = time.time()
    _save(vae, averaged, minutes * 60, step)
    report = _report(averaged, pca, some_layers, held_out)
    print(report)
    write_section(TINY / "README.md", "vae", f"{report} (held-out designs of 128 pixels, a sample of the layers).")


def _report(vae: Any, pca: Any, layers: Tensor, held_out: Tensor) -> str:
    with torch.inference_mode():
        decoded = vae.decode(pca.encode(layers)).sample
        flat = (layers - layers[:, :, :1, :1]).abs().amax(1, keepdim=True) < 0.5 / 127.5
        deviation = ((decoded - layers).abs() * flat).sum() / (3 * flat.sum()) * 127.5
        wholes = psnr(vae.decode(pca.encode(held_out)).sample, held_out)
        encoded = (vae.encode(held_out).latent_dist.mean - pca.encode(held_out)).square().mean().sqrt()
    linear = [psnr(pca.decode(pca.encode(images)), images) for images in (layers, held_out)]
    return (
        f"layers {psnr(decoded, layers):.2f} dB (linear {linear[0]:.2f}), "
        f"designs {wholes:.2f} dB (linear {linear[1]:.2f}), "
        f"background off by {deviation:.2f}/255, encoder off by {encoded:.3f}"
    )


def _save(vae: Any, averaged: Any, spent: float, step: int) -> None:
    state = {f"raw.{k}": v.contiguous() for k, v in vae.state_dict().items()}
    state |= {f"vae.{k}": v.contiguous() for k, v in averaged.state_dict().items()}
    state |= {"spent": torch.tensor(spent, dtype=torch.float64), "step": torch.tensor(step)}
    save_file(state, PATH.with_suffix(".tmp"))
    PATH.with_suffix(".tmp").replace(PATH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=32)
    torch.set_num_threads(1)
    train(parser.parse_args().minutes)


if __name__ == "__main__":
    main()
