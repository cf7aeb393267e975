import errno

import pytest

from shards.patience import Patience, StoreSilentError, is_transient


class ClientError(Exception):
    """As botocore's: an answer with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.response = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}


def translated(status: int) -> OSError:
    """As s3fs hands on an answer."""
    error = OSError(errno.EIO, "an answer")
    error.__cause__ = ClientError(status)
    return error


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionResetError(), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (OSError(errno.ENETUNREACH, "no network"), True),
        (translated(500), True),
        (translated(503), True),
        (translated(429), True),
        (translated(400), False),
        (translated(403), False),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (FileExistsError(), False),
        (OSError(errno.ENOSPC, "disk full"), False),
        (ValueError(), False),
    ],
)
def test_what_passes_by_itself_is_told_from_what_does_not(error: Exception, transient: bool) -> None:
    assert is_transient(error) == transient


def test_the_errors_of_real_clients_are_known() -> None:
    from aiohttp import ClientPayloadError, ServerDisconnectedError
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError

    assert is_transient(EndpointConnectionError(endpoint_url="http://x"))
    assert is_transient(ReadTimeoutError(endpoint_url="http://x"))
    assert is_transient(ServerDisconnectedError())
    assert is_transient(ClientPayloadError())
    assert not is_transient(NoCredentialsError())


def test_tries_until_it_answers_and_counts_them() -> None:
    tries = []

    def function(before: int) -> str:
        tries.append(before)
        if before < 2:
            raise ConnectionResetError
        return "answer"

    assert Patience(10).call_counting("s3://x", function) == "answer"
    assert tries == [0, 1, 2]


def test_gives_up_in_one_line_that_says_how_to_go_on() -> None:
    def function() -> None:
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(StoreSilentError, match=r"s3://x has not answered for 0 s \(ConnectionRefusedError"):
        Patience(0).call("s3://x", function)


def test_what_only_a_person_can_mend_is_raised_at_once() -> None:
    from botocore.exceptions import NoCredentialsError

    def function() -> None:
        raise NoCredentialsError

    with pytest.raises(PermissionError, match="credentials"):
        Patience(60).call("s3://x", function)
