from hypothesis import given
from hypothesis import strategies as st

from layered.seeds import derive_seed

arguments = st.tuples(
    st.integers(0, 2**31), st.text(max_size=6), st.integers(-1, 60), st.integers(0, 9), st.text(max_size=6)
)


@given(arguments, arguments)
def test_seeds_are_equal_only_for_equal_arguments(a: tuple, b: tuple) -> None:
    assert (derive_seed(*a) == derive_seed(*b)) == (a == b)
    assert 0 <= derive_seed(*a) < 2**63


def test_a_seed_is_the_same_forever() -> None:
    assert derive_seed(0, "s0000001", 3, 1, "noise") == 4110165642848704122
