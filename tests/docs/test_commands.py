"""What README and docs tell people to run works: every command is one that exists, and every block is run in order."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pipeline.cli import app
from tests.conftest import REPOSITORY
from tests.docs.documents import Block, blocks, documents

DOCUMENTS = documents()
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
IDS = [str(document.relative_to(REPOSITORY)) for document in DOCUMENTS]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.commands()], ids=lambda block: block.name)
def test_every_command_exists_with_its_options(block: Block) -> None:
    group: Any = typer.main.get_command(app)
    for name, *arguments in block.commands():
        assert name in group.commands, f"there is no command {name}"
        group.commands[name].make_context(name, list(arguments))


def test_there_are_commands_and_snippets() -> None:
    assert sum(len(block.commands()) for block in BLOCKS) > 30
    assert sum(block.language == "python" for block in BLOCKS) > 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_block_of_a_document_runs_in_order(document: Path, tmp_path: Path) -> None:
    """In a folder with nothing but the configurations: what a block needs, an earlier one of the page has made."""
    if document.name == "reading.md":
        pytest.skip("its snippets are run by test_snippets.py")
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for block in blocks(document):
        if not block.not_run:
            run(block, tmp_path, environment)


def run(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    """Runs a block as a reader would. A run that flags noise or a failed sample is no failure of the document."""
    shell = ["bash", "-euo", "pipefail", "-c", block.text]
    command = shell if block.language == "sh" else [sys.executable, "-c", block.text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.name}\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
