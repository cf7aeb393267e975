import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.tar import Member, TarWriter, check_members, iterate_samples, read_members

sample_ids = st.text("abcz019_-", min_size=1, max_size=20)
member_names = st.sampled_from(["json", "base_image.png", "layer_00.png", "layer_01.png", "whole_image.png"])
samples = st.dictionaries(
    sample_ids, st.dictionaries(member_names, st.binary(max_size=1500), min_size=1), min_size=1, max_size=5
)


def written(contents: dict[str, dict[str, bytes]]) -> tuple[bytes, dict[str, tuple[Member, ...]]]:
    stream = io.BytesIO()
    writer = TarWriter(stream)
    placed = {sample_id: writer.add(sample_id, members) for sample_id, members in contents.items()}
    writer.close()
    return stream.getvalue(), placed


@given(samples)
def test_samples_survive_a_tar_front_to_back_and_by_byte_range(contents: dict[str, dict[str, bytes]]) -> None:
    data, placed = written(contents)
    assert dict(iterate_samples(io.BytesIO(data))) == contents
    for sample_id, members in placed.items():
        assert read_members(io.BytesIO(data), members) == contents[sample_id]
        assert read_members(io.BytesIO(data), members, ["json"]).keys() <= {"json"}


@given(samples)
def test_recorded_ranges_are_those_the_standard_library_finds(contents: dict[str, dict[str, bytes]]) -> None:
    data, placed = written(contents)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {entry.name: (entry.offset_data, entry.size) for entry in tar}
    recorded = {
        f"{sample_id}.{member.name}": (member.offset, member.size)
        for sample_id, members in placed.items()
        for member in members
    }
    assert recorded == found


@given(samples)
def test_bytes_do_not_depend_on_the_order_of_members(contents: dict[str, dict[str, bytes]]) -> None:
    turned = {sample_id: dict(reversed(members.items())) for sample_id, members in contents.items()}
    assert written(contents)[0] == written(turned)[0]


@settings(max_examples=200)
@given(samples, st.data())
def test_any_changed_byte_is_laid_to_the_sample_it_belongs_to(
    contents: dict[str, dict[str, bytes]], data: st.DataObject
) -> None:
    tar, placed = written(contents)
    sample_id = data.draw(st.sampled_from(sorted(placed)))
    member = data.draw(st.sampled_from(placed[sample_id]))
    occupied = range(member.offset - 512, member.offset + -(-member.size // 512) * 512)
    position = data.draw(st.sampled_from(occupied))
    damaged = bytearray(tar)
    damaged[position] ^= data.draw(st.integers(1, 255))
    findings = {other: check_members(io.BytesIO(damaged), other, members) for other, members in placed.items()}
    assert [name for name, _ in findings[sample_id]] == [member.name]
    assert all(not found for other, found in findings.items() if other != sample_id)


def test_an_intact_tar_has_nothing_to_report() -> None:
    tar, placed = written({"a": {"json": b"{}"}, "b": {"json": b"x" * 513}})
    assert [check_members(io.BytesIO(tar), *item) for item in placed.items()] == [[], []]


def test_a_tar_that_was_cut_is_reported_by_every_reader() -> None:
    tar, placed = written({"a": {"json": b"x" * 2000}})
    cut = io.BytesIO(tar[:1024])
    with pytest.raises(ValueError, match="not a complete tar"):
        list(iterate_samples(cut))
    with pytest.raises(ValueError, match="json is cut off: 512 of 2000"):
        read_members(cut, placed["a"])
    assert check_members(cut, "a", placed["a"]) == [("json", "is cut off")]


def test_a_key_with_a_dot_is_refused_because_readers_would_merge_samples() -> None:
    with pytest.raises(ValueError, match=r"a\.b"):
        written({"a.b": {"json": b""}})


def test_a_tar_of_other_files_is_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("LICENSE"))
    stream.seek(0)
    with pytest.raises(ValueError, match=r"LICENSE is not a file of the form KEY\.member"):
        list(iterate_samples(stream))


@settings(max_examples=30, deadline=None)
@given(samples)
def test_the_bytes_are_those_of_webdatasets_own_writer(contents: dict[str, dict[str, bytes]]) -> None:
    from webdataset.writer import TarWriter as WebDatasetWriter

    stream = io.BytesIO()
    writer = WebDatasetWriter(stream, encoder=False, mtime=0)
    for sample_id, members in contents.items():
        writer.write({"__key__": sample_id, **members})
    writer.close()
    assert written(contents)[0] == stream.getvalue()
