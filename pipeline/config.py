"""The configuration of a run: sections that live with what they configure, composed and checked here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from filters.config import FiltersConfig
from ledger.choice import SelectionConfig
from pipeline.config_file import ConfigTree, KeyPath, merged, overridden, read_config_tree
from pipeline.config_validation import validated
from pipeline.estimate_config import EstimateConfig
from pipeline.executor_config import ExecutorConfig
from pipeline.observability_config import ObservabilityConfig
from pipeline.plan_config import PlanConfig
from pipeline.report_config import ReportConfig
from pipeline.storage_config import StorageConfig
from shards.writer import ShardConfig
from stages.layer_flux import LayerFluxConfig
from stages.matting import MattingConfig
from stages.multi_layer_flux import ComposeConfig
from stages.text_layer import TextConfig

FILE_KEYS: tuple[KeyPath, ...] = (
    ("plan", "briefs", "path"),
    ("filters", "aesthetic", "head"),
    ("estimate", "measured"),
)
"""Keys whose values are file names relative to the configuration file that they stand in."""


class RunConfig(BaseModel):
    """Everything about a run. Sections that are not given take their defaults.

    Attributes:
        name: what the run is called in reports and on the dataset card.
        seed: all noise derives from it.
        keep_raw: keep each layer's RGB before matting in the chunks, so that a better matte needs no GPU again.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = "layerprism"
    seed: int = Field(0, ge=0, lt=2**63)
    keep_raw: bool = True
    plan: PlanConfig = PlanConfig()
    layer_flux: LayerFluxConfig = LayerFluxConfig()
    matting: MattingConfig = MattingConfig()
    text: TextConfig = TextConfig()
    compose: ComposeConfig = ComposeConfig()
    filters: FiltersConfig = FiltersConfig()
    selection: SelectionConfig = SelectionConfig()
    shards: ShardConfig = ShardConfig()
    executor: ExecutorConfig = ExecutorConfig()
    estimate: EstimateConfig = EstimateConfig()
    report: ReportConfig = ReportConfig()
    observability: ObservabilityConfig = ObservabilityConfig()
    storage: StorageConfig = StorageConfig()


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a configuration file, what it extends, and `--set` overrides such as ``layer_flux.attempts=2``.

    Raises:
        UserError: for a missing or broken file, an unknown key (with the nearest valid one), or a wrong value; the
            message names the key, the file and the line.
    """
    return validated(RunConfig, read_config_tree(path, overrides, FILE_KEYS))


def config_of_values(
    values: Mapping[str, Any], source: str, overrides: Sequence[str] = (), fragment: Path | None = None
) -> RunConfig:
    """A configuration from values that were read elsewhere, such as those kept in `run.json`; errors as `load_config`.

    Args:
        source: what error messages say of where the values stand.
        fragment: a configuration file whose values replace them where it has any.
    """
    tree = ConfigTree(values, {(): source})
    if fragment is not None:
        tree = merged(tree, read_config_tree(fragment, (), FILE_KEYS))
    return validated(RunConfig, overridden(tree, overrides))


def config_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file, for editors; committed as `configs/run.schema.json`."""
    schema = RunConfig.model_json_schema()
    schema["properties"]["extends"] = {
        "description": "another configuration file, relative to this one, whose values stand where this one has none",
        "type": "string",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def write_config_schema(path: Path) -> None:
    """Writes `config_schema` as JSON."""
    path.write_text(json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
