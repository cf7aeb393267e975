"""Samples into PrismLayers Parquet and back: bit-exact, in `datasets` too, and hostile rows refused by name."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from PIL import Image

from exports.formats import FORMAT_NAMES, format_of
from exports.prismlayers.columns import columns, parquet_schema
from exports.prismlayers.reader import Provenance, iterate_rows, parquet_files, sample_of_row
from exports.prismlayers.writer import row_of, write_prismlayers
from layered import Box, Layer, LayeredImage, Sidecar, UserError
from layered.codec import encode_members
from layered.pixels import clear_hidden
from layered.png import encode_png
from tests.exports.designs import blob, record_of, samples, sidecar_of
from tests.shards.samples import folder_bytes, make_sample

Sample = tuple[LayeredImage, Sidecar]


def written(folder: Path, samples: Sequence[Sample], **options: Any) -> Path:
    write_prismlayers(folder, ((sidecar, encode_members(image, sidecar)) for image, sidecar in samples), **options)
    return folder


def read_back(folder: Path) -> list[Sample]:
    known = Provenance(folder)
    rows = [row for file in parquet_files(folder) for _, row in iterate_rows(file, pictures=True)]
    return [sample_of_row(row, row["id"], known.get(row["id"])) for row in rows]


def assert_same(one: LayeredImage, other: LayeredImage) -> None:
    assert np.array_equal(one.base, other.base)
    assert len(one.layers) == len(other.layers)
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.box == theirs.box
        assert np.array_equal(mine.pixels, theirs.pixels)
    assert np.array_equal(one.whole(), other.whole())


SAMPLES = [make_sample(number, layers=number % 4, style=["flat", "neon graffiti"][number % 2]) for number in range(7)]


def test_samples_come_back_bit_by_bit_with_all_that_was_known_of_them(tmp_path: Path) -> None:
    folder = written(tmp_path / "set", SAMPLES, rows_per_file=2)
    assert [file.name for file in parquet_files(folder)] == [
        "flat-00000-of-00002.parquet",
        "flat-00001-of-00002.parquet",
        "neon_graffiti-00000-of-00002.parquet",
        "neon_graffiti-00001-of-00002.parquet",
    ]
    back = {sidecar.id: (image, sidecar) for image, sidecar in read_back(folder)}
    assert len(back) == len(SAMPLES)
    for image, sidecar in SAMPLES:
        again, described = back[sidecar.id]
        assert_same(image, again)
        assert described.layers == sidecar.layers  # seeds, models and licences too
        assert described.provenance["brief"] == sidecar.provenance["brief"]
        assert described.provenance["whole_difference"] == "max 0/255, mean 0.000/255"
    assert all((folder / "previews" / f"{split}.webp").stat().st_size for split in ("flat", "neon_graffiti"))


def test_the_columns_are_those_of_the_published_sets(tmp_path: Path) -> None:
    folder = written(tmp_path / "set", SAMPLES)
    schema = pq.read_schema(parquet_files(folder)[0])
    assert schema.names == [name for name, _ in columns(3)]
    assert schema.names[:12] == [
        *("id", "whole_image", "whole_caption", "style_category", "base_image", "base_caption", "layer_count"),
        *("layer_00", "layer_00_caption", "layer_00_box", "layer_00_width_dst", "layer_00_height_dst"),
    ]
    assert schema.field("layer_count").type == pa.int32()
    assert schema.field("layer_00_box").type == pa.list_(pa.int32())


def test_equal_samples_give_equal_bytes(tmp_path: Path) -> None:
    assert folder_bytes(written(tmp_path / "a", SAMPLES)) == folder_bytes(written(tmp_path / "b", SAMPLES))


@pytest.mark.parametrize("streaming", [False, True])
def test_hugging_face_datasets_reads_every_style(tmp_path: Path, streaming: bool) -> None:
    from datasets import load_dataset

    folder = written(tmp_path / "set", SAMPLES, rows_per_file=2)
    by_id = {sidecar.id: (image, sidecar) for image, sidecar in SAMPLES}
    found = []
    for split in ("flat", "neon_graffiti"):
        for row in load_dataset(str(folder), split=split, streaming=streaming, cache_dir=str(tmp_path / "cache")):
            image, sidecar = by_id[row["id"]]
            found.append(row["id"])
            assert np.array_equal(np.array(row["whole_image"]), image.whole())
            assert row["layer_count"] == len(image.layers)
            for index in range(3):
                if index >= len(image.layers):
                    assert row[f"layer_{index:02d}"] is None
                    continue
                layer = image.layers[index]
                assert np.array_equal(np.array(row[f"layer_{index:02d}"]), layer.pixels)
                assert row[f"layer_{index:02d}_box"] == layer.box.as_list()
                assert row[f"layer_{index:02d}_caption"] == sidecar.layers[index].caption
                assert row[f"layer_{index:02d}_width_dst"] == layer.box.width
    assert sorted(found) == sorted(by_id)


def test_datasets_knows_pictures_without_the_card(tmp_path: Path) -> None:
    from datasets import load_dataset

    file = parquet_files(written(tmp_path / "set", SAMPLES))[0]
    rows = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(rows[0]["whole_image"], Image.Image)


def test_it_is_a_format_of_the_export_command(tmp_path: Path) -> None:
    assert "prismlayers" in FORMAT_NAMES
    form = format_of("prismlayers")
    assert form.write_set(iter(SAMPLES), tmp_path / "set") == ()  # type: ignore[union-attr]
    assert len(read_back(tmp_path / "set")) == len(SAMPLES)


def test_what_cannot_be_a_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sample"):
        written(tmp_path / "none", [])
    with pytest.raises(UserError, match="two samples have the id s0000001"):
        written(tmp_path / "twice", [SAMPLES[1], SAMPLES[1]])
    with pytest.raises(UserError, match="is not empty"):
        written(tmp_path, SAMPLES)


def through_a_row(image: LayeredImage, sidecar: Sidecar) -> Sample:
    """A sample as one row of Parquet, and back."""
    row = row_of(sidecar, encode_members(image, sidecar))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], parquet_schema(sidecar.layer_count)), buffer)
    (again,) = pq.ParquetFile(buffer).read().to_pylist()
    return sample_of_row(again, sidecar.id, sidecar)


@settings(max_examples=40, deadline=None)
@given(sample=samples())
def test_any_sample_survives_a_row(sample: Sample) -> None:
    image, sidecar = sample
    again, described = through_a_row(image, sidecar)
    assert_same(image, again)
    assert described.layers == sidecar.layers
    assert described.whole_caption == sidecar.whole_caption


def test_sixty_layers_survive_a_row() -> None:
    boxes = [Box(index, index, 9 + 2 * index, index + 12) for index in range(60)]
    layers = [Layer(blob(box.size, (index, 99, 200), 0.7), box) for index, box in enumerate(boxes)]
    image = LayeredImage(np.full((80, 90, 3), 200, np.uint8), tuple(layers))
    sidecar = sidecar_of(image, [record_of(index, layer, f"thing {index}") for index, layer in enumerate(layers)])
    again, _ = through_a_row(image, sidecar)
    assert_same(image, again)


@pytest.mark.parametrize("scene", ["opaque_scenes", "semi_transparent"])
def test_real_layers_survive_a_row(shared_dir: Path, scene: str) -> None:
    """Layers of published models: of the whole canvas, soft, and with colour under their transparency until cleared."""
    for case in sorted((shared_dir / "real_layers" / scene).iterdir())[:2]:
        base = np.array(Image.open(case / "bg.png").convert("RGB"))
        files = sorted([*case.glob("layer_?.png"), *case.glob("fg.png")])
        pictures = [clear_hidden(np.array(Image.open(file).convert("RGBA"))) for file in files]
        layers = tuple(Layer(pixels, Box.canvas((pixels.shape[1], pixels.shape[0]))) for pixels in pictures)
        image = LayeredImage(base, layers)
        sidecar = sidecar_of(image, [record_of(index, layer, "a layer") for index, layer in enumerate(layers)])
        again, _ = through_a_row(image, sidecar)
        assert_same(image, again)


def picture(size: tuple[int, int], mode: str = "RGBA", form: str = "PNG") -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.new(mode, size, (200, 30, 40, 255)[: len(mode)]).save(buffer, form)
    return {"bytes": buffer.getvalue()}


def foreign_row(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "Anime 1",
        "whole_image": None,
        "whole_caption": "a fox",
        "style_category": "anime",
        "base_image": picture((40, 30), "RGB", "JPEG"),
        "base_caption": "a forest",
        "layer_count": 1,
        "layer_00": picture((10, 10)),
        "layer_00_caption": None,
        "layer_00_box": [5, 5, 25, 15],
    }
    return row | changes


def test_a_layer_of_another_size_is_resized_to_its_box() -> None:
    image, sidecar = sample_of_row(foreign_row(), "s1")
    assert image.layers[0].pixels.shape == (10, 20, 4)
    assert (image.layers[0].pixels == (200, 30, 40, 255)).all()
    assert sidecar.layers[0].caption == ""
    assert sidecar.provenance["caption_source"] == "PrismLayers columns"


def test_how_far_the_stored_whole_image_is_from_the_composite_is_told() -> None:
    _, sidecar = sample_of_row(foreign_row(whole_image=picture((40, 30), "RGB")), "s1")
    assert sidecar.provenance["whole_difference"].startswith("max ")
    _, other = sample_of_row(foreign_row(whole_image=picture((4, 3), "RGB")), "s1")
    assert other.provenance["whole_difference"] == "the whole image has 4×3 pixels"


HOSTILE = {
    "a picture that is none": ({"layer_00": {"bytes": b"\x89PNG oops"}}, "layer_00 is not an image"),
    "a cut picture": ({"layer_00": {"bytes": encode_png(np.zeros((99, 99, 4), np.uint8))[:-30]}}, "layer_00 is not"),
    "no picture": ({"layer_00": None}, "layer_00 is missing"),
    "a turned box": ({"layer_00_box": [9, 9, 2, 20]}, "layer_00_box: box"),
    "a short box": ({"layer_00_box": [9, 9]}, "layer_00_box: a box is four"),
    "an enormous box": ({"layer_00_box": [0, 0, 9_000_000, 9_000_000]}, "over 4 times as long as the canvas"),
    "too many layers": ({"layer_count": 10**6}, "layer_count is 1000000"),
    "fewer layers than announced": ({"layer_count": 2}, "layer_01_box is missing"),
    "no base": ({"base_image": None}, "base_image is missing"),
    "a base that is none": ({"base_image": {"bytes": b"GIF89a"}}, "base_image is not an image"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_rows_are_refused_by_the_columns_name(attack: str) -> None:
    changes, message = HOSTILE[attack]
    with pytest.raises(ValueError, match=message):
        sample_of_row(foreign_row(**changes), "s1")


def test_layers_that_would_fill_the_memory_are_refused() -> None:
    # 100 layers of 8,192² would be 27 GB; no pixel is touched before that is seen.
    many = {f"layer_{index:02d}_box": [0, 0, 8192, 8192] for index in range(100)}
    with pytest.raises(ValueError, match="million pixels together"):
        sample_of_row(foreign_row(base_image=picture((4096, 4096), "RGB"), layer_count=100, **many), "s1")


def test_a_picture_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exports.prismlayers.reader.MOST_PIXELS", 2000)
    with pytest.raises(ValueError, match="layer_00 has over"):
        sample_of_row(foreign_row(layer_00=picture((50, 50))), "s1")
