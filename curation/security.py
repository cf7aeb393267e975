"""Who may talk to the server: this machine's own browser, or somebody with the token, and only from the page itself."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ACCEPTED_TYPES: Final = frozenset({"application/json", "text/csv", "application/vnd.apache.parquet"})
"""Of requests that change something. A form on another site can send none of them without asking first."""

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Middleware that refuses strangers and names the page's own rules to the browser.

    Args:
        token: needed for every request where it is not None, as a cookie that ``?token=`` sets.
        names: host names that the page is opened under; others are refused, because a stranger's domain may point to
            this machine (DNS rebinding). None allows all of them, where a token protects the page.
    """

    def __init__(self, app: ASGIApp, token: str | None, names: frozenset[str] | None) -> None:
        self._app = app
        self._token = token
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._names is not None and (urlsplit(f"//{host}").hostname or "") not in self._names:
            return PlainTextResponse("This page is not served under that name.", 421)
        if self._token is not None:
            answer = self._without_token(scope, headers, self._token)
            if answer is not None:
                return answer
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        opens_page = scope["method"] == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        if from_elsewhere and not opens_page:
            return PlainTextResponse("Requests from other sites are refused.", 403)
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != host:
                return PlainTextResponse("Requests from other sites are refused.", 403)
            if headers.get("content-type", "").partition(";")[0].strip().lower() not in ACCEPTED_TYPES:
                return PlainTextResponse(f"Send one of {', '.join(sorted(ACCEPTED_TYPES))}.", 415)
        return None

    def _without_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """What to answer to a request that does not have the token as a cookie yet; None where it has."""
        name = cookie_name(scope)
        if hmac.compare_digest(cookie_parser(headers.get("cookie", "")).get(name, "").encode(), token.encode()):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token", "")
        if scope["method"] != "GET" or not hmac.compare_digest(given.encode(), token.encode()):
            return PlainTextResponse("This page needs the address with the token that the server has printed.", 401)
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(name, token, httponly=True, samesite="strict")
        return answer


def cookie_name(scope: Scope) -> str:
    """Cookies do not tell ports apart, and two runs may be reviewed at once."""
    return f"layerprism_token_{(scope.get('server') or ('', 0))[1]}"
