"""What the server refuses, and with which HTTP status."""


class RequestError(Exception):
    """A request that cannot be answered; the message is one line for the person in front of the page."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_request(message: str) -> RequestError:
    return RequestError(400, message)


def not_found(message: str) -> RequestError:
    return RequestError(404, message)
