"""What a driver said last, for a terminal, and a status that keeps itself up to date."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live as LiveDisplay
from rich.table import Table
from rich.text import Text

from pipeline.estimate_view import duration
from pipeline.live import Live

MOST_WORKERS = 16
SILENT_AFTER = 60.0
"""Seconds after which a worker that was busy before is shown as silent."""


def live_line(live: Live, now: float) -> str:
    """Pictures, rate and the age of both, in one line.

    Args:
        now: seconds since 1970 by the clock of whoever looks.
    """
    return f"{live.drawn:,} of {live.planned:,} drawn, {live.per_second:.1f}/s ({_ago(now - live.at)})"


def render_live(live: Live, now: float) -> RenderableType:
    """Stages and workers of the sitting."""
    grid = Table.grid(padding=(0, 4))
    stages = Table("stage", "done", "failed", "in it now", box=None, pad_edge=False)
    for column in stages.columns[1:]:
        column.justify = "right"
    stages.columns[0].no_wrap = True
    for name, stage in live.stages.items():
        if not stage.items and not stage.in_stage:
            continue
        failed = Text(f"{stage.failed:,}", style="red" if stage.failed else "")
        stages.add_row(name, f"{stage.items:,}", failed, f"{stage.in_stage:,}")
    workers = Table("worker", "last seen", "at", box=None, pad_edge=False)
    # Those that have been silent for longest first: they are what one looks for.
    shown = sorted(live.workers.items(), key=lambda item: item[1].last_seen)[:MOST_WORKERS]
    for name, worker in shown:
        silent = live.at - worker.last_seen > SILENT_AFTER
        seen = Text(_ago(now - worker.last_seen), style="yellow" if silent else "")
        workers.add_row(name, seen, f"{worker.stage}, chunk {worker.chunk}")
    if len(live.workers) > len(shown):
        workers.add_row(f"and {len(live.workers) - len(shown)} more", "", "")
    grid.add_row(stages, workers)
    return grid


def watch(look: Callable[[], tuple[RenderableType, str, bool]], every_seconds: float, console: Console) -> None:
    """Shows a status until there is nothing more to come; on something that is no terminal, a line each time.

    Args:
        look: what to show, the same in one line, and whether anything more is to come.
    """
    shown, line, goes_on = look()
    if not console.is_terminal:
        console.print(line, soft_wrap=True)
        while goes_on:
            time.sleep(every_seconds)
            _, line, goes_on = look()
            console.print(line, soft_wrap=True)
        return
    with LiveDisplay(shown, console=console, auto_refresh=False) as display:
        while goes_on:
            time.sleep(every_seconds)
            shown, _, goes_on = look()
            display.update(shown, refresh=True)


def _ago(seconds: float) -> str:
    # Two clocks are compared here, for the eye alone: a little ahead is now.
    return "now" if seconds < 2 else f"{duration(seconds)} ago"
