"""Whole runs with the embedded model: same bytes whoever works, resumption after a kill, extension, retry, rework."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from configs import DEMO_CONFIG
from filters.artifacts import ARTIFACT_SCORES, ArtifactsConfig
from filters.clip_alignment import WHOLE_EMBEDDING
from filters.composition import COMPOSITION_SCORES
from filters.safety import SAFETY
from layered import UserError
from layered.errors import FailedWorkError
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from pipeline.briefs import load_briefs
from pipeline.config import RunConfig, load_config
from pipeline.publish import publish_session
from pipeline.run import Work, existing_run, generate, new_run, read_plan, run_again
from pipeline.stage_set import StageSet, stages_of
from stages.records import TextDraw, TextLayer
from stages.text_layer import TextLayers
from tests.conftest import REPOSITORY
from tests.ledger.runs import score_rows
from tests.pipeline.fake_stages import DeadlyPainter, TransparentPainter
from tests.pipeline.whole_run import QUIET, make

# Two steps draw blurs, quickly; what they look like does not matter here, so everything is published.
SMALL = """\
extends: {demo}
plan: {{samples: 4, chunk_layers: 16}}
layer_flux:
  {{steps: 2, batch_size: 4, attempts: 2, accept: {{clip_layer: null, clip_margin: null, alpha_specks: 0.99}}}}
filters:
  alpha_empty: {{threshold: -1}}
  alpha_rectangle: {{threshold: -1}}
  alpha_cut: {{threshold: -1}}
  alpha_holes: {{threshold: -1}}
  alpha_specks: {{threshold: -1}}
  alpha_leftover: {{threshold: -1}}
  alpha_halo: {{threshold: -1}}
  clip_layer: {{enabled: false, threshold: 0}}
  clip_margin: {{enabled: false, threshold: 0}}
  clip_whole: {{enabled: false, threshold: 0}}
  duplicates: {{enabled: false}}
executor: {{kind: inline}}
"""


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of four samples in several chunks."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(SMALL.format(demo=DEMO_CONFIG))
    return path


def files(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def published(run: Path) -> dict[str, bytes]:
    """Every file of a publication."""
    found = files(run / "shards", "*")
    assert any(name.endswith(".tar") for name in found)
    return found


@pytest.fixture(scope="session")
def undisturbed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `small` that nothing happened to."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    make(small, out)
    return out


def test_a_run_publishes_every_sample_intact(undisturbed: Path) -> None:
    index = RunIndex.load(RunDirectory.open(undisturbed).storage)
    assert index.counts().finished == 4
    assert index.counts().chunks >= 2
    assert verify_run(undisturbed) == []
    assert (undisturbed / "report" / "index.html").exists()


def test_some_layers_were_drawn_again(undisturbed: Path) -> None:
    index = RunIndex.load(RunDirectory.open(undisturbed).storage)
    attempts = [layer.attempt for sample in index.sample_ids for layer in index.sample(sample)[1].layers]
    assert 0 in attempts
    assert 1 in attempts


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_workers_write_the_bytes_of_one_process(
    small: Path, undisturbed: Path, tmp_path: Path, ray_session: Any, workers: int
) -> None:
    make(small, tmp_path / "run", "executor.kind=ray", f"executor.workers={workers}")
    assert published(tmp_path / "run") == published(undisturbed)
    assert files(tmp_path / "run" / "chunks", "*") == files(undisturbed / "chunks", "*")


def start(config: Path, out: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from pipeline.cli import main; main()"]
    return subprocess.Popen(
        [*command, "run", str(config), "--out", str(out), *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float) -> None:
    """Waits until something is there, the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None and not condition():
        time.sleep(0.02)


