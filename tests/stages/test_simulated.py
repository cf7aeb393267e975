"""The simulated generator: the same picture in any company, latencies and failures that follow from seeds, no torch."""

import math
import subprocess
import sys
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.config import FiltersConfig
from layered.arrays import UInt8Array
from stages.layer_check import AcceptConfig, LayerCheck
from stages.layer_flux import LayerFlux, LayerFluxConfig, resolve_defaults
from stages.matting import Matting, MattingConfig
from stages.records import CheckedLayer, Draw, Drawn, Matted
from stages.simulated import SimulatedConfig, SimulatedFailureError, SimulatedGenerator, batch_seconds, fails

REQUESTS = st.lists(
    st.tuples(st.sampled_from(["a red apple", "a blue circle", ""]), st.integers(0, 2**63 - 1)), min_size=1, max_size=5
)
SIZES = st.tuples(st.integers(8, 48), st.integers(8, 48))


def generator(**values: object) -> SimulatedGenerator:
    config = SimulatedConfig.model_validate(values)
    return SimulatedGenerator(resolve_defaults(LayerFluxConfig(model="simulated", simulated=config)))


@settings(max_examples=60, deadline=None)
@given(REQUESTS, REQUESTS, SIZES, st.integers(0, 63))
def test_a_picture_is_the_same_in_any_company(
    one: list[tuple[str, int]], other: list[tuple[str, int]], size: tuple[int, int], grain: int
) -> None:
    drawn = generator(grain=grain).draw([*one, *other], size)
    again = [
        picture for request in reversed([*one, *other]) for picture in generator(grain=grain).draw([request], size)
    ]
    assert [each.tobytes() for each in drawn] == [each.tobytes() for each in reversed(again)]
    assert all(each.shape == (size[1], size[0], 3) and each.dtype == np.uint8 for each in drawn)


def test_prompt_seed_and_size_all_matter() -> None:
    draw = generator().draw
    pictures = [
        draw([("a red apple", 1)], (32, 32))[0],
        draw([("a red apple", 2)], (32, 32))[0],
        draw([("a blue circle", 1)], (32, 32))[0],
        draw([("a red apple", 1)], (24, 40))[0],
    ]
    assert len({each.tobytes() for each in pictures}) == 4


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=20), st.integers(0, 2**63 - 1), SIZES, st.integers(0, 63))
def test_every_picture_can_be_told_from_its_background(
    prompt: str, seed: int, size: tuple[int, int], grain: int
) -> None:
    (picture,) = generator(grain=grain, object_sizes=(0.5, 1.0)).draw([(prompt, seed)], size)
    shown = (picture != 128).any(axis=2)
    assert 0.5 * 0.5 * math.pi / 4 * 0.6 < shown.mean() <= 1
    assert (np.abs(picture[shown].astype(int) - 128).max(axis=1) > 0).all()


def test_batches_take_the_time_that_is_configured_on_average() -> None:
    config = SimulatedConfig(seconds_per_batch=0.5, seconds_per_layer=0.1, latency_spread=0.4)
    times = [batch_seconds(config, [seed, *range(4)]) for seed in range(4000)]
    assert fmean(times) == pytest.approx(1.0, rel=0.03)
    assert pstdev(math.log(each) for each in times) == pytest.approx(0.4, rel=0.05)
    assert times == [batch_seconds(config, [seed, *range(4)]) for seed in range(4000)]
    assert batch_seconds(config.model_copy(update={"latency_spread": 0.0}), [1, 2]) == pytest.approx(0.7)


def test_as_many_pictures_fail_as_are_configured_and_always_the_same() -> None:
    config = SimulatedConfig(failure_rate=0.05)
    failed = [seed for seed in range(10_000) if fails(config, seed)]
    assert len(failed) == pytest.approx(500, abs=80)
    assert failed == [seed for seed in range(10_000) if fails(config, seed)]
    assert not any(fails(SimulatedConfig(), seed) for seed in failed)
    with pytest.raises(SimulatedFailureError, match=f"cannot draw seed {failed[0]}"):
        generator(failure_rate=0.05).draw([("a", failed[0])], (32, 32))


def test_layers_of_it_are_matted_and_pass_a_check_that_looks_at_nothing() -> None:
    stage = LayerFlux(LayerFluxConfig(model="simulated"))
    stage.setup()
    drawn = [each for each in stage.process(draws(3)) if isinstance(each, Drawn)]
    assert [(each.model, each.revision, each.licence, each.batch_shape) for each in drawn] == [
        ("simulated", "1", "CC0-1.0", (3, 32, 32))
    ] * 3
    matted = [each for each in Matting(MattingConfig(min_side=1)).process(drawn) if isinstance(each, Matted)]
    for before, after in zip(drawn, matted, strict=True):
        shown: UInt8Array = (before.rgb != 128).any(axis=2)
        assert ((after.rgba[..., 3] > 127) == shown).mean() > 0.97
    nothing = AcceptConfig.model_validate(dict.fromkeys(AcceptConfig.model_fields))
    checked = LayerCheck(nothing, FiltersConfig()).process(matted)
    assert all(isinstance(each, CheckedLayer) and each.passed and not each.scores for each in checked)


def test_settings_that_make_no_sense_are_refused() -> None:
    for values in ({"object_sizes": (0.8, 0.5)}, {"failure_rate": 1.5}, {"seconds": 1}):
        with pytest.raises(ValidationError):
            SimulatedConfig.model_validate(values)


def test_a_simulated_worker_imports_no_torch() -> None:
    code = (
        "import sys; from stages.layer_flux import LayerFlux, LayerFluxConfig; "
        "stage = LayerFlux(LayerFluxConfig(model='simulated')); stage.setup(); "
        "import pipeline.executor; assert not {'torch', 'diffusers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def draws(count: int) -> list[Draw]:
    return [Draw("s", index, 0, 100 + index, "a red apple", "a red apple", (32, 32)) for index in range(count)]
