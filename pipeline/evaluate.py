"""`layerprism evaluate`: models drawn on one bench, measured alike, compared, and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evaluation.bench import Bench, BenchItem, open_bench
from evaluation.comparison import Comparison, compare
from evaluation.features import FeaturesConfig, extractor_of
from evaluation.judge import Judge, load_judge
from evaluation.measurement import Figures, Instruments, Measured, Picture, figures_of
from filters.clip import shared_clip
from layered import UserError
from pipeline.evaluate_config import EvaluateConfig
from pipeline.evaluate_drawing import Drawn, Wanted, draw_all, wanted_of


@dataclass(frozen=True, eq=False)
class ModelResult:
    """What was measured of one model.

    Attributes:
        about: facts about it by name.
        left_out: pictures that it lacks; no model is measured on these.
    """

    name: str
    about: Mapping[str, str]
    figures: Figures
    pictures: int
    left_out: int = 0


@dataclass(frozen=True)
class ComparedPair:
    """Two models, the first against the second, by the named things found."""

    first: str
    second: str
    result: Comparison


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that an evaluation found.

    Attributes:
        wanted: pictures that all models have and were measured on.
        planned: pictures that each model was to make.
        truth: the true designs, measured like a model; None where there are none.
        drawn: the models' pictures.
        measured: what was measured of them, by the model's name, in the order of `wanted`.
    """

    config: EvaluateConfig
    bench: Bench
    judge: Judge
    wanted: Sequence[Wanted]
    planned: int
    models: Sequence[ModelResult]
    truth: ModelResult | None
    pairs: Sequence[ComparedPair]
    drawn: Mapping[str, Drawn]
    measured: Mapping[str, Sequence[Measured]]


def evaluate(config: EvaluateConfig, out: Path, console: Console) -> Evaluation:
    """Draws what is missing into `out`, and measures.

    Raises:
        UserError: when the bench, a model or a folder cannot be used, or fewer than two briefs are left that every
            model has drawn.
    """
    bench = open_bench(config.bench)
    judge, clip = load_judge(), shared_clip(config.clip)
    clip_features = extractor_of(FeaturesConfig(), config.clip)
    features = clip_features if config.features.extractor == "clip" else extractor_of(config.features, config.clip)
    instruments = Instruments(judge, clip, clip_features, features)
    drawn = draw_all(config, bench, out, console)
    common = [each for each in _planned(config, bench) if all(each.key in made.sample_of for made in drawn.values())]
    if len({each.item.brief.id for each in common}) < 2:
        raise UserError("the models have pictures of fewer than two briefs in common: there is nothing to compare")
    items = list({each.item.brief.id: each.item for each in common}.values())
    strangers = {item.brief.id: items[(place + len(items) // 2) % len(items)] for place, item in enumerate(items)}
    measured = {}
    for name, made in drawn.items():
        console.print(f"{name}: measuring {len(common)} designs")
        measured[name] = [_measured(instruments, bench, made, each, strangers) for each in common]
    true = _measured_truth(instruments, bench, items, strangers)
    models = [
        ModelResult(
            name,
            made.about,
            figures_of(measured[name], true, _seconds(made, common)),
            len(common),
            len(_planned(config, bench)) - len(made.sample_of),
        )
        for name, made in drawn.items()
    ]
    of_truth = figures_of(true, ()) if true else None
    return Evaluation(
        config,
        bench,
        judge,
        common,
        len(_planned(config, bench)),
        models,
        ModelResult("true designs", {}, of_truth, len(true)) if of_truth else None,
        [_compared(measured, *pair) for pair in config.comparisons],
        drawn,
        measured,
    )


def _planned(config: EvaluateConfig, bench: Bench) -> list[Wanted]:
    trainings = max(max((len(model.folders) for model in config.models.values()), default=1), 1)
    return wanted_of(bench.items, config.bench.draws * trainings)


def _measured(
    instruments: Instruments, bench: Bench, made: Drawn, wanted: Wanted, strangers: Mapping[str, BenchItem]
) -> Measured:
    image, sidecar = made.samples.sample(made.sample_of[wanted.key])
    if image.canvas != wanted.item.brief.canvas:
        raise UserError(
            f"sample {sidecar.id} has a canvas of {list(image.canvas)}, its brief one of "
            f"{list(wanted.item.brief.canvas)}: they cannot be compared"
        )
    picture = Picture(wanted.item, image, sidecar)
    return instruments.measure(picture, strangers[wanted.item.brief.id], bench.truth(wanted.item))


def _measured_truth(
    instruments: Instruments, bench: Bench, items: Sequence[BenchItem], strangers: Mapping[str, BenchItem]
) -> list[Measured]:
    if bench.truth_of is None:
        return []
    found = []
    for item in items:
        picture = Picture(item, *bench.truth_of.sample(item.brief.id))
        found.append(instruments.measure(picture, strangers[item.brief.id], None))
    return found


def _seconds(made: Drawn, common: Sequence[Wanted]) -> list[float] | None:
    if made.seconds is None or any(each.key not in made.seconds for each in common):
        return None
    return [made.seconds[each.key] for each in common]


def _compared(measured: Mapping[str, Sequence[Measured]], first: str, second: str) -> ComparedPair:
    one, other = ([float(len(each.found)) for each in measured[name]] for name in (first, second))
    return ComparedPair(first, second, compare(one, other, [each.brief for each in measured[first]]))
