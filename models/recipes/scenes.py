"""Base images to learn from: one small procedural painter per scene of the vocabulary, at any aspect."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from models.vocabulary import load_vocabulary

Rgb = tuple[int, int, int]
_OVERSAMPLING = 3


def paint(scene: str, color: str | None, size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The scene as uint8 [height, width, 3]; `size` is (width, height), `rng` decides its details."""
    width, height = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    tint = load_vocabulary().colors[color] if color else (0, 0, 0)
    painted = _PAINTERS[scene](width, height, tint, rng)
    return np.asarray(painted.resize(size, Image.Resampling.BOX).convert("RGB"))


def _vertical(width: int, height: int, top: Rgb, bottom: Rgb) -> Image.Image:
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = (1 - ramp) * np.array(top, np.float32) + ramp * np.array(bottom, np.float32)
    return Image.fromarray(np.broadcast_to(column, (height, width, 3)).round().astype(np.uint8))


def _mix(a: Rgb, b: Rgb, part: float) -> Rgb:
    return (
        round(a[0] + (b[0] - a[0]) * part), round(a[1] + (b[1] - a[1]) * part), round(a[2] + (b[2] - a[2]) * part),
    )  # fmt: skip


def _ridge(
    draw: ImageDraw.ImageDraw, width: int, height: int, base: float, swing: float, waves: float, phase: float, fill: Rgb
) -> None:
    """Fills everything below a wavy line; `base` and `swing` are parts of the height."""
    line = [
        (x, height * (base + swing * math.sin(waves * 2 * math.pi * x / width + phase))) for x in range(0, width + 4, 4)
    ]
    draw.polygon([*line, (width, height), (0, height)], fill=fill)


def _clouds(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator, count: int) -> None:
    for i in range(count):
        x, y = width * (i + rng.uniform(0.2, 0.8)) / count, height * rng.uniform(0.1, 0.3 if count < 4 else 0.8)
        r = min(width, height) * rng.uniform(0.06, 0.09)
        for dx, dy, k in ((-1.2, 0.2, 0.8), (0, -0.2, 1.1), (1.2, 0.2, 0.8)):
            draw.ellipse((x + dx * r - k * r, y + dy * r - k * r, x + dx * r + k * r, y + dy * r + k * r), fill="white")


def _beach(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (110, 195, 240), (205, 235, 250))
    draw = ImageDraw.Draw(image)
    sea = rng.uniform(0.40, 0.46)
    draw.rectangle((0, h * sea, w, h), fill=(30, 130, 190))
    _ridge(draw, w, h, sea + 0.22, 0.02, 1.5, rng.uniform(0, 6), (240, 248, 250))
    _ridge(draw, w, h, sea + 0.25, 0.02, 1.5, rng.uniform(0, 6), (240, 215, 150))
    return image


def _meadow(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (90, 175, 240), (200, 232, 250))
    draw = ImageDraw.Draw(image)
    _clouds(draw, w, h, rng, 2)
    _ridge(draw, w, h, rng.uniform(0.52, 0.58), 0.015, 1.0, rng.uniform(0, 6), (100, 190, 70))
    return image


def _hills(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (150, 210, 245), (235, 245, 235))
    draw = ImageDraw.Draw(image)
    for base, fill in ((0.45, (140, 200, 110)), (0.6, (95, 170, 75)), (0.77, (60, 135, 55))):
        _ridge(draw, w, h, base, 0.07, rng.uniform(0.9, 1.4), rng.uniform(0, 6), fill)
    return image


def _night(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (10, 12, 45), (45, 40, 100))
    draw = ImageDraw.Draw(image)
    for x, y, r in zip(rng.uniform(0, w, 40), rng.uniform(0, h, 40), rng.uniform(1.2, 3.2, 40), strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 250, 210))
    return image


