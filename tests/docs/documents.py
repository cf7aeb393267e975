"""The commands and snippets of README and docs: fenced ``sh`` and ``python`` blocks, and README's indented commands.

``<!-- not run: reason -->`` stands above a block that a test cannot run; ``<!-- needs: command -->`` is run, not shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

NEEDS = re.compile(r"<!-- needs: (.+?)\s*-->", re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
_PROGRAMS = ("layerprism", "make", "git", "python", "source", "pip")


@dataclass(frozen=True)
class Block:
    """Something that a reader is told to run.

    Attributes:
        language: ``sh`` or ``python``.
        not_run: why a test cannot run it; empty when it is run.
    """

    document: Path
    line: int
    language: str
    text: str
    not_run: str

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(REPOSITORY)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each `layerprism` command in it; what a here-document holds is no command."""
        if self.language != "sh":
            return []
        text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", self.text, flags=re.DOTALL | re.MULTILINE)
        lines = (shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines())
        return [words[1:] for words in lines if words and words[0] == "layerprism"]


def documents() -> list[Path]:
    """README and everything in docs that tells people to run something."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return [page for page in pages if any(blocks(page))]


def blocks(document: Path) -> Iterator[Block]:
    """The blocks of one document, in order."""
    text = document.read_text(encoding="utf-8")
    found: list[tuple[int, str, str]] = []
    for fence in _FENCE.finditer(text):
        if fence[1] in ("sh", "python"):
            found.append((fence.start(), fence[1], fence[2]))
    for needs in NEEDS.finditer(text):
        found.append((needs.start(), "sh", needs[1]))
    without_fences = _FENCE.sub(lambda fence: re.sub(r"[^\n]", "-", fence[0]), text)
    for indented in _INDENTED.finditer(without_fences):
        lines = [line.strip() for line in indented[0].splitlines() if line.strip() and line.strip()[0] != "#"]
        if lines and all(line.startswith(_PROGRAMS) for line in lines):
            found.append((indented.start(), "sh", "\n".join(lines)))
    for start, language, content in sorted(found):
        before = NOT_RUN.search(text[:start])
        yield Block(document, text.count("\n", 0, start) + 1, language, content, before[1] if before else "")
