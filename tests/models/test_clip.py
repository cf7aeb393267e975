"""The loader of CLIPs, and the embedded one."""

from pathlib import Path

import numpy as np
import pytest

from layered.errors import UserError
from models import TINY
from models.clip import Clip, load_clip
from models.recipes.sprites import on_gray, place
from models.vocabulary import load_vocabulary


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(TINY / "clip")


def test_captions_and_pictures_become_unit_vectors_of_one_space(clip: Clip) -> None:
    gray = np.full((40, 70, 3), 128, np.uint8)
    image = clip.model.encode_image(clip.preprocess(gray)[None], normalize=True)
    text = clip.model.encode_text(clip.tokenize(["a red apple", "two dogs"]), normalize=True)
    assert image.shape[1] == text.shape[1]
    np.testing.assert_allclose(image.norm(dim=1), 1, atol=1e-5)
    np.testing.assert_allclose(text.norm(dim=1), 1, atol=1e-5)


def test_the_wording_does_not_change_what_is_seen(clip: Clip, emoji_font: None) -> None:
    vocabulary = load_vocabulary()
    labels = list(vocabulary.concepts)[::6]
    import torch

    images = torch.stack([clip.preprocess(on_gray(place(label, "cartoon", 0.8, (0.0, 0.0)))) for label in labels])
    seen = clip.model.encode_image(images, normalize=True)
    for wording in vocabulary.templates.layer:
        captions = [wording.format(caption=vocabulary.label_caption(label), name=label) for label in labels]
        read = clip.model.encode_text(clip.tokenize(captions), normalize=True)
        best = (seen @ read.T).argmax(1)
        assert (best == torch.arange(len(labels))).float().mean() >= 0.9, wording


def test_what_cannot_be_loaded_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"open_clip_config\.json"):
        load_clip(tmp_path)
    with pytest.raises(UserError, match="ViT-Z-99"):
        load_clip("ViT-Z-99")
