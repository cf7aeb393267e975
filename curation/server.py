"""Serving the review page: an address, a token where it is needed, and an orderly end."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import uvicorn
from starlette.applications import Starlette

from curation.security import LOOPBACK_NAMES
from layered.errors import UserError

AppMaker = Callable[[str | None, frozenset[str] | None], Starlette]

DEFAULT_PORT: Final = 8765
_PORTS_TRIED: Final = 20
_BACKLOG: Final = 2048


@dataclass(frozen=True)
class Address:
    """Where the page is served.

    Attributes:
        listener: listening; what comes before the server is up waits.
        token: needed to open the page; None on a loopback address.
    """

    host: str
    listener: socket.socket
    token: str | None

    @property
    def url(self) -> str:
        """What a browser opens. Of a server on all addresses, the name of this machine."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        shown = f"[{host}]" if ":" in host else host
        port = self.listener.getsockname()[1]
        return f"http://{shown}:{port}/" + (f"?token={self.token}" if self.token else "")


def bind(host: str, port: int | None) -> Address:
    """Takes an address: the port given (0: any), or the first free one from `DEFAULT_PORT` on.

    Raises:
        UserError: when the address cannot be taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    candidates = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED), 0]
    problem: OSError | None = None
    for candidate in candidates:
        # The protocol is named because asyncio looks for it: without, every answer waits 40 ms for an acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(_BACKLOG)  # from here on nobody else can take it
        except OSError as error:
            listener.close()
            problem = error
            continue
        return Address(host, listener, None if is_loopback(host) else secrets.token_urlsafe(24))
    raise UserError(f"cannot serve on {host}:{port}: {problem}; choose another --host or --port")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(make_app: AppMaker, address: Address, at_end: Callable[[], None] = lambda: None) -> None:
    """Serves until it is told to stop (Ctrl-C, SIGTERM).

    Args:
        make_app: takes the token and the names of `curation.security.Guard`.
        at_end: called when it begins to stop, to end streams that would hold the end up.
    """
    names = None if address.token else LOOPBACK_NAMES | {address.host}
    config = uvicorn.Config(
        make_app(address.token, names),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    shut_down = server.shutdown

    async def close_streams(sockets: list[socket.socket] | None = None) -> None:
        at_end()
        await shut_down(sockets)

    server.shutdown = close_streams  # type: ignore[method-assign]
    server.run(sockets=[address.listener])
