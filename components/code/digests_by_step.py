"""The code stage: what code each other stage is made by, so that an edit makes stale what it changes and nothing else.

Writes <paths.code>/<step>/<entry>: a line for each file of code, its digest and its name. Being the first of all
stages, it also checks params.yaml whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.code.imports import digests, program
from components.data.download import source_of
from components.data.sources import Synthetic
from components.errors import UserError
from components.files import whole_folder
from components.params import params
from components.params.declarations import GROUPS, MODELS, tested_by
from components.params.entries import NONE

STEPS = {  # a stage → its command, and the group of the entries that it is given
    "download": ("components.data.download", "data"),
    "preprocess": ("components.data.preprocess", "data"),
    "split": ("components.data.split", "data"),
    "baseline": ("components.baselines", "baselines"),
    "weights": ("components.prepare.weights", "backbones"),
    "prepare": ("components.prepare", "models"),
    "train": ("components.train", "models"),
    "evaluate": ("components.evaluate", "models"),
    "study": ("components.studies", "studies"),
}
ALONE = {NONE: "components.prepare.weights", "report": "components.report"}  # stages of no entry → their commands


def entries_of(step: str, settings: params.Params) -> Sequence[str]:
    """The names that a step's stages are given."""
    return settings.groups[STEPS[step][1]]


def modules_of(step: str, name: str, settings: params.Params) -> Iterator[str]:
    """The modules that a stage runs: its command, its entry's kind, and those that the entry's values name."""
    command, group = STEPS[step]
    yield program(command)
    values: Any = settings.values(name)
    kind = GROUPS[group].kind_of(values)
    if step != "download":  # which knows no kinds
        yield f"{GROUPS[group].package}.{kind}"
    if step == "evaluate":
        yield tested_by(kind)
    if step == "download":
        with suppress(UserError):  # no such source: the download tells of it, and stops no other stage
            _, source, _ = source_of(values["source"], f"data.{name}", settings.general.profile)
            yield from [source.generator] if isinstance(source, Synthetic) else []
    if step in ("prepare", "study"):
        for key in ("start", "model"):  # another model of the pipeline, whose network is loaded
            if values.get(key) in settings.groups["models"]:
                yield f"{MODELS}.{settings.values(values[key])['family']}"


def write(settings: params.Params, target: Path) -> None:
    """Write the folder `target`, whole."""
    with whole_folder(target) as folder:
        for step in STEPS:
            (folder / step).mkdir()
            for name in entries_of(step, settings):
                _write(folder / step / name, digests(modules_of(step, name, settings)))
        for stage, command in ALONE.items():
            _write(folder / stage, digests([program(command)]))


def _write(file: Path, files: dict[str, str]) -> None:
    file.write_text("".join(f"{digest}  {name}\n" for name, digest in files.items()), encoding="utf-8")