def _sunset(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (120, 50, 120), (255, 170, 70))
    draw = ImageDraw.Draw(image)
    sea, x, r = h * rng.uniform(0.58, 0.64), w * rng.uniform(0.4, 0.6), min(w, h) * 0.15
    draw.ellipse((x - r, sea - r * 1.3, x + r, sea + r * 0.7), fill=(255, 225, 110))
    draw.rectangle((0, sea, w, h), fill=(70, 45, 100))
    for k in range(4):
        y = sea + (h - sea) * (0.12 + 0.22 * k)
        draw.rectangle((x - r * (1 - 0.2 * k), y, x + r * (1 - 0.2 * k), y + h * 0.025), fill=(250, 170, 80))
    return image


def _city(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (120, 180, 230), (240, 225, 205))
    draw = ImageDraw.Draw(image)
    for fill, low, high in (((130, 145, 175), 0.25, 0.5), ((70, 80, 110), 0.42, 0.65)):
        x = -rng.uniform(0, 0.06) * w
        while x < w:
            wide, top = min(w, h) * rng.uniform(0.13, 0.2), h * rng.uniform(low, high)
            draw.rectangle((x, top, x + wide, h * 0.85), fill=fill)
            x += wide * 1.08
    draw.rectangle((0, h * 0.85, w, h), fill=(60, 62, 70))
    return image


def _snow(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (165, 200, 230), (225, 236, 246))
    draw = ImageDraw.Draw(image)
    _ridge(draw, w, h, 0.55, 0.04, 1.0, rng.uniform(0, 6), (232, 240, 248))
    _ridge(draw, w, h, 0.7, 0.04, 0.8, rng.uniform(0, 6), (250, 252, 255))
    for x, y in zip(rng.uniform(0, w, 24), rng.uniform(0, h * 0.6, 24), strict=True):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill="white")
    return image


def _desert(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (130, 200, 240), (250, 235, 200))
    draw = ImageDraw.Draw(image)
    for base, fill in ((0.5, (240, 200, 125)), (0.64, (225, 175, 95)), (0.8, (205, 150, 75))):
        _ridge(draw, w, h, base, 0.05, rng.uniform(0.6, 1.0), rng.uniform(0, 6), fill)
    return image


def _underwater(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (60, 175, 215), (8, 50, 110))
    draw = ImageDraw.Draw(image)
    _ridge(draw, w, h, 0.88, 0.03, 1.2, rng.uniform(0, 6), (190, 165, 115))
    for x, y, r in zip(rng.uniform(0, w, 12), rng.uniform(0, h * 0.8, 12), rng.uniform(3, 7, 12), strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), outline=(200, 235, 245), width=2)
    return image


def _forest(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (150, 195, 160), (90, 140, 100))
    draw = ImageDraw.Draw(image)
    for fill, base, tall in (((45, 105, 65), 0.7, 0.5), ((22, 70, 42), 0.82, 0.6)):
        step = min(w, h) * 0.2
        for x in np.arange(-rng.uniform(0, 1) * step, w + step, step):
            top = h * (base - tall * rng.uniform(0.8, 1.1))
            draw.polygon([(x, top), (x + step * 0.6, h * base), (x - step * 0.6, h * base)], fill=fill)
        draw.rectangle((0, h * base, w, h), fill=fill)
    draw.rectangle((0, h * 0.82, w, h), fill=(50, 85, 45))
    return image


def _mountains(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (90, 165, 230), (215, 235, 250))
    draw = ImageDraw.Draw(image)
    for part in (0.1, 0.85, 0.45):
        x, top = w * (part + rng.uniform(-0.08, 0.08)), h * rng.uniform(0.2, 0.32)
        half, foot = w * 0.42, h * 0.8
        draw.polygon([(x, top), (x + half, foot), (x - half, foot)], fill=(105, 115, 140))
        draw.polygon([(x, top), (x + half * 0.3, top + (foot - top) * 0.3), (x, top + (foot - top) * 0.22),
                      (x - half * 0.3, top + (foot - top) * 0.3)], fill="white")  # fmt: skip
    _ridge(draw, w, h, 0.78, 0.02, 1.0, rng.uniform(0, 6), (85, 145, 80))
    return image


