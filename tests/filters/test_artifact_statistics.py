"""Statistics of a layer: finite for anything, and each moves when what it is about changes."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from filters.artifact_statistics import STATISTICS, statistics_of
from filters.artifact_view import layer_view
from layered.arrays import UInt8Array
from layered.pixels import clear_hidden
from tests.filters.drawings import drawing

TREE = drawing("tree", (40, 160, 60))


def found(rgba: UInt8Array) -> dict[str, float]:
    view = layer_view(rgba)
    assert view is not None
    return dict(zip(STATISTICS, statistics_of(view.picture).tolist(), strict=True))


@pytest.mark.parametrize("alpha", [1, 13, 255])
@pytest.mark.parametrize("size", [1, 2, 128])
def test_they_are_finite_for_a_dot_a_haze_and_a_full_square(size: int, alpha: int) -> None:
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[:size, :size] = alpha
    assert np.isfinite(statistics_of(picture)).all()


def test_they_are_the_same_at_any_margin() -> None:
    assert found(np.pad(TREE, ((9, 2), (0, 31), (0, 0)))) == found(TREE)


def noisy(rgba: UInt8Array) -> UInt8Array:
    changed = rgba.astype(float)
    changed[..., :3] += np.random.default_rng(1).normal(0, 30, rgba.shape[:2])[..., None]
    return clear_hidden(np.clip(changed, 0, 255).astype(np.uint8))


def blurred(rgba: UInt8Array) -> UInt8Array:
    soft: UInt8Array = np.rint(ndimage.gaussian_filter(rgba.astype(float), (3, 3, 0))).astype(np.uint8)
    return soft


def doubled(rgba: UInt8Array) -> UInt8Array:
    return np.concatenate([rgba, rgba], axis=1)


def checked(rgba: UInt8Array) -> UInt8Array:
    squares = (np.arange(128)[:, None] // 8 + np.arange(128)[None] // 8) % 2
    gray = np.where(squares, 150, 220).astype(np.uint8)
    return np.dstack([gray, gray, gray, np.full_like(gray, 255)])


def joined(rgba: UInt8Array) -> UInt8Array:
    changed = rgba.copy()
    changed[:45, :, :3] //= 3
    return changed


def slid(rgba: UInt8Array) -> UInt8Array:
    return np.concatenate([rgba[:50], np.roll(rgba[50:], 15, axis=1)])


@pytest.mark.parametrize(
    ("change", "rising", "falling"),
    [
        (noisy, ["residual", "residual_median", "edge_turns"], ["flat"]),
        (blurred, ["see_through"], ["steepest", "alpha_step"]),
        (doubled, ["parts"], ["largest_part"]),
        (checked, ["period", "period_diagonal", "fill"], []),
        (joined, ["row_step", "row_alone", "common_step"], []),
        (slid, ["jump"], []),
    ],
)
def test_each_moves_with_what_it_is_about(
    change: Callable[[UInt8Array], UInt8Array], rising: list[str], falling: list[str]
) -> None:
    drawn = drawing("disc", (220, 140, 40)) if change in (joined, slid) else TREE
    before, after = found(drawn), found(change(drawn))
    assert all(after[name] > before[name] + 0.02 for name in rising)
    assert all(after[name] < before[name] - 0.02 for name in falling)
