"""Things that are not solid, with exact alpha: hair and fur, smoke, fire, glows, glass, shadows and movement.

A layer is premultiplied RGBA, float ``[side, side, 4]`` in 0…1.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from models.recipes.matting_objects import layer_of, outline, over, solid, thin_lines
from models.recipes.matting_textures import Values, blended, fractal_noise, random_color, slope_field, texture


def hairy(side: int, rng: np.random.Generator) -> Values:
    """A body with hair or fur: strands leave its outline, thin and curved, in colours of one family."""
    body = outline(side, rng)
    inside = np.argwhere(body > 0.5)
    if len(inside) < 50:
        return layer_of(body, random_color(rng))
    colors = texture(side, rng)
    base = random_color(rng)
    long = rng.random() < 0.5
    count, length = (int(rng.integers(150, 700)), rng.uniform(0.15, 0.5)) if long else (
        int(rng.integers(500, 1800)), rng.uniform(0.02, 0.08))  # fmt: skip
    rim = np.argwhere((body > 0.5) & (ndimage.distance_transform_edt(body > 0.5) < (12 if long else 4)))
    roots = rim[rng.integers(len(rim), size=count)].astype(np.float32)
    middle = inside.mean(axis=0)
    away = np.arctan2(*(roots - middle).T) + rng.normal(0, 0.35, count)
    if long:
        away = np.where(rng.random(count) < 0.7, np.pi / 2 + rng.normal(0, 0.3, count), away)  # it falls
    curl = rng.normal(0, 1.6, count) + rng.normal(0, 1.0)
    steps = 10
    turns = away[:, None] + curl[:, None] * np.linspace(0, 1, steps)
    if long and rng.random() < 0.5:
        turns = turns + 0.8 * np.sin(np.linspace(0, rng.uniform(4, 12), steps) + rng.uniform(0, 6, (count, 1)))
    reach = length * side * rng.uniform(0.4, 1.2, count)[:, None] / steps
    x = roots[:, 1:] + np.cumsum(np.cos(turns) * reach, axis=1)
    y = roots[:, :1] + np.cumsum(np.sin(turns) * reach, axis=1)
    shade = np.clip(base * rng.uniform(0.6, 1.35, (count, 1)) + rng.normal(0, 0.03, (count, 3)), 0, 1)
    scale = 2
    canvas = Image.new("RGB", (side * scale, side * scale), tuple(round(255 * float(v)) for v in base))
    mask = Image.new("L", canvas.size)
    paint, cover = ImageDraw.Draw(canvas), ImageDraw.Draw(mask)
    widths = rng.integers(1, 4 if long else 3, count)
    opacity = rng.integers(140, 256, count)
    for strand in range(count):
        points = list(zip((x[strand] * scale).tolist(), (y[strand] * scale).tolist(), strict=True))
        cover.line(points, fill=int(opacity[strand]), width=int(widths[strand]))
        # The colour lies wider than the coverage, so that reducing does not mix it with what is beside.
        red, green, blue = (255 * shade[strand]).round().astype(int).tolist()
        paint.line(points, fill=(red, green, blue), width=int(widths[strand]) + 3)
    strands = np.asarray(mask.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    tint = np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255
    if rng.random() < 0.6:
        colors = 0.3 * colors + 0.7 * base
    return over(layer_of(strands, tint), layer_of(body, np.clip(colors, 0, 1)))


def smoke(side: int, rng: np.random.Generator) -> Values:
    """Clouds of density: alpha by Beer's law, so that dense middles are opaque; light or dark grays, seldom colours."""
    field = fractal_noise(side, rng.uniform(1.4, 2.2), rng)
    ridges = 1 - np.abs(2 * fractal_noise(side, rng.uniform(1.3, 2.1), rng) - 1)
    shape = ndimage.gaussian_filter(outline(side, rng), rng.uniform(0.01, 0.1) * side)
    wisps = rng.random()
    density = shape * np.clip((1 - wisps) * field + wisps * ridges**2 - rng.uniform(0, 0.35), 0, 1)
    # Edges of real smoke are finer than its body.
    density *= 1 + rng.uniform(0, 1) * (fractal_noise(side, 0.9, rng) - 0.5)
    alpha = 1 - np.exp(-rng.choice([1.5, 4.0, 10.0, 25.0]) * np.clip(density, 0, None))
    light = rng.uniform(0.75, 1) if rng.random() < 0.6 else rng.uniform(0.02, 0.75)
    base = light + rng.uniform(-0.05, 0.05, 3) if rng.random() < 0.8 else random_color(rng)
    shading = 1 + rng.uniform(0, 0.5) * (fractal_noise(side, rng.uniform(1.2, 2), rng) - 0.6)
    return layer_of(alpha.astype(np.float32), np.clip(base * shading[..., None], 0, 1))


