"""Times are shifted as FLUX shifts them, and layers do not send them towards noise."""

import math

import pytest
import torch
from pydantic import ValidationError

from art_model.regions import Regions, regions_of
from art_model.schedule import Shift, canvas_tokens, shift_times, sigmas
from layered import Box
from layered.torchvision_cure import ensure_torchvision

FLUX_CANVAS = (1024, 1024)


def layout(foregrounds: int, canvas: tuple[int, int] = FLUX_CANVAS) -> Regions:
    """Boxes of 8.7 % of the canvas each, PrismLayersPro's mean."""
    return regions_of(canvas, [Box(0, 0, 304, 304)] * foregrounds)


@pytest.mark.parametrize(("layers", "factor"), [(12, 13), (50, 129)])
def test_all_tokens_counted_reproduce_the_released_divergence(layers: int, factor: float) -> None:
    assert Shift(by="total").factor(layout(layers)) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("layers", [0, 1, 12, 50])
def test_one_canvas_counted_stays_at_flux_whatever_the_layers(layers: int) -> None:
    assert Shift().factor(layout(layers)) == pytest.approx(math.exp(1.15))


@pytest.mark.parametrize("canvas", [(1024, 1024), (512, 512), (256, 256), (128, 128), (768, 512)])
@pytest.mark.parametrize("steps", [1, 4, 28])
def test_sigmas_are_those_of_diffusers(canvas: tuple[int, int], steps: int) -> None:
    ensure_torchvision()
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    regions = layout(3, canvas)
    unshifted = torch.linspace(1, 1 / steps, steps).tolist()
    scheduler.set_timesteps(sigmas=unshifted, mu=calculate_shift(canvas[0] * canvas[1] // 256))
    torch.testing.assert_close(sigmas(steps, regions, Shift()).float(), scheduler.sigmas, atol=1e-6, rtol=0)


def test_a_constant_is_the_factor_itself() -> None:
    ensure_torchvision()
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / 8, 8).tolist())
    torch.testing.assert_close(sigmas(8, layout(5), Shift(by=3.0)).float(), scheduler.sigmas, atol=1e-6, rtol=0)
    times = torch.rand(5)
    torch.testing.assert_close(shift_times(times, layout(1), Shift(by=1.0)), times)


def test_the_last_step_of_fifty_layers_jumps_only_when_all_tokens_are_counted() -> None:
    assert float(sigmas(28, layout(50), Shift(by="total"))[-2]) == pytest.approx(0.83, abs=0.01)
    assert float(sigmas(28, layout(50), Shift())[-2]) < 0.11


def test_training_times_and_sampling_times_move_alike_and_keep_their_ends() -> None:
    regions = layout(4, (128, 128))
    times = sigmas(10, regions, Shift())
    assert (times[0], times[-1]) == (1, 0)
    assert (times.diff() < 0).all()
    torch.testing.assert_close(shift_times(torch.linspace(1, 0, 11, dtype=torch.float64), regions, Shift()), times)


def test_a_partial_token_counts() -> None:
    assert canvas_tokens(layout(1, (129, 120))) == 9 * 8


@pytest.mark.parametrize("wrong", [{"by": "layers"}, {"by": 0.0}, {"base_tokens": 4096}, {"curve": 1}])
def test_an_impossible_shift_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Shift.model_validate(wrong)
    with pytest.raises(ValueError, match="at least 1"):
        sigmas(0, layout(1), Shift())
