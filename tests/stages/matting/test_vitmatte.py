"""ViTMatte as a back end, with a tiny model of random weights that is saved as transformers saves one."""

from pathlib import Path

import numpy as np
import pytest

from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision
from stages.matting import MattingConfig, matter_of
from stages.matting.vitmatte import trimap_of
from tests.stages.matting.composites import GRAY, alpha_error, on_background, shape


@pytest.fixture(scope="module")
def tiny_vitmatte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ensure_torchvision()
    import torch
    from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

    torch.manual_seed(0)
    backbone = VitDetConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        pretrain_image_size=64,
        patch_size=16,
        num_channels=4,
        out_features=["stage2"],
    )
    config = VitMatteConfig(
        backbone_config=backbone,
        hidden_size=16,
        convstream_hidden_sizes=[8, 8, 8],
        fusion_hidden_sizes=[8, 8, 8, 8],
    )
    folder = tmp_path_factory.mktemp("vitmatte")
    VitMatteForImageMatting(config).save_pretrained(folder)
    return folder


def test_the_model_decides_where_the_keyer_is_unsure_and_nowhere_else(tiny_vitmatte: Path) -> None:
    true = shape("disc", (200, 60, 150), 100)
    matter = matter_of(MattingConfig(backend="vitmatte", model=str(tiny_vitmatte), min_side=1))
    picture = on_background(true, GRAY)
    found, background = matter.matte(picture)
    assert found.shape == true.shape
    assert np.abs(np.subtract(background, GRAY)).max() <= 1
    # Random weights spoil the edge alone.
    assert (found[45:55, 45:55, 3] == 255).all()
    assert (found[:5, :5] == 0).all()
    edge = (true[..., 3] > 0) & (true[..., 3] < 255)
    keyed, _ = matter_of(MattingConfig(min_side=1)).matte(picture)
    assert not np.array_equal(found[edge], keyed[edge])
    assert alpha_error(found, true) < 0.1


def test_a_trimap_has_a_band_around_edges_and_keeps_solid_and_empty_apart() -> None:
    alpha = shape("ring", (0, 0, 0), 128)[..., 3]
    trimap = trimap_of(alpha)
    assert set(np.unique(trimap)) == {0, 0.5, 1}
    assert (alpha[trimap == 1] == 255).all()
    assert (alpha[trimap == 0] <= 5).all()
    assert (trimap[(alpha > 5) & (alpha < 250)] == 0.5).all()


def test_a_folder_without_a_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"matting\.model: cannot load") as caught:
        matter_of(MattingConfig(backend="vitmatte", model=str(tmp_path))).setup()
    assert "\n" not in str(caught.value)
