from pathlib import Path

import numpy as np
import pytest

from curation.errors import RequestError
from curation.library import Library, check_webp, png_size
from layered.png import encode_png
from layered.scores import Score
from ledger.commit import ChunkRevision, write_chunk
from ledger.index import RunIndex
from ledger.rescoring import Rescored, ScorePass
from ledger.run_directory import RunDirectory
from ledger.selection import flagged
from tests.curation.reviews import THRESHOLDS, commit_more, review_run, reviewed_sample
from tests.ledger.runs import sample_id


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return review_run(tmp_path / "run")


def opened(run: RunDirectory) -> Library:
    library = Library(run, dict(THRESHOLDS))
    library.refresh()
    return library


def agrees_with_the_index(library: Library, run: RunDirectory) -> None:
    """What the columns say is what the merged records say."""
    index, columns = RunIndex.load(run.storage), library.columns
    finished = [record for record in index.records() if record.failure is None]
    in_order = [columns.ids[row] for row in np.argsort(columns.place)]
    assert in_order == [record.sample_id for record in finished]
    assert columns.failed == set(index.failures())
    for record in finished:
        row = columns.rows[record.sample_id]
        assert columns.ids[row] == record.sample_id
        assert columns.captions[row].as_py() == record.whole_caption.lower()
        assert columns.styles[columns.style[row]] == record.style
        assert columns.layers[row] == record.layer_count
        assert columns.commits[columns.commit[row]] == record.commit
        assert bool(columns.passed[row]) == (not flagged(record.scores, THRESHOLDS))
        for name, values in columns.worst.items():
            of_name = [score.score for score in record.scores if score.name == name]
            assert values[row] == np.float32(min(of_name)) if of_name else np.isnan(values[row])
        assert sorted(library.files(row).scores, key=str) == sorted(record.scores, key=str)
        assert bytes(columns.hashes[row]) == record.features["phash"]
        version, member = library.version(row), "whole_image.png"
        assert library.image(version, record.sample_id, member) == index.sample_members(record.sample_id)[member]
        thumb = index.sample_members(record.sample_id, ["thumb_whole.webp"])["thumb_whole.webp"]
        assert library.thumbnail(version, record.sample_id, "whole") == thumb


def test_columns_say_what_the_records_say(run: RunDirectory) -> None:
    library = opened(run)
    assert len(library.columns) == 12
    assert library.complete
    assert library.columns.of_layers == {"clip_layer"}
    assert library.canvas(0) == (30, 20)
    agrees_with_the_index(library, run)


def test_the_stored_index_gives_the_same_columns(run: RunDirectory) -> None:
    RunIndex.load(run.storage)  # stores the index
    commit_more(run, 7, [20, 21])  # which a later commit is not in
    library = opened(run)
    assert len(library.columns) == 14
    agrees_with_the_index(library, run)


def test_a_running_run_grows_and_its_rows_stay(run: RunDirectory) -> None:
    library = opened(run)
    rows = dict(library.columns.rows)
    assert library.refresh() == 0
    commit_more(run, 5, [30, 31])
    assert library.refresh() == 2
    assert {name: row for name, row in library.columns.rows.items() if name in rows} == rows
    agrees_with_the_index(library, run)


def test_a_retry_takes_the_place_of_its_first_try(run: RunDirectory) -> None:
    library = opened(run)
    versions = {name: library.version(row) for name, row in library.columns.rows.items()}
    write_chunk(run.storage, ChunkRevision(0, 1), [reviewed_sample(2, "made anew")])
    write_chunk(run.storage, ChunkRevision(2, 1), [reviewed_sample(12)])  # which had failed
    assert library.refresh() == 2
    assert not library.columns.failed
    changed = {name for name, version in versions.items() if library.version(library.columns.rows[name]) != version}
    assert changed == {sample_id(2)}
    with pytest.raises(RequestError, match="has been made again"):
        library.thumbnail(versions[sample_id(2)], sample_id(2), "whole")
    for each in (library, opened(run)):
        index = RunIndex.load(run.storage)
        assert [each.columns.ids[row] for row in np.argsort(each.columns.place)] == index.sample_ids
        row = each.columns.rows[sample_id(2)]
        assert each.sidecar(row).whole_caption == "made anew"


def test_scores_computed_again_replace_older_ones(run: RunDirectory) -> None:
    library = opened(run)
    row = library.columns.rows[sample_id(3)]
    assert not library.columns.passed[row]
    rescored = ScorePass.begin(run.storage, {"threshold": 1})
    rescored.write(
        ChunkRevision(0),
        [Rescored(sample_id(3), (Score(sample_id(3), 1, "clip_layer", 0.9), Score(sample_id(3), -1, "new", 0.5)))],
    )
    assert library.refresh() == 4
    assert library.columns.passed[row]
    agrees_with_the_index(library, run)


def test_what_is_no_number_counts_as_the_worst(tmp_path: Path) -> None:
    run = review_run(tmp_path / "run", count=3)
    scores = [Score(sample_id(9), 0, "clip_layer", float("nan")), Score(sample_id(9), 1, "clip_layer", 0.9)]
    write_chunk(run.storage, ChunkRevision(4), [reviewed_sample(9, scores=scores)])
    library = opened(run)
    row = library.columns.rows[sample_id(9)]
    assert library.columns.worst["clip_layer"][row] == -np.inf
    assert np.isnan(library.columns.worst["clip_whole"][row])
    assert not library.columns.passed[row]
    assert np.isinf(library.columns.threshold_distance()[row])


def test_derived_scores_have_thresholds_too(run: RunDirectory) -> None:
    library = Library(run, {"twice": 0.9}, lambda worst: {"twice": 2 * worst["clip_layer"]})
    library.refresh()
    assert np.allclose(library.columns.worst["twice"], 2 * library.columns.worst["clip_layer"])
    assert np.array_equal(library.columns.passed, library.columns.worst["twice"] >= np.float32(0.9))


def test_a_cut_chunk_is_named(run: RunDirectory) -> None:
    library = opened(run)
    row = library.columns.rows[sample_id(1)]
    with (run.path / "chunks" / "00000.tar").open("r+b") as stream:
        stream.truncate(2000)
    with pytest.raises(RequestError, match=r"chunks/00000.tar is shorter than its record says"):
        library.image(library.version(row), sample_id(1), "whole_image.png")
    assert library.canvas(library.columns.rows[sample_id(3)]) == (0, 0)


@pytest.mark.parametrize("member", ["json", "raw_base.png", "../run.json", "layer_0.png", "base_image.png/.."])
def test_only_pictures_of_a_sample_are_given(run: RunDirectory, member: str) -> None:
    library = opened(run)
    with pytest.raises(RequestError) as refused:
        library.image(library.version(0), library.columns.ids[0], member)
    assert refused.value.status == 404


def test_headers_are_looked_at_before_anybody_decodes() -> None:
    picture = encode_png(np.zeros((3, 5, 3), np.uint8))
    assert png_size(picture) == (5, 3)
    giant = picture[:16] + (1_000_000).to_bytes(4, "big") * 2 + picture[24:]
    for broken in (b"", picture[:20], b"GIF89a" + picture, giant):
        with pytest.raises(RequestError):
            png_size(broken)
    for broken in (b"", b"RIFF", b"RIFF\x00\x00\x00\x00WEBPVP8 ", picture):
        with pytest.raises(RequestError):
            check_webp(broken)
