"""Our matting network as a back end: loading it, and pictures of any size through it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from layered.arrays import Color, UInt8Array
from layered.errors import UserError
from layered.pixels import clear_hidden
from stages.matting.background import estimate_background
from stages.matting.config import WEIGHTS_FILE, MattingConfig, read_facts, resolve_model
from stages.matting.device import matting_device
from stages.matting.matter import Matter, check_rgb, enlarged
from stages.matting.network import MattingNetwork

_WHOLE: Final = 1_100_000
"""Pictures of no more pixels than this, one megapixel at any aspect, pass through the network in one piece."""

_TILE: Final = 896
"""Side of the tiles of larger pictures, without their margin: with it, one megapixel."""

_MARGIN: Final = 64
"""What a tile sees around it; what depends on more is left to the smaller picture."""


class LayerPrismMatter(Matter):
    """Alpha and colours from the network in `MattingConfig.model`."""

    def __init__(self, config: MattingConfig) -> None:
        self._config = config
        self._folder = Path(resolve_model(config).location)
        self._network: MattingNetwork | None = None

    def setup(self) -> None:
        if self._network is None:
            self._device = matting_device(self._config.device)
            self._network = load_network(self._folder).to(self._device)

    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        check_rgb(rgb)
        self.setup()
        assert self._network is not None
        background = background or estimate_background(rgb)
        picture = torch.from_numpy(enlarged(rgb, self._config.min_side)).to(self._device)
        flat = torch.tensor([background], dtype=torch.float32, device=self._device) / 255
        with torch.inference_mode():
            found = matte_any_size(self._network, picture.permute(2, 0, 1)[None].float() / 255, flat)
            rgba = (found[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return clear_hidden(np.ascontiguousarray(rgba)), background


def load_network(folder: Path) -> MattingNetwork:
    """The network of a folder, in float32, ready to infer.

    Raises:
        UserError: when weights are missing, are no safetensors file, or do not fit the widths in `config.json`.
    """
    facts = read_facts(folder)
    path = folder / WEIGHTS_FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"matting.model: {path} cannot be read as safetensors: {error}") from error
    try:
        network = MattingNetwork(facts["widths"])
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"matting.model: {path} does not fit the network of {folder}'s config.json: {_first_difference(error)}"
        ) from error
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def matte_any_size(network: MattingNetwork, pictures: Tensor, backgrounds: Tensor) -> Tensor:
    """Straight RGBA ``[n, 4, h, w]``, a little outside 0…1, of pictures of one size.

    Pictures of more than one megapixel are matted at half their size first, however large; the tiles that then pass
    through the network add only what is too fine for the smaller picture. Memory beyond the pictures' own is that of
    one tile.

    Args:
        pictures: RGB in 0…1, ``[n, 3, h, w]``.
        backgrounds: RGB in 0…1, ``[n, 3]``.
    """
    height, width = pictures.shape[2:]
    if height * width <= _WHOLE:
        return _padded_pass(network, pictures, backgrounds)
    half = (height + 1) // 2, (width + 1) // 2
    coarse = matte_any_size(network, _resized(pictures, half), backgrounds)
    result = torch.empty(len(pictures), 4, height, width, dtype=pictures.dtype, device=pictures.device)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            # Even borders, so that halving a tile gives the same pixels as halving the picture.
            y0, x0 = max(0, top - _MARGIN), max(0, left - _MARGIN)
            y1, x1 = min(height, top + _TILE + _MARGIN), min(width, left + _TILE + _MARGIN)
            fine = _padded_pass(network, pictures[:, :, y0:y1, x0:x1], backgrounds)
            size, small = (y1 - y0, x1 - x0), ((y1 - y0 + 1) // 2, (x1 - x0 + 1) // 2)
            below = coarse[:, :, y0 // 2 : y0 // 2 + small[0], x0 // 2 : x0 // 2 + small[1]]
            fine = fine + _resized(below - _resized(fine, small), size)
            bottom, right = min(height, top + _TILE), min(width, left + _TILE)
            result[:, :, top:bottom, left:right] = fine[:, :, top - y0 : bottom - y0, left - x0 : right - x0]
    return result


def _padded_pass(network: MattingNetwork, pictures: Tensor, backgrounds: Tensor) -> Tensor:
    """One pass, with background added at the right and below up to the network's multiple, and removed again."""
    height, width = pictures.shape[2:]
    right, below = -width % network.multiple, -height % network.multiple
    if right or below:
        flat = backgrounds[:, :, None, None]
        pictures = F.pad(pictures - flat, (0, right, 0, below)) + flat
    found: Tensor = network(pictures.contiguous(memory_format=torch.channels_last), backgrounds)
    return found[:, :, :height, :width]


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def _first_difference(error: Exception) -> str:
    """The first thing that torch complains of, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else lines[0]
