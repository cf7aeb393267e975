"""Configuration files: merging, places, and one clear line for each mistake."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from layered.errors import UserError
from pipeline.config_file import read_config_tree

KEYS = st.sampled_from(["a", "b", "c"])
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        st.integers() | st.lists(st.integers(), max_size=2),
        lambda inner: st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_child_wins_over_its_parent_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "parent.yaml", "plan: {samples: 8, styles: [a, b]}\nseed: 1\n")
    child = write(tmp_path, "deep/child.yaml", "extends: ../parent.yaml\nplan:\n  styles: [c]\n")
    tree = read_config_tree(child)
    assert tree.values == {"plan": {"samples": 8, "styles": ["c"]}, "seed": 1}
    assert tree.place(("plan", "styles")) == f"{child}:3"
    assert tree.place(("seed",)).endswith("parent.yaml:2")


@given(below=TREES, above=TREES)
def test_merging_keeps_everything_above_and_what_nothing_above_replaces(
    tmp_path_factory: pytest.TempPathFactory, below: dict[str, object], above: dict[str, object]
) -> None:
    def merged(low: object, high: object) -> object:
        if not (isinstance(low, dict) and isinstance(high, dict)):
            return high
        return {k: merged(low[k], high[k]) if k in low and k in high else {**low, **high}[k] for k in {*low, *high}}

    folder = tmp_path_factory.mktemp("merge")
    write(folder, "below.yaml", yaml.safe_dump(below))
    child = write(folder, "above.yaml", yaml.safe_dump({"extends": "below.yaml", **above}))
    assert read_config_tree(child).values == merged(below, above)


def test_overrides_are_read_as_yaml_and_come_last(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "plan: {samples: 8}\n")
    tree = read_config_tree(path, ["plan.samples=9", "plan.styles=[x, y]", "a.b.c=1e-3", "d="])
    assert tree.values == {"plan": {"samples": 9, "styles": ["x", "y"]}, "a": {"b": {"c": 0.001}}, "d": None}
    assert tree.place(("plan", "samples")) == "--set plan.samples=9"
    assert tree.place(("a", "b")) == "--set a.b.c=1e-3"


def test_file_names_are_relative_to_the_file_that_says_them(tmp_path: Path) -> None:
    write(tmp_path, "parent.yaml", "plan: {briefs: {path: briefs/a.jsonl}}\n")
    child = write(tmp_path, "sub/child.yaml", "extends: ../parent.yaml\n")
    values = read_config_tree(child, file_keys=[("plan", "briefs", "path")]).values
    assert Path(values["plan"]["briefs"]["path"]).resolve() == (tmp_path / "briefs/a.jsonl").resolve()
    override = read_config_tree(child, ["plan.briefs.path=x.jsonl"], [("plan", "briefs", "path")])
    assert override.values["plan"]["briefs"]["path"] == "x.jsonl"


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n")
    assert read_config_tree(path).values == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plan: {samples: 8\nseed: 1\n", r"a\.yaml:\d+:\d+: broken YAML"),
        ("seed: 1\n\tplan: 2\n", r"a\.yaml:2:1: broken YAML"),
        ("seed: 1\nplan: 2\nseed: 3\n", r"a\.yaml:3: the key `seed` is given twice"),
        ("- 1\n- 2\n", r"a\.yaml:1 holds \[1, 2\] at its top: a mapping"),
        ("extends: a.yaml\n", r"a\.yaml extends itself through a\.yaml"),
        ("extends: [b.yaml]\n", r"`extends` in .*a\.yaml:1 is \['b\.yaml'\]: the name of one file"),
        ("extends: b.yaml\n", r"there is no configuration file .*b\.yaml"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, "a.yaml", text)
    with pytest.raises(UserError, match=message) as caught:
        read_config_tree(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path, "demo.yaml", "seed: 1\n")
    with pytest.raises(UserError, match=r"no configuration file .*dmeo\.yaml; did you mean .*demo\.yaml\?"):
        read_config_tree(tmp_path / "dmeo.yaml")


@pytest.mark.parametrize("override", ["plan.samples", "=3", "a..b=1", ".a=1"])
def test_an_override_needs_a_key_and_a_value(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, "a.yaml", "seed: 1\n")
    with pytest.raises(UserError, match=r"the form is key=value"):
        read_config_tree(path, [override])


def test_a_broken_override_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "seed: 1\n")
    with pytest.raises(UserError, match=r"--set a=\[1: broken YAML"):
        read_config_tree(path, ["a=[1"])


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00seed")
    with pytest.raises(UserError, match=r"cannot read the configuration file"):
        read_config_tree(path)
