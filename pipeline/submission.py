"""What a cluster is given to run: one resolved configuration, the files it names, a command and a name.

Nothing large travels: the project is installed on the cluster, models and the run itself lie where its machines reach
them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from layered.errors import UserError
from pipeline.briefs import load_briefs
from pipeline.config import FILE_KEYS, RunConfig, load_config

CONFIG_FILE = "run.yaml"
MOST_BYTES = 100 * 1024**2
"""Of the files that travel with a job: Ray keeps them in the memory of the head."""


@dataclass(frozen=True)
class Submission:
    """A run to be made by a cluster.

    Attributes:
        config: resolved, with the names that `files` have there.
        place: where the run lies: an absolute path, or a URL.
        files: name in the job's folder → local file.
    """

    config: RunConfig
    place: str
    files: Mapping[str, Path]

    @property
    def base_id(self) -> str:
        """The same for every submission of a run, another for every other run: its name and a hash of its place."""
        name = re.sub(r"[^a-z0-9]+", "-", Path(self.place.rstrip("/")).name.lower()).strip("-")
        return f"layerprism-{name or 'run'}-{hashlib.sha256(self.place.encode()).hexdigest()[:8]}"

    @property
    def command(self) -> str:
        """The command line of the job, in its folder; the shell makes way for it, so that exit codes are the run's."""
        return f"exec layerprism run {CONFIG_FILE} --out {shlex.quote(self.place)}"

    @property
    def is_shared(self) -> bool:
        """Whether every machine finds the run under this name, whatever it has mounted."""
        return "://" in self.place and not self.place.startswith(("file://", "memory://"))

    def write(self, folder: Path) -> None:
        """Fills the folder that travels with the job."""
        text = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
        for name, file in self.files.items():
            shutil.copyfile(file, folder / name)


def prepare(config: Path, overrides: Sequence[str], out: str) -> Submission:
    """Reads and checks a configuration and its briefs here, so that a mistake costs seconds and no machine.

    Args:
        out: the run: a local path, which is taken from this folder, or a URL.

    Raises:
        UserError: when the configuration or a brief is wrong, or when the files it names are too large to travel.
    """
    loaded = load_config(config, overrides)
    load_briefs(loaded.plan, loaded.seed)
    values: dict[str, Any] = loaded.model_dump(mode="json")
    files: dict[str, Path] = {}
    for path in FILE_KEYS:
        *sections, key = map(str, path)
        section = values
        for part in sections:
            section = section[part]
        if not isinstance(section[key], str):
            continue
        local = Path(section[key])
        if local.is_file():
            name = f"{'-'.join(sections)}-{local.name}"
            section[key], files[name] = name, local
        else:  # a folder of Parquet: the cluster's machines must reach it
            section[key] = str(local.absolute())
    for section in (values["layer_flux"], values["matting"]):
        if Path(section["model"] or "").is_dir() and section["model"]:
            section["model"] = str(Path(section["model"]).absolute())
    size = sum(file.stat().st_size for file in files.values())
    if size > MOST_BYTES:
        raise UserError(
            f"{', '.join(map(str, files.values()))}: {size / 1024**2:.0f} MiB are too much to travel with a job "
            f"(at most {MOST_BYTES // 1024**2}): give briefs as Parquet in a folder that the cluster's machines share"
        )
    if loaded.executor.kind == "ray":
        values["executor"]["ray_address"] = "auto"  # the cluster that the job runs on
    place = out if "://" in out else str(Path(out).absolute())
    return Submission(RunConfig.model_validate_json(json.dumps(values)), place, files)
