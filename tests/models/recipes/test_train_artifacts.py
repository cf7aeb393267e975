"""Training of the artifact classifier: it learns, goes on where it stopped, and learns from what people decided."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from filters.artifact_network import ArtifactNetwork, NetworkShape
from filters.artifact_view import layer_view
from filters.artifacts import (
    KINDS,
    NEED_RAW,
    ArtifactJudgement,
    ArtifactsConfig,
    load_classifier,
    save_classifier,
)
from layered.arrays import UInt8Array
from layered.box import Box
from layered.errors import UserError
from layered.image import Layer, LayeredImage
from ledger.commit import encode_sample
from ledger.decisions import Decision, append_decisions
from ledger.run_directory import RunDirectory
from models.recipes import train_artifacts
from models.recipes.artifact_data import UNKNOWN, Pictures, labels_of
from models.recipes.artifact_decisions import decided_pictures
from models.recipes.artifact_training import area_under_roc, areas, augmented, known_loss, logits_of, train
from models.recipes.train_artifacts import started, tune
from tests.filters.drawings import COLORS, SIDE, drawing, grown, raw_of
from tests.filters.drawings import KINDS as SHAPES
from tests.ledger.runs import make_run, on
from tests.shards.samples import make_sample

SHAPE = NetworkShape((6, 8, 10), (4, 6, 8), 12, 6)
HALO = KINDS.index("halo")


def haloed(count: int) -> Pictures:
    """Simple drawings, every second with a rim of background."""
    rows = []
    for number in range(count):
        rgba = drawing(SHAPES[number % 5], COLORS[number % 6], 0.6 + 0.02 * (number % 13))
        broken = number % 2 == 1
        view = layer_view(grown(rgba, 5) if broken else rgba, raw_of(rgba))
        assert view is not None
        rows.append((torch.from_numpy(view.picture), torch.from_numpy(view.frame), torch.tensor(view.background),
                     torch.tensor(1), labels_of(["halo"] if broken else [], known=True), torch.tensor(0),
                     torch.tensor(HALO if broken else UNKNOWN)))  # fmt: skip
    return Pictures(*(torch.stack(column).to(torch.uint8) for column in zip(*rows, strict=True)))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return haloed(60)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes by a second with every look at the clock: so many minutes are as many steps on any machine."""
    looks: list[float] = []

    def clock() -> float:
        looks.append(0.0)
        return float(len(looks))

    monkeypatch.setattr("models.recipes.artifact_training.time.process_time", clock)
    monkeypatch.setattr("models.recipes.artifact_training.BATCH", 32)
    return looks


def test_it_learns(pictures: Pictures, tmp_path: Path, steps: Sequence[float]) -> None:
    torch.manual_seed(1)
    network = train(ArtifactNetwork(KINDS, SHAPE), pictures, 6.0, tmp_path)
    assert areas(network, haloed(24))["halo"] > 0.95
    assert 100 < len(steps) < 600


