"""Captions that count and join."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import load_vocabulary
from pipeline.captions import Thing, joined, list_things

VOCABULARY = load_vocabulary()
THINGS = st.lists(
    st.sampled_from(VOCABULARY.labels).flatmap(
        lambda label: st.builds(
            Thing,
            st.just(label),
            st.sampled_from(["", *(VOCABULARY.concepts[label].colors if label in VOCABULARY.concepts else ())]),
        )
    ),
    min_size=1,
    max_size=12,
)


def test_things_are_counted_and_joined() -> None:
    things = [Thing("apple", "red"), Thing("dog"), Thing("apple", "red"), Thing("blue circle")]
    assert list_things(things, VOCABULARY) == "two red apples, a dog and a blue circle"
    assert list_things([Thing("fox")] * 3, VOCABULARY) == "three foxes"
    assert list_things([Thing("bee")] * 13, VOCABULARY) == "many bees"


def test_joining_uses_one_and() -> None:
    assert [joined(list("abc")[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


@given(things=THINGS)
def test_every_list_stays_inside_the_vocabulary_and_names_each_kind_once(things: list[Thing]) -> None:
    text = list_things(things, VOCABULARY)
    assert VOCABULARY.unknown_words(text) == []
    phrases = re.split(r", | and ", text)
    named = [VOCABULARY.concept_in(phrase) for phrase in phrases]
    assert named == [thing.label for thing in Counter(things)]
