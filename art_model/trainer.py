"""ART+: the trainer. One process of it; `art_model/train.py` starts as many as are wanted.

A step is a pure function of the weights, the seed and its number: which designs each process takes, what is asked of
them and with which noise. So a training that was killed and started again ends with the very weights of an undisturbed
one (on CPUs bit for bit), and several processes compute what one would with their batches as micro-batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn

from art_model.batching import BatchOrder
from art_model.checkpoint import ArtSettings
from art_model.flops import TRAINING_FORWARDS, forward_flops, peak_flops
from art_model.noise import NoiseMeasures
from art_model.objective import class_losses, summed_loss
from art_model.optimizers import build_optimizer, rate_at, set_rate
from art_model.questions import CLASSES
from art_model.sharding import whole
from art_model.train_config import TrainConfig
from art_model.trained_weights import TrainedWeights
from art_model.training_batches import DesignSource, Prefetcher, TrainingBatch
from art_model.training_log import TrainingLog, memory_gigabytes
from art_model.training_state import Checkpoints, Progress
from art_model.transformer import RegionTransformer
from art_model.validation import Painter, held_out_designs, held_out_losses, loss_scalars
from layered.errors import FailedWorkError

PICTURES = "pictures"


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    Attributes:
        rank: 0 … size − 1; the first writes all files.
        device: it computes on.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """What is trained on what.

    Attributes:
        transformer: to begin with; it is changed in place.
        settings: of the model that it belongs to.
        folder: of that model.
        train, held_out: designs to learn from, and others; None without validation.
        facts: more that the weights depend on: hashes of data and model.
    """

    config: TrainConfig
    transformer: RegionTransformer
    settings: ArtSettings
    folder: Path
    train: DesignSource
    held_out: DesignSource | None
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Trained:
    """What is left when the last step is done."""

    weights: TrainedWeights
    progress: Progress


def train(job: TrainingJob, world: World | None = None, say: Callable[[str], None] = print) -> Trained:
    """Trains to the last step, from the newest checkpoint if there is one.

    Raises:
        UserError: when the checkpoint belongs to another training, a design is damaged, or a batch cannot be filled.
        FailedWorkError: when the loss is no number any more; the last checkpoint is intact.
    """
    return _Training(job, world or World(), say).run()


class _Training:
    def __init__(self, job: TrainingJob, world: World, say: Callable[[str], None]) -> None:
        self.job, self.config, self.world = job, job.config, world
        self.weights = TrainedWeights(job.transformer, self.config, world.size, world.device)
        transformer = job.transformer.to(world.device)
        if self.weights.average is not None:
            self.weights.average = {name: each.to(world.device) for name, each in self.weights.average.items()}
        transformer.gradient_checkpointing = self.config.gradient_checkpointing
        self.optimizer = build_optimizer(list(self.weights.parameters.values()), self.config.optimizer)
        self.out = Path(self.config.out)
        facts = {"settings": self.config.of_weights(), **job.facts}
        self.checkpoints = Checkpoints(self.out, facts, self.config.checkpoints.keep)
        self.progress = self.checkpoints.load(self.weights, self.optimizer)
        if self.config.compile:
            for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
                block.compile(dynamic=True)
        self.model: nn.Module = transformer
        if world.size > 1 and not self.config.workers.spread:
            self.model = nn.parallel.DistributedDataParallel(transformer, gradient_as_bucket_view=True)
        self.order = BatchOrder(job.train.lengths, self.config.seed, self.config.tokens, world.size)
        self.class_weights = self.config.weights.tensor()
        self.measures = NoiseMeasures(self.config.noise.grid)
        self.log: TrainingLog | None = None
        self.painter: Painter | None = None
        if world.rank == 0:
            self.out.mkdir(parents=True, exist_ok=True)
            values = self.config.model_dump(mode="json")
            self.log = TrainingLog(self.out, self.progress.step, self.config.log.wandb, values, say)
            trained = sum(parameter.numel() for parameter in self.weights.parameters.values())
            self.log.line(f"{trained:,} weights are trained; {self.order.report()}")
        self.held_out = self._held_out()

    def run(self) -> Trained:
        done, steps, accumulation = self.progress.step, self.config.steps, self.config.accumulation
        if self.log and done:
            self.log.line(f"goes on after step {done} of {steps}")
        positions = range(done * accumulation, steps * accumulation)
        places = ((position, self.order.at(position).batches[self.world.rank]) for position in positions)
        shift, guidance = self.job.settings.shift, self.job.settings.guidance
        batches = Prefetcher(self.job.train, self.config, shift, guidance).batches(places)
        meter = _Meter(self.config, self.job.transformer, self.world)
        if not done:
            self._tell_of_held_out()
        for step in range(done, steps):
            self._step(step, batches, meter)
            self.progress = replace(self.progress, step=step + 1, seconds=self.progress.seconds + meter.lap())
            if (step + 1) % self.config.log.every == 0 or step + 1 == steps:
                self._report(meter)
            if self._is_due(self.config.validation.every):
                self._tell_of_held_out()
            if self._is_due(self.config.checkpoints.every) or self.progress.best == self.progress.step:
                self._save()
            meter.begin()
        if self.log:
            self.log.close()
        return Trained(self.weights, self.progress)

    def _step(self, step: int, batches: Iterator[TrainingBatch], meter: _Meter) -> None:
        """One update: forward and backward of its batches, then the optimiser."""
        first = step * self.config.accumulation
        samples = sum(
            len(own) for p in range(first, first + self.config.accumulation) for own in self.order.at(p).batches
        )
        for micro in range(self.config.accumulation):
            batch = meter.waiting(batches)
            with self._unsynchronised(micro):
                with self._autocast():
                    velocity = self.model(batch.packed.to(self.world.device))
                losses = class_losses(velocity, batch.questions)
                # Gradients of processes are averaged, so that each part counts as many times as there are processes.
                loss = summed_loss(losses, self.class_weights) * (self.world.size / samples)
                torch.autograd.backward(loss)
            meter.add(batch, losses.detach(), float(loss.detach()))
            self.measures.merge(batch.measures)
        parameters = list(self.weights.parameters.values())
        clip = self.config.optimizer.clip or math.inf
        norm = whole(nn.utils.clip_grad_norm_(parameters, clip, error_if_nonfinite=False))
        if not math.isfinite(float(norm)) or not math.isfinite(meter.loss):
            raise self._diverged(step, float(norm))
        meter.norm = float(norm)
        peak = self.config.optimizer.rate
        meter.rate = rate_at(step, self.config.steps, peak, self.config.schedule)
        set_rate(self.optimizer, meter.rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.weights.update_average(step)

    def _save(self) -> None:
        if self.world.rank == 0:
            self.checkpoints.save(self.weights, self.optimizer, self.progress)
        elif self.config.workers.spread:
            self.checkpoints.give(self.weights, self.optimizer)

    def _diverged(self, step: int, norm: float) -> FailedWorkError:
        steps = self.checkpoints.steps()
        last = f"the checkpoint after step {steps[-1]} is intact" if steps else "there is no checkpoint yet"
        return FailedWorkError(
            f"step {step + 1}: the loss or its gradient is no finite number (norm {norm:g}); {last}: lower "
            "optimizer.rate, lengthen schedule.warmup, or look for a broken sample"
        )

    def _is_due(self, every: int | None) -> bool:
        step = self.progress.step
        return every is not None and (step % every == 0 or step == self.config.steps)

    def _held_out(self) -> list[Any]:
        """Held-out designs; the first process looks at them, the others wait for it at the next gradient. Where the
        model is spread, all of them look."""
        config, source = self.config.validation, self.job.held_out
        if config.every is None or source is None or (self.log is None and not self.config.workers.spread):
            return []
        if config.pictures:
            shown = held_out_designs(source, config.pictures)
            self.painter = Painter(self.job.folder, self.job.settings, shown, source.empty, config)
        return held_out_designs(source, config.designs)

    def _tell_of_held_out(self) -> None:
        if not self.held_out:
            return
        config, step = self.config.validation, self.progress.step
        self.job.transformer.eval()
        with self.weights.averaged():
            losses = held_out_losses(
                self.job.transformer, self.held_out, config, self.job.settings, self.config.tokens, self._autocast()
            )
            picture = None if self.painter is None else self.painter.draw(self.job.transformer, self._autocast())
        self.job.transformer.train()
        scalars = loss_scalars(losses, config.times)
        asked = ~losses.isnan().all(0)
        loss = float((losses.nanmean(0) * self.class_weights)[asked].sum())
        self.progress = replace(self.progress, curve=(*self.progress.curve, (step, loss)))
        if self.log is None:
            return
        self.log.scalars(step, {f"held_out/{name}": value for name, value in scalars.items()} | {"held_out/loss": loss})
        parts = " ".join(f"{name} {scalars[name]:.4f}" for name in CLASSES)
        self.log.line(f"step {step} held out: loss {loss:.4f} ({parts})")
        if picture is not None:
            self.log.picture(step, "held_out", picture)
            (self.out / PICTURES).mkdir(exist_ok=True)
            Image.fromarray(picture).save(self.out / PICTURES / f"step-{step:08d}.png")

    def _report(self, meter: _Meter) -> None:
        scalars = meter.scalars()
        if self.log is None:
            return
        noise = {f"noise/{name}": value for name, value in self.measures.scalars().items()}
        step = self.progress.step
        self.log.scalars(step, scalars | noise)
        parts = " ".join(f"{name} {scalars[f'loss/{name}']:.4f}" for name in CLASSES if f"loss/{name}" in scalars)
        used = f", MFU {scalars['speed/mfu']:.0%}" if "speed/mfu" in scalars else ""
        self.log.line(
            f"step {step}/{self.config.steps} loss {scalars['loss/all']:.4f} ({parts}) rate {meter.rate:.2e} "
            f"norm {meter.norm:.2f}, {scalars['speed/tokens_per_s']:.0f} tokens/s{used}, "
            f"{scalars['speed/memory_gb']:.2f} GB, waits {scalars['speed/data_wait']:.1%}"
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=enabled)

    def _unsynchronised(self, micro: int) -> AbstractContextManager[Any]:
        """Gradients are exchanged with the last batch of a step alone; spread ones with each, for want of room."""
        if isinstance(self.model, nn.parallel.DistributedDataParallel) and micro < self.config.accumulation - 1:
            return self.model.no_sync()
        return nullcontext()


class _Meter:
    """Sums of the steps since the last report."""

    def __init__(self, config: TrainConfig, transformer: RegionTransformer, world: World) -> None:
        self.rate = self.norm = self.loss = 0.0
        self._config, self._transformer, self._world = config, transformer, world
        self._peak = config.log.peak_tflops * 1e12 if config.log.peak_tflops else peak_flops(world.device)
        self._clear()
        self.begin()

    def begin(self) -> None:
        """Starts the clock of a step; what came before counts for nothing."""
        self._since = time.perf_counter()

    def lap(self) -> float:
        """Seconds of the step."""
        seconds = time.perf_counter() - self._since
        self._seconds += seconds
        return seconds

    def waiting(self, batches: Iterator[TrainingBatch]) -> TrainingBatch:
        """The next batch, and how long it took to come."""
        begun = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - begun
        return batch

    def add(self, batch: TrainingBatch, losses: Tensor, loss: float) -> None:
        """Takes a batch into account; `losses` are those of `class_losses`."""
        self.loss = loss
        self._loss += loss / self._world.size
        self._batches += 1
        self._classes[0] += losses.nan_to_num().sum(0).double().cpu()
        self._classes[1] += (~losses.isnan()).sum(0).double().cpu()
        self._tokens += batch.tokens
        config = self._transformer.config
        self._flops += TRAINING_FORWARDS * sum(forward_flops(config, *lengths) for lengths in batch.joint_lengths)

    def scalars(self) -> dict[str, float]:
        """Means over all processes since the last call, by name; then starts anew."""
        sums = torch.cat([self._classes.flatten(), torch.tensor([self._loss, self._tokens, self._flops])])
        if self._world.size > 1:
            moved = sums.to(self._world.device)
            dist.all_reduce(moved)
            sums = moved.cpu()
        totals, counts = sums[: 2 * len(CLASSES)].view(2, -1)
        loss, tokens, flops = sums[2 * len(CLASSES) :].tolist()
        seconds = max(self._seconds, 1e-9)
        found = {f"loss/{name}": float(totals[i] / counts[i]) for i, name in enumerate(CLASSES) if counts[i]}
        found |= {
            "loss/all": loss * self._config.accumulation / self._batches,
            "optimizer/rate": self.rate,
            "optimizer/gradient_norm": self.norm,
            "speed/tokens_per_s": tokens / seconds,
            "speed/tflops": flops / seconds / 1e12,
            "speed/data_wait": self._waited / seconds,
            "speed/memory_gb": memory_gigabytes(self._world.device),
        }
        if self._peak:
            found["speed/mfu"] = flops / seconds / (self._peak * self._world.size)
        self._clear()
        return found

    def _clear(self) -> None:
        self._seconds = self._waited = self._loss = 0.0
        self._batches = self._tokens = 0
        self._flops = 0.0
        self._classes = torch.zeros(2, len(CLASSES), dtype=torch.float64)
