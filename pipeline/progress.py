"""What a person sees of a run while it works: a bar on a terminal, plain lines elsewhere, and a word when it stalls."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.pools import BatchReport

SECONDS_BETWEEN_LINES = 10.0


class RunProgress:
    """Counts drawn pictures, estimates the time left and notices when nothing moves.

    Args:
        planned: pictures that each pending chunk draws at first; redraws come on top.
        stage: the stage whose items are counted.
    """

    def __init__(self, console: Console, planned: Mapping[int, int], stage: str, noun: str) -> None:
        self._console, self._planned, self._stage, self._noun = console, dict(planned), stage, noun
        self._drawn: dict[int, int] = defaultdict(int)
        self._failed = 0
        self._finished_chunks: set[int] = set()
        self._started = self._last_line = self.last_movement = time.monotonic()
        self._last_report: BatchReport | None = None
        self._bar: Progress | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[RunProgress]:
        """Shows the bar, or says at the start what there is to do."""
        if self._console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
            with Progress(*columns, console=self._console, transient=True) as self._bar:
                self._bar.add_task(self.line(), total=max(1, sum(self._planned.values())))
                yield self
        else:
            self._console.print(self.line(), soft_wrap=True)
            yield self

    def add(self, planned: Mapping[int, int]) -> None:
        """Takes note of further chunks."""
        self._planned |= planned
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=max(1, sum(self._planned.values())))

    @property
    def pending_chunks(self) -> int:
        """Chunks that are not committed yet."""
        return len(self._planned) - len(self._finished_chunks)

    def on_batch(self, report: BatchReport) -> None:
        """Takes note of a finished batch."""
        self.last_movement = time.monotonic()
        self._last_report = report
        if report.stage == self._stage:
            self._drawn[report.chunk] += report.items
            self._failed += report.failed
            self._show()

    def on_chunk(self, chunk: int) -> None:
        """Takes note of a committed chunk."""
        self._finished_chunks.add(chunk)
        self._show()

    @property
    def drawn(self) -> tuple[int, int, int]:
        """Pictures drawn, pictures drawn again beyond those, and pictures planned; may be asked for by any thread."""
        drawn, planned = self._drawn.copy(), self._planned.copy()
        first = sum(min(drawn[chunk], count) for chunk, count in planned.items() if chunk in drawn)
        return first, sum(drawn.values()) - first, sum(planned.values())

    def say(self, message: str) -> None:
        """Prints a line above the bar."""
        self._console.print(message, soft_wrap=True, highlight=False)

    @asynccontextmanager
    async def watched(self, seconds: float) -> AsyncIterator[None]:
        """Says "no progress", and what it waits for, each time nothing has moved for so many seconds."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(min(seconds, 5.0))
                if time.monotonic() - self.last_movement >= seconds:
                    self.say(f"no progress for {seconds:g} s; {self._last_words()}")
                    self.last_movement = time.monotonic()

        watcher = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watcher.cancel()

    def _last_words(self) -> str:
        if self._last_report is None:
            return "no batch has finished yet: the models may still be loading"
        last = self._last_report
        return f"the last batch was {last.stage} of chunk {last.chunk} on {last.worker}"

    def _show(self) -> None:
        if self._bar is not None:
            done = sum(min(self._drawn[chunk], planned) for chunk, planned in self._planned.items())
            self._bar.update(self._bar.task_ids[0], completed=done, description=self.line())
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(self.line(), soft_wrap=True, highlight=False)

    def line(self) -> str:
        """How far it is, in one line."""
        first, again, planned = self.drawn
        chunks = f"{len(self._finished_chunks)}/{len(self._planned)} chunks"
        if not first:
            return f"{planned} {self._noun} to do, {chunks}"
        # Redraws are not planned: what is left will take as many more as what is done did.
        elapsed = time.monotonic() - self._started
        left = timedelta(seconds=round(elapsed / max(first, 1) * (planned - first)))
        more = f" (+{again} again)" if again else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{first}/{planned} {self._noun}{more}{failed}, {chunks}, {(first + again) / elapsed:.1f}/s, {left} left"
