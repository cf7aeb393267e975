"""The dashboard asks only for what is exported, and shows all of it."""

import json
import re
from typing import Any

from pipeline.metrics import METRICS
from tests.conftest import REPOSITORY

DASHBOARD: dict[str, Any] = json.loads((REPOSITORY / "deploy/grafana/layerprism.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
LABELS = {metric.name: {"run", "result", *metric.labels} for metric in METRICS}


def asked_for(expression: str) -> set[str]:
    """The metrics that an expression names; the parts of a histogram count as the histogram."""
    names = re.findall(r"layerprism_\w+", expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_every_metric_that_is_asked_for_is_exported() -> None:
    exported = {metric.name for metric in METRICS}
    for expression in EXPRESSIONS:
        assert asked_for(expression), expression
        assert asked_for(expression) <= exported, expression


def test_every_metric_that_is_exported_is_shown() -> None:
    assert {name for expression in EXPRESSIONS for name in asked_for(expression)} == {metric.name for metric in METRICS}


def test_a_histogram_is_asked_for_its_buckets_and_nothing_else_is() -> None:
    histograms = {metric.name for metric in METRICS if metric.kind == "histogram"}
    for expression in EXPRESSIONS:
        assert {name.removesuffix("_bucket") for name in re.findall(r"layerprism_\w+_bucket", expression)} <= histograms
        for name in histograms & asked_for(expression):
            assert f"{name}_bucket" in expression


def test_groups_and_filters_use_labels_that_the_metrics_have() -> None:
    for expression in EXPRESSIONS:
        known = set.union(*(LABELS[name] for name in asked_for(expression))) | {"le"}
        grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        filtered = set(re.findall(r"[{,](\w+)=", expression)) - {"__name__"}
        assert grouped | filtered <= known, expression


def test_counters_are_seen_by_their_rate_and_whatever_ray_calls_them() -> None:
    kinds = {metric.name: metric.kind for metric in METRICS}
    for expression in EXPRESSIONS:
        for name in re.findall(r"layerprism_\w+", expression):
            assert f'__name__=~"(ray_)?{name}"' in expression
        if "rate(" in expression:
            assert all(kinds[name] != "gauge" for name in asked_for(expression))


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_run_can_be_chosen() -> None:
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"datasource", "run"}
    assert all('run=~"$run"' in expression for expression in EXPRESSIONS)
