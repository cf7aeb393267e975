"""The retry policy, as the function that it is."""

import errno

import pytest
import torch

from layered import UserError
from layered.errors import FailedWorkError
from pipeline.retrying import (
    KILLING,
    Action,
    Decision,
    Fault,
    FaultReport,
    RetryPolicy,
    batch_time_limit,
    fault_of,
    kind_of,
)

POLICY = RetryPolicy(3)


def actions(fault: Fault, items: int, halved: bool, policy: RetryPolicy = POLICY) -> list[Action]:
    """What follows from the same fault again and again, until it is no longer a retry."""
    found: list[Action] = []
    while not found or found[-1] is Action.RETRY:
        found.append(policy.after(fault, len(found) + 1, items, halved).action)
    return found


@pytest.mark.parametrize("fault", sorted(KILLING))
def test_a_batch_whose_worker_dies_is_tried_again_then_halved_and_what_stands_alone_is_given_up(fault: Fault) -> None:
    assert actions(fault, 16, halved=False) == [Action.RETRY, Action.SPLIT]
    assert actions(fault, 8, halved=True) == [Action.SPLIT]
    assert actions(fault, 1, halved=True) == [Action.RETRY, Action.GIVE_UP]
    assert actions(fault, 1, halved=False) == [Action.RETRY, Action.RETRY, Action.GIVE_UP]


def test_what_raised_would_raise_again() -> None:
    assert actions(Fault.RAISED, 16, halved=False) == [Action.SPLIT]
    assert actions(Fault.RAISED, 1, halved=True) == [Action.GIVE_UP]


def test_what_more_tries_cannot_mend_ends_the_run_at_once() -> None:
    assert POLICY.after(Fault.WRONG_INPUT, 1, 4, False) == Decision(Action.END)
    assert POLICY.after(Fault.CANNOT_GO_ON, 1, 4, False) == Decision(Action.END)
    assert POLICY.after(Fault.DISK_FULL, 1, 1, False) == Decision(Action.END)


@pytest.mark.parametrize("fault", [Fault.STORAGE, Fault.STORE_FULL, Fault.INPUTS_LOST])
def test_what_is_nobodys_doing_is_tried_often_with_growing_waits_and_blames_no_sample(fault: Fault) -> None:
    found = actions(fault, 4, halved=False)
    assert len(found) >= 5
    assert set(found[:-1]) == {Action.RETRY}
    assert found[-1] is Action.END
    waits = [POLICY.after(fault, attempt, 4, False).wait_seconds for attempt in range(1, len(found))]
    assert waits == sorted(waits)
    assert max(waits) <= 30


def test_slow_storage_is_counted_apart_from_deaths() -> None:
    assert len({kind_of(fault) for fault in KILLING}) == 1
    assert kind_of(Fault.STORAGE) != kind_of(Fault.WORKER_DIED)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (UserError("no such model"), Fault.WRONG_INPUT),
        (FailedWorkError("another driver has taken the run"), Fault.CANNOT_GO_ON),
        (OSError(errno.ENOSPC, "No space left on device"), Fault.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Fault.DISK_FULL),
        (OSError(errno.EIO, "Input/output error"), Fault.STORAGE),
        (ConnectionResetError("reset"), Fault.STORAGE),
        (TimeoutError("timed out"), Fault.STORAGE),
        (FileNotFoundError(errno.ENOENT, "font"), Fault.RAISED),
        (ValueError("odd"), Fault.RAISED),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), Fault.WORKER_UNUSABLE),
    ],
)
def test_an_exception_tells_its_fault(error: Exception, fault: Fault) -> None:
    assert fault_of(error) is fault


def test_the_time_a_batch_may_take_follows_the_longest_so_far_unless_it_is_given() -> None:
    assert batch_time_limit(7.0, 1000.0) == 7.0
    assert batch_time_limit(None, None) == 3600.0
    assert batch_time_limit(None, 2.0) == 600.0
    assert batch_time_limit(None, 300.0) == 3000.0


def test_a_fault_is_told_in_one_line() -> None:
    report = FaultReport(Fault.WORKER_DIED, "layer_flux", 3, 16, 1, "layer_flux-0 on a:1 died: gone", Action.RETRY)
    assert report.line() == "layer_flux of chunk 3: layer_flux-0 on a:1 died: gone; tried again (16 items)"
