"""The artifact classifier's network: a small convolutional net on the picture, smaller ones on its lines and the frame.

picture [n, 4, 128, 128] ─ over gray, alpha, likeness to the background ─ convolutions ─┐
        └ differences across every row and column [n, 7, 122] ─ convolutions along these ─┤
frame   [n, 3, 64, 64]   ─ difference to the background ─ convolutions ──────────────────┴─ pooled ─ one logit a name

Convolutions see a spot at a time; that a join runs straight through the whole picture shows in sums along it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ANY = "any"
"""The logit beside those of the kinds: is there any defect at all?"""

_NEAR = 64 / 255  # distance to the background at which likeness to it ends
_SEEN = 0.04  # alpha below which a pixel has no colour
_APART = 2  # pixels between which differences are taken: a join is that wide where a larger picture was reduced
_STEP = 0.12  # difference of premultiplied values that counts in full
_PROFILES = 7


@dataclass(frozen=True)
class NetworkShape:
    """Channels at each resolution of the picture's part and of the frame's part, of the hidden layer and of lines; and
    how many blocks look further around at the picture's middle and at its coarse resolution."""

    picture: tuple[int, int, int] = (48, 72, 96)
    frame: tuple[int, int, int] = (16, 24, 32)
    hidden: int = 48
    lines: int = 24
    blocks: tuple[int, int] = (1, 2)


class ArtifactNetwork(nn.Module):
    """Logits ``[n, len(kinds) + 1]`` of the presence of each kind of defect, and last of any.

    Inputs: premultiplied pictures ``[n, 4, 128, 128]``, frames ``[n, 3, 64, 64]`` and backgrounds ``[n, 3]`` in 0…1,
    and whether frame and background are known, ``[n]`` in {0, 1}.
    """

    def __init__(self, kinds: Sequence[str], shape: NetworkShape | None = None) -> None:
        super().__init__()
        self.kinds = tuple(kinds)
        self.shape = shape or NetworkShape()
        fine, middle, coarse = self.shape.picture
        # Pixels as channels: what is as fine as they are is seen, at the cost of half their resolution.
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(2), *_convolution(20, fine, 2), *_convolution(fine, fine)
        )  # 32 × 32
        around = [
            [_Surroundings(channels) for _ in range(count)]
            for channels, count in zip((middle, coarse), self.shape.blocks, strict=True)
        ]
        self.middle = nn.Sequential(
            *_convolution(fine, middle, 2), *_convolution(middle, middle), *around[0]
        )  # 16 × 16
        self.coarse = nn.Sequential(*_convolution(middle, coarse, 2), *around[1])  # 8 × 8
        low, mid, high = self.shape.frame
        self.frame = nn.Sequential(
            nn.PixelUnshuffle(2), *_convolution(20, low), *_convolution(low, mid, 2), *_convolution(mid, high, 2)
        )  # 8 × 8
        lines = self.shape.lines
        self.lines = nn.Sequential(
            nn.BatchNorm1d(_PROFILES),
            nn.Conv1d(_PROFILES, lines, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv1d(lines, lines, 5, padding=2),
            nn.ReLU(inplace=True),
        )
        pooled = fine + middle + 2 * coarse + 2 * high + 2 * lines
        self.head = nn.Sequential(
            nn.Linear(pooled, self.shape.hidden), nn.ReLU(), nn.Linear(self.shape.hidden, len(self.kinds) + 1)
        )

    def forward(self, pictures: Tensor, frames: Tensor, backgrounds: Tensor, known: Tensor) -> Tensor:
        fine = self.fine(picture_planes(pictures, backgrounds, known))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        frame = self.frame(frame_planes(frames, backgrounds, known))
        # Rows and columns are looked at alike.
        profiles = torch.cat([line_profiles(pictures), line_profiles(pictures.transpose(2, 3))])
        rows, columns = self.lines(profiles).amax(dim=2).chunk(2)
        features = [_mean(fine), _mean(middle), _mean(coarse), _largest(coarse), _mean(frame), _largest(frame),
                    torch.maximum(rows, columns), rows + columns]  # fmt: skip
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits


class _Surroundings(nn.Module):
    """Adds to every place what lies up to two places around it, channel by channel, and then mixes channels; nothing
    at first (Liu et al., "A ConvNet for the 2020s", arXiv 2201.03545; the zero is Goyal et al.'s, arXiv 1706.02677)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wider = 3 * channels // 2
        last = nn.BatchNorm2d(channels)
        nn.init.zeros_(last.weight)
        self.change = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, wider, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(wider, channels, 1, bias=False),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.change(features)
        return changed


def picture_planes(pictures: Tensor, backgrounds: Tensor, known: Tensor) -> Tensor:
    """``[n, 5, h, w]``: RGB over mid-gray, alpha, and how like the background each visible pixel's own colour is."""
    rgb, alpha = pictures[:, :3], pictures[:, 3:]
    distance = (rgb - alpha * backgrounds[:, :, None, None]).abs().amax(dim=1, keepdim=True) / alpha.clamp_min(_SEEN)
    likeness = (1 - distance / _NEAR).clamp(0, 1) * (alpha > _SEEN) * known[:, None, None, None]
    return torch.cat([2 * rgb - alpha, 2 * alpha - 1, likeness], dim=1)


def line_profiles(pictures: Tensor) -> Tensor:
    """``[n, 7, h - 6]``: what changes across each row of premultiplied pictures ``[n, 4, h, w]``, summed along it.

    The visible length; the differences across it, the part of them that is not there on both sides of it, and how much
    of the visible length has each of both; the change of brightness that all of the row has in common, and that of
    alpha.
    """
    difference = pictures[:, :, _APART:] - pictures[:, :, :-_APART]
    greatest = difference.abs().amax(dim=1)
    here = greatest[:, _APART:-_APART]
    beside = torch.maximum(greatest[:, : -2 * _APART], greatest[:, 2 * _APART :])
    alone = (here - beside).clamp_min(0)
    margin = _APART + _APART // 2
    covered = pictures[:, 3].mean(dim=2)[:, margin:-margin]
    visible = covered.clamp_min(0.05)
    shift = difference[:, :, _APART:-_APART].mean(dim=3)
    return torch.stack(
        [
            covered,
            here.mean(dim=2) / visible,
            alone.mean(dim=2) / visible,
            (here / _STEP).clamp_max(1).mean(dim=2) / visible,
            (alone / _STEP).clamp_max(1).mean(dim=2) / visible,
            shift[:, :3].mean(dim=1).abs() / visible,
            shift[:, 3].abs() / visible,
        ],
        dim=1,
    )


def frame_planes(frames: Tensor, backgrounds: Tensor, known: Tensor) -> Tensor:
    """``[n, 5, h, w]``: difference to the background, its largest channel's amount, and whether it is known."""
    flags = known[:, None, None, None].expand(-1, 1, *frames.shape[-2:])
    difference = (frames - backgrounds[:, :, None, None]) * flags
    return torch.cat([2 * difference, difference.abs().amax(dim=1, keepdim=True) * 2, flags], dim=1)


def _convolution(channels: int, wider: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, wider, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(wider),
        nn.ReLU(inplace=True),
    )


def _mean(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3))


def _largest(features: Tensor) -> Tensor:
    return features.amax(dim=(2, 3))
