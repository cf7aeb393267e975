"""Immiscible noise on layers: ART+ trained with each kind of noise, drawn in few steps and in many.

    python -m benchmarks.immiscible_art [--train-steps 1500] [--steps 2 5 16] [--limit BRIEFS] [--json FILE]

The trainings are those of the study (`configs/art_plus/study.yaml`, `docs/study.md` says how its sets are made) and
differ by `noise.kind` alone; the bench is the design bench, one picture of each brief. Measured are the kernel distance
to true designs, of whole images and of layers, and the named things that are found. Everything is kept in
`runs/study/noise`, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

from rich.console import Console
from rich.table import Table

from art_model.noise import NoiseKind
from benchmarks.machine import machine

RESULTS: Final = Path(__file__).parent / "results" / "immiscible_art.json"
KINDS: Final[tuple[NoiseKind, ...]] = get_args(NoiseKind)
STEPS: Final = (2, 5, 16)
REPOSITORY: Final = Path(__file__).resolve().parents[1]
TRAINING: Final = REPOSITORY / "configs" / "art_plus" / "study.yaml"
EVALUATION: Final = REPOSITORY / "configs" / "study" / "noise.yaml"
FOLDER: Final = REPOSITORY / "runs" / "study" / "noise"
FIGURES: Final = {"kid_whole": "KID × 1000, whole", "kid_layers": "KID × 1000, layers", "found": "named things found"}

Figures = dict[str, Any]


def train(kind: NoiseKind, steps: int, overrides: Sequence[str]) -> None:
    """Trains, or goes on with, the model of one kind of noise."""
    out = FOLDER / kind
    if not (out / "model" / "art.json").exists():
        settings = (f"noise.kind={kind}", f"name={kind}", f"out={out}", f"steps={steps}", *overrides)
        _layerprism("train", str(TRAINING), *_set(settings))


def evaluate(steps: int, limit: int | None) -> dict[str, Figures]:
    """What the bench says of each model at so many steps: value and interval by the figure's name."""
    out = FOLDER / "evaluations" / str(steps)
    settings = [f"sampler.steps={steps}", *([f"bench.limit={limit}"] if limit else [])]
    _layerprism("evaluate", str(EVALUATION), "--out", str(out), *_set(settings))
    models: dict[str, Figures] = json.loads((out / "evaluation.json").read_text())["models"]
    return {kind: {name: models[kind]["figures"].get(name) for name in FIGURES} for kind in KINDS}


def _set(settings: Sequence[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def _layerprism(*arguments: str) -> None:
    program = (sys.executable, "-c", "from pipeline.cli import main; main()")
    if code := subprocess.run([*program, *arguments]).returncode:
        raise SystemExit(f"layerprism {' '.join(arguments)} ended with exit code {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--limit", type=int, help="briefs of the bench; all when it is left out")
    parser.add_argument("--set", action="append", default=[], help="overrides of the training's configuration")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    for kind in KINDS:
        train(kind, given.train_steps, given.set)
    by_steps = {steps: evaluate(steps, given.limit) for steps in given.steps}
    table = Table("noise", "steps", *FIGURES.values(), title=f"{given.train_steps} training steps; {machine()}")
    for kind in KINDS:
        for steps, figures in by_steps.items():
            table.add_row(kind, str(steps), *(_cell(figures[kind][name]) for name in FIGURES))
    Console(width=140).print(table)
    results = {"machine": machine(), "training_steps": given.train_steps, "by_steps": by_steps}
    given.json.write_text(json.dumps(results, indent=1) + "\n")


def _cell(figure: Figures | None) -> str:
    if figure is None:
        return "–"
    low, high = figure["interval"]
    return f"{figure['value']:.3g} ({low:.3g} … {high:.3g})"


if __name__ == "__main__":
    main()
