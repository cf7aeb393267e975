"""Inspection of runs, publications, tars and layered folders."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from layered.errors import UserError
from layered.folder import write_layered_folder
from layered.scores import Score
from ledger.index import RunIndex
from ledger.publication import publish
from ledger.run_directory import RunDirectory
from pipeline import inspection
from pipeline.exploded_view import exploded_view
from pipeline.inspection import SampleFacts, draw_sample, inspect
from pipeline.inspection_view import render_inspection, render_sample
from shards.writer import ShardConfig
from tests.ledger.runs import sample_id
from tests.pipeline.small_run import FAILED, FLAGGED, NASTY, PENDING, THRESHOLDS, layer_count, small_run
from tests.shards.samples import CANVAS, flip_byte, make_sample

PUBLISHED = 2


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Published, with samples 0, 1 and 2 also in a layered folder beside it."""
    run = small_run(tmp_path / "run")
    publish(run, ShardConfig(), THRESHOLDS)
    index = RunIndex.load(run.storage)
    for number in range(3):
        write_layered_folder(tmp_path / "folder", sample_id(number), index.sample_members(sample_id(number)))
    return run


def places(run: RunDirectory) -> dict[str, Path]:
    """All that holds sample `PUBLISHED`, by kind."""
    shards, chunk = run.path / "shards", run.path / "chunks" / "00000.tar"
    return {"run": run.path, "publication": shards, "tar": chunk, "layered folder": run.path.parent / "folder"}


def printed(path: Path, key: str | None = None, width: int = 200) -> str:
    stream = io.StringIO()
    Console(width=width, file=stream).print(render_inspection(inspect(path, key)))
    return stream.getvalue()


def test_a_run_lists_what_became_of_each_sample(run: RunDirectory) -> None:
    found = inspect(run.path)
    assert (found.kind, found.total) == ("run", 6)
    states = {line.key: line.state for line in found.samples}
    assert states == {
        **{sample_id(number): "published" for number in (0, 1, 2, 5)},
        sample_id(FLAGGED): "flagged",
        sample_id(FAILED): "failed",
    }
    assert [line.layers for line in found.samples] == [layer_count(number) for number in range(6)]
    assert {line.canvas for line in found.samples} == {CANVAS, None}


def test_the_same_sample_is_found_wherever_it_lies(run: RunDirectory) -> None:
    _, sidecar = make_sample(PUBLISHED, layer_count(PUBLISHED))
    for kind, path in places(run).items():
        listed = inspect(path)
        assert listed.kind == kind
        (line,) = (line for line in listed.samples if line.key == sample_id(PUBLISHED))
        assert (line.canvas, line.layers, line.style) == (CANVAS, layer_count(PUBLISHED), "neon")
        assert line.caption == f"design {PUBLISHED} {NASTY}"
        facts = inspect(path, sample_id(PUBLISHED)).sample
        assert facts is not None
        assert facts.sidecar is not None
        assert [layer.box for layer in facts.sidecar.layers] == [layer.box for layer in sidecar.layers]


def test_the_same_picture_is_drawn_from_wherever_a_sample_lies(run: RunDirectory) -> None:
    expected = exploded_view(*RunIndex.load(run.storage).sample(sample_id(PUBLISHED)))
    for path in places(run).values():
        np.testing.assert_array_equal(draw_sample(path, sample_id(PUBLISHED)), expected)


def test_scores_come_with_the_runs_thresholds(run: RunDirectory) -> None:
    facts = inspect(run.path, sample_id(FLAGGED)).sample
    assert facts is not None
    assert (facts.thresholds["clip_layer"], facts.thresholds["clip_whole"]) == (0.2, 0.25)
    assert "clip_margin" not in facts.thresholds
    assert {(score.layer_index, score.name): score.score for score in facts.scores}[1, "clip_layer"] == 0.1
    assert facts.place == "chunks/00001.tar"


def test_a_publication_knows_the_scores_of_layers(run: RunDirectory) -> None:
    facts = inspect(run.path / "shards", sample_id(PUBLISHED)).sample
    assert facts is not None
    assert facts.place == "train-00000.tar"
    assert sum(score.name == "clip_layer" for score in facts.scores) == layer_count(PUBLISHED)


def test_a_failed_sample_tells_stage_inputs_and_traceback(run: RunDirectory) -> None:
    text = printed(run.path, sample_id(FAILED))
    for told in ("failed in matting of layer 1", f"no object {NASTY}", '{"seed": 5}', "Traceback (most recent"):
        assert told in text, told
    with pytest.raises(UserError, match="has no picture, it failed in matting: no object"):
        draw_sample(run.path, sample_id(FAILED))


