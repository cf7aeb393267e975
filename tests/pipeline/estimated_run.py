"""A configuration that is estimated and run within a second or two: a generator that only waits, in this process."""

from pathlib import Path

from pipeline.briefs import load_briefs
from pipeline.config import RunConfig
from pipeline.estimating import Estimated, estimate_config
from tests.conftest import REPOSITORY
from tests.pipeline.whole_run import QUIET

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
