"""Everything that the viewer shows of one sample."""

from __future__ import annotations

from typing import Any

from curation.review import Review
from layered.codec import BASE_IMAGE_MEMBER, MERGED_IMAGE_MEMBER, WHOLE_IMAGE_MEMBER, layer_member
from layered.scores import WHOLE_IMAGE
from ledger.commit import thumbnail_member
from ledger.selection import flagged


def sample_json(review: Review, sample_id: str, reviewer: str, queue: str) -> dict[str, Any]:
    """What `GET /api/sample/{id}` answers; without scores or verdicts where those are kept from the reviewer.

    Raises:
        RequestError: when there is no such sample, or its files are damaged.
    """
    library, columns = review.library, review.columns
    row = library.row(sample_id)
    files, sidecar = library.files(row), library.sidecar(row)
    scores_hidden, verdicts_hidden = review.hidden(sample_id, reviewer, queue)
    thresholds = columns.thresholds
    state = review.state_json(sample_id) if not verdicts_hidden else {}
    layers_decided = state.get("layers", {})
    events = [] if verdicts_hidden else [event for _, found in review.store.by_sample([sample_id]) for event in found]

    def image(member: str) -> str | None:
        return f"/image/{files.version}/{sample_id}/{member}" if member in files.members else None

    def score(layer: int, name: str, value: float) -> dict[str, Any]:
        return {"layer": layer, "name": name, "score": value, "threshold": thresholds.get(name)}

    rows = [score(each.layer_index, each.name, each.score) for each in files.scores]
    stored = {each.name for each in files.scores}
    rows += [
        score(WHOLE_IMAGE, name, float(values[row])) for name, values in columns.worst.items() if name not in stored
    ]
    rows = [each for each in rows if each["score"] == each["score"] or each["name"] in stored]
    flags = [score(each.layer_index, each.name, each.score) for each in flagged(files.scores, thresholds)]
    flags += [
        each
        for each in rows
        if each["name"] not in stored and each["threshold"] is not None and not each["score"] >= each["threshold"]
    ]
    return {
        "id": sample_id,
        "version": files.version,
        "canvas": sidecar.canvas,
        "style": sidecar.style_category,
        "caption": sidecar.whole_caption,
        "base_caption": sidecar.base_caption,
        "verdict": state.get("verdict"),
        "reasons": state.get("reasons", []),
        "rating": state.get("rating"),
        "new_caption": state.get("caption", ""),
        "reviewers": state.get("reviewers", {}),
        "verdicts_hidden": verdicts_hidden,
        "scores_hidden": scores_hidden,
        "passed": None if scores_hidden else bool(columns.passed[row]),
        "flags": [] if scores_hidden else flags,
        "scores": [] if scores_hidden else rows,
        "layers": [
            {
                "index": layer.index,
                "kind": layer.kind,
                "caption": layer.caption,
                "new_caption": layers_decided.get(str(layer.index), {}).get("caption", ""),
                "box": layer.box,
                "layout_box": layer.layout_box,
                "seed": str(layer.seed),
                "attempt": layer.attempt,
                "model": layer.model,
                "revision": layer.revision,
                "licence": layer.licence,
                "verdict": layers_decided.get(str(layer.index), {}).get("verdict"),
                "reasons": layers_decided.get(str(layer.index), {}).get("reasons", []),
                "image": image(layer_member(position)),
                "thumb": f"/thumb/{files.version}/{sample_id}/{position:02d}.webp"
                if thumbnail_member(position) in files.members
                else None,
                **({"text": layer.text, "font": layer.font, "color": layer.color} if layer.kind == "text" else {}),
            }
            for position, layer in enumerate(sidecar.layers)
        ],
        "images": {
            "base": image(BASE_IMAGE_MEMBER),
            "whole": image(WHOLE_IMAGE_MEMBER),
            "merged": image(MERGED_IMAGE_MEMBER),
        },
        "provenance": sidecar.provenance,
        "history": [
            {
                "event_id": event.event_id,
                "layer_index": event.layer_index,
                "verdict": event.verdict,
                "reasons": list(event.reasons),
                "rating": event.rating,
                "caption": event.caption,
                "reviewer": event.reviewer,
                "at": event.at.isoformat(),
                "queue": event.queue,
            }
            for event in events
        ],
        "duplicates": review.group_members(row),
    }
