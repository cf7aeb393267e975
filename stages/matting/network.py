"""The matting network: a small U-Net that knows the colour of the flat background.

A picture I on a flat background B shows ``I = α F + (1 − α) B``. The network sees I − B, which is zero where there is
nothing, and the least alpha that explains I with colours in 0…1; it answers with α and with F − I.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

WIDTHS = (24, 32, 48, 64, 64, 64)
"""Channels at 1/2, 1/4 … 1/64 of the picture's size: 0.40M parameters."""

_FEATURES = 7  # I − B, the same with small differences amplified, and the least alpha
_FAINT = 20.0  # how much smaller differences are amplified
_REACH = 1.02  # alpha comes out of a sigmoid; a little beyond 0…1, so that 0 and 1 are reached


class MattingNetwork(nn.Module):
    """A U-Net over half-size pixels (space to depth), without normalisation: what it says of a place does not depend on
    the size of the picture around it.

    Args:
        widths: channels at each level, each half as large as the one before.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * _FEATURES, widths[0], 3, padding=1)
        self.background = nn.Linear(3, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.encoder = nn.ModuleList(_Residual(width) for width in widths)
        self.bottom = _Residual(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(_Residual(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4 * 4, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)

    @property
    def multiple(self) -> int:
        """Height and width of a picture must be multiples of this."""
        return 1 << len(self.encoder)

    def forward(self, pictures: Tensor, backgrounds: Tensor) -> Tensor:
        """Colours and alpha.

        Args:
            pictures: RGB in 0…1, ``[n, 3, h, w]``, h and w multiples of `multiple`.
            backgrounds: the flat colour, RGB in 0…1, ``[n, 3]``.

        Returns:
            Straight RGBA ``[n, 4, h, w]``; values may lie a little outside 0…1.
        """
        difference = F.pixel_unshuffle(pictures - backgrounds[:, :, None, None], 2)
        by_color = difference.view(-1, 3, 4, *difference.shape[2:])
        least = least_alpha(by_color, backgrounds[:, :, None, None, None])
        features = torch.cat([difference, torch.tanh(_FAINT * difference), least], dim=1)
        x = self.stem(features) + self.background(backgrounds - 0.5)[:, :, None, None]
        skips = []
        for level, encoder in enumerate(self.encoder):
            x = encoder(x)
            if level < len(self.down):
                skips.append(x)
                x = self.down[level](x)
        x = self.bottom(x)
        for up, decoder, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            x = decoder(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skip)
        found = F.pixel_shuffle(self.head(x), 2)
        alpha = _REACH * torch.sigmoid(4 * found[:, 3:]) - (_REACH - 1) / 2
        return torch.cat([pictures + found[:, :3], alpha], dim=1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.mixing = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.mixing(F.relu(self.spatial(x)))
        return mixed


def least_alpha(difference: Tensor, background: Tensor) -> Tensor:
    """The smallest alpha with which a colour in 0…1 over the background gives the picture, ``[n, …]``.

    Args:
        difference: the picture minus the background, ``[n, 3, …]``.
        background: ``[n, 3, 1 …]``.
    """
    lighter, darker = 1 / (1 - background).clamp_min(1 / 255), -1 / background.clamp_min(1 / 255)
    return torch.maximum(difference * lighter, difference * darker).amax(dim=1).clamp_max(1)
