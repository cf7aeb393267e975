"""Measured numbers go into a model card by script, between two marks, so that no card tells what nobody measured."""

from collections.abc import Mapping
from pathlib import Path

from layered.errors import UserError

_START, _END = "<!-- measured: {} -->", "<!-- end: {} -->"


def write_section(card: Path, name: str, markdown: str) -> None:
    """Replaces what stands between the marks of `name` in a card; UserError when the card has no such marks."""
    text = card.read_text("utf-8")
    start, end = _START.format(name), _END.format(name)
    before, mark, rest = text.partition(start)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise UserError(f"{card}: there is no section between {start} and {end}")
    card.write_text(f"{before}{start}\n\n{markdown.strip()}\n\n{end}{after}", "utf-8")


def number_table(numbers: Mapping[str, float], what: Mapping[str, str]) -> str:
    """Markdown: one row per number, with the words of `what`; numbers without words are left out."""
    rows = [f"| {words} | {numbers[name]:.3f} |" for name, words in what.items() if name in numbers]
    return "\n".join(["| measured | value |", "|---|---|", *rows])
