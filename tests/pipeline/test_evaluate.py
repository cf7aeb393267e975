"""`layerprism evaluate` from the command line, with random models: what it draws, keeps, measures and refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from evaluation.samples import open_samples
from layered import UserError
from layered.codec import SIDECAR_MEMBER, encode_members
from pipeline.cli import app
from shards.writer import ShardConfig, ShardSample, write_publication
from tests.art_model.random_art import random_art
from tests.conftest import REPOSITORY
from tests.pipeline.small_bench import COUNT, small_bench, true_design, write_config

FEW = {"steps": 1, "batch": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_art(tmp_path_factory.mktemp("model"))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return small_bench(tmp_path / "bench")


def run(config: Path, out: Path, *overrides: str) -> Result:
    options = [part for each in overrides for part in ("--set", each)]
    return CliRunner().invoke(app, ["evaluate", str(config), "--out", str(out), *options])


def evaluated(config: Path, out: Path, *overrides: str) -> dict[str, Any]:
    """Runs the command, which must succeed, and reads its numbers."""
    result = run(config, out, *overrides)
    assert result.exit_code == 0, (result.output, result.exception)
    numbers: dict[str, Any] = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    return numbers


def test_models_and_finished_designs_are_measured_alike(model: Path, bench: Path, tmp_path: Path) -> None:
    models = {"ART": {"art": str(model)}, "again": {"art": str(model)}, "exact <b>": {"samples": "truth"}}
    out = tmp_path / "out"
    numbers = evaluated(write_config(bench, models, sampler=FEW), out)
    assert numbers["bench"]["pictures_of_each_model"] == numbers["bench"]["pictures_planned"] == COUNT
    assert list(numbers["models"]) == ["ART", "again", "exact <b>", "true designs"]
    art, again, exact = (numbers["models"][name]["figures"] for name in ("ART", "again", "exact <b>"))
    assert {name: art[name] for name in art if name != "seconds"} == {
        name: again[name] for name in again if name != "seconds"
    }
    assert (exact["layer_rgb_l1"]["value"], exact["layer_soft_iou"]["value"]) == (0, 1)
    assert exact["kid_whole"]["value"] == exact["cmmd_layers"]["value"] == 0
    assert art["layer_soft_iou"]["value"] < 1
    assert art["recomposition_psnr"]["value"] > 0
    assert "recomposition_psnr" not in exact
    assert numbers["models"]["exact <b>"]["not_measured"]["recomposition_psnr"] == "it draws no merged image"
    assert "192 dimensions" in numbers["models"]["ART"]["not_measured"]["frechet_whole"]
    # Text is drawn by a font: two of the three layers count.
    assert numbers["bench"]["named"] == 2 * COUNT
    first = numbers["comparisons"][0]
    assert (first["first"], first["second"], first["drawn"]["value"]) == ("again", "ART", 1)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "exact &lt;b&gt;" in page
    assert "exact <b>" not in page
    for file in (*(f"pictures/d{number}-00.art.whole.webp" for number in range(COUNT)), "metrics.png", "evaluation.md"):
        assert (out / file).stat().st_size > 0
        assert file.endswith(".md") or file in page


def test_a_model_may_have_guidance_of_its_own(model: Path, bench: Path, tmp_path: Path) -> None:
    models = {"led": {"art": str(model), "true_cfg": 4.0}, "as all": {"art": str(model)}, "alike": {"art": str(model)}}
    config = write_config(bench, models, sampler={**FEW, "true_cfg": 1.5, "precision": "bfloat16"})
    numbers = evaluated(config, tmp_path / "out")
    about = {name: numbers["models"][name]["about"]["true CFG"] for name in models}
    assert about == {"led": "4", "as all": "1.5", "alike": "1.5"}
    drawn = {
        name: (tmp_path / "out" / "pictures" / f"d0-00.{name}.whole.webp").read_bytes()
        for name in ("led", "as-all", "alike")
    }
    assert drawn["as-all"] == drawn["alike"] != drawn["led"]
    # Guidance is part of what a design was drawn by.
    assert isinstance(run(config, tmp_path / "out", "models.led.true_cfg=3.0").exception, UserError)


def test_the_same_command_draws_nothing_again_and_finishes_what_was_cut_short(
    model: Path, bench: Path, tmp_path: Path
) -> None:
    config, out = write_config(bench, {"ART": {"art": str(model)}}, sampler=FEW), tmp_path / "out"
    numbers = evaluated(config, out)
    samples = out / "samples" / "art"
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in samples.glob("d*")}
    assert evaluated(config, out) == numbers
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in samples.glob("d*")} == before
    (samples / "d1-00.layer_00.png").unlink()
    again = evaluated(config, out)
    assert (samples / "d1-00.layer_00.png").read_bytes() == before[samples / "d1-00.layer_00.png"][1]
    assert again["models"]["ART"]["figures"]["found"] == numbers["models"]["ART"]["figures"]["found"]


def test_a_changed_model_setting_or_brief_is_noticed(model: Path, bench: Path, tmp_path: Path) -> None:
    config, out = write_config(bench, {"ART": {"art": str(model)}}, sampler=FEW), tmp_path / "out"
    evaluated(config, out)
    changed = small_bench(tmp_path / "changed")
    text = (changed / "bench.jsonl").read_text()
    (changed / "bench.jsonl").write_text(text.replace("green", "yellow"))
    other = tmp_path / "other"
    shutil.copytree(model, other)
    weights = other / "decoder" / "config.json"
    weights.write_text(weights.read_text() + " ")
    for overrides in (
        ["sampler.steps=2"],
        ["seed=1"],
        [f"bench.designs={changed / 'bench.jsonl'}"],
        [f"models.ART.art={other}"],
    ):
        result = run(config, out, *overrides)
        assert isinstance(result.exception, UserError), overrides
        assert "drawn by another model, with other settings or for another brief" in str(result.exception)


def test_more_briefs_and_draws_go_on_from_what_is_there(model: Path, bench: Path, tmp_path: Path) -> None:
    config, out = write_config(bench, {"ART": {"art": str(model)}}, sampler=FEW), tmp_path / "out"
    evaluated(config, out, "bench.limit=2")
    samples = out / "samples" / "art"
    first = (samples / "d0-00.base_image.png").stat().st_mtime_ns
    numbers = evaluated(config, out, "bench.draws=2")
    assert numbers["bench"]["pictures_of_each_model"] == 2 * COUNT
    assert (samples / "d0-00.base_image.png").stat().st_mtime_ns == first
    assert (samples / "d0-00.base_image.png").read_bytes() != (samples / "d0-01.base_image.png").read_bytes()


def test_trainings_share_the_draws_and_all_models_make_as_many(model: Path, bench: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    settings = json.loads((other / "art.json").read_text())
    (other / "art.json").write_text(json.dumps({**settings, "name": "second"}))
    models = {"one": {"art": str(model)}, "two": {"art": [str(model), str(other)]}}
    out = tmp_path / "out"
    numbers = evaluated(write_config(bench, models, sampler=FEW), out, "bench.limit=2")
    assert numbers["bench"]["pictures_of_each_model"] == 4
    drawn = open_samples(out / "samples" / "two")
    names = {key: drawn.sidecar(key).layers[0].model for key in drawn.sample_ids}
    assert names == {"d0-00": "random", "d0-01": "second", "d1-00": "random", "d1-01": "second"}
    assert set(numbers["models"]["two"]["about"]) == {"model 1", "model 2"}


def test_what_one_model_lacks_counts_for_none(model: Path, bench: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for file in (bench / "truth").glob("d[02].*"):
        shutil.copy(file, few / file.name)
    config = write_config(bench, {"ART": {"art": str(model)}, "few": {"samples": str(few)}}, sampler=FEW)
    numbers = evaluated(config, tmp_path / "out")
    assert numbers["models"]["ART"]["pictures"] == numbers["models"]["few"]["pictures"] == 2
    assert numbers["models"]["few"]["lacks"] == 1
    assert "few lacks 1 of 3 designs" in (tmp_path / "out" / "evaluation.md").read_text()
    for file in few.glob("d2.*"):
        file.unlink()
    result = run(config, tmp_path / "out")
    assert "fewer than two briefs in common" in str(result.exception)


def test_the_flux_bench_is_a_split_of_a_publication(model: Path, bench: Path, tmp_path: Path) -> None:
    published = [true_design(number) for number in range(COUNT)]
    members = [encode_members(*each) for each in published]
    samples = [
        ShardSample("val", sidecar, {name: data for name, data in files.items() if name != SIDECAR_MEMBER}, ())
        for (_, sidecar), files in zip(published, members, strict=True)
    ]
    write_publication(samples, tmp_path / "run" / "shards", ShardConfig())
    run_folder = str(tmp_path / "run")
    models = {"ART": {"art": str(model)}, "published": {"samples": run_folder}}
    numbers = evaluated(write_config(bench, models, bench={"publication": run_folder}, sampler=FEW), tmp_path / "out")
    assert numbers["bench"]["pictures_of_each_model"] == COUNT
    assert numbers["bench"]["named"] == 2 * COUNT
    assert numbers["models"]["published"]["figures"]["layer_soft_iou"]["value"] == 1
    assert numbers["models"]["true designs"]["pictures"] == COUNT


def test_a_picture_is_taken_apart(model: Path, bench: Path, tmp_path: Path) -> None:
    config = write_config(bench, {"ART": {"art": str(model)}}, sampler=FEW, task="image_to_layers")
    numbers = evaluated(config, tmp_path / "out")
    image, sidecar = open_samples(tmp_path / "out" / "samples" / "art").sample("d1-00")
    assert image.merged is not None
    np.testing.assert_array_equal(image.merged, true_design(1)[0].whole())
    assert sidecar.provenance["held"] == "merged,2"
    assert numbers["task"] == "image_to_layers"


def test_multi_layer_flux_is_a_run_in_one_process(bench: Path, tmp_path: Path) -> None:
    overrides = ["layer_flux.attempts=1", "layer_flux.steps=4", "matting.backend=keyer"]
    models = {"MultiLayerFLUX": {"run": str(REPOSITORY / "configs" / "quick.yaml"), "set": overrides}}
    config = write_config(bench, models)
    numbers = evaluated(config, tmp_path / "out", "bench.limit=2")
    figures = numbers["models"]["MultiLayerFLUX"]["figures"]
    assert numbers["bench"]["pictures_of_each_model"] == 2
    assert figures["seconds"]["value"] > 0
    assert 0 <= figures["layer_soft_iou"]["value"] <= 1
    result = run(config, tmp_path / "out")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "3 samples, 9 layers and base images in 2 chunks" in " ".join(result.output.split())
    assert "1 chunks are done" in " ".join(result.output.split())
    result = run(config, tmp_path / "out", "bench.draws=2")
    assert "is another run: briefs is" in str(result.exception)


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({"A": {"art": "nowhere"}}, "nowhere does not exist: give the folder of an ART model"),
        ({"A": {"samples": "nowhere"}}, "give a publication, a run or a layered folder"),
        ({"A": {"run": "nowhere.yaml"}}, "there is no configuration file"),
    ],
)
def test_what_is_missing_is_named(bench: Path, tmp_path: Path, models: dict[str, Any], says: str) -> None:
    result = run(write_config(bench, models), tmp_path / "out")
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)


def test_designs_of_another_size_cannot_be_compared(bench: Path, tmp_path: Path) -> None:
    text = (bench / "bench.jsonl").read_text()
    (bench / "wide.jsonl").write_text(text.replace("[64, 48]", "[80, 48]"))
    config = write_config(bench, {"exact": {"samples": "truth"}}, bench={"designs": "wide.jsonl"})
    assert "has a canvas of [64, 48], its brief one of [80, 48]" in str(run(config, tmp_path / "out").exception)


def test_designs_of_other_briefs_are_none_of_the_bench(bench: Path, tmp_path: Path) -> None:
    text = (bench / "bench.jsonl").read_text()
    (bench / "other.jsonl").write_text(text.replace('"id": "d', '"id": "e'))
    config = write_config(bench, {"exact": {"samples": "truth"}}, bench={"designs": "other.jsonl"})
    assert "none of the 3 designs that the bench wants is there" in str(run(config, tmp_path / "out").exception)
