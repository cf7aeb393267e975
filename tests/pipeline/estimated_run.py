"""A configuration that is estimated and run within a second or two: a generator that only waits, in this process."""

import asyncio
from pathlib import Path

from rich.console import Console

from pipeline.briefs import load_briefs
from pipeline.config import RunConfig, load_config
from pipeline.estimating import Estimated, estimate_config
from pipeline.publish import publish_session
from pipeline.run import RunSession, new_run
from tests.conftest import REPOSITORY

QUIET = Console(quiet=True)

# How much of its box a shape fills follows from its seed: about half of the samples pass.
CONFIG = """\
extends: {simulation}
plan: {{samples: 40, chunk_layers: 48}}
layer_flux: {{batch_size: 8, simulated: {{seconds_per_batch: 0.004, seconds_per_layer: 0.002, failure_rate: 0}}}}
filters: {{composition_box: {{enabled: true, threshold: 0.72}}}}
executor: {{kind: inline, price_per_hour: 36.0}}
estimate: {{prices: {{currency: EUR, storage_gb_month: 0.02}}}}
"""


def write_config(folder: Path) -> Path:
    path = folder / "estimated.yaml"
    path.write_text(CONFIG.format(simulation=REPOSITORY / "configs" / "simulation.yaml"))
    return path


def estimated(config: RunConfig, source: str | None = None, batches: int = 8, began: float = 0.0) -> Estimated:
    """`layerprism estimate`, in this process."""
    return estimate_config(config, load_briefs(config.plan, config.seed), source, batches, QUIET, began)


def made(config: Path, out: Path, *overrides: str) -> RunSession:
    """`layerprism run`, in this process."""
    loaded = load_config(config, overrides)
    briefs = load_briefs(loaded.plan, loaded.seed)
    session = new_run(out, loaded, briefs)
    with session.driving():
        asyncio.run(session.make(briefs, QUIET))
        publish_session(session)
    return session
