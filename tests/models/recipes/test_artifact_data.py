"""What the artifact classifier learns from: labels that say no more than is known, parts that repeat themselves."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from filters.artifacts import KINDS, NEED_RAW
from layered.errors import UserError
from models.recipes import artifact_data
from models.recipes.artifact_data import (
    SOURCE_NAMES,
    UNKNOWN,
    Pictures,
    hard_part,
    labels_of,
    load,
    part,
    parts,
    without_raw,
)
from models.recipes.artifact_sources import DRAWN_BY_BACKEND
from models.recipes.corruptions import APPLICABLE

pytestmark = pytest.mark.usefixtures("emoji_font")


def label(row: torch.Tensor, kind: str) -> int:
    return int(row[-1] if kind == "any" else row[KINDS.index(kind)])


def test_a_sound_sample_has_no_defect() -> None:
    assert not labels_of([], known=True).any()


def test_what_looks_like_the_defect_is_not_denied() -> None:
    row = labels_of(["halo"], known=True)
    assert (label(row, "halo"), label(row, "any")) == (1, 1)
    assert label(row, "leftover") == UNKNOWN
    assert label(row, "blur") == 0
    both = labels_of(["halo", "leftover"], known=True)
    assert label(both, "halo") == label(both, "leftover") == 1


def test_without_the_drawing_nothing_is_said_of_what_only_it_shows() -> None:
    rows = torch.stack([labels_of(kinds, known=True) for kinds in ([], ["cut"], ["blur"], ["halo", "noise"])])
    blind = without_raw(rows)
    for kind in NEED_RAW:
        assert all(label(row, kind) == UNKNOWN for row in blind)
    assert [label(row, "any") for row in blind] == [0, UNKNOWN, 1, 1]
    assert label(blind[2], "blur") == 1
    assert label(rows[1], "cut") == 1


@pytest.mark.usefixtures("made_up_photographs", "made_up_clipart")
@pytest.mark.parametrize("source", [source for source in SOURCE_NAMES if source not in DRAWN_BY_BACKEND])
def test_a_part_holds_each_sound_sample_and_what_it_is_broken_to(source: str) -> None:
    made = part(source, 0, 2, seed=1)
    sound = made.kind == UNKNOWN
    assert sound.sum() == 2
    assert 4 <= len(made) <= 6
    assert made.picture.shape[1:] == (128, 128, 4)
    assert made.frame.shape[1:] == (64, 64, 3)
    assert (made.labels[sound, -1] == 0).all()
    assert (made.labels[~sound, -1] != 0).all()
    used = {KINDS[index] for index in made.kind.tolist() if index != UNKNOWN}
    assert used <= set(APPLICABLE[source])
    again = part(source, 0, 2, seed=1)
    assert all(torch.equal(tensor, getattr(again, name)) for name, tensor in vars(made).items())
    assert not torch.equal(made.picture, part(source, 1, 2, seed=1).picture)


def test_of_one_hard_kind_each_sample_is_followed_by_itself_broken_where_it_can_be() -> None:
    # A made-up thing in three was never matted, so that its matte cannot be at fault.
    made = hard_part("object", "holes", 0, 12, seed=1)
    sound = made.kind == UNKNOWN
    assert int(sound.sum()) == 12
    assert 0 < int((~sound).sum()) < 12
    assert (made.known[~sound] == 1).all()
    assert (made.labels[~sound, KINDS.index("holes")] == 1).all()


def test_a_folder_is_filled_once_and_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_data, "TRAINING", {"text": 3, "wisp": 2})
    monkeypatch.setattr(artifact_data, "_PART", 2)
    artifact_data.build(tmp_path, 1, ["text", "wisp"])
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert files.keys() == {"text-0.safetensors", "text-1.safetensors", "wisp-0.safetensors"}
    artifact_data.build(tmp_path, 1, ["text", "wisp"])
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    whole = load(tmp_path)
    assert len(whole) == 15
    assert torch.equal(whole.select(torch.arange(6)).picture, part("text", 0, 2, seed=1).picture)


def test_a_share_of_the_parts_can_be_read(tmp_path: Path) -> None:
    for number in range(5):
        made = part("text", number, 1, seed=1)
        rows = {key: tensor.contiguous() for key, tensor in vars(made).items()}
        save_file(rows | {"source": torch.full_like(made.source, number)}, tmp_path / f"text-{number}.safetensors")
    assert set(load(tmp_path).source.tolist()) == {0, 1, 2, 3, 4}
    assert set(load(tmp_path, (1, 2)).source.tolist()) == {1, 3}
    everything = [int(each.source[0]) for each in parts(1, tmp_path)]
    assert sorted(everything) == [0, 1, 2, 3, 4]
    assert everything == [int(each.source[0]) for each in parts(1, tmp_path)]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no pictures in .*: run python -m models\.recipes\.artifact_data"):
        load(tmp_path)


def test_a_selection_takes_rows_of_everything() -> None:
    made = part("text", 0, 2, seed=1)
    chosen = made.select(torch.tensor([4, 0]))
    assert isinstance(chosen, Pictures)
    assert torch.equal(chosen.labels, made.labels[[4, 0]])
    assert torch.equal(chosen.picture[1], made.picture[0])
