"""Filtering: all enabled filters over finished samples."""

from __future__ import annotations

from filters.config import FiltersConfig
from filters.duplicates import PERCEPTUAL_HASH, perceptual_hash
from filters.filter import Filter, FilterInput
from filters.registry import build_filters
from stages.item_stage import ItemStage
from stages.records import Composed, Scored, without_transparency


class Filtering(ItemStage[Composed, Scored]):
    """Scores samples, and keeps what later decisions need without looking at pixels again: the perceptual hash."""

    name = "filtering"

    def __init__(self, config: FiltersConfig) -> None:
        self._config = config
        self._filters: list[Filter] = []

    def setup(self) -> None:
        """Loads the filters' models. Raises UserError when there is none where the configuration says."""
        self._filters = build_filters(self._config)
        for each in self._filters:
            each.setup()

    def process_item(self, item: Composed) -> Scored:
        raws = {index: without_transparency(raw) for index, raw in item.raws.items()}
        sample = FilterInput(item.sample_id, item.image, item.sidecar, raws)
        results = [each.score([sample])[0] for each in self._filters]
        features = {PERCEPTUAL_HASH: perceptual_hash(item.image.whole())}
        for result in results:
            features.update(result.features)
        return Scored(item.sample_id, tuple(score for result in results for score in result.scores), features)
