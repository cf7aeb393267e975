"""The samples of a run that a query of the review page finds."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from pydantic import ValidationError

from curation.errors import RequestError
from curation.query import QueryRequest, run_query
from curation.verdicts import SampleState, Verdicts
from layered.brief import describe_validation_error
from layered.errors import UserError
from ledger.decisions import read_decisions
from ledger.run_directory import RunDirectory
from pipeline.review import library_of


def queried_ids(place: Path | str, query: Path) -> list[str]:
    """Runs a query, the JSON object that the page sends: ``{"styles": ["neon"], "decisions": ["pro"], …}``.

    Decisions are those that the page has pushed to the run.

    Raises:
        UserError: when there is no run, or when the query cannot be read or run on files alone.
    """
    try:
        request = QueryRequest.model_validate_json(query.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {query}: {error.strerror or error}") from error
    except ValidationError as error:
        raise UserError(f"{query} is not a query: {describe_validation_error(error)}") from error
    if request.queue is not None or request.group is not None:
        raise UserError(f"{query}: `queue` and `group` need the review page; leave them out")
    run = RunDirectory.open(place)
    library = library_of(run)
    library.refresh()
    verdicts = Verdicts()
    verdicts.grow(library.columns.rows)
    # A stable sort: the events of a sample stay in their order.
    events = sorted(read_decisions(run.storage), key=lambda event: event.sample_id)
    for sample_id, of_sample in groupby(events, key=lambda event: event.sample_id):
        verdicts.put(sample_id, SampleState.of(of_sample), library.columns.rows.get(sample_id))
    try:
        rows = run_query(request, library.columns, verdicts)
    except RequestError as error:
        raise UserError(f"{query}: {error}") from error
    return [library.columns.ids[row] for row in rows.tolist()]
