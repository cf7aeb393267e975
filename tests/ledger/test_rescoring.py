from pathlib import Path

from layered.scores import Score
from ledger.commit import ChunkRevision, committed, write_chunk
from ledger.index import RunIndex
from ledger.rescoring import Rescored, ScorePass
from ledger.run_directory import RunDirectory
from tests.ledger.runs import chunk_sample, make_run, ordinary_run, sample_id, score_rows


def scores_of(run: RunDirectory, number: int) -> dict[tuple[int, str], float]:
    record = RunIndex.load(run.storage).record(sample_id(number))
    return {(score.layer_index, score.name): score.score for score in record.scores}


def rescored(number: int, value: float, name: str = "clip_whole") -> Rescored:
    return Rescored(sample_id(number), (Score(sample_id(number), -1, name, value),), {"clip": b"new"})


def test_recomputed_scores_replace_those_of_the_same_name_and_leave_the_rest(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    ScorePass.begin(run.storage, {}).write(ChunkRevision(0), [rescored(0, 0.9), rescored(1, 0.8, "aesthetics")])
    assert scores_of(run, 0) == {(-1, "clip_whole"): 0.9, (0, "clip_layer"): 0.5, (1, "clip_layer"): 0.5}
    assert scores_of(run, 1)[-1, "aesthetics"] == 0.8
    assert scores_of(run, 1)[-1, "clip_whole"] == 0.5
    assert scores_of(run, 2)[-1, "clip_whole"] == 0.5
    record = RunIndex.load(run.storage).record(sample_id(0))
    assert record.features == {"phash": bytes(8), "clip": b"new"}


def test_the_latest_pass_wins_in_the_long_table_too(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    for number in range(11):  # ten sorts after nine, as numbers do
        ScorePass.begin(run.storage, {"number": number}).write(ChunkRevision(0), [rescored(0, number / 100)])
    assert scores_of(run, 0)[-1, "clip_whole"] == 0.1
    rows = score_rows(RunIndex.load(run.storage))
    assert [row["score"] for row in rows if row["sample_id"] == sample_id(0) and row["layer_index"] == -1] == [0.1]
    assert len({(row["sample_id"], row["layer_index"], row["name"]) for row in rows}) == len(rows)


def test_scores_of_a_sample_that_was_made_again_since_do_not_count(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [[chunk_sample(0, clip=0.2), chunk_sample(1)]])
    ScorePass.begin(run.storage, {}).write(ChunkRevision(0), [rescored(0, 0.9), rescored(1, 0.9)])
    write_chunk(run.storage, ChunkRevision(0, 1), [chunk_sample(0, clip=0.3)])
    assert scores_of(run, 0)[-1, "clip_whole"] == 0.3
    assert RunIndex.load(run.storage).record(sample_id(0)).features == {"phash": bytes(8)}
    assert scores_of(run, 1)[-1, "clip_whole"] == 0.9


def test_an_interrupted_pass_goes_on_with_what_is_left(tmp_path: Path) -> None:
    run = ordinary_run(tmp_path / "run")
    commits = committed(run.storage)
    first = ScorePass.begin(run.storage, {"threshold": (1, 2)})
    assert first.pending(commits) == commits
    first.write(commits[1], [rescored(3, 0.9)])
    again = ScorePass.begin(run.storage, {"threshold": [1, 2]})
    assert again.number == first.number
    assert again.pending(commits) == [commits[0], commits[2]]
    other = ScorePass.begin(run.storage, {"threshold": [1, 3]})
    assert other.number == first.number + 1
    assert other.pending(commits) == commits
