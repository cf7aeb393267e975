"""What a run makes: how many samples, of which briefs, in which styles, cut into which chunks."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class BriefsConfig(BaseModel):
    """Where briefs come from.

    Attributes:
        path: a file or, for Parquet, also a folder; null asks the designer. In a configuration file the path is
            relative to that file.
        format: ``jsonl``, one brief a line; ``prismlayers``, Parquet with the columns of the published sets;
            ``layouts``, the JSONL of ART's anonymous layouts.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: str | None = None
    format: Literal["jsonl", "prismlayers", "layouts"] = "jsonl"


class DesignerConfig(BaseModel):
    """What the designer composes from, when no brief file is given.

    Attributes:
        canvases: ``[width, height]`` of the designs, drawn with equal chance.
        min_layers, max_layers: foreground layers of one design, text layers included.
        max_text_layers: text layers of one design.
        themes: names of themes of the vocabulary; empty takes all.
        styles: looks; empty takes all of the vocabulary.
        default_style_share: chance of the vocabulary's default style; the others share the rest.
        fonts: font families of text layers.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    canvases: tuple[tuple[int, int], ...] = ((512, 512), (384, 512), (512, 384), (320, 512), (512, 320))
    min_layers: int = Field(1, ge=1)
    max_layers: int = Field(12, ge=1, le=99)
    max_text_layers: int = Field(3, ge=0)
    themes: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    default_style_share: float = Field(0.5, ge=0, le=1)
    fonts: tuple[str, ...] = ("DejaVu Sans", "DejaVu Sans:bold", "DejaVu Serif", "DejaVu Serif:bold")

    @model_validator(mode="after")
    def _can_be_drawn_from(self) -> Self:
        if self.min_layers > self.max_layers:
            raise ValueError(f"min_layers {self.min_layers} is above max_layers {self.max_layers}")
        if not self.canvases or not self.fonts:
            raise ValueError("at least one of `canvases` and one of `fonts` is needed")
        if small := [list(canvas) for canvas in self.canvases if not 64 <= min(canvas) <= max(canvas) <= 16384]:
            raise ValueError(f"canvas {small[0]} has a side outside 64…16384 pixels")
        return self


TOP_UP_LIMIT = 10
"""`plan.accepted` ends at so many times as many samples unless `plan.samples_at_most` says otherwise."""


class PlanConfig(BaseModel):
    """The `plan` section.

    Attributes:
        samples: designs to make; null makes each brief of a file `variations` times. A larger number extends a run.
        accepted: makes further samples until so many pass all filters; `samples` is then the first round, by default as
            large as this number.
        samples_at_most: where that ends, however few pass; null means ten times `accepted`.
        variations: samples of one brief. Of a file, null repeats all briefs in turn until there are enough samples; of
            the designer, null means one.
        styles: looks given to the samples in turn; empty keeps each brief's own.
        splits: share of the briefs by name of split; variations of one brief stay together.
        chunk_layers: generated images, base images included, that are made and committed together.
        skip_bad_briefs: start without the briefs that cannot be used instead of refusing.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    briefs: BriefsConfig = BriefsConfig()
    designer: DesignerConfig = DesignerConfig()
    samples: int | None = Field(None, ge=1)
    accepted: int | None = Field(None, ge=1)
    samples_at_most: int | None = Field(None, ge=1)
    variations: int | None = Field(None, ge=1)
    styles: tuple[str, ...] = ()
    splits: dict[str, float] = {"train": 0.9, "val": 0.1}
    chunk_layers: int = Field(128, ge=1)
    skip_bad_briefs: bool = False

    @property
    def first_samples(self) -> int | None:
        """Samples of the first round, which is the only one without `accepted`; None where the briefs decide."""
        return self.samples or self.accepted

    @property
    def most_samples(self) -> int | None:
        """Samples after the last round; None where the briefs decide."""
        if self.accepted is None:
            return self.samples
        return self.samples_at_most or TOP_UP_LIMIT * max(self.accepted, self.samples or 1)

    @model_validator(mode="after")
    def _can_reach_what_is_wanted(self) -> Self:
        if self.samples_at_most is None:
            return self
        if self.accepted is None:
            raise ValueError("samples_at_most bounds `accepted`, which is not given: set `samples` alone, or both")
        if self.samples_at_most < max(self.accepted, self.samples or 1):
            raise ValueError(f"samples_at_most {self.samples_at_most} is below `accepted` or `samples`")
        return self

    @field_validator("splits")
    @classmethod
    def _splits_make_a_whole(cls, splits: dict[str, float]) -> dict[str, float]:
        for name, share in splits.items():
            if not name.isascii() or not name.isalnum() or not name.islower():
                raise ValueError(f"split {name!r} may hold lower-case letters and digits only")
            if not 0 <= share <= 1:
                raise ValueError(f"the share {share} of split {name!r} is not in 0…1")
        if abs(sum(splits.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of the splits sum to {sum(splits.values()):g}, not to 1")
        return splits
