"""Joint attention over packed samples: the tokens of a sample, text and image, see each other and nobody else.

Four ways to compute one thing, chosen by what is at hand:

- ``sdpa``: torch's attention sample by sample. Any device, any precision; the oracle of the others.
- ``blocked``: our own blocks of products (`art_model/blocked_attention.py`), sample by sample. bfloat16 on CPUs.
- ``varlen``: one kernel over all samples (`torch.nn.attention.varlen`). CUDA, half precision.
- ``flash``: the same from the package flash-attn, where it is installed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from art_model.blocked_attention import are_scores_bounded, blocked_attention

Backend = Literal["sdpa", "blocked", "varlen", "flash"]

_Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Spans:
    """Where the samples stand in a joint sequence ``[text of all samples; image tokens of all samples]``.

    Attributes:
        text: rows of the text part, padding included.
        image: rows of the image part, padding included.
        text_lengths: text tokens of each sample.
        image_lengths: image tokens of each sample.
    """

    text: int
    image: int
    text_lengths: tuple[int, ...]
    image_lengths: tuple[int, ...]
    _kernel_inputs: dict[torch.device, "_KernelInputs"] = field(default_factory=dict, repr=False)

    @property
    def contiguous(self) -> bool:
        """Whether the joint sequence is one sample, so that it already is in order."""
        return len(self.text_lengths) == 1 and self.text_lengths[0] == self.text and self.image_lengths[0] == self.image

    @property
    def longest(self) -> int:
        """Tokens of the longest sample."""
        return max(sum(pair) for pair in zip(self.text_lengths, self.image_lengths, strict=True))

    def kernel_inputs(self, device: torch.device) -> "_KernelInputs":
        if device not in self._kernel_inputs:
            self._kernel_inputs[device] = _KernelInputs.of(self, device)
        return self._kernel_inputs[device]


@dataclass(frozen=True, eq=False)
class _KernelInputs:
    """What one kernel over all samples needs: the order that puts samples back to back, its inverse, and their ends.

    Attributes:
        order: ``[kept]`` row of the joint sequence that comes at each place.
        inverse: ``[text + image]`` place of each row; padding has the place after the last.
        ends: ``[B + 1]`` int32.
        longest: tokens of the longest sample.
    """

    order: Tensor
    inverse: Tensor
    ends: Tensor
    longest: int

    @classmethod
    def of(cls, spans: Spans, device: torch.device) -> "_KernelInputs":
        lengths = [sum(pair) for pair in zip(spans.text_lengths, spans.image_lengths, strict=True)]
        texts = torch.split(torch.arange(sum(spans.text_lengths)), list(spans.text_lengths))
        images = torch.split(torch.arange(spans.text, spans.text + sum(spans.image_lengths)), list(spans.image_lengths))
        order = torch.cat([part for pair in zip(texts, images, strict=True) for part in pair])
        inverse = torch.full((spans.text + spans.image,), len(order))
        inverse[order] = torch.arange(len(order))
        ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
        return cls(order.to(device), inverse.to(device), ends.to(device), spans.longest)


AttentionPattern = Callable[[Tensor, Tensor, Tensor, Spans], Tensor]
"""Another attention than that inside samples, for comparisons; takes and returns what `attend` does."""


def choose_backend(query: Tensor) -> Backend:
    """``varlen`` for half precision on CUDA, ``blocked`` for bfloat16 on CPUs, else ``sdpa``."""
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        return "varlen"
    return "blocked" if query.device.type == "cpu" and query.dtype == torch.bfloat16 else "sdpa"


# Compilers would compile again for every new set of lengths.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def attend(
    query: Tensor, key: Tensor, value: Tensor, spans: Spans, backend: Backend | AttentionPattern | None = None
) -> Tensor:
    """Attention inside each sample. The one place where compiled blocks are cut in two.

    Args:
        query, key, value: ``[text + image, heads, head width]`` in the order of `spans`.
        spans: which rows belong together.
        backend: which way; None chooses. A function in its place decides itself who sees whom.

    Returns:
        ``[text + image, heads · head width]`` in the same order; zero in padding.
    """
    if callable(backend):
        return backend(query, key, value, spans)
    match backend or choose_backend(query):
        case "sdpa":
            return _attend_by_sample(query, key, value, spans, _sdpa)
        case "blocked":
            return _attend_by_sample(query, key, value, spans, _blocked)
        case "varlen":
            return _attend_in_one(query, key, value, spans, _varlen)
        case "flash":
            return _attend_in_one(query, key, value, spans, _flash)


def _attend_by_sample(query: Tensor, key: Tensor, value: Tensor, spans: Spans, attention: _Attention) -> Tensor:
    if spans.contiguous:
        return attention(query, key, value)
    # Splits, not slices: the gradient of a split is one concatenation.
    parts = [_by_sample(whole, spans) for whole in (query, key, value)]
    attended = [
        torch.split(attention(*(torch.cat(pair) for pair in sample)), [len(part) for part in sample[0]])
        for sample in zip(*parts, strict=True)
    ]
    texts, images = [text for text, _ in attended], [image for _, image in attended]
    width = query.shape[1] * query.shape[2]
    text_rest, image_rest = spans.text - sum(spans.text_lengths), spans.image - sum(spans.image_lengths)
    return torch.cat([*texts, query.new_zeros(text_rest, width), *images, query.new_zeros(image_rest, width)])


def _by_sample(whole: Tensor, spans: Spans) -> list[tuple[Tensor, Tensor]]:
    """Per sample its text rows and its image rows."""
    count = len(spans.text_lengths)
    text_rest, image_rest = spans.text - sum(spans.text_lengths), spans.image - sum(spans.image_lengths)
    parts = torch.split(whole, [*spans.text_lengths, text_rest, *spans.image_lengths, image_rest])
    return list(zip(parts[:count], parts[count + 1 : -1], strict=True))


def _sdpa(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``[n, heads, head width]`` of one sample to ``[n, heads · head width]``."""
    query, key, value = (part.transpose(0, 1)[None] for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1).flatten(1)


def _blocked(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if not are_scores_bounded(query, key):
        return _sdpa(query, key, value)
    return blocked_attention(query, key, value).flatten(1)


def _attend_in_one(query: Tensor, key: Tensor, value: Tensor, spans: Spans, kernel: Any) -> Tensor:
    inputs = spans.kernel_inputs(query.device)
    if spans.contiguous:
        return kernel(query, key, value, inputs).flatten(1)  # type: ignore[no-any-return]
    attended = kernel(query[inputs.order], key[inputs.order], value[inputs.order], inputs)
    return F.pad(attended, (0, 0, 0, 0, 0, 1))[inputs.inverse].flatten(1)


def _varlen(query: Tensor, key: Tensor, value: Tensor, inputs: _KernelInputs) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    attended = varlen_attn(query, key, value, inputs.ends, inputs.ends, inputs.longest, inputs.longest)
    assert isinstance(attended, Tensor)  # a pair only where its log sums are asked for
    return attended


def _flash(query: Tensor, key: Tensor, value: Tensor, inputs: _KernelInputs) -> Tensor:
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]

    ends, longest = inputs.ends, inputs.longest
    attended: Tensor = flash_attn_varlen_func(query, key, value, ends, ends, longest, longest)
    return attended
