"""Blind comparison of two sets of designs made from the same briefs: the user study of PrismLayers as a tool.

Which side a set stands on and in which order pairs come is drawn for each reviewer; addresses of pictures do not tell
which set they belong to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np

from curation.errors import RequestError, bad_request, not_found
from curation.intervals import Share
from curation.library import IMAGE_MEMBER, MOST_IMAGE_BYTES, Library, png_size
from curation.store import Answer
from layered.codec import BASE_IMAGE_MEMBER, SIDECAR_MEMBER, WHOLE_IMAGE_MEMBER, layer_member
from layered.errors import UserError
from layered.sidecar import Sidecar
from ledger.run_directory import RunDirectory, is_run
from shards.files import local_path
from shards.reader import Publication, holds_publication

Set = Literal["a", "b"]


@dataclass(frozen=True)
class Question:
    name: str
    title: str


QUESTIONS: Final[Sequence[Question]] = (
    Question("prompt", "Which follows the text better?"),
    Question("harmony", "Which hangs together better: light, scale, style?"),
    Question("layers", "Which has the better layers?"),
)
"""Those of the user study of arXiv 2505.22523: prompt following, harmony, layer quality."""

_REPLICATES: Final = 2000


class Designs(Protocol):
    """Something that holds designs by id."""

    @property
    def sample_ids(self) -> Sequence[str]:
        """All of them, in order."""

    def read(self, sample_id: str, member: str) -> bytes:
        """A file of a design. Raises RequestError when it is missing, damaged or too large."""


def open_designs(place: Path | str) -> Designs:
    """A run, a publication or a layered folder. Raises UserError when it is none."""
    if is_run(place):
        return _RunDesigns(RunDirectory.open(place))
    if holds_publication(place):
        return _PublishedDesigns(Publication.open(place))
    path = local_path(place)
    if path is None:
        raise UserError(f"{place} is neither a run nor a publication")
    return _FolderDesigns(path)


class Comparison:
    """Two sets and what of them can be compared.

    Attributes:
        name: the same for the same two sets, whichever is called A.
        pairs: pair → the design's id in A and in B.
    """

    def __init__(self, paths: Mapping[Set, Path | str]) -> None:
        """Raises UserError when a set holds no designs, or both have none in common."""
        self.paths = dict(paths)
        self._designs = {name: open_designs(path) for name, path in self.paths.items()}
        self.pairs = _pairs(self._designs["a"], self._designs["b"])
        if not self.pairs:
            raise UserError(
                f"{paths['a']} and {paths['b']} have no design in common: neither ids nor briefs are the same"
            )
        resolved = "\n".join(_absolute(self.paths[name]) for name in ("a", "b"))
        self.name = hashlib.sha256(resolved.encode()).hexdigest()[:16]
        self._secret = secrets.token_bytes(16)
        self._tokens: dict[str, tuple[Set, str]] = {}

    def order(self, reviewer: str) -> list[str]:
        """All pairs in the reviewer's own order."""
        return sorted(self.pairs, key=lambda pair: self._draw("order", reviewer, pair))

    def left_is(self, reviewer: str, pair: str) -> Set:
        """Which set stands on the left for the reviewer."""
        return "a" if self._draw("side", reviewer, pair) & 1 else "b"

    def pair_json(self, reviewer: str, pair: str) -> dict[str, Any]:
        """Both designs of a pair as the reviewer sees them."""
        left = self.left_is(reviewer, pair)
        right: Set = "b" if left == "a" else "a"
        sidecar = self._sidecar("a", self.pairs[pair][0])
        return {
            "pair": pair,
            "caption": sidecar.whole_caption,
            "canvas": sidecar.canvas,
            "left": self._side_json(left, pair),
            "right": self._side_json(right, pair),
        }

    def answers_of(self, reviewer: str, pair: str, given: Mapping[str, str], answer_id: str) -> list[Answer]:
        """What to store when a reviewer has answered with ``left``, ``right`` or ``draw``.

        Raises:
            RequestError: when a question is missing or unknown, or there is no such pair.
        """
        if pair not in self.pairs:
            raise not_found("there is no such pair")
        if set(given) != {question.name for question in QUESTIONS}:
            raise bad_request(f"answer {', '.join(question.name for question in QUESTIONS)}")
        left = self.left_is(reviewer, pair)
        right = "b" if left == "a" else "a"
        meaning = {"left": left, "right": right, "draw": "draw"}
        return [
            Answer(answer_id, self.name, pair, question, meaning[side], left, reviewer)
            for question, side in given.items()
        ]

    def image(self, token: str, member: str) -> bytes:
        """A picture by its blind address. Raises RequestError."""
        if token not in self._tokens or not IMAGE_MEMBER.fullmatch(member):
            raise not_found("there is no such picture")
        name, sample_id = self._tokens[token]
        content = self._designs[name].read(sample_id, member)
        png_size(content)
        return content

    def _side_json(self, name: Set, pair: str) -> dict[str, Any]:
        sample_id = self.pairs[pair][0 if name == "a" else 1]
        token = hashlib.blake2b(f"{name}/{sample_id}".encode(), digest_size=12, key=self._secret).hexdigest()
        self._tokens[token] = (name, sample_id)
        sidecar = self._sidecar(name, sample_id)
        return {
            "whole": f"/compare/{token}/{WHOLE_IMAGE_MEMBER}",
            "base": f"/compare/{token}/{BASE_IMAGE_MEMBER}",
            "canvas": sidecar.canvas,
            "layers": [
                {"image": f"/compare/{token}/{layer_member(position)}", "box": layer.box, "caption": layer.caption}
                for position, layer in enumerate(sidecar.layers)
            ],
        }

    def _sidecar(self, name: Set, sample_id: str) -> Sidecar:
        return _sidecar(self._designs[name], sample_id)

    def _draw(self, purpose: str, reviewer: str, pair: str) -> int:
        text = f"{self.name}/{purpose}/{reviewer}/{pair}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def results_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Win, draw and lose of A by question, each a share with its 95 % interval: Wilson's where every pair was judged
    once, and the bootstrap over pairs where several people judged the same ones."""
    results = []
    for question in QUESTIONS:
        of_question = [each for each in answers if each.question == question.name]
        counts = {name: sum(each.answer == name for each in of_question) for name in ("a", "draw", "b")}
        total = len(of_question)
        shares = {name: Share(count, total).as_json() for name, count in counts.items()}
        if len({each.pair for each in of_question}) < total:
            for name, interval in _bootstrap(of_question).items():
                shares[name]["interval"] = interval
        results.append(
            {
                "name": question.name,
                "title": question.title,
                "total": total,
                "reviewers": len({each.reviewer for each in of_question}),
                **shares,
            }
        )
    return results


def _bootstrap(answers: Sequence[Answer]) -> dict[str, list[float]]:
    pairs = sorted({each.pair for each in answers})
    number = {pair: place for place, pair in enumerate(pairs)}
    counts = np.zeros((len(pairs), 3))
    for each in answers:
        counts[number[each.pair], ("a", "draw", "b").index(each.answer)] += 1
    draws = np.random.default_rng(0).integers(len(pairs), size=(_REPLICATES, len(pairs)))
    drawn = counts[draws].sum(axis=1)
    low, high = np.percentile(drawn / drawn.sum(axis=1, keepdims=True), [2.5, 97.5], axis=0)
    return {name: [float(low[place]), float(high[place])] for place, name in enumerate(("a", "draw", "b"))}


def _pairs(a: Designs, b: Designs) -> dict[str, tuple[str, str]]:
    """Designs with the same id; where there are none, those of the same brief."""
    others = set(b.sample_ids)
    same = {sample_id: (sample_id, sample_id) for sample_id in a.sample_ids if sample_id in others}
    if same:
        return same
    by_brief: dict[str, str] = {}
    for sample_id in b.sample_ids:
        if brief := _brief_of(b, sample_id):
            by_brief.setdefault(brief, sample_id)
    pairs: dict[str, tuple[str, str]] = {}
    for sample_id in a.sample_ids:
        brief = _brief_of(a, sample_id)
        if brief in by_brief:
            pairs.setdefault(brief, (sample_id, by_brief[brief]))
    return pairs


def _brief_of(designs: Designs, sample_id: str) -> str:
    return _sidecar(designs, sample_id).provenance.get("brief", "")


def _sidecar(designs: Designs, sample_id: str) -> Sidecar:
    try:
        return Sidecar.from_json(designs.read(sample_id, SIDECAR_MEMBER))
    except ValueError as error:
        raise RequestError(422, f"{sample_id}: {error}") from error


class _RunDesigns:
    """The finished samples of a run, whatever was decided about them."""

    def __init__(self, run: RunDirectory) -> None:
        self._library = Library(run, {})
        self._library.refresh()
        if not len(self._library.columns):
            raise UserError(f"{run.place} has no finished sample yet")

    @property
    def sample_ids(self) -> Sequence[str]:
        return self._library.columns.ids

    def read(self, sample_id: str, member: str) -> bytes:
        return self._library.member(self._library.row(sample_id), member)


class _PublishedDesigns:
    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self.sample_ids: Sequence[str] = publication.sample_ids

    def read(self, sample_id: str, member: str) -> bytes:
        def content() -> bytes:
            placement = self._publication.placement(sample_id)
            if any(each.name == member and each.size > MOST_IMAGE_BYTES for each in placement.members):
                raise ValueError(f"{member} is too large to be shown")
            return self._publication.members(sample_id, [member])[member]

        return _read(content, sample_id, member)


class _FolderDesigns:
    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: give a run, a publication or a layered folder")
        keys = [path.name.removesuffix(".json") for path in sorted(folder.glob("*.json"))]
        self.sample_ids: Sequence[str] = [key for key in keys if (folder / f"{key}.{BASE_IMAGE_MEMBER}").is_file()]
        if not self.sample_ids:
            raise UserError(f"{folder} holds no designs: give a run, a publication or a layered folder")
        self._folder = folder

    def read(self, sample_id: str, member: str) -> bytes:
        def content() -> bytes:
            path = self._folder / f"{sample_id}.{member}"
            if path.stat().st_size > MOST_IMAGE_BYTES:
                raise ValueError(f"{member} is too large to be shown")
            return path.read_bytes()

        return _read(content, sample_id, member)


def _read(content: Callable[[], bytes], sample_id: str, member: str) -> bytes:
    try:
        return content()
    except (KeyError, FileNotFoundError) as error:
        raise not_found(f"design {sample_id} has no {member}") from error
    except (OSError, ValueError) as error:
        raise RequestError(422, f"design {sample_id}: {error}") from error


def _absolute(place: Path | str) -> str:
    path = local_path(place)
    return str(place) if path is None else str(path.resolve())
