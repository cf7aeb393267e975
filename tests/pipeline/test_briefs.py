"""Sources of briefs: what is read, what is refused, and how it is said."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from layered.errors import UserError
from pipeline.briefs import load_briefs, read_brief_file
from pipeline.plan_config import BriefsConfig, PlanConfig


def brief(identity: str = "one", **changes: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "canvas": [256, 256],
        "style": "cartoon",
        "whole_caption": "a dog on a beach",
        "base_caption": "a beach",
        "layers": [{"kind": "image", "caption": "a dog", "box": [10, 10, 90, 90]}],
    } | changes


def image_layer(**changes: Any) -> list[dict[str, Any]]:
    return [{"kind": "image", "caption": "a dog", "box": [10, 10, 90, 90]} | changes]


def jsonl(folder: Path, *rows: dict[str, Any] | str) -> PlanConfig:
    path = folder / "briefs.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return PlanConfig(briefs=BriefsConfig(path=str(path)))


def test_good_briefs_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    loaded = load_briefs(jsonl(tmp_path, brief("b"), "", brief("a")), seed=0)
    assert [each.id for each in loaded.briefs] == ["b", "a"]
    assert not loaded.designed


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "Invalid JSON"),
        (brief(layers=image_layer(box=[90, 10, 10, 90])), r"layers\.0\.box: .*\[90, 10, 10, 90\]"),
        (brief(layers=image_layer(box=[300, 10, 400, 90])), r"lies outside the canvas of 256×256"),
        (brief(layers=image_layer(box=[-900, 0, 900, 90])), r"is over 4 times as long as the canvas of 256×256"),
        (brief(layers=image_layer(caption=None)), r"layers without a caption cannot be drawn: 0"),
        (brief(layers=image_layer(caption=" ")), r"layers without a caption cannot be drawn: 0"),
        (brief(layers=[]), r"it has no layers"),
        (brief(layers=image_layer() * 101), r"it has 101 layers; at most 100"),
        (brief(base_caption=""), r"base_caption is empty"),
        (brief(canvas=[8, 256]), r"canvas\.0: .*16"),
        (brief(canvas=[256, 100000]), r"canvas\.1: .*16384"),
        (brief("Bad.Id"), r"id: "),
        (brief("good"), r"id 'good' was already used"),
        (brief(colour="red"), r"colour: "),
        (brief(layers=[{"kind": "text", "box": [0, 0, 9, 9]}]), r"a text layer needs a non-empty `text`"),
        (brief(layers=[{"kind": "text", "text": "x", "color": "red", "box": [0, 0, 9, 9]}]), r"#rrggbb"),
    ],
)
def test_a_bad_brief_is_named_by_file_and_line_and_stops_the_run(
    tmp_path: Path, row: dict[str, Any] | str, message: str
) -> None:
    config = jsonl(tmp_path, brief("good"), row)
    with pytest.raises(UserError, match=rf"1 of 2 briefs cannot be used: .*briefs\.jsonl:2: .*{message}") as caught:
        load_briefs(config, seed=0)
    assert "plan.skip_bad_briefs: true" in str(caught.value)
    assert "\n" not in str(caught.value)
    skipping = config.model_copy(update={"skip_bad_briefs": True})
    loaded = load_briefs(skipping, seed=0)
    assert [each.id for each in loaded.briefs] == ["good"]
    assert [bad.line for bad in loaded.left_out] == [2]


def test_only_the_first_ten_of_many_are_listed(tmp_path: Path) -> None:
    config = jsonl(tmp_path, *[brief(f"b{index}", layers=[]) for index in range(14)])
    with pytest.raises(UserError, match=r"14 of 14 briefs cannot be used: .*jsonl:10: it has no layers; and 4 more\."):
        load_briefs(config, seed=0)


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"briefs\.jsonl holds no brief"):
        load_briefs(jsonl(tmp_path), seed=0)
    only_bad = jsonl(tmp_path, brief(layers=[])).model_copy(update={"skip_bad_briefs": True})
    with pytest.raises(UserError, match=r"briefs\.jsonl holds no usable brief"):
        load_briefs(only_bad, seed=0)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"there is no brief file nowhere\.jsonl \(plan\.briefs\.path\)"):
        load_briefs(PlanConfig(briefs=BriefsConfig(path="nowhere.jsonl")), seed=0)


def test_the_designer_makes_as_many_as_the_samples_need() -> None:
    loaded = load_briefs(PlanConfig(samples=7, variations=2), seed=1)
    assert loaded.designed
    assert len(loaded.briefs) == 4
    with pytest.raises(UserError, match=r"plan\.samples is needed when the designer"):
        load_briefs(PlanConfig(), seed=1)


def png(size: tuple[int, int]) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def prismlayers_row(identity: str, captions: list[str | None], **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": identity,
        "whole_image": png((8, 8)),
        "whole_caption": "This is a anime style image. The image presents a fox.",
        "style_category": "anime",
        "base_image": png((640, 480)),
        "base_caption": "a forest",
        "layer_count": len(captions),
    }
    for index in range(3):
        given = index < len(captions)
        row[f"layer_{index:02d}"] = png((10, 10)) if given else None
        row[f"layer_{index:02d}_caption"] = captions[index] if given else None
        row[f"layer_{index:02d}_box"] = [10 * index, 5, 10 * index + 100, 85] if given else None
        row[f"layer_{index:02d}_width_dst"] = 100 if given else None
        row[f"layer_{index:02d}_height_dst"] = 80 if given else None
    return row | changes


def write_parquet(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_prismlayers_parquet_becomes_briefs(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", prismlayers_row("Anime.0001", ["a fox", "a tree"]))
    found, bad = read_brief_file(BriefsConfig(path=str(path), format="prismlayers"))
    assert bad == []
    (each,) = found
    assert each.brief.id == "anime-0001"
    assert each.brief.canvas == (640, 480)
    assert each.brief.style == "anime"
    assert each.brief.base_caption == "a forest"
    assert [(layer.caption, layer.box) for layer in each.brief.layers] == [
        ("a fox", (0, 5, 100, 85)),
        ("a tree", (10, 5, 110, 85)),
    ]


def test_a_folder_of_parquet_is_read_in_order_and_bad_rows_are_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set/b.parquet", prismlayers_row("three", ["a fox"]), prismlayers_row("one", ["a cat"]))
    write_parquet(
        tmp_path / "set/a.parquet",
        prismlayers_row("one", ["a fox"]),
        prismlayers_row("two", ["a fox"], layer_count=3),
        prismlayers_row("broken", ["a fox"], base_image={"bytes": b"not an image", "path": None}),
        prismlayers_row("anonymous", [None, None]),
    )
    config = PlanConfig(briefs=BriefsConfig(path=str(tmp_path / "set"), format="prismlayers"), skip_bad_briefs=True)
    loaded = load_briefs(config, seed=0)
    assert [each.id for each in loaded.briefs] == ["one", "three"]
    assert [(bad.path.name, bad.line, bad.error.split(";")[0]) for bad in loaded.left_out] == [
        ("a.parquet", 2, "layer_count is 3, but layer_01_box is missing"),
        ("a.parquet", 3, "base_image is not an image that can be read"),
        ("a.parquet", 4, "layers without a caption cannot be drawn: 0, 1"),
        ("b.parquet", 2, "id 'one' was already used at a.parquet:1"),
    ]


def test_what_is_no_prismlayers_parquet_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.parquet"
    text.write_text("hello")
    with pytest.raises(UserError, match=r"cannot read .*a\.parquet as Parquet"):
        read_brief_file(BriefsConfig(path=str(text), format="prismlayers"))
    other = write_parquet(tmp_path / "b.parquet", {"id": "x", "caption": "y"})
    with pytest.raises(UserError, match=r"b\.parquet lacks the PrismLayers column 'whole_caption'"):
        read_brief_file(BriefsConfig(path=str(other), format="prismlayers"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no \.parquet file in .*empty"):
        read_brief_file(BriefsConfig(path=str(tmp_path / "empty"), format="prismlayers"))


def test_layouts_lose_their_implied_boxes_and_cannot_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "layouts.jsonl"
    roles = ["background", "foreground", "merged", "foreground"]
    boxes = [[0, 0, 512, 512], [1, 2, 30, 40], [0, 0, 512, 512], [5, 6, 70, 80]]
    layers = [{"index": i, "role": roles[i], "box": boxes[i]} for i in (3, 0, 1, 2)]
    rows = [
        {"id": "a", "canvas": [512, 512], "whole_caption": "x", "layers": layers},
        {"id": "b", "canvas": [512, 512]},
    ]
    path.write_text("\n".join([*map(json.dumps, rows), "[1]", "oops"]))
    config = BriefsConfig(path=str(path), format="layouts")
    found, bad = read_brief_file(config)
    assert [[layer.box for layer in each.brief.layers] for each in found] == [[(1, 2, 30, 40), (5, 6, 70, 80)]]
    assert [each.line for each in bad] == [2, 3, 4]
    with pytest.raises(UserError, match=r"layouts\.jsonl:1: base_caption is empty"):
        load_briefs(PlanConfig(briefs=config), seed=0)


def test_real_layouts_are_readable(shared_dir: Path) -> None:
    path = shared_dir / "layouts" / "art_layouts.jsonl"
    found, bad = read_brief_file(BriefsConfig(path=str(path), format="layouts"))
    assert bad == []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [len(each.brief.layers) for each in found] == [len(row["layers"]) - 2 for row in rows]
