"""The snippets of `docs/reading.md` run on a small publication, in the libraries that they show."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards.reader import Publication
from shards.writer import ShardConfig, write_publication
from tests.conftest import REPOSITORY
from tests.docs.documents import Block, blocks
from tests.shards.samples import shard_samples

SNIPPETS = [block for block in blocks(REPOSITORY / "docs" / "reading.md") if block.language == "python"]


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    return write_publication(shard_samples(10), tmp_path_factory.mktemp("reading") / "shards", ShardConfig())


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: f"line {snippet.line}")
def test_a_snippet_runs(
    snippet: Block, publication: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    if "import ray" in snippet.text:
        request.getfixturevalue("ray_session")  # one Ray for all tests
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    # A path that holds everywhere: the one Ray of all tests was started in another folder.
    code = snippet.text.replace("runs/demo/shards", str(publication.path))
    exec(compile(code, snippet.name, "exec"), names)
    if "whole.png" in snippet.text:
        image, _ = publication.sample(publication.sample_ids[0])
        difference = np.abs(np.array(Image.open("whole.png")).astype(int) - image.whole())
        assert difference.max() <= 3
    if "layer" in names and isinstance(names["layer"], Image.Image):
        assert names["layer"].mode == "RGBA"


def test_every_library_of_the_page_has_its_snippet() -> None:
    code = "\n".join(snippet.text for snippet in SNIPPETS)
    for library in ("webdataset", "datasets", "ray", "pandas", "duckdb", "PIL", "shards"):
        assert f"import {library}" in code or f"from {library}" in code
