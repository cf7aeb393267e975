"""A model's folder without weights: all that planning needs."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A diffusers folder as far as a plan can see: 64-pixel layers, base images at three aspects."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    settings = {
        "suffix": "on a plain gray background",
        "prompt_template": "{caption}, {style} style, {suffix}",
        "base_prompt_template": "{caption}, {style} style",
        "layer_sizes": [[64, 64]],
        "base_sizes": [[64, 64], [80, 48], [48, 80]],
        "num_inference_steps": 4,
        "dtype": "float32",
    }
    (folder / "layerprism.json").write_text(json.dumps(settings))
    return folder
