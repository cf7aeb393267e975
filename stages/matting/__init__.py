"""LayerFLUX, second half: a drawn picture on a flat background becomes a layer with alpha."""

from stages.matting.background import estimate_background
from stages.matting.config import MattingConfig
from stages.matting.matter import Matter
from stages.matting.stage import Matting, matter_of

__all__ = ["Matter", "Matting", "MattingConfig", "estimate_background", "matter_of"]