def fire(side: int, rng: np.random.Generator) -> Values:
    """Flames and glows: the brighter, the more opaque and the whiter."""
    stretched = fractal_noise(side, rng.uniform(1.3, 2), rng, stretch=0.4)
    shape = ndimage.gaussian_filter(outline(side, rng), rng.uniform(0.015, 0.1) * side)
    heat = np.clip(shape * (0.4 + 1.2 * stretched) - rng.uniform(0, 0.3), 0, 1)
    heat /= max(float(heat.max()), 1e-3)
    warm = np.array([[0.25, 0.03, 0.0], [0.85, 0.2, 0.03], [1.0, 0.6, 0.1], [1.0, 0.95, 0.6]])
    ramp = warm if rng.random() < 0.6 else np.clip(np.array([0.3, 0.8, 1.2])[:, None] * random_color(rng), 0, 1)
    alpha = np.clip(heat * rng.uniform(1, 4), 0, 1) ** rng.uniform(0.7, 1.6)
    return layer_of(alpha.astype(np.float32), blended(heat, ramp.astype(np.float32)))


def light(side: int, rng: np.random.Generator) -> Values:
    """Lightning, sparks and halos: thin bright cores within a soft glow of the same colour."""
    core = thin_lines(side, rng) if rng.random() < 0.6 else np.zeros((side, side), np.float32)
    for x, y in rng.integers(0, side, (int(rng.integers(0, 60)), 2)).tolist():
        core[max(0, y - 1) : y + 1, max(0, x - 1) : x + 1] = rng.uniform(0.5, 4)
    if rng.random() < 0.5:
        core = ndimage.map_coordinates(core, _warped(side, rng), order=1)
    glow = sum(rng.uniform(0.3, 4) * ndimage.gaussian_filter(core, sigma) for sigma in (1.0, 4.0, 14.0))
    alpha = np.clip(core * rng.uniform(0.5, 1) + glow, 0, 1) * rng.uniform(0.6, 1)
    bright = rng.uniform(0.75, 1, 3)
    tint = bright if rng.random() < 0.6 else random_color(rng)
    return layer_of(alpha.astype(np.float32), np.clip(tint + 0.5 * (1 - tint) * alpha[..., None], 0, 1))


