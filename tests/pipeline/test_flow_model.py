"""The flow played through: closed forms where there are some, and the order of things where there are none."""

import numpy as np
import pytest

from pipeline.chunk_flow import COMMITTING, FILTERING, LAYER_CHECK, LAYER_FLUX, MATTING, MULTI_LAYER_FLUX, PACKING
from pipeline.flow_model import ChunkLoad, FlowResult, FlowShape, StageCost, fit_cost, play

FREE = {
    stage: StageCost(0.0, 0.0) for stage in (MATTING, LAYER_CHECK, MULTI_LAYER_FLUX, FILTERING, PACKING, COMMITTING)
}
CHUNK = ChunkLoad(batches=((4, 3, 400), (4, 4, 400)), texts=0, pictures=9, samples=1)


def played(
    costs: dict[str, StageCost],
    chunks: int = 1,
    workers: int = 1,
    light: int = 1,
    in_flight: int = 2,
    rates: tuple[float, ...] = (),
    warm_up: dict[str, float] | None = None,
    cores: int | None = None,
) -> FlowResult:
    shape = FlowShape(workers, light, in_flight, 4, warm_up or {}, cores)
    return play([CHUNK] * chunks, FREE | costs, rates, shape, np.random.default_rng(3))


def test_work_behind_one_worker_adds_up() -> None:
    drawing = {LAYER_FLUX: StageCost(1.0, 0.01)}  # five seconds a batch
    assert played(drawing).seconds == pytest.approx(10)
    assert played(drawing, chunks=8).seconds == pytest.approx(80)
    assert played(drawing, chunks=8).busy == pytest.approx(1)
    assert played(drawing, chunks=8).drawn == 64


def test_workers_share_the_batches_as_far_as_chunks_in_flight_allow() -> None:
    drawing = {LAYER_FLUX: StageCost(1.0, 0.01)}
    assert played(drawing, chunks=8, workers=4).seconds == pytest.approx(20)
    assert played(drawing, chunks=8, workers=4, in_flight=1).seconds == pytest.approx(40)
    assert played(drawing, chunks=8, workers=4, in_flight=1).busy == pytest.approx(0.5)


def test_slow_light_stages_are_the_bottleneck() -> None:
    costs = {LAYER_FLUX: StageCost(1.0, 0.0), FILTERING: StageCost(0.0, 1.0)}  # nine seconds a chunk behind two
    result = played(costs, chunks=10, workers=2)
    assert result.seconds == pytest.approx(10 * 9 + 1)
    assert result.light_busy > 0.98
    assert result.busy < 0.15
    assert played(costs, chunks=10, workers=2, light=3, in_flight=6).seconds < 0.5 * result.seconds


def test_one_process_does_everything_in_turn() -> None:
    costs = {LAYER_FLUX: StageCost(1.0, 0.0), FILTERING: StageCost(0.0, 1.0)}
    assert played(costs, chunks=10, light=0).seconds == pytest.approx(10 * 11)


def test_processes_share_the_cores_of_one_machine() -> None:
    drawing = {LAYER_FLUX: StageCost(1.0, 0.0, demand=1.0)}
    assert played(drawing, chunks=8, workers=4).seconds == pytest.approx(4)
    shared = played(drawing, chunks=8, workers=4, cores=2)
    assert shared.seconds == pytest.approx(8)
    assert shared.busy == pytest.approx(1)
    waiting = {LAYER_FLUX: StageCost(1.0, 0.0)}
    assert played(waiting, chunks=8, workers=4, cores=2).seconds == pytest.approx(4)


def test_what_fails_is_drawn_again_as_often_as_is_allowed() -> None:
    drawing = {LAYER_FLUX: StageCost(0.0, 0.01)}
    assert played(drawing, chunks=4, rates=(1.0,)).drawn == 4 * (8 + 7)
    assert played(drawing, chunks=4, rates=(1.0, 1.0)).drawn == 4 * (8 + 7 + 7)
    many = played(drawing, chunks=500, rates=(0.3,)).drawn
    assert many == pytest.approx(500 * (8 + 0.3 * 7), rel=0.02)


def test_each_process_warms_up_once() -> None:
    drawing = {LAYER_FLUX: StageCost(1.0, 0.0)}
    assert played(drawing, chunks=4, warm_up={LAYER_FLUX: 5.0}).seconds == pytest.approx(8 + 5)
    assert played(drawing, chunks=4, workers=2, warm_up={LAYER_FLUX: 5.0}).seconds == pytest.approx(4 + 5)


def test_the_steady_pace_is_that_of_a_long_run() -> None:
    drawing = {LAYER_FLUX: StageCost(1.0, 0.01)}
    result = played(drawing, chunks=40, workers=4)
    assert result.steady_seconds == pytest.approx(played(drawing, chunks=400, workers=4).seconds / (400 * 8), rel=0.02)


def test_a_batch_costs_its_own_time_and_that_of_its_items() -> None:
    rng = np.random.default_rng(1)
    units = rng.integers(1, 9, 60)
    cost = fit_cost([(float(each), 0.5 + 0.25 * each) for each in units])
    assert cost.fixed == pytest.approx(0.5)
    assert cost.per_unit == pytest.approx(0.25)
    noisy = [
        (float(each), (0.5 + 0.25 * each) * factor)
        for each, factor in zip(units, rng.uniform(0.8, 1.2, 60), strict=True)
    ]
    drawn = [fit_cost(noisy).seconds(4.0, rng) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(1.5, rel=0.05)
    assert np.std(drawn) == pytest.approx(1.5 * 0.4 / 12**0.5, rel=0.2)


def test_few_batches_or_equal_ones_go_through_the_origin() -> None:
    assert fit_cost([(4.0, 2.0), (2.0, 1.5)]).fixed == 0
    assert fit_cost([(4.0, 2.0), (2.0, 1.0)]).per_unit == pytest.approx(0.5)
    assert fit_cost([(4.0, 2.0)] * 20).per_unit == pytest.approx(0.5)
    assert fit_cost([]).seconds(5.0, np.random.default_rng(0)) == 0