def _sky(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (70, 155, 235), (180, 220, 250))
    _clouds(ImageDraw.Draw(image), w, h, rng, 4)
    return image


def _road(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = _vertical(w, h, (120, 190, 240), (220, 238, 250))
    draw = ImageDraw.Draw(image)
    sky, x = h * rng.uniform(0.4, 0.48), w * rng.uniform(0.45, 0.55)
    draw.rectangle((0, sky, w, h), fill=(130, 185, 80))
    draw.polygon([(x - w * 0.04, sky), (x + w * 0.04, sky), (w * 0.85, h), (w * 0.15, h)], fill=(90, 92, 98))
    draw.polygon([(x - w * 0.006, sky), (x + w * 0.006, sky), (w * 0.53, h), (w * 0.47, h)], fill=(245, 235, 170))
    return image


def _room(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (w, h), _mix(tint, (255, 255, 255), 0.35))
    draw = ImageDraw.Draw(image)
    floor = h * rng.uniform(0.66, 0.72)
    draw.rectangle((0, floor, w, h), fill=(170, 115, 70))
    draw.rectangle((0, floor - h * 0.035, w, floor), fill=(245, 240, 232))
    for k in range(1, 4):
        y = floor + (h - floor) * k / 4
        draw.line((0, y, w, y), fill=(140, 92, 55), width=3)
    return image


def _paper(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (w, h), _mix(tint, (255, 255, 255), rng.uniform(0.2, 0.35)))


def _gradient(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    return _vertical(w, h, _mix(tint, (255, 255, 255), rng.uniform(0.6, 0.75)), tint)


def _stripes(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (w, h), (250, 250, 250))
    draw = ImageDraw.Draw(image)
    step = min(w, h) / 6
    for k in range(math.ceil(w / step / 2) + 1):
        draw.rectangle((2 * k * step, 0, (2 * k + 1) * step - 1, h), fill=_mix(tint, (255, 255, 255), 0.25))
    return image


def _dots(w: int, h: int, tint: Rgb, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (w, h), _mix(tint, (0, 0, 0), 0.12) if tint[0] > 240 and tint[2] > 240 else tint)
    draw = ImageDraw.Draw(image)
    step = min(w, h) / 4
    for row in range(math.ceil(h / step) + 1):
        for column in range(math.ceil(w / step) + 1):
            x, y, r = (column + 0.5 * (row % 2)) * step, (row + 0.5) * step, step * 0.2
            draw.ellipse((x - r, y - r, x + r, y + r), fill="white")
    return image


_PAINTERS: dict[str, Callable[[int, int, Rgb, np.random.Generator], Image.Image]] = {
    "beach": _beach, "meadow": _meadow, "hills": _hills, "night": _night, "sunset": _sunset, "city": _city,
    "snow": _snow, "desert": _desert, "underwater": _underwater, "forest": _forest, "mountains": _mountains,
    "sky": _sky, "road": _road, "room": _room, "paper": _paper, "gradient": _gradient, "stripes": _stripes,
    "dots": _dots,
}  # fmt: skip


def soften(image: npt.NDArray[np.uint8], style: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The styles that make sense for a whole frame; the others leave a scene as it is."""
    picture = Image.fromarray(image)
    if style == "pastel":
        picture = Image.blend(picture, Image.new("RGB", picture.size, (255, 250, 246)), 0.45)
    elif style == "sketch":
        wider = Image.fromarray(np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")).convert("L")
        lines = wider.filter(ImageFilter.FIND_EDGES).point(lambda v: max(0, 235 - 2 * v))
        picture = lines.crop((1, 1, picture.width + 1, picture.height + 1)).convert("RGB")
    elif style == "neon":
        picture = Image.blend(picture, Image.new("RGB", picture.size, (25, 0, 70)), 0.55)
    elif style == "pixel":
        small = (picture.width // 4, picture.height // 4)
        picture = picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)
    return np.asarray(picture)
