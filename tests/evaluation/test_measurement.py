"""The metrics of a set of pictures follow from what was measured of each; what cannot be measured says why."""

import numpy as np
import pytest

from evaluation.bench import BenchItem
from evaluation.features import FeaturesConfig, extractor_of
from evaluation.intervals import Estimate
from evaluation.judge import load_judge
from evaluation.measurement import METRICS, Figures, Instruments, Measured, Picture, figures_of
from filters.clip import ClipConfig, shared_clip
from layered.brief import Brief
from tests.evaluation.sprites import design_of
from tests.filters.designs import Plain, design


def measured(brief: str, *, found: int = 1, layers: int = 2, dim: int = 3, seed: int = 0) -> Measured:
    rng = np.random.default_rng([seed, *brief.encode()])
    return Measured(
        brief=brief,
        named=("dog", "car"),
        found=("dog", "car")[:found],
        strange_named=4,
        strange_found=1,
        layer_count=layers,
        spoiled=0,
        clip_cosine=0.5,
        clip_strange_cosine=0.2,
        recomposition=(20.0 + found, 0.5),
        errors=(0.1, 0.8),
        alpha=(0.5 * layers, 0.1 * layers, 1.0 if layers else 0.0),
        whole=rng.normal(size=(1, dim)),
        layers=rng.normal(size=(layers, dim)) if layers else np.zeros((0, 1)),
        clip_whole=rng.normal(size=(1, 4)),
        clip_layers=rng.normal(size=(layers, 4)) if layers else np.zeros((0, 1)),
    )


def value(figures: Figures, name: str) -> float:
    figure = figures.values[name]
    return figure.value if isinstance(figure, Estimate) else figure


def test_rates_are_over_all_pictures_and_means_over_those_that_have_one() -> None:
    pictures = [measured("a", found=2, layers=3), measured("b", found=0, layers=1), measured("b", found=1, layers=0)]
    figures = figures_of(pictures, (), [1.0, 2.0, 6.0])
    assert value(figures, "found") == pytest.approx(3 / 6)
    assert value(figures, "found_by_chance") == pytest.approx(0.25)
    assert value(figures, "empty_or_repeated") == 0
    assert value(figures, "alpha_coverage") == pytest.approx(0.5)
    assert value(figures, "alpha_rectangles") == pytest.approx(2 / 4)
    assert value(figures, "clip_margin") == pytest.approx(0.3)
    assert value(figures, "recomposition_psnr") == pytest.approx(21)
    assert value(figures, "seconds") == pytest.approx(3)
    assert figures.missing["kid_whole"] == "there is no truth"
    assert set(figures.values) | set(figures.missing) == {metric.name for metric in METRICS}


def test_a_frechet_distance_wants_four_pictures_per_dimension() -> None:
    pictures = [measured(f"b{number}", layers=number % 3) for number in range(12)]
    truth = [measured(f"b{number}", seed=1) for number in range(12)]
    figures = figures_of(pictures, truth)
    assert value(figures, "frechet_whole") > 0
    assert isinstance(figures.values["kid_layers"], Estimate)
    few = figures_of(pictures[:11], truth[:11])
    assert few.missing["frechet_whole"] == "11 pictures are not 4 times the 3 dimensions"
    assert few.missing["seconds"] == "it was not drawn here"


def test_models_without_layers_have_no_distance_of_layers() -> None:
    pictures = [measured(f"b{number}", layers=0) for number in range(3)]
    figures = figures_of(pictures, [measured(f"b{number}", seed=1) for number in range(3)])
    assert figures.missing["kid_layers"] == "there are pictures of fewer than two briefs"
    assert figures.missing["alpha_partial"] == "there are no layers"
    assert "kid_whole" in figures.values


def test_a_picture_is_measured_by_what_it_shows(emoji_font: None) -> None:
    image = design_of(["dog", "apple"])
    sidecar = design([Plain((0, 0, 64, 64)), Plain((0, 0, 64, 64))]).sidecar

    def item(*named: str) -> BenchItem:
        caption = " and ".join(named)
        brief = Brief(id="a", canvas=(128, 128), style="", whole_caption=caption, base_caption="", layers=())
        return BenchItem(brief=brief, named=named)

    features = extractor_of(FeaturesConfig(), ClipConfig())
    instruments = Instruments(load_judge(), shared_clip(ClipConfig()), features, features)
    found = instruments.measure(Picture(item("dog", "car"), image, sidecar), item("apple", "house"), image)
    assert (found.named, found.found, found.strange_named, found.strange_found) == (("dog", "car"), ("dog",), 2, 1)
    assert (found.layer_count, found.spoiled, found.recomposition, found.errors) == (2, 0, None, (0, 1))
    assert (found.whole.shape, found.layers.shape) == ((1, 192), (2, 192))
    as_text = sidecar.model_copy(
        update={"layers": (sidecar.layers[0], sidecar.layers[1].model_copy(update={"kind": "text"}))}
    )
    assert instruments.measure(Picture(item("dog"), image, as_text), item("apple"), None).layer_count == 1


def test_metrics_are_shown_with_their_digits_and_zero_has_no_sign() -> None:
    shown = {metric.name: metric.shown for metric in METRICS}
    assert shown["found"](0.3636) == "36.4 %"
    assert shown["kid_whole"](-0.004) == "0.00"
    assert shown["kid_whole"](-4.726) == "-4.73"
