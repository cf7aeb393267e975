"""The check inside the attempt loop: is a drawn and matted layer good enough, or should it be drawn again?"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from filters.alpha import ALPHA_SCORES, alpha_scores
from filters.clip import shared_clip
from filters.clip_alignment import CLIP_LAYER, CLIP_MARGIN, layer_alignment
from filters.config import FiltersConfig
from stages.item_stage import ItemStage
from stages.records import CheckedLayer, Matted

_PUBLISHED = FiltersConfig().thresholds()


class AcceptConfig(BaseModel):
    """The `layer_flux.accept` section: a layer below one of these scores is drawn again; null does not look at a score.

    The defaults are those of publication, but that a layer must also look more like its caption than like anything
    else: drawing again is cheap, losing a whole sample is not. Unlike the thresholds under `filters`, these change what
    is generated, and so belong to a run's fingerprint.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    alpha_empty: float | None = _PUBLISHED["alpha_empty"]
    alpha_rectangle: float | None = _PUBLISHED["alpha_rectangle"]
    alpha_cut: float | None = _PUBLISHED["alpha_cut"]
    alpha_holes: float | None = _PUBLISHED["alpha_holes"]
    alpha_specks: float | None = _PUBLISHED["alpha_specks"]
    alpha_leftover: float | None = _PUBLISHED["alpha_leftover"]
    alpha_halo: float | None = _PUBLISHED["alpha_halo"]
    clip_layer: float | None = _PUBLISHED["clip_layer"]
    clip_margin: float | None = 0.0

    def thresholds(self) -> dict[str, float]:
        """The lowest acceptable score by name."""
        return {name: value for name, value in self if value is not None}


class LayerCheck(ItemStage[Matted, CheckedLayer]):
    """Scores single layers as the filters will, but knows no other layer of the sample.

    `quality` orders attempts: first by the share of checks passed, then by clip_margin, so that of two sound layers the
    one that shows its caption more clearly is kept.
    """

    name = "layer_check"

    def __init__(self, accept: AcceptConfig, filters: FiltersConfig) -> None:
        self._thresholds = accept.thresholds()
        self._clip = filters.clip
        self._uses_alpha = bool(self._thresholds.keys() & set(ALPHA_SCORES))
        self._uses_clip = bool({CLIP_LAYER, CLIP_MARGIN} & self._thresholds.keys())

    def setup(self) -> None:
        """Loads CLIP where it is needed. Raises UserError when there is none where the configuration says."""
        if self._uses_clip:
            shared_clip(self._clip)

    def process_item(self, item: Matted) -> CheckedLayer:
        draw = item.drawn.draw
        scores = alpha_scores(item.rgba, item.drawn.opaque) if self._uses_alpha else {}
        if self._uses_clip and draw.caption:
            scores |= layer_alignment(item.rgba, draw.caption, shared_clip(self._clip))
        failed = [name for name, least in self._thresholds.items() if name in scores and not scores[name] >= least]
        soundness = 1 - len(failed) / max(1, len(self._thresholds))
        return CheckedLayer(draw, scores, not failed, soundness + 0.01 * scores.get(CLIP_MARGIN, 0.0))

    def layer_index(self, item: Matted) -> int:
        return item.drawn.draw.layer_index
