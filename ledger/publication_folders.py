"""Where publications lie on a local disk: written beside the current one and swapped in by renames.

``shards/`` is the current publication, ``shards@<fingerprint>/`` a former one, ``shards.tmp-…/`` one being written and
``shards.trash-…/`` one being removed. Each step is one rename, so a publication is always under one of the first three
names, and the next call finishes or repeats what was interrupted.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from layered.errors import UserError
from ledger.publication_writing import WritePublication, inputs_of
from ledger.run_directory import SHARDS_FOLDER
from shards.manifest import MANIFEST_FILE
from shards.reader import Publication


class PublicationFolders:
    """The publications of a run on a local disk. Only for the driver of the run."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._current = run / SHARDS_FOLDER

    @property
    def current(self) -> str:
        """Where the current publication is opened."""
        return str(self._current)

    def repair(self) -> None:
        """Finishes what was interrupted; harmless at any other time."""
        for trash in self._folders("trash"):
            shutil.rmtree(trash)
        complete = [folder for folder in self._folders("tmp") if (folder / MANIFEST_FILE).exists()]
        if complete and not self._current.exists():
            complete[0].rename(self._current)

    def replace(self, inputs: str, write: WritePublication) -> bool:
        """Writes a publication and makes it the current one; False when it equals the current one.

        Args:
            inputs: the hash of all that its bytes follow from.
        """
        beside = self._run / f"{SHARDS_FOLDER}.tmp-{inputs[:12]}"
        for stale in self._folders("tmp"):
            if stale != beside or inputs_of(stale) != inputs:
                _discard(stale)
        if not beside.exists():
            write(beside, lambda _: None)
        return self._swap_in(beside)

    def prune(self) -> None:
        """Removes all former publications."""
        for former in former_publications(self._run):
            _discard(former)

    def _swap_in(self, beside: Path) -> bool:
        """Makes a complete publication the current one; False when it equals the current one and was discarded."""
        if self._current.exists():
            try:
                former = Publication.open(self._current).fingerprint
            except UserError:  # damaged: nobody can use it, and it must not stand in the way
                _discard(self._current)
            else:
                if former == Publication.open(beside).fingerprint:
                    _discard(beside)
                    return False
                archive = self._current.with_name(f"{SHARDS_FOLDER}@{former[:12]}")
                if archive.exists():  # published, replaced and published again before
                    _discard(archive)
                self._current.rename(archive)
        beside.rename(self._current)
        return True

    def _folders(self, kind: str) -> list[Path]:
        return sorted(self._run.glob(f"{SHARDS_FOLDER}.{kind}-*"))


def former_publications(run: Path) -> list[Path]:
    """Folders of the publications that were current once, by name."""
    return sorted(run.glob(f"{SHARDS_FOLDER}@*"))


def _discard(folder: Path) -> None:
    """Removes a folder; interrupted half-way, it is trash and nothing else."""
    trash = folder.with_name(f"{SHARDS_FOLDER}.trash-{secrets.token_hex(6)}")
    folder.rename(trash)
    shutil.rmtree(trash)
