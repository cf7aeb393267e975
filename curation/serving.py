"""What every server of the page has: its files, its rules, who sits in front of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from curation.errors import RequestError
from curation.requests import SessionBody, body_of, json_bytes
from curation.security import Guard
from curation.store import DecisionStore

STATIC_FOLDER: Final = Path(__file__).parent / "static"
REVIEWER_COOKIE: Final = "layerprism_reviewer"

IMMUTABLE: Final = {"cache-control": "private, max-age=31536000, immutable"}
FRESH: Final = {"cache-control": "no-store"}
_LOOKED_AT_AGAIN: Final = {"cache-control": "no-cache"}

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def page_app(
    routes: Sequence[BaseRoute], token: str | None, names: frozenset[str] | None, lifespan: Lifespan | None = None
) -> Starlette:
    """The page with these routes; `token` and `names` as in `curation.security.Guard`."""
    return Starlette(
        routes=[*routes, Route("/", _index), Mount("/static", _Static(directory=STATIC_FOLDER))],
        middleware=[Middleware(Guard, token=token, names=names)],
        exception_handlers={RequestError: _refused},
        lifespan=lifespan,
    )


def answer(content: Any, status: int = 200) -> Response:
    """JSON that is not kept."""
    return Response(json_bytes(content), status, FRESH, "application/json")


def reviewer_in(request: Request) -> str:
    """Who sits in front of this browser; empty when it has not been said."""
    named = unquote(request.cookies.get(REVIEWER_COOKIE, ""))[:64].strip()
    return named if named.isprintable() else ""


async def set_session(request: Request, store: DecisionStore, reviewer: str) -> Response:
    """Remembers in a cookie who reviews, and in the store which keys they like."""
    body = await body_of(request, SessionBody)
    name = body.reviewer or reviewer
    if body.keys is not None:
        await run_sync(store.set_preference, name, "keys", body.keys)
    response = answer({"reviewer": name})
    response.set_cookie(REVIEWER_COOKIE, quote(name), max_age=31536000, samesite="strict", httponly=True)
    return response


class _Static(StaticFiles):
    """The page's own files, looked at again each time: they change with the program, not with the address."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_LOOKED_AT_AGAIN)
        return response


async def _refused(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, error.status if isinstance(error, RequestError) else 500)


async def _index(request: Request) -> Response:
    return FileResponse(STATIC_FOLDER / "index.html", headers=_LOOKED_AT_AGAIN)
