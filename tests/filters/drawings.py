"""Sound layers in closed form, and every way to break one."""

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from layered.arrays import Color, UInt8Array
from layered.compositing import over_color

GRAY: Color = (128, 128, 128)
SIDE = 128

KINDS = ("disc", "star", "ring", "tree", "stripes")
COLORS: tuple[Color, ...] = ((220, 40, 40), (40, 160, 60), (30, 60, 200), (250, 250, 250), (20, 20, 20), (240, 200, 40))


def drawing(kind: str, color: Color, fill: float = 0.75) -> UInt8Array:
    """A smooth-edged thing in the middle of a transparent square, straight RGBA ``[128, 128, 4]``."""
    large = 8 * SIDE
    image = Image.new("RGBA", (large, large), (*color, 0))
    draw = ImageDraw.Draw(image)
    low, high = large * (1 - fill) / 2, large * (1 + fill) / 2
    middle, radius = large / 2, large * fill / 2
    match kind:
        case "disc" | "stripes":
            draw.ellipse((low, low, high, high), fill=color)
        case "ring":
            draw.ellipse((low, low, high, high), fill=color)
            draw.ellipse((middle - radius / 2,) * 2 + (middle + radius / 2,) * 2, fill=(*color, 0))
        case "star":
            turns = np.linspace(0, 2 * np.pi, 11)[:-1] - np.pi / 2
            reach = np.where(np.arange(10) % 2, 0.45, 1.0) * radius
            draw.polygon(
                [(middle + r * np.cos(t), middle + r * np.sin(t)) for t, r in zip(turns, reach, strict=True)],
                fill=color,
            )
        case "tree":
            draw.polygon([(middle, low), (high, middle + radius / 2), (low, middle + radius / 2)], fill=color)
            draw.rectangle((middle - radius / 5, middle, middle + radius / 5, high), fill=(110, 70, 30))
    if kind == "stripes":
        band = radius / 5
        for step in range(5):
            top = low + (2 * step + 0.5) * band
            draw.rectangle((middle - radius / 2, top, middle + radius / 2, top + band), fill=(90, 20, 120))
    small = image.convert("RGBa").resize((SIDE, SIDE), Image.Resampling.BOX).convert("RGBA")
    return np.array(small)


def drawings() -> st.SearchStrategy[UInt8Array]:
    return st.builds(drawing, st.sampled_from(KINDS), st.sampled_from(COLORS), st.floats(0.5, 0.9))


def raw_of(rgba: UInt8Array) -> UInt8Array:
    """What a generator would have drawn: the layer over gray."""
    return over_color(rgba, GRAY)


def with_alpha(rgba: UInt8Array, alpha: np.ndarray) -> UInt8Array:
    """Another alpha over the drawing; where it shows more, it shows the background."""
    changed = np.dstack([raw_of(rgba), np.rint(alpha).astype(np.uint8)])
    kept = rgba[..., 3] >= changed[..., 3]
    changed[kept, :3] = rgba[kept, :3]
    return changed


def grown(rgba: UInt8Array, by: int) -> UInt8Array:
    """A matte that reaches so many pixels too far."""
    distance = ndimage.distance_transform_edt(rgba[..., 3] < 128)
    return with_alpha(rgba, np.where(distance <= by, 255.0, 0.0))


def dotted(rgba: UInt8Array, count: int, radius: float, inside: bool, seed: int) -> UInt8Array:
    """Dots of alpha 0 inside the object, or of alpha 255 outside it."""
    alpha = rgba[..., 3].astype(float)
    room = ndimage.distance_transform_edt(alpha > 200 if inside else alpha == 0) > (4 if inside else 6)
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(room)
    dots = np.zeros(alpha.shape, bool)
    grid = np.mgrid[:SIDE, :SIDE]
    placed: list[tuple[int, int]] = []
    for index in rng.permutation(rows.size):
        at = int(rows[index]), int(columns[index])
        if len(placed) < count and all(np.hypot(at[0] - r, at[1] - c) > 2 * radius + 3 for r, c in placed):
            placed.append(at)
            dots |= np.hypot(grid[0] - at[0], grid[1] - at[1]) <= radius
    return with_alpha(rgba, np.where(dots, 0.0 if inside else 255.0, alpha))
