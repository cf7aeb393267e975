"""A model goes to disk and comes back; what is missing or broken is said in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from art_model.checkpoint import Art, load_art, load_transformer, read_settings, save_art, save_transformer
from art_model.transformer import RegionTransformer
from layered import UserError
from layered.torchvision_cure import ensure_torchvision
from models import TINY
from tests.art_model.random_art import random_art


def test_a_model_comes_back_as_it_was_saved(art: Art, tmp_path: Path) -> None:
    save_art(tmp_path, art)
    again = load_art(tmp_path)
    assert again.settings == art.settings
    for name in ("transformer", "decoder"):
        before, after = getattr(art, name).state_dict(), getattr(again, name).state_dict()
        assert before.keys() == after.keys()
        for key in before:
            torch.testing.assert_close(after[key], before[key], rtol=0, atol=0)
    assert not (tmp_path / "vae").exists()


@torch.inference_mode()
def test_a_model_can_be_saved_with_all_its_parts(art: Art, tmp_path: Path) -> None:
    art.settings = art.settings.model_copy(update={"parts": {}})
    save_art(tmp_path / "whole", art)
    again = load_art(tmp_path / "whole")
    (before,), (after,) = art.text(["a red apple"]), again.text(["a red apple"])
    torch.testing.assert_close(after.text, before.text)
    torch.testing.assert_close(after.pooled, before.pooled)
    stored = load_file(tmp_path / "whole" / "text_encoder_2" / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float16}
    assert "encoder.embed_tokens.weight" not in stored, "the embedding is tied to the shared one"
    assert next(art.text.text_encoder_2.parameters()).dtype == torch.float32
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(again.vae.encode(picture).latent_dist.mean, art.vae.encode(picture).latent_dist.mean)


def test_a_flux_checkpoint_is_loaded_and_saved_unchanged(tmp_path: Path) -> None:
    transformer = load_transformer(TINY / "transformer")
    save_transformer(tmp_path, transformer)
    stored = load_file(TINY / "transformer" / "diffusion_pytorch_model.safetensors")
    again = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    assert stored.keys() == again.keys()
    for name, weight in stored.items():
        assert weight.dtype == again[name].dtype
        assert torch.equal(weight, again[name]), name
    ensure_torchvision()
    from diffusers import FluxTransformer2DModel

    theirs = FluxTransformer2DModel.from_pretrained(tmp_path, local_files_only=True)
    assert theirs.config.num_single_layers == transformer.config.num_single_layers


def test_a_checkpoint_in_several_files_is_put_together(tmp_path: Path) -> None:
    ensure_torchvision()
    from diffusers import FluxTransformer2DModel

    theirs = FluxTransformer2DModel.from_pretrained(TINY / "transformer", local_files_only=True)
    theirs.save_pretrained(tmp_path, max_shard_size="4MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ours = load_transformer(tmp_path)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name


@pytest.fixture
def copy(art_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may break."""
    return Path(shutil.copytree(art_folder / "art", tmp_path / "copy"))


def change(folder: Path, **fields: object) -> None:
    path = folder / "art.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        read_settings(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"lacks art\.json: give the folder of an ART model"):
        load_art(tmp_path)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"schema": 2}, "schema"),
        ({"step": 3}, "step: Extra inputs"),
        ({"steps": 0}, "steps"),
        ({"shift": {"by": "layers"}}, "shift"),
        ({"guidance": 4.0}, "if and only if the transformer embeds it"),
        ({"parts": {"vae": "../nothing"}}, "does not exist: see `parts`"),
    ],
)
def test_wrong_settings_are_named(copy: Path, fields: dict[str, object], says: str) -> None:
    change(copy, **fields)
    with pytest.raises(UserError, match=says):
        load_art(copy)


def test_missing_and_broken_weights_are_named(copy: Path) -> None:
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="transformer is no transformer that can be loaded"):
        load_art(copy)
    weights.unlink()
    with pytest.raises(UserError, match=r"is no transformer: a file is missing"):
        load_art(copy)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    random_art(tmp_path, layer_embedding_rows=4)
    config = tmp_path / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_layers": 1', '"num_layers": 2'))
    with pytest.raises(UserError, match="no transformer that can be loaded"):
        load_transformer(tmp_path / "transformer")


def test_devices_are_checked(art_folder: Path) -> None:
    with pytest.raises(UserError, match="there is no device 'tpu9'"):
        load_art(art_folder, device="tpu9")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            load_art(art_folder, device="cuda")


def test_parameters_can_be_trained_again(art: Art) -> None:
    assert not any(parameter.requires_grad for parameter in art.transformer.parameters())
    assert isinstance(art.transformer, RegionTransformer)
    assert art.token == 16
    assert art.latent_channels == 16
