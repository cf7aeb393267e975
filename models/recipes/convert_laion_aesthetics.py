"""One of LAION's published aesthetic predictors as a head for `filters.aesthetic`.

    python -m models.recipes.convert_laion_aesthetics sac+logos+ava1-l14-linearMSE.pth -o laion.safetensors

For OpenAI's ViT-L-14 there are the predictor of github.com/LAION-AI/aesthetic-predictor (one linear layer) and those of
github.com/christophschuhmann/improved-aesthetic-predictor named …linearMSE (five linear layers without anything between
them in inference, which together are one). Those named …reluMSE are not linear and cannot be converted.

A torch file is a zip archive: a pickle with the names, and each tensor's numbers as a plain file beside it, numbered in
order. Pickles can run code when they are loaded, so none is: the numbers alone say what the layers are, a weight and a
bias in turn, each weight as wide as the bias before it is long.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from filters.aesthetics import AestheticHead, write_head
from layered.errors import UserError

Floats = NDArray[np.float64]


def read_layers(path: Path) -> list[tuple[Floats, Floats]]:
    """The weight ``[out, in]`` and bias ``[out]`` of each linear layer of a torch file that holds nothing else.

    Raises:
        UserError: when the file is none, or holds something else.
    """
    if "relu" in path.name.lower():
        raise UserError(f"{path} is a network with ReLUs, as its name says: only linear predictors can be converted")
    numbers = _stored_numbers(path)
    if len(numbers) % 2 or not numbers:
        raise UserError(f"{path} holds {len(numbers)} tensors: a weight and a bias for each layer are wanted")
    layers = []
    width = None
    for weight, bias in zip(numbers[::2], numbers[1::2], strict=True):
        if bias.size == 0 or weight.size % bias.size or (width is not None and weight.size != bias.size * width):
            raise UserError(
                f"{path} is no chain of linear layers: a weight of {weight.size} beside a bias of {bias.size}"
            )
        layers.append((weight.reshape(bias.size, -1), bias))
        width = bias.size
    if width != 1:
        raise UserError(f"{path} ends in {width} numbers: an aesthetic predictor ends in one")
    return layers


def joined(layers: list[tuple[Floats, Floats]]) -> tuple[Floats, float]:
    """All layers as one: weight ``[in]`` and bias."""
    weight, bias = layers[0]
    for next_weight, next_bias in layers[1:]:
        weight, bias = next_weight @ weight, next_weight @ bias + next_bias
    return weight[0], float(bias[0])


def _stored_numbers(path: Path) -> list[Floats]:
    """The float32 numbers of each tensor, in the file's order."""
    try:
        with zipfile.ZipFile(path) as archive:
            places = {
                int(match[1]): name for name in archive.namelist() if (match := re.search(r"(?:^|/)data/(\d+)$", name))
            }
            contents = [archive.read(places[number]) for number in sorted(places)]
            orders = [archive.read(name) for name in archive.namelist() if name.endswith("/byteorder")]
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no torch file since version 1.6 ({error}): give the predictor's .pth") from error
    if any(order.strip() != b"little" for order in orders) or any(len(data) % 4 for data in contents):
        raise UserError(f"{path} does not hold 32-bit numbers in little-endian order: give the predictor as published")
    return [np.frombuffer(data, "<f4").astype(np.float64) for data in contents]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the published .pth")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--clip", default="ViT-L-14", help="the CLIP it belongs to, as filters.clip.model names it")
    arguments = parser.parse_args()
    weight, bias = joined(read_layers(arguments.source))
    head = AestheticHead(weight.astype(np.float32), bias, arguments.clip, f"converted from {arguments.source.name}")
    write_head(arguments.output, head)
    print(f"{arguments.output}: {weight.size} numbers for {arguments.clip}")


if __name__ == "__main__":
    main()
