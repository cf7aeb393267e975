"""`layerprism export`: what was written stays, what is missing is made, mistakes are one line."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from exports.formats import FORMAT_NAMES, FormatOptions
from exports.psd import Psd
from exports.psd_reading import read_psd
from layered import LayeredImage, Sidecar, UserError
from layered.codec import encode_members
from layered.errors import FailedWorkError
from layered.folder import write_layered_folder
from ledger.decisions import append_decisions
from ledger.publication import publish
from ledger.run_directory import RunDirectory
from pipeline.export import Exported, ExportOptions, export, export_beside
from shards.writer import ShardConfig
from tests.curation.reviews import THRESHOLDS, review_run
from tests.exports.designs import assert_same_pixels, design
from tests.ledger.runs import on, sample_id

CONSOLE = Console(file=io.StringIO())


def exported(path: Path, name: str, out: Path, **options: object) -> Exported:
    return export(path, name, out, ExportOptions(workers=1, **options), CONSOLE)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve designs."""
    found = tmp_path / "designs"
    for number in range(12):
        image, sidecar = design(f"s{number:02d}")
        write_layered_folder(found, sidecar.id, encode_members(image, sidecar))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Twelve finished samples and a failed one, partly published."""
    found = review_run(tmp_path_factory.mktemp("export") / "run")
    append_decisions(found.storage, [on(1, 1, "pro"), on(2, 2, "reject")])
    publish(found, ShardConfig(), THRESHOLDS)
    return found


def test_every_sample_becomes_a_file(folder: Path, tmp_path: Path) -> None:
    result = exported(folder, "psd", tmp_path / "out")
    assert (result.written, result.kept, result.failed) == (12, 0, {})
    assert sorted(file.name for file in (tmp_path / "out").glob("*.psd")) == [f"s{n:02d}.psd" for n in range(12)]
    assert_same_pixels(read_psd(tmp_path / "out" / "s07.psd")[0], design()[0])


def test_workers_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    exported(folder, "ora", tmp_path / "one")
    result = export(folder, "ora", tmp_path / "two", ExportOptions(workers=2), CONSOLE)
    assert result.written == 12
    for file in (tmp_path / "one").glob("*.ora"):
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()


def test_what_is_there_stays_and_what_is_missing_is_made(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(folder, "psd", out)
    kept = (out / "s01.psd").stat().st_mtime_ns
    (out / "s05.psd").unlink()
    (out / ".s06.psd.999999.tmp").mkdir()
    result = exported(folder, "psd", out)
    assert (result.written, result.kept) == (1, 11)
    assert (out / "s01.psd").stat().st_mtime_ns == kept
    assert not list(out.glob(".*.tmp"))


def test_a_sample_that_was_written_anew_is_exported_anew(folder: Path, tmp_path: Path) -> None:
    exported(folder, "psd", tmp_path / "out")
    later = time.time() + 5
    os.utime(folder / "s03.json", (later, later))
    assert exported(folder, "psd", tmp_path / "out").written == 1


def test_a_writer_that_dies_leaves_nothing_half(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(self: Psd, image: LayeredImage, sidecar: Sidecar, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Psd, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            exported(folder, "psd", out)
    assert [file.name for file in out.iterdir()] == [".export.json"]
    assert exported(folder, "psd", out).written == 12


def test_another_export_into_the_same_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    exported(folder, "svg", tmp_path / "out", keys=("s00",))
    for name, options in (("ora", FormatOptions()), ("svg", FormatOptions(outlines=True))):
        with pytest.raises(UserError, match="holds an export of something else"):
            exported(folder, name, tmp_path / "out", format=options)
    with pytest.raises(UserError, match="holds the samples themselves"):
        exported(folder, "png", folder)


def test_one_sample_may_be_a_file(folder: Path, tmp_path: Path) -> None:
    exported(folder / "s04", "ora", tmp_path / "new" / "poster.ora")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["poster.ora"]


@pytest.mark.parametrize("name", [name for name in FORMAT_NAMES if name != "prismlayers"])
def test_every_format_can_be_exported_twice(name: str, folder: Path, tmp_path: Path) -> None:
    assert exported(folder, name, tmp_path / "out", keys=("s00", "s01")).written == 2
    assert exported(folder, name, tmp_path / "out", keys=("s00", "s02")).kept == 1
    if name == "coco":
        assert len(json.loads((tmp_path / "out" / "instances.json").read_text())["images"]) == 3


def test_a_damaged_sample_is_named_and_the_others_are_written(folder: Path, tmp_path: Path) -> None:
    (folder / "s02.layer_00.png").write_bytes(b"no picture")
    result = exported(folder, "psd", tmp_path / "out")
    assert result.written == 11
    with pytest.raises(FailedWorkError, match=r"1 samples were not exported: s02: .*layer_00\.png"):
        result.require_all()


def test_of_a_run_the_publication_is_exported(run: RunDirectory, tmp_path: Path) -> None:
    exported(run.path, "psd", tmp_path / "run")
    exported(run.path / "shards", "psd", tmp_path / "shards")
    published = sorted(file.name for file in (tmp_path / "run").glob("*.psd"))
    assert published == [f"{sample_id(n)}.psd" for n in (0, 1, 4, 5, 6, 8, 9, 10)]
    assert published == sorted(file.name for file in (tmp_path / "shards").glob("*.psd"))


def test_a_tar_is_exported(run: RunDirectory, tmp_path: Path) -> None:
    (tar, *_) = sorted((run.path / "shards").glob("train-*.tar"))
    assert exported(tar, "png", tmp_path / "out").written >= 1


def test_samples_are_chosen_by_name(run: RunDirectory, tmp_path: Path) -> None:
    ids = [sample_id(7), sample_id(2)]  # flagged and rejected: not published, but finished
    text, table = tmp_path / "ids.txt", tmp_path / "ids.parquet"
    text.write_text("# two of them\n" + "\n".join(ids) + "\n")
    pq.write_table(pa.table({"sample_id": ids, "score": [1.0, 2.0]}), table)
    comma = tmp_path / "ids.csv"
    comma.write_text("score,sample_id\n1," + ids[0] + "\n2," + ids[1] + "\n")
    for number, select in enumerate((text, table, comma)):
        assert exported(run.path, "psd", tmp_path / str(number), select=select).written == 2
        assert sorted(file.stem for file in (tmp_path / str(number)).glob("*.psd")) == sorted(ids)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"styles": ["neon"]}, [1, 4, 7, 10]),
        ({"decisions": ["pro"]}, [1]),
        ({"text": "numbered 1 ", "layers": [3, None]}, [1, 10, 11]),
    ],
)
def test_samples_are_chosen_by_a_query(query: dict, wanted: list[int], run: RunDirectory, tmp_path: Path) -> None:
    select = tmp_path / "query.json"
    select.write_text(json.dumps(query))
    exported(run.path, "coco", tmp_path / "out", select=select)
    found = sorted(file.name.partition(".")[0] for file in (tmp_path / "out").glob("s*.coco.json"))
    assert found == [sample_id(number) for number in wanted]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"style": "neon"}', "is not a query: style: Extra inputs are not permitted"),
        ('{"styles": ["mauve"]}', "mauve"),
        ('{"queue": "disputed"}', "`queue` and `group` need the review page"),
        ("not JSON", "is not a query"),
    ],
)
def test_a_wrong_query_is_one_line(content: str, message: str, run: RunDirectory, tmp_path: Path) -> None:
    select = tmp_path / "query.json"
    select.write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        exported(run.path, "psd", tmp_path / "out", select=select)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "keys", "message"),
    [
        ("nowhere/at/all", (), "there is no"),
        ("run", ("s9",), "there is no sample s9 among 12"),
        ("run", (sample_id(12),), "there is no sample"),  # it failed
        (".", (), "holds no layered image"),
    ],
)
def test_wrong_input_is_one_line(
    path: str, keys: tuple[str, ...], message: str, run: RunDirectory, tmp_path: Path
) -> None:
    source = run.path if path == "run" else tmp_path / path
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        exported(source, "psd", tmp_path / "out", keys=keys)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write into"):
        exported(folder, "psd", tmp_path / "file" / "out")


def test_the_command_says_what_it_did(folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "export",
        str(folder),
        "--format",
        "pptx",
        "-o",
        str(tmp_path / "o"),
    ]
    code = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *command[3:], "--key", "s01", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "1 written" in done.stdout
    assert "warning: text needs the font 'DejaVu Sans' where the file is opened (1 samples)" in done.stdout
    wrong = subprocess.run([*command[:-1], "0"], capture_output=True, text=True, check=False, timeout=240)
    assert wrong.returncode == 2


def test_pictures_of_a_png_export_are_those_of_the_sample(folder: Path, tmp_path: Path) -> None:
    exported(folder, "png", tmp_path / "out", keys=("s00",))
    with Image.open(tmp_path / "out" / "s00.layer_01.png") as opened:
        assert np.array_equal(np.array(opened), design()[0].layers[1].pixels)


def test_designs_are_written_in_other_formats_beside_themselves(folder: Path) -> None:
    lines = export_beside(folder, ("psd", "coco"), CONSOLE)
    assert lines == [f"{folder / 'psd'}: 12 written", f"{folder / 'coco'}: 12 written"]
    assert_same_pixels(read_psd(folder / "psd" / "s03.psd")[0], design()[0])
    # The folder is still one of twelve designs.
    assert export_beside(folder, ("psd",), CONSOLE) == [f"{folder / 'psd'}: 0 written, 12 there already"]
