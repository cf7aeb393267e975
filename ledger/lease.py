"""Who drives a run: a lease that one process holds, on any storage, and the fence that keeps its predecessors out.

A driver creates ``driver/00000017.json``, one number above the highest there is; by the conditional create only one of
those who try can have a number. While it works it overwrites ``driver/00000017.beat`` every few seconds. Who finds a
lease that has not ended watches its beat: if it stays the same for `STALE_SECONDS` by the watcher's own clock, its
driver is dead and the next number may be taken. No two clocks are ever compared.

The number is a fencing token: before anything is written on behalf of a driver, `Fence.check` makes sure that there is
no higher one. Chunks do not even need that, because their commit records are created and never replaced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from layered.errors import FailedWorkError, UserError
from ledger.storage import Storage

LEASE_FOLDER: Final = "driver"
BEAT_SECONDS: Final = 10.0
STALE_SECONDS: Final = 60.0

_KEPT = 5
_LAST_BEAT_SECONDS = 5.0
_CHECK_HOLDS_SECONDS = 1.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Driver:
    """A process that drives or drove a run.

    Attributes:
        number: the fencing number: the higher one rules.
        since: when it began, ISO 8601, by its own clock.
        machine, started: tell on the machine itself whether the process still lives.
        token: unique.
    """

    number: int
    host: str
    pid: int
    since: str
    machine: str
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@dataclass(frozen=True)
class Sign:
    """A driver's last sign of life.

    Attributes:
        beats: counts up while it lives.
        ended: it let go by itself.
        at: seconds since 1970 by the driver's clock: for people.
    """

    beats: int
    ended: bool
    at: float


class LostLeaseError(FailedWorkError):
    """Another driver has taken the run."""


@dataclass
class Fence:
    """Whether a driver still rules. Goes along to workers with the storage they write to."""

    storage: Storage
    number: int
    _checked_at: float = float("-inf")

    def check(self) -> None:
        """Raises LostLeaseError when there is a later driver. What was found holds for a second."""
        now = time.monotonic()
        if now - self._checked_at < _CHECK_HOLDS_SECONDS:
            return
        if highest_number(self.storage) > self.number:
            successor = last_driver(self.storage)
            raise LostLeaseError(
                f"{self.storage.place} has been taken over by {successor}: this driver stops. What it committed is kept"
            )
        self._checked_at = now

    def __getstate__(self) -> tuple[Storage, int]:
        return self.storage, self.number

    def __setstate__(self, state: tuple[Storage, int]) -> None:
        self.storage, self.number = state
        self._checked_at = float("-inf")


@contextmanager
def held(
    storage: Storage,
    surely_dead: Callable[[Driver], bool] = lambda _: False,
    beat_seconds: float = BEAT_SECONDS,
    stale_seconds: float = STALE_SECONDS,
) -> Iterator[Fence]:
    """Holds the lease of a run while the block lasts.

    Args:
        surely_dead: what the caller knows of a driver that did not end; its word makes watching needless.

    Raises:
        UserError: when somebody else drives the run; host, process and time are named.
    """
    driver = _acquire(storage, surely_dead, stale_seconds)
    ended = threading.Event()
    beats = 0

    def beat(over: bool = False) -> None:
        sign = Sign(beats, over, time.time())
        storage.write(_beat_name(driver.number), json.dumps(asdict(sign)).encode(), durable=False)

    def keep_beating() -> None:
        nonlocal beats
        while not ended.wait(beat_seconds):
            beats += 1
            # A store that is gone is waited for by whoever has something to write; the beat comes again by itself.
            with contextlib.suppress(OSError, FailedWorkError):
                beat()

    beat()
    thread = threading.Thread(target=keep_beating, name="lease", daemon=True)
    thread.start()
    try:
        yield Fence(storage, driver.number)
    finally:
        ended.set()
        thread.join(_LAST_BEAT_SECONDS)  # a beat that is on its way must not arrive after the last one
        with contextlib.suppress(OSError, FailedWorkError):
            beat(over=True)


def last_driver(storage: Storage) -> Driver | None:
    """Who held the lease last; None when nobody ever did."""
    number = highest_number(storage)
    return _read_driver(storage, number) if number else None


def last_sign(storage: Storage, driver: Driver) -> Sign | None:
    """A driver's last sign of life; None when it gave none."""
    try:
        return Sign(**json.loads(storage.read(_beat_name(driver.number))))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def driver_at_work(storage: Storage) -> Driver | None:
    """Who drives a run, as far as one look can tell: whoever holds the lease, has not ended and is not dead here."""
    driver = last_driver(storage)
    if driver is None or is_dead_here(driver):
        return None
    sign = last_sign(storage, driver)
    return None if sign is not None and sign.ended else driver


def highest_number(storage: Storage) -> int:
    """The number of the last lease; 0 when there is none."""
    return max(_numbers(storage), default=0)


def is_dead_here(driver: Driver) -> bool:
    """Whether a driver was a process of this machine that is gone. False means nothing."""
    if driver.machine != _machine() or not driver.machine:
        return False
    return _started(driver.pid) != driver.started


def _acquire(storage: Storage, surely_dead: Callable[[Driver], bool], stale_seconds: float) -> Driver:
    while True:
        former = last_driver(storage)
        if former is not None:
            _require_over(storage, former, surely_dead, stale_seconds)
        driver = Driver(
            number=(former.number if former else 0) + 1,
            host=socket.gethostname(),
            pid=os.getpid(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=_machine(),
            started=_started(os.getpid()),
            token=secrets.token_hex(8),
        )
        if storage.create(_lease_name(driver.number), (json.dumps(asdict(driver), indent=2) + "\n").encode()):
            _forget_old(storage, driver.number)
            return driver


def _require_over(
    storage: Storage, former: Driver, surely_dead: Callable[[Driver], bool], stale_seconds: float
) -> None:
    """Returns once a driver has ended, or has not stirred for long enough. Raises UserError when it lives."""
    first = last_sign(storage, former)
    if (first is not None and first.ended) or is_dead_here(former) or surely_dead(former):
        return
    _logger.warning(f"{storage.place}: {former} did not end; watching for {stale_seconds:.0f} s whether it lives")
    began = time.monotonic()
    while time.monotonic() - began < stale_seconds:
        time.sleep(min(1.0, stale_seconds / 20))
        sign = last_sign(storage, former)
        if sign is not None and sign.ended:
            return
        if sign != first or highest_number(storage) > former.number:
            driver = last_driver(storage) or former
            raise UserError(f"{storage.place} is being driven by {driver}: wait for it to end, or stop it")


def _read_driver(storage: Storage, number: int) -> Driver:
    try:
        return Driver(**json.loads(storage.read(_lease_name(number))))
    except (ValueError, TypeError) as error:
        raise UserError(f"{storage.describe(_lease_name(number))} is damaged ({error}): remove it") from error


def _numbers(storage: Storage) -> list[int]:
    stems = [name.removeprefix(f"{LEASE_FOLDER}/").removesuffix(".json") for name in storage.list(LEASE_FOLDER)]
    return [int(stem) for stem in stems if stem.isdigit()]


def _forget_old(storage: Storage, number: int) -> None:
    for old in _numbers(storage):
        if old <= number - _KEPT:
            storage.remove(_lease_name(old))
            storage.remove(_beat_name(old))


def _lease_name(number: int) -> str:
    return f"{LEASE_FOLDER}/{number:08d}.json"


def _beat_name(number: int) -> str:
    return f"{LEASE_FOLDER}/{number:08d}.beat"


def _machine() -> str:
    """Names this boot of this machine and this space of process numbers; empty where neither is told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty for one that is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
