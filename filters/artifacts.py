"""The artifact classifier, as PrismLayers has one: a small network that has seen many layers broken in known ways.

One score for each kind of defect, the probability that the layer does not have it; `artifact`, the probability that it
has none at all; and `artifact_oddity`, low for what is unlike all sound layers, whatever the reason. What only the RGB
before matting shows (was the object cut by the frame, is that rim the background's colour?) is scored only where that
was kept.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from filters.artifact_oddity import load_oddity
from filters.artifact_view import ArtifactView, layer_view, whole_view
from filters.filter import Filter, FilterInput, FilterResult
from layered.arrays import UInt8Array
from layered.errors import UserError
from layered.scores import WHOLE_IMAGE, Score
from models import TINY

if TYPE_CHECKING:
    from filters.artifact_network import ArtifactNetwork

KINDS: Final = ("cut", "several", "malformed", "lettering", "leftover", "halo", "holes", "specks", "checkerboard",
                "blur", "noise", "seams")  # fmt: skip
"""The defects that the embedded classifier knows, by their names in the taxonomy."""

NEED_RAW: Final = frozenset({"cut", "leftover", "halo"})
"""Those that only the RGB before matting can show."""

OF_WHOLES: Final = frozenset({"checkerboard", "blur", "noise", "seams"})
"""Those that whole images are scored on."""

ARTIFACT: Final = "artifact"
"""The name of the score that there is no defect at all."""

ODDITY: Final = "artifact_oddity"
"""The name of the score of `filters/artifact_oddity.py`: it concerns layers, and classifiers that come with it."""

ARTIFACT_SCORES: Final = (ARTIFACT, ODDITY, *(f"{ARTIFACT}_{kind}" for kind in KINDS))

EMBEDDED: Final = "layerprism-tiny"
CONFIG_NAME: Final = "config.json"
WEIGHTS_NAME: Final = "model.safetensors"


class ArtifactsConfig(BaseModel):
    """The `filters.artifacts` section: which classifier gives the `artifact…` scores.

    Attributes:
        model: ``layerprism-tiny``, or a folder that `models/recipes/train_artifacts.py` wrote.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: str = Field(EMBEDDED, min_length=1)
    device: str = Field("cpu", pattern=r"^(auto|cpu|cuda(:\d+)?)$")

    @property
    def location(self) -> Path:
        """The folder to load from."""
        return TINY / "artifacts" if self.model == EMBEDDED else Path(self.model)


class ArtifactClassifier(Filter):
    """Scores every layer, and the whole image on what concerns it."""

    def __init__(self, config: ArtifactsConfig) -> None:
        self._config = config

    def setup(self) -> None:
        shared_judgement(self._config)

    def score(self, samples: Sequence[FilterInput]) -> list[FilterResult]:
        judgement = shared_judgement(self._config)
        return [FilterResult(tuple(_scores(sample, judgement))) for sample in samples]


class ArtifactJudgement:
    """A loaded classifier: pictures in, probabilities out, one picture at a time so that none depends on others."""

    def __init__(self, config: ArtifactsConfig) -> None:
        """Loads the classifier. Raises UserError when there is none where the configuration says."""
        import torch

        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(
                f"filters.artifacts.device is {device}, but torch finds no CUDA device; set it to auto or cpu"
            )
        if device == "cpu":
            torch.set_num_threads(1)
        self._device = device
        self._network = load_classifier(config.location).to(device)
        self._oddity = load_oddity(config.location)

    def layer(self, rgba: UInt8Array, raw: UInt8Array | None = None) -> dict[str, float]:
        """The scores of a layer by name, 0…1.

        Args:
            rgba: straight RGBA ``[h, w, 4]``, trimmed or not, at any size.
            raw: its RGB before matting, at any size.

        Returns:
            All zero when nothing is visible.
        """
        view = layer_view(rgba, raw)
        kinds = [kind for kind in self._network.kinds if raw is not None or kind not in NEED_RAW]
        general = (ARTIFACT,) if self._oddity is None else (ARTIFACT, ODDITY)
        if view is None:
            return dict.fromkeys((*general, *(f"{ARTIFACT}_{kind}" for kind in kinds)), 0.0)
        soundness = self._soundness(view)
        scores = {ARTIFACT: soundness[ARTIFACT]} | {f"{ARTIFACT}_{kind}": soundness[kind] for kind in kinds}
        return scores if self._oddity is None else scores | {ODDITY: self._oddity.soundness(view.picture)}

    def whole(self, rgb: UInt8Array) -> dict[str, float]:
        """The scores of a whole image ``[h, w, 3]`` by name, 0…1."""
        soundness = self._soundness(whole_view(rgb))
        kinds = [kind for kind in self._network.kinds if kind in OF_WHOLES]
        return {f"{ARTIFACT}_{kind}": soundness[kind] for kind in kinds}

    def _soundness(self, view: ArtifactView) -> dict[str, float]:
        """The probability of the absence of each kind, and under `ARTIFACT` of any."""
        import torch

        with torch.inference_mode():
            inputs = [_planes(view.picture), _planes(view.frame), np.array([view.background or (0, 0, 0)], np.uint8)]
            picture, frame, background = (torch.from_numpy(each).to(self._device).float() / 255 for each in inputs)
            known = torch.full((1,), float(view.background is not None), device=self._device)
            present = self._network(picture, frame, background, known)[0].double().sigmoid().cpu()
        absent = (1 - present).tolist()
        return dict(zip((*self._network.kinds, ARTIFACT), absent, strict=True))


