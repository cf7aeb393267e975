"""Our network as a back end: better than the closed form, at every size, and clear about bad files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage

from layered.arrays import Color
from layered.compositing import over_color
from layered.errors import UserError
from layered.pixels import resize
from layered.placing import alpha_box
from models import TINY
from stages.matting import MattingConfig, matter_of
from stages.matting.layerprism import load_network, matte_any_size
from stages.matting.network import MattingNetwork
from stages.multi_layer_flux import ComposeConfig
from tests.stages.matting.composites import GRAY, alpha_error, on_background, real_layers, shape

NETWORK = matter_of(MattingConfig(backend="layerprism", min_side=1))
KEYER = matter_of(MattingConfig(min_side=1))


@pytest.mark.parametrize(
    ("pattern", "bound"), [("semi_transparent/*/fg.png", 0.025), ("opaque_scenes/*/layer_?.png", 0.0025)]
)
def test_photo_like_layers_never_trained_on_come_out_better_than_by_the_keyer(
    shared_dir: Path, pattern: str, bound: float
) -> None:
    layers = real_layers(shared_dir, pattern)
    pictures = [on_background(true, GRAY, seed=n) for n, true in enumerate(layers)]
    ours, keyers = (
        np.mean([alpha_error(each.matte(picture)[0], true) for picture, true in zip(pictures, layers, strict=True)])
        for each in (NETWORK, KEYER)
    )
    assert ours < bound
    assert ours < keyers


@pytest.mark.parametrize("background", [GRAY, (255, 255, 255), (0, 0, 0), (0, 177, 64)])
@pytest.mark.parametrize("kind", ["disc", "ring", "touching"])
def test_shapes_are_recovered_over_any_flat_colour(kind: str, background: Color) -> None:
    true = shape(kind, (200, 60, 150), 192)
    found, estimated = NETWORK.matte(on_background(true, background))
    assert np.abs(np.subtract(estimated, background)).max() <= 1
    assert alpha_error(found, true) < 0.006
    solid = true[..., 3] == 255
    assert np.abs(found[solid][:, :3].astype(int) - (200, 60, 150)).mean() < 4


def test_a_gray_part_inside_an_object_is_no_hole_and_a_hole_is_one() -> None:
    body = shape("disc", (200, 60, 150))
    body[54:74, 54:74, :3] = (146, 144, 148)
    assert NETWORK.matte(on_background(body, GRAY))[0][56:72, 56:72, 3].mean() > 240
    ring = shape("ring", (200, 60, 150))
    assert NETWORK.matte(on_background(ring, GRAY))[0][56:72, 56:72, 3].mean() < 3


def test_nothing_drawn_is_nothing_left() -> None:
    empty = np.zeros((64, 64, 4), np.uint8)
    found, _ = matter_of(MattingConfig(backend="layerprism")).matte(on_background(empty, GRAY, noise=2))
    assert alpha_box(found, ComposeConfig().trim_threshold) is None


def test_what_is_composited_again_is_the_picture() -> None:
    picture = on_background(shape("ring", (240, 200, 40)), GRAY)
    found, background = NETWORK.matte(picture)
    assert np.abs(over_color(found, background).astype(int) - picture).mean() < 3


def test_hidden_colours_are_cleared() -> None:
    found, _ = NETWORK.matte(on_background(shape("disc", (255, 0, 0)), GRAY))
    assert not found[found[..., 3] == 0].any()


def test_small_drawings_are_enlarged_and_get_smooth_edges() -> None:
    small = on_background(shape("disc", (220, 40, 40), 64), GRAY)
    found, _ = matter_of(MattingConfig(backend="layerprism", min_side=256)).matte(small)
    assert found.shape == (256, 256, 4)
    assert alpha_error(found, shape("disc", (220, 40, 40), 256)) < 0.01


@pytest.mark.parametrize("size", [(100, 150), (65, 64), (513, 40)])
def test_any_size_goes_through_and_comes_back_as_large(size: tuple[int, int]) -> None:
    picture = on_background(resize(shape("disc", (200, 60, 150)), (size[1], size[0])), GRAY)
    assert NETWORK.matte(picture)[0].shape == (*size, 4)


def test_pictures_too_large_for_one_pass_are_matted_in_tiles_without_seams() -> None:
    true = shape("ring", (200, 60, 150), 1300)
    found, _ = NETWORK.matte(on_background(true, GRAY))
    assert found.shape == true.shape
    assert alpha_error(found, true) < 0.004
    inside = ndimage.binary_erosion(true[..., 3] == 255, iterations=8)
    assert found[..., 3][inside].min() > 245


def test_tiles_see_no_picture_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(MattingNetwork):
        def forward(self, pictures: torch.Tensor, backgrounds: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(pictures.shape[2:]))
            return torch.cat([pictures, pictures[:, :1]], dim=1)

    pictures = torch.rand(1, 3, 2300, 1100)
    found = matte_any_size(Watched((4, 4)), pictures, torch.full((1, 3), 0.5))
    assert max(height * width for height, width in seen) <= 1_100_000
    assert len(seen) > 4
    # A network that says what it sees: the tiles and the halves of a picture give the picture again.
    torch.testing.assert_close(found, torch.cat([pictures, pictures[:, :1]], dim=1), atol=1e-5, rtol=0)


def copied(folder: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((TINY / "matting" / name).read_bytes())
    return folder


def test_a_folder_of_one_s_own_is_taken(tmp_path: Path) -> None:
    picture = on_background(shape("disc", (200, 30, 30)), GRAY)
    own = matter_of(MattingConfig(backend="layerprism", model=str(copied(tmp_path)), min_side=1))
    assert np.array_equal(own.matte(picture)[0], NETWORK.matte(picture)[0])


@pytest.mark.parametrize("fault", ["missing", "no safetensors", "other keys", "other shapes", "other widths"])
def test_a_wrong_checkpoint_is_refused_in_one_line(tmp_path: Path, fault: str) -> None:
    folder = copied(tmp_path)
    weights = folder / "model.safetensors"
    state = load_file(weights)
    match fault:
        case "missing":
            weights.unlink()
        case "no safetensors":
            weights.write_bytes(b"weights")
        case "other keys":
            save_file({f"model.{name}": value for name, value in state.items()}, weights)
        case "other shapes":
            save_file(state | {"stem.weight": state["stem.weight"][:4].contiguous()}, weights)
        case "other widths":
            facts = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(facts | {"widths": [8, 8]}))
    with pytest.raises(UserError, match=r"model\.safetensors") as caught:
        matter_of(MattingConfig(backend="layerprism", model=str(folder))).setup()
    assert "\n" not in str(caught.value)


def test_the_shipped_weights_load_in_full_precision() -> None:
    network = load_network(TINY / "matting")
    assert {each.dtype for each in network.parameters()} == {torch.float32}
    assert not network.training
