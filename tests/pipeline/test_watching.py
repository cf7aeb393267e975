"""Those who watch a run: told of everything, by themselves and all at once, and unable to end it."""

import asyncio
import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from configs import DEMO_CONFIG
from pipeline.briefs import load_briefs
from pipeline.committing import Committed
from pipeline.config import RunConfig, load_config
from pipeline.fingerprint import fingerprint
from pipeline.observability_config import ObservabilityConfig
from pipeline.pools import BatchReport
from pipeline.progress import RunProgress
from pipeline.retrying import FaultReport
from pipeline.watching import WatchedPools, Watchers, watching
from tests.pipeline.small_run import small_run
from tests.pipeline.watched import COMMITTED, FAULT, free_port, report, tell


class _Told:
    """Keeps what it is told; breaks at its first batch if it is to."""

    def __init__(self, breaks: bool = False) -> None:
        self.breaks, self.heard = breaks, []  # type: ignore[var-annotated]

    def on_asked(self, stage: str, items: int) -> None:
        self.heard.append((stage, items))

    def on_batch(self, batch: BatchReport) -> None:
        if self.breaks:
            raise RuntimeError("no disk")
        self.heard.append(batch)

    def on_fault(self, fault: FaultReport) -> None:
        self.heard.append(fault)

    def on_chunk(self, committed: Committed) -> None:
        self.heard.append(committed)


def test_a_watcher_that_breaks_is_left_out_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    broken, well = _Told(breaks=True), _Told()
    tell(Watchers([broken, well]))
    assert broken.heard == [("layer_flux", 20), FAULT]
    assert well.heard[-1] == COMMITTED
    assert len(well.heard) == 6
    assert "_Told broke and is left out" in caplog.text


def test_pools_tell_what_they_are_asked_for_and_what_is_committed() -> None:
    told = _Told()

    class Pools:
        async def keep(self, stage: str, items: list[int], chunk: int) -> list[int]:
            return items

        async def fetch(self, stage: str, items: list[int], chunk: int) -> list[Committed]:
            if stage == "broken":
                raise RuntimeError("full")
            return [COMMITTED]

    pools: Any = WatchedPools(Pools(), Watchers([told]))  # type: ignore[arg-type]
    assert asyncio.run(pools.keep("matting", [1, 2], 0)) == [1, 2]
    assert asyncio.run(pools.fetch("committing", [1], 0)) == [COMMITTED]
    with pytest.raises(RuntimeError, match="full"):
        asyncio.run(pools.fetch("broken", [1], 0))
    asked = [("matting", 2), ("matting", -2), ("committing", 1), ("committing", -1)]
    assert told.heard == [*asked, COMMITTED, ("broken", 1), ("broken", -1)]


def test_a_configuration_opens_all_it_asks_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    wanted = ObservabilityConfig(prometheus_port=free_port(), log_file=str(log))
    config = RunConfig(observability=wanted)
    run = small_run(tmp_path / "run")
    progress = RunProgress(Console(file=io.StringIO()), {7: 16}, "layer_flux", "layers")
    with watching(run, config, progress) as watchers:
        watchers.on_batch(report())
        with urllib.request.urlopen(f"http://127.0.0.1:{wanted.prometheus_port}/metrics", timeout=10) as response:
            assert b'layerprism_items_total{run="run",stage="layer_flux"} 12.0' in response.read()
    assert "batch run=run chunk=7 stage=layer_flux worker=layer_flux-1 items=12" in log.read_text()


def test_being_watched_changes_no_fingerprint() -> None:
    plain = load_config(DEMO_CONFIG, ["plan.samples=2"])
    keys = ["prometheus_port=9100", "log_file=x", "log_format=json", "otlp_endpoint=http://x", "live_seconds=1"]
    watched = load_config(DEMO_CONFIG, ["plan.samples=2", *(f"observability.{key}" for key in keys)])
    briefs = load_briefs(plain.plan, plain.seed)
    assert plain.observability != watched.observability
    assert fingerprint(plain, briefs) == fingerprint(watched, briefs)
