"""The dataset card of a PrismLayers set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from exports.prismlayers.columns import card_features
from shards.card import CardStatistics, common_head


def write_card(path: Path, title: str, statistics: CardStatistics, layers: int) -> None:
    """Writes the card; equal arguments give equal bytes.

    Args:
        statistics: of all samples; `datasets` reads the splits from the card.
        layers: of the largest design: what the columns are declared for.
    """
    environment = Environment(
        loader=PackageLoader("exports"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    head: dict[str, Any] = {
        **common_head(title, statistics, "parquet"),
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"} for split in sorted(statistics.splits)
                ],
            }
        ],
        "dataset_info": {"features": card_features(layers)},
    }
    text = environment.get_template("prismlayers_card.md.jinja").render(
        head=yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=110),
        title=title,
        samples=statistics.splits.total(),
        layers=statistics.sources.total(),
        most_layers=layers,
        splits=sorted(statistics.splits.items()),
        sources=sorted(statistics.sources.items()),
        first_split=min(statistics.splits),
    )
    path.write_text(text, encoding="utf-8")
