import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layered.png import decode_png
from ledger.commit import ChunkRevision, write_chunk
from ledger.decisions import append_decisions
from ledger.errors import DamagedChunkError
from ledger.index import RunIndex, SampleRecord
from ledger.publication import NothingToPublishError, publish
from ledger.publication_folders import former_publications
from ledger.run_directory import RunDirectory
from shards.manifest import ManifestWriter
from shards.reader import Publication
from shards.tar import TarWriter
from shards.verify import verify_publication
from shards.writer import ShardConfig
from tests.ledger.runs import chunk_sample, make_run, on, ordinary_run, plan_bytes, sample_id
from tests.shards.samples import flip_byte, folder_bytes, make_sample

CONFIG = ShardConfig(max_samples_per_shard=3)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return ordinary_run(tmp_path / "run")


def test_what_is_published_is_what_was_committed(run: RunDirectory) -> None:
    result = publish(run, CONFIG, {"clip_layer": 0.2}, facts={"Run seed": "7"})
    assert result.written
    assert result.publication.path == run.path / "shards"
    assert result.publication.sample_ids == [sample_id(number) for number in (0, 1, 2, 4, 5, 6, 7)]
    assert verify_publication(run.path / "shards") == []
    image, sidecar = result.publication.sample(sample_id(5))
    original, record = make_sample(5, layers=4)
    assert np.array_equal(image.whole(), original.whole())
    assert sidecar == record.model_copy(update={"scores": {"clip_whole": 0.5}})
    assert "| Run seed | 7 |" in (run.path / "shards/README.md").read_text()


def test_the_same_inputs_write_nothing(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish(run, CONFIG, {})
    before = folder_bytes(run.path)
    monkeypatch.setattr(TarWriter, "add", None)
    again = publish(run, CONFIG, {"unknown_score": 1.0})
    assert not again.written
    assert again.publication.fingerprint == first.publication.fingerprint
    assert folder_bytes(run.path) == before


def test_runs_with_the_same_samples_publish_the_same_bytes_however_they_were_committed(tmp_path: Path) -> None:
    samples = [chunk_sample(number) for number in range(6)]
    one = make_run(tmp_path / "one", [samples[:2], samples[2:]])
    other = make_run(tmp_path / "other", [samples[:5], [chunk_sample(9)]])
    write_chunk(other.storage, ChunkRevision(1, 1), [samples[5]])
    other.storage.write("plan.parquet", plan_bytes(6))
    for run in (one, other):
        publish(run, CONFIG, {"clip_layer": 0.2})
    assert folder_bytes(one.path / "shards") == folder_bytes(other.path / "shards")


def test_a_rejected_layer_is_gone_from_pixels_captions_and_scores(run: RunDirectory) -> None:
    append_decisions(run.storage, [on(5, 1, "reject", 1)])
    publication = publish(run, CONFIG, {}).publication
    members = publication.members(sample_id(5))
    image, sidecar = publication.sample(sample_id(5))
    original, _ = make_sample(5, layers=4)
    expected = original.without([1])
    assert sorted(name for name in members if name.startswith("layer_")) == [
        f"layer_0{index}.png" for index in range(3)
    ]
    assert np.array_equal(decode_png(members["whole_image.png"]), expected.whole())
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(image.layers, expected.layers, strict=True))
    assert [layer.index for layer in sidecar.layers] == [0, 2, 3]
    assert sidecar.layer_count == 3
    assert sidecar.whole_caption == "a beach, thing 0, thing 2, thing 3"
    assert sidecar.scores == {}  # they describe the picture with the layer
    assert verify_publication(publication.path) == []


def test_decision_and_corrected_captions_reach_the_sidecar(run: RunDirectory) -> None:
    append_decisions(run.storage, [on(0, 1, "pro", caption="two balls"), on(0, 2, "keep", 1, caption="a ball")])
    _, sidecar = publish(run, CONFIG, {}).publication.sample(sample_id(0))
    assert (sidecar.decision, sidecar.whole_caption) == ("pro", "two balls")
    assert [layer.caption for layer in sidecar.layers] == ["thing 0", "a ball"]
    assert sidecar.scores == {"clip_whole": 0.5}


def test_a_changed_selection_keeps_the_former_set_until_it_is_pruned(run: RunDirectory) -> None:
    first = publish(run, CONFIG, {})
    files = folder_bytes(run.path / "shards")
    second = publish(run, CONFIG, {"clip_layer": 0.2})
    assert second.publication.fingerprint != first.publication.fingerprint
    [former] = former_publications(run.path)
    assert former.name == f"shards@{first.publication.fingerprint[:12]}"
    assert folder_bytes(former) == files
    assert Publication.open(former).fingerprint == first.publication.fingerprint
    pruned = publish(run, CONFIG, {"clip_layer": 0.2}, prune=True)
    assert not pruned.written
    assert former_publications(run.path) == []


