"""Everything that is measured of one model's pictures, and the metrics that this comes to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from evaluation.alpha_statistics import alpha_statistics
from evaluation.bench import BenchItem
from evaluation.concepts import empty_or_repeated, found
from evaluation.features import Extractor, unit_vectors
from evaluation.frechet import TIMES_DIMENSIONS, enough_for_frechet, frechet_distance
from evaluation.intervals import Estimate, Floats, Rate, mean_rate, share_estimate
from evaluation.judge import Judge
from evaluation.kernel_distances import cmmd, kid
from evaluation.layer_alignment import layer_errors
from evaluation.similarity import psnr, ssim
from filters.clip import ClipEncoder, layer_picture
from layered.image import LayeredImage
from layered.sidecar import Sidecar

KID_SCALE: Final = 1000.0
"""KID is shown in thousandths."""


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        digits: after the point.
        percent: shown as a percentage.
        better: which way is better; empty where neither is.
    """

    name: str
    title: str
    digits: int
    better: Literal["higher", "lower", ""] = ""
    percent: bool = False

    def shown(self, value: float) -> str:
        """The value as people read it."""
        text = f"{100 * value if self.percent else value:.{self.digits}f}"
        if float(text) == 0:
            text = text.removeprefix("-")
        return f"{text} %" if self.percent else text


METRICS: Final = (
    Metric("found", "named things found, one to one", 1, "higher", percent=True),
    Metric("found_by_chance", "things that another brief names found (chance)", 1, percent=True),
    Metric("clip_whole", "CLIP, whole image and caption", 3, "higher"),
    Metric("clip_margin", "CLIP, own caption over another brief's", 3, "higher"),
    Metric("empty_or_repeated", "empty or repeated layers", 1, "lower", percent=True),
    Metric("recomposition_psnr", "layers against the merged image, PSNR in dB", 1, "higher"),
    Metric("recomposition_ssim", "layers against the merged image, SSIM", 3, "higher"),
    Metric("kid_whole", "KID × 1000 of whole images", 2, "lower"),
    Metric("kid_layers", "KID × 1000 of layers", 2, "lower"),
    Metric("cmmd_whole", "CMMD of whole images", 2, "lower"),
    Metric("cmmd_layers", "CMMD of layers", 2, "lower"),
    Metric("frechet_whole", "Fréchet distance of whole images", 2, "lower"),
    Metric("frechet_layers", "Fréchet distance of layers", 2, "lower"),
    Metric("layer_rgb_l1", "aligned layers against the truth, RGB L1", 3, "lower"),
    Metric("layer_soft_iou", "aligned layers against the truth, soft IoU", 3, "higher"),
    Metric("alpha_coverage", "mean alpha of a layer's box", 3),
    Metric("alpha_partial", "visible pixels that are not opaque", 1, percent=True),
    Metric("alpha_rectangles", "layers that are opaque rectangles", 1, "lower", percent=True),
    Metric("seconds", "seconds per design", 2, "lower"),
)

Figure = Estimate | float
"""A metric's value, with its interval where there is one."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A design that a model drew for a brief, or the true one."""

    item: BenchItem
    image: LayeredImage
    sidecar: Sidecar

    def drawn_layers(self) -> LayeredImage:
        """The design without its text layers, which a font drew."""
        return self.image.without({record.index for record in self.sidecar.layers if record.kind == "text"})


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one picture.

    Attributes:
        named, found: the labels that the brief names, and which of them are found.
        strange_found, strange_named: how many are found of the names of another brief, and how many these are.
        whole, layers: features ``[1, dim]`` and ``[layers, dim]``.
        clip_whole, clip_layers: the same as CLIP's unit vectors.
        recomposition: PSNR and SSIM; None where the model predicts no whole image.
        errors: RGB L1 and soft IoU of the aligned layers; None where there is no truth.
        alpha: sums over the layers of coverage, partial and rectangle.
    """

    brief: str
    named: tuple[str, ...]
    found: tuple[str, ...]
    strange_named: int
    strange_found: int
    layer_count: int
    spoiled: int
    clip_cosine: float
    clip_strange_cosine: float
    recomposition: tuple[float, float] | None
    errors: tuple[float, float] | None
    alpha: tuple[float, float, float]
    whole: Floats
    layers: Floats
    clip_whole: Floats
    clip_layers: Floats


@dataclass(frozen=True, eq=False)
class Instruments:
    """What pictures are measured with.

    Attributes:
        features: the extractor of KID and the Fréchet distance.
    """

    judge: Judge
    clip: ClipEncoder
    clip_features: Extractor
    features: Extractor

    def measure(self, picture: Picture, stranger: BenchItem, truth: LayeredImage | None) -> Measured:
        """Measures one picture; `stranger` is the brief whose names and caption stand for chance."""
        item, drawn = picture.item, picture.drawn_layers()
        whole = picture.image.whole()
        views = [layer_picture(layer.pixels) for layer in drawn.layers]
        clip_whole, clip_layers = self._features(self.clip_features, [whole]), self._features(self.clip_features, views)
        same = self.features is self.clip_features
        unit = unit_vectors(clip_whole)
        merged = picture.image.merged
        errors = None if truth is None else layer_errors(picture.image, truth)
        alphas = [alpha_statistics(layer.pixels) for layer in drawn.layers]
        return Measured(
            brief=item.brief.id,
            named=item.named,
            found=tuple(found(self.judge, drawn, item.named)),
            strange_named=len(stranger.named),
            strange_found=len(found(self.judge, drawn, stranger.named)),
            layer_count=len(drawn.layers),
            spoiled=empty_or_repeated(self.judge, drawn, item.named),
            clip_cosine=float(unit[0] @ self.clip.embed_text(item.brief.whole_caption)),
            clip_strange_cosine=float(unit[0] @ self.clip.embed_text(stranger.brief.whole_caption)),
            recomposition=None if merged is None else (psnr(whole, merged), ssim(whole, merged)),
            errors=None if errors is None else (errors.rgb_l1, errors.soft_iou),
            alpha=(
                sum(each.coverage for each in alphas),
                sum(each.partial for each in alphas),
                sum(each.rectangle for each in alphas),
            ),
            whole=clip_whole if same else self._features(self.features, [whole]),
            layers=clip_layers if same else self._features(self.features, views),
            clip_whole=unit,
            clip_layers=unit_vectors(clip_layers),
        )

    @staticmethod
    def _features(extractor: Extractor, pictures: Sequence[np.ndarray]) -> Floats:
        return extractor(pictures) if pictures else np.zeros((0, 1))


@dataclass(frozen=True)
class Figures:
    """A model's metrics by name, and why others could not be measured."""

    values: Mapping[str, Figure]
    missing: Mapping[str, str]


