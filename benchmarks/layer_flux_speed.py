"""LayerFLUX at the true shape of FLUX.1-dev, with random weights: seconds per layer and MFU.

Weights do not change the time, so none are needed. Text encoders are left out: a run embeds each prompt once. Every
variant draws whole batches, transformer steps and VAE decoding, after one batch to warm up; FLOPs are counted by torch
on the very call. Results are written after each variant, and with `--json` an interrupted measurement goes on.

    python -m benchmarks.layer_flux_speed --json FILE            # on a GPU: 1024², batches 1, 4, 8
    python -m benchmarks.layer_flux_speed --shape tiny           # the same code on any CPU, in seconds
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from layered.torchvision_cure import ensure_torchvision

FLUX_DEV: dict[str, Any] = {
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "in_channels": 64,
    "guidance_embeds": True,
    "axes_dims_rope": (16, 56, 56),
}
FLUX_DEV_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
}
TINY: dict[str, Any] = FLUX_DEV | {
    "num_layers": 1,
    "num_single_layers": 2,
    "attention_head_dim": 32,
    "num_attention_heads": 2,
    "joint_attention_dim": 64,
    "pooled_projection_dim": 64,
    "axes_dims_rope": (8, 12, 12),
}
TINY_VAE: dict[str, Any] = FLUX_DEV_VAE | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}


@dataclass(frozen=True)
class Variant:
    """How the transformer is run."""

    precision: str
    compiled: bool
    batch: int


@dataclass(frozen=True)
class Result:
    """Medians over the measured batches; `mfu` is the part of the device's peak, in the precision's own rate."""

    variant: Variant
    seconds_per_layer: float
    seconds_per_step: float
    tflops_per_step: float
    mfu: float
    peak_memory_gib: float


def build(shape: str, device: torch.device) -> Any:
    """A `FluxPipeline` without text encoders, weights drawn on the device."""
    ensure_torchvision()
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer_config, vae_config = (FLUX_DEV, FLUX_DEV_VAE) if shape == "flux-dev" else (TINY, TINY_VAE)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            transformer = FluxTransformer2DModel(**transformer_config).eval().requires_grad_(False)
            vae = AutoencoderKL(**vae_config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
    pipeline = FluxPipeline(
        scheduler=scheduler,
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, batch: int, side: int, steps: int, text_tokens: int) -> None:
    """One batch of layers."""
    config = pipeline.transformer.config
    options = {"device": pipeline.transformer.device, "dtype": torch.bfloat16}
    pipeline(
        prompt_embeds=torch.zeros(batch, text_tokens, config.joint_attention_dim, **options),
        pooled_prompt_embeds=torch.zeros(batch, config.pooled_projection_dim, **options),
        width=side,
        height=side,
        num_inference_steps=steps,
        guidance_scale=3.5,
        generator=torch.Generator("cpu").manual_seed(0),
        output_type="pt",
    )


def flops_of_step(pipeline: Any, batch: int, side: int, text_tokens: int) -> float:
    """Floating-point operations of one forward of the transformer, as torch counts them."""
    counter = FlopCounterMode(display=False)
    with counter:
        draw(pipeline, batch, side, 1, text_tokens)
    counts = counter.get_flop_counts()
    return float(sum(counts["FluxTransformer2DModel"].values()))


def synchronised_seconds(action: Any) -> float:
    """Wall-clock seconds of an action, the device's queue included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(pipeline: Any, variant: Variant, arguments: argparse.Namespace, tflops: float) -> Result:
    """One variant on a pipeline that is already in its precision, and compiled where it should be."""
    shape = variant.batch, arguments.side, arguments.steps, arguments.text_tokens
    draw(pipeline, *shape)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    times = sorted(synchronised_seconds(lambda: draw(pipeline, *shape)) for _ in range(arguments.repeats))
    one_step = variant.batch, arguments.side, 1, arguments.text_tokens
    first = sorted(synchronised_seconds(lambda: draw(pipeline, *one_step)) for _ in range(arguments.repeats))
    median = times[len(times) // 2]
    per_step = (median - first[len(first) // 2]) / (arguments.steps - 1)
    peak = arguments.peak_tflops * (2 if variant.precision == "fp8" else 1)
    memory = torch.cuda.max_memory_allocated() / 1024**3 if torch.cuda.is_available() else 0.0
    return Result(variant, median / variant.batch, per_step, tflops, tflops / per_step / peak, memory)


def pipelines(shape: str, device: torch.device, precisions: list[str]) -> Iterator[tuple[str, bool, Any]]:
    """Pipelines one after the other, eager before compiled, bf16 before fp8; one at a time is in memory."""
    for precision, compiled in product(precisions, (False, True)):
        pipeline = build(shape, device)
        if precision == "fp8":
            from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, quantize_

            quantize_(pipeline.transformer, Float8DynamicActivationFloat8WeightConfig())
        if compiled:
            pipeline.transformer.compile_repeated_blocks(fullgraph=True)
        yield precision, compiled, pipeline
        del pipeline
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=["flux-dev", "tiny"], default="flux-dev")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=8, help="FLUX.1-dev wants 28, schnell 4; time is linear in them")
    parser.add_argument("--text-tokens", type=int, default=512)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--precisions", nargs="+", choices=["bf16", "fp8"], default=["bf16", "fp8"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, default=989, help="dense bf16 peak (H100, H200: 989)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.shape == "tiny":
        arguments.side, arguments.text_tokens = 64, 16
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        rows = json.loads(arguments.json.read_text())["rows"]
    done = {tuple(row["variant"].values()) for row in rows}
    print(f"{name}, {arguments.shape}, {arguments.side}², {arguments.steps} steps, torch {torch.__version__}")
    print("precision compiled batch  s/layer   s/step  TFLOP/step    MFU  GiB")
    counts: dict[int, float] = {row["variant"]["batch"]: row["tflops_per_step"] for row in rows}
    with torch.inference_mode():
        for precision, compiled, pipeline in pipelines(arguments.shape, device, arguments.precisions):
            for batch in arguments.batches:
                variant = Variant(precision, compiled, batch)
                if tuple(asdict(variant).values()) in done:
                    continue
                if batch not in counts and precision == "bf16" and not compiled:
                    counts[batch] = flops_of_step(pipeline, batch, arguments.side, arguments.text_tokens) / 1e12
                result = measure(pipeline, variant, arguments, counts.get(batch, float("nan")))
                rows.append(asdict(result))
                print(
                    f"{precision:>9} {compiled!s:>8} {batch:>5} {result.seconds_per_layer:>8.3f} "
                    f"{result.seconds_per_step:>8.4f} {result.tflops_per_step:>11.2f} {result.mfu:>6.1%} "
                    f"{result.peak_memory_gib:>4.0f}",
                    flush=True,
                )
                if arguments.json:
                    written = {"device": name, **_settings(arguments), "rows": rows}
                    arguments.json.write_text(json.dumps(written, indent=2) + "\n")


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name != "json"} | {"torch": torch.__version__}


if __name__ == "__main__":
    main()
