"""ViTMatte (arXiv 2305.15272) by transformers' own class, within a trimap that the keyer draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from layered.arrays import Color, FloatArray, UInt8Array
from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision
from stages.matting.background import estimate_background
from stages.matting.config import MattingConfig, resolve_model
from stages.matting.device import matting_device
from stages.matting.keyer import Keyer
from stages.matting.matter import Matter, check_rgb, enlarged, with_alpha

_MULTIPLE: Final = 32
"""Heights and widths that the model takes."""

_BAND: Final = 1 / 64
"""How far the unknown part of a trimap reaches beyond what the keyer is unsure of, of the shorter side."""


class VitMatter(Matter):
    """Alpha from ViTMatte; colours follow from alpha and the known background."""

    def __init__(self, config: MattingConfig) -> None:
        self._config = config
        self._model_config = resolve_model(config)
        self._keyer = Keyer(config.model_copy(update={"min_side": 1}))
        self._model: Any = None

    def setup(self) -> None:
        if self._model is None:
            self._device = matting_device(self._config.device)
            self._model = _load(self._model_config.location, self._model_config.revision).to(self._device)

    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        check_rgb(rgb)
        self.setup()
        background = background or estimate_background(rgb)
        picture = enlarged(rgb, self._config.min_side)
        keyed, _ = self._keyer.matte(picture, background)
        trimap = trimap_of(keyed[..., 3])
        alpha = self._alpha(picture, trimap)
        alpha[trimap == 0], alpha[trimap == 1] = 0, 1
        return with_alpha(picture, alpha, background), background

    def _alpha(self, picture: UInt8Array, trimap: FloatArray) -> FloatArray:
        height, width = trimap.shape
        # What transformers' processor does: colours to −1…1, the trimap as it is, zeros up to a multiple of 32.
        channels = np.dstack([picture.astype(np.float32) / 127.5 - 1, trimap]).transpose(2, 0, 1)
        values = F.pad(torch.from_numpy(channels)[None], (0, -width % _MULTIPLE, 0, -height % _MULTIPLE))
        with torch.inference_mode():
            alphas = self._model(pixel_values=values.to(self._device)).alphas
        found: FloatArray = alphas[0, 0, :height, :width].float().cpu().numpy().clip(0, 1)
        return found


def trimap_of(alpha: UInt8Array) -> FloatArray:
    """0 for background, 1 for what is certainly solid, 0.5 for the band around all that lies between.

    Args:
        alpha: the keyer's, ``[h, w]`` in 0…255.
    """
    reach = max(2, round(_BAND * min(alpha.shape)))
    shown = ndimage.maximum_filter(alpha > 5, 2 * reach + 1)
    solid = ndimage.minimum_filter(alpha > 250, 2 * reach + 1, mode="nearest")
    trimap: FloatArray = np.where(solid, 1.0, np.where(shown, 0.5, 0.0)).astype(np.float32)
    return trimap


def _load(location: str, revision: str) -> Any:
    ensure_torchvision()
    import transformers

    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.VitMatteForImageMatting.from_pretrained(
            location,
            revision=revision or "main",
            local_files_only=Path(location).is_dir(),
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise UserError(f"matting.model: cannot load {location}: {str(error).splitlines()[0]}") from error
    if not isinstance(model, transformers.VitMatteForImageMatting):
        raise UserError(f"matting.model: {location} is no ViTMatte model")
    return model.eval().requires_grad_(False)
