"""An evaluation is written as numbers, a table, charts and a page, whatever was and was not measured."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.bench import open_bench
from evaluation.comparison import compare
from evaluation.judge import Judge
from evaluation.measurement import figures_of
from evaluation.samples import FolderSamples
from pipeline.evaluate import ComparedPair, Evaluation, ModelResult
from pipeline.evaluate_charts import draw_comparisons, draw_metrics
from pipeline.evaluate_config import load_evaluate_config
from pipeline.evaluate_drawing import Drawn, wanted_of
from pipeline.evaluate_page import render_page
from pipeline.evaluate_report import markdown, notes, table_rows, write_evaluation
from tests.evaluation.test_measurement import measured
from tests.pipeline.small_bench import COUNT, small_bench, write_config

VALIDITY = {"top1_concepts": 0.999, "top1_pairs": 0.9919, "swaps": 1.0}


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Two models of made-up numbers, whose pictures are the true ones; one of them lacks a design."""
    folder = small_bench(tmp_path / "bench")
    models = {"ART": {"samples": "truth"}, "<i>plus</i>": {"samples": "truth"}}
    config = load_evaluate_config(write_config(folder, models))
    bench = open_bench(config.bench)
    wanted = wanted_of(bench.items, 1)
    made = Drawn(FolderSamples(folder / "truth"), {each.key: each.item.brief.id for each in wanted}, None, {"a": "b"})
    pictures = {
        name: [measured(each.item.brief.id, found=found, seed=found) for each in wanted]
        for name, found in (("ART", 1), ("<i>plus</i>", 2))
    }
    truth = [measured(each.item.brief.id, seed=9) for each in wanted]
    results = [
        ModelResult(name, made.about, figures_of(pictures[name], truth), COUNT, left_out)
        for name, left_out in (("ART", 0), ("<i>plus</i>", 1))
    ]
    pair = ComparedPair("<i>plus</i>", "ART", compare([2.0] * 3, [1.0] * 3, ["a", "b", "c"]))
    return Evaluation(
        config,
        bench,
        Judge(None, (), VALIDITY),
        wanted,
        COUNT + 1,
        results,
        ModelResult("true designs", {}, figures_of(truth, ()), COUNT),
        [pair],
        dict.fromkeys(models, made),
        pictures,
    )


def test_the_table_has_a_cell_for_each_model_and_says_what_was_not_measured(evaluation: Evaluation) -> None:
    rows = dict(table_rows(evaluation))
    assert rows["named things found, one to one ↑"][0] == "50.0 % (50.0 … 50.0)"
    assert rows["named things found, one to one ↑"][1].startswith("100.0 % (")
    recomposed = rows["layers against the merged image, PSNR in dB ↑"]
    assert recomposed == ["21.0 (21.0 … 21.0)", "22.0 (22.0 … 22.0)", "21.0 (21.0 … 21.0)"]
    assert rows["KID × 1000 of whole images ↓"][2] == "–"
    assert "seconds per design ↓" not in rows
    told = "\n".join(notes(evaluation))
    assert "<i>plus</i> lacks 1 of 4 designs; no model is measured on these." in told
    assert "99.9 % of held-out sprites" in told
    assert "seconds per design: it was not drawn here (ART, <i>plus</i>)" in told


def test_markdown_is_a_table_of_equal_rows(evaluation: Evaluation) -> None:
    text = markdown(evaluation)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    measured_rows = lines[: lines.index("| | won | drawn | lost | wins and half of the draws |")]
    assert {line.count("|") for line in measured_rows} == {5}
    assert "| <i>plus</i> against ART | 100.0 % | 0.0 % | 0.0 % | 100.0 % (" in text


def test_the_page_escapes_and_shows_each_brief_beside_its_truth(evaluation: Evaluation) -> None:
    page, pictures = render_page(evaluation, table_rows(evaluation), notes(evaluation))
    assert "<i>plus</i>" not in page
    assert "&lt;i&gt;plus&lt;/i&gt;" in page
    # A whole image, a base and three layers, of the truth and of two models.
    assert len(pictures) == COUNT * 3 * 5
    assert all(f'src="{name}"' in page for name in pictures)
    with Image.open(io.BytesIO(pictures["pictures/d0-00.truth.whole.webp"])) as shown:
        assert shown.size == (64, 48)
    assert "2 of 2 found" in page


def test_charts_are_pictures(evaluation: Evaluation) -> None:
    for data in (draw_metrics(evaluation), draw_comparisons(evaluation.pairs)):
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert min(pixels.shape[:2]) > 100
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_everything_is_written_and_the_numbers_are_json(evaluation: Evaluation, tmp_path: Path) -> None:
    page = write_evaluation(evaluation, tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert numbers["bench"] | {"title": ""} == {
        "title": "",
        "briefs": 3,
        "pictures_of_each_model": 3,
        "pictures_planned": 4,
        "named": 6,
    }
    assert numbers["models"]["ART"]["figures"]["found"]["value"] == 0.5
    assert numbers["models"]["<i>plus</i>"]["lacks"] == 1
    assert numbers["comparisons"][0]["points"]["value"] == 1
    assert numbers["judge"] == VALIDITY
    assert numbers["things"]["ART"] == {"car": {"named": 3, "found": 0}, "dog": {"named": 3, "found": 3}}
