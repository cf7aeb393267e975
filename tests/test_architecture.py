"""Which room may import which: the arrows of the architecture point one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = (
    *("layered", "shards", "ledger", "filters", "stages", "art_model"),
    *("evaluation", "exports", "models", "curation", "pipeline"),
)

MAY_IMPORT = {
    "layered": set(),
    "shards": {"layered"},
    "ledger": {"layered", "shards"},
    "filters": {"layered", "models"},
    "stages": {"layered", "shards", "filters", "art_model", "models"},
    "art_model": {"layered", "shards"},
    "evaluation": {"layered", "shards", "filters", "stages", "art_model", "models"},
    "exports": {"layered", "shards", "ledger"},
    "models": {"layered", "configs"},
    "curation": {"layered", "shards", "ledger", "filters"},
}

RAY_IS_IMPORTED_BY = {
    *(
        "pipeline/executor.py",
        "pipeline/ray_metrics.py",
        "pipeline/ray_pool.py",
        "pipeline/ray_worker.py",
        "pipeline/submit.py",
    ),
    "art_model/train.py",
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def files_of(room: str) -> Iterator[Path]:
    # The recipes are programs over everything, as benchmarks are.
    return (file for file in (REPOSITORY / room).rglob("*.py") if "recipes" not in file.parts)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    for file in files_of(room):
        for module in imports(file):
            other = module.partition(".")[0]
            if other in (*ROOMS, "configs") and other != room:
                assert other in MAY_IMPORT[room], f"{file.relative_to(REPOSITORY)} imports {module}"


def test_ray_is_known_to_the_executor_and_the_trainers_launcher_alone() -> None:
    found = {
        str(file.relative_to(REPOSITORY))
        for room in ROOMS
        for file in files_of(room)
        if any(module.partition(".")[0] == "ray" for module in imports(file))
    }
    assert found == RAY_IS_IMPORTED_BY


def test_the_review_page_knows_of_the_filters_only_their_taxonomy() -> None:
    for file in files_of("curation"):
        found = {module for module in imports(file) if module.partition(".")[0] == "filters"}
        assert found <= {"filters.taxonomy"}, file


def test_nothing_imports_the_command_line() -> None:
    for room in (*ROOMS, "benchmarks"):
        for file in (REPOSITORY / room).rglob("*.py"):
            assert "pipeline.cli" not in set(imports(file)), file


def test_no_pickle_is_loaded_or_written() -> None:
    for room in (*ROOMS, "benchmarks"):
        for file in (REPOSITORY / room).rglob("*.py"):
            assert not {"pickle", "dill", "joblib"} & set(imports(file)), file
            assert "torch.save(" not in file.read_text(encoding="utf-8"), file
            assert "torch.load(" not in file.read_text(encoding="utf-8"), file
