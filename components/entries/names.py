"""Where an entry of params.yaml is named by others, and where the files that stages made of it lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from components.errors import UserError
from components.params.declarations import GROUPS
from components.params.entries import name_faults
from components.params.faults import nearest
from components.params.params import Params

REFERENCES = ("data", "others", "model", "start")
PIPELINE = "pipeline.lock"  # which a run of the flow holds, in the folder of runs
OUTPUTS = {  # the paths of params.yaml below which an entry has a folder, or a file, of its own
    "data": ("raw", "preprocessed", "split", "plots", "metrics"),
    "backbones": ("models",),
    "models": ("prepared", "models", "plots", "images", "metrics", "curves", "sweeps"),
    "baselines": ("plots", "metrics"),
    "studies": ("plots", "images", "metrics"),
}
ENDINGS = {"metrics": ".json", "curves": ".csv"}


def group_of(name: str, settings: Params) -> str:
    """The group that an entry is in. Raises UserError, with the nearest right name, if there is none."""
    for group, names in settings.groups.items():
        if name in names:
            return group
    everything = [name for names in settings.groups.values() for name in names]
    raise UserError(f"{name!r} is no entry of params.yaml{nearest(name, everything)}")


def check_new(group: str, name: str, settings: Params) -> None:
    """Raises UserError for a name that no new entry can have."""
    values: dict[str, Any] = {each: {own: {} for own in names} for each, names in settings.groups.items()}
    if name in values[group]:
        raise UserError(f"{group}.{name} is there already; choose another name")
    values[group][name] = {}
    for fault in name_faults(values):
        raise UserError(fault)


def named_by(name: str, settings: Params) -> list[tuple[str, str, str]]:
    """(group, entry, key) of every value that names an entry."""
    return [
        (group, other, key)
        for group in GROUPS
        for other in settings.groups[group]
        for key in REFERENCES
        if settings.values(other).get(key) == name
    ]


def outputs(group: str, name: str, settings: Params) -> Iterator[Path]:
    """What stages make of an entry, whether it is there or not."""
    for path in OUTPUTS[group]:
        yield Path(getattr(settings.paths, path)) / f"{name}{ENDINGS.get(path, '')}"


@contextmanager
def nothing_runs(settings: Params) -> Iterator[None]:
    """Hold the project against runs of the flow. Raises UserError where one is at work."""
    runs = Path(settings.paths.runs)
    runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(runs / PIPELINE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError("a run works in this project; wait for its end, or stop it") from None
    try:
        yield
    finally:
        lock.release()
