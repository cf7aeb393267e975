import json
from pathlib import Path

import pytest

from layered import Brief, UserError
from layered.brief import read_briefs, write_briefs

GOOD = {
    "id": "b1",
    "canvas": [256, 256],
    "style": "flat",
    "whole_caption": "a dog on a beach",
    "base_caption": "a beach",
    "layers": [
        {"kind": "image", "caption": "a dog", "box": [-20, 40, 100, 160]},
        {
            "kind": "text",
            "caption": None,
            "text": "Hello",
            "font": "DejaVu Sans",
            "color": "#ff8800",
            "box": [0, 0, 99, 30],
        },
    ],
}


def with_layer(**changes: object) -> dict[str, object]:
    return GOOD | {"layers": [GOOD["layers"][0] | changes]}  # type: ignore[index]


def test_briefs_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "briefs.jsonl"
    brief = Brief.model_validate(GOOD)
    write_briefs(path, [brief])
    assert read_briefs(path) == ([brief], [])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (with_layer(box=[10, 10, 10, 40]), r"layers\.0\.box: box \[10, 10, 10, 40\] is empty"),
        (with_layer(box=[300, 10, 400, 40]), r"lies outside the canvas of 256×256"),
        (with_layer(color="red"), r"layers\.0\.color: color 'red' is not of the form #rrggbb"),
        (with_layer(kind="text"), r"a text layer needs a non-empty `text`"),
        (with_layer(colour="#ffffff"), r"layers\.0\.colour: Extra inputs"),
        (GOOD | {"id": "a.b"}, r"id: String should match"),
        (GOOD | {"canvas": [256, 4]}, r"canvas\.1: Input should be greater"),
        ({key: value for key, value in GOOD.items() if key != "style"}, r"style: Field required"),
    ],
)
def test_bad_briefs_are_named_by_file_line_and_field(tmp_path: Path, document: dict, message: str) -> None:
    path = tmp_path / "briefs.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + json.dumps(document) + "\n")
    good, bad = read_briefs(path)
    assert [brief.id for brief in good] == ["b1"]
    assert str(bad[0]).startswith(f"{path}:3: ")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(bad[0]))


def test_a_repeated_id_points_at_its_first_use(tmp_path: Path) -> None:
    path = tmp_path / "briefs.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD) + "\nnot json\n")
    good, bad = read_briefs(path)
    assert len(good) == 1
    assert "already used on line 1" in str(bad[0])
    assert bad[1].line == 3


def test_a_missing_file_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read briefs from"):
        read_briefs(tmp_path / "none.jsonl")
