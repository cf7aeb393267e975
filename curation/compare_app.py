"""The routes of a blind comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from curation.comparison import QUESTIONS, Comparison, results_json
from curation.requests import AnswersBody, body_of
from curation.serving import IMMUTABLE, answer, page_app, reviewer_in, set_session
from curation.store import DecisionStore


@dataclass(frozen=True)
class CompareDesk:
    """A comparison with its answers; `reviewer` where the browser does not say who."""

    comparison: Comparison
    store: DecisionStore
    reviewer: str

    def undecided(self, reviewer: str) -> list[str]:
        """The pairs that a reviewer has not answered, in the reviewer's order."""
        done = {each.pair for each in self.store.answers(self.comparison.name) if each.reviewer == reviewer}
        return [pair for pair in self.comparison.order(reviewer) if pair not in done]

    def progress(self, reviewer: str) -> dict[str, Any]:
        total = len(self.comparison.pairs)
        return {"done": total - len(self.undecided(reviewer)), "total": total}


def make_compare_app(desk: CompareDesk, token: str | None = None, names: frozenset[str] | None = None) -> Starlette:
    """The server as an ASGI application; arguments as those of `curation.security.Guard`."""
    routes = [
        Route("/compare/{token}/{member}", _image),
        Route("/api/session", _session),
        Route("/api/session", _set_session, methods=["POST"]),
        Route("/api/compare/next", _next),
        Route("/api/compare/answers", _answers, methods=["POST"]),
        Route("/api/compare/results", _results),
    ]
    app = page_app(routes, token, names)
    app.state.desk = desk
    return app


def _desk(request: Request) -> CompareDesk:
    desk: CompareDesk = request.app.state.desk
    return desk


def _reviewer(request: Request) -> str:
    return reviewer_in(request) or _desk(request).reviewer


async def _session(request: Request) -> Response:
    desk, reviewer = _desk(request), _reviewer(request)
    progress = await run_sync(desk.progress, reviewer)
    return answer(
        {
            "run": None,
            "reviewer": reviewer,
            "reviewers": sorted({*await run_sync(desk.store.reviewers), reviewer, desk.reviewer}),
            "keys": await run_sync(desk.store.preference, reviewer, "keys") or {},
            "compare": {
                "a": str(desk.comparison.paths["a"]),
                "b": str(desk.comparison.paths["b"]),
                "questions": [{"name": each.name, "title": each.title} for each in QUESTIONS],
                **progress,
            },
        }
    )


async def _set_session(request: Request) -> Response:
    return await set_session(request, _desk(request).store, _reviewer(request))


async def _next(request: Request) -> Response:
    """The next pair and the one after it, so that the page can load its pictures before they are needed."""
    desk, reviewer = _desk(request), _reviewer(request)

    def pairs() -> list[dict[str, Any]]:
        return [desk.comparison.pair_json(reviewer, pair) for pair in desk.undecided(reviewer)[:2]]

    found = await run_sync(pairs)
    following = found[1] if len(found) > 1 else None
    progress = await run_sync(desk.progress, reviewer)
    return answer({"next": found[0] if found else None, "following": following, **progress})


async def _answers(request: Request) -> Response:
    desk, reviewer, body = _desk(request), _reviewer(request), await body_of(request, AnswersBody)
    answers = desk.comparison.answers_of(reviewer, body.pair, body.answers, body.client_id)
    await run_sync(desk.store.answer, answers)
    return answer(await run_sync(desk.progress, reviewer))


async def _results(request: Request) -> Response:
    desk = _desk(request)
    answers = await run_sync(desk.store.answers, desk.comparison.name)
    return answer({"questions": results_json(answers)})


async def _image(request: Request) -> Response:
    path = request.path_params
    content = await run_sync(_desk(request).comparison.image, path["token"], path["member"])
    return Response(content, headers=IMMUTABLE, media_type="image/png")
