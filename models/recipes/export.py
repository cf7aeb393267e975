"""Writes `models/layerprism-tiny`: a plain FluxPipeline folder from what the other recipes trained.

    python -m models.recipes.export

Beside diffusers' own files stands `layerprism.json`: what the model needs at call time, so that no stage
special-cases it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from layered.torchvision_cure import ensure_torchvision
from models.recipes.drawings import BASE_SIZES, LAYER_SIDE
from models.recipes.sprites import BACKGROUND
from models.recipes.train_flux import FOLDER, load_average
from models.recipes.train_vae import load_vae
from models.recipes.word_tokenizers import MAX_TOKENS
from models.vocabulary import load_vocabulary

TINY = Path(__file__).resolve().parents[1] / "layerprism-tiny"
REVISION = "2"


def pipeline_from(flux_folder: Path) -> Any:
    """The trained parts as a FluxPipeline in float32."""
    ensure_torchvision()
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

    trained = load_average(flux_folder)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False),
        vae=load_vae(),
        text_encoder=trained.text_encoder,
        tokenizer=trained.clip,
        text_encoder_2=trained.text_encoder_2,
        tokenizer_2=trained.t5,
        transformer=trained.transformer,
    )


def call_facts() -> dict[str, Any]:
    """What stands in `layerprism.json`."""
    vocabulary = load_vocabulary()
    return {
        "revision": REVISION,
        "licence": "Apache-2.0",
        "dtype": "float32",
        "true_cfg_scale": 2.5,
        "guidance_scale": 1.0,
        "num_inference_steps": 8,
        "max_sequence_length": MAX_TOKENS,
        "negative_prompt": "",
        "prompt_template": vocabulary.templates.prompt,
        "base_prompt_template": vocabulary.templates.base_prompt,
        "suffix": vocabulary.suffixes[0],
        "default_style": vocabulary.default_style,
        "background": list(BACKGROUND),
        "layer_sizes": [[LAYER_SIDE, LAYER_SIDE]],
        "base_sizes": [list(size) for size in BASE_SIZES],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flux", type=Path, default=FOLDER, help="the folder of train_flux's checkpoint")
    arguments = parser.parse_args()
    # Weights rest in half precision, which halves the repository, and are computed with in float32.
    pipeline_from(arguments.flux).to(dtype=torch.float16).save_pretrained(TINY)
    (TINY / "layerprism.json").write_text(json.dumps(call_facts(), indent=1) + "\n", "utf-8")
    for path in sorted(TINY.rglob("*.safetensors")):
        print(f"{path.relative_to(TINY)} {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