def figures_of(
    pictures: Sequence[Measured], truth: Sequence[Measured], seconds: Sequence[float] | None = None
) -> Figures:
    """All metrics of a model's pictures.

    Args:
        truth: the true designs; empty where there are none.
        seconds: per picture; None where nobody knows.
    """
    values: dict[str, Figure] = {}
    missing: dict[str, str] = {}
    briefs = [picture.brief for picture in pictures]

    def rate(name: str, counts: Sequence[float], totals: Sequence[float], why_not: str) -> None:
        if sum(totals) > 0:
            values[name] = share_estimate(Rate(counts, totals, briefs))
        else:
            missing[name] = why_not

    named, layers = [len(each.named) for each in pictures], [each.layer_count for each in pictures]
    strange = [each.strange_named for each in pictures]
    rate("found", [len(each.found) for each in pictures], named, "the prompts name nothing that the judge knows")
    rate("found_by_chance", [each.strange_found for each in pictures], strange, "the prompts name nothing")
    rate("empty_or_repeated", [each.spoiled for each in pictures], layers, "there are no layers")
    for place, name in enumerate(("alpha_coverage", "alpha_partial", "alpha_rectangles")):
        rate(name, [each.alpha[place] for each in pictures], layers, "there are no layers")
    values["clip_whole"] = mean_rate([each.clip_cosine for each in pictures], briefs).estimate()
    margins = [each.clip_cosine - each.clip_strange_cosine for each in pictures]
    values["clip_margin"] = mean_rate(margins, briefs).estimate()
    pairs = [each.recomposition for each in pictures if each.recomposition is not None]
    of_pairs = [each.brief for each in pictures if each.recomposition is not None]
    _means(values, missing, ("recomposition_psnr", "recomposition_ssim"), pairs, of_pairs, "it draws no merged image")
    errors = [each.errors for each in pictures if each.errors is not None]
    of_errors = [each.brief for each in pictures if each.errors is not None]
    _means(values, missing, ("layer_rgb_l1", "layer_soft_iou"), errors, of_errors, "there is no truth")
    for part in ("whole", "layers"):
        _distances(values, missing, part, pictures, truth)
    if seconds is None:
        missing["seconds"] = "it was not drawn here"
    else:
        values["seconds"] = mean_rate(seconds, briefs).estimate()
    return Figures({metric.name: values[metric.name] for metric in METRICS if metric.name in values}, missing)


def _means(
    values: dict[str, Figure],
    missing: dict[str, str],
    names: tuple[str, str],
    pairs: Sequence[tuple[float, float]],
    briefs: Sequence[Hashable],
    why_not: str,
) -> None:
    for place, name in enumerate(names):
        if pairs:
            values[name] = mean_rate([pair[place] for pair in pairs], briefs).estimate()
        else:
            missing[name] = why_not


def _distances(
    values: dict[str, Figure],
    missing: dict[str, str],
    part: str,
    pictures: Sequence[Measured],
    truth: Sequence[Measured],
) -> None:
    """KID, CMMD and the Fréchet distance of whole images or of layers."""
    names = [f"{kind}_{part}" for kind in ("kid", "cmmd", "frechet")]
    if not truth:
        missing.update(dict.fromkeys(names, "there is no truth"))
        return
    own, own_briefs = _stacked(pictures, part)
    true, true_briefs = _stacked(truth, part)
    own_unit, true_unit = (_stacked(each, f"clip_{part}")[0] for each in (pictures, truth))
    if min(len(set(own_briefs)), len(set(true_briefs))) < 2:
        missing.update(dict.fromkeys(names, "there are pictures of fewer than two briefs"))
        return
    distance = kid(own, own_briefs, true, true_briefs)
    values[names[0]] = Estimate(KID_SCALE * distance.value, KID_SCALE * distance.low, KID_SCALE * distance.high)
    values[names[1]] = cmmd(own_unit, own_briefs, true_unit, true_briefs)
    dimensions, fewest = own.shape[1], min(len(own), len(true))
    if enough_for_frechet(fewest, dimensions):
        values[names[2]] = frechet_distance(own, true)
    else:
        missing[names[2]] = f"{fewest} pictures are not {TIMES_DIMENSIONS} times the {dimensions} dimensions"


def _stacked(pictures: Sequence[Measured], part: str) -> tuple[Floats, list[Hashable]]:
    """The features of all pictures, and the brief of each row."""
    rows = [(getattr(each, part), each.brief) for each in pictures]
    rows = [(features, brief) for features, brief in rows if len(features)]
    if not rows:
        return np.zeros((0, 1)), []
    return np.concatenate([features for features, _ in rows]), [brief for features, brief in rows for _ in features]
