import asyncio
import io

from rich.console import Console

from pipeline.pools import BatchReport
from pipeline.progress import RunProgress


def report(chunk: int, items: int, stage: str = "layer_flux", failed: int = 0) -> BatchReport:
    return BatchReport(stage, "layer_flux-0", chunk, items, failed, 0.0, 1.0)


def progress_into(text: io.StringIO) -> RunProgress:
    console = Console(file=text, force_terminal=False, width=200)
    return RunProgress(console, {0: 10, 1: 10}, "layer_flux", "layers")


def test_redraws_failures_and_chunks_are_counted_apart() -> None:
    text = io.StringIO()
    progress = progress_into(text)
    with progress.shown():
        for each in (report(0, 8), report(0, 6, failed=1), report(1, 5), report(0, 3, stage="matting")):
            progress.on_batch(each)
        progress.on_chunk(0)
        line = progress.line()
    assert line.startswith("15/20 layers (+4 again), 1 failed, 1/2 chunks, ")
    assert text.getvalue() == "20 layers to do, 0/2 chunks\n"


def test_the_watchdog_says_what_it_waits_for_when_nothing_moves() -> None:
    text = io.StringIO()
    progress = progress_into(text)

    async def stall() -> None:
        async with progress.watched(0.1):
            await asyncio.sleep(0.25)
            progress.on_batch(report(1, 4, stage="matting"))
            await asyncio.sleep(0.25)

    asyncio.run(stall())
    lines = text.getvalue().splitlines()
    assert lines[0] == "no progress for 0.1 s; no batch has finished yet: the models may still be loading"
    assert lines[-1] == "no progress for 0.1 s; the last batch was matting of chunk 1 on layer_flux-0"


def test_the_watchdog_is_quiet_while_batches_come() -> None:
    text = io.StringIO()
    progress = progress_into(text)

    async def work() -> None:
        async with progress.watched(0.3):
            for _ in range(10):
                await asyncio.sleep(0.05)
                progress.on_batch(report(0, 1, stage="matting"))

    asyncio.run(work())
    assert text.getvalue() == ""
