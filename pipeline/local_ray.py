"""A Ray head with a job server on this machine, for as long as somebody needs it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from layered.errors import UserError
from pipeline.executor_config import ExecutorConfig

SECONDS_TO_START = 90.0
SECONDS_TO_STOP = 20.0

PORTS = ("dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
"""Those of Ray's ports that are fixed unless they are given: another Ray on this machine has them."""


def answer_of(address: str, seconds: float = 2.0) -> Literal["open", "token wanted", "none"]:
    """Whether a Ray job server answers at an address such as ``http://127.0.0.1:8265``, and what it wants."""
    try:
        with urlopen(f"{address.rstrip('/')}/api/version", timeout=seconds):
            return "open"
    except HTTPError as error:
        return "token wanted" if error.code in (401, 403) else "none"
    except (URLError, OSError, ValueError):
        return "none"


def token_of_this_user() -> str | None:
    """The token with which Ray lets this user in, from the places where Ray looks for it."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


@contextmanager
def local_ray(config: ExecutorConfig) -> Iterator[tuple[str, str]]:
    """Starts a head and yields the address of its job server and its token; ends what it started, and nothing else.

    It keeps to a folder of its own, so that no other program on this machine takes it for the cluster it looks for, and
    lets in whoever has the token.

    Raises:
        UserError: when it does not start, with the end of what it said.
    """
    # Paths of sockets are at most 107 characters long: a short folder.
    folder = Path(tempfile.mkdtemp(prefix="lp-ray-"))
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    address = f"http://127.0.0.1:{ports['dashboard-port']}"
    log = folder / "head.log"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment.pop("RAY_ADDRESS", None)
    token = secrets.token_hex(32)
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    with log.open("wb") as output:
        head = subprocess.Popen(
            _command(config, folder, ports),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends it in order
        )
    try:
        _wait_until_it_answers(address, head, log)
        yield address, token
    finally:
        head.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(SECONDS_TO_STOP)
        if head.poll() is None:
            head.kill()
            head.wait()
        _remove(folder)


def _command(config: ExecutorConfig, folder: Path, ports: dict[str, int]) -> list[str]:
    wanted = config.workers * config.cpus_per_worker + config.light_workers * config.cpus_per_light_worker
    cpus = config.num_cpus or max(os.cpu_count() or 1, int(wanted + 0.999))
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", "--port=0", "--include-dashboard=true", f"--temp-dir={folder}"),
        *(f"--num-cpus={cpus}", f"--object-store-memory={config.object_store_mb * 1024**2}"),
        *(f"--{name}={port}" for name, port in ports.items()),
    ]


def _wait_until_it_answers(address: str, head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while answer_of(address) == "none":
        if head.poll() is not None or time.monotonic() > deadline:
            said = " ".join(log.read_text(encoding="utf-8", errors="replace").split())[-400:]
            raise UserError(
                f"a local Ray with its job server did not start ({said or 'it said nothing'}): "
                "pip install 'layerprism[cluster]', or give --address of a cluster"
            )
        time.sleep(0.2)


def _remove(folder: Path) -> None:
    """Takes a head's folder away; Ray's last processes may write into it once more while they end."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.3)
        if not folder.exists():
            return


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
