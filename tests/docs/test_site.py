"""The site builds strictly and without a network, and its reference pages are those of this version."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from docs.reference import CONFIGURATIONS, commands_page, configuration_page
from pipeline.config import RunConfig
from tests.conftest import REPOSITORY


def test_the_commands_page_has_every_command_and_option() -> None:
    page = commands_page()
    assert "## layerprism import" in page
    assert "`--licence`" in page
    assert "layerprism run CONFIG [OPTIONS]" in page
    assert page.count("\n## ") >= 15


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_page_describes_every_key(name: str) -> None:
    title, model, commands = CONFIGURATIONS[name]
    page = configuration_page(title, model, commands)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    undescribed = [row.split("`")[1] for row in rows if row.rstrip().endswith("|  |")]
    assert len(undescribed) <= len(rows) // 5, undescribed


def test_keys_stand_under_their_section_with_type_and_default() -> None:
    page = configuration_page("Run", RunConfig, "`layerprism run`")
    assert "### `plan.briefs`" in page
    assert "| `format` | `jsonl` or `prismlayers` or `layouts` | `jsonl` |" in page
    assert "| `attempts` | integer |" in page
    # A default that the section above gives; twenty scores of one kind share one description.
    assert "| `alpha_empty` | section | `{enabled: true, threshold: 0.5}` |" in page
    assert page.count("### `filters.<name>`") == 1


def test_a_docstring_that_names_two_attributes_counts_for_both() -> None:
    class Pair(BaseModel):
        """A pair.

        Attributes:
            low, high: two numbers,
                in order.
        """

        low: int = 0
        high: int = 1

    page = configuration_page("Pair", Pair, "nothing")
    assert "| `low` | integer | `0` | two numbers, in order. |" in page
    assert "| `high` | integer | `1` | two numbers, in order. |" in page


@pytest.mark.parametrize("page", ["architecture.md", "papers.md", "decisions.md", "../README.md", "../CONTRIBUTING.md"])
def test_files_that_are_named_exist(page: str) -> None:
    """A path is what has a slash and a known ending, or ends with a slash."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:[\w*]+\.(?:py|yaml|json|jsonl))?)`", text))
    assert named or page.startswith("decisions")
    made = ("runs/", "build/")
    missing = [name for name in named if not name.startswith(made) and not any(REPOSITORY.glob(name.rstrip("/")))]
    inside_a_run = {"chunks/", "scores/", "index/", "decisions/", "shards/", "report/"}
    assert set(missing) <= inside_a_run


def test_the_site_builds_strictly_and_asks_nothing_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(REPOSITORY)
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    assert (tmp_path / "site" / "tutorials" / "curator.html").is_file()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for tag in ('<script src="http', 'rel="stylesheet" href="http', '<img src="http', "fonts.googleapis"):
            assert tag not in text, f"{page.name} loads something from elsewhere: {tag}"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the documents asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
