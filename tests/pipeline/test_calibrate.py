"""`layerprism calibrate`: from decisions to a fragment of configuration that publication takes."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from filters.calibration import TOGETHER
from filters.combined import COMBINED
from filters.config import FiltersConfig
from filters.operating_points import Target
from layered.errors import UserError
from layered.png import decode_png
from ledger.decisions import resolve
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.selection import flagged
from pipeline.calibrate import calibrate_run, labelled_samples, observations_of, target_of
from pipeline.calibration_files import write_calibration
from pipeline.cli import main
from pipeline.inspection import inspect
from pipeline.labels import labels_of_run
from pipeline.publish import publish_session
from pipeline.run import existing_run
from tests.ledger.runs import on, sample_id
from tests.pipeline.labelled_run import FAILED, SAMPLES, decide, decisions, labelled_run, truth

RECALL = Target("recall", 0.95)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_run(tmp_path_factory.mktemp("run") / "run").path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunDirectory:
    """A run without decisions, to be changed at will."""
    return RunDirectory.open(Path(shutil.copytree(made, tmp_path / "run")))


@pytest.fixture(scope="module")
def decided(made: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The same with decisions on all samples."""
    run = RunDirectory.open(Path(shutil.copytree(made, tmp_path_factory.mktemp("decided") / "run")))
    decide(run, *decisions())
    return run


