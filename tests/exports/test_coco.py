"""COCO: what pycocotools reads is what can be seen."""

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from exports.coco import LEAST_SHARE, Coco
from exports.formats import FormatOptions
from layered import Box, Layer, LayeredImage, Sidecar
from tests.exports.designs import blob, design, record_of, samples, sidecar_of

WRITER = Coco(FormatOptions())


def square(box: Box, alpha: int = 255) -> Layer:
    pixels = np.zeros((box.height, box.width, 4), np.uint8)
    pixels[...] = (200, 10, 10, alpha)
    return Layer(pixels, box)


def written(sample: tuple[LayeredImage, Sidecar], folder: Path) -> COCO:
    path = folder / f"{sample[1].id}{WRITER.suffix}"
    WRITER.write(*sample, path)
    return COCO(str(path))


def test_masks_are_of_what_is_seen(tmp_path: Path) -> None:
    layers = (square(Box(-5, 2, 10, 12)), square(Box(4, 0, 8, 20)), square(Box(30, 30, 40, 40)))
    image = LayeredImage(np.zeros((20, 24, 3), np.uint8), layers)
    records = [record_of(n, layer, f"square {n}") for n, layer in enumerate(layers)]
    coco = written((image, sidecar_of(image, records)), tmp_path)
    below, above = coco.loadAnns(coco.getAnnIds())
    wanted = np.zeros((20, 24), bool)
    wanted[2:12, 0:10] = True
    assert np.array_equal(coco_mask.decode(below["amodal_segmentation"]), wanted)
    wanted[:, 4:8] = False
    assert np.array_equal(coco.annToMask(below), wanted)
    assert (below["bbox"], below["area"], below["amodal_bbox"]) == ([0, 2, 10, 10], 60, [0, 2, 10, 10])
    assert (above["bbox"], above["caption"], above["category_id"]) == ([4, 0, 4, 20], "square 1", 1)


def test_a_layer_that_is_hidden_is_left_out_and_said(tmp_path: Path) -> None:
    layers = (square(Box(2, 2, 6, 6)), square(Box(0, 0, 10, 10)))
    image = LayeredImage(np.zeros((10, 10, 3), np.uint8), layers)
    sidecar = sidecar_of(image, [record_of(n, layer, "") for n, layer in enumerate(layers)])
    assert WRITER.write(image, sidecar, tmp_path / "a.coco.json") == ["1 layers cannot be seen and are left out"]


def test_glass_counts(tmp_path: Path) -> None:
    layer = Layer(blob((12, 12), (9, 9, 9), 0.2), Box(0, 0, 12, 12))
    image = LayeredImage(np.zeros((12, 12, 3), np.uint8), (layer,))
    coco = written((image, sidecar_of(image, [record_of(0, layer, "glass")])), tmp_path)
    (glass,) = coco.loadAnns(coco.getAnnIds())
    assert np.array_equal(coco.annToMask(glass), layer.pixels[..., 3] >= LEAST_SHARE * 255)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_anything_is_a_valid_set(sample: tuple[LayeredImage, Sidecar], tmp_path: Path) -> None:
    coco = written(sample, tmp_path)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        assert mask.shape == sample[0].base.shape[:2]
        assert mask.sum() == annotation["area"] > 0
        whole = coco_mask.decode(annotation["amodal_segmentation"])
        assert (mask <= whole).all()
        x, y, width, height = (int(value) for value in annotation["bbox"])
        assert mask[y : y + height, x : x + width].sum() == mask.sum()


def test_the_set_is_all_samples(tmp_path: Path) -> None:
    for number in range(3):
        written(design(f"s{number}"), tmp_path)
    WRITER.sum_up(tmp_path)
    coco = COCO(str(tmp_path / "instances.json"))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["s0.png", "s1.png", "s2.png"]
    assert len(coco.getAnnIds()) == 12
    assert [coco.loadAnns(each)[0]["text"] for each in coco.getAnnIds(imgIds=[3], catIds=[2])] == [
        "Grand Sale",
        "fresh and sweet fruit",
    ]
    with Image.open(tmp_path / "s1.png") as picture:
        assert np.array_equal(np.array(picture), design()[0].whole())
    first = (tmp_path / "instances.json").read_bytes()
    WRITER.sum_up(tmp_path)
    assert (tmp_path / "instances.json").read_bytes() == first
