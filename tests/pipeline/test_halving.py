"""Memory that does not suffice, with a machine whose memory holds so many items."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.halving import FittingBatches
from pipeline.pools import StageHost, failed_in
from stages.layer_flux import LayerFlux, LayerFluxConfig
from stages.records import Draw, Drawn
from stages.stage import Failed, Stage
from tests.pipeline.fake_stages import Item


@pytest.fixture(autouse=True, scope="module")
def no_collecting() -> Iterator[None]:
    """Collecting garbage takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.halving.free_memory", lambda: None)
        yield


class Small(Stage[Any, Any]):
    """Holds items of so much weight at once; notes the parts that it was given."""

    name = "small"

    def __init__(self, holds: int, error: Exception | None = None) -> None:
        self.holds, self.error = holds, error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.parts: list[int] = []

    def process(self, batch: Sequence[Any]) -> list[Any]:
        self.parts.append(len(batch))
        if sum(item.value for item in batch) > self.holds:
            raise self.error
        return [("done", item.sample_id) for item in batch]


def items(count: int, *heavy: int) -> list[Item]:
    return [Item(f"s{index}", 0, 99 if index in heavy else 1) for index in range(count)]


def process(fitting: FittingBatches, stage: Small, batch: Sequence[Item], kind: Any = "kind") -> list[Any]:
    return fitting.process(kind, stage.process, batch, partial(failed_in, stage.name))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_all_is_done_in_order_whatever_fits(count: int, holds: int, times: int) -> None:
    fitting, stage = FittingBatches(), Small(holds)
    for _ in range(times):
        assert process(fitting, stage, items(count)) == [("done", f"s{index}") for index in range(count)]


def test_a_batch_is_halved_until_it_fits_and_the_process_remembers() -> None:
    fitting, stage = FittingBatches(), Small(holds=5)
    process(fitting, stage, items(16))
    assert stage.parts == [16, 8, 4, 4, 4, 4]
    stage.parts.clear()
    process(fitting, stage, items(10))
    assert stage.parts == [4, 4, 2]
    stage.parts.clear()
    process(fitting, stage, items(5), "smaller pictures")
    assert stage.parts == [5]


def test_what_does_not_fit_alone_fails_alone_and_teaches_nothing() -> None:
    fitting, stage = FittingBatches(), Small(holds=20)
    results = process(fitting, stage, items(8, 3))
    failed = results.pop(3)
    assert isinstance(failed, Failed)
    assert failed.sample_id == "s3"
    assert "out of memory with this item alone: CUDA out of memory" in failed.error
    assert results == [("done", f"s{index}") for index in (0, 1, 2, 4, 5, 6, 7)]
    stage.parts.clear()
    process(fitting, stage, items(8))
    assert stage.parts == [8]


def test_other_errors_are_not_taken_for_memory() -> None:
    with pytest.raises(ValueError, match="odd"):
        process(FittingBatches(), Small(1, ValueError("odd")), items(2))
    assert process(FittingBatches(), Small(1, MemoryError()), items(2)) == [("done", "s0"), ("done", "s1")]


def test_every_stage_of_a_process_is_protected_and_what_failed_earlier_keeps_its_place() -> None:
    earlier = Failed("x", "earlier", "broken", "")
    results = StageHost({"small": Small(holds=2)}).process("small", [*items(3), earlier, *items(1, 0)])
    assert results[:3] == [("done", "s0"), ("done", "s1"), ("done", "s2")]
    assert results[3] is earlier
    assert isinstance(results[4], Failed)


class SmallFlux(LayerFlux):
    """The simulated generator on a GPU for two pictures."""

    def process(self, batch: Sequence[Draw]) -> list[Drawn | Failed]:
        """See `LayerFlux.process`."""
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().process(batch)


def test_a_drawn_layer_records_the_shape_that_it_was_drawn_in() -> None:
    config = LayerFluxConfig(model="simulated", layer_sizes=((64, 64),), base_sizes=((64, 64),))
    draws = [Draw(f"s{index}", 0, 0, index, "a red box", "a red box", (64, 64)) for index in range(5)]
    whole = StageHost({"layer_flux": LayerFlux(config)}).process("layer_flux", draws)
    parts = StageHost({"layer_flux": SmallFlux(config)}).process("layer_flux", draws)
    assert [drawn.batch_shape for drawn in whole] == [(5, 64, 64)] * 5
    assert [drawn.batch_shape for drawn in parts] == [(2, 64, 64)] * 4 + [(1, 64, 64)]
    for one, other in zip(whole, parts, strict=True):
        assert one.draw == other.draw
        assert np.array_equal(one.rgb, other.rgb)
