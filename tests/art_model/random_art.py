"""A whole ART with random weights on disk, small enough to sample in a blink."""

from pathlib import Path

import torch

from art_model.checkpoint import ArtSettings, Part, save_transformer
from art_model.schedule import Shift
from art_model.transformer import RegionTransformer
from art_model.transparent_decoder import DecoderConfig, TransparentDecoder, save_decoder
from models import TINY


def random_art(folder: Path, *, guidance: float | None = None, layer_embedding_rows: int | None = None) -> Path:
    """Writes a random transformer and decoder beside the tiny model's text encoders and autoencoder."""
    torch.manual_seed(0)
    transformer = RegionTransformer(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=128,
        pooled_projection_dim=128,
        guidance_embeds=guidance is not None,
        axes_dims_rope=(8, 12, 12),
        layer_embedding_rows=layer_embedding_rows,
    )
    decoder = TransparentDecoder(DecoderConfig(width=32, heads=2, blocks=1, mlp=32, rope_axes=(4, 6, 6)))
    save_transformer(folder / "transformer", transformer, torch.bfloat16)
    save_decoder(decoder, folder / "decoder")
    others: tuple[Part, ...] = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "vae")
    settings = ArtSettings(
        name="random",
        revision="0",
        licence="MIT",
        shift=Shift(),
        guidance=guidance,
        true_cfg=2.0,
        steps=3,
        canvas=(64, 64),
        largest_side=96,
        text_length=40,
        pad_text=False,
        parts={part: str(TINY / part) for part in others},
    )
    (folder / "art.json").write_text(settings.model_dump_json(by_alias=True), encoding="utf-8")
    return folder
