"""What all tests share: skipping by name, the folder of real data, one small Ray for the whole session."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.s3_server import CREDENTIALS, S3Server, environment, make_bucket

REPOSITORY = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Skips the calling test, naming what is missing; under LAYERPRISM_REQUIRE_ALL=1 the test fails instead."""
    if os.environ.get("LAYERPRISM_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing, and LAYERPRISM_REQUIRE_ALL=1 allows no skip")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def require() -> Callable[[str], None]:
    """`missing`, for tests that look for a system program or a font themselves."""
    return missing


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real layers and layouts, which stand beside the checkout and are never copied into it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        missing("the folder ../shared with real layers and layouts")
    return folder


@pytest.fixture(scope="session")
def emoji_font() -> None:
    """For tests of what draws with the font that the models were trained on."""
    from models.recipes.sprites import EMOJI_FONT

    if not EMOJI_FONT.exists():
        missing("the font of Debian's fonts-noto-color-emoji")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for all tests, to which their S3 clients are pointed."""
    server = S3Server()
    with environment(server.url):
        yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The URL of a bucket of the test's own."""
    return make_bucket(s3_server.url, f"test-{secrets.token_hex(4)}")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Any]:
    """One small local Ray for all tests: a second one on a host breaks the first."""
    import ray

    os.environ.update(CREDENTIALS)  # its workers may write to the S3 server, and see what is set now
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=4,  # of which there need be none: Ray counts what it is told
        object_store_memory=256 * 1024**2,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    yield ray
    ray.shutdown()
