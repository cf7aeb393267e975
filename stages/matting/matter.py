"""What every way to find alpha has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from layered.arrays import Color, UInt8Array


class Matter(ABC):
    """A way to find alpha."""

    def setup(self) -> None:  # noqa: B027
        """Loads models; called once per worker process."""

    @abstractmethod
    def matte(self, rgb: UInt8Array, background: Color | None = None) -> tuple[UInt8Array, Color]:
        """Frees a picture from its background.

        Args:
            rgb: ``[h, w, 3]`` on a flat background.
            background: its colour; None has it estimated.

        Returns:
            Straight RGBA ``[h', w', 4]``, colours freed from the background's, not smaller than the picture; and the
            background's colour.
        """
