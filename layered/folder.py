"""A layered folder: the members of samples as plain files, `KEY.layer_00.png` and so on."""

from collections.abc import Mapping
from pathlib import Path

from layered.codec import sample_key
from layered.errors import UserError


def write_layered_folder(folder: Path, sample_id: str, members: Mapping[str, bytes]) -> None:
    """Writes one sample's members into `folder`, which is created; other samples there stay as they are."""
    key = sample_key(sample_id)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in members.items():
        (folder / f"{key}.{name}").write_bytes(data)


def read_layered_folder(folder: Path) -> dict[str, dict[str, bytes]]:
    """Sample id → member name → bytes, both sorted.

    Raises:
        UserError: when there is no such folder or no sample in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds KEY.json and KEY.layer_00.png")
    samples: dict[str, dict[str, bytes]] = {}
    for sidecar in sorted(folder.glob("*.json")):
        key = sidecar.name.removesuffix(".json")
        files = sorted(folder.glob(f"{key}.*"))
        samples[key] = {file.name.removeprefix(f"{key}."): file.read_bytes() for file in files}
    if not samples:
        raise UserError(f"{folder} holds no layered image: a KEY.json is missing")
    return samples
