import threading
from collections.abc import Callable

from stages.one_at_a_time import one_at_a_time


def held(what: str, while_held: Callable[[threading.Thread], None], other: str) -> list[str]:
    """What happens in which order when a second one wants `other` while the first holds `what`."""
    events: list[str] = []

    def second() -> None:
        with one_at_a_time(other):
            events.append("second")

    with one_at_a_time(what):
        thread = threading.Thread(target=second)
        thread.start()
        while_held(thread)
        events.append("first")
    thread.join(60)
    return events


def test_of_two_that_want_the_same_the_second_waits() -> None:
    assert held("test weights", lambda thread: thread.join(0.3), "test weights") == ["first", "second"]


def test_different_work_does_not_wait() -> None:
    assert held("test weights", lambda thread: thread.join(60), "other test weights") == ["second", "first"]
