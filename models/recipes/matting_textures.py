"""What objects are made of: colours, noises and painted surfaces that stand in for photographs and drawings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.recipes.scenes import paint
from models.vocabulary import load_vocabulary

Values = NDArray[np.floating]
"""Fields ``[h, w]`` and colours ``[h, w, 3]`` in 0…1, in single or double precision: they are rounded in the end."""

_GRAY: Final = 128 / 255


def fractal_noise(side: int, slope: float, rng: np.random.Generator, stretch: float = 1.0) -> Values:
    """Noise whose amplitude falls with frequency f as f^-slope, ``[side, side]``, spread over 0…1.

    Args:
        slope: 1 looks like rock, 1.5 like clouds, 2.5 like slow changes of light.
        stretch: how many times longer its grains are in x than in y.
    """
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :] * stretch)
    frequency[0, 0] = np.inf
    phases = rng.uniform(0, 2 * np.pi, frequency.shape)
    field = np.fft.irfft2(np.exp(1j * phases) * frequency**-slope, s=(side, side))
    low, high = np.quantile(field, (0.01, 0.99))
    noise: Values = np.clip((field - low) / (high - low), 0, 1).astype(np.float32)
    return noise


def random_color(rng: np.random.Generator) -> Values:
    """An RGB colour in 0…1: mostly any, often a gray, sometimes almost the gray of backgrounds."""
    kind = rng.random()
    if kind < 0.12:
        return (_GRAY + rng.uniform(-0.05, 0.05) + rng.uniform(-0.02, 0.02, 3)).astype(np.float32)
    if kind < 0.35:
        return np.clip(rng.uniform(0.02, 1) + rng.uniform(-0.04, 0.04, 3), 0, 1).astype(np.float32)
    if kind < 0.6:
        # Browns, skin and wood: the colours that photographs have most.
        value = rng.uniform(0.15, 0.95)
        return (value * np.array([1, rng.uniform(0.6, 0.9), rng.uniform(0.35, 0.8)])).astype(np.float32)
    return rng.uniform(0, 1, 3).astype(np.float32)


def texture(side: int, rng: np.random.Generator) -> Values:
    """A surface, RGB ``[side, side, 3]`` in 0…1."""
    surface = _SURFACES[rng.choice(len(_SURFACES), p=_SHARES)](side, rng)
    if rng.random() < 0.35:
        surface = surface * (1 + rng.uniform(0.1, 0.5) * (fractal_noise(side, rng.uniform(1, 2), rng) - 0.5))[..., None]
    if rng.random() < 0.25:
        surface = surface + rng.normal(0, rng.uniform(0.01, 0.05), surface.shape)
    finished: Values = np.clip(surface, 0, 1).astype(np.float32)
    return finished


def blended(parts: Values, colors: Values) -> Values:
    """A field in 0…1, ``[h, w]``, as a ramp through colours ``[n, 3]``."""
    position = np.clip(parts, 0, 1) * (len(colors) - 1)
    lower = np.minimum(position.astype(np.intp), len(colors) - 2)
    part = (position - lower)[..., None]
    ramp: Values = ((1 - part) * colors[lower] + part * colors[lower + 1]).astype(np.float32)
    return ramp


def slope_field(side: int, rng: np.random.Generator) -> Values:
    """A linear ramp 0…1 in a random direction, ``[side, side]``."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    ramp: Values = np.clip(0.5 + (np.cos(angle) * x + np.sin(angle) * y), 0, 1).astype(np.float32)
    return ramp


def _colors(count: int, rng: np.random.Generator) -> Values:
    return np.stack([random_color(rng) for _ in range(count)])


def _flat(side: int, rng: np.random.Generator) -> Values:
    return np.broadcast_to(random_color(rng), (side, side, 3))


def _ramp(side: int, rng: np.random.Generator) -> Values:
    return blended(slope_field(side, rng), _colors(int(rng.integers(2, 5)), rng))


def _cloudy(side: int, rng: np.random.Generator) -> Values:
    return blended(fractal_noise(side, rng.uniform(0.8, 2.2), rng), _colors(int(rng.integers(2, 5)), rng))


def _photo(side: int, rng: np.random.Generator) -> Values:
    """One colour, with light and hue that change like those of a photograph."""
    base = random_color(rng)
    light = fractal_noise(side, rng.uniform(1.2, 2.2), rng)
    detail = fractal_noise(side, rng.uniform(0.7, 1.3), rng)
    cast = np.stack([fractal_noise(side, 1.8, rng) for _ in range(3)], axis=-1) - 0.5
    lit = base * (0.45 + 0.9 * light)[..., None] + rng.uniform(0, 0.25) * cast
    photo: Values = lit + rng.uniform(0.05, 0.3) * (detail - 0.5)[..., None]
    return photo


def _grain(side: int, rng: np.random.Generator) -> Values:
    """Wood, hair seen from afar, brushed metal."""
    noise = fractal_noise(side, rng.uniform(0.8, 1.4), rng, stretch=float(rng.uniform(6, 25)))
    grain = blended(noise, _colors(2, rng))
    return grain.transpose(1, 0, 2) if rng.random() < 0.5 else grain


def _metal(side: int, rng: np.random.Generator) -> Values:
    """Grays from dark to light and back, through the background's own, as on chrome, glass and clouds."""
    grays = rng.uniform(0.15, 1, int(rng.integers(3, 7)))[:, None] * np.ones(3, np.float32)
    field = slope_field(side, rng) + rng.uniform(0, 0.4) * (fractal_noise(side, 2.0, rng) - 0.5)
    metal: Values = blended(field, grays) + rng.uniform(-0.02, 0.02, 3)
    return metal


def _pattern(side: int, rng: np.random.Generator) -> Values:
    """Stripes, checks or dots in two or three colours."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, side / 4)
    u = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / period)
    v = np.sin((np.cos(angle) * y - np.sin(angle) * x) * 2 * np.pi / period)
    field = (u, u * v, u + v - 0.8)[rng.integers(3)]
    return blended(0.5 + field * rng.uniform(1, 6), _colors(2, rng))


def _patches(side: int, rng: np.random.Generator) -> Values:
    """Flat areas with curved borders, as in drawings."""
    count = int(rng.integers(2, 6))
    levels = np.floor(fractal_noise(side, rng.uniform(1.6, 2.4), rng) * count).clip(0, count - 1).astype(np.intp)
    patches = _colors(count, rng)[levels]
    soft: Values = ndimage.gaussian_filter(patches, (0.7, 0.7, 0))
    return soft


def _scene(side: int, rng: np.random.Generator) -> Values:
    vocabulary = load_vocabulary()
    scene = list(vocabulary.scenes.values())[rng.integers(len(vocabulary.scenes))]
    color = list(vocabulary.colors)[rng.integers(len(vocabulary.colors))] if scene.takes_color else None
    return paint(scene.name, color, (side, side), rng).astype(np.float32) / np.float32(255)


_SURFACES: Final[tuple[Callable[[int, np.random.Generator], Values], ...]] = (
    _flat, _ramp, _cloudy, _photo, _grain, _metal, _pattern, _patches, _scene,
)  # fmt: skip
_SHARES: Final = (0.12, 0.1, 0.12, 0.24, 0.1, 0.12, 0.08, 0.07, 0.05)
