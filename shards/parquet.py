"""Reading Parquet in the calling thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


def read_parquet(source: Path | BinaryIO, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a Parquet file, its metadata kept.

    `pyarrow.parquet.read_table` leaves threads behind that now and then outlive the interpreter and abort a process
    which has already done its work ("terminate called without an active exception", pyarrow 26); this starts none.

    Raises:
        OSError, pyarrow.ArrowException: when the file is missing or damaged.
    """
    with pq.ParquetFile(source, pre_buffer=False) as file:
        return file.read(None if columns is None else list(columns), use_threads=False)