def glass(side: int, rng: np.random.Generator) -> Values:
    """Glass, bubbles, plastic: opaque rims and highlights around clear or tinted windows; some is nearly chrome."""
    body = outline(side, rng)
    depth = ndimage.distance_transform_edt(body > 0.5)
    rim = np.exp(-depth / rng.uniform(1.5, 14)) * (body > 0.02)
    clearness = np.clip(rng.normal(0.12, 0.1), 0.0, 0.6)
    shine = np.clip((fractal_noise(side, rng.uniform(1.6, 2.4), rng, 0.3) - rng.uniform(0.3, 0.8)) * 5, 0, 1)
    if rng.random() < 0.4:
        window = np.roll(outline(side, rng), tuple(rng.integers(-side // 5, side // 5, 2)), (0, 1))
        shine = np.maximum(shine, (1 - ndimage.gaussian_filter(window, rng.uniform(0.5, 4))) * rng.uniform(0.8, 1))
    alpha = body * np.clip(clearness + rng.uniform(0.3, 1) * rim + shine * rng.uniform(0.4, 1), 0, 1)
    grays = rng.uniform(0.2, 1, 5)[:, None] * np.ones(3, np.float32)
    field = 0.6 * slope_field(side, rng) + 0.4 * fractal_noise(side, 2.0, rng)
    tint = 1.0 if rng.random() < 0.6 else random_color(rng)
    colors = blended(field, grays) * tint
    colors = np.maximum(colors, (shine * rng.uniform(0.5, 1))[..., None] * np.ones(3))
    return layer_of(alpha.astype(np.float32), np.clip(colors, 0, 1))


def veil(side: int, rng: np.random.Generator) -> Values:
    """A thin coat of a surface: alpha changes slowly, with folds."""
    cover = outline(side, rng) * np.clip(rng.uniform(0.2, 1) + 0.8 * (fractal_noise(side, 1.8, rng) - 0.5), 0.05, 1)
    return layer_of(cover.astype(np.float32), np.clip(texture(side, rng) * 0.4 + rng.uniform(0, 1) * 0.6, 0, 1))


def with_shadow(layer: Values, rng: np.random.Generator) -> Values:
    """The layer over its own soft dark shadow: dropped behind it, or lying on the ground below."""
    side = layer.shape[0]
    alpha = layer[..., 3]
    sigma = rng.uniform(0.004, 0.05) * side
    if rng.random() < 0.5:
        shift = rng.uniform(-0.05, 0.06, 2) * side
        shadow = ndimage.gaussian_filter(np.roll(alpha, tuple(shift.astype(int).tolist()), (0, 1)), sigma)
    else:
        rows = np.flatnonzero(alpha.max(axis=1) > 0.5)
        foot = rows[-1] if rows.size else side // 2
        columns = alpha[max(0, foot - side // 12) : foot + 1].max(axis=0)
        y = np.arange(side)[:, None]
        height = rng.uniform(0.008, 0.06) * side
        shadow = columns[None, :] * np.exp(-(((y - foot + rng.uniform(-1, 1) * height) / height) ** 2))
        shadow = ndimage.gaussian_filter(shadow, (0.3 * sigma, sigma))
    dark = random_color(rng) * rng.uniform(0, 0.2)
    return over(layer, layer_of((shadow * rng.uniform(0.2, 0.95)).astype(np.float32), dark))


def reflected(layer: Values, rng: np.random.Generator) -> Values:
    """The layer with its fading mirror image below."""
    side = layer.shape[0]
    rows = np.flatnonzero(layer[..., 3].max(axis=1) > 0.3)
    if not rows.size or rows[-1] > 0.9 * side:
        return layer
    foot = int(rows[-1])
    mirror = np.zeros_like(layer)
    depth = min(side - foot - 1, foot)
    fade = np.exp(-np.arange(depth) / rng.uniform(0.03, 0.2) / side) * rng.uniform(0.2, 0.8)
    mirror[foot + 1 : foot + 1 + depth] = layer[foot - depth : foot][::-1] * fade[:, None, None]
    return over(layer, ndimage.gaussian_filter(mirror, (0.6, 1.2, 0)).astype(np.float32))


def moved(layer: Values, rng: np.random.Generator) -> Values:
    """Motion blur along a line."""
    length = int(rng.integers(3, max(4, layer.shape[0] // 12)))
    axis = int(rng.integers(2))
    blurred: Values = ndimage.uniform_filter1d(layer, length, axis=axis, mode="constant").astype(np.float32)
    return blurred


def glowing(layer: Values, rng: np.random.Generator) -> Values:
    """The layer with a halo of light behind it."""
    halo = ndimage.gaussian_filter(layer[..., 3], rng.uniform(0.01, 0.06) * layer.shape[0]) * rng.uniform(0.4, 1.2)
    return over(layer, layer_of(np.clip(halo, 0, 1), np.clip(rng.uniform(0.5, 1.2, 3), 0, 1)))


def burning(side: int, rng: np.random.Generator) -> Values:
    """A solid thing in smoke, fire or light, before or behind it."""
    wisp = (smoke, smoke, fire, light)[rng.integers(4)](side, rng)
    thing = solid(side, rng)
    thing = np.roll(thing, int(rng.integers(0, side // 3)), axis=0)
    return over(wisp, thing) if rng.random() < 0.5 else over(thing, wisp)


def _warped(side: int, rng: np.random.Generator) -> Values:
    """Coordinates ``[2, side, side]`` displaced by slow noise."""
    strength = rng.uniform(0.02, 0.2) * side
    shifts = np.stack([fractal_noise(side, rng.uniform(1.5, 2.2), rng) - 0.5 for _ in range(2)])
    warped: Values = (np.mgrid[0:side, 0:side] + strength * shifts).astype(np.float32)
    return warped
