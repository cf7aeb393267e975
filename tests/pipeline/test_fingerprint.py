"""The fingerprint: changes with the bytes of a run, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from ledger.run_directory import fingerprint_differences
from pipeline.briefs import BriefList, load_briefs
from pipeline.config import RunConfig, load_config
from pipeline.fingerprint import fingerprint


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


def test_briefs_of_a_file_count_by_content(model_folder: Path) -> None:
    config = config_of(model_folder)
    briefs = load_briefs(config.plan, 1).briefs
    one, same, other = BriefList(briefs[:3]), BriefList(list(briefs[:3])), BriefList([briefs[1], briefs[0], briefs[2]])
    assert fingerprint_of(config, one) == fingerprint_of(config, same) != fingerprint_of(config, other)
