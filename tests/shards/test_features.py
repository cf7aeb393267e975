import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.features import declared_features, json_type, merged_type

numbers = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False))
documents = st.fixed_dictionaries(
    {},
    optional={
        "a": numbers,
        "b": st.text(max_size=3),
        "c": st.lists(st.fixed_dictionaries({}, optional={"x": st.booleans(), "y": numbers}), max_size=3),
        "d": st.dictionaries(st.sampled_from("pq"), numbers),
    },
)


def fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(fits(field, kind[name]) for name, field in value.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(entry, kind[0]) for entry in value)
    python_types = {"bool": bool, "int64": int, "float64": (int, float), "string": str}
    return isinstance(value, python_types[kind])


@given(documents, documents)
def test_the_merged_type_fits_both_documents_in_either_order(one: dict[str, Any], other: dict[str, Any]) -> None:
    merged = merged_type(json_type(one), json_type(other))
    assert merged == merged_type(json_type(other), json_type(one))
    assert fits(one, merged)
    assert fits(other, merged)
    assert merged_type(merged, json_type(one)) == merged


def test_values_that_fit_no_common_type_are_refused() -> None:
    with pytest.raises(ValueError, match="stand in the same place"):
        merged_type(json_type({"a": "text"}), json_type({"a": 1}))
    with pytest.raises(ValueError, match="stand in the same place"):
        merged_type(json_type({"a": [1]}), json_type({"a": {"b": 1}}))


def test_hugging_face_understands_the_declaration_as_it_would_write_it_itself() -> None:
    from datasets import Features, Image, List, Value

    document = json.loads('{"n": 1, "boxes": [[1, 2]], "layers": [{"x": 0.5, "t": ""}], "none": {}, "empty": []}')
    declared = declared_features({"whole_image.png", "layer_00.png"}, json_type(document))
    expected = Features(
        {
            "__key__": Value("string"),
            "__url__": Value("string"),
            "json": {
                "boxes": List(List(Value("int64"))),
                "layers": List({"t": Value("string"), "x": Value("float64")}),
                "n": Value("int64"),
            },
            "layer_00.png": Image(),
            "whole_image.png": Image(),
        }
    )
    assert Features._from_yaml_list(declared) == expected