def test_a_stopped_training_goes_on_and_a_finished_one_does_not_begin_again(
    pictures: Pictures, tmp_path: Path, steps: Sequence[float]
) -> None:
    torch.manual_seed(1)
    first = train(ArtifactNetwork(KINDS, SHAPE), pictures, 0.1, tmp_path)
    again = train(ArtifactNetwork(KINDS, SHAPE), pictures, 0.1, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    further = train(ArtifactNetwork(KINDS, SHAPE), pictures, 0.3, tmp_path)
    assert not torch.equal(*(next(each.parameters()) for each in (first, further)))


def test_unknown_labels_teach_nothing() -> None:
    logits = torch.randn(4, len(KINDS) + 1, requires_grad=True)
    labels = torch.zeros(4, len(KINDS) + 1, dtype=torch.uint8)
    labels[:, HALO] = UNKNOWN
    torch.autograd.backward(known_loss(logits, labels))
    assert logits.grad is not None
    assert not logits.grad[:, HALO].any()
    assert logits.grad[:, 0].all()


def test_augmentation_mirrors_all_but_letters_and_hides_some_drawings(pictures: Pictures) -> None:
    many = pictures.select(torch.zeros(200, dtype=torch.long))
    (picture, _, _, known), labels = augmented(many, torch.Generator().manual_seed(3))
    assert 0.1 < 1 - known.mean() < 0.3
    assert (labels[known == 0][:, [KINDS.index(kind) for kind in NEED_RAW]] == UNKNOWN).all()
    assert (picture[:, :3] <= picture[:, 3:]).all()
    lettered = Pictures(**{**vars(many), "source": torch.full_like(many.source, 4)})
    alphas = augmented(lettered, torch.Generator().manual_seed(3))[0][0][:, 3]
    assert torch.equal(alphas, alphas[:1].expand_as(alphas))


def test_the_area_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    labels, values = rng.random(300) < 0.3, rng.integers(0, 40, 300) / 7
    assert area_under_roc(values[labels], values[~labels]) == pytest.approx(roc_auc_score(labels, values), abs=1e-12)


def decided_run(path: Path, decisions: Sequence[Decision], broken: UInt8Array | None = None) -> RunDirectory:
    """Eight designs of two layers; the second layer of a design with an odd number is `broken`, or has a halo."""
    chunk = []
    for number in range(8):
        image, sidecar = make_sample(number, 2)
        shape = drawing(SHAPES[number % 5], COLORS[number % 6])
        second = (grown(shape, 6) if broken is None else broken) if number % 2 else shape
        box = Box(0, 0, SIDE, SIDE)
        records = [record.model_copy(update={"box": (0, 0, SIDE, SIDE), "kind": "image"}) for record in sidecar.layers]
        design = LayeredImage(image.base, (Layer(shape, box), Layer(second, box)))
        raws = {0: raw_of(shape), 1: raw_of(shape if broken is None else second)}
        told = sidecar.model_copy(update={"layers": tuple(records)})
        chunk.append(encode_sample(design, told, raws, [], {}, {0: (1, SIDE, SIDE)}))
    run = make_run(path, [chunk])
    append_decisions(run.storage, decisions)
    return run


def verdicts(reason: str) -> list[Decision]:
    """Odd designs' second layers are rejected, even designs kept."""
    return [
        on(number, number, "reject", layer=1, reasons=(reason, "style")) if number % 2 else on(number, number, "keep")
        for number in range(8)
    ]


def test_reasons_become_labels_and_kept_layers_are_sound(tmp_path: Path) -> None:
    decided = decided_pictures(decided_run(tmp_path / "run", verdicts("halo")).path)
    rejected = decided.labels[:, -1] == 1
    assert int(rejected.sum()) == 4
    assert (decided.labels[rejected, HALO] == 1).all()
    others = [column for column in range(len(KINDS)) if column != HALO]
    assert (decided.labels[rejected][:, others] == UNKNOWN).all()
    # Two layers and the whole of each kept design.
    assert int((~rejected).sum()) == 12
    assert not (decided.labels[~rejected] == 1).any()


def test_a_rejected_whole_says_nothing_of_its_layers(tmp_path: Path) -> None:
    decisions = [on(0, 0, "keep"), on(1, 1, "reject", reasons=("noise", "halo"))]
    decided = decided_pictures(decided_run(tmp_path / "run", decisions).path)
    broken = decided.labels[decided.labels[:, -1] == 1]
    assert len(broken) == 1
    assert broken[0, KINDS.index("noise")] == 1
    assert broken[0, HALO] == UNKNOWN


def test_decisions_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    only_kept = decided_run(tmp_path / "kept", [on(0, 0, "keep")])
    with pytest.raises(UserError, match="cannot learn from its 1 decisions"):
        decided_pictures(only_kept.path)
    misspelt = decided_run(tmp_path / "misspelt", [on(0, 0, "reject", layer=1, reasons=("hallo",))])
    with pytest.raises(UserError, match=r"decision e0: the reason 'hallo' .*did you mean 'halo'"):
        decided_pictures(misspelt.path)


def test_fine_tuning_on_a_run_follows_the_decisions_and_is_ready_for_the_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Sequence[float]
) -> None:
    # Nobody who trained the embedded classifier found fault with purple rings.
    purple, kept = drawing("ring", (150, 40, 220), 0.7), drawing("star", (20, 20, 20), 0.7)
    run = decided_run(tmp_path / "run", verdicts("malformed"), purple)
    monkeypatch.setattr(train_artifacts, "_TUNING_RATE", 1e-3)
    tune(run.path, tmp_path / "tuned", 1.0, None)
    base, tuned = ArtifactsConfig(), ArtifactsConfig(model=str(tmp_path / "tuned"))

    def score(config: ArtifactsConfig, rgba: UInt8Array) -> float:
        return ArtifactJudgement(config).layer(rgba, raw_of(rgba))["artifact_malformed"]

    assert score(tuned, purple) < score(base, purple) - 0.2
    assert score(tuned, kept) > score(tuned, purple) + 0.2
    assert "artifact_oddity" in ArtifactJudgement(tuned).layer(kept)


def test_a_larger_network_starts_with_what_a_smaller_one_knows(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    smaller = ArtifactNetwork(KINDS, dataclasses.replace(SHAPE, blocks=(0, 0))).eval()
    save_classifier(smaller, tmp_path, {})
    monkeypatch.setattr(train_artifacts, "ArtifactNetwork", lambda kinds: ArtifactNetwork(kinds, SHAPE))
    larger = started(tmp_path)
    assert len(larger.state_dict()) > len(smaller.state_dict())
    assert np.allclose(logits_of(larger, pictures), logits_of(load_classifier(tmp_path), pictures), atol=1e-4)
