"""The two kinds of blocks of FLUX's MMDiT, on packed sequences; names of parameters are those of diffusers."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from art_model.attention import AttentionPattern, Backend, Spans, attend
from art_model.modulation import Modulation, Rows, modulated
from art_model.rope import rotated

_EPS = 1e-6
_MLP_RATIO = 4
_HALF_MAX = 65504.0


@dataclass(frozen=True, eq=False)
class Context:
    """What all blocks of one forward share.

    Attributes:
        embedding: ``[R, width]`` time, guidance and pooled text of each modulation row.
        rows: which row each token takes.
        rope: cosines and sines of the joint sequence, ``[text + image, 1, head width / 2, 2]``.
        spans: which tokens of the joint sequence ``[texts; images]`` belong together.
        backend: how attention is computed; None chooses.
    """

    embedding: Tensor
    rows: Rows
    rope: Tensor
    spans: Spans
    backend: Backend | AttentionPattern | None = None


class DoubleBlock(nn.Module):
    """Text and image keep their own weights and meet in attention."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        width = heads * head_width
        self.norm1 = Modulation(width, 6)
        self.norm1_context = Modulation(width, 6)
        self.attn = _Attention(heads, head_width, joint=True)
        self.ff = _FeedForward(width)
        self.ff_context = _FeedForward(width)

    def forward(self, text: Tensor, image: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """``[T, width]`` and ``[N, width]`` to the same."""
        rows = context.rows
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.norm1(context.embedding, rows.of_image)
        of_text = self.norm1_context(context.embedding, rows.of_text)
        text_shift, text_scale, text_gate, text_mlp_shift, text_mlp_scale, text_mlp_gate = of_text

        text_attended, attended = self.attn.of_both(
            modulated(text, text_shift, text_scale), modulated(image, shift, scale), context
        )
        image = torch.addcmul(image, gate, attended)
        image = torch.addcmul(image, mlp_gate, self.ff(modulated(image, mlp_shift, mlp_scale)))
        text = torch.addcmul(text, text_gate, text_attended)
        text = torch.addcmul(text, text_mlp_gate, self.ff_context(modulated(text, text_mlp_shift, text_mlp_scale)))
        return _inside_half(text), image


class SingleBlock(nn.Module):
    """Text and image as one sequence; attention and MLP side by side."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        width = heads * head_width
        self.norm = Modulation(width, 3)
        self.proj_mlp = nn.Linear(width, _MLP_RATIO * width)
        self.proj_out = nn.Linear((1 + _MLP_RATIO) * width, width)
        self.attn = _Attention(heads, head_width, joint=False)

    def forward(self, joint: Tensor, context: Context) -> Tensor:
        """``[T + N, width]`` to the same."""
        shift, scale, gate = self.norm(context.embedding, context.rows.joint)
        normed = modulated(joint, shift, scale)
        mlp = F.gelu(self.proj_mlp(normed), approximate="tanh")
        attended = self.attn.of_joint(normed, context)
        return _inside_half(torch.addcmul(joint, gate, self.proj_out(torch.cat([attended, mlp], -1))))


class _Attention(nn.Module):
    """Projections of attention; with `joint` those of the text and the way out too."""

    def __init__(self, heads: int, head_width: int, *, joint: bool) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.norm_q = _HeadNorm(head_width, eps=_EPS)
        self.norm_k = _HeadNorm(head_width, eps=_EPS)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        if joint:
            self.to_out = nn.ModuleList([nn.Linear(width, width)])
            self.norm_added_q = _HeadNorm(head_width, eps=_EPS)
            self.norm_added_k = _HeadNorm(head_width, eps=_EPS)
            self.add_q_proj = nn.Linear(width, width)
            self.add_k_proj = nn.Linear(width, width)
            self.add_v_proj = nn.Linear(width, width)
            self.to_add_out = nn.Linear(width, width)

    def of_joint(self, joint: Tensor, context: Context) -> Tensor:
        query, key = self.norm_q(self._heads(self.to_q(joint))), self.norm_k(self._heads(self.to_k(joint)))
        return self._attended(query, key, self._heads(self.to_v(joint)), context)

    def of_both(self, text: Tensor, image: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        text_query = self.norm_added_q(self._heads(self.add_q_proj(text)))
        text_key = self.norm_added_k(self._heads(self.add_k_proj(text)))
        text_value = self._heads(self.add_v_proj(text))
        query = torch.cat([text_query, self.norm_q(self._heads(self.to_q(image)))])
        key = torch.cat([text_key, self.norm_k(self._heads(self.to_k(image)))])
        value = torch.cat([text_value, self._heads(self.to_v(image))])
        attended = self._attended(query, key, value, context)
        text_out, image_out = torch.split(attended, [len(text), len(image)])
        return self.to_add_out(text_out), self.to_out[0](image_out)

    def _heads(self, values: Tensor) -> Tensor:
        return values.view(len(values), self.heads, -1)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, context: Context) -> Tensor:
        query, key = rotated(query, context.rope), rotated(key, context.rope)
        attended: Tensor = attend(query, key, value, context.spans, context.backend)
        return attended


class _HeadNorm(nn.RMSNorm):
    """RMS norm over the channels of a head; its weight follows the precision that autocast gives the heads."""

    def forward(self, heads: Tensor) -> Tensor:
        assert self.weight is not None
        return F.rms_norm(heads, tuple(self.normalized_shape), self.weight.to(heads.dtype), self.eps)


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        # The gap in the middle is a dropout of diffusers', which its numbering of parameters counts.
        self.net = nn.ModuleList(
            [_Gelu(width, _MLP_RATIO * width), nn.Identity(), nn.Linear(_MLP_RATIO * width, width)]
        )

    def forward(self, hidden: Tensor) -> Tensor:
        for part in self.net:
            hidden = part(hidden)
        return hidden


class _Gelu(nn.Module):
    """A linear layer and its GELU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width_in, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.gelu(self.proj(hidden), approximate="tanh")


def _inside_half(hidden: Tensor) -> Tensor:
    """FLUX's residual stream can leave the range of fp16."""
    return hidden.clamp(-_HALF_MAX, _HALF_MAX) if hidden.dtype == torch.float16 else hidden
