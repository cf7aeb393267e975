"""A run from its configuration to its publication, for tests."""

import asyncio
from pathlib import Path

from rich.console import Console

from pipeline.briefs import load_briefs
from pipeline.config import load_config
from pipeline.publish import publish_session
from pipeline.run import RunSession, new_run

QUIET = Console(quiet=True)


def make(config: Path, out: Path | str, *overrides: str) -> RunSession:
    """`layerprism run`, in this process."""
    loaded = load_config(config, overrides)
    briefs = load_briefs(loaded.plan, loaded.seed)
    session = new_run(out, loaded, briefs)
    with session.driving():
        asyncio.run(session.make(briefs, QUIET))
        publish_session(session)
    return session
