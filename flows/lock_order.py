"""dvc.lock as `dvc repro` alone writes it, though stages ended side by side.

DVC appends a stage that is new in dvc.lock when it ends: the order of new ones would be chance, and two people's files
would differ.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from zc.lockfile import LockError, LockFile

from flows.graph import dvc

NAME = "dvc.lock"


def recorded(folder: Path) -> list[str]:
    """The stages in dvc.lock, in its order."""
    file = folder / NAME
    if not file.exists():
        return []
    found: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
    return [*found.get("stages", {})]


def put_in_order(folder: Path, before: Collection[str], targets: Sequence[str]) -> None:
    """Bring the stages that are new in dvc.lock into the order in which `dvc repro TARGETS` would have run them.

    before: the stages that were in it when the run began, which keep their places.
    """
    new = [stage for stage in recorded(folder) if stage not in before]
    if len(new) < 2:
        return
    serial = re.findall(r"^Running stage '(.+)':$", dvc(folder, "repro", "--dry", "--force", *targets), re.MULTILINE)
    rank = {stage: place for place, stage in enumerate(serial)}
    wanted = sorted(new, key=lambda stage: rank.get(stage, len(rank)))
    if wanted != new:
        _move_to_end(folder, wanted)


def _move_to_end(folder: Path, stages: Sequence[str]) -> None:
    """With the settings of DVC's own writer, so that the bytes are DVC's, and its lock, so that no change is lost."""
    file, yaml = folder / NAME, YAML()
    yaml.default_flow_style = False
    with _dvcs_lock(folder):
        values = yaml.load(file.read_text(encoding="utf-8"))
        for stage in stages:
            values["stages"][stage] = values["stages"].pop(stage)
        part = file.with_name(f".{NAME}.part")
        with part.open("w", encoding="utf-8") as opened:
            yaml.dump(values, opened)
        part.replace(file)


@contextmanager
def _dvcs_lock(folder: Path) -> Iterator[None]:
    """What `dvc --wait-for-lock` holds while it works."""
    while True:
        try:
            lock = LockFile(str(folder / ".dvc/tmp/lock"))
            break
        except LockError:
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.close()
