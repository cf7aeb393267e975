"""The shipped configurations: each loads and plans as it stands."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from tokenizers import Tokenizer

from pipeline.briefs import load_briefs
from pipeline.config import RunConfig, config_schema, load_config
from pipeline.plan import make_plan
from pipeline.plan_summary import PlanSummary, describe_plan
from stages.layer_flux import resolve_defaults

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem not in ("vocabulary", "import"))
FLUX = ("flux_schnell", "flux_dev", "flux2_klein", "cluster")


def shipped(name: str, *overrides: str) -> RunConfig:
    return load_config(CONFIGS / f"{name}.yaml", overrides)


def summary_of(config: RunConfig) -> PlanSummary:
    return describe_plan(make_plan(config, load_briefs(config.plan, config.seed)), config)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_configuration_plans_without_a_word_that_its_model_cannot_read(name: str) -> None:
    config = shipped(name)
    if (config.plan.samples or 0) > 200:
        config = shipped(name, "plan.samples=200")
    summary = summary_of(config)
    assert summary.samples == config.plan.samples
    assert summary.batch_fill >= 0.8
    assert summary.unknown_words == {}


def test_the_demo_is_what_the_readme_promises() -> None:
    config = shipped("demo")
    summary = summary_of(config)
    assert summary.samples >= 48
    assert min(summary.layers_per_sample) >= 3
    assert max(summary.layers_per_sample) <= 12
    assert (config.executor.kind, config.executor.workers, config.layer_flux.model) == ("ray", 2, "layerprism-tiny")
    assert len(summary.styles) == 7
    assert set(summary.splits) == {"train", "val"}


@pytest.mark.parametrize("overrides", [(), ("plan.briefs.path=null", "plan.samples=300")], ids=["demo", "designed"])
def test_the_embedded_model_reads_every_prompt_to_its_end(overrides: tuple[str, ...]) -> None:
    config = shipped("demo", *overrides)
    settings = resolve_defaults(config.layer_flux)
    tokenizer = Tokenizer.from_file(f"{settings.location}/tokenizer_2/tokenizer.json")
    plan = make_plan(config, load_briefs(config.plan, config.seed))
    prompts = {draw.prompt for chunk in plan.chunks() for batch in chunk.batches for draw in batch}
    lengths = {prompt: len(tokenizer.encode(prompt).ids) for prompt in prompts}
    assert {prompt: length for prompt, length in lengths.items() if length > settings.max_sequence_length} == {}


def test_the_quick_look_is_the_beginning_of_the_demo() -> None:
    quick, demo = (
        make_plan(config, load_briefs(config.plan, config.seed)) for config in map(shipped, ("quick", "demo"))
    )
    fixed = ["sample_id", "brief", "seed", "split"]
    assert quick.table.select(fixed).equals(demo.table.slice(0, len(quick)).select(fixed))
    assert shipped("quick").executor.kind == "inline"


@pytest.mark.parametrize("name", FLUX)
def test_flux_is_drawn_at_a_megapixel_on_a_gpu_with_its_licence_recorded(name: str) -> None:
    settings = resolve_defaults(shipped(name).layer_flux)
    assert settings.licence
    assert len(settings.revision) == 40
    assert (settings.device, settings.dtype) == ("cuda", "bfloat16")
    for width, height in (*settings.layer_sizes, *settings.base_sizes):
        assert width % 16 == height % 16 == 0
        assert width * height == pytest.approx(1024**2, rel=0.04)
    assert "gray background" in settings.suffix


def test_the_cluster_has_the_size_of_prismlayers() -> None:
    config = shipped("cluster")
    assert config.plan.samples == 200_000
    assert config.executor.ray_address == "auto"
    assert config.executor.gpus_per_worker == 1


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = json.loads((CONFIGS / "run.schema.json").read_text())
    way_out = "python -c 'from pathlib import Path; from pipeline.config import write_config_schema as w; "
    assert committed == config_schema(), way_out + 'w(Path("configs/run.schema.json"))\''


@pytest.mark.parametrize("name", SHIPPED)
def test_editors_find_the_schema_and_no_fault(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=run.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), config_schema())
