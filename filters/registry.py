"""The filters that a configuration needs."""

from filters.aesthetics import AESTHETIC, Aesthetics
from filters.alpha import ALPHA_SCORES, AlphaChecks
from filters.artifacts import ARTIFACT_SCORES, ArtifactClassifier
from filters.clip_alignment import CLIP_SCORES, ClipAlignment
from filters.composition import COMPOSITION_SCORES, Composition
from filters.config import FiltersConfig
from filters.filter import Filter
from filters.recomposition import RECOMPOSITION, Recomposition
from filters.safety import SAFETY, Safety


def build_filters(config: FiltersConfig) -> list[Filter]:
    """Every filter that gives an enabled score, not set up yet."""
    enabled = config.enabled()
    filters: list[Filter] = []
    if not enabled.isdisjoint(ALPHA_SCORES):
        filters.append(AlphaChecks())
    if not enabled.isdisjoint(ARTIFACT_SCORES):
        filters.append(ArtifactClassifier(config.artifacts))
    # Duplicates by embedding compare what ClipAlignment stores beside its scores.
    if not enabled.isdisjoint(CLIP_SCORES) or (config.duplicates.enabled and config.duplicates.method == "embedding"):
        filters.append(ClipAlignment(config.clip))
    if AESTHETIC in enabled:
        filters.append(Aesthetics(config.aesthetic, config.clip))
    if SAFETY in enabled:
        filters.append(Safety(config.safety, config.clip))
    if not enabled.isdisjoint(COMPOSITION_SCORES):
        filters.append(Composition())
    if RECOMPOSITION in enabled:
        filters.append(Recomposition())
    return filters
