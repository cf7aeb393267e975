"""LayerFLUX, second half: a drawn picture on a flat background becomes a layer with alpha."""

from __future__ import annotations

from layered.errors import UserError
from stages.item_stage import ItemStage
from stages.matting.config import MattingConfig
from stages.matting.matter import Matter
from stages.records import Drawn, Matted


class Matting(ItemStage[Drawn, Matted]):
    """Mattes drawn layers one by one. Raises UserError when its model cannot be used."""

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
    """The configured way to find alpha, not set up yet; only what it needs is imported.

    Raises:
        UserError: for `triangulation`, which needs two pictures; when a model folder or an extra is missing.
    """
    match config.backend:
        case "layerprism":
            from stages.matting.layerprism import LayerPrismMatter

            return LayerPrismMatter(config)
        case "vitmatte":
            from stages.matting.vitmatte import VitMatter

            return VitMatter(config)
        case "rembg":
            from stages.matting.rembg import RembgMatter

            return RembgMatter(config)
        case "native":
            from stages.matting.native import Native

            return Native()
        case "triangulation":
            raise UserError(
                "matting.backend triangulation needs two pictures of each layer, on two colours: `layerprism matte "
                "ONE.png --second OTHER.png`; generators draw one"
            )
        case _:
            from stages.matting.keyer import Keyer

            return Keyer(config)
