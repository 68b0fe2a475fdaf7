"""dvc.lock as `dvc repro` alone writes it, though stages ended side by side.

DVC appends a stage that is new in dvc.lock when it ends: the order of new ones would be chance, and two people's files
would differ.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from zc.lockfile import LockError, LockFile

from flows.graph import dvc

NAME = "dvc.lock"
LOCK_SECONDS = 10


def recorded(folder: Path) -> list[str]:
    """The stages in dvc.lock, in its order."""
    file = folder / NAME
    if not file.exists():
        return []
    found: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
    return [*found.get("stages", {})]


def serial_order(folder: Path, targets: Sequence[str]) -> list[str]:
    """The stages as `dvc repro TARGETS` would run them, if all were to run."""
    told = dvc(folder, "--wait-for-lock", "repro", "--dry", "--force", *targets)
    return re.findall(r"^Running stage '(.+)':$", told, re.MULTILINE)


@contextmanager
def in_serial_order(folder: Path, targets: Sequence[str], asked: Collection[str]) -> Iterator[None]:
    """Have dvc.lock in order after the block, however it ends.

    asked: the stages that may run in it. Those that are new in dvc.lock then stand in the order in which
           `dvc repro TARGETS` would have run them; the others keep their places.
    """
    before = recorded(folder)
    new = {*asked} - {*before}
    order = [stage for stage in serial_order(folder, targets) if stage in new] if len(new) > 1 else []
    try:
        yield
    finally:
        there = {*recorded(folder)}
        with suppress(LockError):  # the order is no reason to hold or to fail a run
            put_in_order(folder, [stage for stage in order if stage in there])


def put_in_order(folder: Path, new: Sequence[str]) -> None:
    """Bring these stages, the last ones in dvc.lock, into this order.

    With the settings of DVC's own writer, so that the bytes are DVC's, and its lock, so that no change is lost.
    Raises LockError if another DVC command works for long.
    """
    if not new or recorded(folder)[-len(new) :] == [*new]:
        return
    file, yaml = folder / NAME, YAML()
    yaml.default_flow_style = False
    with dvcs_lock(folder):
        values = yaml.load(file.read_text(encoding="utf-8"))
        for stage in new:
            values["stages"][stage] = values["stages"].pop(stage)
        part = file.with_name(f".{NAME}.part")
        with part.open("w", encoding="utf-8") as opened:
            yaml.dump(values, opened)
        part.replace(file)


@contextmanager
def dvcs_lock(folder: Path, name: str = "lock") -> Iterator[None]:
    """What each DVC command holds while it works. Raises LockError if one does so for long."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            (folder / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
            lock = LockFile(str(folder / ".dvc/tmp" / name))
            break
        except LockError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.close()
