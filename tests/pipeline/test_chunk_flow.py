"""The flow of a chunk, driven by pools that answer in random order."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from layered import Brief, BriefLayer
from layered.errors import FailedWorkError
from layered.seeds import derive_seed
from pipeline.chunk_flow import FlowSettings, batches_by_size, best_of, make_chunk
from pipeline.committing import Commit, Committed
from pipeline.plan import ChunkPlan, PlannedSample
from pipeline.pools import Handle, StageHost, resolved
from stages.records import CheckedLayer, Composition, Draw, Drawn, Matted, TextDraw, TextLayer
from stages.stage import Failed, Stage

SETTINGS = FlowSettings(seed=11, attempts=3, batch_size=2)


class Fake(Stage[Any, Any]):
    """A stage made of a function from item to result."""

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self.name, self._function = name, function

    def process(self, batch: Sequence[Any]) -> list[Any]:
        return [self._function(item) for item in batch]


class ShufflingPools:
    """Pools in one process whose answers take a random while."""

    def __init__(self, stages: Mapping[str, Stage[Any, Any]], seed: int) -> None:
        self._host, self._random = StageHost(stages), random.Random(seed)
        self.drawn_batches: list[tuple[Draw, ...]] = []

    async def keep(self, stage: str, items: Sequence[Any], chunk: int) -> list[Handle]:
        results = await self.fetch(stage, items, chunk)
        return [Handle(None, result) if isinstance(result, Failed) else Handle(result) for result in results]

    async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
        if stage == "layer_flux":
            self.drawn_batches.append(tuple(items))
        await asyncio.sleep(self._random.random() / 1000)
        return self._host.process(stage, [resolved(item, lambda handle: handle.value) for item in items])


def draw_of(sample: int, layer: int) -> Draw:
    sample_id = f"s{sample}"
    size = (64, 64) if layer % 2 else (80, 48)
    return Draw(sample_id, layer, 0, derive_seed(11, sample_id, layer, 0, "noise"), f"prompt {layer}", "", size)


def chunk_of(samples: int, layers: int) -> ChunkPlan:
    """Samples with so many image layers and one text layer on top."""
    boxes = [BriefLayer(caption="c", box=(0, 0, 9, 9))] * layers + [BriefLayer(kind="text", text="t", box=(0, 0, 9, 9))]
    planned, draws = [], []
    for sample in range(samples):
        brief = Brief(
            id=f"b{sample}", canvas=(64, 64), style="flat", whole_caption="w", base_caption="b", layers=tuple(boxes)
        )
        planned.append(PlannedSample(f"s{sample}", sample, 5, brief, 0, "train", 0))
        draws += [draw_of(sample, layer) for layer in range(-1, layers)]
    texts = tuple(
        TextDraw(f"s{sample}", layers, "t", "f", "#000000", boxes[-1].placed_box()) for sample in range(samples)
    )
    batches = tuple(tuple(draws[start : start + 3]) for start in range(0, len(draws), 3))
    return ChunkPlan(5, tuple(planned), batches, texts)


def run_flow(
    chunk: ChunkPlan,
    verdict: Callable[[Draw], tuple[bool, float]],
    order: int = 0,
    broken: Mapping[str, Callable[[Any], bool]] | None = None,
) -> tuple[Commit, list[Composition], ShufflingPools]:
    """What was committed, what was composed, and which batches were drawn."""
    commits: list[Commit] = []
    compositions: list[Composition] = []
    breaks = broken or {}

    def unless_broken(stage: str, function: Callable[[Any], Any]) -> Fake:
        def process(item: Any) -> Any:
            if stage in breaks and breaks[stage](item):
                return Failed(item.sample_id, stage, "broken", "trace", getattr(item, "layer_index", -1))
            return function(item)

        return Fake(stage, process)

    def paint(draw: Draw) -> Drawn:
        return Drawn(draw, np.full((2, 2, 3), draw.seed % 256, np.uint8), (1, *draw.size), "m", "r", "l")

    def check(matted: Matted) -> CheckedLayer:
        passed, quality = verdict(matted.drawn.draw)
        return CheckedLayer(matted.drawn.draw, {"score": quality}, passed, quality)

    def compose(item: Composition) -> Composition:
        compositions.append(item)
        return item

    def commit(item: Commit) -> Committed:
        commits.append(item)
        return Committed(item.revision, 0, 0, ())

    stages = [
        unless_broken("layer_flux", paint),
        unless_broken("matting", lambda drawn: Matted(drawn, np.zeros((2, 2, 4), np.uint8), (0, 0, 0))),
        unless_broken("layer_check", check),
        unless_broken("text_layer", lambda request: TextLayer(request, np.zeros((1, 1, 4), np.uint8))),
        unless_broken("multi_layer_flux", compose),
        Fake("filtering", lambda item: f"scores of {item.sample_id}"),
        Fake("packing", lambda pair: f"packed {pair[0].sample_id}, {pair[1]}"),
        Fake("committing", commit),
    ]
    pools = ShufflingPools({stage.name: stage for stage in stages}, order)
    asyncio.run(make_chunk(chunk, 0, pools, SETTINGS))
    return commits[0], sorted(compositions, key=lambda item: item.sample_id), pools


def hashed_verdict(draw: Draw) -> tuple[bool, float]:
    """Some layers fail once, some twice, some always; as good as random, and the same every time."""
    return draw.seed % 3 == 0, draw.seed % 7 / 7


def chosen(compositions: list[Composition]) -> list[list[tuple[int, int]]]:
    return [
        [(layer.drawn.draw.layer_index, layer.drawn.draw.attempt) for layer in item.layers if isinstance(layer, Matted)]
        for item in compositions
    ]


def test_which_batch_comes_back_first_changes_nothing() -> None:
    chunk = chunk_of(samples=7, layers=4)
    results = [run_flow(chunk, hashed_verdict, order) for order in range(6)]
    assert any(attempt for sample in chosen(results[0][1]) for _, attempt in sample)
    for _, compositions, pools in results[1:]:
        assert chosen(compositions) == chosen(results[0][1])
        assert sorted(map(repr, pools.drawn_batches)) == sorted(map(repr, results[0][2].drawn_batches))


def test_a_layer_is_drawn_again_from_the_next_seed_until_it_passes_and_the_base_image_never() -> None:
    passes_at = {0: 0, 1: 1, 2: 2, 3: 9}
    chunk = chunk_of(samples=2, layers=4)
    _, compositions, pools = run_flow(chunk, lambda draw: (draw.attempt >= passes_at[draw.layer_index], 0.5))
    draws = [draw for batch in pools.drawn_batches for draw in batch]
    tries = {layer: sorted(draw.attempt for draw in draws if draw.layer_index == layer) for layer in range(-1, 4)}
    assert tries == {-1: [0, 0], 0: [0, 0], 1: [0, 0, 1, 1], 2: [0, 0, 1, 1, 2, 2], 3: [0, 0, 1, 1, 2, 2]}
    assert all(draw.seed == derive_seed(11, draw.sample_id, draw.layer_index, draw.attempt, "noise") for draw in draws)
    assert chosen(compositions) == [[(0, 0), (1, 1), (2, 2), (3, 0)]] * 2
    assert [len(item.attempts) for item in compositions] == [1 + 2 + 3 + 3] * 2


def test_the_best_attempt_is_kept_when_none_passes() -> None:
    _, compositions, _ = run_flow(chunk_of(1, 1), lambda draw: (False, [0.2, 0.9, 0.4][draw.attempt]))
    assert chosen(compositions) == [[(0, 1)]]


def test_every_layer_stands_where_the_brief_wants_it() -> None:
    _, compositions, _ = run_flow(chunk_of(3, 4), hashed_verdict)
    for number, item in enumerate(compositions):
        assert item.base.draw == draw_of(number, -1)
        assert [type(layer).__name__ for layer in item.layers] == ["Matted"] * 4 + ["TextLayer"]
        assert {layer.sample_id for layer in item.layers} == {item.sample_id}


@pytest.mark.parametrize("stage", ["layer_flux", "matting", "text_layer", "multi_layer_flux"])
def test_a_sample_that_fails_anywhere_is_committed_as_failed_and_its_neighbours_as_finished(stage: str) -> None:
    def breaks(item: Any) -> bool:
        return bool(item.sample_id == "s1")

    commit, _, _ = run_flow(chunk_of(3, 2), lambda draw: (True, 1.0), broken={stage: breaks})
    assert [entry.sample_id for entry in commit.entries] == ["s0", "s1", "s2"]
    assert commit.entries[0].packed == "packed s0, scores of s0"
    assert commit.entries[2].packed == "packed s2, scores of s2"
    failed = commit.entries[1].packed
    assert isinstance(failed, Failed)
    assert failed.stage == stage


def test_a_failed_layer_keeps_the_draw_it_was_to_be_made_from() -> None:
    commit, _, _ = run_flow(
        chunk_of(1, 2), lambda draw: (True, 1.0), broken={"layer_flux": lambda draw: draw.layer_index == 1}
    )
    assert '"prompt": "prompt 1"' in commit.entries[0].inputs


def test_a_later_attempt_that_breaks_does_not_spoil_the_earlier_one() -> None:
    _, compositions, _ = run_flow(
        chunk_of(1, 1), lambda draw: (False, 0.1), broken={"layer_flux": lambda draw: draw.attempt == 1}
    )
    assert chosen(compositions) == [[(0, 0)]]


def test_a_chunk_that_cannot_be_written_ends_the_run_in_one_line() -> None:
    class FullDisk(ShufflingPools):
        async def fetch(self, stage: str, items: Sequence[Any], chunk: int) -> list[Any]:
            if stage == "committing":
                return [Failed("chunk 00005", stage, "OSError: No space left on device", "")]
            return await super().fetch(stage, items, chunk)

    chunk = ChunkPlan(5, (), (), ())
    pools = FullDisk({name: Fake(name, str) for name in ("text_layer", "multi_layer_flux", "filtering", "packing")}, 0)
    with pytest.raises(FailedWorkError, match="chunk 00005 could not be written: OSError: No space left"):
        asyncio.run(make_chunk(chunk, 0, pools, SETTINGS))


def test_further_attempts_are_batched_by_size_in_order_of_sample_and_layer() -> None:
    draws = [draw_of(sample, layer) for sample in (2, 0, 1) for layer in (3, 1, 2)]
    batches = batches_by_size(draws, 4)
    assert [len(batch) for batch in batches] == [4, 2, 3]
    for batch in batches:
        assert len({draw.size for draw in batch}) == 1
        assert [(d.sample_id, d.layer_index) for d in batch] == sorted((d.sample_id, d.layer_index) for d in batch)


def test_of_equally_good_attempts_the_earliest_is_taken() -> None:
    from pipeline.chunk_flow import Candidate

    candidates = [
        Candidate(Handle(name), CheckedLayer(draw_of(0, 0), {}, passed, quality))
        for name, passed, quality in [("a", False, 0.9), ("b", True, 0.3), ("c", True, 0.3)]
    ]
    assert best_of(candidates).picture.value == "b"
