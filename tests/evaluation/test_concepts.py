"""Things that are named are looked for one to one; layers that show nothing new are counted."""

from evaluation.concepts import empty_or_repeated, found
from evaluation.judge import load_judge
from tests.evaluation.sprites import design_of


def test_layers_and_names_are_matched_one_to_one(emoji_font: None) -> None:
    judge = load_judge()
    image = design_of(["dog", "apple", "dog"])
    assert found(judge, image, ["apple", "dog"]) == ["apple", "dog"]
    assert found(judge, image, ["apple", "banana"]) == ["apple"]
    assert found(judge, image, ["apple", "apple"]) == ["apple"]
    assert found(judge, design_of(["dog"]), ["apple", "dog", "car"]) == ["dog"]
    assert found(judge, image, []) == []


def test_empty_and_repeated_layers_are_counted(emoji_font: None) -> None:
    judge = load_judge()
    assert empty_or_repeated(judge, design_of(["dog", "apple"])) == 0
    assert empty_or_repeated(judge, design_of(["dog", "apple", "dog", "dog"])) == 2
    assert empty_or_repeated(judge, design_of(["dog"], empty=2)) == 2


def test_what_a_prompt_names_twice_may_be_shown_twice(emoji_font: None) -> None:
    judge = load_judge()
    assert empty_or_repeated(judge, design_of(["dog", "apple", "dog", "dog"]), ["dog", "dog"]) == 1
