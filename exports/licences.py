"""Under which licences the parts of a set are: counted, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from layered.sidecar import Sidecar
from ledger.licences import BASE_LICENCE

NO_LICENCE = "not recorded"


@dataclass(frozen=True, order=True)
class Part:
    """One kind of part: ``layer``, ``text layer`` or ``base image``, under one licence, by one model."""

    licence: str
    kind: str
    model: str
    revision: str


@dataclass(frozen=True)
class LicenceSummary:
    """What a set is made of.

    Attributes:
        samples: how many there are.
        parts: how many of each kind, the most frequent licence first.
        mixed: samples with parts under more than one licence, those without a recorded one not counted.
    """

    samples: int
    parts: dict[Part, int]
    mixed: int

    @property
    def licences(self) -> list[str]:
        """All recorded ones, sorted."""
        return sorted({part.licence for part in self.parts} - {""})

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "mixed": self.mixed,
            "licences": self.licences,
            "parts": [{**asdict(part), "count": count} for part, count in self.parts.items()],
        }

    def to_markdown(self) -> str:
        """A table, one row per kind of part."""
        lines = ["| licence | part | model | revision | count |", "|---|---|---|---|---|"]
        for part, count in self.parts.items():
            cells = part.licence or NO_LICENCE, part.kind, part.model or "–", part.revision or "–", str(count)
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def summarise_licences(sidecars: Iterable[Sidecar]) -> LicenceSummary:
    """Counts the parts of samples."""
    counts: Counter[Part] = Counter()
    samples = mixed = 0
    for sidecar in sidecars:
        parts = list(_parts_of(sidecar))
        counts.update(parts)
        samples += 1
        mixed += len({part.licence for part in parts} - {""}) > 1
    of_licence: Counter[str] = Counter()
    for part, count in counts.items():
        of_licence[part.licence] += count
    order = sorted(counts, key=lambda part: (-of_licence[part.licence], part))
    return LicenceSummary(samples, {part: counts[part] for part in order}, mixed)


def _parts_of(sidecar: Sidecar) -> Iterable[Part]:
    origin = sidecar.provenance
    yield Part(
        origin.get(BASE_LICENCE, ""), "base image", origin.get("base_model", ""), origin.get("base_revision", "")
    )
    for layer in sidecar.layers:
        kind = "text layer" if layer.kind == "text" else "layer"
        yield Part(layer.licence, kind, layer.model, layer.revision)
