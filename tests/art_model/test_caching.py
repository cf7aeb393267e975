"""The cache of encoded designs: built once, resumed after anything, and refused when it is not what was asked for."""

import functools
import json
import pickle
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from art_model import cache_building
from art_model.autoencoder import encode_regions
from art_model.cache_building import CacheConfig, build_cache, size_of
from art_model.caching import CachedDesign, DesignCache
from art_model.checkpoint import Part, read_settings
from art_model.dataset import DataConfig, LayeredDataset
from art_model.encoders import Encoders, encoder_facts, load_encoders, load_prompts
from art_model.packing import latents_to_tokens
from art_model.regions import regions_of
from art_model.text import PromptEmbedding
from art_model.variants import VariantConfig, variant_of
from layered import Box, LayeredImage, UserError
from layered.errors import FailedWorkError
from models import TINY
from shards.writer import ShardConfig, write_publication
from tests.art_model.tiny_publication import make_design, shard_sample, tiny_publication
from tests.shards.samples import flip_byte, folder_bytes

VARIANTS = VariantConfig(count=3, drop=0.8)


class Stopped(BaseException):
    """What stands for a process that is killed."""


class MeanVae:
    """An autoencoder in no time: a latent is the mean colour of 8 × 8 pixels, seen through a fixed random matrix."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(block_out_channels=(8, 8, 8, 8), scaling_factor=1.0, shift_factor=None)
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.matrix = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))

    def encode(self, images: torch.Tensor) -> Any:
        mean = torch.einsum("lc,bchw->blhw", self.matrix, torch.nn.functional.avg_pool2d(images, 8))
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean))


class QuickEncoders(Encoders):
    """Embeds each prompt once, however many caches it comes into."""

    @functools.cached_property
    def known(self) -> dict[str, PromptEmbedding]:
        return {}

    def embed(self, prompt: str) -> PromptEmbedding:
        if prompt not in self.known:
            self.known[prompt] = super().embed(prompt)
        return PromptEmbedding(self.known[prompt].text.clone(), self.known[prompt].pooled.clone())


@pytest.fixture(scope="module")
def shipped_encoders() -> Encoders:
    return load_encoders(TINY, device="cpu")


@pytest.fixture(scope="module")
def encoders(shipped_encoders: Encoders) -> Encoders:
    return QuickEncoders(shipped_encoders.prompts, MeanVae(), 16)


@pytest.fixture
def loads(encoders: Encoders, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Lets all caches share one set of encoders, and counts how often they are asked for."""
    asked: list[Path] = []

    def load(model: Path, **_: Any) -> Encoders:
        asked.append(model)
        return encoders

    monkeypatch.setattr(cache_building, "load_encoders", load)
    monkeypatch.setattr(cache_building, "_free_memory", lambda: None)
    monkeypatch.setattr(cache_building, "SAMPLES_IN_A_PART", 2)
    monkeypatch.setattr("art_model.cache_files.SAMPLES_IN_A_PART", 2)
    return asked


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LayeredDataset:
    """Five designs of one to four layers."""
    publication = tiny_publication(tmp_path_factory.mktemp("caching") / "set", 6, per_shard=2)
    return LayeredDataset.open(DataConfig(publication=str(publication.path)))


Build = Callable[..., DesignCache]


@pytest.fixture
def build(dataset: LayeredDataset, tmp_path: Path, loads: list[Path]) -> Build:
    """Builds in tmp_path/caches; says nothing."""

    def call(
        data: LayeredDataset = dataset, *, say: Callable[[str], None] = lambda _: None, **options: Any
    ) -> DesignCache:
        variants, seed = options.pop("variants", VARIANTS), options.pop("seed", 1)
        config = CacheConfig(folder=options.pop("folder", str(tmp_path / "caches")), **options)
        return build_cache(data, TINY, config, variants=variants, seed=seed, device="cpu", say=say)

    return call


def opaque(rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)


