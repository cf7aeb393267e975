"""The stage that encodes finished samples: PNG members, sidecar with its scores, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

from layered.scores import WHOLE_IMAGE
from ledger.commit import ChunkSample, encode_sample
from stages.records import Composed, Scored
from stages.stage import Failed, Stage


class Packing(Stage[tuple[Composed, Scored], ChunkSample]):
    """Encodes samples for a chunk: the costly part of a commit, done by as many workers as there are.

    Args:
        keep_raw: whether each layer's RGB before matting is kept, so that a better matte needs no generator.
    """

    name = "packing"

    def __init__(self, keep_raw: bool) -> None:
        self._keep_raw = keep_raw

    def process(self, batch: Sequence[tuple[Composed, Scored]]) -> list[ChunkSample | Failed]:
        """One encoded sample per pair, in order."""
        return [self._pack(composed, scored) for composed, scored in batch]

    def _pack(self, composed: Composed, scored: Scored) -> ChunkSample:
        of_the_whole = {score.name: score.score for score in scored.scores if score.layer_index == WHOLE_IMAGE}
        return encode_sample(
            composed.image,
            composed.sidecar.model_copy(update={"scores": of_the_whole}),
            composed.raws if self._keep_raw else {},
            scored.scores,
            scored.features,
            composed.batch_shapes,
        )
