"""The encoders alone, and the facts by which their results are told apart."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from art_model.checkpoint import load_art
from art_model.encoders import encoder_facts, load_encoders
from layered import UserError
from models import TINY


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's encoders elsewhere; a test puts back what it changes."""
    folder = tmp_path_factory.mktemp("encoders")
    for part in ("vae", "text_encoder", "tokenizer", "art/text_encoder_2", "art/tokenizer_2"):
        shutil.copytree(TINY / part, folder / part)
    shutil.copy(TINY / "art" / "art.json", folder / "art" / "art.json")
    return folder


def test_facts_depend_on_files_and_not_on_where_they_lie(copy: Path) -> None:
    facts = encoder_facts(TINY)
    assert (facts.token, facts.channels, facts.joint, facts.pooled) == (16, 64, 128, 128)
    assert (facts.text_length, facts.pad_text) == (128, False)
    assert facts == encoder_facts(TINY / "art") == encoder_facts(copy)
    (copy / "vae" / "README.md").write_text("a card")
    assert encoder_facts(copy) == facts


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("vae/config.json", "vae"),
        ("text_encoder/config.json", "text"),
        ("tokenizer/tokenizer.json", "text"),
        ("art/text_encoder_2/model.safetensors", "text"),
    ],
)
def test_facts_change_with_any_file_of_an_encoder(copy: Path, file: str, changed: str) -> None:
    facts, content = encoder_facts(copy), (copy / file).read_bytes()
    (copy / file).write_bytes(content + b" ")
    found = encoder_facts(copy)
    (copy / file).write_bytes(content)
    assert facts.model_dump(exclude={changed}) == found.model_dump(exclude={changed})
    assert getattr(facts, changed) != getattr(found, changed)


def test_settings_count_too(copy: Path) -> None:
    path = copy / "art" / "art.json"
    content = path.read_bytes()
    path.write_text(json.dumps(json.loads(content) | {"text_length": 40}))
    found = encoder_facts(copy)
    path.write_bytes(content)
    assert found.text_length == 40


def test_a_missing_or_foreign_part_is_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks art\.json"):
        encoder_facts(tmp_path)
    moved = (copy / "tokenizer").rename(copy / "elsewhere")
    with pytest.raises(UserError, match=r"tokenizer does not exist: see `parts` in art\.json"):
        encoder_facts(copy)
    moved.rename(copy / "tokenizer")
    config = (copy / "vae" / "config.json").read_bytes()
    (copy / "vae" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="of an encoder lacks 'block_out_channels': it is not FLUX's"):
        encoder_facts(copy)
    (copy / "vae" / "config.json").write_bytes(config)


@torch.inference_mode()
def test_they_are_those_of_the_whole_model() -> None:
    art, encoders = load_art(TINY, device="cpu"), load_encoders(TINY, device="cpu")
    assert encoders.token == art.token
    expected = art.text(["a red circle on a beach"])[0]
    embedded = encoders.embed("a red circle on a beach")
    assert torch.equal(embedded.text, expected.text.half())
    assert torch.equal(embedded.pooled, expected.pooled.half())
    assert not any(
        parameter.requires_grad for parameter in (*encoders.prompts.parameters(), *encoders.vae.parameters())
    )
    with pytest.raises(UserError, match="tokens, but the model reads 128"):
        encoders.embed("a red circle " * 60)
