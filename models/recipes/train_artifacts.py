"""Trains the artifact classifier and writes `models/layerprism-tiny/artifacts`.

    python -m models.recipes.artifact_data                       renders what it learns from, once
    python -m models.recipes.train_artifacts --minutes 34        of one core
    python -m models.recipes.train_artifacts --refine 1 --minutes 5      and 2 and 3; may be stopped after two
    python -m models.recipes.train_artifacts --average 1 2 3     their weights' mean is the embedded classifier
    python -m benchmarks.filter_thresholds                       thresholds for `filters/config.py`
    python -m models.recipes.train_artifacts --decisions RUN --out DIR --minutes 2

Refining goes on from the first training at a small rate, in another order for each number, and looks at photographs
more often; the mean of a few such networks' weights is better than each of them (Wortsman et al., "Model soups",
arXiv 2203.05482).

The last command goes on from the embedded classifier with what people decided in a run's review: reasons are labels,
layers kept are sound. Where the rendered pictures are there, every second picture is one of them, so that little is
forgotten. The result is used with `filters.artifacts.model: DIR`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
from models.recipes.training_state import load_average_state

FOLDER: Final = TINY / "artifacts"
STATE: Final = CHECKPOINTS / "artifacts-training"
REFINED: Final = CHECKPOINTS / "artifacts-refined"
REVISION: Final = "4"
_HELD_OUT: Final = 20  # one picture in so many is not trained on
_HARD: Final = frozenset({"malformed", "lettering", "noise", "seams"})
_TUNING_RATE: Final = 3e-4
_REFINING_RATE: Final = 7e-4
_SHARES: Final = 3  # what is refined sees a part of the pictures, so that several fit into memory
_BESIDE_DECISIONS: Final = (0, 6)
_PHOTOGRAPHED: Final = ("cutout", "landscape")


def held_out(pictures: Pictures) -> Tensor:
    """Which are not trained on, ``[n]`` bool: whole blocks, since neighbours are one sample broken."""
    held: Tensor = torch.arange(len(pictures)) // 60 % _HELD_OUT == 0
    return held


def emphasis(pictures: Pictures) -> Tensor:
    """How often each picture is drawn, ``[n]``: what is hard to see twice as often as the rest."""
    hard = torch.tensor([kind in _HARD for kind in KINDS])
    return 1 + ((pictures.labels[:, :-1] == 1) & hard).any(1).float()


def refine(number: int, minutes: float, pictures: Pictures) -> None:
    """Goes on from the first training's averaged weights; the state is kept under the number and may be averaged with
    others' at any time."""
    network = ArtifactNetwork(KINDS)
    load_average_state(STATE, network)
    photographed = torch.zeros(len(pictures), dtype=torch.bool)
    for source in _PHOTOGRAPHED:
        photographed |= pictures.source == SOURCE_NAMES.index(source)
    weights = emphasis(pictures) * (1 + 3 * photographed.float())
    train(network, pictures, minutes, REFINED / str(number), _REFINING_RATE, weights, seed=number)


def averaged(folders: Sequence[Path]) -> ArtifactNetwork:
    """The mean of the averaged weights in these trainings' states."""
    networks = [ArtifactNetwork(KINDS) for _ in folders]
    for network, folder in zip(networks, folders, strict=True):
        load_average_state(folder, network)
    states = [network.state_dict() for network in networks]
    means = {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    networks[0].load_state_dict(means)
    return networks[0]


def started(folder: Path) -> ArtifactNetwork:
    """A network to be trained that begins with the weights of a classifier which may have fewer blocks."""
    network, before = ArtifactNetwork(KINDS), load_classifier(folder)
    if before.kinds != network.kinds:
        sys.exit(f"{folder} knows other kinds of defects: {', '.join(before.kinds)}")
    network.load_state_dict(network.state_dict() | before.state_dict())
    return network


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
    parser.add_argument("--minutes", type=float, default=34)
    parser.add_argument("--start", type=Path, metavar="DIR", help="begin with the weights of this classifier")
    parser.add_argument("--refine", type=int, metavar="N", help="go on from the first training, N-th of several")
    parser.add_argument("--average", type=int, nargs="+", metavar="N", help="embed the mean of what was refined")
    parser.add_argument("--decisions", type=Path, metavar="RUN", help="fine-tune on what was decided in this run")
    parser.add_argument("--out", type=Path, help="where the fine-tuned or averaged classifier goes")
    arguments = parser.parse_args()
    if arguments.decisions and arguments.out is None:
        parser.error("--decisions needs --out")
    torch.set_num_threads(1)
    torch.manual_seed(60)
    try:
        work(arguments)
    except UserError as error:
        sys.exit(str(error))


def work(arguments: argparse.Namespace) -> None:
    """Does what was asked for. Raises UserError when there are no pictures, or no decisions, to learn from."""
    if arguments.average:
        folders = [REFINED / str(number) for number in arguments.average]
        save_classifier(averaged(folders), arguments.out or FOLDER, {"revision": REVISION, "licence": "Apache-2.0"})
    elif arguments.refine is not None:
        share = arguments.refine % _SHARES, _SHARES
        refine(arguments.refine, arguments.minutes, artifact_data.load(artifact_data.FOLDER, share, _PHOTOGRAPHED))
    elif arguments.decisions:
        known = any(artifact_data.FOLDER.glob("*.safetensors"))
        rendered = artifact_data.load(artifact_data.FOLDER, _BESIDE_DECISIONS) if known else None
        tune(arguments.decisions, arguments.out, arguments.minutes, rendered)
    else:
        first(arguments.minutes, arguments.start)


def first(minutes: float, start: Path | None) -> None:
    """Trains on all pictures but those held out, prints what is reached on these, and embeds the network."""
    pictures = artifact_data.load(artifact_data.FOLDER)
    held = held_out(pictures)
    print(f"{len(pictures)} pictures of {', '.join(SOURCE_NAMES)}, {int(held.sum())} of them held out")
    network = started(start) if start else ArtifactNetwork(KINDS)
    network = train(network, pictures, minutes, STATE, RATE, ~held * emphasis(pictures))
    for kind, area in areas(network, pictures.select(held)).items():
        print(f"{kind}: area under the ROC curve {area:.4f}")
    save_classifier(network, FOLDER, {"revision": REVISION, "licence": "Apache-2.0"})
    print(f"{sum(p.numel() for p in network.parameters())} parameters in {FOLDER}, used as {EMBEDDED}")


if __name__ == "__main__":
    main()
