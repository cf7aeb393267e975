"""The routes of the review page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import numpy as np
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from curation.agreement import agreement_json
from curation.errors import bad_request, not_found
from curation.exchange import MOST_BYTES, Format, read_decisions_file, write_decisions
from curation.query import QueryRequest, histogram
from curation.requests import (
    BulkBody,
    BulkUndoBody,
    DecisionsBody,
    EventBody,
    body_of,
    number_of,
    read_body,
)
from curation.review import Review
from curation.sample_view import sample_json
from curation.serving import FRESH, IMMUTABLE, answer, page_app, reviewer_in, set_session
from curation.store import Draft
from curation.verdicts import VERDICT_CODES
from filters.taxonomy import DEFECTS
from layered.scores import WHOLE_IMAGE
from ledger.decisions import Decision

MOST_ROWS: Final = 500
MOST_NEXT: Final = 50

_MEDIA_TYPES: Final[Mapping[Format, str]] = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
_BLIND: Final[Mapping[str, Any]] = {"passed": None, "verdict": None, "reasons": []}
_LAYER_THUMBNAIL: Final = re.compile(r"whole|\d{2}")


def make_app(review: Review, token: str | None = None, names: frozenset[str] | None = None) -> Starlette:
    """The server as an ASGI application; arguments as those of `curation.security.Guard`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(review.keep_up())
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await run_sync(review.push)

    routes = [
        Route("/thumb/{version}/{sample}/{name}.webp", _thumbnail),
        Route("/image/{version}/{sample}/{member}", _image),
        Route("/api/session", _session),
        Route("/api/session", _set_session, methods=["POST"]),
        Route("/api/query", _query, methods=["POST"]),
        Route("/api/query/{name}/rows", _rows),
        Route("/api/query/{name}/histogram", _histogram),
        Route("/api/sample/{sample}", _sample),
        Route("/api/decisions", _decisions, methods=["POST"]),
        Route("/api/bulk", _bulk, methods=["POST"]),
        Route("/api/bulk/undo", _undo_bulk, methods=["POST"]),
        Route("/api/next", _next),
        Route("/api/events", _events),
        Route("/api/agreement", _agreement),
        Route("/api/export", _export),
        Route("/api/import", _import, methods=["POST"]),
    ]
    app = page_app(routes, token, names, lifespan)
    app.state.review = review
    return app


def review_of(request: Request) -> Review:
    review: Review = request.app.state.review
    return review


def reviewer_of(request: Request) -> str:
    """Who sits in front of this browser."""
    return reviewer_in(request) or review_of(request).settings.reviewer


async def _thumbnail(request: Request) -> Response:
    path = request.path_params
    if not _LAYER_THUMBNAIL.fullmatch(path["name"]):
        raise not_found("there is no such thumbnail")
    content = await run_sync(review_of(request).library.thumbnail, path["version"], path["sample"], path["name"])
    return Response(content, headers=IMMUTABLE, media_type="image/webp")


async def _image(request: Request) -> Response:
    path = request.path_params
    content = await run_sync(review_of(request).library.image, path["version"], path["sample"], path["member"])
    return Response(content, headers=IMMUTABLE, media_type="image/png")


async def _session(request: Request) -> Response:
    review, reviewer = review_of(request), reviewer_of(request)
    columns, library = review.columns, review.library
    keys = await run_sync(review.store.preference, reviewer, "keys")
    reviewers = {*await run_sync(review.store.reviewers), reviewer, review.settings.reviewer}
    return answer(
        {
            "run": {
                "name": review.settings.name,
                "path": library.run.place,
                "samples": len(columns),
                "planned": library.planned,
                "failed": len(columns.failed),
                "complete": library.complete,
            },
            "reviewer": reviewer,
            "reviewers": sorted(reviewers),
            "scores": [_score_json(review, name) for name in sorted(columns.worst)],
            "styles": sorted(columns.styles),
            "reasons": [
                {
                    "name": defect.name,
                    "title": defect.name.replace("_", " ").capitalize(),
                    "description": defect.definition,
                    "scope": defect.scope,
                }
                for defect in DEFECTS.values()
            ],
            "queues": review.queue_counts(reviewer),
            "queue": review.settings.queue or None,
            "keys": keys or {},
            "limits": {"rows": MOST_ROWS, "next": MOST_NEXT},
            "duplicates": None if review.grouper is None else review.groups is not None,
            "problem": review.push_problem or None,
            "compare": None,
        }
    )


