from pathlib import Path

import numpy as np

from benchmarks.review import QUERIES, table
from benchmarks.review_run import LAYERS, make_large_run
from curation.query import QueryRequest
from pipeline.review import ReviewOptions, open_review


def test_the_made_run_is_one_that_the_page_can_show(tmp_path: Path) -> None:
    run = make_large_run(tmp_path / "run", 120)
    review = open_review(run.path, ReviewOptions())
    columns, library = review.columns, review.library
    assert (len(columns), library.complete) == (120, True)
    assert 0.3 < columns.passed.mean() < 0.95
    assert columns.hashed.all()
    assert library.canvas(119) == (8, 8)
    assert len(library.sidecar(60).layers) == LAYERS
    thumbnail = library.thumbnail(library.version(7), columns.ids[7], "whole")
    assert thumbnail.startswith(b"RIFF")
    assert review.grouper is not None
    review.groups = np.zeros(120, np.int32)
    for body in QUERIES.values():
        name, _ = review.query(QueryRequest.model_validate(body), "ann")
        assert review.results.get(name)


def test_the_table_says_what_was_wanted() -> None:
    document = {
        "machine": "one",
        "samples": 120,
        "latency_ms": 30.0,
        "store": "disk",
        "start_seconds": 1.0,
        "http_first_screen_seconds": 0.5,
        "http_first_screen_again_seconds": 0.25,
        "queries": {"text": {"seconds": 0.012, "samples": 7}},
        "http_thumbnails_in_time": 0.99,
        "server_mib": 200.0,
        "page": None,
    }
    text = table(document)
    assert "| query: text (7) | 12 ms | ≤ 300 ms |" in text
    assert "Chromium" not in text
