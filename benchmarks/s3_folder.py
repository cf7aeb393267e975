"""A local folder as a bucket: as much of S3 as reading a run and pushing decisions to it takes, and little work for it.

    python -m benchmarks.s3_folder FOLDER        prints its address; the folder is the bucket ``run``

A benchmark on one machine must not measure an S3 server that shares its cores: this one answers in a fraction of a
millisecond. Whether storage keeps its promises is tested on moto, see `benchmarks.s3_server`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import socket
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BUCKET = "run"
_PAGE = 1000
_TIME = "%Y-%m-%dT%H:%M:%S.000Z"


class FolderBucket:
    """The files below a folder, as objects."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def bucket(self, request: Request) -> Response:
        """ListObjectsV2 with a delimiter, which is all that s3fs asks of a bucket."""
        prefix = request.query_params.get("prefix", "")
        start = request.query_params.get("continuation-token", "")
        limit = int(request.query_params.get("max-keys", _PAGE))
        folder, _, beginning = prefix.rpartition("/")
        path = self._root / folder
        names = sorted(os.listdir(path)) if path.is_dir() else []  # noqa: PTH208
        found = [name for name in names if name.startswith(beginning) and name > start]
        parts = [self._listed(path / name, f"{folder}/{name}" if folder else name) for name in found[:limit]]
        more = len(found) > limit
        token = f"<NextContinuationToken>{escape(found[limit - 1])}</NextContinuationToken>" if more else ""
        return Response(
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(parts)}</KeyCount>"
            f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(parts)}</ListBucketResult>",
            media_type="application/xml",
        )

    async def key(self, request: Request) -> Response:
        """GetObject with a range, HeadObject, PutObject with a condition, DeleteObject."""
        path = self._root / request.path_params["key"]
        if request.method == "PUT":
            return await self._put(request, path)
        if request.method == "DELETE":
            path.unlink(missing_ok=True)
            return Response(status_code=204)
        try:
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                head = {
                    "etag": _etag(status),
                    "last-modified": formatdate(status.st_mtime, usegmt=True),
                    "accept-ranges": "bytes",
                }
                if request.method == "HEAD":
                    return Response(headers={**head, "content-length": str(status.st_size)})
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
                if asked is None:
                    return Response(stream.read(), headers=head)
                begin, end = int(asked[1]), int(asked[2] or status.st_size - 1)
                if begin >= status.st_size:
                    return _error(416, "InvalidRange")
                content = os.pread(stream.fileno(), end - begin + 1, begin)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return _error(404, "NoSuchKey")
        head["content-range"] = f"bytes {begin}-{begin + len(content) - 1}/{status.st_size}"
        return Response(content, 206, headers=head)

    async def _put(self, request: Request, path: Path) -> Response:
        if request.headers.get("if-none-match") == "*" and path.exists():
            return _error(412, "PreconditionFailed", "<Condition>If-None-Match</Condition>")
        content = await request.body()
        if request.headers.get("content-encoding", "").startswith("aws-chunked"):
            return _error(501, "NotImplemented")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Response(headers={"etag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'})

    def _listed(self, path: Path, key: str) -> str:
        status = path.stat()
        if path.is_dir():
            return f"<CommonPrefixes><Prefix>{escape(quote(key, safe='/'))}/</Prefix></CommonPrefixes>"
        return (
            f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><Size>{status.st_size}</Size>"
            f"<LastModified>{_iso(status.st_mtime)}</LastModified><ETag>{escape(_etag(status))}</ETag></Contents>"
        )


def make_app(folder: Path) -> Starlette:
    """The server's application."""
    bucket = FolderBucket(folder)
    return Starlette(
        routes=[
            Route(f"/{BUCKET}", bucket.bucket, methods=["GET", "HEAD"]),
            Route(f"/{BUCKET}/{{key:path}}", bucket.key, methods=["GET", "HEAD", "PUT", "DELETE"]),
        ]
    )


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(make_app(arguments.folder), log_level="error", http="httptools")
    uvicorn.Server(config).run(sockets=[listener])


def _etag(status: os.stat_result) -> str:
    # The version that a local run gives the file, so that an index which was made there holds here.
    return f'"{status.st_size}-{status.st_mtime_ns}"'


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _error(status: int, code: str, more: str = "") -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message>{more}</Error>'
    return Response(body, status, media_type="application/xml")


if __name__ == "__main__":
    main()