async def _set_session(request: Request) -> Response:
    return await set_session(request, review_of(request).store, reviewer_of(request))


async def _query(request: Request) -> Response:
    review = review_of(request)
    name, result = review.query(await body_of(request, QueryRequest), reviewer_of(request))
    return answer({"query": name, "total": len(result.rows), "revision": result.revision})


async def _rows(request: Request) -> Response:
    review = review_of(request)
    result = review.results.get(request.path_params["name"])
    start = number_of(request, "start", 0, len(result.rows))
    rows = result.rows[start : start + number_of(request, "count", 100, MOST_ROWS)].tolist()
    await run_sync(review.library.look_ahead, rows)
    shown = [_row_json(review, row) for row in rows]
    if result.blind:
        reviewer = reviewer_of(request)
        shown = [row if review.decided_in(row["id"], result.blind, reviewer) else {**row, **_BLIND} for row in shown]
    return answer({"start": start, "total": len(result.rows), "rows": shown})


async def _histogram(request: Request) -> Response:
    review = review_of(request)
    name = request.query_params.get("score", "")
    values = review.columns.worst.get(name)
    if values is None:
        raise bad_request(f"there is no score {name[:64]!r}")
    result = review.results.get(request.path_params["name"])
    if result.blind:
        raise bad_request(f"the queue {result.blind} hides scores until a sample is decided")
    found = histogram(result.rows, values, *review.columns.score_range(name))
    threshold = review.columns.thresholds.get(name)
    return answer({"edges": found.edges, "counts": found.counts, "threshold": threshold})


async def _sample(request: Request) -> Response:
    review, sample_id = review_of(request), request.path_params["sample"]
    queue = request.query_params.get("queue", "")
    return answer(await run_sync(sample_json, review, sample_id, reviewer_of(request), queue))


async def _decisions(request: Request) -> Response:
    review, reviewer = review_of(request), reviewer_of(request)
    body = await body_of(request, DecisionsBody)
    made = await review.decide(_drafts(review, reviewer, body.events))
    return answer(
        {
            "accepted": [
                {"client_id": event.event_id, "event_id": event.event_id, "at": event.at.isoformat()} for event in made
            ],
            "samples": {event.sample_id: review.state_json(event.sample_id) for event in made},
            "revision": review.verdicts.revision,
        }
    )


async def _bulk(request: Request) -> Response:
    review, body = review_of(request), await body_of(request, BulkBody)
    if (body.query is None) == (body.samples is None):
        raise bad_request("give either a query or samples")
    if body.samples is not None:
        rows = np.array([review.library.row(sample_id) for sample_id in dict.fromkeys(body.samples)], np.int32)
    else:
        rows = review.results.get(body.query or "").rows
    left_out = [review.library.row(sample_id) for sample_id in body.excluded]
    rows = rows[~np.isin(rows, left_out)]
    bulk, count = await review.decide_all(rows, body.verdict, body.reasons, reviewer_of(request))
    return answer({"count": count, "undo": bulk})


async def _undo_bulk(request: Request) -> Response:
    review, body = review_of(request), await body_of(request, BulkUndoBody)
    count, kept = await review.undo_all(body.undo, reviewer_of(request))
    return answer({"count": count, "kept": kept})


async def _next(request: Request) -> Response:
    review = review_of(request)
    count = max(1, number_of(request, "count", 8, MOST_NEXT))
    samples = await review.next_samples(reviewer_of(request), request.query_params.get("queue", "undecided"), count + 1)
    after = request.query_params.get("after", "")
    return answer({"samples": [sample_id for sample_id in samples if sample_id != after][:count]})


