"""LayerFLUX, second half: a drawn picture on a flat background becomes a layer with alpha."""

from stages.matting.background import estimate_background
from stages.matting.config import BACKENDS, MattingConfig, MattingModel, resolve_model
from stages.matting.matter import Matter
from stages.matting.stage import Matting, matter_of

__all__ = [
    "BACKENDS", "Matter", "Matting", "MattingConfig", "MattingModel", "estimate_background", "matter_of",
    "resolve_model",
]  # fmt: skip
