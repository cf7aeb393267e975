"""What a layered image is: boxes, layers, compositing, files and schemas. Imports nothing else of the project."""

from layered.box import Box
from layered.brief import Brief, BriefLayer
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from layered.sidecar import LayerRecord, Sidecar

__all__ = ["Box", "Brief", "BriefLayer", "Layer", "LayerRecord", "LayeredImage", "Sidecar", "UserError"]
