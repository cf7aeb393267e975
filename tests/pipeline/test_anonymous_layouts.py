"""Layouts for sampling come from files of any usual form, or from the designer."""

import json
from pathlib import Path

import pytest

from layered import Brief, BriefLayer, UserError
from models.vocabulary import load_vocabulary
from pipeline.anonymous_layouts import designed_layout, read_layout_file, scaled, with_added

BRIEF = {
    "id": "fruit",
    "canvas": [128, 96],
    "style": "cartoon",
    "whole_caption": "fruit on a table",
    "base_caption": "a table",
    "layers": [{"caption": None, "box": [0, 0, 40, 40]}, {"caption": "a pear", "box": [-10, 20, 60, 90]}],
}
ART = {
    "id": "Art 512/01",
    "canvas": [512, 512],
    "whole_caption": "a quote",
    "layers": [
        {"index": 2, "role": "foreground", "box": [16, 0, 112, 64]},
        {"index": 0, "role": "merged", "box": [0, 0, 512, 512]},
        {"index": 1, "role": "background", "box": [0, 0, 512, 512]},
    ],
}


def written(folder: Path, text: str) -> Path:
    path = folder / "layout.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_may_take_one_line_or_many(tmp_path: Path, indent: int | None) -> None:
    (brief,) = read_layout_file(written(tmp_path, json.dumps(BRIEF, indent=indent)))
    assert brief == Brief.model_validate(BRIEF)


def test_lines_may_be_briefs_and_layouts_of_art(tmp_path: Path) -> None:
    first, second = read_layout_file(written(tmp_path, f"{json.dumps(BRIEF)}\n\n{json.dumps(ART)}\n"))
    assert first.id == "fruit"
    assert second.id == "art-512-01"
    assert [layer.box for layer in second.layers] == [(16, 0, 112, 64)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no layout"),
        ("{", "layout.jsonl:1: not JSON"),
        (json.dumps(BRIEF) + "\n" + json.dumps(BRIEF), "two layouts have the id 'fruit'"),
        (json.dumps(BRIEF | {"layers": [{"box": [5, 5, 5, 9]}]}), "layout.jsonl:1: .*is empty"),
        (json.dumps(BRIEF | {"layers": [{"box": [500, 0, 540, 9]}]}), "lies outside the canvas"),
        (json.dumps(BRIEF) + "\n[]\n7", "layout.jsonl:2: .*; and 1 more"),
    ],
)
def test_what_is_no_layout_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read_layout_file(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read a layout from .*nowhere\.json"):
        read_layout_file(tmp_path / "nowhere.json")


def test_every_real_layout_can_be_read(shared_dir: Path) -> None:
    path = shared_dir / "layouts" / "art_layouts.jsonl"
    briefs = read_layout_file(path)
    assert len(briefs) == sum(1 for line in path.read_text().splitlines() if line.strip())
    assert all(brief.layers and brief.whole_caption for brief in briefs)


def test_the_designer_draws_boxes_of_pictures_in_the_plain_style() -> None:
    brief = designed_layout((128, 128), 5, seed=3, number=1)
    assert brief.canvas == (128, 128)
    assert [layer.kind for layer in brief.layers] == ["image"] * 5
    assert brief.style == load_vocabulary().default_style
    assert brief == designed_layout((128, 128), 5, seed=3, number=1)
    assert brief.layers != designed_layout((128, 128), 5, seed=3, number=2).layers
    assert 2 <= len(designed_layout((128, 128), None, seed=3, number=1).layers) <= 6
    with pytest.raises(UserError, match="not in 1…99"):
        designed_layout((128, 128), 0, seed=0, number=0)


def test_scaling_keeps_places() -> None:
    small = scaled(Brief.model_validate(BRIEF), 64)
    assert small.canvas == (64, 48)
    assert [layer.box for layer in small.layers] == [(0, 0, 20, 20), (-5, 10, 30, 45)]
    with pytest.raises(UserError, match="at least 16"):
        scaled(small, 15)


def test_added_boxes_stand_on_top() -> None:
    brief = with_added(Brief.model_validate(BRIEF), ["1,2,30,40"])
    assert brief.layers[2] == BriefLayer(box=(1, 2, 30, 40))
    for wrong in ("1,2,3", "a,b,c,d", "5,5,5,9"):
        with pytest.raises(UserError, match=f"--add {wrong}: a box is written x0,y0,x1,y1"):
            with_added(brief, [wrong])
