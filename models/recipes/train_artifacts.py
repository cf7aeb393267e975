"""Trains the artifact classifier and writes `models/layerprism-tiny/artifacts`.

    python -m models.recipes.artifact_data                       renders what it learns from, once
    python -m models.recipes.train_artifacts --minutes 92        of one core; may be stopped, and goes on
    python -m benchmarks.filter_thresholds                       thresholds for `filters/config.py`
    python -m models.recipes.train_artifacts --decisions RUN --out DIR --minutes 2

The last command goes on from the embedded classifier with what people decided in a run's review: reasons are labels,
layers kept are sound. Where the rendered pictures are there, every second picture is one of them, so that little is
forgotten. The result is used with `filters.artifacts.model: DIR`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from filters.artifact_network import ArtifactNetwork
from filters.artifact_oddity import load_oddity, save_oddity
from filters.artifacts import EMBEDDED, KINDS, load_classifier, save_classifier
from layered.errors import UserError
from models import TINY
from models.recipes import artifact_data
from models.recipes.artifact_data import SOURCE_NAMES, Pictures
from models.recipes.artifact_decisions import decided_pictures
from models.recipes.artifact_training import RATE, areas, train
from models.recipes.drawings import CHECKPOINTS

FOLDER: Final = TINY / "artifacts"
STATE: Final = CHECKPOINTS / "artifacts-training"
REVISION: Final = "4"
_HELD_OUT: Final = 20  # one picture in so many is not trained on
_HARD: Final = frozenset({"malformed", "lettering", "noise", "seams"})
_TUNING_RATE: Final = 3e-4
_BESIDE_DECISIONS: Final = 0, 6  # of the rendered pictures every sixth part is enough


def held_out(pictures: Pictures) -> Tensor:
    """Which are not trained on, ``[n]`` bool: whole blocks, since neighbours are one sample broken."""
    held: Tensor = torch.arange(len(pictures)) // 60 % _HELD_OUT == 0
    return held


def emphasis(pictures: Pictures) -> Tensor:
    """How often each picture is drawn, ``[n]``: what is hard to see twice as often as the rest."""
    hard = torch.tensor([kind in _HARD for kind in KINDS])
    return 1 + ((pictures.labels[:, :-1] == 1) & hard).any(1).float()


def started(folder: Path) -> ArtifactNetwork:
    """A network to be trained that begins with the weights of a classifier, which may have fewer blocks.

    Raises:
        UserError: when the folder has no classifier, or one of other kinds.
    """
    network, before = ArtifactNetwork(KINDS), load_classifier(folder)
    if before.kinds != network.kinds:
        raise UserError(f"{folder} knows other kinds of defects: {', '.join(before.kinds)}")
    network.load_state_dict(network.state_dict() | before.state_dict())
    return network


def train_embedded(minutes: float, start: Path | None) -> None:
    """Trains on all pictures but those held out, prints what is reached on these, and embeds the network.

    Args:
        start: a classifier's folder, whose weights the training begins with.

    Raises:
        UserError: when there are no pictures, or no such classifier.
    """
    pictures = artifact_data.load(artifact_data.FOLDER)
    held = held_out(pictures)
    print(f"{len(pictures)} pictures of {', '.join(SOURCE_NAMES)}, {int(held.sum())} of them held out")
    network = started(start) if start else ArtifactNetwork(KINDS)
    network = train(network, pictures, minutes, STATE, RATE, ~held * emphasis(pictures))
    for kind, area in areas(network, pictures.select(held)).items():
        print(f"{kind}: area under the ROC curve {area:.4f}")
    save_classifier(network, FOLDER, {"revision": REVISION, "licence": "Apache-2.0"})
    print(f"{sum(p.numel() for p in network.parameters())} parameters in {FOLDER}, used as {EMBEDDED}")


def tune(run: Path, out: Path, minutes: float, pictures: Pictures | None) -> ArtifactNetwork:
    """Goes on from the embedded classifier with a run's decisions.

    Args:
        pictures: rendered ones, to be mixed in half and half.

    Raises:
        UserError: when the run has no decisions that a classifier can learn from.
    """
    decided = decided_pictures(run)
    share = torch.full((len(decided),), 1 / len(decided))
    together = decided
    if pictures is not None:
        together = Pictures(**{name: torch.cat([t, getattr(pictures, name)]) for name, t in vars(decided).items()})
        share = torch.cat([share, torch.full((len(pictures),), 1 / len(pictures))])
    network = load_classifier(FOLDER).requires_grad_(True)
    before = areas(network, decided)
    tuned = train(network, together, minutes, out / "training", _TUNING_RATE, share, frozen_statistics=True)
    after = areas(tuned, decided)
    for kind, area in after.items():
        print(f"{kind}: area under the ROC curve on the decisions themselves {before[kind]:.3f}, now {area:.3f}")
    save_classifier(tuned, out, {"revision": f"tuned on {len(decided)} decided pictures", "licence": "Apache-2.0"})
    if (oddity := load_oddity(FOLDER)) is not None:
        save_oddity(oddity, out)
    return tuned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=92)
    parser.add_argument("--start", type=Path, metavar="DIR", help="begin with the weights of this classifier")
    parser.add_argument("--decisions", type=Path, metavar="RUN", help="fine-tune on what was decided in this run")
    parser.add_argument("--out", type=Path, help="where the fine-tuned classifier goes")
    arguments = parser.parse_args()
    if arguments.decisions and arguments.out is None:
        parser.error("--decisions needs --out")
    torch.set_num_threads(1)
    torch.manual_seed(60)
    try:
        if arguments.decisions:
            known = any(artifact_data.FOLDER.glob("*.safetensors"))
            rendered = artifact_data.load(artifact_data.FOLDER, _BESIDE_DECISIONS) if known else None
            tune(arguments.decisions, arguments.out, arguments.minutes, rendered)
        else:
            train_embedded(arguments.minutes, arguments.start)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