def test_an_unfinished_run_has_finished_samples_and_planned_ones(tmp_path: Path) -> None:
    path = small_run(tmp_path / "run").path
    assert inspect(path).samples[0].state == "finished"
    with pytest.raises(UserError, match="planned but not made yet"):
        inspect(path, sample_id(PENDING))


def test_an_unknown_key_is_answered_with_the_nearest(run: RunDirectory) -> None:
    for path in places(run).values():
        for mistyped in ("s000002", "s2", "x0000002"):
            with pytest.raises(UserError, match=f"has no sample {mistyped}; the nearest are {sample_id(2)}"):
                inspect(path, mistyped)


def test_what_holds_no_samples_is_a_users_mistake(run: RunDirectory, tmp_path: Path) -> None:
    for path in (run.path / "chunks", run.path / "plan.parquet", tmp_path):
        with pytest.raises(UserError, match="holds no samples: give a run"):
            inspect(path)
    with pytest.raises(UserError, match="there is no"):
        inspect(tmp_path / "nowhere")


def test_a_tar_that_is_cut_off_is_a_users_mistake(run: RunDirectory, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes((run.path / "chunks" / "00000.tar").read_bytes()[:1500])
    with pytest.raises(UserError, match="cannot be read to its end"):
        inspect(cut)


def test_a_damaged_picture_points_to_verify(run: RunDirectory) -> None:
    record = RunIndex.load(run.storage).record(sample_id(PUBLISHED))
    layer = next(member for member in record.members if member.name == "layer_01.png")
    flip_byte(run.path / record.commit.tar, layer.offset + 20)
    with pytest.raises(UserError, match=r"is damaged .* layerprism verify"):
        draw_sample(run.path, sample_id(PUBLISHED))


def test_a_long_list_is_cut_and_says_so(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_LINES", 2)
    found = inspect(run.path)
    assert (len(found.samples), found.total) == (2, 6)
    assert "… and 4 more" in printed(run.path)


def test_the_printed_list_shows_keys_in_full_and_captions_as_they_are(run: RunDirectory) -> None:
    assert f"design 0 {NASTY}" in printed(run.path)
    narrow = printed(run.path, width=80)
    assert all(sample_id(number) in narrow for number in range(6))
    assert all(len(line) <= 80 for line in narrow.splitlines())


def test_the_printed_sample_marks_what_is_flagged(run: RunDirectory) -> None:
    text = printed(run.path, sample_id(FLAGGED))
    (row,) = (line.split() for line in text.splitlines() if line.startswith("clip_layer"))
    assert row == ["clip_layer", "0.2", "0.50", "0.10*"]


def test_scores_of_many_layers_stand_in_several_tables_that_fit(tmp_path: Path) -> None:
    scores = tuple(Score("s", layer, "clip_margin", layer / 100) for layer in range(20))
    stream = io.StringIO()
    Console(width=80, file=stream).print(render_sample(SampleFacts("s", "here", "published", None, scores)))
    lines = stream.getvalue().splitlines()
    shown = [cell for line in lines if line.startswith("clip_margin") for cell in line.split()[1:]]
    assert shown == [f"{layer / 100:.2f}" for layer in range(20)]


def test_the_printed_sample_shows_boxes_seeds_and_sources_on_a_narrow_terminal(run: RunDirectory) -> None:
    text = printed(run.path, sample_id(PUBLISHED), width=80)
    _, sidecar = make_sample(PUBLISHED, layer_count(PUBLISHED))
    for layer in sidecar.layers:
        assert ", ".join(map(str, layer.box)) in text
        assert str(layer.seed) in text
        assert f"{layer.model} · {layer.revision} · {layer.licence}" in text


def test_the_printed_sample_shows_how_a_text_layer_was_set() -> None:
    _, sidecar = make_sample(0, 2)
    title = sidecar.layers[1].model_copy(
        update={"kind": "text", "text": "Ahoi [b]", "font": "Sans", "color": "#102030"}
    )
    sidecar = sidecar.model_copy(update={"layers": (sidecar.layers[0], title)})
    stream = io.StringIO()
    Console(width=80, file=stream).print(render_sample(SampleFacts("s", "here", "published", sidecar)))
    (row,) = (line for line in stream.getvalue().splitlines() if "#102030" in line)
    assert "Ahoi [b]" in row
    assert "Sans" in row
