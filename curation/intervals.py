"""How sure a counted share is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

_Z: Final = 1.959963984540054
"""Of the standard normal distribution, at 95 %."""


@dataclass(frozen=True)
class Share:
    """A part of a whole with Wilson's 95 % interval (1927)."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends, in 0…1; all of it where nothing was counted."""
        if not self.total:
            return 0.0, 1.0
        share, spread = self.count / self.total, _Z**2 / self.total
        center = (share + spread / 2) / (1 + spread)
        half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / self.total + spread / self.total / 4)
        return max(0.0, center - half), min(1.0, center + half)

    def as_json(self) -> dict[str, Any]:
        """Counts, share (None where nothing was counted) and interval."""
        share = self.count / self.total if self.total else None
        return {"count": self.count, "total": self.total, "share": share, "interval": list(self.interval)}
