from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from layered.scores import Score
from ledger.choice import SelectionConfig, choose
from ledger.decisions import resolve
from ledger.index import RunIndex
from ledger.publication import publish
from ledger.run_directory import RunDirectory
from ledger.selection import Selection, select
from shards.writer import ShardConfig
from tests.ledger.runs import chunk_sample, make_run, on, sample_id

Chooser = Callable[..., Selection]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Eight samples with 1, 2, 3, 4, 1, 2, 3, 4 layers and rising scores."""
    samples = [chunk_sample(number, 1 + number % 4, clip=number / 10) for number in range(8)]
    return make_run(tmp_path_factory.mktemp("choice") / "run", [samples])


@pytest.fixture(scope="module")
def chosen(run: RunDirectory) -> Chooser:
    index = RunIndex.load(run.storage)

    def of(*decisions: Any, derived: tuple[Score, ...] = (), **settings: Any) -> Selection:
        selection = select(run.planned_samples(), index, resolve(decisions), {})
        selection = Selection(selection.published, selection.left_out, derived)
        return choose(selection, index, SelectionConfig(**settings))

    return of


def published(selection: Selection) -> list[int]:
    return [int(sample.sample_id[1:]) for sample in selection.published]


def test_without_settings_everything_stays(chosen: Chooser) -> None:
    assert published(chosen()) == list(range(8))


def test_pro_takes_what_people_gave_pro_and_kept_what_they_kept(chosen: Chooser) -> None:
    decisions = (on(1, 1, "pro"), on(4, 2, "keep"), on(6, 3, "reject"))
    assert published(chosen(*decisions, verdict="pro")) == [1]
    kept = chosen(*decisions, verdict="kept")
    assert published(kept) == [1, 4]
    assert kept.reasons() == {"not chosen": 5, "rejected": 1}
    assert [each.sample_id for each in kept.left_out] == [sample_id(number) for number in (0, 2, 3, 5, 6, 7)]


def test_layers_are_counted_without_the_rejected_ones(chosen: Chooser) -> None:
    assert published(chosen(min_layers=2, max_layers=3)) == [1, 2, 5, 6]
    assert published(chosen(on(2, 1, "reject", layer=0), on(2, 2, "reject", layer=1), min_layers=2)) == [1, 3, 5, 6, 7]


def test_a_quota_keeps_pro_before_keep_and_then_the_best_score(chosen: Chooser) -> None:
    decisions = (on(0, 1, "pro"), on(1, 2, "keep"))
    assert published(chosen(*decisions, per_style=3, rank_by="clip_whole")) == [0, 1, 7]
    assert published(chosen(*decisions, per_style=3)) == [0, 1, 2]
    assert published(chosen(*decisions, per_style=1, quotas={"flat": 2})) == [0, 1]
    assert published(chosen(*decisions, quotas={"neon": 0})) == list(range(8))


def test_a_derived_score_ranks_too(chosen: Chooser) -> None:
    derived = tuple(Score(sample_id(number), -1, "combined", -number) for number in range(8))
    assert published(chosen(derived=derived, per_style=2, rank_by="combined")) == [0, 1]


def test_the_publication_is_what_was_chosen(run: RunDirectory, tmp_path: Path) -> None:
    fresh = make_run(tmp_path / "run", [[chunk_sample(number) for number in range(4)]])
    result = publish(fresh, ShardConfig(), {}, choice=SelectionConfig(per_style=3))
    assert result.publication.sample_ids == [sample_id(number) for number in range(3)]
    assert publish(fresh, ShardConfig(), {}, choice=SelectionConfig(per_style=3, quotas={"flat": 3})).written is False
    assert publish(fresh, ShardConfig(), {}).written


def test_more_wanted_than_allowed_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_layers 2 is below min_layers 3"):
        SelectionConfig(min_layers=3, max_layers=2)
