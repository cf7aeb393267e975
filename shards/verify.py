"""Is every byte of a publication what was written, and every sample what its sidecar says?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from layered.codec import (
    BASE_IMAGE_MEMBER,
    MERGED_IMAGE_MEMBER,
    SIDECAR_MEMBER,
    WHOLE_IMAGE_MEMBER,
    decode_members,
    layer_member,
)
from layered.errors import UserError
from layered.png import decode_png
from shards.files import READ_AHEAD, Files
from shards.manifest import CHECKSUMS_FILE, MANIFEST_FILE, read_checksums
from shards.reader import Publication, publication_files
from shards.tar import Member, check_members, is_sample_member, read_members


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is not as it was written. `sample_id` and `member` are empty where no single one is to blame."""

    file: str
    sample_id: str
    member: str
    message: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.sample_id) if part)
        return f"{where}: {self.member} {self.message}" if self.member else f"{where}: {self.message}"


def verify_publication(place: Path | str) -> list[Problem]:
    """Checks all files of a publication against their hashes, and all samples against their sidecars.

    Returns:
        The problems, by file; none for an intact publication. A damaged shard is laid to the samples that are hit.

    Raises:
        UserError: when the folder is no publication.
    """
    files = publication_files(place)
    if not files.exists(MANIFEST_FILE):
        raise UserError(f"{place} is not a publication: it has no {MANIFEST_FILE}")
    try:
        checksums = read_checksums(files)
        publication = Publication.open(files.place)
    except ValueError as error:
        return [Problem(Path(files.place).name, "", "", str(error))]
    problems = []
    by_shard: dict[str, dict[str, tuple[Member, ...]]] = {}
    for placement in publication.placements():
        by_shard.setdefault(placement.shard, {})[placement.sample_id] = placement.members
    present = set(files.list(""))
    shards = {name for name in present if name.endswith(".tar")}
    for name in sorted({*checksums, *by_shard, *shards}):
        if name not in present:
            problems.append(Problem(name, "", "", "is missing"))
            continue
        found = verify_tar(files, name, by_shard[name]) if name in by_shard else []
        if name not in checksums:
            found.append(Problem(name, "", "", f"is not listed in {CHECKSUMS_FILE}"))
        elif not found and _sha256(files, name) != checksums[name]:
            found.append(Problem(name, "", "", f"does not have the sha256 that {CHECKSUMS_FILE} says"))
        problems += found
    return problems


def verify_tar(files: Files, file: str, samples: Mapping[str, Iterable[Member]]) -> list[Problem]:
    """Checks the samples of one tar, in a publication or in a chunk.

    Args:
        file: the tar's name.
        samples: sample id → where its members lie; a sample without members is not looked at.
    """
    problems = []
    with files.open(file, READ_AHEAD) as stream:
        for sample_id, members in samples.items():
            problems += [
                Problem(file, sample_id, member, message)
                for member, message in _check_stored_sample(stream, sample_id, tuple(members))
            ]
    return problems


def check_sample(sample_id: str, members: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Compares the files of one sample with its sidecar and with each other: (member name, what is wrong).

    The whole image must be the exact composite of base image and layers.
    """
    try:
        image, sidecar = decode_members(members)
        whole = decode_png(members[WHOLE_IMAGE_MEMBER]) if WHOLE_IMAGE_MEMBER in members else None
    except ValueError as error:
        return [("", str(error))]
    findings = []
    if sidecar.id != sample_id:
        findings.append((SIDECAR_MEMBER, f"belongs to sample {sidecar.id}"))
    for index, record in enumerate(sidecar.layers):
        name = layer_member(index)
        if hashlib.sha256(members[name]).hexdigest() != record.sha256:
            findings.append((name, "does not have the sha256 that the sidecar says"))
    if whole is None:
        findings.append((WHOLE_IMAGE_MEMBER, "is missing"))
    elif not np.array_equal(whole, image.whole()):
        findings.append((WHOLE_IMAGE_MEMBER, "is not the composite of base image and layers"))
    known = {BASE_IMAGE_MEMBER, MERGED_IMAGE_MEMBER, SIDECAR_MEMBER, WHOLE_IMAGE_MEMBER}
    known |= {layer_member(index) for index in range(len(sidecar.layers))}
    findings += [(name, "is not known to the sidecar") for name in members if name not in known]
    return findings


def _sha256(files: Files, name: str) -> str:
    digest = hashlib.sha256()
    with files.open(name, READ_AHEAD) as stream:
        while block := stream.read(READ_AHEAD):
            digest.update(block)
    return digest.hexdigest()


def _check_stored_sample(stream: BinaryIO, sample_id: str, members: tuple[Member, ...]) -> list[tuple[str, str]]:
    """Bytes first: what they mean is worth a look only when they are those that were written."""
    damaged = check_members(stream, sample_id, members)
    if damaged or not members:
        return damaged
    proper = [member for member in members if is_sample_member(member.name)]
    return check_sample(sample_id, read_members(stream, proper))
