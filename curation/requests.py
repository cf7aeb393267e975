"""What a browser may send: checked before anything is done with it."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from curation.errors import RequestError, bad_request

MOST_JSON_BYTES: Final = 16 * 1024**2
MOST_EVENTS: Final = 1000
LONGEST_CAPTION: Final = 4000
HIGHEST_RATING: Final = 5.0

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Verdict = Literal["pro", "keep", "reject", "skip", "undo"]
Model = TypeVar("Model", bound=BaseModel)


def _is_name(text: str) -> str:
    name = text.strip()
    if not name or not name.isprintable():
        raise ValueError("a name has at least one visible character and no control characters")
    return name


def _is_uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise ValueError("a client_id is a UUID in lower case")
    return text


def _is_finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("a finite number is wanted")
    return number


ReviewerName = Annotated[str, Field(max_length=64), AfterValidator(_is_name)]
Rating = Annotated[float, Field(ge=0, le=HIGHEST_RATING), AfterValidator(_is_finite)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventBody(_Body):
    """One decision. A rating or a caption that is not given stays what it was; null and an empty text take it away."""

    client_id: Annotated[str, AfterValidator(_is_uuid)]
    sample_id: Annotated[str, Field(max_length=200)]
    layer_index: Annotated[int, Field(ge=-1, le=99)] = -1
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    rating: Rating | None = None
    caption: Annotated[str, Field(max_length=LONGEST_CAPTION)] = ""
    queue: str | None = None


class DecisionsBody(_Body):
    events: Annotated[tuple[EventBody, ...], Field(min_length=1, max_length=MOST_EVENTS)]


class BulkBody(_Body):
    """One verdict on all samples of a result but `excluded`, or on those named."""

    query: str | None = None
    samples: tuple[str, ...] | None = None
    verdict: Literal["pro", "keep", "reject", "skip"]
    reasons: tuple[str, ...] = ()
    excluded: Annotated[tuple[str, ...], Field(alias="except")] = ()


class BulkUndoBody(_Body):
    undo: str


class SessionBody(_Body):
    """Who sits in front of the page, and which keys they like."""

    reviewer: ReviewerName | None = None
    keys: dict[str, Annotated[str, Field(max_length=40)]] | None = None


class AnswersBody(_Body):
    """What was said of one pair: by question ``left``, ``right`` or ``draw``."""

    client_id: Annotated[str, AfterValidator(_is_uuid)]
    pair: Annotated[str, Field(max_length=300)]
    answers: dict[str, Literal["left", "right", "draw"]]


async def body_of(request: Request, model: type[Model]) -> Model:
    """The request's JSON, checked. Raises RequestError."""
    try:
        return model.model_validate_json(await read_body(request, MOST_JSON_BYTES))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise bad_request(f"{where}: {first['msg']}" if where else str(first["msg"])) from error


async def read_body(request: Request, most: int) -> bytes:
    """The request's bytes. Raises RequestError 413 as soon as they are more than allowed."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise RequestError(413, f"the request is larger than {most} bytes")
    return bytes(content)


def number_of(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query string in 0…most."""
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise bad_request(f"{name} is {text[:40]!r}: a whole number is wanted")
    return min(int(text), most)


def json_bytes(content: Any) -> bytes:
    """Compact JSON; numbers that JSON does not know become null."""
    return json.dumps(_without_nan(content), ensure_ascii=False, separators=(",", ":")).encode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
