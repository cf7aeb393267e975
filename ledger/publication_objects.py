"""Where publications lie in an object store, where nothing can be renamed: each in a folder of its own for ever.

``shards@<hash of its inputs>-<random>/`` is one publication, complete with its manifest, which is written last;
``shards.json`` names the current one and is replaced by one PUT. Shards are uploaded as they are finished, so that no
disk has to hold a publication.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path

from layered.errors import UserError
from ledger.garbage import GARBAGE_SECONDS, newest, store_time
from ledger.publication_writing import WritePublication, inputs_of
from ledger.run_directory import SHARDS_FOLDER
from ledger.storage import Storage
from shards.files import join_place
from shards.manifest import MANIFEST_FILE
from shards.reader import Publication, current_folder, pointer_of


class PublicationObjects:
    """The publications of a run in an object store. Only for the driver of the run."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def current(self) -> str:
        """Where the current publication is opened."""
        return join_place(self._storage.place, SHARDS_FOLDER)

    def repair(self) -> None:
        """Removes what dead drivers began to write and cannot be going on with."""
        for folder in self._folders():
            entries = self._storage.entries(folder)
            unfinished = f"{folder}/{MANIFEST_FILE}" not in entries
            if unfinished and store_time(self._storage) - newest(entries) > GARBAGE_SECONDS:
                self._storage.remove_folder(folder)

    def replace(self, inputs: str, write: WritePublication) -> bool:
        """Writes a publication and makes it the current one; False when it equals the current one.

        One that was written from the same inputs before is taken as it is.

        Args:
            inputs: the hash of all that its bytes follow from.
        """
        for former in self._folders(f"{inputs[:12]}-"):
            if inputs_of(join_place(self._storage.place, former)) == inputs:
                self._point_to(former)
                return True
        folder = f"{SHARDS_FOLDER}@{inputs[:12]}-{secrets.token_hex(4)}"

        def upload(file: Path) -> None:
            self._storage.upload(file, f"{folder}/{file.name}")
            if file.suffix == ".tar":
                file.unlink()

        with tempfile.TemporaryDirectory(prefix="layerprism-") as spool:
            fingerprint = write(Path(spool) / SHARDS_FOLDER, upload).fingerprint
        if self._current_fingerprint() == fingerprint:
            self._storage.remove_folder(folder)
            return False
        self._point_to(folder)
        return True

    def prune(self) -> None:
        """Removes all former publications."""
        current = current_folder(self._storage, SHARDS_FOLDER)
        for folder in self._folders():
            if folder != current:
                self._storage.remove_folder(folder)

    def _point_to(self, folder: str) -> None:
        pointer = json.dumps({"folder": folder}, indent=2) + "\n"
        self._storage.write(pointer_of(SHARDS_FOLDER), pointer.encode())

    def _current_fingerprint(self) -> str | None:
        try:
            return Publication.open(self.current).fingerprint
        except UserError:
            return None

    def _folders(self, beginning: str = "") -> list[str]:
        return self._storage.folders(f"{SHARDS_FOLDER}@{beginning}")
