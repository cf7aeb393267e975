"""Batches of a training: functions of the seed and the position, with text layers given and prompts left out."""

from dataclasses import replace
from pathlib import Path

import torch

from art_model.regions import regions_of
from art_model.schedule import Shift
from art_model.training_batches import Prefetcher, TrainingBatch, held_out_batch, training_batch
from layered.box import Box
from tests.art_model.random_training import random_designs, small_config


def batch(position: int, indices: tuple[int, ...] = (0, 1, 2, 5), **more: object) -> TrainingBatch:
    return training_batch(random_designs(6), indices, position, small_config(Path("-"), **more), Shift(), None)


def equal(one: TrainingBatch, other: TrainingBatch) -> bool:
    return all(
        torch.equal(value, vars(other.packed)[name])
        for name, value in vars(one.packed).items()
        if isinstance(value, torch.Tensor)
    )


def test_a_batch_follows_from_seed_and_position_alone() -> None:
    assert equal(batch(3), batch(3))
    assert not equal(batch(3), batch(4))
    assert not equal(batch(3), batch(3, seed=1))


def test_what_is_asked_of_a_design_does_not_depend_on_its_neighbours() -> None:
    alone, among = batch(3, (5,)).questions[0], batch(3).questions[3]
    assert torch.equal(alone.noisy, among.noisy)
    assert torch.equal(alone.times, among.times)


def test_text_layers_are_always_given() -> None:
    designs = random_designs(6)
    for position in range(20):
        for design, question in zip([designs[i] for i in (2, 5)], batch(position, (2, 5)).questions, strict=True):
            boxes = [region.box for region in question.regions.items[2:]]
            text = boxes.index(design.boxes[design.kinds.index("text")])
            place = question.regions.slices[2 + text]
            assert not question.scored[place].any()
            assert question.scored.any()


def test_reordered_layers_take_their_tokens_along() -> None:
    designs = random_designs(6)
    canvas, far = (96, 48), (Box(0, 0, 20, 20), Box(50, 10, 90, 40))
    regions = regions_of(canvas, far)
    source = torch.Generator().manual_seed(0)
    tokens = torch.randn(regions.tokens, 8, generator=source).half()
    designs.designs = [replace(designs[0], canvas=canvas, boxes=far, kinds=("image", "image"), tokens=tokens)]
    layers = zip(regions.items[2:], regions.slices[2:], strict=True)
    of_boxes = {region.box: tokens[place].float() for region, place in layers}
    orders = set()
    for position in range(12):
        config = small_config(Path("-"), questions={"reordered": 1.0})
        question = training_batch(designs, (0,), position, config, Shift(), None).questions[0]
        data = question.noisy - question.times[:, None] * question.velocity
        for region, place in zip(question.regions.items[2:], question.regions.slices[2:], strict=True):
            torch.testing.assert_close(data[place], of_boxes[region.box], atol=1e-5, rtol=1e-4)
        orders.add(tuple(region.box for region in question.regions.items[2:]))
    assert orders == {far, far[::-1]}


def test_some_prompts_are_left_out() -> None:
    empty = random_designs(1).empty
    more = {"noise": {}, "questions": {"empty_prompt": 0.5, "empty_prompt_with_merged": 0.5}}
    texts = [batch(position, (1,), **more).packed.text for position in range(40)]
    assert 8 <= sum(torch.equal(text, empty.text.float()) for text in texts) <= 32


def test_held_out_noise_is_always_the_same_and_everything_but_text_is_asked_for() -> None:
    designs = random_designs(6)
    one, again = (held_out_batch([designs[2], designs[3]], 0.5, Shift(), None) for _ in range(2))
    assert equal(one, again)
    assert all(question.scored[: 2 * 9].all() for question in one.questions)
    assert not one.questions[0].scored.all()
    assert one.questions[1].scored.all()


def test_batches_come_in_order_from_another_thread() -> None:
    config = small_config(Path("-"))
    places = [(0, (0, 1)), (1, (2,)), (2, (3, 4, 5))]
    found = list(Prefetcher(random_designs(6), config, Shift(), None).batches(iter(places)))
    assert [len(each.questions) for each in found] == [2, 1, 3]
    assert equal(found[2], training_batch(random_designs(6), (3, 4, 5), 2, config, Shift(), None))
