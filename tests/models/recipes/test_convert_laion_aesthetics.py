"""LAION's predictors: the numbers of a real torch file, without loading its pickle."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from filters.aesthetics import read_head
from layered.errors import UserError
from models.recipes.convert_laion_aesthetics import joined, main, read_layers


def published(path: Path, *sizes: int) -> nn.Sequential:
    """A file as LAION's are: linear layers with dropout between them, saved as a state dict."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width, out in itertools.pairwise(sizes):
        layers += [nn.Linear(width, out), nn.Dropout(0.2)]
    network = nn.Sequential(*layers).eval()
    torch.save({f"layers.{name}": value for name, value in network.state_dict().items()}, path)
    return network


@pytest.mark.parametrize("sizes", [(768, 1024, 128, 64, 16, 1), (768, 1)])
def test_a_converted_head_rates_as_the_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    network = published(tmp_path / "linearMSE.pth", *sizes)
    monkeypatch.setattr(
        sys, "argv", ["convert", str(tmp_path / "linearMSE.pth"), "-o", str(tmp_path / "head.safetensors")]
    )
    main()
    head = read_head(tmp_path / "head.safetensors")
    assert head.clip == "ViT-L-14"
    embeddings = nn.functional.normalize(torch.randn(8, 768), dim=1)
    with torch.inference_mode():
        expected = network(embeddings)[:, 0].numpy()
    assert [head.rate(each.numpy()) for each in embeddings] == pytest.approx(expected.tolist(), abs=1e-4)


def test_joining_needs_no_numbers_between() -> None:
    weight, bias = joined([(np.eye(3) * 2, np.ones(3)), (np.array([[1.0, 2.0, 3.0]]), np.array([4.0]))])
    assert weight.tolist() == [2, 4, 6]
    assert bias == 10


def test_what_is_no_linear_predictor_is_refused(tmp_path: Path) -> None:
    published(tmp_path / "ava+logos-l14-reluMSE.pth", 8, 1)
    published(tmp_path / "two.pth", 8, 2)
    torch.save({"weight": torch.zeros(8)}, tmp_path / "half.pth")
    torch.save(
        {
            "a.weight": torch.zeros(6, 8),
            "a.bias": torch.zeros(6),
            "b.weight": torch.zeros(1, 5),
            "b.bias": torch.zeros(1),
        },
        tmp_path / "torn.pth",
    )
    torch.save(
        {"weight": torch.zeros(1, 3, dtype=torch.half), "bias": torch.zeros(1, dtype=torch.half)},
        tmp_path / "short.pth",
    )
    (tmp_path / "letter.pth").write_text("dear reader")
    for name, message in {
        "ava+logos-l14-reluMSE": "with ReLUs",
        "two": "ends in 2 numbers",
        "half": "holds 1 tensors",
        "torn": "no chain of linear layers",
        "short": "does not hold 32-bit numbers",
        "letter": "is no torch file",
        "none": "is no torch file",
    }.items():
        with pytest.raises(UserError, match=message):
            read_layers(tmp_path / f"{name}.pth")