def test_new_samples_come_after_the_old_ones(run: RunDirectory) -> None:
    first = publish(run, CONFIG, {}).publication
    shard = (run.path / "shards/train-00000.tar").read_bytes()
    run.storage.write("plan.parquet", plan_bytes(12))
    write_chunk(run.storage, ChunkRevision(3), [chunk_sample(number) for number in range(9, 12)])
    second = publish(run, CONFIG, {}).publication
    assert second.sample_ids == [*first.sample_ids, *(sample_id(number) for number in range(9, 12))]
    assert (run.path / "shards/train-00000.tar").read_bytes() == shard


def test_nothing_to_publish_is_an_error_that_says_why(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(NothingToPublishError, match=r"nothing to publish in .*: 8 flagged, 1 failed"):
        publish(run, CONFIG, {"clip_whole": 0.99})
    with pytest.raises(NothingToPublishError, match="no sample is committed yet"):
        publish(RunDirectory.create(tmp_path / "new", run.info, plan_bytes(2)), CONFIG, {})
    assert not (run.path / "shards").exists()


def test_a_damaged_chunk_is_never_published(run: RunDirectory) -> None:
    [layer] = [member for member in _record(run, 4).members if member.name == "layer_01.png"]
    flip_byte(run.path / "chunks/00001.tar", layer.offset)
    with pytest.raises(DamagedChunkError, match=r"chunks/00001\.tar: sample s0000004: layer_01\.png"):
        publish(run, CONFIG, {})
    assert not (run.path / "shards").exists()
    # Made again, as the message says, it is published.
    for name in ("chunks/00001.tar", "chunks/00001.parquet"):
        run.storage.remove(name)
    write_chunk(run.storage, ChunkRevision(1), [chunk_sample(number, 2 + number % 3) for number in (3, 4, 5)])
    assert publish(run, CONFIG, {}).written


def test_a_damaged_publication_is_replaced(run: RunDirectory) -> None:
    publish(run, CONFIG, {})
    files = folder_bytes(run.path / "shards")
    (run.path / "shards/checksums").unlink()
    assert publish(run, CONFIG, {}).written
    assert folder_bytes(run.path / "shards") == files


THRESHOLDS = {"clip_layer": 0.2}
HISTORIES: dict[str, list[dict[str, Any]]] = {
    "first": [{"thresholds": {}}],
    "second": [{"thresholds": {}}, {"thresholds": THRESHOLDS}],
    "back to the first": [{"thresholds": {}}, {"thresholds": THRESHOLDS}, {"thresholds": {}}],
    "and forth": [{"thresholds": {}}, {"thresholds": THRESHOLDS}, {"thresholds": {}}, {"thresholds": THRESHOLDS}],
    "pruned": [{"thresholds": {}}, {"thresholds": THRESHOLDS, "prune": True}],
}


@pytest.mark.parametrize("history", HISTORIES)
def test_killed_at_any_step_the_next_call_ends_as_if_undisturbed(tmp_path: Path, history: str) -> None:
    *earlier, last = HISTORIES[history]
    start = ordinary_run(tmp_path / "start")
    known = []
    for arguments in earlier:
        publish(start, CONFIG, **arguments)
        known.append(folder_bytes(start.path / "shards"))
    shutil.copytree(start.path, tmp_path / "undisturbed")
    publish(RunDirectory.open(tmp_path / "undisturbed"), CONFIG, **last)
    expected = folder_bytes(tmp_path / "undisturbed")
    known.append(folder_bytes(tmp_path / "undisturbed/shards"))
    step = 0
    while True:
        path = tmp_path / f"killed-{step}"
        shutil.copytree(start.path, path)
        run = RunDirectory.open(path)
        with _killed_at(step) as was_killed:
            publish(run, CONFIG, **last)
        if not was_killed():
            break
        if earlier:
            survivors = [folder_bytes(folder) for folder in path.glob("shards*") if "trash" not in folder.name]
            assert any(survivor in known for survivor in survivors), f"no publication is left after step {step}"
        with _killed_at(step // 2):  # and the repair may be killed, too
            publish(run, CONFIG, **last)
        publish(run, CONFIG, **last)
        assert folder_bytes(path) == expected
        shutil.rmtree(path)
        step += 1
    assert step > 10


class _Killed(BaseException):
    """What no `except` clause of a program expects."""


@contextmanager
def _killed_at(step: int) -> Iterator[Callable[[], bool]]:
    """Ends the block before its `step`-th operation on the file system; the yielded function says whether that came."""
    left = step
    killed = False

    def dying(operation: Callable[..., Any], last_act: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def run_or_die(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left, killed
            if left == 0:
                killed = True
                if last_act:
                    last_act(*arguments)
                raise _Killed
            left -= 1
            return operation(*arguments, **keywords)

        return run_or_die

    def remove_one_file(folder: Path) -> None:
        min(path for path in folder.iterdir() if path.is_file()).unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace", "mkdir", "write_text"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree, remove_one_file))
        patch.setattr(TarWriter, "add", dying(TarWriter.add))
        patch.setattr(TarWriter, "close", dying(TarWriter.close))
        patch.setattr(ManifestWriter, "finish", dying(ManifestWriter.finish))
        with suppress(_Killed):
            yield lambda: killed


def _record(run: RunDirectory, number: int) -> SampleRecord:
    return RunIndex.load(run.storage).record(sample_id(number))