async def _agreement(request: Request) -> Response:
    review = review_of(request)
    passed = dict(zip(review.columns.ids, review.columns.passed.tolist(), strict=True))
    return answer(await run_sync(lambda: agreement_json(list(review.store.all()), passed)))


async def _export(request: Request) -> Response:
    review, format_ = review_of(request), _format(request.query_params.get("format", "parquet"))
    content = await run_sync(lambda: write_decisions(review.store.all(), format_))
    headers = {**FRESH, "content-disposition": f'attachment; filename="decisions.{format_}"'}
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[format_])


async def _import(request: Request) -> Response:
    review, content = review_of(request), await read_body(request, MOST_BYTES)
    named = request.headers["content-type"].partition(";")[0].strip().lower()
    format_ = _format(next((name for name, kind in _MEDIA_TYPES.items() if kind == named), named))
    known = review.columns.rows.keys() | review.columns.failed
    decisions = await run_sync(read_decisions_file, content, format_, known)
    count = await review.take_in(decisions)
    return answer({"events": len(decisions), "new": count})


def _format(name: str) -> Format:
    for known in _MEDIA_TYPES:
        if name == known:
            return known
    raise bad_request(f"{name[:40]!r} is neither parquet nor csv")


async def _events(request: Request) -> Response:
    return StreamingResponse(review_of(request).bus.listen(), headers=FRESH, media_type="text/event-stream")


def _score_json(review: Review, name: str) -> dict[str, Any]:
    low, high = review.columns.score_range(name)
    return {
        "name": name,
        "of": "layer" if name in review.columns.of_layers else "sample",
        "threshold": review.columns.thresholds.get(name),
        "low": low,
        "high": high,
    }


def _row_json(review: Review, row: int) -> dict[str, Any]:
    columns, verdicts = review.columns, review.verdicts
    sample_id = columns.ids[row]
    state = verdicts.states.get(sample_id)
    group = review.group_of(row)
    content: dict[str, Any] = {
        "id": sample_id,
        "canvas": review.library.canvas(row),
        "verdict": None if not verdicts.verdict[row] else VERDICT_CODES[verdicts.verdict[row]],
        "passed": bool(columns.passed[row]),
        "reasons": list(state.reasons) if state else [],
        "layers": int(columns.layers[row]),
        "style": columns.styles[columns.style[row]],
        "thumb": review.library.thumbnail_address(row),
    }
    if group >= 0:
        content["duplicates"] = group
    return content


def _drafts(review: Review, reviewer: str, events: Sequence[EventBody]) -> list[Draft]:
    """The events with what the server knows: who, in which queue, with what chance, and what was said before."""
    said: dict[tuple[str, int], Draft | Decision | None] = {}
    drafts = []
    for event in events:
        review.library.row(event.sample_id)
        place = (event.sample_id, event.layer_index)
        before = said[place] if place in said else _standing(review, *place)
        given = event.model_fields_set
        if event.verdict == "undo":
            before = None
        purpose = review.desk.purpose(reviewer, event.sample_id, event.queue or "")
        draft = Draft(
            event.client_id,
            event.sample_id,
            event.layer_index,
            event.verdict,
            event.reasons,
            event.rating if before is None or "rating" in given else before.rating,
            event.caption if before is None or "caption" in given else before.caption,
            reviewer,
            purpose.queue,
            purpose.inclusion_probability,
        )
        said[place] = None if event.verdict == "undo" else draft
        drafts.append(draft)
    return drafts


def _standing(review: Review, sample_id: str, layer_index: int) -> Decision | None:
    """The decision that holds for a sample or a layer of it."""
    state = review.verdicts.states.get(sample_id)
    if state is None:
        return None
    return state.decisive if layer_index == WHOLE_IMAGE else state.layers.get(layer_index)
