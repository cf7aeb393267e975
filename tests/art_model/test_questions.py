"""Questions of training: what is given is clean and costs nothing, the rest is noised as the schedule says."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from art_model.questions import (
    QuestionConfig,
    ask,
    held_regions,
    is_prompt_left_out,
    random_order,
    random_time,
)
from art_model.regions import regions_of
from art_model.schedule import Shift, shift_times
from layered.box import Box

BOXES = (Box(5, 5, 60, 60), Box(-20, 40, 50, 100))
REGIONS = regions_of((128, 128), BOXES)
DATA = torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(REGIONS.tokens, 64, generator=torch.Generator().manual_seed(1))
MIXTURE = QuestionConfig()


@pytest.mark.parametrize("held", [[False] * 4, [True, False, False, False], [False, True, True, False]])
def test_given_tokens_are_clean_and_the_others_lie_between_data_and_noise(held: list[bool]) -> None:
    question = ask(REGIONS, DATA, [0, 1, 2, 2], held=held, time=0.4, noise=NOISE, shift=Shift())
    given = torch.tensor(held).repeat_interleave(torch.tensor(REGIONS.lengths))
    assert torch.equal(question.noisy[given], DATA[given])
    assert torch.equal(question.scored, ~given)
    shifted = float(shift_times(torch.tensor(0.4, dtype=torch.float64), REGIONS, Shift()))
    assert question.times[~given].tolist() == pytest.approx([shifted] * int((~given).sum()))
    torch.testing.assert_close(
        question.noisy, torch.where(given[:, None], DATA, (1 - shifted) * DATA + shifted * NOISE)
    )
    torch.testing.assert_close(question.velocity, NOISE - DATA)
    assert question.classes.bincount().tolist() == [64, 64, REGIONS.tokens - 128]


def test_questions_leave_something_open_and_come_in_the_stated_mixture() -> None:
    rng = np.random.default_rng(0)
    drawn = [held_regions([False] * 6, MIXTURE, rng) for _ in range(4000)]
    assert all(not all(held) for held in drawn)
    kinds = Counter(
        "nothing" if not any(held) else "merged" if held == [True] + [False] * 5 else "layers" for held in drawn
    )
    assert kinds["nothing"] / 4000 == pytest.approx(0.7, abs=0.03)
    assert kinds["merged"] / 4000 == pytest.approx(0.15, abs=0.03)
    one_added = sum(not held[0] and held[1] and sum(held) == 4 for held in drawn)
    assert one_added / 4000 == pytest.approx(0.075, abs=0.015)


@given(fixed=st.lists(st.booleans(), max_size=5), seed=st.integers(0, 2**32))
def test_what_is_fixed_is_always_given_and_something_is_always_asked(fixed: list[bool], seed: int) -> None:
    only_layers = QuestionConfig(text_to_layers=0.2, image_to_layers=0.2, layers_to_layers=0.6)
    regions = [False, False, *fixed]
    held = held_regions(regions, only_layers, np.random.default_rng(seed))
    assert len(held) == len(regions)
    assert all(given for given, always in zip(held, regions, strict=True) if always)
    assert not all(held)


def test_a_prompt_is_left_out_more_often_where_the_picture_is_given() -> None:
    rng = np.random.default_rng(1)
    shares = [np.mean([is_prompt_left_out([merged, False], MIXTURE, rng) for _ in range(3000)]) for merged in (0, 1)]
    assert shares == pytest.approx([0.1, 0.3], abs=0.03)


def test_times_are_distributed_as_configured_and_never_0() -> None:
    rng = np.random.default_rng(2)
    uniform = np.array([random_time(QuestionConfig(times="uniform"), rng) for _ in range(4000)])
    normal = np.array([random_time(MIXTURE, rng) for _ in range(4000)])
    assert uniform.min() > 0
    assert np.quantile(uniform, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    logits = np.log(normal / (1 - normal))
    assert (logits.mean(), logits.std()) == pytest.approx((0, 1), abs=0.05)


@given(seed=st.integers(0, 2**32))
def test_layers_that_overlap_keep_their_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, size=(6, 2))
    boxes = [Box(int(x), int(y), int(x) + 30, int(y) + 30) for x, y in corners]
    order = random_order(boxes, rng)
    assert sorted(order) == list(range(6))
    for place, above in enumerate(order):
        for below in order[:place]:
            assert below < above or boxes[below].intersection(boxes[above]) is None


def test_layers_apart_come_in_every_order() -> None:
    apart = [Box(40 * index, 0, 40 * index + 30, 30) for index in range(3)]
    rng = np.random.default_rng(3)
    assert len({tuple(random_order(apart, rng)) for _ in range(200)}) == 6


def test_shares_that_are_no_mixture_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"sum to 1\.3"):
        QuestionConfig(text_to_layers=1.0)
