"""The artifact filter: what it scores, that neighbours change nothing, and what is said of a wrong checkpoint."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from filters.artifact_network import ArtifactNetwork, NetworkShape
from filters.artifact_view import FRAME_SIDE, PICTURE_SIDE, border_color, layer_view, whole_view
from filters.artifacts import (
    ARTIFACT,
    ARTIFACT_SCORES,
    KINDS,
    NEED_RAW,
    OF_WHOLES,
    ArtifactClassifier,
    ArtifactJudgement,
    ArtifactsConfig,
    load_classifier,
    save_classifier,
    shared_judgement,
)
from filters.config import FiltersConfig
from filters.filter import FilterInput
from filters.registry import build_filters
from filters.taxonomy import DEFECTS
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.pixels import resize
from models import TINY
from tests.filters.drawings import GRAY, drawing, raw_of
from tests.shards.samples import make_sample

STAR = drawing("star", (220, 40, 40))
SMALL = NetworkShape((4, 6, 8), (4, 4, 4), 8)


@pytest.fixture(scope="module")
def judgement() -> ArtifactJudgement:
    return shared_judgement(ArtifactsConfig())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a tiny random classifier."""
    torch.manual_seed(3)
    save_classifier(ArtifactNetwork(KINDS, SMALL), tmp_path / "small", {"revision": "r1"})
    return tmp_path / "small"


def sample(number: int, raws: dict[int, UInt8Array] | None = None) -> FilterInput:
    """A design with three layers."""
    image, sidecar = make_sample(number, 3)
    return FilterInput(sidecar.id, image, sidecar, raws or {})


def test_kinds_are_defects_of_the_taxonomy_and_scores_have_thresholds() -> None:
    assert set(KINDS) <= DEFECTS.keys()
    assert all(DEFECTS[kind].of_wholes for kind in OF_WHOLES)
    assert set(KINDS) >= NEED_RAW
    assert set(ARTIFACT_SCORES) <= FiltersConfig().thresholds().keys()


def test_every_layer_is_scored_and_the_whole_on_what_concerns_it() -> None:
    (result,) = build_filter().score([sample(1, {0: raw_of(STAR)})])
    by_layer = {index: {s.name for s in result.scores if s.layer_index == index} for index in (-1, 0, 1, 2)}
    assert by_layer[0] == set(ARTIFACT_SCORES)
    assert by_layer[1] == by_layer[2] == set(ARTIFACT_SCORES) - {f"{ARTIFACT}_{kind}" for kind in NEED_RAW}
    assert by_layer[-1] == {f"{ARTIFACT}_{kind}" for kind in OF_WHOLES}
    assert all(0 <= score.score <= 1 for score in result.scores)


def test_what_a_font_drew_is_not_judged() -> None:
    drawn = sample(1)
    text = drawn.sidecar.layers[1].model_copy(update={"kind": "text", "text": "Sunny", "font": "", "color": "#000000"})
    layers = (drawn.sidecar.layers[0], text, drawn.sidecar.layers[2])
    (result,) = build_filter().score([replace(drawn, sidecar=drawn.sidecar.model_copy(update={"layers": layers}))])
    assert {score.layer_index for score in result.scores} == {-1, 0, 2}


def test_a_sample_s_scores_do_not_depend_on_its_neighbours() -> None:
    one, two = sample(1), sample(2)
    classifier = build_filter()
    assert classifier.score([one, two])[0] == classifier.score([one])[0]


def test_margins_do_not_count_and_sizes_hardly(judgement: ArtifactJudgement) -> None:
    wider = np.pad(STAR, ((7, 30), (0, 11), (0, 0)))
    assert judgement.layer(wider, raw_of(STAR)) == judgement.layer(STAR, raw_of(STAR))
    view, larger = layer_view(STAR), layer_view(resize(STAR, (300, 300)))
    assert view is not None
    assert larger is not None
    assert np.abs(view.picture.astype(int) - larger.picture).mean() < 1.5


def test_nothing_to_see_is_bad_in_every_way(judgement: ArtifactJudgement) -> None:
    empty = np.zeros((20, 20, 4), np.uint8)
    assert judgement.layer(empty, raw_of(empty)) == dict.fromkeys(ARTIFACT_SCORES, 0.0)


