"""What people decided in a run's review, as pictures that the artifact classifier can learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from filters.artifact_view import ArtifactView, layer_view, whole_view
from filters.artifacts import KINDS, OF_WHOLES
from filters.taxonomy import check_reasons
from layered.errors import UserError
from ledger.decisions import Decision, SampleDecisions, read_decisions, resolve
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from models.recipes.artifact_data import SOURCE_NAMES, UNKNOWN, Pictures, without_raw
from pipeline.recalling import Recalling
from stages.records import Composed

_GOOD = ("pro", "keep")
_SOUND = torch.zeros(len(KINDS) + 1, dtype=torch.uint8)


def decided_pictures(run: Path) -> Pictures:
    """Every layer and whole image that a decision says something about.

    A layer is sound when it was kept, or when its sample was and nothing else was said of it. Rejected, it has the
    defects that the reasons name; of the others nothing is known. A rejected whole tells of its own defects only, since
    nobody said which layer has those of layers.

    Raises:
        UserError: for a folder that is no run, a reason that is no defect's name, or decisions that do not hold both
            sound layers and defects that the classifier knows.
    """
    directory = RunDirectory.open(run)
    decisions = read_decisions(directory.storage)
    for decision in decisions:
        check_reasons(decision.reasons, f"{run}, decision {decision.event_id}")
    resolved = resolve(decisions)
    recalling = Recalling(directory.storage)
    rows = []
    for record in RunIndex.load(directory.storage).records():
        if record.failure is None and record.sample_id in resolved:
            (composed,) = recalling.process([record])
            assert isinstance(composed, Composed)
            rows += list(_rows(composed, resolved[record.sample_id]))
    labels = torch.stack([row[4] for row in rows]) if rows else torch.empty(0, len(KINDS) + 1)
    if not (labels[:, -1] == 0).any() or not (labels[:, -1] == 1).any():
        raise UserError(
            f"{run}: a classifier cannot learn from its {len(decisions)} decisions: it needs layers that were kept "
            f"and rejected ones with reasons among {', '.join(KINDS)}"
        )
    return Pictures(*(torch.stack(column) for column in zip(*rows, strict=True)))


def _rows(composed: Composed, decided: SampleDecisions) -> Iterator[tuple[Tensor, ...]]:
    for record, layer in zip(composed.sidecar.layers, composed.image.layers, strict=True):
        own = decided.layers.get(record.index)
        if own is None and decided.whole is not None and decided.whole.verdict in _GOOD:
            own = decided.whole
        labels = None if own is None else _labels(own, frozenset(KINDS))
        view = layer_view(layer.pixels, composed.raws.get(record.index))
        if labels is not None and view is not None:
            yield _row(view, labels, "text" if record.kind == "text" else "drawn")
    labels = None if decided.whole is None else _labels(decided.whole, OF_WHOLES)
    if labels is not None:
        yield _row(whole_view(composed.image.whole()), labels, "whole")


def _labels(decision: Decision, kinds: frozenset[str]) -> Tensor | None:
    """The labels that a verdict gives; None when it names no defect of these kinds."""
    if decision.verdict in _GOOD:
        return _SOUND
    present = [kind for kind in decision.reasons if kind in kinds]
    if not present:
        return None
    labels = torch.full_like(_SOUND, UNKNOWN)
    labels[[KINDS.index(kind) for kind in present]] = 1
    labels[-1] = 1
    return labels


def _row(view: ArtifactView, labels: Tensor, source: str) -> tuple[Tensor, ...]:
    known = view.background is not None
    present = [column for column in range(len(KINDS)) if labels[column] == 1]
    return (
        torch.from_numpy(view.picture),
        torch.from_numpy(view.frame),
        torch.tensor(view.background or (0, 0, 0), dtype=torch.uint8),
        torch.tensor(known, dtype=torch.uint8),
        labels if known else without_raw(labels[None])[0],
        torch.tensor(SOURCE_NAMES.index(source), dtype=torch.uint8),
        torch.tensor(present[0] if present else UNKNOWN, dtype=torch.uint8),
    )
