"""Batches of about equally many tokens: which designs each rank takes at each step.

A batch is filled up to a budget of tokens and not to a number of designs, because designs differ tenfold in length. The
whole plan is a pure function of (seed, lengths, budget, ranks), so that a place in the training is one integer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from art_model.dataset import position_order
from layered.errors import UserError
from layered.seeds import derive_seed

_OPEN_BATCHES = 64
"""Batches that are being filled at a time: enough to leave little room, few enough to be quick."""


@dataclass(frozen=True)
class Epoch:
    """One pass over all designs.

    Attributes:
        steps: per step and rank the indices of the designs in its batch: `steps[step][rank]`. Every rank has a batch at
            every step, no two batches share a design, and those of one step have about equally many tokens.
        left_out: how many designs are in no batch, by reason.
    """

    steps: tuple[tuple[tuple[int, ...], ...], ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Place:
    """What a position is: a step of an epoch, and the batch of each rank."""

    epoch: int
    step: int
    batches: tuple[tuple[int, ...], ...]


def pack_epoch(seed: int, epoch: int, lengths: Sequence[int], *, budget: int, ranks: int = 1) -> Epoch:
    """Deals an epoch's designs out into batches.

    Args:
        lengths: tokens of each design, those of its prompt included.
        budget: most tokens of one rank's batch.
        ranks: processes that train side by side.

    Raises:
        UserError: when not even one step comes about.
    """
    order = position_order(seed, epoch, len(lengths)).tolist()
    fitting = [index for index in order if lengths[index] <= budget]
    batches = _filled(fitting, lengths, budget)
    too_long, unpaired = len(order) - len(fitting), 0
    while len(batches) % ranks:
        if not _split_one(batches, lengths):
            spare = min(batches, key=lambda batch: (len(batch), batch))
            batches.remove(spare)
            unpaired += len(spare)
    if not batches:
        raise UserError(
            f"{len(lengths)} designs make no step of {ranks} batches of at most {budget} tokens "
            f"({too_long} are longer by themselves): raise the token budget or give more designs"
        )
    batches.sort(key=lambda batch: (sum(lengths[index] for index in batch), batch))
    rng = np.random.default_rng(derive_seed(seed, "", -1, epoch, "batches"))
    steps = []
    for group in rng.permutation(len(batches) // ranks).tolist():
        own = batches[group * ranks : (group + 1) * ranks]
        steps.append(tuple(tuple(own[rank]) for rank in rng.permutation(ranks).tolist()))
    reasons = {f"longer than the budget of {budget} tokens": too_long, f"too few for {ranks} ranks": unpaired}
    return Epoch(tuple(steps), {reason: count for reason, count in reasons.items() if count})


@dataclass(eq=False)
class BatchOrder:
    """The batches of an endless training by position.

    Attributes:
        lengths: tokens of each design, those of its prompt included.
        budget: most tokens of one rank's batch.
    """

    lengths: Sequence[int]
    seed: int
    budget: int
    ranks: int = 1
    _ends: list[int] = field(default_factory=list, init=False, repr=False)
    _last: tuple[int, Epoch] | None = field(default=None, init=False, repr=False)

    def at(self, position: int) -> Place:
        """The batches at a position, 0 the first; positions count steps through all epochs.

        The number of steps differs a little from epoch to epoch, so that the first look at a late position goes through
        the epochs before it.
        """
        while not self._ends or position >= self._ends[-1]:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self.epoch(len(self._ends)).steps))
        number = int(np.searchsorted(self._ends, position, side="right"))
        step = position - (self._ends[number - 1] if number else 0)
        return Place(number, step, self.epoch(number).steps[step])

    def epoch(self, number: int) -> Epoch:
        """One epoch, 0 the first. Raises UserError as `pack_epoch`."""
        if self._last is None or self._last[0] != number:
            packed = pack_epoch(self.seed, number, self.lengths, budget=self.budget, ranks=self.ranks)
            self._last = number, packed
        return self._last[1]

    def report(self) -> str:
        """Steps, filling and what is left out of the first epoch, in one line."""
        first = self.epoch(0)
        tokens = sum(self.lengths[index] for step in first.steps for batch in step for index in batch)
        room = self.budget * self.ranks * len(first.steps)
        left_out = "".join(f"; {count} designs left out: {reason}" for reason, count in first.left_out.items())
        return f"{len(first.steps)} steps an epoch, batches {tokens / room:.0%} full{left_out}"


def _filled(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """First fit: each design goes into the oldest open batch that has room for it."""
    closed: list[list[int]] = []
    open_batches: list[tuple[list[int], int]] = []
    for index in order:
        length = lengths[index]
        for place, (batch, used) in enumerate(open_batches):
            if used + length <= budget:
                batch.append(index)
                open_batches[place] = batch, used + length
                break
        else:
            if len(open_batches) == _OPEN_BATCHES:
                fullest = max(range(len(open_batches)), key=lambda place: open_batches[place][1])
                closed.append(open_batches.pop(fullest)[0])
            open_batches.append(([index], length))
    return closed + [batch for batch, _ in open_batches]


def _split_one(batches: list[list[int]], lengths: Sequence[int]) -> bool:
    """Makes two batches of the longest that has more than one design; False when there is none."""
    several = [batch for batch in batches if len(batch) > 1]
    if not several:
        return False
    longest = max(several, key=lambda batch: (sum(lengths[index] for index in batch), batch))
    batches.remove(longest)
    by_length = sorted(longest, key=lambda index: (lengths[index], index))
    batches += [by_length[::2], by_length[1::2]]
    return True
