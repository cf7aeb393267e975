"""Names for the arrays that images are made of."""

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
"""Pixels at rest: ``[height, width, 3]`` RGB, ``[height, width, 4]`` straight RGBA or ``[height, width]`` gray."""

FloatArray = NDArray[np.float32]
"""Pixels being worked on: the same shapes, values in 0…1, colour premultiplied by alpha."""

Size = tuple[int, int]
"""``(width, height)`` in pixels."""

Color = tuple[int, int, int]
"""``(red, green, blue)``, each 0…255."""