def shared_judgement(config: ArtifactsConfig) -> ArtifactJudgement:
    """The process's classifier for a configuration, loaded at the first call and when its weights have changed.

    Raises:
        UserError: when it cannot be loaded.
    """
    weights = config.location / WEIGHTS_NAME
    return _loaded(config, weights.stat().st_mtime_ns if weights.is_file() else 0)


@functools.lru_cache(maxsize=2)
def _loaded(config: ArtifactsConfig, changed: int) -> ArtifactJudgement:
    return ArtifactJudgement(config)


def load_classifier(folder: Path) -> ArtifactNetwork:
    """The network of a folder, in float32 and evaluation mode.

    Raises:
        UserError: when the folder holds no classifier, or one of other names or another shape than it says.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from filters.artifact_network import ArtifactNetwork, NetworkShape

    config, weights = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    if not config.is_file() or not weights.is_file():
        raise UserError(
            f"filters.artifacts.model: {folder} holds no artifact classifier ({CONFIG_NAME} and {WEIGHTS_NAME}); "
            f"give {EMBEDDED} or a folder that models/recipes/train_artifacts.py wrote"
        )
    try:
        facts = json.loads(config.read_text("utf-8"))
        # Classifiers written before there were blocks have none.
        shape = NetworkShape(
            tuple(facts["picture"]), tuple(facts["frame"]), facts["hidden"], facts["lines"],
            tuple(facts.get("blocks", (0, 0))),
        )  # fmt: skip
        network = ArtifactNetwork([str(kind) for kind in facts["kinds"]], shape)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"filters.artifacts.model: {config} describes no artifact classifier: {error}") from error
    if unknown := [kind for kind in network.kinds if kind not in KINDS]:
        raise UserError(f"filters.artifacts.model: {config} names the kind {unknown[0]!r}; known: {', '.join(KINDS)}")
    try:
        state = load_file(weights)
        network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    except (SafetensorError, RuntimeError, OSError) as error:
        first = " ".join(str(error).split())[:200]
        raise UserError(f"filters.artifacts.model: {weights} does not fit its {CONFIG_NAME}: {first}") from error
    return network.eval().requires_grad_(False)


def save_classifier(network: ArtifactNetwork, folder: Path, facts: dict[str, Any]) -> None:
    """Writes weights in half precision and what is needed to load them; `facts` stand beside that."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(state, folder / WEIGHTS_NAME)
    description = facts | asdict(network.shape) | {"kinds": list(network.kinds)}
    (folder / CONFIG_NAME).write_text(json.dumps(description, indent=1) + "\n", "utf-8")


def _scores(sample: FilterInput, judgement: ArtifactJudgement) -> list[Score]:
    """Of all image layers and of the whole; a font draws text layers exactly."""
    rows = []
    for record, layer in zip(sample.sidecar.layers, sample.image.layers, strict=True):
        if record.kind == "text":
            continue
        found = judgement.layer(layer.pixels, sample.raws.get(record.index))
        rows += [Score(sample.sample_id, record.index, name, value) for name, value in found.items()]
    whole = judgement.whole(sample.image.whole())
    return rows + [Score(sample.sample_id, WHOLE_IMAGE, name, value) for name, value in whole.items()]


def _planes(pixels: UInt8Array) -> UInt8Array:
    """``[h, w, c]`` as ``[1, c, h, w]``."""
    planes: UInt8Array = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    return planes
