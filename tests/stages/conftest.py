"""A FluxPipeline with random weights, small enough for a CPU, loaded from disk like any other."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from layered.torchvision_cure import ensure_torchvision
from models.recipes.word_tokenizers import MAX_TOKENS, clip_tokenizer, t5_tokenizer

CALL_FACTS = {
    "revision": "random",
    "licence": "CC0-1.0",
    "true_cfg_scale": 3.0,
    "guidance_scale": 1.0,
    "num_inference_steps": 2,
    "max_sequence_length": MAX_TOKENS,
    "negative_prompt": "",
    "layer_sizes": [[32, 32], [48, 32]],
    "base_sizes": [[32, 32]],
    "dtype": "float32",
    "suffix": "on a plain gray background",
    "background": [128, 128, 128],
}


@pytest.fixture(scope="session")
def random_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random FluxPipeline with a `layerprism.json`."""
    folder = tmp_path_factory.mktemp("random_flux")
    _pipeline().save_pretrained(folder)
    (folder / "layerprism.json").write_text(json.dumps(CALL_FACTS))
    return folder


def _pipeline() -> Any:
    ensure_torchvision()
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)
    clip_words, t5_words = clip_tokenizer(), t5_tokenizer()
    clip = CLIPTextConfig(
        vocab_size=len(clip_words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=16,
        bos_token_id=clip_words.bos_token_id,
        eos_token_id=clip_words.eos_token_id,
    )
    t5 = T5Config(vocab_size=len(t5_words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=0.0,
            scaling_factor=1.0,
        ),
        text_encoder=CLIPTextModel(clip),
        tokenizer=clip_words,
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=t5_words,
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 6, 6),
            guidance_embeds=False,
        ),
    )
