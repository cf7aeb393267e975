"""The matting stage: order, isolation, and what it refuses to start with."""

import numpy as np
import pytest

from layered.errors import UserError
from stages.matting import BACKENDS, Matting, MattingConfig, matter_of
from stages.records import Draw, Drawn, Matted
from stages.stage import Failed
from tests.stages.matting.composites import GRAY, on_background, shape


def test_the_stage_keeps_order_and_isolates_what_is_broken() -> None:
    good = on_background(shape("disc", (200, 30, 30), 64), GRAY)
    broken = np.zeros((0, 0, 3), np.uint8)
    batch = [
        Drawn(Draw(f"s{n}", n, 0, 0, "", "a circle", (64, 64)), rgb, (3, 64, 64), "m", "r", "l")
        for n, rgb in enumerate([good, broken, good])
    ]
    first, second, third = Matting(MattingConfig()).process(batch)
    assert isinstance(first, Matted)
    assert isinstance(third, Matted)
    assert third.drawn.draw.layer_index == 2
    assert isinstance(second, Failed)
    assert (second.sample_id, second.layer_index, second.stage) == ("s1", 1, "matting")
    assert "Traceback" in second.traceback


def test_a_generator_s_own_alpha_is_kept_and_the_rest_sees_mid_gray() -> None:
    layer = shape("ring", (200, 30, 30), 64)
    drawn = Drawn(Draw("s", 0, 0, 0, "", "a ring", (64, 64)), layer, (1, 64, 64), "m", "r", "l")
    (matted,) = Matting(MattingConfig(backend="native")).process([drawn])
    assert isinstance(matted, Matted)
    assert np.array_equal(matted.rgba[..., 3], layer[..., 3])
    assert np.array_equal(matted.drawn.opaque, on_background(layer, GRAY, noise=0))


def test_a_picture_of_another_mode_is_refused_by_name() -> None:
    rgba, rgb = shape("disc", (200, 30, 30), 64), np.zeros((64, 64, 3), np.uint8)
    for backend, picture, said in (("keyer", rgba, "RGB picture"), ("native", rgb, "RGBA")):
        drawn = Drawn(Draw("s", 0, 0, 0, "", "", (64, 64)), picture, (1, 64, 64), "m", "r", "l")
        (failed,) = Matting(MattingConfig(backend=backend)).process([drawn])
        assert isinstance(failed, Failed)
        assert said in failed.error
        assert f"got uint8 {'×'.join(map(str, picture.shape))}" in failed.error


def test_pairs_are_not_for_runs() -> None:
    with pytest.raises(UserError, match="two pictures of each layer"):
        Matting(MattingConfig(backend="triangulation"))


@pytest.mark.parametrize("backend", [each for each in BACKENDS if each not in ("triangulation", "rembg")])
def test_every_back_end_is_reached_by_its_name(backend: str) -> None:
    matter = matter_of(MattingConfig(backend=backend))
    assert type(matter).__module__ == f"stages.matting.{backend}"
