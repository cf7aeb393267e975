"""An S3 server of this machine, and a wire to it that can be slow or cut: for tests and benchmarks."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

CREDENTIALS: Final[Mapping[str, str]] = {
    "AWS_ACCESS_KEY_ID": "layerprism",
    "AWS_SECRET_ACCESS_KEY": "layerprism",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What the server takes; any would do."""

_BLOCK = 1 << 16


class S3Server:
    """moto's S3 in a thread of this process.

    It answers one request after the other: moto looks whether an object exists and then writes it, and S3 promises that
    of two writers with ``If-None-Match`` one is refused.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Silent(WSGIRequestHandler):  # type: ignore[misc]
            def log(self, type: str, message: str, *args: Any) -> None:
                """Says nothing."""

        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Silent)
        self._thread = threading.Thread(target=self._server.serve_forever, name="s3", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Wire:
    """A TCP proxy before a server of this machine: what a network does to a client.

    Attributes:
        latency: seconds that everything a client sends is late.
    """

    def __init__(self, target_port: int, latency: float = 0.0) -> None:
        self.latency = latency
        self._target = target_port
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._watched: tuple[bytes, Callable[[], None]] | None = None
        self._listener = _listen(0)
        self.port = int(self._listener.getsockname()[1])
        self._accept(self._listener)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def when(self, sent: bytes, call: Callable[[], None]) -> None:
        """Has something done before a client's first message with these bytes in it is passed on."""
        self._watched = sent, call

    def cut(self) -> None:
        """Breaks all connections, and refuses new ones until `mend`."""
        _close(self._listener)
        with self._lock:
            connections, self._connections = self._connections, set()
        for each in connections:
            _close(each)

    def mend(self) -> None:
        self._listener = _listen(self.port)
        self._accept(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        def run() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    return
                with self._lock:
                    self._connections |= {client, server}
                for source, sink, late in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, sink, late), daemon=True).start()

        threading.Thread(target=run, name="wire", daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, late: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_BLOCK):
                if late:
                    self._notice(data)
                    time.sleep(self.latency)
                sink.sendall(data)
        for each in (source, sink):
            with self._lock:
                self._connections.discard(each)
            _close(each)

    def _notice(self, data: bytes) -> None:
        with self._lock:
            if self._watched is None or self._watched[0] not in data:
                return
            (_, call), self._watched = self._watched, None
        call()


@contextmanager
def environment(url: str) -> Iterator[None]:
    """Points all S3 clients of this process, and of those that it starts, at a server."""
    former = dict(os.environ)
    os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL_S3": url})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(former)


def make_bucket(url: str, name: str) -> str:
    """A new bucket of a server; its URL."""
    import s3fs

    key, secret = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=url).mkdir(name)
    return f"s3://{name}"


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
