"""Designs as tokens, ready to train on: what the frozen encoders make of them, kept on disk.

`art_model.cache_building` makes a cache, `art_model.cache_files` says what it consists of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from art_model.cache_files import (
    CacheEntry,
    CacheKey,
    Kind,
    again,
    check_key,
    hash_of,
    part_file,
    read_empty,
    read_part,
    tensors_file,
)
from art_model.encoders import quantize_prompts
from art_model.regions import FIRST_FOREGROUND, TOKEN, Regions, regions_of
from art_model.text import PromptEmbedding, PromptEncoder
from layered.arrays import Size
from layered.box import Box
from layered.errors import UserError

_OPEN_FILES = 64


@dataclass(frozen=True, eq=False)
class CachedDesign:
    """One design, or one variant of it.

    Attributes:
        variant: 0 is the sample itself.
        canvas: ``(width, height)`` in pixels.
        boxes, kinds: of the foregrounds, bottom to top.
        tokens: ``[n, channels]`` float16, posterior means of merged image, background and foregrounds, as
            `art_model.packing.latents_to_tokens` puts them; n is the number of tokens of `regions`.
        prompt: the caption of the whole.
        text: ``[t, joint]`` float16, the prompt embedded by T5.
        pooled: ``[pooled]`` float16, the prompt embedded by CLIP.
        token: side of a token in pixels.
    """

    sample_id: str
    variant: int
    canvas: Size
    boxes: tuple[Box, ...]
    kinds: tuple[Kind, ...]
    tokens: Tensor
    prompt: str
    text: Tensor
    pooled: Tensor
    token: int = TOKEN

    @property
    def regions(self) -> Regions:
        return regions_of(self.canvas, self.boxes, token=self.token)

    def reordered(self, order: Sequence[int]) -> CachedDesign:
        """The foregrounds in another order, bottom to top. It is the same picture if those that overlap keep theirs."""
        parts = torch.split(self.tokens, list(self.regions.lengths))
        return replace(
            self,
            boxes=tuple(self.boxes[index] for index in order),
            kinds=tuple(self.kinds[index] for index in order),
            tokens=torch.cat([*parts[:FIRST_FOREGROUND], *(parts[FIRST_FOREGROUND + index] for index in order)]),
        )


@dataclass(eq=False)
class DesignCache:
    """A complete cache, open for reading. Entries are checked against their hashes when they are first read.

    Attributes:
        entries: of all cached designs, in order.
        left_out: how many samples and variants are not in the cache, by reason.
        empty: the empty prompt, embedded.
    """

    folder: Path
    key: CacheKey
    entries: tuple[CacheEntry, ...]
    left_out: Mapping[str, int]
    empty: PromptEmbedding
    _parts: tuple[int, ...]
    _encoder: PromptEncoder | None = None
    _checked: set[int] = field(default_factory=set)
    _files: OrderedDict[int, Any] = field(default_factory=OrderedDict)

    @classmethod
    def open(cls, folder: Path, key: CacheKey) -> DesignCache:
        """Opens the cache that was made for a key. No tensor is read yet.

        Raises:
            UserError: when there is no cache, when it or a part of it was made for another key, when a sample in it is
                not the expected one, or when a part is missing or cut off; what it is about is named.
        """
        check_key(folder, key)
        entries: list[CacheEntry] = []
        places: list[int] = []
        left_out: dict[str, int] = {}
        for number in range(key.parts):
            part = read_part(folder, number, key)
            if part is None:
                raise UserError(
                    f"{part_file(folder, number)} is missing: build the cache again; the rest of it is kept"
                )
            entries += part.entries
            places += [number] * len(part.entries)
            for reason, count in part.left_out.items():
                left_out[reason] = left_out.get(reason, 0) + count
        return cls(folder, key, tuple(entries), left_out, read_empty(folder), tuple(places))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each design, those of its prompt included."""
        return [entry.tokens + entry.text_tokens for entry in self.entries]

    def report(self) -> str:
        """What is in the cache and what is not, in one line."""
        reasons = "".join(f"; {number} left out: {reason}" for reason, number in self.left_out.items())
        return f"{len(self)} designs of {len(self.key.samples)} samples in {self.folder}{reasons}"

    def embed_with(self, encoder: PromptEncoder) -> None:
        """Sets the encoder that embeds prompts when they are read; needed where the key says that none are kept.

        Where the key says so, its matrices are rounded to 8 bits, in place. Raises UserError without torchao.
        """
        if self.key.text_quantized:
            quantize_prompts(encoder)
        self._encoder = encoder

    def __getitem__(self, index: int) -> CachedDesign:
        """One design. Raises UserError when its file is missing or not what was written."""
        entry, number = self.entries[index], self._parts[index]
        path = tensors_file(self.folder, number)
        names = ("tokens", "text", "pooled") if self.key.text_kept else ("tokens",)
        try:
            stored = self._open(number)
            tensors = {name: stored.get_tensor(entry.tensor_name(name)) for name in names}
        except (OSError, SafetensorError) as error:
            raise _corrupt(path, entry, str(error)) from error
        if index not in self._checked:
            if hash_of(tensors) != entry.sha256:
                raise _corrupt(path, entry, "its hash is another one")
            self._checked.add(index)
        if not self.key.text_kept:
            tensors |= self._embedded(entry.prompt)
        return CachedDesign(
            entry.sample_id,
            entry.variant,
            entry.canvas,
            tuple(map(Box.of, entry.boxes)),
            entry.kinds,
            tensors["tokens"],
            entry.prompt,
            tensors["text"],
            tensors["pooled"],
            self.key.encoders.token,
        )

    def __iter__(self) -> Iterator[CachedDesign]:
        return (self[index] for index in range(len(self)))

    def _embedded(self, prompt: str) -> dict[str, Tensor]:
        if self._encoder is None:
            raise ValueError(f"{self.folder} keeps no embedded prompts: call `embed_with` first")
        with torch.inference_mode():
            embedded = self._encoder([prompt])[0]
        return {"text": embedded.text.half().cpu(), "pooled": embedded.pooled.half().cpu()}

    def _open(self, number: int) -> Any:
        if number not in self._files:
            if len(self._files) == _OPEN_FILES:
                self._files.popitem(last=False)
            self._files[number] = safe_open(tensors_file(self.folder, number), "pt")
        self._files.move_to_end(number)
        return self._files[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": OrderedDict()}  # open files stay in their process


def _corrupt(path: Path, entry: CacheEntry, what: str) -> UserError:
    name = f"sample {entry.sample_id}, variant {entry.variant}"
    return UserError(f"{path}: {name} is corrupt ({what}): {again(path.with_suffix('.json'))}")
