"""Which samples a report shows, and as what."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from layered.rendering import encode_webp
from ledger.index import RunIndex
from ledger.selection import LeftOut, Selected, Selection, select
from pipeline.report.gallery import (
    decode_thumbnail,
    exploded_samples,
    gallery,
    left_out_card,
    published_card,
    reject_gallery,
    spread,
)
from tests.ledger.runs import sample_id
from tests.pipeline.small_run import FAILED, FLAGGED, NASTY, THRESHOLDS, small_run
from tests.shards.samples import make_sample


def selected_run(path: Path) -> tuple[RunIndex, Selection]:
    run = small_run(path)
    index = RunIndex.load(run.storage)
    return index, select(run.planned_samples(), index, {}, THRESHOLDS)


@given(st.integers(0, 60), st.integers(0, 20))
def test_spread_takes_different_items_in_order_from_everywhere(length: int, count: int) -> None:
    taken = spread(range(length), count)
    assert taken == sorted(set(taken))
    assert len(taken) == min(count, length)
    if taken:
        longest = max(right - left for left, right in zip([-1, *taken], [*taken, length], strict=True))
        assert longest <= -(-length // len(taken)) + 1


def test_published_samples_come_first_and_the_others_say_why_they_are_left_out(tmp_path: Path) -> None:
    index, selection = selected_run(tmp_path)
    cards = gallery(index, selection, 48)
    assert [card.sample_id for card in cards] == [sample_id(number) for number in (0, 1, 2, 5, FLAGGED)]
    assert [card.reason for card in cards] == ["", "", "", "", "flagged"]


def test_room_for_few_samples_goes_to_published_ones(tmp_path: Path) -> None:
    index, selection = selected_run(tmp_path)
    assert [card.sample_id for card in gallery(index, selection, 2)] == [sample_id(0), sample_id(2)]


def test_a_card_holds_what_the_chunk_holds(tmp_path: Path) -> None:
    index, selection = selected_run(tmp_path)
    card = gallery(index, selection, 1)[0]
    image, sidecar = make_sample(0, 2)
    assert card.thumbnail == encode_webp(image.whole())
    assert [layer.thumbnail for layer in card.layers] == [encode_webp(layer.pixels) for layer in image.layers]
    assert [layer.caption for layer in card.layers] == [f"thing 0 {NASTY}", f"thing 1 {NASTY}"]
    assert (card.canvas, card.base_caption, card.style) == (sidecar.canvas, sidecar.base_caption, "neon")


def test_the_reject_gallery_shows_the_flagged_layer_and_no_failed_sample(tmp_path: Path) -> None:
    index, selection = selected_run(tmp_path)
    assert sample_id(FAILED) in {left_out.sample_id for left_out in selection.left_out}
    (card,) = reject_gallery(index, selection, THRESHOLDS, 24)
    assert card.sample_id == sample_id(FLAGGED)
    assert card.detail == "clip_layer of layer 1 is 0.100, below 0.2"
    assert card.culprit == card.layers[1]


def test_a_sample_that_no_layer_is_to_blame_for_shows_no_layer(tmp_path: Path) -> None:
    index, _ = selected_run(tmp_path)
    flagged_whole = LeftOut(sample_id(0), "flagged", "clip_whole is 0.400, below 0.9")
    assert left_out_card(index, flagged_whole, {"clip_whole": 0.9}).culprit is None
    assert left_out_card(index, LeftOut(sample_id(0), "rejected", "by ann"), {"clip_layer": 0.9}).culprit is None


def test_a_layer_that_a_person_kept_is_not_shown_as_the_culprit(tmp_path: Path) -> None:
    index, _ = selected_run(tmp_path)
    second_flagged = LeftOut(sample_id(0), "flagged", "clip_layer of layer 1 is 0.500, below 0.9")
    culprit = left_out_card(index, second_flagged, {"clip_layer": 0.9}).culprit
    assert culprit is not None
    assert culprit.index == 1


def test_what_people_decided_shows_in_a_published_sample(tmp_path: Path) -> None:
    index, _ = selected_run(tmp_path)
    selected = Selected(
        sample_id(2), "train", "", dropped_layers=(1,), whole_caption="better", layer_captions={2: "a cat"}
    )
    card = published_card(index, selected)
    image, _ = make_sample(2, 4)
    assert card.caption == "better"
    assert [layer.index for layer in card.layers] == [0, 2, 3]
    assert card.layers[1].caption == "a cat"
    assert card.thumbnail == encode_webp(image.without([1]).whole())


def test_only_samples_that_are_published_complete_are_taken_apart(tmp_path: Path) -> None:
    index, _ = selected_run(tmp_path)
    cut, complete = Selected(sample_id(2), "train", "", dropped_layers=(1,)), Selected(sample_id(5), "train", "")
    (sample,) = exploded_samples(index, Selection((cut, complete), ()), 4)
    image, _ = make_sample(5, 4)
    assert sample.card.sample_id == sample_id(5)
    np.testing.assert_array_equal(sample.image.whole(), image.whole())
    assert decode_thumbnail(sample.base).shape == image.base.shape
