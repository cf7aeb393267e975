"""Loads any CLIP that open_clip knows: the embedded one by its folder, others by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from layered.errors import UserError
from layered.torchvision_cure import ensure_torchvision


class Clip(NamedTuple):
    """A CLIP in evaluation mode; unpacks as `model, preprocess, tokenize`.

    `model.encode_image(images, normalize=True)` and `model.encode_text(tokens, normalize=True)` give unit vectors
    [n, dim]; `model.logit_scale.exp()` is the temperature's inverse.
    """

    model: Any
    preprocess: Callable[[npt.NDArray[np.uint8]], Tensor]  # uint8 [height, width, 3] -> float [3, side, side]
    tokenize: Callable[[list[str]], Tensor]  # captions -> int64 [n, context_length]


def load_clip(path: str | Path, device: str = "cpu", pretrained: str | Path | None = None) -> Clip:
    """A CLIP by folder or by open_clip name.

    Args:
        path: A folder in open_clip's own form (`open_clip_config.json`, weights, tokenizer), such as
            `models/layerprism-tiny/clip`; or a name that open_clip knows, such as "ViT-L-14".
        pretrained: For a name only: a local weights file or open_clip's tag ("openai"), which is downloaded.

    Raises:
        UserError: The folder is no open_clip folder, or the name is unknown.
    """
    ensure_torchvision()
    import open_clip
    from PIL import Image

    folder = Path(path)
    if (folder / "open_clip_config.json").is_file():
        name = f"local-dir:{folder.resolve()}"
    elif folder.exists():
        raise UserError(f"{folder}: no open_clip_config.json in it; give an open_clip folder or a model name")
    elif str(path) in open_clip.list_models():
        name = str(path)
    else:
        raise UserError(f"CLIP {path}: neither a folder nor a name that open_clip knows")
    source = str(pretrained) if pretrained is not None else None
    model, _, transform = open_clip.create_model_and_transforms(name, pretrained=source, device=device)
    tokenizer = open_clip.get_tokenizer(name)

    def preprocess(rgb: npt.NDArray[np.uint8]) -> Tensor:
        tensor: Tensor = transform(Image.fromarray(rgb))
        return tensor

    def tokenize(captions: list[str]) -> Tensor:
        tokens: Tensor = tokenizer(captions)
        return tokens

    return Clip(model.eval().requires_grad_(False), preprocess, tokenize)
