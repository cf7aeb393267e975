"""Zip files whose bytes depend on their content alone."""

import zipfile


def add_file(archive: zipfile.ZipFile, name: str, data: bytes, packed: bool) -> None:
    """Adds a file without time or owner; `packed` compresses it."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    archive.writestr(entry, data)
