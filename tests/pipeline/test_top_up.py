"""`plan.accepted`: rounds that follow from scores alone, so that interruptions and workers change no byte."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from layered import UserError
from layered.errors import FailedWorkError
from ledger.run_directory import RunDirectory
from pipeline.briefs import load_briefs
from pipeline.chunk_flow import make_chunk
from pipeline.config import RunConfig, load_config
from pipeline.plan import most_samples
from pipeline.publish import publish_session
from pipeline.run import new_run, read_plan
from pipeline.top_up import Round, next_round, selection_by_filters
from tests.conftest import REPOSITORY

# How much of its box a shape fills follows from its seed: about half of these samples pass.
HALF = """\
extends: {simulation}
plan: {{samples: 6, accepted: 8, samples_at_most: 60, chunk_layers: 24}}
layer_flux: {{batch_size: 8, simulated: {{seconds_per_batch: 0, seconds_per_layer: 0, failure_rate: 0}}}}
filters: {{composition_box: {{enabled: true, threshold: {threshold}}}}}
executor: {{kind: inline}}
"""


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose samples pass or fail by their seeds."""
    path = tmp_path_factory.mktemp("config") / "half.yaml"
    path.write_text(HALF.format(simulation=REPOSITORY / "configs" / "simulation.yaml", threshold=0.72))
    return path


def make(config: RunConfig, out: Path) -> str:
    """`layerprism run` without its last words; what `make` says of a shortfall."""
    briefs = load_briefs(config.plan, config.seed)
    session = new_run(out, config, briefs)
    with session.driving():
        shortfall = asyncio.run(session.make(briefs, Console(quiet=True)))
        publish_session(session)
    return shortfall


def contents(run: Path) -> dict[str, bytes]:
    """Everything whose bytes are promised."""
    folders = [*(run / "chunks").iterdir(), *(run / "shards").iterdir(), run / "plan.parquet"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in folders}


@pytest.fixture(scope="module")
def undisturbed(half: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    make(load_config(half), out)
    return out


def test_a_run_grows_until_enough_samples_pass(half: Path, undisturbed: Path) -> None:
    run = RunDirectory.open(undisturbed)
    accepted = len(selection_by_filters(run, load_config(half)).published)
    assert 8 <= accepted < len(read_plan(run)) <= 60
    assert len(read_plan(run)) > 6


@pytest.mark.parametrize("chunks", [1, 3])
def test_interrupted_it_ends_with_the_same_bytes(
    half: Path, undisturbed: Path, tmp_path: Path, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    async def stopping(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made > chunks:
            raise InterruptedError("stopped here")
        return await make_chunk(*arguments)

    monkeypatch.setattr("pipeline.run.make_chunk", stopping)
    with pytest.raises(InterruptedError):
        make(load_config(half), tmp_path / "run")
    monkeypatch.undo()
    make(load_config(half), tmp_path / "run")
    assert contents(tmp_path / "run") == contents(undisturbed)


def test_two_workers_grow_it_as_one_does(half: Path, undisturbed: Path, tmp_path: Path, ray_session: Any) -> None:
    workers = ["executor.kind=ray", "executor.workers=2", "executor.light_workers=1", "executor.chunks_in_flight=3"]
    make(load_config(half, workers), tmp_path / "run")
    assert contents(tmp_path / "run") == contents(undisturbed)


def test_what_is_wanted_later_goes_on_and_is_reached_once(half: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    before = contents(out)
    make(load_config(half), out)
    assert contents(out) == before
    make(load_config(half, ["plan.accepted=11"]), out)
    chunks = {name: data for name, data in before.items() if name.startswith("chunks/")}
    assert chunks.items() < contents(out).items()
    run = RunDirectory.open(out)
    assert len(selection_by_filters(run, load_config(half)).published) >= 11


def test_the_end_of_the_plan_is_told_and_what_there_is_published(half: Path, tmp_path: Path) -> None:
    shortfall = make(load_config(half, ["plan.samples_at_most=9"]), tmp_path / "run")
    assert "9 samples are accepted, 8 are wanted, and the plan ends at 9 samples" in shortfall
    assert (tmp_path / "run" / "shards" / "manifest.parquet").exists()


def test_where_nothing_passes_no_round_follows(half: Path, tmp_path: Path) -> None:
    with pytest.raises(FailedWorkError, match="nothing to publish"):
        make(load_config(half, ["filters.composition_box.threshold=1.5"]), tmp_path / "run")
    assert len(read_plan(RunDirectory.open(tmp_path / "run"))) == 6


def test_variations_of_a_file_bound_a_run(tmp_path: Path, half: Path) -> None:
    overrides = [f"plan.briefs.path={REPOSITORY / 'configs/briefs/demo.jsonl'}", "plan.variations=2", "plan.samples=2"]
    config = load_config(half, overrides)
    assert most_samples(config.plan, load_briefs(config.plan, 0)) == 60
    many = load_config(half, [*overrides, "plan.samples_at_most=5000"])
    briefs = load_briefs(many.plan, 0)
    assert most_samples(many.plan, briefs) == 2 * len(briefs.briefs)


@pytest.mark.parametrize(
    ("planned", "accepted", "wanted", "at_most", "expected"),
    [
        (10, 10, 10, 100, Round()),
        (10, 12, 10, 10, Round()),
        (10, 5, 10, 100, Round(24)),  # ten more at one half, and sqrt(10 · 0.5 / 0.5) for the chance of it
        (10, 5, 10, 12, Round(12)),
        (100, 99, 100, 1000, Round(102)),
    ],
)
def test_a_round_is_as_large_as_the_rate_so_far_asks_for(
    planned: int, accepted: int, wanted: int, at_most: int, expected: Round
) -> None:
    assert next_round(planned, accepted, wanted, at_most) == expected


def test_the_limit_must_leave_room(half: Path) -> None:
    with pytest.raises(UserError, match="samples_at_most 7 is below `accepted` or `samples`"):
        load_config(half, ["plan.samples_at_most=7"])
    with pytest.raises(UserError, match="samples_at_most bounds `accepted`, which is not given"):
        load_config(half, ["plan.accepted=null"])
