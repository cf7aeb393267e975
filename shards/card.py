"""The dataset card: what is in a publication, who drew it under which licence, how to load it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from layered.sidecar import Sidecar
from shards.features import JsonType, declared_features, json_type, merged_type

CARD_FILE = "README.md"
_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class CardStatistics:
    """What the card says about the samples, collected while they pass.

    Attributes:
        splits: samples by split.
        layer_counts: samples by number of layers.
        styles: samples by style.
        sources: layers by (model, revision, licence).
    """

    def __init__(self) -> None:
        self.splits: Counter[str] = Counter()
        self.layer_counts: Counter[int] = Counter()
        self.styles: Counter[str] = Counter()
        self.sources: Counter[tuple[str, str, str]] = Counter()
        self._image_members: set[str] = set()
        self._sidecar_type: JsonType = None

    def add(self, split: str, sidecar: Sidecar, image_members: Iterable[str]) -> None:
        """Counts one sample."""
        self.splits[split] += 1
        self.layer_counts[sidecar.layer_count] += 1
        self.styles[sidecar.style_category] += 1
        self.sources.update((layer.model, layer.revision, layer.licence) for layer in sidecar.layers)
        self._image_members.update(image_members)
        self._sidecar_type = merged_type(self._sidecar_type, json_type(json.loads(sidecar.to_json())))

    def features(self) -> list[dict[str, Any]]:
        """The features to declare, for exactly the members and JSON fields that occur."""
        return declared_features(self._image_members, self._sidecar_type)


def render_card(title: str, facts: Mapping[str, str], statistics: CardStatistics) -> str:
    """The card as Markdown with a YAML head; equal arguments give equal text.

    Args:
        facts: name → text about the set's origin, shown in the given order.
    """
    environment = Environment(
        loader=PackageLoader("shards"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    samples = statistics.splits.total()
    return environment.get_template("card.md.jinja").render(
        head=yaml.safe_dump(_head(title, statistics), sort_keys=False, allow_unicode=True, width=110),
        title=title,
        facts=facts,
        samples=samples,
        layers=statistics.sources.total(),
        splits=sorted(statistics.splits.items()),
        layer_counts=[
            (count, number, "█" * max(1, round(40 * number / max(statistics.layer_counts.values()))))
            for count, number in sorted(statistics.layer_counts.items())
        ],
        styles=sorted(statistics.styles.items(), key=lambda item: (-item[1], item[0])),
        sources=sorted(statistics.sources.items()),
        first_split=min(statistics.splits, default="train"),
    )


def common_head(title: str, statistics: CardStatistics, form: str) -> dict[str, Any]:
    """What the YAML head of a card says of any set; `form` is a tag such as ``webdataset``."""
    samples = statistics.splits.total()
    licences = {licence for _, _, licence in statistics.sources}
    return {
        "pretty_name": title,
        "license": (licences.pop().lower() or "other") if len(licences) == 1 else "other",
        "task_categories": ["text-to-image"],
        "tags": ["layered-images", "transparency", form],
        "size_categories": [next((name for limit, name in _SIZE_CATEGORIES if samples < limit), "n>1M")],
    }


def _head(title: str, statistics: CardStatistics) -> dict[str, Any]:
    return {
        **common_head(title, statistics, "webdataset"),
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}-*.tar"} for split in sorted(statistics.splits)],
            }
        ],
        "dataset_info": {"features": statistics.features()},
    }