@pytest.fixture
def layerprism(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["layerprism", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    return command


def test_a_verdict_on_a_sample_sees_the_worst_layer_and_one_on_a_layer_its_own(run: RunDirectory) -> None:
    decide(run, on(0, 1, "keep"), on(1, 2, "reject", 1), on(2, 3, "keep"), on(2, 4, "reject", 0))
    index = RunIndex.load(run.storage)
    samples = labelled_samples(index, labels_of_run(run), run.path)
    found = observations_of(samples)
    by_label = {(s.label.sample_id, s.label.layer_index): row for s, row in zip(samples, found.scores, strict=True)}
    column = found.names.index("clip_layer")

    def stored(number: int) -> dict[int, float]:
        rows = index.record(sample_id(number)).scores
        return {row.layer_index: row.score for row in rows if row.name == "clip_layer"}

    assert by_label[sample_id(0), -1][column] == min(stored(0).values())
    assert by_label[sample_id(1), 1][column] == stored(1)[1]
    assert np.isnan(by_label[sample_id(1), 1][found.names.index("clip_whole")])
    # Kept without its layer 0: neither that layer's scores nor those of the whole image count.
    assert by_label[sample_id(2), -1][column] == stored(2)[1]
    assert np.isnan(by_label[sample_id(2), -1][found.names.index("clip_whole")])


def test_the_fragment_publishes_what_it_promises(decided: RunDirectory, tmp_path: Path) -> None:
    calibrated = calibrate_run(decided.path, None, RECALL)
    folder = write_calibration(calibrated, tmp_path / "out")
    limit = {score.name: score.threshold for score in calibrated.calibration.scores}
    assert limit["clip_layer"] is not None
    assert limit["alpha_cut"] is None
    fragment = yaml.safe_load((folder / "thresholds.yaml").read_text())["filters"]
    assert fragment["clip_layer"] == {"threshold": limit["clip_layer"]}
    # The decisions would overrule every threshold: publish a copy without them.
    fresh = RunDirectory.open(Path(shutil.copytree(decided.path, tmp_path / "fresh")))
    shutil.rmtree(fresh.path / "decisions")
    session = existing_run(fresh.path, fragment=folder / "thresholds.yaml")
    thresholds = session.config.filters.thresholds()
    assert thresholds == {**FiltersConfig().thresholds(), **{n: v for n, v in limit.items() if v is not None}}
    published = publish_session(session).published
    records = [record for record in RunIndex.load(fresh.storage).records() if record.failure is None]
    expected = [record.sample_id for record in records if not flagged(record.scores, thresholds)]
    assert published.publication.sample_ids == expected
    assert 0 < len(expected) < len(records)


def test_the_combination_decides_alone_by_the_weights_in_the_fragment(decided: RunDirectory, tmp_path: Path) -> None:
    calibrated = calibrate_run(decided.path, None, RECALL)
    folder = write_calibration(calibrated, tmp_path / "out")
    fresh = RunDirectory.open(Path(shutil.copytree(decided.path, tmp_path / "fresh")))
    shutil.rmtree(fresh.path / "decisions")
    session = existing_run(fresh.path, fragment=folder / "combined.yaml")
    combined = calibrated.calibration.combined
    assert session.config.filters.combined == combined
    assert combined is not None
    assert {"clip_layer", "alpha_halo"} <= {term.score for term in combined.terms}
    selection = publish_session(session).published.selection
    published = [int(sample.sample_id[1:]) for sample in selection.published]
    good = [number for number in range(SAMPLES) if truth(number) and number != FAILED]
    assert sum(map(truth, published)) / len(published) > 0.85
    assert len(set(published) & set(good)) / len(good) > 0.85
    assert any("combined is 0." in sample.detail for sample in selection.left_out)
    assert "<code>combined</code>" in (fresh.path / "report" / "index.html").read_text()
    fresh.replace_info({**fresh.info, "config": session.config.model_dump(mode="json")})
    facts = inspect(fresh.path, sample_id(good[0])).sample
    assert facts is not None
    assert [score.name for score in facts.scores].count(COMBINED) == 1


def test_everything_that_was_found_is_written_down(decided: RunDirectory, tmp_path: Path) -> None:
    calibrated = calibrate_run(decided.path, None, Target("precision", 0.9))
    folder = write_calibration(calibrated, tmp_path / "out")
    numbers = json.loads((folder / "calibration.json").read_text())
    assert numbers["target"] == {"kind": "precision", "value": 0.9}
    assert numbers["verdicts"] == {"samples": SAMPLES - 1, "layers": 0, "audit": 60, "without scores": 0}
    assert numbers["scores"]["clip_layer"]["rates"]["precision"] >= 0.9
    assert numbers["check"]["kind"] == "audit"
    assert set(numbers["check"]["rates"]) >= {TOGETHER, COMBINED, "clip_layer"}
    kept = {label["sample_id"] for label in numbers["rejected_kept"]}
    assert kept
    assert all(truth(int(name[1:])) for name in kept)
    reasons = {each["reason"]: each for each in numbers["reasons"]}
    assert set(reasons) == {"halo", "wrong_object", "blur"}
    page = (folder / "README.md").read_text()
    assert min(kept) in page
    assert "On the random audit" in page
    for picture in ("precision_recall.png", "rejected_kept.png"):
        assert decode_png((folder / picture).read_bytes()).std() > 10


def test_the_command_prints_and_shard_takes_what_it_wrote(
    decided: RunDirectory, layerprism: Callable[..., tuple[int, str, str]]
) -> None:
    code, output, errors = layerprism("calibrate", decided.path, "--recall", 0.9)
    assert code == 0, errors
    assert "clip_layer" in output
    assert "checked (audit), combined: precision" in output
    for fragment in ("thresholds.yaml", "combined.yaml"):
        code, output, errors = layerprism("shard", decided.path, "--config", decided.path / "calibration" / fragment)
        assert code == 0, errors
        assert "published" in output


def test_a_labels_file_takes_the_place_of_decisions(run: RunDirectory, tmp_path: Path) -> None:
    lines = [f"{sample_id(n)},{str(truth(n)).lower()}" for n in range(SAMPLES)]
    (tmp_path / "labels.csv").write_text("\n".join(["sample_id,good", *lines]) + "\n")
    calibrated = calibrate_run(run.path, tmp_path / "labels.csv", RECALL)
    assert calibrated.left_out == 1  # the sample that failed
    assert calibrated.calibration.check is not None
    assert calibrated.calibration.check.kind == "cross-fitted"
    (tmp_path / "labels.csv").write_text("sample_id,good\nnobody,true\n")
    with pytest.raises(UserError, match=r"labels.csv:2: .*run has no sample nobody"):
        calibrate_run(run.path, tmp_path / "labels.csv", RECALL)
    (tmp_path / "labels.csv").write_text(f"sample_id,good,layer_index\n{sample_id(1)},true,2\n")
    with pytest.raises(UserError, match="has 2 layers, none of them is number 2"):
        calibrate_run(run.path, tmp_path / "labels.csv", RECALL)


def test_too_few_or_one_sided_decisions_are_one_line(
    run: RunDirectory, layerprism: Callable[..., tuple[int, str, str]]
) -> None:
    decide(run, *(on(number, number, "keep") for number in range(30)))
    code, _, errors = layerprism("calibrate", run.path)
    assert (code, errors.count("\n")) == (2, 1)
    assert "30 good and 0 bad verdicts on samples with scores: at least 10 of each are needed" in errors
    assert not (run.path / "calibration").exists()


def test_a_run_without_scores_says_how_to_get_some(tmp_path: Path) -> None:
    run = labelled_run(tmp_path / "run", scores=lambda number: [])
    decide(run, *decisions(30))
    with pytest.raises(UserError, match=r"holds no scores: layerprism run CONFIG --out .* --only filters"):
        calibrate_run(run.path, None, RECALL)


@pytest.mark.parametrize("wrong", [(0.9, 0.9), (1.2, None), (None, 0.0), (-0.1, None)])
def test_a_target_must_make_sense(wrong: tuple[float | None, float | None]) -> None:
    with pytest.raises(UserError, match=r"--(precision|recall)"):
        target_of(*wrong)


def test_a_fragment_with_a_mistake_is_named_by_its_line(
    decided: RunDirectory, tmp_path: Path, layerprism: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "my.yaml").write_text("filters:\n  clip_leyer: {threshold: 0.3}\n")
    code, _, errors = layerprism("shard", decided.path, "--config", tmp_path / "my.yaml")
    assert (code, errors.count("\n")) == (2, 1)
    assert "my.yaml:2; did you mean `clip_layer`?" in errors


def test_the_same_decisions_give_the_same_files(decided: RunDirectory, tmp_path: Path) -> None:
    folders = [write_calibration(calibrate_run(decided.path, None, RECALL), tmp_path / name) for name in "ab"]
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == other


def test_decisions_are_resolved_before_they_count(decided: RunDirectory) -> None:
    labels = labels_of_run(decided)
    assert len(labels) == len(resolve(decisions())) == SAMPLES - 1
