"""Pictures become vectors by CLIP, Inception or a model of timm, each from files on this machine alone."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from evaluation.features import FeaturesConfig, extractor_of, unit_vectors
from filters.clip import ClipConfig
from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.full((20, 30, 3), 10, np.uint8), rng.integers(0, 256, (40, 20, 3), np.uint8)]


def test_clips_vectors_have_the_root_of_their_dimensions_as_length() -> None:
    found = extractor_of(FeaturesConfig(), ClipConfig())(pictures())
    assert found.shape == (2, 192)
    np.testing.assert_allclose((found**2).mean(1), 1, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(unit_vectors(found), axis=1), 1)
    assert abs(unit_vectors(found)[0] @ unit_vectors(found)[1]) < 0.99


def test_a_model_of_timm_is_loaded_from_its_file(tmp_path: Path) -> None:
    ensure_torchvision()
    import timm
    import torch

    torch.manual_seed(0)
    network = timm.create_model("test_vit", pretrained=False).eval()
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    config = FeaturesConfig(extractor="timm", model="test_vit", weights=str(tmp_path / "vit.safetensors"))
    found = extractor_of(config, ClipConfig())(pictures())
    plain = torch.full((1, 3, 160, 160), 10 / 255)
    mean, deviation = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    with torch.inference_mode():
        expected = network.forward_head(
            network.forward_features((plain - mean[:, None, None]) / deviation[:, None, None]), pre_logits=True
        )
    np.testing.assert_allclose(found[0], expected[0].numpy(), rtol=1e-3, atol=1e-4)
    assert config.title == "test_vit"


@pytest.mark.slow
def test_inception_gives_its_pooled_features(tmp_path: Path) -> None:
    ensure_torchvision()
    from torchvision.models import inception_v3

    save_file(inception_v3(weights=None, init_weights=False).state_dict(), tmp_path / "inception.safetensors")
    config = FeaturesConfig(extractor="inception", weights=str(tmp_path / "inception.safetensors"))
    assert extractor_of(config, ClipConfig())(pictures()).shape == (2, 2048)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (FeaturesConfig(extractor="inception"), "the safetensors file of inception_v3 is wanted"),
        (FeaturesConfig(extractor="timm", weights="nowhere.safetensors"), "nowhere.safetensors: the safetensors file"),
        (FeaturesConfig(extractor="timm", model="dyno"), "timm knows no model 'dyno'"),
    ],
)
def test_what_is_missing_is_named(config: FeaturesConfig, says: str) -> None:
    with pytest.raises(UserError, match=says):
        extractor_of(config, ClipConfig())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import torch

    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    config = FeaturesConfig(extractor="timm", model="test_vit", weights=str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match=r"are no weights of test_vit: .* missing"):
        extractor_of(config, ClipConfig())
