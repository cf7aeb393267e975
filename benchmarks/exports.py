"""How long a thousand samples take to become PSD and OpenRaster files, and whether memory grows with their number.

The samples are those of a demo run, repeated under other names until there are enough; without a run, designs with the
sizes of the demo's are made. The command's own code is timed, start of the worker processes included. Memory is the
most that any process held (``ru_maxrss``), for a tenth of the samples and for all of them.

    python -m benchmarks.exports [--run runs/demo] [--samples 1000] [--workers 2] [--formats psd ora] [--json FILE]
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from benchmarks.shards import make_samples
from layered.codec import SIDECAR_MEMBER, decode_members, encode_members
from layered.folder import write_layered_folder
from pipeline.export import ExportOptions, export
from pipeline.export_source import open_source

RESULTS: Final = Path("benchmarks/results/exports.json")
LIMIT_SECONDS: Final = 60.0
MADE: Final = 24
"""Different designs that are made where there is no run."""


@dataclass(frozen=True)
class Row:
    """One format: seconds for all samples, megabytes of files, most memory for a tenth of them and for all."""

    format: str
    samples: int
    workers: int
    seconds: float
    megabytes: float
    memory_of_a_tenth: float
    memory_of_all: float


def measure(source: Path, names: list[str], samples: int, workers: int) -> list[Row]:
    """Exports the layered folder `source` in each format."""
    rows = []
    for name in names:
        tenth = _in_own_process(source, name, max(1, samples // 10), workers)
        whole = _in_own_process(source, name, samples, workers)
        rows.append(Row(name, samples, workers, whole[0], whole[1], tenth[2], whole[2]))
    return rows


def repeated(run: Path | None, folder: Path, count: int) -> str:
    """Writes `count` samples into a layered folder and says what they are."""
    contents = list(_of_run(run) if run is not None else _made())
    for number, members in enumerate(islice(cycle(contents), count)):
        sidecar = json.loads(members[SIDECAR_MEMBER])
        key = f"s{number:07d}"
        renamed = {**members, SIDECAR_MEMBER: json.dumps({**sidecar, "id": key}, ensure_ascii=False).encode()}
        write_layered_folder(folder, key, renamed)
    canvases = {tuple(json.loads(members[SIDECAR_MEMBER])["canvas"]) for members in contents}
    layers = sum(json.loads(members[SIDECAR_MEMBER])["layer_count"] for members in contents) / len(contents)
    sizes = ", ".join(f"{width}×{height}" for width, height in sorted(canvases))
    origin = "a run's" if run is not None else "made"
    return f"{len(contents)} {origin} designs of {sizes} with {layers:.1f} layers, repeated"


def _of_run(run: Path) -> Iterator[dict[str, bytes]]:
    source = open_source(run, whole_run=True)
    return (encode_members(*source.sample(key)) for key in source.sample_ids)


def _made() -> Iterator[dict[str, bytes]]:
    for sample in make_samples(MADE, 512, 5):
        yield encode_members(*decode_members({**sample.members, SIDECAR_MEMBER: sample.sidecar.to_json()}))


def _in_own_process(source: Path, name: str, samples: int, workers: int) -> tuple[float, float, float]:
    """Seconds, megabytes of files and most megabytes of memory; a new process has no memory of an earlier export."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_export, args=(source, name, samples, workers, sending))
    process.start()
    result: tuple[float, float, float] = receiving.recv()
    process.join()
    return result


def _export(source: Path, name: str, samples: int, workers: int, sending: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        keys = tuple(f"s{number:07d}" for number in range(samples))
        started = time.perf_counter()
        export(source, name, out, ExportOptions(keys=keys, workers=workers), Console(file=io.StringIO()))
        seconds = time.perf_counter() - started
        megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sending.send((seconds, megabytes, kilobytes / 1e3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run whose samples are taken; made ones otherwise")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--formats", nargs="+", default=["psd", "ora"])
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "samples"
        what = repeated(arguments.run, source, arguments.samples)
        rows = measure(source, arguments.formats, arguments.samples, arguments.workers)
    table = Table(title=f"{arguments.samples} samples ({what}), {arguments.workers} processes; {machine()}")
    for heading in ("format", "seconds", f"within {LIMIT_SECONDS:.0f} s", "MB written", "MB of memory, 1/10", "all"):
        table.add_column(heading, justify="right" if heading != "format" else "left")
    for row in rows:
        within = "yes" if row.seconds <= LIMIT_SECONDS else "no"
        memory = f"{row.memory_of_a_tenth:.0f}", f"{row.memory_of_all:.0f}"
        table.add_row(row.format, f"{row.seconds:.1f}", within, f"{row.megabytes:.0f}", *memory)
    Console().print(table)
    document = {"machine": machine(), "samples": what, "rows": [asdict(row) for row in rows]}
    arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
