"""Which stages a run needs, built from its configuration, and which of them share processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger.storage import Storage
from pipeline.chunk_flow import LAYER_FLUX
from pipeline.committing import Committing
from pipeline.config import RunConfig
from pipeline.executor_config import ExecutorConfig
from pipeline.packing import Packing
from pipeline.pool_spec import PoolSpec
from pipeline.recalling import Recalling, Recomposing
from stages.filtering import Filtering
from stages.layer_check import LayerCheck
from stages.layer_flux import LayerFlux
from stages.matting import Matting
from stages.multi_layer_flux import MultiLayerFlux
from stages.stage import Stage
from stages.text_layer import TextLayers


@dataclass(frozen=True)
class StageSet:
    """The stages of a run by name.

    Attributes:
        generator: what needs a GPU, on its own so that its processes do nothing else.
        light: everything else, sharing processes and the CLIP model in them.
    """

    generator: dict[str, Stage[Any, Any]]
    light: dict[str, Stage[Any, Any]]

    def all(self) -> dict[str, Stage[Any, Any]]:
        return self.generator | self.light

    def pool_specs(self, config: ExecutorConfig, batches: int) -> list[PoolSpec]:
        """One pool for the generator, one for the rest; a pool without stages is left out.

        Args:
            batches: of the generator, so that a small retry does not ask for all machines.
        """
        generators = PoolSpec(
            LAYER_FLUX,
            self.generator,
            config.workers,
            config.cpus_per_worker,
            config.gpus_per_worker,
            config.min_workers,
            min(config.workers, max(1, batches)),
        )
        rest = PoolSpec(
            "light", self.light, config.light_workers, config.cpus_per_light_worker, config.gpus_per_light_worker
        )
        return [spec for spec in (generators, rest) if spec.stages]


def stages_of(config: RunConfig, storage: Storage) -> StageSet:
    """All stages that make a chunk, not set up yet."""
    light: list[Stage[Any, Any]] = [
        Matting(config.matting),
        LayerCheck(config.layer_flux.accept, config.filters),
        TextLayers(config.text),
        MultiLayerFlux(config.compose),
        *_last_stages(config, storage),
    ]
    return StageSet(generator={LAYER_FLUX: LayerFlux(config.layer_flux)}, light=_by_name(light))


def rework_stages(config: RunConfig, storage: Storage) -> dict[str, Stage[Any, Any]]:
    """The stages that matte, compose and score again what is stored."""
    compose = Matting(config.matting), TextLayers(config.text), MultiLayerFlux(config.compose)
    return _by_name([Recalling(storage), Recomposing(storage, *compose), *_last_stages(config, storage)])


def _last_stages(config: RunConfig, storage: Storage) -> list[Stage[Any, Any]]:
    return [Filtering(config.filters), Packing(config.keep_raw), Committing(storage)]


def _by_name(stages: list[Stage[Any, Any]]) -> dict[str, Stage[Any, Any]]:
    return {stage.name: stage for stage in stages}
