"""What the benchmarks of region crop count and draw is what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from art_model.attention import Spans
from art_model.packing import pack
from art_model.regions import regions_of
from art_model.transformer import RegionTransformer
from benchmarks.memory import peak_bytes_of
from benchmarks.region_attention import Case, Result, SpatialTemporal, gains
from benchmarks.region_layouts import MEAN_AREA, drawn_boxes, drawn_layer_count
from benchmarks.region_model import CONFIG, forward_flops, noise_sample
from layered import Box


def counted(canvas: int) -> tuple[float, float]:
    """FLOPs by torch and by our formula."""
    transformer = RegionTransformer(**CONFIG)
    transformer.attention_backend = "blocked"  # its products are counted one by one
    positions = regions_of((canvas, canvas), []).positions()
    batch = pack([noise_sample(positions, canvas // 16, transformer.config, torch.float32)])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        transformer(batch)
    return counter.get_total_flops(), forward_flops(transformer.config, len(positions), canvas // 16)


def test_flops_are_those_that_torch_counts() -> None:
    small, large = counted(64), counted(160)
    assert large[0] - small[0] == large[1] - small[1]  # modulation, left out, costs the same in both


@pytest.mark.parametrize("count", [1, 2, 8, 50])
def test_boxes_have_the_stated_mean_area_and_lie_inside(count: int) -> None:
    canvas = (1024, 768)
    boxes = drawn_boxes(count, canvas, seed=count)
    assert len(boxes) == count
    assert all(Box.canvas(canvas).contains(box) for box in boxes)
    assert sum(box.area for box in boxes) / count / (1024 * 768) == pytest.approx(MEAN_AREA, rel=0.03)


def test_layer_counts_have_the_stated_histogram() -> None:
    generator = np.random.default_rng(0)
    counts = np.array([drawn_layer_count(generator) for _ in range(4000)])
    assert ((counts >= 6) & (counts < 9)).mean() == pytest.approx(0.335, abs=0.03)
    assert (counts >= 20).mean() == pytest.approx(0.021, abs=0.01)


def test_factorised_attention_is_that_inside_canvases_plus_that_across_them() -> None:
    canvases, places, text = 3, 4, 2
    joint = text + canvases * places
    query, key, value = torch.randn(3, joint, 2, 8, dtype=torch.float64)
    attended = SpatialTemporal(canvases)(query, key, value, Spans(text, joint - text, (text,), (joint - text,)))
    scores = torch.einsum("qhd,khd->hqk", query, key) / 8**0.5

    def among(allowed: torch.Tensor) -> torch.Tensor:
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, value).flatten(1)[text:]

    index = torch.arange(joint)
    layer, place = (index - text) // places, (index - text) % places
    is_text = index < text
    inside = is_text | (layer[:, None] == layer)
    across = ~is_text & (place[:, None] == place)
    across[is_text] = True  # rows that are not compared
    torch.testing.assert_close(attended[text:], among(inside) + among(across))


def test_peak_memory_is_that_of_what_lives_at_once() -> None:
    if sys.platform != "linux":
        pytest.skip("the kernel's high-water mark is missing")
    size = 64 * 2**20

    def one_after_the_other() -> None:
        for _ in range(3):
            torch.ones(size, dtype=torch.uint8)

    peak_bytes_of(one_after_the_other)
    assert peak_bytes_of(one_after_the_other) == pytest.approx(size, rel=0.2)
    assert peak_bytes_of(lambda: [torch.ones(size, dtype=torch.uint8) for _ in range(3)]) == pytest.approx(
        3 * size, rel=0.2
    )


def test_gains_compare_both_ways_at_equal_layers() -> None:
    def result(attention: str, tokens: int, seconds: float, flops: float, peak: int) -> Result:
        case = Case(attention, 4, 64, "float32", 1, 1)  # type: ignore[arg-type]
        return Result(case, tokens, seconds, flops, peak, 1e9)

    (gain,) = gains([result("region", 100, 1, 10, 50), result("full", 400, 9, 100, 160)])
    assert (gain.speed, gain.flops, gain.share, gain.tokens) == (9, 10, 0.9, 4)
    assert (gain.memory, gain.memory_excess) == (3.2, 1.25)


@pytest.mark.slow
def test_the_measurement_at_the_shape_of_flux_runs_at_a_tiny_one(tmp_path: Path) -> None:
    written = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.art_flux_shape", "--dry-run", "--json", str(written)]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads(written.read_text())
    assert {row["kind"] for row in result["rows"]} == {"region", "packed", "one by one", "full"}
    assert all(difference < 0.05 for difference in result["bf16_against_fp32"].values())