def assert_same(one: CachedDesign, other: CachedDesign) -> None:
    for name in ("sample_id", "variant", "canvas", "boxes", "kinds", "prompt", "token"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("tokens", "text", "pooled"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_cached_design_is_what_the_encoders_make_of_it(
    build: Build, dataset: LayeredDataset, encoders: Encoders
) -> None:
    cache = build()
    assert {entry.sample_id for entry in cache.entries} == {record.sample_id for record in dataset.records}
    seen = 0
    for index, design in enumerate(cache):
        image, sidecar = dataset.sample(design.sample_id)
        made = variant_of(image, sidecar, design.variant, VARIANTS, seed=1)
        assert made is not None
        assert (design.prompt, design.kinds) == (made.prompt, made.kinds)
        assert design.boxes == tuple(layer.box for layer in made.image.layers)
        pictures = [opaque(made.image.whole()), opaque(made.image.base), *(layer.pixels for layer in made.image.layers)]
        latents = encode_regions(encoders.vae, pictures, design.regions)
        expected = torch.cat([latents_to_tokens(own) for own in latents])
        assert design.tokens.dtype == torch.float16
        assert design.tokens.shape == expected.shape == (design.regions.tokens, 64)
        # Crops in one batch differ in the last bits from crops alone.
        torch.testing.assert_close(design.tokens.float(), expected, rtol=2e-3, atol=2e-3)
        assert design.tokens.std() > 0.1
        embedded = encoders.embed(made.prompt)
        assert torch.equal(design.text, embedded.text)
        assert torch.equal(design.pooled, embedded.pooled)
        assert cache.lengths[index] == len(design.tokens) + len(design.text)
        seen += design.variant > 0
    assert seen > 3
    empty = encoders.embed("")
    assert torch.equal(cache.empty.text, empty.text)
    assert torch.equal(cache.empty.pooled, empty.pooled)


def test_the_size_comes_first_and_bounds_what_is_written(build: Build, dataset: LayeredDataset) -> None:
    lines: list[str] = []
    cache = build(say=lines.append)
    size = size_of(dataset.records, encoder_facts(TINY), VARIANTS)
    assert lines[0] == f"cache {cache.folder}: {size}"
    assert len(cache) <= size.designs == 15
    tensors = sum(design.tokens.nbytes + design.text.nbytes + design.pooled.nbytes for design in cache)
    assert tensors <= size.token_bytes + size.text_bytes
    plain = build(variants=VariantConfig())
    exact = size_of(dataset.records, encoder_facts(TINY), VariantConfig())
    assert sum(design.tokens.nbytes for design in plain) == exact.token_bytes


def test_every_variant_that_cannot_be_made_is_counted(build: Build) -> None:
    lines: list[str] = []
    cache = build(variants=VariantConfig(count=3, drop=1, move=0, group=0), say=lines.append)
    # The first sample has one layer, which stays.
    assert cache.left_out == {"variants that cannot be made": 2}
    assert lines[-1] == f"13 designs of 5 samples in {cache.folder}; 2 left out: variants that cannot be made"


def test_prompts_too_long_for_the_model_are_counted(tmp_path: Path, build: Build) -> None:
    samples = [make_design(number, 2) for number in range(3)]
    samples[1] = samples[1][0], samples[1][1].model_copy(update={"whole_caption": "a red circle and " * 60})
    write_publication([shard_sample(*sample) for sample in samples], tmp_path / "set", ShardConfig())
    cache = build(LayeredDataset.open(DataConfig(publication=str(tmp_path / "set"))), variants=VariantConfig())
    assert [entry.sample_id for entry in cache.entries] == ["s0000000", "s0000002"]
    assert cache.left_out == {"prompts of more than 128 tokens": 1}


def test_a_second_build_loads_nothing(build: Build, loads: list[Path]) -> None:
    first = build()
    second = build()
    assert len(loads) == 1
    assert second.entries == first.entries


def test_streaming_and_ranges_give_the_same_bytes(build: Build, tmp_path: Path) -> None:
    ranges, streamed = build(folder=str(tmp_path / "a")), build(folder=str(tmp_path / "b"), stream=True)
    assert folder_bytes(ranges.folder) == folder_bytes(streamed.folder)


def test_a_build_stopped_anywhere_ends_in_the_same_bytes(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while the n-th file is being written: half of it is there, under another name."""
    undisturbed = folder_bytes(build(folder=str(tmp_path / "undisturbed")).folder)
    written = 0

    def stopping_at(stop: int) -> Callable[[Path, Path], Path]:
        replace = Path.replace

        def call(path: Path, target: Path) -> Path:
            nonlocal written
            written += 1
            if written == stop:
                path.write_bytes(path.read_bytes()[:20])
                raise Stopped
            return replace(path, target)

        return call

    for stop in range(1, len(undisturbed)):  # all but the lock
        folder, written = str(tmp_path / f"stopped{stop}"), 0
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", stopping_at(stop))
            with pytest.raises(Stopped):
                build(folder=folder, stream=stop % 2 == 0)
        assert folder_bytes(build(folder=folder, stream=stop % 3 == 0).folder) == undisturbed


def test_two_that_build_at_once_build_one_cache(build: Build, loads: list[Path]) -> None:
    """The second waits, and finds everything done."""
    waiting = threading.Event()
    building = threading.Event()
    caches: list[DesignCache] = []

    def first(line: str) -> None:
        if line.startswith("part 0"):
            building.set()
            assert waiting.wait(60)

    def second(line: str) -> None:
        if line.startswith("waits for another process"):
            waiting.set()

    thread = threading.Thread(target=lambda: caches.append(build(say=first)))
    thread.start()
    assert building.wait(60)
    caches.append(build(say=second))
    thread.join()
    assert len(loads) == 1
    assert caches[0].entries == caches[1].entries


def test_prompts_filled_up_to_the_longest_count_with_all_their_tokens(dataset: LayeredDataset, tmp_path: Path) -> None:
    settings = json.loads((TINY / "art" / "art.json").read_bytes()) | {"pad_text": True, "text_length": 40}
    parts: tuple[Part, ...] = ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    settings["parts"] = {part: str(read_settings(TINY).folder_of(part, TINY / "art")) for part in parts}
    (tmp_path / "art.json").write_text(json.dumps(settings))
    config = CacheConfig(folder=str(tmp_path / "caches"))
    cache = build_cache(dataset, tmp_path, config, device="cpu", say=lambda _: None)
    assert {entry.text_tokens for entry in cache.entries} == {len(design.text) for design in cache} == {40}
    exact = size_of(dataset.records, encoder_facts(tmp_path), VariantConfig())
    assert sum(design.text.nbytes + design.pooled.nbytes for design in cache) == exact.text_bytes


def test_encoders_are_freed_after_the_build(
    dataset: LayeredDataset, tmp_path: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Encoders]] = []

    def load(*_: Any, **__: Any) -> Encoders:
        own = Encoders(encoders.prompts, encoders.vae, encoders.token)
        alive.append(weakref.ref(own))
        return own

    monkeypatch.setattr(cache_building, "load_encoders", load)
    build_cache(dataset, TINY, CacheConfig(folder=str(tmp_path)), device="cpu", say=lambda _: None)
    assert alive[0]() is None


def test_a_cache_above_the_limit_is_refused_before_anything_is_loaded(build: Build, loads: list[Path]) -> None:
    with pytest.raises(UserError, match=r"would take up to 0.00\d+ GB, above largest_gigabytes 1e-05: raise it"):
        build(largest_gigabytes=1e-5)
    assert not loads


def test_above_the_limit_prompts_are_embedded_when_they_are_read(build: Build, encoders: Encoders) -> None:
    kept, lines = build(), list[str]()
    lean = build(prompts_gigabytes=0, say=lines.append)
    assert lines[0].endswith("which are embedded when they are read")
    assert lean.folder != kept.folder
    assert lean.lengths == kept.lengths
    with pytest.raises(ValueError, match="call `embed_with` first"):
        lean[0]
    lean.embed_with(encoders.prompts)
    for one, other in zip(lean, kept, strict=True):
        assert_same(one, other)


def test_an_encoder_of_8_bits_makes_designs_of_their_own(build: Build) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    kept, lean = build(), build(prompts_gigabytes=0, quantize_prompts=True)
    assert lean.key.text_quantized
    assert lean.key.digest != build(prompts_gigabytes=0).key.digest
    assert kept.key.digest == build(quantize_prompts=True).key.digest  # nothing is embedded later
    encoder = load_prompts(TINY, device="cpu")
    lean.embed_with(encoder)
    lean.embed_with(encoder)  # rounded once
    for one, other in zip(lean, kept, strict=True):
        difference = (one.text.float() - other.text.float()).norm() / other.text.float().norm()
        assert 0 < difference < 0.02
        assert torch.equal(one.pooled, other.pooled)
        assert torch.equal(one.tokens, other.tokens)


def test_numbers_that_float16_cannot_hold_stop_the_build(
    build: Build, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflowing(designs: list[LayeredImage]) -> list[torch.Tensor]:
        return [torch.full((4, 64), 1e6).half() for _ in designs]

    monkeypatch.setattr(encoders, "encode", overflowing)
    with pytest.raises(FailedWorkError, match="sample s0000000, variant 0: an encoder gave numbers"):
        build()


def test_a_damaged_sample_stops_the_build_by_name(tmp_path: Path, build: Build) -> None:
    publication = tiny_publication(tmp_path / "set", 4)
    data = LayeredDataset.open(DataConfig(publication=str(publication.path)))
    member = publication.placement("s0000002").members[0]
    flip_byte(publication.path / "train-00000.tar", member.offset + 60)
    with pytest.raises(UserError, match="sample s0000002 is damaged"):
        build(data)
    assert len(list((tmp_path / "caches").rglob("part-*.json"))) == 1


def open_again(cache: DesignCache, **changes: Any) -> DesignCache:
    return DesignCache.open(cache.folder, cache.key.model_copy(update=changes))


def test_a_foreign_cache_is_refused_with_what_differs(build: Build) -> None:
    cache = build()
    other_encoder = cache.key.encoders.model_copy(update={"vae": "f" * 64})
    shorter = cache.key.encoders.model_copy(update={"text_length": 40})
    for changes, message in (
        ({"encoders": other_encoder}, r"vae is \w{12} there, ffffffffffff here"),
        ({"encoders": shorter}, "text_length is 128 there, 40 here"),
        ({"code": 2}, "code is 1 there, 2 here"),
        ({"seed": 5}, "seed is 1 there, 5 here"),
        ({"largest_side": 64}, "largest_side is None there, 64 here"),
    ):
        with pytest.raises(
            UserError, match=rf"is the cache of other data \({message}\): give another folder, or remove"
        ):
            open_again(cache, **changes)


def test_a_stale_cache_is_refused_with_the_sample(build: Build) -> None:
    cache = build()
    samples = cache.key.samples
    for changed, message in (
        (samples | {"s0000002": "0" * 64}, "sample s0000002 has changed since"),
        (samples | {"s0000077": "0" * 64}, "it lacks sample s0000077"),
        ({key: value for key, value in samples.items() if key != "s0000001"}, "it holds sample s0000001, which is not"),
        (dict(reversed(samples.items())), "its samples stand in another order"),
    ):
        with pytest.raises(UserError, match=message):
            open_again(cache, samples=changed)


def test_another_publication_seed_or_model_makes_another_cache(build: Build, tmp_path: Path) -> None:
    caches = [build(), build(seed=2), build(variants=VariantConfig(count=2))]
    smaller = LayeredDataset.open(DataConfig(publication=str(tiny_publication(tmp_path / "other", 3).path)))
    caches.append(build(smaller))
    assert len({cache.folder for cache in caches}) == 4
    assert build(seed=3, variants=VariantConfig()).folder == build(seed=4, variants=VariantConfig(drop=0.1)).folder


def test_parts_of_another_cache_are_refused(build: Build) -> None:
    cache, other = build(), build(seed=2)
    for suffix in ("json", "safetensors"):
        name = f"part-00001.{suffix}"
        (cache.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(
        UserError, match=r"part-00001.json is a part of another cache: remove part-00001.json and build"
    ):
        open_again(cache)
    with pytest.raises(UserError, match=r"part-00001.json is a part of another cache"):
        build()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sample_id", "s0000099", r"part-00001.json: sample s0000099 does not belong there"),
        ("content", "0" * 64, r"part-00001.json: sample s0000002 has changed since it was cached"),
        ("variant", "zero", r"part-00001.json is damaged \(entries.0.variant: "),
    ],
)
def test_a_changed_record_of_a_part_is_named(field: str, value: str, message: str, build: Build) -> None:
    cache = build()
    path = cache.folder / "part-00001.json"
    part = json.loads(path.read_bytes())
    part["entries"][0][field] = value
    path.write_text(json.dumps(part))
    with pytest.raises(UserError, match=message + ".*: remove part-00001.json and build the cache again"):
        open_again(cache)


def test_damaged_tensors_are_named_and_made_again(build: Build, tmp_path: Path) -> None:
    cache = build()
    whole = folder_bytes(cache.folder)
    path = cache.folder / "part-00001.safetensors"
    first = next(index for index, entry in enumerate(cache.entries) if entry.sample_id == "s0000002")
    flip_byte(path, len(path.read_bytes()) - 1)
    reopened = open_again(cache)
    assert len([reopened[index] for index in range(first)]) == first
    with pytest.raises(
        UserError, match=r"part-00001.safetensors: sample s000000[23], variant \d is corrupt \(its hash"
    ):
        list(reopened)
    path.write_bytes(whole["part-00001.safetensors"][:-9])
    with pytest.raises(UserError, match=r"part-00001.safetensors has \d+ of \d+ bytes: remove part-00001"):
        open_again(cache)
    path.unlink()
    with pytest.raises(UserError, match=r"part-00001.safetensors is missing: remove part-00001"):
        build()
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match=r"part-00001.json is missing: build the cache again; the rest of it is kept"):
        open_again(cache)
    assert folder_bytes(build().folder) == whole


def test_a_folder_without_a_cache_or_with_half_of_one_is_refused(build: Build, tmp_path: Path) -> None:
    cache = build()
    with pytest.raises(UserError, match=r"nowhere holds no cache: it has no cache.json"):
        DesignCache.open(tmp_path / "nowhere", cache.key)
    empty = cache.folder / "empty.safetensors"
    flip_byte(empty, empty.stat().st_size - 1)
    with pytest.raises(UserError, match=r"empty.safetensors is corrupt \(its hash is another one\): remove empty"):
        open_again(cache)
    empty.write_bytes(b"no")
    with pytest.raises(UserError, match=r"empty.safetensors cannot be read .*: remove empty.safetensors and build"):
        open_again(cache)
    (cache.folder / "cache.json").write_text("{}")
    with pytest.raises(UserError, match=r"cache.json is damaged"):
        open_again(cache)
    (cache.folder / "cache.json").unlink()
    with pytest.raises(UserError, match=r"has parts but no cache.json: remove the folder"):
        build()


def test_an_open_cache_reads_the_same_in_another_process(build: Build) -> None:
    cache = build()
    list(cache)
    copy: DesignCache = pickle.loads(pickle.dumps(cache))
    for one, other in zip(copy, cache, strict=True):
        assert_same(one, other)


def test_layers_that_change_places_take_their_tokens_along(build: Build) -> None:
    design = next(design for design in build() if len(design.boxes) == 3)
    order = [2, 0, 1]
    after = design.reordered(order)
    before_parts = torch.split(design.tokens, list(design.regions.lengths))
    after_parts = torch.split(after.tokens, list(after.regions.lengths))
    assert after.boxes == tuple(design.boxes[index] for index in order)
    for place, index in enumerate([0, 1, *(2 + index for index in order)]):
        assert torch.equal(after_parts[place], before_parts[index])
    assert_same(after.reordered([1, 2, 0]), design)


GRAY_PAPER = "on plain gray paper"
GOLDEN_VARIANTS = [
    (
        (),
        [[10, 13, 26, 31], [40, 27, 52, 54], [24, 46, 46, 64], [5, 36, 22, 60]],
        f"a yellow circle, a red circle, a green circle, a blue circle {GRAY_PAPER}",
    ),
    (
        ("drop", "move"),
        [[5, 14, 21, 32], [40, 27, 52, 54], [24, 46, 46, 64]],
        f"a yellow circle, a red circle and a green circle {GRAY_PAPER}",
    ),
    (
        ("group",),
        [[10, 13, 26, 31], [24, 27, 52, 64], [5, 36, 22, 60]],
        f"a yellow circle, a red circle, a green circle, a blue circle {GRAY_PAPER}",
    ),
    (("drop",), [[10, 13, 26, 31]], f"a yellow circle {GRAY_PAPER}"),
]
GOLDEN_MEANS = [-0.041, -0.067, 0.05, 0.047, 0.098, -0.098]
GOLDEN_DEVIATIONS = [0.719, 0.389, 0.675, 0.583, 0.573, 0.71]


def test_what_is_cached_has_not_changed_without_a_new_code_version(shipped_encoders: Encoders) -> None:
    """If this fails on purpose, raise `art_model.cache_files.CODE_VERSION`: caches of former versions are stale."""
    image, sidecar = make_design(11, 4, canvas=(64, 64))
    found = []
    for number in range(4):
        made = variant_of(image, sidecar, number, VariantConfig(count=4), seed=7)
        assert made is not None
        found.append((made.changes, [layer.box.as_list() for layer in made.image.layers], made.prompt))
    assert found == GOLDEN_VARIANTS
    regions = regions_of(image.canvas, [layer.box for layer in image.layers])
    parts = torch.split(shipped_encoders.encode([image])[0].float(), list(regions.lengths))
    assert [float(part.mean()) for part in parts] == pytest.approx(GOLDEN_MEANS, abs=2e-3)
    assert [float(part.std()) for part in parts] == pytest.approx(GOLDEN_DEVIATIONS, abs=2e-3)


def test_boxes_beyond_the_canvas_are_cached_whole(build: Build, tmp_path: Path) -> None:
    image, sidecar = make_design(0, 1, canvas=(64, 64))
    box = Box(-20, 50, -20 + image.layers[0].box.width, 50 + image.layers[0].box.height)
    moved = LayeredImage(image.base, (type(image.layers[0])(image.layers[0].pixels, box),))
    record = sidecar.layers[0].model_copy(update={"box": box.as_tuple()})
    described = sidecar.model_copy(update={"layers": (record,)})
    write_publication([shard_sample(moved, described)], tmp_path / "set", ShardConfig())
    cache = build(LayeredDataset.open(DataConfig(publication=str(tmp_path / "set"))), variants=VariantConfig())
    assert cache[0].boxes == (box,)
    assert cache[0].regions.items[2].aligned.x0 == -32
