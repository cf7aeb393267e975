"""The report's page: one HTML file that needs neither a network nor a script, and the thumbnails beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from ledger.commit import Failure
from pipeline.estimate_view import ForecastRow
from pipeline.report.gallery import ExplodedSample, SampleCard
from pipeline.report.statistics import ScoreNumbers, StageTime
from pipeline.report.wording import counted

PICTURES_FOLDER = "pictures"


@dataclass(frozen=True)
class Number:
    """One figure of the overview, and what it counts."""

    value: str
    label: str


@dataclass(frozen=True)
class PageContent:
    """All that the page shows; a part that is empty is left out.

    Attributes:
        facts: name → text about the run, in order.
        exploded: samples to take apart.
        samples, rejected: the galleries, with a sentence about what is in them.
        stages: where the workers' time went.
        forecast: what was expected beside what it became.
        failures: by sample, with a sentence about how many there are.
    """

    name: str
    subtitle: str
    facts: Mapping[str, str]
    numbers: Sequence[Number]
    exploded: Sequence[ExplodedSample]
    samples: Sequence[SampleCard]
    samples_note: str
    rejected: Sequence[SampleCard]
    reasons_note: str
    scores: Sequence[ScoreNumbers]
    stages: Sequence[StageTime]
    forecast: Sequence[ForecastRow]
    failures: Mapping[str, Failure]
    failures_note: str


def render_page(content: PageContent) -> tuple[str, dict[str, bytes]]:
    """The page, every text from outside escaped, and the thumbnails that it shows: file name → WebP bytes.

    The names are relative to the page.
    """
    pictures: dict[str, bytes] = {}

    def picture(sample_id: str, part: str, data: bytes) -> str:
        name = f"{PICTURES_FOLDER}/{sample_id}.{part}.webp"
        pictures[name] = data
        return name

    environment = Environment(
        loader=PackageLoader("pipeline"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2", globals={"picture": picture, "counted": counted})
    return template.render(content=content), pictures
