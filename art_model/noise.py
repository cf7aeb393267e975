"""Which noise a region is trained with: any, or one that lies near (Immiscible Diffusion, arXiv 2406.12303).

Near noise makes paths cross less, so that few sampling steps suffice. ``best_of_k`` draws several noises for each
region and keeps the nearest; ``assignment`` permutes noises between the samples of a batch so that all distances
together are least; ``c2ot`` adds the distance of the prompts to that cost, because a plain assignment ties noise to the
prompt, which sampling does not (Cheng & Schwing, ICCV 2025). Noise is never exchanged between the layers of one sample.

The coupling alone lowers a training loss and bends the noise's distribution a little: `NoiseMeasures` watches both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from art_model.packing import tokens_to_latents
from art_model.regions import FIRST_FOREGROUND, Region, Regions

NoiseKind = Literal["independent", "best_of_k", "assignment", "c2ot"]


class NoiseConfig(BaseModel):
    """How noise is chosen.

    Attributes:
        kind: ``best_of_k`` for every region of at least `smallest` tokens; ``assignment`` and ``c2ot`` for full-canvas
            regions between samples of one batch and canvas size, merged and background apart.
        candidates: of ``best_of_k``.
        grid: distances are taken between latents averaged to at most so many cells a side, where pictures differ most.
        smallest: tokens of the smallest region that ``best_of_k`` chooses for.
        condition_weight: of ``c2ot``: what unrelated prompts cost, in standard deviations of the squared distances.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: NoiseKind = "independent"
    candidates: int = Field(4, ge=2)
    grid: int = Field(8, ge=1)
    smallest: int = Field(16, ge=1)
    condition_weight: float = Field(1.0, ge=0)


@dataclass(frozen=True, eq=False)
class NoiseTarget:
    """One sample that wants noise.

    Attributes:
        data: its clean tokens ``[tokens, channels]``, float32 on the CPU.
        condition: its pooled prompt ``[pooled]``.
        generator: draws its noise and nobody else's.
    """

    regions: Regions
    data: Tensor
    condition: Tensor
    generator: torch.Generator


def draw_noise(targets: Sequence[NoiseTarget], config: NoiseConfig) -> list[Tensor]:
    """Noise ``[tokens, channels]`` for each sample of a batch, float32."""
    noises = [torch.randn(target.data.shape, generator=target.generator) for target in targets]
    if config.kind == "best_of_k":
        for target, noise in zip(targets, noises, strict=True):
            _choose_nearest(target, noise, config)
    elif config.kind in ("assignment", "c2ot"):
        _exchange(targets, noises, config)
    return noises


def nearest(data: Tensor, candidates: Tensor) -> Tensor:
    """Which of its own candidates ``[n, k, d]`` lies nearest to each row of data ``[n, d]``: ``[n]`` int64."""
    return (candidates - data[:, None]).square().sum(-1).argmin(-1)


def assigned(data: Tensor, noise: Tensor, conditions: Tensor | None = None, condition_weight: float = 0.0) -> Tensor:
    """Which noise each sample gets so that the sum of costs is least: ``[n]`` int64, a permutation.

    Args:
        data, noise: ``[n, d]``; the cost is their squared distance.
        conditions: ``[n, c]``; a noise comes with its own sample's condition, and going to another sample costs 1 −
            cosine of the two, times ``condition_weight`` standard deviations of all squared distances.
    """
    from scipy.optimize import linear_sum_assignment

    # In double precision: for float32, cdist's way through a product loses digits.
    costs = torch.cdist(data.double(), noise.double()).square()
    if conditions is not None:
        unit = F.normalize(conditions.double(), dim=1)
        costs = costs + condition_weight * costs.std() * (1 - unit @ unit.T)
    return torch.from_numpy(linear_sum_assignment(costs.numpy())[1])


def pooled(tokens: Tensor, region: Region, grid: int) -> Tensor:
    """The latents of a region averaged to at most `grid` cells a side: ``[channels / 4, rows, columns]`` float32."""
    latents = tokens_to_latents(tokens.float(), region.rows, region.columns)
    return F.adaptive_avg_pool2d(latents, (min(grid, 2 * region.rows), min(grid, 2 * region.columns)))


