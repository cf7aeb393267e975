"""The report as a newcomer opens it: a page whose pictures are all there and whose texts stay texts."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from layered.png import decode_png
from layered.rendering import encode_webp
from ledger.index import RunIndex
from ledger.run_directory import RunDirectory
from ledger.selection import Selection, select
from pipeline.report import write_report
from pipeline.report.gallery import decode_thumbnail
from pipeline.report_config import ReportConfig
from tests.ledger.runs import sample_id
from tests.pipeline.small_run import FAILED, FLAGGED, NASTY, THRESHOLDS, small_run
from tests.shards.samples import folder_bytes, make_sample

VOID_TAGS = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser makes of a page: its text by tag, what it refers to; complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID_TAGS:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        tag = self._open[-1] if self._open else ""
        self.text[tag] = self.text.get(tag, "") + data

    @property
    def all_text(self) -> str:
        return " ".join(text for tag, text in self.text.items() if tag != "style")


def report_of(run: RunDirectory, config: ReportConfig | None = None) -> tuple[Path, Page]:
    path = Path(write_report(run, selection_of(run), THRESHOLDS, config or ReportConfig(), {"told by": "the caller"}))
    return path.parent, Page(path.read_text(encoding="utf-8"))


def selection_of(run: RunDirectory) -> Selection:
    return select(run.planned_samples(), RunIndex.load(run.storage), {}, THRESHOLDS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    return report_of(small_run(tmp_path_factory.mktemp("run")))


def test_every_picture_of_the_page_is_there_and_no_other(written: tuple[Path, Page]) -> None:
    folder, page = written
    assert {"index.html", *page.references} == set(folder_bytes(folder))
    names = {"contact_sheet.png", "layers.png", "scores.png", "rejected.png", "timeline.png"}
    assert names <= set(page.references)


def test_captions_and_errors_are_text_and_never_html(written: tuple[Path, Page]) -> None:
    _, page = written
    assert f"design 0 {NASTY}" in page.text["p"]
    assert f"thing 1 {NASTY}" in page.text["span"]
    assert f"no object {NASTY}" in page.text["td"]
    assert "b" not in page.tags


def test_the_page_needs_neither_network_nor_script(written: tuple[Path, Page]) -> None:
    folder, page = written
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "://" not in (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_says_what_was_made(written: tuple[Path, Page]) -> None:
    _, page = written
    assert page.text["h1"] == "small run"
    for told in ("5 of 9", "tiny", "r7", "Apache-2.0", "f1" * 32, "torch 2.13.0", "the caller", "matting", "1.25 s"):
        assert told in page.all_text, told
    assert "5 layered images of 15 transparent layers" in page.all_text


def test_the_page_names_the_flagged_and_the_failed_sample_with_their_reasons(written: tuple[Path, Page]) -> None:
    _, page = written
    assert "clip_layer of layer 1 is 0.100, below 0.2" in page.text["p"]
    assert sample_id(FLAGGED) in page.text["code"]
    assert sample_id(FAILED) in page.text["code"]
    assert "Traceback (most recent call last)" in page.text["pre"]


def test_thumbnails_are_those_of_the_chunks(written: tuple[Path, Page]) -> None:
    folder, _ = written
    image, _ = make_sample(1, 3)
    pictures = folder / "pictures"
    assert (pictures / f"{sample_id(1)}.whole.webp").read_bytes() == encode_webp(image.whole())
    assert (pictures / f"{sample_id(1)}.layer_02.webp").read_bytes() == encode_webp(image.layers[2].pixels)


def test_the_contact_sheet_shows_the_first_sample_first(written: tuple[Path, Page]) -> None:
    folder, _ = written
    sheet = decode_png((folder / "contact_sheet.png").read_bytes())
    image, _ = make_sample(0, 2)
    height, width = image.base.shape[:2]
    top, left = 8 + (160 - height) // 2, 8 + (160 - width) // 2
    shown = sheet[top : top + height, left : left + width]
    np.testing.assert_array_equal(shown, decode_thumbnail(encode_webp(image.whole())))


def test_what_there_is_no_data_for_is_left_out(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", timed=False)
    passing = dict.fromkeys(THRESHOLDS, 0.0)
    selection = select(run.planned_samples(), RunIndex.load(run.storage), {}, passing)
    path = Path(write_report(run, selection, passing, ReportConfig(), {}))
    page = Page(path.read_text(encoding="utf-8"))
    assert not {"timeline.png", "rejected.png"} & {*folder_bytes(path.parent), *page.references}
    assert "Where the time went" not in page.text["h2"]
    assert "Left out" not in page.text["h2"]


def test_a_run_without_a_published_sample_still_has_a_report(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    strict = {"clip_whole": 0.9}
    selection = select(run.planned_samples(), RunIndex.load(run.storage), {}, strict)
    path = Path(write_report(run, selection, strict, ReportConfig(), {}))
    page = Page(path.read_text(encoding="utf-8"))
    assert "layers.png" not in page.references
    assert {"index.html", "contact_sheet.png", *page.references} == set(folder_bytes(path.parent))


def test_a_new_report_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    first, _ = report_of(run)
    before = folder_bytes(first)
    smaller, page = report_of(run, ReportConfig(samples=1, rejected=0))
    assert {"index.html", *page.references} == set(folder_bytes(smaller))
    assert len(folder_bytes(smaller)) < len(before)
    report_of(run)
    assert folder_bytes(first) == before
