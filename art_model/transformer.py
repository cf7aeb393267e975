"""The region transformer: FLUX's MMDiT over the kept tokens of packed samples, with a time for every region.

Parameters bear the names of diffusers' `FluxTransformer2DModel`, so that a FLUX checkpoint loads strictly and is saved
back unchanged. What differs is what goes through: only kept tokens are ever embedded, transformed and projected (crop
first), samples stand back to back (`art_model/packing.py`), and the modulation is computed once per distinct (sample,
time) and then taken by each token.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from art_model.attention import AttentionPattern, Backend, Spans
from art_model.blocks import Context, DoubleBlock, SingleBlock
from art_model.modulation import Modulation, Rows, TimeTextEmbedding, modulated
from art_model.packing import PackedBatch
from art_model.rope import rotary_table
from layered.errors import UserError


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes, named as in a FLUX `config.json`; the defaults are FLUX.1-schnell's.

    Attributes:
        patch_size: always 1: patches are made outside (`latents_to_tokens`).
        in_channels: channels of a token, 4 × those of the latents.
        out_channels: None for `in_channels`.
        num_layers: double-stream blocks.
        num_single_layers: single-stream blocks.
        attention_head_dim: width of a head; the sum of `axes_dims_rope`.
        num_attention_heads: heads; the model's width is heads × head width.
        joint_attention_dim: width of the text encoder's token embeddings.
        pooled_projection_dim: width of the pooled text embedding.
        guidance_embeds: whether the guidance scale is an input.
        axes_dims_rope: channels of a head that turn with layer, y and x.
        layer_embedding_rows: rows of the learned per-layer embedding of ART's released code; None for none. More
            layers than rows, merged and background included, are an error.
    """

    patch_size: int = 1
    in_channels: int = 64
    out_channels: int | None = None
    num_layers: int = 19
    num_single_layers: int = 38
    attention_head_dim: int = 128
    num_attention_heads: int = 24
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = False
    axes_dims_rope: tuple[int, ...] = (16, 56, 56)
    layer_embedding_rows: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes_dims_rope", tuple(self.axes_dims_rope))
        if self.patch_size != 1:
            raise UserError(f"patch_size {self.patch_size}: FLUX's tokens are patches already, it must be 1")
        if len(self.axes_dims_rope) != 3 or sum(self.axes_dims_rope) != self.attention_head_dim:
            raise UserError(
                f"axes_dims_rope {list(self.axes_dims_rope)}: three axes are needed that add up to "
                f"attention_head_dim {self.attention_head_dim}"
            )

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


class RegionTransformer(nn.Module):
    """Predicts the velocity (noise − data) of every token.

    To train it compiled, compile the blocks (``block.compile()`` for each of `transformer_blocks` and
    `single_transformer_blocks`) and give every batch one shape (`PackedBatch.padded`): then each is compiled once,
    whatever the lengths of its samples. On a CPU uncompiled blocks under bf16 autocast are nearly as fast.

    Attributes:
        attention_backend: a way of `art_model/attention.py`; None chooses by device and precision.
        gradient_checkpointing: blocks are computed again in the backward pass instead of kept.
    """

    def __init__(self, **config: Any) -> None:
        """Takes the fields of `TransformerConfig` by name.

        Raises:
            UserError: for sizes that do not fit each other.
        """
        super().__init__()
        self.config = own = TransformerConfig(**config)
        self.attention_backend: Backend | AttentionPattern | None = None
        self.gradient_checkpointing = False

        width = own.width
        self.time_text_embed = TimeTextEmbedding(width, own.pooled_projection_dim, guidance=own.guidance_embeds)
        self.context_embedder = nn.Linear(own.joint_attention_dim, width)
        self.x_embedder = nn.Linear(own.in_channels, width)
        self.layer_embedding: nn.Embedding | None = None
        if own.layer_embedding_rows is not None:
            self.layer_embedding = nn.Embedding(own.layer_embedding_rows, width)
            nn.init.zeros_(self.layer_embedding.weight)
        heads, head_width = own.num_attention_heads, own.attention_head_dim
        self.transformer_blocks = nn.ModuleList(DoubleBlock(heads, head_width) for _ in range(own.num_layers))
        self.single_transformer_blocks = nn.ModuleList(
            SingleBlock(heads, head_width) for _ in range(own.num_single_layers)
        )
        self.norm_out = Modulation(width, 2)
        self.proj_out = nn.Linear(width, own.out_channels or own.in_channels)

    def forward(self, batch: PackedBatch) -> Tensor:
        """Velocities ``[tokens of all samples, out channels]``, without padding.

        Raises:
            UserError: when a layer has no row in the layer embedding.
            ValueError: when the batch brings no guidance and the model wants one, or the other way round.
        """
        context = self._context(batch)
        text = self.context_embedder(batch.text)
        image = self.x_embedder(batch.tokens)
        if self.layer_embedding is not None:
            image = image + self.layer_embedding(self._layers(batch, self.layer_embedding.num_embeddings))
        for block in self.transformer_blocks:
            text, image = self._run(block, text, image, context)
        joint = torch.cat([text, image])
        for block in self.single_transformer_blocks:
            joint = self._run(block, joint, context)
        kept = sum(batch.image_lengths)
        scale, shift = self.norm_out(context.embedding, context.rows.of_image[:kept])
        velocity: Tensor = self.proj_out(modulated(joint[len(text) :][:kept], shift, scale))
        return velocity

    def _context(self, batch: PackedBatch) -> Context:
        positions = F.pad(batch.positions, (0, 0, len(batch.text), 0))  # all text stands at (0, 0, 0)
        precise = torch.float64 if self.x_embedder.weight.dtype == torch.float64 else torch.float32
        return Context(
            embedding=self.time_text_embed(batch),
            rows=Rows(torch.cat([batch.text_rows, batch.token_rows]), len(batch.text), len(batch.row_times)),
            rope=rotary_table(positions, self.config.axes_dims_rope, precise),
            spans=Spans(len(batch.text), len(batch.tokens), batch.text_lengths, batch.image_lengths),
            backend=self.attention_backend,
        )

    def _run(self, block: nn.Module, *inputs: Any) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    @staticmethod
    def _layers(batch: PackedBatch, embedded: int) -> Tensor:
        layers = batch.positions[:, 0]
        highest = int(layers.max())
        if highest >= embedded:
            raise UserError(
                f"a design of {highest + 1} layers, merged and background included, does not fit a layer embedding of "
                f"{embedded} rows: use fewer layers, or a model without layer embedding"
            )
        return layers
