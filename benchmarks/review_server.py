"""The review page's server as `layerprism review` starts it, on storage that may be slow.

python -m benchmarks.review_server RUN --latency 30
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import BinaryIO

from curation.app import make_app
from curation.server import bind, serve
from ledger.fenced import FencedStorage
from ledger.storage import LocalStorage
from pipeline.review import ReviewOptions, open_review


class SlowStorage(LocalStorage):
    """A local folder in which every opened file costs a round trip, as a ranged read from an object store does."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(root)
        self._seconds = seconds

    def open(self, name: str, read_ahead: int = 0) -> BinaryIO:
        time.sleep(self._seconds)
        return super().open(name, read_ahead)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    arguments = parser.parse_args()
    review = open_review(arguments.run, ReviewOptions(reviewer="benchmark"))
    if arguments.latency:
        review.library.storage = FencedStorage(SlowStorage(Path(arguments.run), arguments.latency / 1000))
    address = bind("127.0.0.1", 0)
    print(f"open {address.url}", flush=True)
    serve(functools.partial(make_app, review), address, review.bus.close)


if __name__ == "__main__":
    main()
