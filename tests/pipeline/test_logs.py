"""Log lines for people and for machines."""

import io
import json
import logging
from pathlib import Path

import pytest

from layered.errors import UserError
from pipeline.logs import JsonFormatter, LogWatcher, TextFormatter, open_log
from pipeline.observability_config import ObservabilityConfig
from tests.pipeline.watched import report, tell


def lines_of(formatter: logging.Formatter) -> list[str]:
    stream = io.StringIO()
    logger = logging.Logger("layerprism.run")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    tell(LogWatcher(logger, "big run"))
    return stream.getvalue().splitlines()


def test_each_line_is_json_that_names_run_chunk_stage_and_sample() -> None:
    lines = [json.loads(line) for line in lines_of(JsonFormatter())]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("fault", "warning"),
        ("batch", "info"),
        ("batch", "warning"),
        ("sample failed", "error"),
        ("chunk committed", "info"),
    ]
    assert all((line["run"], line["chunk"]) == ("big run", 7) for line in lines)
    assert all(line["at"].endswith("Z") for line in lines)
    assert (lines[0]["fault"], lines[0]["action"]) == ("worker died", "tried again")
    assert (lines[1]["stage"], lines[1]["worker"], lines[1]["attempt"]) == ("layer_flux", "layer_flux-1", 2)
    failed = lines[3]
    assert (failed["sample"], failed["stage"], failed["layer"]) == ("s0000009", "matting", 2)
    assert failed["error"] == "no object"
    assert (lines[4]["samples"], lines[4]["failed"], lines[4]["layers"]) == (30, 1, 120)


def test_for_people_a_line_is_pairs() -> None:
    line = lines_of(TextFormatter())[3]
    assert 'error sample failed run="big run" chunk=7 stage=matting sample=s0000009 layer=2 error="no object"' in line


def test_the_file_takes_warnings_of_libraries_too_and_is_let_go(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    handlers = list(logging.getLogger().handlers)
    with open_log(ObservabilityConfig(log_file=str(file), log_format="json")) as logger:
        assert logger is not None
        LogWatcher(logger, "big").on_batch(report())
        logging.getLogger("some.library").warning("look out: %s", "ice")
    logging.getLogger("some.library").warning("nobody hears")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["batch", "look out: ice"]
    assert lines[1]["logger"] == "some.library"
    assert logging.getLogger().handlers == handlers


def test_without_a_file_json_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with open_log(ObservabilityConfig(log_format="json")) as logger:
        assert logger is not None
        LogWatcher(logger, "big").on_batch(report())
    assert json.loads(capsys.readouterr().err)["items"] == 12


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    config = ObservabilityConfig(log_file=str(tmp_path / "no" / "log"))
    with pytest.raises(UserError, match=r"observability\.log_file .* cannot be written"):
        open_log(config).__enter__()
