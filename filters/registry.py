"""The filters that a configuration needs."""

from filters.alpha import ALPHA_SCORES, AlphaChecks
from filters.clip_alignment import CLIP_SCORES, ClipAlignment
from filters.config import FiltersConfig
from filters.filter import Filter


def build_filters(config: FiltersConfig) -> list[Filter]:
    """Every filter that gives an enabled score, not set up yet."""
    enabled = config.enabled()
    filters: list[Filter] = []
    if not enabled.isdisjoint(ALPHA_SCORES):
        filters.append(AlphaChecks())
    if not enabled.isdisjoint(CLIP_SCORES):
        filters.append(ClipAlignment(config.clip))
    return filters
