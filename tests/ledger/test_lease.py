import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layered.errors import UserError
from ledger import lease
from ledger.fenced import FencedStorage
from ledger.lease import LostLeaseError, driver_at_work, held, last_driver, last_sign
from ledger.storage import Storage, open_storage


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    place = tmp_path / "run" if request.param == "local" else f"memory://{secrets.token_hex(4)}/run"
    return open_storage(place)


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the lease from now on sits at another machine."""
    monkeypatch.setattr(lease, "_machine", lambda: "another machine")
    monkeypatch.setattr(lease.socket, "gethostname", lambda: "elsewhere")


def test_a_driver_is_known_while_it_drives(storage: Storage) -> None:
    assert driver_at_work(storage) is None
    with held(storage):
        driver = driver_at_work(storage)
        assert driver is not None
        assert driver.number == 1
    assert driver_at_work(storage) is None
    with held(storage):
        now = driver_at_work(storage)
        assert now is not None
        assert now.number == 2


def test_a_second_driver_is_refused_with_host_process_and_time(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(storage, beat_seconds=0.05):
        first = last_driver(storage)
        elsewhere(monkeypatch)
        assert first is not None
        told = rf"is being driven by process {first.pid} on {first.host} since {first.since}".replace("+", r"\+")
        with pytest.raises(UserError, match=told), held(storage, stale_seconds=5):
            pass


def test_of_many_who_find_a_free_run_one_drives(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "is_dead_here", lambda driver: False)

    def drive(number: int) -> int:
        try:
            stack.enter_context(held(storage, beat_seconds=0.05, stale_seconds=5))
        except UserError:
            return 0
        return 1

    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(drive, range(6))) == 1


def test_a_driver_that_stirs_no_more_is_succeeded_and_writes_nothing_more(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_CHECK_HOLDS_SECONDS", 0.0)
    with held(storage, beat_seconds=1000) as fence:  # it hangs
        hung = FencedStorage(storage, fence)
        hung.write("x", b"while it rules")
        elsewhere(monkeypatch)
        began = time.monotonic()
        with held(storage, stale_seconds=0.4) as successor:
            assert time.monotonic() - began >= 0.4
            writes: list[Callable[[], Any]] = [
                lambda: hung.write("x", b"late"),
                lambda: hung.create("y", b"late"),
                lambda: hung.remove("x"),
                lambda: hung.remove_folder("chunks"),
                lambda: hung.writing("x").__enter__(),
            ]
            for write in writes:
                with pytest.raises(LostLeaseError, match=r"taken over by process .* on elsewhere"):
                    write()
            FencedStorage(storage, successor).write("x", b"of the successor")
    assert storage.read("x") == b"of the successor"
    assert not storage.exists("y")


def test_a_driver_that_loses_its_lease_while_it_writes_does_not_finish_the_file(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_CHECK_HOLDS_SECONDS", 0.0)
    with held(storage, beat_seconds=1000) as fence:

        def write_slowly() -> None:
            with FencedStorage(storage, fence).writing("chunks/x") as stream:
                stream.write(b"half")
                stack.enter_context(held(storage, lambda _: True))

        with ExitStack() as stack, pytest.raises(LostLeaseError):
            write_slowly()
    assert storage.list("chunks") == []


def test_clocks_do_not_matter(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease.time, "time", lambda: 4e9)  # the driver lives a century ahead
    with held(storage, beat_seconds=0.05):
        elsewhere(monkeypatch)
        monkeypatch.setattr(lease.time, "time", lambda: 0.0)
        with pytest.raises(UserError, match="is being driven by"), held(storage, stale_seconds=5):
            pass


def test_a_driver_of_this_machine_whose_process_is_gone_needs_no_watching(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    with held(storage):
        driver = last_driver(storage)
    assert driver is not None
    assert not lease.is_dead_here(driver)
    gone = replace(driver, number=2, pid=2**22 + 1)
    assert lease.is_dead_here(gone)
    assert lease.is_dead_here(replace(driver, started="1")), "another process has its number now"
    storage.create("driver/00000002.json", lease.json.dumps(lease.asdict(gone)).encode())
    with held(storage):
        assert "watching" not in caplog.text


def test_old_leases_are_forgotten_and_numbers_go_on(storage: Storage) -> None:
    for _ in range(8):
        with held(storage):
            pass
    driver = last_driver(storage)
    assert driver is not None
    assert driver.number == 8
    sign = last_sign(storage, driver)
    assert sign is not None
    assert sign.ended
    assert len(storage.list("driver")) == 10
