"""The driver of a run in a storm of faults, and the stages that bring some of them about.

    python -m benchmarks.chaos_driver CONFIG RUN TOKENS

`benchmarks.chaos` starts it, kills it and starts it again. A fault that happens inside a process is a file in the
folder of tokens: whoever takes it away first suffers it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from rich.console import Console

from layered.errors import FailedWorkError, UserError
from ledger.commit import committed, next_revision
from ledger.index import RunIndex
from ledger.storage import Storage
from pipeline.briefs import load_briefs
from pipeline.committing import Commit, Committing
from pipeline.config import load_config
from pipeline.publish import publish_session
from pipeline.run import Work, generate, new_run, read_plan
from pipeline.stage_set import StageSet, stages_of
from stages.layer_flux import LayerFlux, LayerFluxConfig
from stages.records import Draw, Drawn
from stages.stage import Failed

GPU_MEMORY: Final = "gpu memory"
RAISED: Final = "stage raises"
OBJECT_STORE: Final = "object store full"
POISON: Final = "poisoned sample"
STORAGE_ERROR: Final = "storage error"
TORN_WRITE: Final = "torn write"
BEFORE_RECORD: Final = "killed before the record"
AFTER_RECORD: Final = "killed after the record"
DISK_FULL: Final = "disk full"

TOKENS: Final = (
    *(GPU_MEMORY, RAISED, OBJECT_STORE, POISON, STORAGE_ERROR),
    *(TORN_WRITE, BEFORE_RECORD, AFTER_RECORD, DISK_FULL),
)
"""The faults that happen inside a process."""

BALLAST_BYTES: Final = 60 << 20
"""Most of a node's object store in a storm."""

POISONED: Final = "poisoned.txt"


class Tokens:
    """Faults that wait for somebody to suffer them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, fault: str, number: int) -> None:
        """Lays out a fault."""
        (self.folder / f"{fault}-{number}").touch()

    def take(self, fault: str) -> bool:
        """Whether there was one of this kind, which is now the caller's alone."""
        for path in self.folder.glob(f"{fault}-*"):
            with suppress(FileNotFoundError):
                path.unlink()
                return True
        return False

    def untaken(self) -> list[str]:
        """The kinds of what nobody has taken."""
        return sorted(path.name.rpartition("-")[0] for path in self.folder.glob("*-*"))


class ChaoticLayerFlux(LayerFlux):
    """A generator that runs out of memory, raises, fills the object store, and dies of a poisoned draw."""

    def __init__(self, config: LayerFluxConfig, tokens: Tokens) -> None:
        super().__init__(config)
        self._tokens = tokens
        self._ballast: list[Any] = []

    def process(self, batch: Sequence[Draw]) -> list[Drawn | Failed]:
        """See `LayerFlux.process`."""
        del self._ballast[:-2]
        if self._tokens.take(GPU_MEMORY):
            raise MemoryError("no memory is left on this GPU")
        if self._tokens.take(RAISED):
            raise RuntimeError("a passing fault of this stage")
        if self._tokens.take(OBJECT_STORE):
            import ray

            self._ballast.append(ray.put(np.ones(BALLAST_BYTES, np.uint8)))
        self._die_of_poison(batch)
        return super().process(batch)

    def _die_of_poison(self, batch: Sequence[Draw]) -> None:
        poisoned = self._tokens.folder / POISONED
        if self._tokens.take(POISON) and not poisoned.exists():
            poisoned.write_text(f"{batch[0].sample_id} {batch[0].layer_index}")
        if poisoned.exists() and poisoned.read_text() in {f"{draw.sample_id} {draw.layer_index}" for draw in batch}:
            os._exit(1)


class ChaoticStorage:
    """A storage whose files tear, whose disk fills, and whose writers die between a tar and its record."""

    def __init__(self, inner: Storage, tokens: Tokens) -> None:
        self._inner, self._tokens = inner, tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See `Storage.writing`."""
        if self._tokens.take(DISK_FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._tokens.take(STORAGE_ERROR):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        with self._inner.writing(name) as stream:
            yield stream
            if self._tokens.take(TORN_WRITE):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    def create(self, name: str, data: bytes) -> bool:
        """See `Storage.create`."""
        if self._tokens.take(BEFORE_RECORD):
            os._exit(1)
        created = self._inner.create(name, data)
        if self._tokens.take(AFTER_RECORD):
            os._exit(1)
        return created


class ChaoticCommitting(Committing):
    """Commits through a `ChaoticStorage`."""

    def __init__(self, storage: Storage, tokens: Tokens) -> None:
        super().__init__(storage)
        self._tokens = tokens

    def process(self, batch: Sequence[Commit]) -> list[Any]:
        """See `Committing.process`."""
        chaotic: Any = ChaoticStorage(self._storage, self._tokens)
        return Committing(chaotic).process(batch)


async def drive(config_file: Path, place: Path, tokens: Tokens, console: Console) -> None:
    """What `layerprism run` and `layerprism retry` do, with these stages."""
    config = load_config(config_file)
    session = new_run(place, config, load_briefs(config.plan, config.seed))
    with session.driving():
        plan, storage = read_plan(session.run), session.run.storage
        ordinary = stages_of(config, storage)
        stages = StageSet(
            {LayerFlux.name: ChaoticLayerFlux(config.layer_flux, tokens)},
            ordinary.light | {Committing.name: ChaoticCommitting(storage, tokens)},
        )
        done = {commit.chunk for commit in committed(storage) if commit.revision == 0}
        works = [Work(chunk) for chunk in range(plan.chunk_count) if chunk not in done]
        await generate(session.run, plan, works, config, console, stages)
        if failed := RunIndex.load(storage).failed_by_chunk():
            (tokens.folder / POISONED).unlink(missing_ok=True)  # whatever it was has been mended
            again = [
                Work(chunk, next_revision(storage, chunk).revision, tuple(sample_ids))
                for chunk, sample_ids in failed.items()
            ]
            await generate(session.run, plan, again, config, console, stages)
        publish_session(session)


def main() -> None:
    config, run, folder = map(Path, sys.argv[1:4])
    try:
        asyncio.run(drive(config, run, Tokens(folder), Console(width=200)))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except FailedWorkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
