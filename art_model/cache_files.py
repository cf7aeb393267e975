"""The files of a cache of designs: their schemas, and what they are checked for.

CACHE/cache.json                 what the cache was made of and by: its key
CACHE/part-00000.json            the designs of a part, in order; written last, so that a part without it does not exist
CACHE/part-00000.safetensors     their tokens and embedded prompts, each with a hash in the JSON
CACHE/empty.safetensors          the empty prompt, embedded
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from art_model.dataset import Record
from art_model.encoders import EncoderFacts
from art_model.text import PromptEmbedding
from art_model.variants import VariantConfig
from layered.brief import describe_validation_error
from layered.errors import UserError

CODE_VERSION: Final = 1
"""Raised when equal designs and encoders come to give other tokens, variants or prompts: older caches are stale."""

SAMPLES_IN_A_PART: Final = 16
CACHE_FILE: Final = "cache.json"
EMPTY_FILE: Final = "empty.safetensors"
Kind = Literal["image", "text"]
_Model = TypeVar("_Model", bound=BaseModel)


class CacheKey(BaseModel):
    """Everything that a cache's contents follow from.

    Attributes:
        code: `CODE_VERSION`.
        encoders: hashes and measures of the encoders.
        text_kept: whether embedded prompts are in the cache; otherwise they are embedded when they are read.
        text_quantized: whether an encoder of 8 bits embeds them when they are read.
        largest_side: as in `art_model.dataset.DataConfig`.
        variants, seed: what variants are made by; the defaults where none are made.
        samples: content hash of each sample by its id, in order.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    code: int = CODE_VERSION
    encoders: EncoderFacts
    text_kept: bool
    text_quantized: bool
    largest_side: int | None
    variants: VariantConfig
    seed: int
    samples: dict[str, str]

    @classmethod
    def of(
        cls,
        records: Sequence[Record],
        encoders: EncoderFacts,
        *,
        largest_side: int | None,
        variants: VariantConfig,
        seed: int,
        text_kept: bool = True,
        text_quantized: bool = False,
    ) -> CacheKey:
        plain = variants.count == 1
        return cls(
            encoders=encoders,
            text_kept=text_kept,
            text_quantized=text_quantized and not text_kept,
            largest_side=largest_side,
            variants=VariantConfig() if plain else variants,
            seed=0 if plain else seed,
            samples={record.sample_id: record.content for record in records},
        )

    @property
    def digest(self) -> str:
        """A hash, hexadecimal: equal for equal keys alone, so that its beginning can name a cache's folder."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def parts(self) -> int:
        """How many parts the cache has."""
        return -(-len(self.samples) // SAMPLES_IN_A_PART)

    def samples_of(self, part: int) -> list[str]:
        """The ids of a part's samples, in order."""
        return list(self.samples)[part * SAMPLES_IN_A_PART : (part + 1) * SAMPLES_IN_A_PART]

    def difference_from(self, found: CacheKey) -> str | None:
        """How a key that was found differs from this one, in a few words; None where it does not."""
        own, other = self.model_dump(exclude={"samples"}), found.model_dump(exclude={"samples"})
        for name, value in {**own.pop("encoders"), **own}.items():
            theirs = other["encoders"].get(name, other.get(name))
            if theirs != value:
                return f"{name} is {_short(theirs)} there, {_short(value)} here"
        for sample_id, content in self.samples.items():
            if sample_id not in found.samples:
                return f"it lacks sample {sample_id}"
            if found.samples[sample_id] != content:
                return f"sample {sample_id} has changed since"
        if more := [sample_id for sample_id in found.samples if sample_id not in self.samples]:
            return f"it holds sample {more[0]}, which is not among the data"
        return None if list(found.samples) == list(self.samples) else "its samples stand in another order"


class CacheEntry(BaseModel):
    """What is known of a cached design without its tensors.

    Attributes:
        content: content hash of the sample it was made of.
        boxes: ``[x0, y0, x1, y1]`` of the foregrounds.
        tokens, text_tokens: tokens of its regions and of its prompt.
        sha256: of its tensors' bytes.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    sample_id: str
    variant: int
    content: str
    canvas: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]
    kinds: tuple[Kind, ...]
    prompt: str
    tokens: int
    text_tokens: int
    sha256: str

    def tensor_name(self, what: str) -> str:
        """The name of one of its tensors (``tokens``, ``text``, ``pooled``) in the part's file."""
        return f"{self.sample_id}.{self.variant}.{what}"


class CachePart(BaseModel):
    """The record of a part.

    Attributes:
        key: digest of the cache's key.
        size: bytes of the file with the tensors.
        left_out: how many samples and variants are not in it, by reason.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: str
    size: int
    entries: tuple[CacheEntry, ...]
    left_out: dict[str, int]


def part_file(folder: Path, number: int) -> Path:
    """Where the record of a part stands."""
    return folder / f"part-{number:05d}.json"


def tensors_file(folder: Path, number: int) -> Path:
    """Where the tensors of a part stand."""
    return part_file(folder, number).with_suffix(".safetensors")


def check_key(folder: Path, key: CacheKey) -> None:
    """Raises UserError unless the folder holds a cache of that key, complete or not."""
    if not (folder / CACHE_FILE).is_file():
        raise UserError(f"{folder} holds no cache: it has no {CACHE_FILE}")
    difference = key.difference_from(_read(CacheKey, folder / CACHE_FILE))
    if difference is not None:
        raise UserError(f"{folder} is the cache of other data ({difference}): give another folder, or remove this one")


def read_part(folder: Path, number: int, key: CacheKey) -> CachePart | None:
    """The record of a part, checked against the key; None where there is none yet.

    Raises:
        UserError: when it is damaged, incomplete, or was made for another key; what it is about is named.
    """
    path, tensors = part_file(folder, number), tensors_file(folder, number)
    if not path.is_file():
        return None
    part = _read(CachePart, path)
    expected = key.samples_of(number)
    for entry in part.entries:
        if entry.sample_id not in expected:
            raise UserError(f"{path}: sample {entry.sample_id} does not belong there: {again(path)}")
        if entry.content != key.samples[entry.sample_id]:
            raise UserError(f"{path}: sample {entry.sample_id} has changed since it was cached: {again(path)}")
    if part.key != key.digest:
        raise UserError(f"{path} is a part of another cache: {again(path)}")
    size = tensors.stat().st_size if tensors.is_file() else None
    if size != part.size:
        found = "is missing" if size is None else f"has {size} of {part.size} bytes"
        raise UserError(f"{tensors} {found}: {again(path)}")
    return part


def read_empty(folder: Path) -> PromptEmbedding:
    """The empty prompt. Raises UserError when it is missing or not what was written."""
    path = folder / EMPTY_FILE
    try:
        with safe_open(path, "pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in ("text", "pooled")}
            written = (stored.metadata() or {}).get("sha256")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): {again(path)}") from error
    if hash_of(tensors) != written:
        raise UserError(f"{path} is corrupt (its hash is another one): {again(path)}")
    return PromptEmbedding(**tensors)


def hash_of(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of tensors' bytes in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(kind: type[_Model], path: Path) -> _Model:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        found = describe_validation_error(error)[:200]
        raise UserError(f"{path} is damaged ({found}): {again(path)}") from error


def again(path: Path) -> str:
    """The way out of a damaged file."""
    return f"remove {path.name} and build the cache again; the rest of it is kept"


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) else str(value)
