"""The curve in the card is the one that was measured; several checkpoints become one."""

from pathlib import Path

import torch
from PIL import Image
from torch import nn

from models.recipes.export_art import curve_table, draw_curve, mean_of
from models.recipes.train_art import HELD_OUT_TIMES

POINTS = [
    {"step": 250 * n, "held_out": [[1.0 / n, 0.5 / n, (1 + place) / n] for place in range(len(HELD_OUT_TIMES))]}
    for n in range(1, 21)
]


def test_the_table_has_means_over_the_times_from_the_first_point_to_the_last() -> None:
    lines = curve_table(POINTS, rows=4).splitlines()[2:]
    assert len(lines) == 4
    assert lines[0] == "| 250 | 1.0000 | 0.5000 | 3.0000 |"
    assert lines[-1] == "| 5000 | 0.0500 | 0.0250 | 0.1500 |"


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    draw_curve(POINTS, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.width > 3 * image.height / 2
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20


def test_the_mean_of_models_has_the_mean_of_each_weight() -> None:
    models = [nn.Linear(3, 2) for _ in range(3)]
    weights = torch.stack([model.weight.detach().clone() for model in models])
    mean = mean_of(models)
    assert torch.equal(mean.weight, weights.mean(0))
    assert torch.equal(models[2].weight, weights[2])
