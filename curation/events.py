"""Server-sent events: what every open page is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

_MOST_WAITING: Final = 256
_ALIVE_SECONDS: Final = 15.0


class Bus:
    """Sends each message to all listeners. A listener that does not keep up is told to load everything again."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str]] = set()
        self._closed = False

    def send(self, kind: str, content: Any) -> None:
        message = f"event: {kind}\ndata: {json.dumps(content)}\n\n"
        for queue in self._listeners:
            if queue.full():
                _empty(queue)
                queue.put_nowait("event: resync\ndata: {}\n\n")
            else:
                queue.put_nowait(message)

    def close(self) -> None:
        """Ends all streams, so that the server can stop."""
        self._closed = True
        for queue in self._listeners:
            _empty(queue)
            queue.put_nowait("")

    async def listen(self) -> AsyncIterator[str]:
        """Messages as they go over the wire, and a comment now and then that keeps the connection open."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._listeners.add(queue)
        try:
            yield "retry: 2000\n\n"
            while not self._closed:
                try:
                    message = await asyncio.wait_for(queue.get(), _ALIVE_SECONDS)
                except TimeoutError:
                    message = ": alive\n\n"
                if message:
                    yield message
        finally:
            self._listeners.discard(queue)


def _empty(queue: asyncio.Queue[str]) -> None:
    while not queue.empty():
        queue.get_nowait()
