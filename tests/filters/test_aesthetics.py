"""Aesthetics: a head that belongs to its CLIP rates whole images."""

from pathlib import Path

import numpy as np
import pytest

from filters.aesthetics import AestheticConfig, AestheticHead, Aesthetics, read_head, write_head
from filters.clip import ClipConfig, shared_clip
from filters.clip_alignment import WHOLE_EMBEDDING, ClipAlignment
from layered.errors import UserError
from layered.scores import WHOLE_IMAGE
from tests.filters.designs import Plain, design

TINY = ClipConfig()


@pytest.fixture(scope="module")
def size() -> int:
    return shared_clip(TINY).embed_text("").size


def head_file(path: Path, size: int, clip: str = TINY.model) -> Path:
    write_head(path, AestheticHead(np.linspace(-1, 1, size).astype(np.float32), 5.0, clip, "a test"))
    return path


def test_a_head_is_what_was_written(tmp_path: Path) -> None:
    head = read_head(head_file(tmp_path / "new" / "head.safetensors", 12))
    assert (head.bias, head.clip, head.origin) == (5.0, TINY.model, "a test")
    assert np.array_equal(head.weight, np.linspace(-1, 1, 12).astype(np.float32))


def test_the_rating_is_that_of_the_whole_images_stored_embedding(tmp_path: Path, size: int) -> None:
    path = head_file(tmp_path / "head.safetensors", size)
    rater = Aesthetics(AestheticConfig(enabled=True, head=str(path)), TINY)
    rater.setup()
    sample = design([Plain((10, 10, 90, 90))], caption="a red square")
    (row,) = rater.score([sample])[0].scores
    assert (row.name, row.layer_index) == ("aesthetic", WHOLE_IMAGE)
    stored = ClipAlignment(TINY).score([sample])[0].features[WHOLE_EMBEDDING]
    assert row.score == pytest.approx(5 + float(np.frombuffer(stored, "<f2") @ read_head(path).weight), abs=0.01)


def test_a_head_of_another_clip_is_refused(tmp_path: Path, size: int) -> None:
    for name, path in {
        "name": head_file(tmp_path / "other.safetensors", size, "ViT-L-14"),
        "size": head_file(tmp_path / "larger.safetensors", size + 1),
    }.items():
        rater = Aesthetics(AestheticConfig(enabled=True, head=str(path)), TINY)
        with pytest.raises(UserError, match="give the head or the CLIP that fits"):
            rater.setup()
        assert name


def test_what_is_no_head_is_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "letter.safetensors").write_text("dear reader")
    save_file({"weight": np.zeros(3)}, tmp_path / "half.safetensors")
    save_file({"weight": np.zeros(3), "bias": np.zeros(1)}, tmp_path / "stranger.safetensors")
    for name in ("none", "letter", "half", "stranger"):
        with pytest.raises(UserError, match=name):
            read_head(tmp_path / f"{name}.safetensors")
