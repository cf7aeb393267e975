"""LayerFLUX, second half: a drawn picture on a flat background becomes a layer with alpha."""

from __future__ import annotations

from collections.abc import Callable

from stages.item_stage import ItemStage
from stages.matting.config import MattingConfig
from stages.matting.keyer import Keyer
from stages.matting.matter import Matter
from stages.records import Drawn, Matted


class Matting(ItemStage[Drawn, Matted]):
    """Mattes drawn layers one by one."""

    name = "matting"

    def __init__(self, config: MattingConfig) -> None:
        self._matter = matter_of(config)

    def setup(self) -> None:
        self._matter.setup()

    def process_item(self, item: Drawn) -> Matted:
        return Matted(item, *self._matter.matte(item.rgb))

    def layer_index(self, item: Drawn) -> int:
        return item.draw.layer_index


def matter_of(config: MattingConfig) -> Matter:
    """The configured way to find alpha, not set up yet."""
    return MATTERS[config.backend](config)


MATTERS: dict[str, Callable[[MattingConfig], Matter]] = {"keyer": Keyer}
