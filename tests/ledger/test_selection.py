import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from layered.scores import Score
from ledger.decisions import resolve
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.selection import Selection, flagged, select, standing_scores
from tests.ledger.runs import on, ordinary_run, sample_id

THRESHOLDS = {"clip_layer": 0.2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return ordinary_run(tmp_path_factory.mktemp("selection") / "run")


def selection(run: RunDirectory, *decisions: Any, thresholds: Mapping[str, float] = THRESHOLDS) -> Selection:
    index = RunIndex.load(run.storage)
    return select(run.planned_samples(), index, resolve(decisions), thresholds)


def published(chosen: Selection) -> list[int]:
    return [int(sample.sample_id[1:]) for sample in chosen.published]


def test_thresholds_leave_out_what_is_below_and_say_why(run: RunDirectory) -> None:
    chosen = selection(run)
    assert published(chosen) == [0, 1, 2, 4, 5, 6, 7]
    assert [(sample.sample_id, sample.reason, sample.detail) for sample in chosen.left_out] == [
        (
            sample_id(3),
            "flagged",
            "clip_layer of layer 0 is 0.100, below 0.2; clip_layer of layer 1 is 0.100, below 0.2",
        ),
        (sample_id(8), "failed", "matting: no object"),
    ]
    assert chosen.reasons() == {"flagged": 1, "failed": 1}
    assert [sample.split for sample in chosen.published] == [
        "train",
        "train",
        "train",
        "val",
        "train",
        "train",
        "train",
    ]
    assert published(selection(run, thresholds={})) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert published(selection(run, thresholds={"clip_whole": 0.1})) == [0, 1, 2, 3, 4, 5, 6, 7]  # equal is enough


def test_a_person_overrules_a_threshold_in_both_directions(run: RunDirectory) -> None:
    chosen = selection(run, on(3, 1, "pro"), on(0, 2, "reject", reasons=("halo",)), on(8, 3, "keep"))
    assert published(chosen) == [1, 2, 3, 4, 5, 6, 7]
    assert {sample.sample_id: sample.decision for sample in chosen.published}[sample_id(3)] == "pro"
    assert {sample.sample_id: sample.detail for sample in chosen.left_out}[sample_id(0)] == "by ann: halo"
    assert sample_id(8) in {sample.sample_id for sample in chosen.left_out if sample.reason == "failed"}


def test_a_rejected_layer_takes_its_flags_with_it(run: RunDirectory) -> None:
    chosen = selection(run, on(3, 1, "reject", 0), on(3, 2, "keep", 1))
    [sample] = [sample for sample in chosen.published if sample.sample_id == sample_id(3)]
    assert sample.dropped_layers == (0,)
    scores = RunIndex.load(run.storage).record(sample_id(3)).scores
    assert standing_scores(scores, sample.dropped_layers) == (Score(sample_id(3), 1, "clip_layer", 0.1),)
    assert standing_scores(scores, ()) == scores
    assert sample.whole_caption == "a beach, thing 1"
    still_flagged = selection(run, on(3, 1, "reject", 0))
    assert {sample.sample_id for sample in still_flagged.left_out} >= {sample_id(3)}


def test_a_caption_is_kept_only_when_it_was_written_after_the_layer_went(run: RunDirectory) -> None:
    captions = []
    for events in (
        (on(1, 1, "reject", 2), on(1, 2, "keep", caption="two of three")),
        (on(1, 1, "keep", caption="all three"), on(1, 2, "reject", 2)),
        (on(1, 1, "keep", 0, caption="a red ball"), on(1, 2, "reject", 2)),
    ):
        [sample] = [sample for sample in selection(run, *events).published if sample.sample_id == sample_id(1)]
        captions.append(sample.whole_caption)
    assert captions == ["two of three", "a beach, thing 0, thing 1", "a beach, a red ball, thing 1"]


def test_a_sample_without_any_layer_left_is_held_back(run: RunDirectory) -> None:
    chosen = selection(run, on(0, 1, "reject", 0), on(0, 2, "reject", 1))
    assert [sample.reason for sample in chosen.left_out if sample.sample_id == sample_id(0)] == ["held back"]


def test_duplicates_are_sought_among_the_accepted_in_plan_order_and_spare_what_people_kept(run: RunDirectory) -> None:
    seen: list[str] = []

    def all_but_the_first(features: Mapping[str, Mapping[str, bytes]]) -> list[str]:
        seen.extend(features)
        assert all(feature["phash"] == int(name[1:]).to_bytes(8, "big") for name, feature in features.items())
        return list(features)[1:]

    index = RunIndex.load(run.storage)
    decisions = resolve([on(0, 1, "reject"), on(5, 2, "keep")])
    chosen = select(run.planned_samples(), index, decisions, THRESHOLDS, all_but_the_first)
    assert seen == [sample_id(number) for number in (1, 2, 4, 5, 6, 7)]
    assert published(chosen) == [1, 5]
    assert chosen.reasons()["duplicate"] == 4


def test_samples_come_in_the_plans_order_and_others_not_at_all(run: RunDirectory) -> None:
    plan = list(reversed(run.planned_samples()[:3]))
    chosen = select(plan, RunIndex.load(run.storage), {}, {})
    assert published(chosen) == [2, 1, 0]
    assert chosen.left_out == ()


def test_a_score_that_is_no_number_is_flagged() -> None:
    scores = [Score("s", -1, "clip", math.nan), Score("s", 0, "clip", 0.5), Score("s", 0, "other", 0.0)]
    assert flagged(scores, {"clip": 0.5}) == [scores[0]]


def test_scores_that_follow_from_stored_ones_flag_like_these(run: RunDirectory) -> None:
    def doubled(scores: Iterable[Score]) -> list[Score]:
        rows = [score for score in scores if score.name == "clip_layer"]
        return [Score(rows[0].sample_id, -1, "doubled", 2 * min(row.score for row in rows))] if rows else []

    index = RunIndex.load(run.storage)
    chosen = select(run.planned_samples(), index, {}, {"doubled": 0.5}, derive_scores=doubled)
    assert published(chosen) == [0, 1, 2, 4, 5, 6, 7]
    assert chosen.left_out[0].detail == "doubled is 0.200, below 0.5"
    assert {score.sample_id: score.score for score in chosen.derived}[sample_id(3)] == pytest.approx(0.2)
    assert len(chosen.derived) == 8
    # A rejected layer's scores are not in it, nor those that a person has kept.
    for decisions in ([on(3, 1, "reject", 0), on(3, 2, "keep", 1)], [on(3, 1, "keep")]):
        kept = select(run.planned_samples(), index, resolve(decisions), {"doubled": 0.5}, derive_scores=doubled)
        assert sample_id(3) in {sample.sample_id for sample in kept.published}
