"""Does a picture show what its caption says? Cosines of CLIP embeddings (Radford et al., arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from filters.clip import ClipConfig, ClipEncoder, shared_clip
from filters.filter import Filter, FilterInput, FilterResult
from layered.arrays import FloatArray, UInt8Array
from layered.scores import WHOLE_IMAGE, Score

CLIP_LAYER = "clip_layer"
CLIP_MARGIN = "clip_margin"
CLIP_WHOLE = "clip_whole"
CLIP_SCORES = (CLIP_LAYER, CLIP_MARGIN, CLIP_WHOLE)

WHOLE_EMBEDDING = "clip_whole"
"""The feature's name: the whole image's unit vector, little-endian float16."""

SAME_MEANING = 0.9
"""Two captions whose embeddings have a greater cosine say the same; neither is a counter-example of the other."""


class ClipAlignment(Filter):
    """Scores every captioned image layer, and the whole image against the whole caption; text layers are left out.

    clip_layer: cosine of the layer, trimmed and over gray, and its caption.
    clip_margin: that cosine minus the greatest one with a caption of something else: the sample's other captions and
        the configured negatives. Below 0 the layer looks more like something else.
    clip_whole: cosine of the whole image and the whole caption.
    """

    def __init__(self, config: ClipConfig) -> None:
        self._config = config

    def setup(self) -> None:
        shared_clip(self._config)

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        clip = shared_clip(self._config)
        return [self._score(sample, clip) for sample in samples]

    def _score(self, sample: FilterInput, clip: ClipEncoder) -> FilterResult:
        scores = []
        records = [record for record in sample.sidecar.layers if record.kind == "image" and record.caption]
        captions = [record.caption for record in records]
        for record in records:
            found = _alignment(clip.embed_part(sample, record.index), record.caption, clip, captions)
            scores += [Score(sample.sample_id, record.index, name, value) for name, value in found.items()]
        whole = clip.embed_part(sample, WHOLE_IMAGE)
        if sample.sidecar.whole_caption:
            cosine = float(whole @ clip.embed_text(sample.sidecar.whole_caption))
            scores.append(Score(sample.sample_id, WHOLE_IMAGE, CLIP_WHOLE, cosine))
        return FilterResult(tuple(scores), {WHOLE_EMBEDDING: whole.astype("<f2").tobytes()})


def layer_alignment(rgba: UInt8Array, caption: str, clip: ClipEncoder, others: Sequence[str] = ()) -> dict[str, float]:
    """clip_layer and clip_margin of one layer ``[h, w, 4]``; `others` are captions of other layers beside it."""
    return _alignment(clip.embed_layer(rgba), caption, clip, others)


def _alignment(image: FloatArray, caption: str, clip: ClipEncoder, others: Sequence[str]) -> dict[str, float]:
    own = clip.embed_text(caption)
    cosine = float(image @ own)
    return {CLIP_LAYER: cosine, CLIP_MARGIN: cosine - _best_other(image, own, clip, others)}


def _best_other(image: FloatArray, own: FloatArray, clip: ClipEncoder, others: Sequence[str]) -> float:
    """The greatest cosine with a caption that does not mean the same as the own one; -1 where there is none."""
    texts = clip.negatives
    if others:
        texts = np.concatenate([texts, clip.embed_texts(others)])
    different = texts[texts @ own < SAME_MEANING]
    return float((different @ image).max(initial=-1.0))
