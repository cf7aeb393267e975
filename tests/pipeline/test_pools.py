from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.pools import BatchError, Handle, StageHost, handles_in, resolved
from stages.stage import Failed
from tests.pipeline.fake_stages import Forgetful, HalfFailing, Item, Poisoned, Tagging


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


FAILURE = Failed("s1", "earlier", "broken", "")


def test_handles_are_found_and_replaced_however_deep_they_stand() -> None:
    item = Pair((Handle(1), "plain", Handle(2)), Pair(Handle(3), Handle(None, FAILURE)))
    assert [handle.value for handle in handles_in(item)] == [1, 2, 3, None]
    assert resolved(item, lambda handle: handle.value * 10) == Pair((10, "plain", 20), Pair(30, FAILURE))
    assert resolved("plain", lambda handle: None) == "plain"


def test_what_failed_earlier_passes_through_in_its_place() -> None:
    host = StageHost({"tagging": Tagging()})
    results = host.process("tagging", [Item("a"), FAILURE, (Item("b"), FAILURE), Item("c")])
    assert results == [("tagging", Item("a")), FAILURE, FAILURE, ("tagging", Item("c"))]
    assert host.process("tagging", [FAILURE]) == [FAILURE]


def test_a_stage_that_raises_or_loses_a_result_is_a_stage_error() -> None:
    host = StageHost({"poisoned": Poisoned("a"), "forgetful": Forgetful(), "half_failing": HalfFailing()})
    with pytest.raises(BatchError, match="ValueError: cannot digest a"):
        host.process("poisoned", [Item("a")])
    with pytest.raises(BatchError, match="returned 1 results for 2 inputs"):
        host.process("forgetful", [Item("a"), Item("b")])
    assert [isinstance(result, Failed) for result in host.process("half_failing", [Item("a"), Item("b")])] == [
        False,
        True,
    ]
