"""Immiscible noise on layers: ART+ trained with each kind of noise, drawn in few steps and in many.

    python -m benchmarks.immiscible_art [--folder runs/study/noise] [--train-steps 1500] [--steps 2 5 16] [--limit N]

The trainings are those of the study (`configs/art_plus/study.yaml`, `docs/study.md` says how its sets are made) and
differ by `noise.kind` alone; the bench is the design bench, one picture of each brief. Measured are the kernel distance
to true designs, of whole images and of layers, and the named things that are found. Everything is kept in the folder,
and the same command goes on from there.
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
from configs import DEMO_CONFIG

RESULTS: Final = Path(__file__).parent / "results" / "immiscible_art.json"
KINDS: Final[tuple[NoiseKind, ...]] = get_args(NoiseKind)
STEPS: Final = (2, 5, 16)
TRAINING: Final = DEMO_CONFIG.parent / "art_plus" / "study.yaml"
EVALUATION: Final = DEMO_CONFIG.parent / "study" / "evaluate.yaml"
FIGURES: Final = {"kid_whole": "KID × 1000, whole", "kid_layers": "KID × 1000, layers", "found": "named things found"}

Figures = dict[str, Any]


def train(kind: NoiseKind, folder: Path, steps: int, overrides: Sequence[str]) -> Path:
    """The model's folder; a training that was stopped goes on."""
    out = folder / kind
    model = out / "model"
    if not (model / "art.json").exists():
        settings = (f"noise.kind={kind}", f"name={kind}", f"out={out.resolve()}", f"steps={steps}", *overrides)
        _layerprism("train", str(TRAINING), *_set(settings))
    return model


def evaluate(kind: NoiseKind, model: Path, steps: int, folder: Path, limit: int | None) -> Figures:
    """What the bench says of a model at so many steps: value and interval by the figure's name."""
    out = folder / "evaluations" / f"{kind}-{steps}"
    settings = [
        f"models={{{kind}: {{art: {model.resolve()}}}}}",
        "compare=[]",
        "bench.draws=1",
        f"sampler.steps={steps}",
    ]
    settings += [f"bench.limit={limit}"] if limit else []
    _layerprism("evaluate", str(EVALUATION), "--out", str(out), *_set(settings))
    figures: Figures = json.loads((out / "evaluation.json").read_text())["models"][kind]["figures"]
    return {name: figures[name] for name in FIGURES if name in figures}


def _set(settings: Sequence[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def _layerprism(*arguments: str) -> None:
    program = (sys.executable, "-c", "from pipeline.cli import main; main()")
    if code := subprocess.run([*program, *arguments]).returncode:
        raise SystemExit(f"layerprism {' '.join(arguments)} ended with exit code {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/study/noise"))
    parser.add_argument("--train-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--limit", type=int, help="briefs of the bench; all when it is left out")
    parser.add_argument("--set", action="append", default=[], help="overrides of the training's configuration")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    rows: dict[str, dict[int, Figures]] = {}
    for kind in KINDS:
        model = train(kind, given.folder, given.train_steps, given.set)
        rows[kind] = {steps: evaluate(kind, model, steps, given.folder, given.limit) for steps in given.steps}
    table = Table("noise", "steps", *FIGURES.values(), title=f"{given.train_steps} training steps; {machine()}")
    for name, by_steps in rows.items():
        for steps, figures in by_steps.items():
            table.add_row(name, str(steps), *(_cell(figures.get(figure)) for figure in FIGURES))
    Console(width=140).print(table)
    given.json.write_text(
        json.dumps({"machine": machine(), "training_steps": given.train_steps, "kinds": rows}, indent=1) + "\n"
    )


def _cell(figure: Figures | None) -> str:
    if figure is None:
        return "–"
    low, high = figure["interval"]
    return f"{figure['value']:.3g} ({low:.3g} … {high:.3g})"


if __name__ == "__main__":
    main()
