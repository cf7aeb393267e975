"""The referee: which of the vocabulary's labels does a layer show?

The judge is a classifier of another architecture, seed and augmentation than the filters' CLIP and is never
used to filter or to choose. Its protocol: the layer is trimmed, padded to a square, set over 0.5 gray and
ranked against all labels. It judges layers, never whole images. How far it can be trusted stands in its
`judge.json` (`validity`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layered.arrays import FloatArray, UInt8Array
from layered.errors import UserError
from layered.pixels import premultiply, resize, round_to_uint8
from layered.placing import trim
from layered.torchvision_cure import ensure_torchvision

SIDE = 64
MARGIN = 3  # pixels on each side of the longer side
TRIM_THRESHOLD = 8  # alpha, of 255: what a matte leaves as haze does not count
DEFAULT_JUDGE = Path(__file__).resolve().parents[1] / "models" / "layerprism-judge"


@dataclass(frozen=True)
class Judge:
    """A loaded judge. `labels` gives the meaning of each class, concepts first, then colour-shape pairs."""

    network: Any
    labels: tuple[str, ...]
    validity: dict[str, float]

    def log_probabilities(self, layers: Sequence[UInt8Array]) -> FloatArray:
        """Of every label for straight RGBA layers of any size, float32 [n, labels]; an invisible layer is uniform."""
        import torch

        if not layers:
            return np.zeros((0, len(self.labels)), np.float32)
        frames = np.stack([canonical(layer) for layer in layers])
        images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            scores = torch.cat([self.network(part * 2 - 1) for part in torch.split(images, 64)])
        result: FloatArray = scores.float().log_softmax(1).numpy()
        empty = [index for index, layer in enumerate(layers) if layer[..., 3].max() <= TRIM_THRESHOLD]
        result[empty] = -np.log(len(self.labels))
        return result

    def best_labels(self, layers: Sequence[UInt8Array]) -> list[str]:
        """The label ranked first for each layer."""
        return [self.labels[index] for index in self.log_probabilities(layers).argmax(1)]

    def rank(self, layer: UInt8Array, label: str) -> int:
        """1 when `label` is ranked first."""
        row = self.log_probabilities([layer])[0]
        return int((row > row[self.index(label)]).sum()) + 1

    def index(self, label: str) -> int:
        """The class number of a label; UserError for an unknown one."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise UserError(f"the judge does not know the label {label!r}; see configs/vocabulary.yaml") from None

    def match(self, layers: Sequence[UInt8Array], labels: Sequence[str]) -> list[int]:
        """The one-to-one assignment of layers to a prompt's labels with the greatest total log probability.

        Returns:
            For each label the number of the layer that takes it, or −1 when there are fewer layers than labels. An
            anonymous layout lets any object take any box, so order is no evidence.
        """
        from scipy.optimize import linear_sum_assignment

        gain = self.log_probabilities(layers)[:, [self.index(label) for label in labels]]
        rows, columns = linear_sum_assignment(gain, maximize=True)
        taken = dict(zip(columns.tolist(), rows.tolist(), strict=True))
        return [taken.get(column, -1) for column in range(len(labels))]


def canonical(layer: UInt8Array) -> UInt8Array:
    """What the judge sees of a straight RGBA layer: trimmed, padded square, over 0.5 gray, uint8 [64, 64, 3]."""
    frame = np.full((SIDE, SIDE, 3), np.float32(0.5))
    if layer[..., 3].max() > TRIM_THRESHOLD:
        object_pixels = trim(layer, TRIM_THRESHOLD)
        height, width = object_pixels.shape[:2]
        scale = (SIDE - 2 * MARGIN) / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        scaled = premultiply(resize(object_pixels, size))
        left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
        inside = (slice(top, top + size[1]), slice(left, left + size[0]))
        frame[inside] = scaled[..., :3] + (1 - scaled[..., 3:]) * frame[inside]
    return round_to_uint8(frame)


def build_network(classes: int, channels: Sequence[int], depths: Sequence[int]) -> Any:
    """A small residual network (He et al. 2015, basic blocks) for 64 × 64 images in −1 … 1."""
    ensure_torchvision()
    from timm.models.resnet import BasicBlock, ResNet

    block: Any = BasicBlock

    return ResNet(block, tuple(depths), num_classes=classes, channels=tuple(channels), stem_type="deep", stem_width=16)


def load_judge(folder: str | Path = DEFAULT_JUDGE) -> Judge:
    """The judge of a folder with `judge.json` and `model.safetensors`; UserError when it is none."""
    from safetensors.torch import load_file

    root = Path(folder)
    if not (root / "judge.json").is_file():
        raise UserError(f"{root}: no judge.json in it; give a judge's folder such as models/layerprism-judge")
    facts = json.loads((root / "judge.json").read_text("utf-8"))
    network = build_network(len(facts["labels"]), facts["channels"], facts["depths"])
    weights = load_file(root / "model.safetensors")
    network.load_state_dict({name: tensor.float() if tensor.is_floating_point() else tensor
                             for name, tensor in weights.items()})  # fmt: skip
    network.eval().requires_grad_(False)
    return Judge(network, tuple(facts["labels"]), dict(facts["validity"]))
