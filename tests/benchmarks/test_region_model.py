"""FLOPs are counted right."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from art_model.packing import pack
from art_model.regions import regions_of
from art_model.transformer import RegionTransformer
from benchmarks.region_model import CONFIG, forward_flops, noise_sample


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
