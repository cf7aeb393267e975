"""The fingerprint: changes with the bytes of a run, and with nothing else."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ledger.run_directory import fingerprint_differences
from models import TINY
from pipeline.briefs import BriefList, load_briefs
from pipeline.config import RunConfig, load_config
from pipeline.fingerprint import fingerprint, matting_parts
from stages.matting import MattingConfig


def config_of(model_folder: Path, *overrides: str) -> RunConfig:
    path = model_folder.parent / "run.yaml"
    path.write_text("plan: {samples: 5}\n")
    return load_config(path, [f"layer_flux.model={model_folder}", *overrides])


def fingerprint_of(config: RunConfig, briefs: BriefList | None = None) -> str:
    return fingerprint(config, briefs or load_briefs(config.plan, config.seed))[0]


@pytest.mark.parametrize(
    "override",
    [
        "plan.samples=50",
        "name=other",
        "executor={kind: inline, workers: 7}",
        "filters.clip_layer.threshold=0.9",
        "shards.max_samples_per_shard=5",
        "keep_raw=false",
        "report.samples=3",
        "layer_flux.seconds_per_layer=3.0",
        "layer_flux.cpu_offload=model",
        "layer_flux.simulated.failure_rate=0.5",  # of another model
    ],
)
def test_what_changes_no_bytes_is_not_in_it(model_folder: Path, override: str) -> None:
    assert fingerprint_of(config_of(model_folder, override)) == fingerprint_of(config_of(model_folder))


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "plan.variations=2",
        "plan.styles=[neon]",
        "plan.splits={train: 1.0}",
        "plan.chunk_layers=64",
        "plan.designer.max_layers=5",
        "layer_flux.attempts=2",
        "layer_flux.steps=9",
        "layer_flux.batch_size=3",
        "layer_flux.suffix=on green",
        "matting.backend=layerprism",
        "matting.min_side=64",
    ],
)
def test_what_changes_bytes_is_in_it_and_is_named(model_folder: Path, override: str) -> None:
    old, new = config_of(model_folder), config_of(model_folder, override)
    assert fingerprint_of(old) != fingerprint_of(new)
    parts = [fingerprint(config, load_briefs(config.plan, config.seed))[1] for config in (old, new)]
    assert fingerprint_differences(*parts)


def test_a_default_said_aloud_is_the_same_default(model_folder: Path) -> None:
    explicit = config_of(model_folder, "layer_flux.suffix=on a plain gray background", "layer_flux.steps=4")
    assert fingerprint_of(explicit) == fingerprint_of(config_of(model_folder))


def test_the_model_s_content_counts_and_not_where_it_lies(model_folder: Path) -> None:
    (model_folder / "weights.safetensors").write_bytes(b"one")
    first = fingerprint_of(config_of(model_folder))
    moved = model_folder.parent / "elsewhere" / model_folder.name
    shutil.copytree(model_folder, moved)
    assert fingerprint_of(config_of(moved)) == first
    (moved / "weights.safetensors").write_bytes(b"two")
    assert fingerprint_of(config_of(moved)) != first


def test_models_that_lie_beside_the_parts_of_a_pipeline_do_not_count(model_folder: Path) -> None:
    (model_folder / "model_index.json").write_text('{"transformer": ["diffusers", "FluxTransformer2DModel"]}')
    for name in ("transformer", "clip", "matting"):
        (model_folder / name).mkdir(exist_ok=True)
        (model_folder / name / "model.safetensors").write_bytes(b"one")
    first = fingerprint_of(config_of(model_folder))
    (model_folder / "matting" / "model.safetensors").write_bytes(b"two")
    assert fingerprint_of(config_of(model_folder)) == first
    (model_folder / "transformer" / "model.safetensors").write_bytes(b"two")
    assert fingerprint_of(config_of(model_folder)) != first


def test_a_closed_form_has_no_model_and_no_device_in_it(model_folder: Path) -> None:
    parts = matting_parts(config_of(model_folder, "matting.backend=keyer").matting)
    assert parts == {"matting.backend": "keyer", "matting.min_side": 256}


def test_the_matting_network_counts_by_content_and_not_by_place(model_folder: Path, tmp_path: Path) -> None:
    def parts_of(folder: Path) -> dict[str, Any]:
        return matting_parts(MattingConfig(backend="layerprism", model=str(folder)))

    embedded = matting_parts(MattingConfig(backend="layerprism"))
    moved = tmp_path / "matting"
    shutil.copytree(TINY / "matting", moved)
    assert parts_of(moved) == embedded
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert parts_of(moved) != embedded


def test_briefs_of_a_file_count_by_content(model_folder: Path) -> None:
    config = config_of(model_folder)
    briefs = load_briefs(config.plan, 1).briefs
    one, same, other = BriefList(briefs[:3]), BriefList(list(briefs[:3])), BriefList([briefs[1], briefs[0], briefs[2]])
    assert fingerprint_of(config, one) == fingerprint_of(config, same) != fingerprint_of(config, other)


def test_of_the_simulated_model_what_it_draws_counts_and_how_long_it_takes_does_not(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("plan: {samples: 5}\nlayer_flux: {model: simulated}\n")
    plain = fingerprint_of(load_config(path))
    for override in ("seconds_per_batch=1.0", "latency_spread=0.2", "memory_mb=5", "load_seconds=3.0"):
        assert fingerprint_of(load_config(path, [f"layer_flux.simulated.{override}"])) == plain
    for override in ("failure_rate=0.1", "grain=3", "object_sizes=[0.2, 0.3]"):
        assert fingerprint_of(load_config(path, [f"layer_flux.simulated.{override}"])) != plain
