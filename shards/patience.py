"""Waiting for a store that does not answer: what passes by itself is tried again, everything else is told at once."""

from __future__ import annotations

import errno
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from layered.errors import FailedWorkError

DEFAULT_PATIENCE_SECONDS = 300.0

_T = TypeVar("_T")
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_SECONDS_BETWEEN_LINES = 5.0
_TRANSIENT_NUMBERS = frozenset(
    {errno.EREMOTEIO, errno.EBUSY, errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EPIPE}
)
_CLIENT_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "urllib3", "requests")
_TRANSIENT_NAMES = frozenset(
    {
        *("ConnectionError", "HTTPClientError", "ResponseParserError", "IncompleteReadError"),
        *("ClientConnectionError", "ClientPayloadError", "ServerTimeoutError", "ProtocolError", "FSTimeoutError"),
    }
)
_logger = logging.getLogger(__name__)


class StoreSilentError(FailedWorkError):
    """A store did not answer for as long as was to be waited."""


class Patience:
    """Calls a store again while it does not answer, a little later each time, and says so.

    Attributes:
        seconds: after which it gives up.
    """

    def __init__(self, seconds: float = DEFAULT_PATIENCE_SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._said_at = -_SECONDS_BETWEEN_LINES

    def __getstate__(self) -> float:
        return self.seconds

    def __setstate__(self, seconds: float) -> None:
        self.__init__(seconds)  # type: ignore[misc]

    def call(self, place: str, function: Callable[[], _T]) -> _T:
        """What `function` returns, sooner or later.

        Args:
            place: named when it does not answer.

        Raises:
            StoreSilentError: when it still does not answer after `seconds`.
            OSError: what the store answers, if that is an error.
        """
        return self.call_counting(place, lambda _: function())

    def call_counting(self, place: str, function: Callable[[int], _T]) -> _T:
        """`call` for a function that must know how many tries before this one may have reached the store."""
        began, tries, pause = time.monotonic(), 0, _FIRST_PAUSE_SECONDS
        while True:
            try:
                result = function(tries)
            except Exception as error:
                if not is_transient(error):
                    if _is_of_a_client(error):
                        raise PermissionError(errno.EACCES, str(error)) from error
                    raise
                waited = time.monotonic() - began
                if waited >= self.seconds:
                    raise StoreSilentError(
                        f"{place} has not answered for {waited:.0f} s ({_in_short(error)}): "
                        "the same command goes on from here once it does"
                    ) from error
                self._say(f"storage does not answer, waiting ({waited:.0f} s): {place}: {_in_short(error)}")
                time.sleep(min(pause, max(self.seconds - waited, 0.01)))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                tries += 1
            else:
                if tries and time.monotonic() - began > _SECONDS_BETWEEN_LINES:
                    self._say(f"storage answers again after {time.monotonic() - began:.0f} s: {place}", always=True)
                return result

    def _say(self, line: str, always: bool = False) -> None:
        """One line for all threads, now and then."""
        with self._lock:
            now = time.monotonic()
            if not always and now - self._said_at < _SECONDS_BETWEEN_LINES:
                return
            self._said_at = now
        _logger.warning(line)


def is_transient(error: BaseException) -> bool:
    """Whether an error passes by itself: a broken or refused connection, a time limit, a server that is overwhelmed."""
    if isinstance(error, (FileNotFoundError, PermissionError, FileExistsError)):
        return False
    status = http_status(error)
    if status is not None:
        return status >= 500 or status in (408, 429)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    socket = sys.modules.get("socket")
    if socket is not None and isinstance(error, socket.gaierror):
        return True
    if isinstance(error, OSError) and error.errno in _TRANSIENT_NUMBERS:
        return True
    kinds = [
        kind for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in (*_CLIENT_LIBRARIES, "fsspec")
    ]
    return any(kind.__name__ in _TRANSIENT_NAMES for kind in kinds)


def http_status(error: BaseException) -> int | None:
    """The status of the answer that an error was made from; None where there was no answer."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return status
    return None


def _is_of_a_client(error: Exception) -> bool:
    """Whether a client library raised something of its own, such as missing credentials."""
    return type(error).__module__.partition(".")[0] in _CLIENT_LIBRARIES and not isinstance(error, OSError)


def _in_short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
