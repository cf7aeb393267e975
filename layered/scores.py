"""One number from one filter."""

from dataclasses import dataclass

WHOLE_IMAGE = -1
"""The `layer_index` of what is said about the whole image."""


@dataclass(frozen=True, slots=True)
class Score:
    """Higher is better; flagged when below the filter's threshold. `layer_index` is -1 for the whole image."""

    sample_id: str
    layer_index: int
    name: str
    score: float
