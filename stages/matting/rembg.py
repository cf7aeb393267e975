"""The `rembg` library as a back end: BiRefNet, ISNet, U²-Net and others, by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
from PIL import Image

from layered.arrays import Color, FloatArray, UInt8Array
from layered.errors import UserError
from stages.matting.background import estimate_background
from stages.matting.config import MattingConfig, resolve_model
from stages.matting.matter import Matter, check_rgb, enlarged, with_alpha


class RembgMatter(Matter):
    """Alpha from a salient-object network, which is not told of the background; colours follow from alpha and the
    background.

    Raises:
        UserError: when the library is not installed.
    """

    def __init__(self, config: MattingConfig) -> None:
        self._config = config
        self._name = resolve_model(config).model
        self._session: Any = None
        missing = [name for name in ("rembg", "onnxruntime") if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(f"matting.backend rembg needs the package {missing[0]}: pip install 'layerprism[matting]'")

    def setup(self) -> None:
        if self._session is None:
            self._session = _session(self._name)

    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        check_rgb(rgb)
        self.setup()
        background = background or estimate_background(rgb)
        picture = enlarged(rgb, self._config.min_side)
        (mask, *_) = self._session.predict(Image.fromarray(picture))
        alpha: FloatArray = np.asarray(mask.convert("L"), np.float32) / np.float32(255)
        return with_alpha(picture, alpha, background), background


def _session(name: str) -> Any:
    """A session of the library; it fetches weights that are not there yet."""
    rembg = importlib.import_module("rembg")
    try:
        return rembg.new_session(name)
    except Exception as error:  # the library raises whatever its downloads and its runtime do
        raise UserError(f"matting.model: rembg cannot load {name!r}: {str(error).splitlines()[0]}") from error
