"""What became of the things that ART had learnt (set A) and of those that it had not (set B), in an evaluation.

    python -m benchmarks.study [runs/study/evaluation] [--json benchmarks/results/study.json]

Goes with `docs/study.md`, whose commands train and evaluate. The file keeps the whole evaluation beside this table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from layered.errors import UserError
from models.recipes.art_designs import set_a

Things = Mapping[str, Mapping[str, int]]
"""Of each label, how often it was `named` and how often `found`: `things` of an `evaluation.json`."""


def by_set(things: Things) -> dict[str, dict[str, int]]:
    """The same counts, summed over each set."""
    sums = {"A": {"named": 0, "found": 0}, "B": {"named": 0, "found": 0}}
    for label, counts in things.items():
        for key in ("named", "found"):
            sums["A" if label in set_a() else "B"][key] += counts[key]
    return sums


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Everything that `layerprism evaluate` wrote into a folder.

    Raises:
        UserError: when there is nothing, or nothing that counts things.
    """
    path = folder / "evaluation.json"
    if not path.is_file():
        raise UserError(f"{path} does not exist: give the folder of `layerprism evaluate`")
    evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "things" not in evaluation:
        raise UserError(f"{path} does not count things: run `layerprism evaluate` again, which draws nothing twice")
    return evaluation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, nargs="?", default=Path("runs/study/evaluation"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        evaluation = read_evaluation(given.evaluation)
    except UserError as error:
        parser.error(str(error))
    sums = {model: by_set(things) for model, things in evaluation["things"].items()}
    table = Table("found", *sums, title=f"{evaluation['name']}; {machine()}")
    for name in ("A", "B"):
        table.add_row(f"set {name}", *(_cell(model[name]) for model in sums.values()))
    Console(width=140).print(table)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "by_set": sums, **evaluation}, indent=1) + "\n")


def _cell(counts: Mapping[str, int]) -> str:
    if not counts["named"]:
        return "–"
    return f"{counts['found'] / counts['named']:.1%} of {counts['named']}"


if __name__ == "__main__":
    main()
