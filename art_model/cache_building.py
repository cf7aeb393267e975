"""Encodes a dataset once: every design and variant becomes tokens on disk, part by part.

Killed at any moment and started again, the build ends in the files of an undisturbed one. The encoders are loaded when
something is missing, and freed before the transformer needs their place.
"""

from __future__ import annotations

import fcntl
import gc
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import Tensor

from art_model.cache_files import (
    CACHE_FILE,
    EMPTY_FILE,
    SAMPLES_IN_A_PART,
    CacheEntry,
    CacheKey,
    CachePart,
    check_key,
    hash_of,
    part_file,
    read_part,
    tensors_file,
)
from art_model.caching import DesignCache
from art_model.dataset import LayeredDataset, Record
from art_model.encoders import EncoderFacts, Encoders, encoder_facts, load_encoders
from art_model.regions import regions_of
from art_model.variants import Variant, VariantConfig, variant_of
from layered.errors import FailedWorkError, UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar

_HALF = 2  # bytes
_LOCK_FILE = ".lock"
_TEMPORARY = ".tmp"


class CacheConfig(BaseModel):
    """What a cache may take.

    Attributes:
        folder: where caches are kept, each in a folder named by its key. In a configuration file the path is relative
            to that file.
        largest_gigabytes: a larger cache is refused.
        prompts_gigabytes: where embedded prompts would take more, they are not kept but embedded whenever they are
            read, by an encoder that stays loaded.
        quantize_prompts: let that encoder have 8-bit weights; needs torchao.
        stream: read shards front to back by webdataset instead of sample by sample; for disks and networks that seek
            slowly.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    folder: str
    largest_gigabytes: float = Field(100, gt=0)
    prompts_gigabytes: float = Field(20, ge=0)
    quantize_prompts: bool = False
    stream: bool = False


@dataclass(frozen=True)
class CacheSize:
    """At most so much: prompts count with their longest length, and variants as if all of them were possible.

    Attributes:
        designs: samples and their variants.
        token_bytes, text_bytes: of designs and of embedded prompts.
    """

    designs: int
    token_bytes: int
    text_bytes: int

    def __str__(self) -> str:
        kept = f"{self.token_bytes / 1e9:.3g} GB of tokens, {self.text_bytes / 1e9:.3g} GB of prompts"
        return f"at most {self.designs} designs, {kept}"


def size_of(records: Sequence[Record], encoders: EncoderFacts, variants: VariantConfig) -> CacheSize:
    """What a cache of these samples will take, without reading one of them."""
    tokens = sum(regions_of(record.canvas, record.boxes, token=encoders.token).tokens for record in records)
    designs = len(records) * variants.count
    prompt = encoders.text_length * encoders.joint + encoders.pooled
    return CacheSize(designs, tokens * variants.count * encoders.channels * _HALF, designs * prompt * _HALF)


def build_cache(
    dataset: LayeredDataset,
    model: Path,
    config: CacheConfig,
    *,
    variants: VariantConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> DesignCache:
    """The cache of a dataset, made as far as it is not there yet.

    Args:
        model: folder of the ART model whose encoders are used.
        variants: made of each sample; None makes none.
        seed: of the variants.
        device: of the encoders.
        say: takes lines for people: the expected size first, then progress and what is in the cache.

    Raises:
        UserError: when the cache would be too large, does not fit on the disk, or is damaged; when a sample is damaged.
        FailedWorkError: when an encoder gives numbers that cannot be stored.
    """
    variants = variants or VariantConfig()
    facts = encoder_facts(model)
    size = size_of(dataset.records, facts, variants)
    text_kept = size.text_bytes <= config.prompts_gigabytes * 1e9
    key = CacheKey.of(
        dataset.records,
        facts,
        largest_side=dataset.config.largest_side,
        variants=variants,
        seed=seed,
        text_kept=text_kept,
        text_quantized=config.quantize_prompts,
    )
    folder = Path(config.folder) / key.digest[:12]
    say(f"cache {folder}: {size}{'' if text_kept else ', which are embedded when they are read'}")
    with _alone_in(folder, say):
        _begin(folder, key)
        missing = {number for number in range(key.parts) if read_part(folder, number, key) is None}
        if missing:
            whole = size.token_bytes + size.text_bytes * text_kept
            _check_room(folder, whole, whole * len(missing) // key.parts, config)
        if missing or not (folder / EMPTY_FILE).is_file():
            _build(folder, key, missing, dataset, load_encoders(model, device=device), config.stream, say)
            _free_memory()
    cache = DesignCache.open(folder, key)
    say(cache.report())
    if not len(cache):
        raise UserError(f"{folder}: no design is left to learn from: allow longer prompts or other samples")
    return cache


@contextmanager
def _alone_in(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process builds there; trainings share caches. Removes what a killed one left half."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waits for another process that builds {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f".*{_TEMPORARY}"):
            left.unlink()
        yield


def _begin(folder: Path, key: CacheKey) -> None:
    if (folder / CACHE_FILE).is_file():
        check_key(folder, key)
        return
    if folder.is_dir() and any(folder.glob("part-*.json")):
        raise UserError(f"{folder} has parts but no {CACHE_FILE}: remove the folder")
    _write(folder / CACHE_FILE, key.model_dump_json(indent=1).encode())


def _check_room(folder: Path, whole: int, missing: int, config: CacheConfig) -> None:
    if whole > config.largest_gigabytes * 1e9:
        raise UserError(
            f"the cache would take up to {whole / 1e9:.3g} GB, above largest_gigabytes {config.largest_gigabytes:g}: "
            "raise it, take fewer samples or variants, or a smaller largest_side"
        )
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise UserError(f"{folder}: {missing / 1e9:.3g} GB are needed, {free / 1e9:.3g} GB are free: make room")


def _build(
    folder: Path,
    key: CacheKey,
    missing: set[int],
    dataset: LayeredDataset,
    encoders: Encoders,
    stream: bool,
    say: Callable[[str], None],
) -> None:
    if not (folder / EMPTY_FILE).is_file():
        empty = encoders.embed("")
        _save({"text": empty.text, "pooled": empty.pooled}, folder / EMPTY_FILE)
    for made, (number, samples) in enumerate(_parts(dataset, missing, stream), start=1):
        _write_part(folder, number, key, samples, encoders)
        say(f"part {number} written, {made} of {len(missing)}")


def _parts(
    dataset: LayeredDataset, missing: set[int], stream: bool
) -> Iterator[tuple[int, list[tuple[Record, LayeredImage, Sidecar]]]]:
    """The samples of each missing part."""
    if stream:
        numbered = enumerate(dataset.stream())
        for number, members in groupby(numbered, lambda item: item[0] // SAMPLES_IN_A_PART):
            if number in missing:
                yield number, [sample for _, sample in members]
        return
    for number in sorted(missing):
        records = dataset.records[number * SAMPLES_IN_A_PART : (number + 1) * SAMPLES_IN_A_PART]
        yield number, [(record, *dataset.sample(record.sample_id)) for record in records]


def _write_part(
    folder: Path,
    number: int,
    key: CacheKey,
    samples: Sequence[tuple[Record, LayeredImage, Sidecar]],
    encoders: Encoders,
) -> None:
    """Writes the tensors, then the record that makes them count."""
    left_out: Counter[str] = Counter()
    designs: list[tuple[Record, int, Variant]] = []
    for record, image, sidecar in samples:
        for variant in range(key.variants.count):
            design = variant_of(image, sidecar, variant, key.variants, seed=key.seed)
            if design is None:
                left_out["variants that cannot be made"] += 1
            elif encoders.prompts.count_tokens(design.prompt) > encoders.prompts.length:
                left_out[f"prompts of more than {encoders.prompts.length} tokens"] += 1
            else:
                designs.append((record, variant, design))
    stored: dict[str, Tensor] = {}
    entries = []
    for (record, variant, design), tokens in zip(
        designs, encoders.encode([design.image for _, _, design in designs]) if designs else [], strict=True
    ):
        text = encoders.embed(design.prompt) if key.text_kept else None
        tensors = {"tokens": tokens} | ({} if text is None else {"text": text.text, "pooled": text.pooled})
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise FailedWorkError(
                f"sample {record.sample_id}, variant {variant}: an encoder gave numbers that float16 cannot hold: "
                "leave the sample out, or check the model's files"
            )
        entry = CacheEntry(
            sample_id=record.sample_id,
            variant=variant,
            content=record.content,
            canvas=design.image.canvas,
            boxes=tuple(layer.box.as_tuple() for layer in design.image.layers),
            kinds=design.kinds,
            prompt=design.prompt,
            tokens=len(tokens),
            text_tokens=_text_tokens(design.prompt, encoders),
            sha256=hash_of(tensors),
        )
        stored |= {entry.tensor_name(name): tensor for name, tensor in tensors.items()}
        entries.append(entry)
    _save(stored, tensors_file(folder, number))
    size = tensors_file(folder, number).stat().st_size
    record_of_part = CachePart(key=key.digest, size=size, entries=tuple(entries), left_out=dict(left_out))
    _write(part_file(folder, number), record_of_part.model_dump_json().encode())


def _text_tokens(prompt: str, encoders: Encoders) -> int:
    return encoders.prompts.length if encoders.prompts.pad else encoders.prompts.count_tokens(prompt)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    temporary = _beside(path)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, temporary, metadata={"sha256": hash_of(tensors)})
    temporary.replace(path)


def _write(path: Path, content: bytes) -> None:
    temporary = _beside(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_TEMPORARY}")


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