def test_killed_after_its_first_chunk_a_run_goes_on_to_the_same_bytes(
    small: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(small, out)
    wait_for(lambda: (out / "chunks" / "00000.parquet").exists(), process, 120)
    process.kill()
    process.wait()
    first = files(out / "chunks", "*.parquet")
    assert 1 <= len(first) < len(files(undisturbed / "chunks", "*.parquet"))
    make(small, out)
    assert published(out) == published(undisturbed)
    assert files(out / "chunks", "*") == files(undisturbed / "chunks", "*")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_ten_random_moments_a_ray_run_goes_on_to_the_same_bytes(
    small: Path, undisturbed: Path, tmp_path: Path
) -> None:
    moments = random.Random(0)
    out = tmp_path / "run"
    arguments = ("--set", "executor.kind=ray", "--set", "executor.workers=2")
    kills = 0
    while kills < 10:
        process = start(small, out, *arguments)
        wait_for(lambda: False, process, moments.uniform(1, 25))
        if process.poll() is None:
            process.kill()
            process.wait()
            kills += 1
        else:  # done before its moment came: the next kills hit a new run
            assert process.returncode == 0, process.communicate()
            assert published(out) == published(undisturbed)
            shutil.rmtree(out)
    process = start(small, out, *arguments)
    assert process.wait() == 0, process.communicate()
    assert published(out) == published(undisturbed)
    assert files(out / "chunks", "*") == files(undisturbed / "chunks", "*")


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli import main; main()", "run", str(small), "--out", str(out)],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Tests that run in the background of a shell ignore the signal, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: (out / "timings" / "0000.jsonl").exists(), process, 60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "stopped; the same command goes on from here"
    assert b"Traceback" not in errors


def test_more_samples_extend_a_run_and_touch_nothing_old(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    make(small, out)
    before = {path: path.stat().st_mtime_ns for path in (out / "chunks").iterdir()}
    make(small, out, "plan.samples=6")
    after = {path: path.stat().st_mtime_ns for path in (out / "chunks").iterdir()}
    assert before.items() < after.items()
    assert files(undisturbed / "chunks", "*").items() < files(out / "chunks", "*").items()
    assert RunIndex.load(RunDirectory.open(out).storage).counts().finished == 6


def test_a_sample_does_not_depend_on_how_many_there_are(small: Path, undisturbed: Path, tmp_path: Path) -> None:
    make(small, tmp_path / "run", "plan.samples=2")
    few = RunIndex.load(RunDirectory.open(tmp_path / "run").storage)
    many = RunIndex.load(RunDirectory.open(undisturbed).storage)
    for sample_id in few.sample_ids:
        seeds = [[layer.seed for layer in index.sample(sample_id)[1].layers] for index in (few, many)]
        assert seeds[0] == seeds[1]


def test_another_run_in_the_folder_is_refused_with_the_difference(small: Path, undisturbed: Path) -> None:
    before = files(undisturbed, "*.*")
    with pytest.raises(UserError, match=r"layer_flux\.steps is 2 there, 3 here"):
        make(small, undisturbed, "layer_flux.steps=3")
    with pytest.raises(UserError, match="a run can only grow"):
        make(small, undisturbed, "plan.samples=1")
    assert files(undisturbed, "*.*") == before


@pytest.fixture
def broken_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text layers of one sample cannot be drawn while this lasts."""
    draw = TextLayers.process_item

    def refuse(self: TextLayers, item: TextDraw) -> TextLayer:
        if item.sample_id == "s0000002":
            raise RuntimeError("the font has gone")
        return draw(self, item)

    monkeypatch.setattr(TextLayers, "process_item", refuse)


def test_a_failed_sample_is_kept_named_and_made_again_by_retry(
    small: Path, undisturbed: Path, tmp_path: Path, broken_font: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    session = make(small, out)
    failures = RunIndex.load(session.run.storage).failures()
    assert {name: (failure.stage, failure.error) for name, failure in failures.items()} == {
        "s0000002": ("text_layer", "the font has gone")
    }
    assert "Traceback" in failures["s0000002"].traceback
    assert len(RunIndex.load(session.run.storage)) == 4
    monkeypatch.undo()
    session = existing_run(out)
    with session.driving():
        asyncio.run(session.retry(QUIET))
        publish_session(session)
    assert RunIndex.load(session.run.storage).failures() == {}
    assert set(published(out)) == set(published(undisturbed))


def test_samples_that_break_or_kill_the_generator_are_quarantined_and_their_neighbours_survive(
    small: Path, tmp_path: Path, ray_session: Any
) -> None:
    config = load_config(small, ["executor.kind=ray", "executor.max_attempts=2", "layer_flux.attempts=1"])
    session = new_run(tmp_path / "run", config, load_briefs(config.plan, config.seed))
    plan = read_plan(session.run)
    painter = DeadlyPainter(kills="s0000001", raises="s0000002")
    stages = StageSet({"layer_flux": painter}, stages_of(config, session.run.storage).light)
    with session.driving():
        works = [Work(chunk) for chunk in range(plan.chunk_count)]
        asyncio.run(generate(session.run, plan, works, config, QUIET, stages))
    index = RunIndex.load(session.run.storage)
    assert index.counts().finished == 2
    failures = index.failures()
    assert set(failures) == {"s0000001", "s0000002"}
    assert "the worker died" in failures["s0000001"].error
    assert "the generator cannot draw this" in failures["s0000002"].error
    assert '"prompt"' in failures["s0000002"].inputs
    assert verify_run(tmp_path / "run") == []


def rework(config: Path, out: Path, steps: Sequence[str], *overrides: str) -> RunConfig:
    loaded = load_config(config, overrides)
    session = run_again(out, loaded, load_briefs(loaded.plan, loaded.seed), steps)
    with session.driving():
        asyncio.run(session.again(steps, QUIET))
        publish_session(session)
    return loaded


def test_matting_again_starts_from_the_stored_drawings(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    session = make(small, out, "matting.backend=keyer")
    index = RunIndex.load(session.run.storage)
    before = {sample: index.sample(sample) for sample in index.sample_ids}
    steps = ("matting", "compose", "filters")
    rework(small, out, steps, "matting.backend=layerprism")
    again = RunIndex.load(session.run.storage)
    assert {again.record(sample).commit.revision for sample in again.sample_ids} == {1}
    drawn = list((out / "timings").glob("*"))
    assert "layer_flux" not in max(drawn).read_text()
    for sample, (_, sidecar) in before.items():
        new = again.sample(sample)[1]
        assert [(layer.seed, layer.attempt) for layer in new.layers] == [
            (layer.seed, layer.attempt) for layer in sidecar.layers
        ]
        assert new.provenance == sidecar.provenance
    assert any(
        layer.sha256 != old.sha256
        for sample, (_, sidecar) in before.items()
        for layer, old in zip(again.sample(sample)[1].layers, sidecar.layers, strict=True)
    )
    assert RunDirectory.open(out).info["models"]["matting"]["licence"] == "Apache-2.0"
    chunks = files(out / "chunks", "*")
    rework(small, out, steps, "matting.backend=layerprism")
    assert files(out / "chunks", "*") == chunks  # nothing is done twice


def test_matting_again_with_the_same_settings_gives_the_same_pictures(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    before = published_layers(make(small, out).run)
    rework(small, out, ("matting", "compose", "filters"))
    assert published_layers(RunDirectory.open(out)) == before


def test_a_generator_s_own_transparency_goes_through_a_run_and_is_there_to_be_matted_again(
    small: Path, tmp_path: Path
) -> None:
    overrides = ["matting.backend=native", "layer_flux.attempts=1", "plan.samples=2", "executor.kind=inline"]
    config = load_config(small, overrides)
    briefs = load_briefs(config.plan, config.seed)
    session = new_run(tmp_path / "run", config, briefs)
    stages = StageSet({"layer_flux": TransparentPainter()}, stages_of(config, session.run.storage).light)
    with session.driving():
        works = [Work(chunk) for chunk in range(read_plan(session.run).chunk_count)]
        asyncio.run(generate(session.run, read_plan(session.run), works, config, QUIET, stages))
        publish_session(session)
    before = published_layers(session.run)
    image, sidecar = RunIndex.load(session.run.storage).sample("s0000000")
    drawn = [image.layers[layer.index].pixels for layer in sidecar.layers if layer.kind == "image"]
    assert drawn
    assert all(set(np.unique(pixels[..., 3])) <= set(range(129)) for pixels in drawn)
    rework(small, tmp_path / "run", ("matting", "compose", "filters"), *overrides)
    assert published_layers(RunDirectory.open(tmp_path / "run")) == before


def published_layers(run: RunDirectory) -> dict[str, list[str]]:
    index = RunIndex.load(run.storage)
    return {sample: [layer.sha256 for layer in index.sample(sample)[1].layers] for sample in index.sample_ids}


def test_scoring_again_overrides_scores_and_leaves_pictures_alone(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    session = make(small, out)
    chunks = files(out / "chunks", "*")
    count = len(score_rows(RunIndex.load(session.run.storage)))
    rework(small, out, ("filters",), "filters.alpha_halo.enabled=false")
    assert files(out / "chunks", "*") == chunks
    assert len(score_rows(RunIndex.load(session.run.storage))) == count
    assert list((out / "scores").glob("*.parquet"))


def test_filters_that_came_later_score_an_old_run(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    default = (*COMPOSITION_SCORES, *ARTIFACT_SCORES)
    later = {*default, SAFETY}
    session = make(small, out, *(f"filters.{name}.enabled=false" for name in default))
    chunks = files(out / "chunks", "*")
    assert not later & {row["name"] for row in score_rows(RunIndex.load(session.run.storage))}
    rework(
        small,
        out,
        ("filters",),
        "filters.safety={enabled: true, threshold: null, unwanted: [a red star], wanted: [a blue star]}",
        "filters.duplicates={enabled: true, method: embedding}",
    )
    index = RunIndex.load(session.run.storage)
    assert files(out / "chunks", "*") == chunks
    assert later <= {row["name"] for row in score_rows(index)}
    assert all(WHOLE_EMBEDDING in record.features for record in index.records())
    again = existing_run(out)
    with again.driving():
        selection = publish_session(again).published.selection
    assert len(selection.published) + len(selection.left_out) == 4
    assert selection.published


def test_a_classifier_that_was_trained_further_scores_anew(small: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "run", tmp_path / "classifier"
    session = make(small, out, "plan.samples=2", "executor.kind=inline")
    shutil.copytree(ArtifactsConfig().location, folder)
    chosen = ("plan.samples=2", "executor.kind=inline", f"filters.artifacts.model={folder}")

    def artifact_scores() -> list[float]:
        rows = score_rows(RunIndex.load(session.run.storage))
        return [row["score"] for row in rows if row["name"] == "artifact"]

    before = artifact_scores()
    rework(small, out, ("filters",), *chosen)
    assert artifact_scores() == before
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value if "head" not in name else -value for name, value in weights.items()}, folder / "model.safetensors"
    )
    chunks = files(out / "chunks", "*")
    rework(small, out, ("filters",), *chosen, *(f"filters.{name}.threshold=null" for name in ARTIFACT_SCORES))
    assert artifact_scores() != before
    assert files(out / "chunks", "*") == chunks


def test_a_changed_drawing_cannot_be_matted_again(small: Path, undisturbed: Path) -> None:
    with pytest.raises(UserError, match=r"layer_flux\.steps"):
        rework(small, undisturbed, ("matting", "compose", "filters"), "layer_flux.steps=3")


def test_when_nothing_passes_the_report_shows_why_and_the_publication_stays(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    make(small, out, "plan.samples=2")
    before = published(out)
    session = existing_run(out, ["filters.alpha_empty.threshold=2"])
    with session.driving(), pytest.raises(FailedWorkError, match=r"2 flagged.*index\.html"):
        publish_session(session)
    assert published(out) == before
    assert "flagged" in (out / "report" / "index.html").read_text()


def test_one_driver_at_a_time(small: Path, undisturbed: Path) -> None:
    session = existing_run(undisturbed)
    with (
        session.driving(),
        pytest.raises(UserError, match=f"is being driven by process {os.getpid()}"),
        session.driving(),
    ):
        pass
