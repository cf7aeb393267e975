"""Which layers of a sample may be published, by their licences."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from layered.sidecar import Sidecar

BASE_LICENCE = "base_licence"
"""Key of a sidecar's provenance."""


@dataclass(frozen=True)
class LicenceRule:
    """The licences that may be published.

    Attributes:
        allowed: an empty text among them stands for layers without a recorded licence.
        whole_samples: one layer under another licence keeps the whole sample back.
    """

    allowed: Collection[str]
    whole_samples: bool = False

    def others(self, sidecar: Sidecar) -> dict[int, str]:
        """Index and licence of the layers under other licences."""
        return {layer.index: layer.licence for layer in sidecar.layers if layer.licence not in self.allowed}

    def against(self, sidecar: Sidecar) -> str:
        """Why a sample may not be published at all; empty when it may, if need be without some layers."""
        base = sidecar.provenance.get(BASE_LICENCE, "")
        if base not in self.allowed:
            return f"the base image is under {base or 'no recorded licence'}"
        others = self.others(sidecar)
        if self.whole_samples and others:
            index, licence = min(others.items())
            return f"layer {index} is under {licence or 'no recorded licence'}"
        return ""
