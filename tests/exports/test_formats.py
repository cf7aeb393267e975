"""The register of formats: every name gives a format, every mistake one line."""

import sys
from pathlib import Path

import pytest

from exports.formats import FORMAT_NAMES, SampleFormat, SummedFormat, format_of, reader_of
from layered import UserError


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_every_format_can_be_had(name: str) -> None:
    found = format_of(name)
    assert found.name == name
    assert isinstance(found, SampleFormat) or hasattr(found, "write_set")


def test_coco_alone_sums_up() -> None:
    assert [name for name in FORMAT_NAMES if isinstance(format_of(name), SummedFormat)] == ["coco"]


def test_an_unknown_format_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match="no format 'pds', the nearest is psd"):
        format_of("pds")


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "exports.psd", raising=False)
    monkeypatch.setitem(sys.modules, "psd_tools", None)
    with pytest.raises(UserError, match=r"psd_tools is not installed: pip install 'layerprism\[export\]'"):
        format_of("psd")


@pytest.mark.parametrize("suffix", [".psd", ".ORA"])
def test_readers_go_by_suffix(suffix: str) -> None:
    assert callable(reader_of(Path(f"a{suffix}")))


def test_what_nothing_reads_is_said() -> None:
    with pytest.raises(UserError, match=r"a\.xcf is not of a kind that can be read: \.psd, \.ora are"):
        reader_of(Path("a.xcf"))