@dataclass(eq=False)
class NoiseMeasures:
    """What choosing does to the noise, summed up over batches.

    The mean and standard deviation are of pooled noise, in units of what independent noise has: at full resolution the
    bias would be hidden. 0 and 1 say that nothing was bent.
    """

    grid: int
    _sum: Tensor | float = 0.0
    _squares: Tensor | float = 0.0
    _cells: int = 0
    _cosines: list[float] = field(default_factory=list)

    def add(self, targets: Sequence[NoiseTarget], noises: Sequence[Tensor]) -> None:
        """Takes a batch's noise into account."""
        for target, noise in zip(targets, noises, strict=True):
            for region, place in zip(target.regions.items, target.regions.slices, strict=True):
                cells = pooled(noise[place], region, self.grid)
                cells = (cells * _cell_areas(region, cells.shape).sqrt()).flatten(1)
                self._sum = self._sum + cells.sum(1)
                self._squares = self._squares + cells.square().sum(1)
                self._cells += cells.shape[1]
            self._cosines.append(float(F.cosine_similarity(target.data.flatten(), noise.flatten(), dim=0)))

    def merge(self, other: NoiseMeasures) -> None:
        """Takes what another one has summed up."""
        self._sum = self._sum + other._sum
        self._squares = self._squares + other._squares
        self._cells += other._cells
        self._cosines += other._cosines

    def scalars(self) -> dict[str, float]:
        """``cosine`` of data and noise, and ``mean_NN`` and ``std_NN`` for each latent channel; then starts anew."""
        if not self._cells:
            return {}
        mean = torch.as_tensor(self._sum) / self._cells
        std = (torch.as_tensor(self._squares) / self._cells - mean.square()).sqrt()
        found = {"cosine": sum(self._cosines) / len(self._cosines)}
        for name, values in (("mean", mean), ("std", std)):
            found |= {f"{name}_{channel:02d}": value for channel, value in enumerate(values.tolist())}
        self._sum, self._squares, self._cells = 0.0, 0.0, 0
        self._cosines.clear()
        return found


def _choose_nearest(target: NoiseTarget, noise: Tensor, config: NoiseConfig) -> None:
    """Puts the nearest candidate of each large enough region in place; the noise that is there is the first one."""
    for region, place in zip(target.regions.items, target.regions.slices, strict=True):
        if region.tokens < config.smallest:
            continue
        shape = (config.candidates - 1, *noise[place].shape)
        candidates = torch.cat([noise[place][None], torch.randn(shape, generator=target.generator)])
        cells = torch.stack([pooled(each, region, config.grid).flatten() for each in candidates])
        wanted = pooled(target.data[place], region, config.grid).flatten()
        noise[place] = candidates[int(nearest(wanted[None], cells[None]))]


def _exchange(targets: Sequence[NoiseTarget], noises: Sequence[Tensor], config: NoiseConfig) -> None:
    """Permutes the noise of merged images, and that of backgrounds, between samples of one canvas size."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        groups[target.regions.canvas].append(number)
    for members in groups.values():
        for layer in range(FIRST_FOREGROUND):
            region = targets[members[0]].regions.items[layer]
            place = targets[members[0]].regions.slices[layer]
            own = torch.stack([noises[number][place] for number in members])
            wanted = torch.stack(
                [pooled(targets[number].data[place], region, config.grid).flatten() for number in members]
            )
            cells = torch.stack([pooled(each, region, config.grid).flatten() for each in own])
            conditions = torch.stack([targets[number].condition.float() for number in members])
            order = assigned(
                wanted, cells, conditions if config.kind == "c2ot" else None, condition_weight=config.condition_weight
            )
            for number, source in zip(members, order.tolist(), strict=True):
                noises[number][place] = own[source]


def _cell_areas(region: Region, shape: torch.Size) -> Tensor:
    """``[rows, columns]``: how many latent pixels each cell of `pooled` is the mean of."""
    heights, widths = (_window_sizes(side, cells) for side, cells in zip(_latent_size(region), shape[1:], strict=True))
    return heights[:, None] * widths[None]


def _latent_size(region: Region) -> tuple[int, int]:
    return 2 * region.rows, 2 * region.columns


def _window_sizes(side: int, cells: int) -> Tensor:
    places = torch.arange(cells)
    return (-(-(places + 1) * side // cells) - places * side // cells).float()