def test_the_view_keeps_aspect_and_background() -> None:
    bar = np.zeros((40, 200, 4), np.uint8)
    bar[10:30, 20:180] = (10, 20, 30, 255)
    view = layer_view(bar, np.full((50, 80, 3), 77, np.uint8))
    assert view is not None
    assert view.picture.shape == (PICTURE_SIDE, PICTURE_SIDE, 4)
    assert view.frame.shape == (FRAME_SIDE, FRAME_SIDE, 3)
    rows, columns = np.nonzero(view.picture[..., 3])
    assert int(np.ptp(columns)) + 1 == 120
    assert int(np.ptp(rows)) + 1 == 15
    assert view.background == (77, 77, 77)
    assert whole_view(np.full((30, 60, 3), 9, np.uint8)).background is None


def test_the_background_s_colour_is_the_border_s_median() -> None:
    raw = np.full((64, 64, 3), GRAY, np.uint8)
    raw[:, :20] = (250, 0, 0)
    assert border_color(raw) == GRAY


def test_a_saved_classifier_is_the_same_when_it_is_loaded(small: Path) -> None:
    loaded = load_classifier(small)
    assert loaded.kinds == KINDS
    assert loaded.shape == SMALL
    stored = load_file(small / "model.safetensors")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, stored[name].to(tensor.dtype))


def test_a_classifier_from_before_there_were_blocks_is_read(tmp_path: Path) -> None:
    save_classifier(ArtifactNetwork(KINDS, replace(SMALL, blocks=(0, 0))), tmp_path, {})
    facts = json.loads((tmp_path / "config.json").read_text())
    del facts["blocks"]
    (tmp_path / "config.json").write_text(json.dumps(facts))
    assert load_classifier(tmp_path).shape.blocks == (0, 0)


def test_a_classifier_of_some_kinds_gives_the_scores_of_these(tmp_path: Path) -> None:
    save_classifier(ArtifactNetwork(["halo", "blur"], SMALL), tmp_path, {})
    found = ArtifactJudgement(ArtifactsConfig(model=str(tmp_path))).layer(STAR, raw_of(STAR))
    assert found.keys() == {ARTIFACT, "artifact_halo", "artifact_blur"}


def test_the_shipped_classifier_is_small_and_licensed() -> None:
    assert sum(tensor.numel() for tensor in load_classifier(TINY / "artifacts").parameters()) <= 300_000
    assert (TINY / "artifacts" / "model.safetensors").stat().st_size <= 600_000
    assert json.loads((TINY / "artifacts" / "config.json").read_text())["licence"] == "Apache-2.0"


def refused(folder: Path) -> str:
    with pytest.raises(UserError, match=r"filters\.artifacts\.model") as caught:
        ArtifactClassifier(ArtifactsConfig(model=str(folder))).setup()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_without_a_classifier_is_named_with_what_it_should_hold(tmp_path: Path) -> None:
    assert "config.json and model.safetensors" in refused(tmp_path / "nowhere")


def test_a_description_that_is_none_is_refused(small: Path) -> None:
    (small / "config.json").write_text("{not json")
    assert "describes no artifact classifier" in refused(small)
    (small / "config.json").write_text('{"kinds": ["halo"]}')
    assert "describes no artifact classifier" in refused(small)


def test_an_unknown_kind_is_refused_with_the_known_ones(small: Path) -> None:
    facts = json.loads((small / "config.json").read_text())
    (small / "config.json").write_text(json.dumps(facts | {"kinds": ["halos", *KINDS[1:]]}))
    message = refused(small)
    assert "'halos'" in message
    assert "checkerboard" in message


def test_weights_of_another_shape_or_name_or_format_are_refused(small: Path) -> None:
    weights = small / "model.safetensors"
    state = load_file(weights)
    save_file({name: tensor for name, tensor in state.items() if not name.startswith("head")}, weights)
    assert "does not fit" in refused(small)
    save_file(ArtifactNetwork(KINDS).half().state_dict(), weights)
    assert "does not fit" in refused(small)
    weights.write_bytes(b"no tensors")
    assert "does not fit" in refused(small)


def test_the_filter_is_built_where_one_of_its_scores_is_wanted() -> None:
    def built(config: FiltersConfig) -> bool:
        return any(isinstance(each, ArtifactClassifier) for each in build_filters(config))

    assert built(FiltersConfig())
    off = {name: {"enabled": False} for name in ARTIFACT_SCORES}
    assert not built(FiltersConfig.model_validate(off))
    assert built(FiltersConfig.model_validate(off | {"artifact_seams": {"enabled": True}}))


def build_filter() -> ArtifactClassifier:
    classifier = ArtifactClassifier(ArtifactsConfig())
    classifier.setup()
    return classifier
