"""Stages that begin with what the chunks hold instead of with a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layered import LayerRecord, Sidecar
from layered.codec import SIDECAR_MEMBER, decode_members
from layered.png import decode_png
from ledger.commit import raw_member
from ledger.index import SampleRecord
from ledger.storage import Storage
from pipeline.plan import PlannedSample
from shards.tar import is_sample_member, read_members
from stages.matting import Matting
from stages.multi_layer_flux import MultiLayerFlux
from stages.records import BASE_IMAGE, Composed, Composition, Draw, Drawn, Matted, TextDraw, TextLayer
from stages.stage import Failed, Stage
from stages.text_layer import TextLayers


class Recalling(Stage[SampleRecord, Composed]):
    """Reads finished samples as they are stored."""

    name = "recalling"

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def process(self, batch: Sequence[SampleRecord]) -> list[Composed | Failed]:
        """One sample per record, with its raws where they were kept. Raises ValueError when a chunk is damaged."""
        return [self._recall(record) for record in batch]

    def _recall(self, record: SampleRecord) -> Composed:
        members = _members(self._storage, record)
        image, sidecar = decode_members({name: data for name, data in members.items() if is_sample_member(name)})
        shapes = {index: (shape[0], shape[1], shape[2]) for index, shape in record.batch_shapes.items()}
        drawn = [BASE_IMAGE, *(layer.index for layer in sidecar.layers)]
        raws = {index: decode_png(members[raw_member(index)]) for index in drawn if raw_member(index) in members}
        return Composed(record.sample_id, image, sidecar, raws, shapes)


@dataclass(frozen=True)
class RecomposeRequest:
    """A stored sample, what was planned for it, and its text layers."""

    record: SampleRecord
    planned: PlannedSample
    texts: tuple[TextDraw, ...]

    @property
    def sample_id(self) -> str:
        return self.record.sample_id


class Recomposing(Stage[RecomposeRequest, Composed]):
    """Mattes the stored RGB of every layer anew, draws the texts anew and composes: all but the generator."""

    name = "recomposing"

    def __init__(
        self, storage: Storage, matting: Matting, text_layers: TextLayers, multi_layer_flux: MultiLayerFlux
    ) -> None:
        self._storage = storage
        self._matting, self._text_layers, self._multi_layer_flux = matting, text_layers, multi_layer_flux

    def setup(self) -> None:
        """Loads the matting model and the fonts."""
        for stage in (self._matting, self._text_layers, self._multi_layer_flux):
            stage.setup()

    def process(self, batch: Sequence[RecomposeRequest]) -> list[Composed | Failed]:
        """One sample per request, in order.

        Raises:
            ValueError: when a chunk is damaged, or was written without `keep_raw`.
        """
        return [self._recompose(request) for request in batch]

    def _recompose(self, request: RecomposeRequest) -> Composed | Failed:
        members = _members(self._storage, request.record)
        sidecar = Sidecar.from_json(members[SIDECAR_MEMBER])
        records = {record.index: record for record in sidecar.layers}
        raws = [_drawn(request.record, record, members) for record in records.values() if record.kind == "image"]
        made = [*self._matting.process(raws), *self._text_layers.process(request.texts)]
        failed = next((each for each in made if isinstance(each, Failed)), None)
        if failed is not None:
            return failed
        layers = sorted((each for each in made if not isinstance(each, Failed)), key=_layer_index)
        composition = Composition(
            request.sample_id,
            request.planned.brief,
            _drawn(request.record, None, members),
            tuple(layers),
            (),
            sidecar.provenance,
        )
        return self._multi_layer_flux.process([composition])[0]


def _members(storage: Storage, record: SampleRecord) -> dict[str, bytes]:
    with storage.open(record.tar) as stream:
        return read_members(stream, record.members, None)


def _drawn(record: SampleRecord, layer: LayerRecord | None, members: Mapping[str, bytes]) -> Drawn:
    """The picture as its generator painted it; without a layer, the base image."""
    index = BASE_IMAGE if layer is None else layer.index
    name = raw_member(index)
    if name not in members:
        raise ValueError(f"{name} was not kept (keep_raw: false): only a new run can matte it again")
    rgb = decode_png(members[name])
    size = (rgb.shape[1], rgb.shape[0])
    shape = record.batch_shapes.get(index, (1, *size))
    draw = Draw(
        record.sample_id,
        index,
        layer.attempt if layer else 0,
        layer.seed if layer else 0,
        "",
        layer.caption if layer else "",
        size,
    )
    model, revision, licence = (layer.model, layer.revision, layer.licence) if layer else ("", "", "")
    return Drawn(draw, rgb, (shape[0], shape[1], shape[2]), model, revision, licence)


def _layer_index(layer: Matted | TextLayer) -> int:
    return layer.request.layer_index if isinstance(layer, TextLayer) else layer.drawn.draw.layer_index
