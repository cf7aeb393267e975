"""Numbers in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """``1 layer``, ``2 layers``, ``1,200 layers``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
