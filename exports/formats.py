"""Which file formats there are, and what each of them can do.

A format is one module of this room. Modules are imported when they are asked for: each needs its own library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from layered.errors import UserError
from layered.image import LayeredImage
from layered.sidecar import Sidecar

Sample = tuple[LayeredImage, Sidecar]


@dataclass(frozen=True)
class FormatOptions:
    """What a person may choose about a format.

    Attributes:
        outlines: text layers of an SVG become outlines instead of text with its font.
    """

    outlines: bool = False


@runtime_checkable
class SampleFormat(Protocol):
    """One file per sample, ``KEY`` + `suffix`. Instances travel to other processes."""

    name: str
    suffix: str

    def write(self, image: LayeredImage, sidecar: Sidecar, path: Path) -> Sequence[str]:
        """Writes the file, and before it whatever other files of the same key belong to it.

        Equal samples give equal bytes. Returns warnings for people: one line each, without the sample's id.

        Raises:
            UserError: when the format cannot hold the sample; the message says why.
        """


@runtime_checkable
class SummedFormat(SampleFormat, Protocol):
    """One file per sample, and one over all of them."""

    def sum_up(self, folder: Path) -> None:
        """Makes the file over all samples that are in the folder by now, or makes it again."""


class SetFormat(Protocol):
    """A set of samples in files of its own making."""

    name: str

    def write_set(self, samples: Iterable[Sample], folder: Path) -> Sequence[str]:
        """Writes all samples, which are read one after the other, into a new or empty folder. Returns warnings.

        Raises:
            UserError: when the format cannot hold a sample; the message names it.
        """


Reader = Callable[[Path], Sample]
"""Reads one file as a sample. Raises UserError, naming the file, when it is broken or holds what cannot be kept."""

_FORMATS: Final = {
    "psd": "exports.psd:Psd",
    "ora": "exports.open_raster:OpenRaster",
    "svg": "exports.svg:Svg",
    "pptx": "exports.pptx:Pptx",
    "webp": "exports.animation:Animation",
    "coco": "exports.coco:Coco",
    "png": "exports.png_folder:PngFolder",
    "prismlayers": "exports.prismlayers.writer:PrismLayers",
}
"""Format name → ``module:Class``; the class takes `FormatOptions`."""

_READERS: Final = {".psd": "exports.psd_reading:read_psd", ".ora": "exports.open_raster_reading:read_open_raster"}
"""File suffix → ``module:function``, a `Reader`."""

FORMAT_NAMES: Final = tuple(_FORMATS)


def format_of(name: str, options: FormatOptions | None = None) -> SampleFormat | SetFormat:
    """The format of that name. Raises UserError for an unknown one, or when its library is not installed."""
    if name not in _FORMATS:
        nearest = get_close_matches(name, FORMAT_NAMES, n=1, cutoff=0.0)
        raise UserError(f"there is no format {name!r}, the nearest is {nearest[0]}; all: {', '.join(FORMAT_NAMES)}")
    made: SampleFormat | SetFormat = _load(_FORMATS[name])(options or FormatOptions())
    return made


def reader_of(path: Path) -> Reader:
    """What reads a file of that suffix. Raises UserError when nothing does, or when its library is not installed."""
    if path.suffix.lower() not in _READERS:
        raise UserError(f"{path} is not of a kind that can be read: {', '.join(_READERS)} are")
    reader: Reader = _load(_READERS[path.suffix.lower()])
    return reader


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "exports":
            raise
        raise UserError(f"{error.name} is not installed: pip install 'layerprism[export]'") from error
