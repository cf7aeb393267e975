"""Samples made elsewhere become a run: exact, resumable, broken ones kept by name, all later steps working on them."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from psd_tools import PSDImage
from rich.console import Console

from configs import IMPORT_CONFIG
from exports.formats import format_of
from exports.prismlayers.writer import write_prismlayers
from layered import LayeredImage, Sidecar, UserError
from layered.codec import encode_members
from layered.folder import write_layered_folder
from layered.png import encode_png
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.verify import verify_run
from pipeline.briefs import BriefList
from pipeline.cli import main
from pipeline.config import RunConfig, load_config
from pipeline.importing import ImportSession, existing_import, holds_import, new_import
from pipeline.inspection import inspect
from pipeline.run import new_run, run_again
from pipeline.status import run_status
from shards.reader import Publication
from shards.writer import ShardConfig, write_publication
from tests.ledger.runs import score_rows
from tests.shards.samples import folder_bytes, make_sample, shard_samples

QUIET = Console(quiet=True)
Sample = tuple[LayeredImage, Sidecar]
SAMPLES = [make_sample(number, layers=1 + number % 3) for number in range(20)]


@pytest.fixture
def layerprism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process: exit code, and all it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["layerprism", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out + captured.err

    return run


def config() -> RunConfig:
    return load_config(IMPORT_CONFIG)


def layered_folder(folder: Path, samples: list[Sample] = SAMPLES) -> Path:
    for image, sidecar in samples:
        write_layered_folder(folder, sidecar.id, encode_members(image, sidecar))
    return folder


def parquet(folder: Path, samples: list[Sample] = SAMPLES) -> Path:
    write_prismlayers(
        folder, ((sidecar, encode_members(image, sidecar)) for image, sidecar in samples), rows_per_file=7
    )
    return folder


def publication(folder: Path) -> Path:
    return write_publication(shard_samples(20), folder, ShardConfig(max_samples_per_shard=8)).path


def imported(path: Path, out: Path, licence: str = "") -> ImportSession:
    session = new_import(path, out, config(), licence)
    with session.run.driving():
        asyncio.run(session.make(QUIET))
    return session


def index_of(out: Path) -> RunIndex:
    return RunIndex.load(RunDirectory.open(out).storage)


@pytest.mark.parametrize("write", [layered_folder, parquet, publication])
def test_every_sample_is_a_sample_of_the_run_bit_by_bit(write: Callable[[Path], Path], tmp_path: Path) -> None:
    imported(write(tmp_path / "set"), tmp_path / "run")
    index = index_of(tmp_path / "run")
    assert index.counts().finished == 20
    assert index.counts().chunks == 2
    assert verify_run(tmp_path / "run") == []
    known = {sidecar.id: (image, sidecar) for image, sidecar in SAMPLES}
    for sample_id in index.sample_ids:
        image, sidecar = index.sample(sample_id)
        if write is not publication:
            former, described = known[sample_id]
            assert np.array_equal(image.whole(), former.whole())
            assert sidecar.layers == described.layers
        assert sidecar.provenance["imported_from"]
        assert "caption_source" not in sidecar.provenance  # they are what the sidecars said
        thumbs = index.sample_members(sample_id, ["thumb_whole.webp", "thumb_layer_00.webp"])
        assert len(thumbs) == 2
    status = run_status(tmp_path / "run")
    assert (status.finished, status.failed, status.pending) == (20, 0, 0)
    assert inspect(tmp_path / "run").total == 20


def test_samples_of_a_publication_keep_their_split(tmp_path: Path) -> None:
    former = Publication.open(publication(tmp_path / "set"))
    splits = {placement.sample_id: placement.split for placement in former.placements()}
    imported(former.path, tmp_path / "run")
    planned = RunDirectory.open(tmp_path / "run").planned_samples()
    assert {sample.sample_id: sample.split for sample in planned} == splits


def test_equal_designs_lie_in_one_split(tmp_path: Path) -> None:
    """Two pictures of one brief differ in pixels and ids only."""
    twins = []
    for number in range(30):
        image, sidecar = make_sample(1)
        sidecar = sidecar.model_copy(update={"id": f"twin{number}", "provenance": {}})
        twins.append((image, sidecar))
    imported(layered_folder(tmp_path / "set", twins), tmp_path / "run")
    assert len({sample.split for sample in RunDirectory.open(tmp_path / "run").planned_samples()}) == 1


def test_an_interrupted_import_ends_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    source = parquet(tmp_path / "set")
    imported(source, tmp_path / "whole")
    first = new_import(source, tmp_path / "part", config())
    for path in (tmp_path / "whole" / "chunks").glob("00000.*"):
        (tmp_path / "part" / "chunks").mkdir(exist_ok=True)
        (tmp_path / "part" / "chunks" / path.name).write_bytes(path.read_bytes())
    assert first.run.fingerprint == RunDirectory.open(tmp_path / "whole").fingerprint
    imported(source, tmp_path / "part")
    assert folder_bytes(tmp_path / "part" / "chunks") == folder_bytes(tmp_path / "whole" / "chunks")
    before = folder_bytes(tmp_path / "whole" / "chunks")
    imported(source, tmp_path / "whole")
    assert folder_bytes(tmp_path / "whole" / "chunks") == before


def test_ray_workers_write_the_bytes_of_one_process(tmp_path: Path, ray_session: object) -> None:
    source = parquet(tmp_path / "set")
    imported(source, tmp_path / "inline")
    spread = load_config(IMPORT_CONFIG, ["executor.kind=ray", "executor.light_workers=2"])
    session = new_import(source, tmp_path / "ray", spread)
    with session.run.driving():
        asyncio.run(session.make(QUIET))
    assert folder_bytes(tmp_path / "ray" / "chunks") == folder_bytes(tmp_path / "inline" / "chunks")


def test_a_broken_sample_is_kept_by_name_and_made_again_once_it_is_whole(tmp_path: Path) -> None:
    source = layered_folder(tmp_path / "set")
    broken = {
        "s0000002.layer_00.png": b"\x89PNG\r\n\x1a\n cut",
        "s0000003.json": b'{"schema": 1}',
        "s0000004.base_image.png": encode_png(np.zeros((7, 7, 3), np.uint8)),
    }
    whole = {name: (source / name).read_bytes() for name in broken}
    for name, content in broken.items():
        (source / name).write_bytes(content)
    (source / "s0000005.json").unlink()
    session = imported(source, tmp_path / "run")
    failures = index_of(tmp_path / "run").failures()
    assert sorted(failures) == ["s0000002", "s0000003", "s0000004", "s0000005"]
    assert "layer_00.png" in failures["s0000002"].error
    assert "the sidecar is not valid" in failures["s0000003"].error
    assert "base_image.png has 7×7 pixels" in failures["s0000004"].error
    assert all(failure.stage == "importing" and failure.traceback for failure in failures.values())
    assert index_of(tmp_path / "run").counts().finished == 16

    for name, content in whole.items():
        (source / name).write_bytes(content)
    with pytest.raises(UserError, match=r"another run: import\.files"):
        new_import(source, tmp_path / "run", config())
    again = existing_import(session.run, config())
    with again.run.driving():
        asyncio.run(again.retry(QUIET))
    assert list(index_of(tmp_path / "run").failures()) == ["s0000005"]
    assert verify_run(tmp_path / "run") == []


def test_a_broken_file_of_a_set_is_one_failed_sample(tmp_path: Path) -> None:
    source = parquet(tmp_path / "set")
    broken = source / "data" / "flat-00001-of-00003.parquet"
    broken.write_bytes(broken.read_bytes()[:-20])
    imported(source, tmp_path / "run")
    index = index_of(tmp_path / "run")
    assert index.counts().finished == 13  # of 20, seven were in it
    assert list(index.failures()) == ["flat-00001-of-00003"]
    assert "as Parquet" in index.failures()["flat-00001-of-00003"].error


def test_a_broken_picture_of_a_row_costs_that_row_alone(tmp_path: Path) -> None:
    source = parquet(tmp_path / "set", SAMPLES[:4])
    (file,) = (source / "data").glob("*.parquet")
    content = file.read_bytes()
    at = content.index(encode_png(SAMPLES[2][0].layers[0].pixels))
    file.write_bytes(content[:at] + b"oops" + content[at + 4 :])
    imported(source, tmp_path / "run")
    failures = index_of(tmp_path / "run").failures()
    assert list(failures) == ["s0000002"]
    assert "layer_00 is not an image" in failures["s0000002"].error


def test_hostile_names_and_splits_stay_names(tmp_path: Path) -> None:
    """A key with dots or slashes, a split that climbs out: ids are made of what a key may hold, splits are refused."""
    image, sidecar = make_sample(1)
    hostile = sidecar.model_copy(update={"id": "x", "provenance": {"split": "../../up"}})
    folder = tmp_path / "set"
    for name in ("..%2F..%2Fup", "UPPER Case", "ünïcode 🦊", "-", "--"):
        for member, data in encode_members(image, hostile).items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name.replace('.', '%')}.{member}").write_bytes(data)
    imported(folder, tmp_path / "run")
    planned = RunDirectory.open(tmp_path / "run").planned_samples()
    ids = {sample.sample_id for sample in planned}
    assert ids == {"2f-2fup", "sample-0000001", "sample-0000002", "upper-case", "n-code"}
    assert {sample.split for sample in planned} <= {"train", "val"}
    assert verify_run(tmp_path / "run") == []
    assert {path.name for path in tmp_path.iterdir()} == {"set", "run"}


def test_psd_and_open_raster_files_become_samples_with_captions_from_their_layers(tmp_path: Path) -> None:
    source = tmp_path / "set"
    source.mkdir()
    for name in ("psd", "ora"):
        image, sidecar = make_sample(len(name), layers=2)
        format_of(name).write(image, sidecar, source / f"Summer Poster.{name}")  # type: ignore[union-attr]
    foreign = PSDImage.frompil(Image.new("RGB", (40, 30), (9, 99, 199)))
    foreign.create_pixel_layer(Image.new("RGBA", (10, 8), (200, 30, 40, 255)), name="a red box", left=3, top=4)
    foreign.save(source / "foreign.psd")
    (source / "cut.psd").write_bytes((source / "Summer Poster.psd").read_bytes()[:300])
    (source / "bomb.ora").write_bytes(b"PK\x03\x04 no zip")
    imported(source, tmp_path / "run", "CC0-1.0")
    index = index_of(tmp_path / "run")
    assert index.sample_ids == ["summer-poster", "summer-poster-2", "bomb", "cut", "foreign"]
    assert {name: failure.error.partition(":")[0] for name, failure in index.failures().items()} == {
        "bomb": "bomb.ora",
        "cut": "cut.psd",
    }
    image, sidecar = make_sample(3, layers=2)
    for name in ("summer-poster", "summer-poster-2"):
        again, described = index.sample(name)
        assert np.array_equal(again.whole(), image.whole())
        assert described.layers == sidecar.layers
    image, described = index.sample("foreign")
    assert described.layers[-1].caption == "a red box"
    assert described.layers[-1].licence == "CC0-1.0"
    assert described.provenance["caption_source"] == "layer names"
    assert "a red box" in described.whole_caption
    assert verify_run(tmp_path / "run") == []


def test_a_licence_is_given_to_what_has_none(tmp_path: Path) -> None:
    image, sidecar = make_sample(1, layers=2)
    bare = sidecar.layers[0].model_copy(update={"licence": ""})
    sidecar = sidecar.model_copy(update={"layers": (bare, sidecar.layers[1])})
    imported(layered_folder(tmp_path / "set", [(image, sidecar)]), tmp_path / "run", "CC-BY-4.0")
    _, described = index_of(tmp_path / "run").sample("s0000001")
    assert [layer.licence for layer in described.layers] == ["CC-BY-4.0", "Apache-2.0"]
    assert described.provenance["base_licence"] == "CC-BY-4.0"


def test_a_missing_caption_is_put_together_and_marked(tmp_path: Path) -> None:
    image, sidecar = make_sample(1, layers=2)
    imported(
        layered_folder(tmp_path / "set", [(image, sidecar.model_copy(update={"whole_caption": ""}))]), tmp_path / "r"
    )
    _, described = index_of(tmp_path / "r").sample("s0000001")
    assert described.whole_caption == "a beach, thing 0, thing 1"
    assert described.provenance["whole_caption_source"] == "captions of base image and layers"


def test_what_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "letter.txt").write_text("dear reader")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 oops")
    for name in ("none", "empty", "letter.txt", "bad.parquet"):
        with pytest.raises(UserError) as error:
            new_import(tmp_path / name, tmp_path / "run", config())
        assert "\n" not in str(error.value)
        assert name in str(error.value)
    assert not (tmp_path / "run").exists()


def test_imported_samples_are_neither_drawn_nor_matted_again(tmp_path: Path) -> None:
    imported(layered_folder(tmp_path / "set", SAMPLES[:2]), tmp_path / "run")
    assert holds_import(tmp_path / "run")
    with pytest.raises(UserError, match="never on a flat background"):
        run_again(tmp_path / "run", config(), BriefList(()), ("matting", "compose", "filters"))
    with pytest.raises(UserError, match="nobody can draw again"):
        new_run(tmp_path / "run", load_config(IMPORT_CONFIG.with_name("quick.yaml")), BriefList(()))


def test_from_parquet_to_scores_to_shards_by_the_commands(
    layerprism: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Made elsewhere, imported, scored, published, verified: the commands of the documents, on small pictures."""
    source, run = parquet(tmp_path / "set", SAMPLES[:4]), tmp_path / "run"
    code, said = layerprism("import", source, "--out", run)
    assert (code, "--only filters" in said) == (0, True), said
    layerprism("run", IMPORT_CONFIG, "--out", run, "--only", "filters")  # noise on noise: everything may be flagged
    scores = {row["name"] for row in score_rows(index_of(run))}
    assert {"alpha_empty", "clip_whole"} <= scores
    options = [
        option
        for name in load_config(IMPORT_CONFIG).filters.thresholds()
        for option in ("--set", f"filters.{name}.threshold=-1000")
    ]
    code, said = layerprism("shard", run, *options, "--set", "filters.duplicates.enabled=false")
    assert code == 0, said
    assert layerprism("verify", run)[0] == 0
    assert layerprism("status", run)[0] == 0
    published = Publication.open(run / "shards")
    assert len(published) == 4
    card = (run / "shards" / "README.md").read_text()
    assert "text-to-image model draws" not in card
    assert "imported" in card
    manifest = pq.read_table(run / "shards" / "manifest.parquet")
    assert json.dumps(manifest.column("licences").to_pylist()).count("Apache-2.0")


@pytest.mark.slow
def test_art_learns_from_what_was_imported(layerprism: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "plus"
    assert layerprism("import", publication(tmp_path / "set"), "--out", run)[0] == 0
    assert layerprism("shard", run)[0] == 0  # nothing is scored yet, so nothing is flagged
    settings = {
        "data.publication": run,
        "out": out,
        "cache.folder": tmp_path / "cache",
        "steps": 2,
        "schedule.warmup": 1,
        "validation.every": 2,
        "validation.designs": 1,
        "validation.pictures": 1,
        "checkpoints.every": 2,
    }
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    code, said = layerprism("train", IMPORT_CONFIG.parent / "art_plus" / "demo.yaml", *options)
    assert code == 0, said
    assert "step 2/2" in said
    assert (out / "model" / "README.md").is_file()
