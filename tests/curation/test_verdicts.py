import numpy as np

from curation.verdicts import REASON_BITS, VERDICT_CODES, SampleState, Verdicts
from ledger.decisions import resolve
from tests.ledger.runs import decision


def state(*events: object) -> SampleState | None:
    return SampleState.of(events)  # type: ignore[arg-type]


def test_the_last_verdict_holds_whoever_gave_it() -> None:
    events = [decision(1, "keep"), decision(2, "reject", reviewer="bob", reasons=("halo",)), decision(3, "skip")]
    found = state(*events)
    assert found is not None
    assert (found.verdict, found.reasons) == ("reject", ("halo",))
    assert found.decisive == resolve(events)["s1"].whole
    assert {name: event.verdict for name, event in found.by_reviewer.items()} == {"ann": "skip", "bob": "reject"}


def test_a_skip_shows_where_nothing_else_was_said() -> None:
    found = state(decision(1, "skip"))
    assert found is not None
    assert found.verdict == "skip"
    assert found.opinions == set()


def test_undo_goes_back_to_what_held_before_and_at_last_to_nothing() -> None:
    events = [decision(1, "keep"), decision(2, "pro"), decision(3, "undo")]
    found = state(*events)
    assert found is not None
    assert found.verdict == "keep"
    assert state(*events, decision(4, "undo")) is None


def test_layers_add_their_reasons_and_their_captions() -> None:
    found = state(
        decision(1, "reject", layer=1, reasons=("cut",)),
        decision(2, "keep", layer=0, caption="a pear"),
        decision(3, "keep", reasons=("halo",), rating=4.5, caption="better", queue="audit"),
    )
    assert found is not None
    assert found.reasons == ("cut", "halo")
    assert found.queues == {("ann", "audit")}
    shown = found.as_json()
    assert (shown["verdict"], shown["rating"], shown["caption"]) == ("keep", 4.5, "better")
    assert {layer: each["verdict"] for layer, each in shown["layers"].items()} == {"0": "keep", "1": "reject"}


def test_only_layers_decided_leaves_the_sample_undecided() -> None:
    found = state(decision(1, "reject", layer=1))
    assert found is not None
    assert (found.verdict, found.as_json()["verdict"]) == ("", None)


def test_columns_follow_and_grow() -> None:
    verdicts = Verdicts()
    verdicts.grow({"s1": 0})
    verdicts.put("s1", state(decision(1, "pro", rating=3.0)), 0)
    verdicts.put("s9", SampleState.of([decision(2, "reject", sample="s9", reasons=("halo",))]), None)
    before = verdicts.revision
    verdicts.grow({"s1": 0, "s5": 1, "s9": 2})
    assert verdicts.revision > before
    assert [VERDICT_CODES[code] for code in verdicts.verdict] == ["pro", "undecided", "reject"]
    assert verdicts.reasons.tolist() == [0, 0, REASON_BITS["halo"]]
    assert verdicts.rating[0] == 3
    assert np.isnan(verdicts.rating[2])
    verdicts.put("s1", None, 0)
    assert verdicts.verdict[0] == 0
    assert "s1" not in verdicts.states
