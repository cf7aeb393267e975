"""Croissant: what a set is and where its parts lie, in the JSON-LD that dataset search engines and loaders read.

Source of the vocabulary: the Croissant Format Specification 1.0 (mlcommons.org/croissant/1.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CROISSANT_FILE: Final = "croissant.json"

_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_DATA_TYPES: Final = {"string": "sc:Text", "int32": "sc:Integer", "image": "sc:ImageObject"}


@dataclass(frozen=True)
class Files:
    """A part of the set.

    Attributes:
        identity: its name in the document.
        pattern: a file's name, or a pattern of names such as ``data/*.parquet``.
        media_type: such as ``application/x-parquet``.
    """

    identity: str
    pattern: str
    media_type: str


@dataclass(frozen=True)
class Column:
    """A column of a table; `kind` is ``string``, ``int32`` or ``image``."""

    name: str
    kind: str
    description: str = ""


def write_croissant(
    path: Path,
    name: str,
    description: str,
    licences: Iterable[str],
    files: Sequence[Files],
    table: str,
    columns: Sequence[Column],
) -> None:
    """Writes the document; equal arguments give equal bytes. No date is in it, since equal sets have equal bytes.

    Args:
        licences: of all layers; empty ones are left out.
        table: `identity` of the Parquet files whose rows are the set's records.
        columns: of those rows.
    """
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "layered-images",
        "description": description,
        "license": sorted({licence for licence in licences if licence}) or ["unknown"],
        "distribution": [_distribution(each) for each in files],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "field": [_field(column, table) for column in columns],
            }
        ],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _distribution(files: Files) -> dict[str, Any]:
    # File sets need no hashes: `checksums` of a publication has them, and this document is among what it hashes.
    return {
        "@type": "cr:FileSet",
        "@id": files.identity,
        "name": files.identity,
        "encodingFormat": files.media_type,
        "includes": files.pattern,
    }


def _field(column: Column, table: str) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": table}, "extract": {"column": column.name}}
    if column.kind == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"samples/{column.name}",
        "name": f"samples/{column.name}",
        "description": column.description or column.name,
        "dataType": _DATA_TYPES[column.kind],
        "source": source,
    }
