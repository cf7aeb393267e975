"""Batches of a training: cached designs as questions, packed; a batch is a function of the seed and its position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from art_model.caching import CachedDesign
from art_model.noise import NoiseMeasures, NoiseTarget, draw_noise
from art_model.packing import PackedBatch, TokenSample, pack
from art_model.questions import FOREGROUND, Question, ask, held_regions, is_prompt_left_out, random_order, random_time
from art_model.regions import BACKGROUND, MERGED
from art_model.schedule import Shift
from art_model.text import PromptEmbedding
from art_model.train_config import TrainConfig
from layered.seeds import derive_seed


class DesignSource(Protocol):
    """Where designs come from: a `DesignCache`, or a list of them in tests."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each design, those of its prompt included."""

    @property
    def empty(self) -> PromptEmbedding:
        """The empty prompt, embedded."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> CachedDesign: ...


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """One forward's worth, on the CPU.

    Attributes:
        packed: what the transformer is given.
        questions: what it should answer, in order.
        tokens: of regions and prompts.
        joint_lengths: tokens of regions and of the prompt of each sample.
        measures: of its noise.
    """

    packed: PackedBatch
    questions: tuple[Question, ...]
    joint_lengths: tuple[tuple[int, int], ...]
    measures: NoiseMeasures

    @property
    def tokens(self) -> int:
        return sum(map(sum, self.joint_lengths))


def training_batch(
    source: DesignSource,
    indices: Sequence[int],
    position: int,
    config: TrainConfig,
    shift: Shift,
    guidance: float | None,
) -> TrainingBatch:
    """The batch at a position, which counts batches from 0; a design's question depends on nothing but the seed, the
    position and the design."""
    designs, prompts, targets, drawn = [], [], [], []
    for index in indices:
        design = source[index]
        rng = np.random.default_rng(_seed(config, design, position, "question"))
        if rng.random() < config.questions.reordered:
            design = design.reordered(random_order(design.boxes, rng))
        held = held_regions(fixed_regions(design), config.questions, rng)
        own = PromptEmbedding(design.text, design.pooled)
        prompts.append(source.empty if is_prompt_left_out(held, config.questions, rng) else own)
        drawn.append((held, random_time(config.questions, rng)))
        designs.append(design)
        generator = torch.Generator().manual_seed(_seed(config, design, position, "noise"))
        targets.append(NoiseTarget(design.regions, design.tokens.float(), design.pooled, generator))
    noises = draw_noise(targets, config.noise)
    measures = NoiseMeasures(config.noise.grid)
    measures.add(targets, noises)
    questions = tuple(
        ask(target.regions, target.data, classes_of(design), held=held, time=time, noise=noise, shift=shift)
        for target, design, (held, time), noise in zip(targets, designs, drawn, noises, strict=True)
    )
    return packed_questions(questions, prompts, guidance, measures)


def held_out_batch(designs: Sequence[CachedDesign], time: float, shift: Shift, guidance: float | None) -> TrainingBatch:
    """All regions but text layers asked for at one time, with noise that is always the same for a design."""
    questions = []
    for design in designs:
        seed = derive_seed(0, design.sample_id, -1, design.variant, "held-out noise")
        noise = torch.randn(design.tokens.shape, generator=torch.Generator().manual_seed(seed))
        questions.append(
            ask(
                design.regions,
                design.tokens.float(),
                classes_of(design),
                held=fixed_regions(design),
                time=time,
                noise=noise,
                shift=shift,
            )
        )
    prompts = [PromptEmbedding(design.text, design.pooled) for design in designs]
    return packed_questions(questions, prompts, guidance, NoiseMeasures(1))


def packed_questions(
    questions: Sequence[Question], prompts: Sequence[PromptEmbedding], guidance: float | None, measures: NoiseMeasures
) -> TrainingBatch:
    """Questions back to back, in float32."""
    samples = [
        TokenSample(each.noisy, each.regions.positions(), each.times, prompt.text.float(), prompt.pooled.float())
        for each, prompt in zip(questions, prompts, strict=True)
    ]
    lengths = tuple((len(sample.tokens), len(sample.text)) for sample in samples)
    return TrainingBatch(pack(samples, guidance=guidance), tuple(questions), lengths, measures)


def fixed_regions(design: CachedDesign) -> list[bool]:
    """Which regions are given in any case: text layers."""
    return [False, False, *(kind == "text" for kind in design.kinds)]


def classes_of(design: CachedDesign) -> list[int]:
    """The class of each region."""
    return [MERGED, BACKGROUND, *[FOREGROUND] * len(design.boxes)]


class Prefetcher:
    """Makes each batch in a thread while the one before it is trained on."""

    def __init__(self, source: DesignSource, config: TrainConfig, shift: Shift, guidance: float | None) -> None:
        self._source, self._config, self._shift, self._guidance = source, config, shift, guidance

    def batches(self, positions: Iterator[tuple[int, Sequence[int]]]) -> Iterator[TrainingBatch]:
        """The batches of positions with their indices, in order. Raises what reading a design raises."""
        with ThreadPoolExecutor(1) as pool:
            coming: Future[TrainingBatch] | None = None
            for position, indices in positions:
                ready = coming
                coming = pool.submit(
                    training_batch, self._source, indices, position, self._config, self._shift, self._guidance
                )
                if ready is not None:
                    yield ready.result()
            if coming is not None:
                yield coming.result()


def _seed(config: TrainConfig, design: CachedDesign, position: int, purpose: str) -> int:
    return derive_seed(config.seed, design.sample_id, design.variant, position, purpose)
