"""dvc.lock as `dvc repro` alone writes it, though stages ended side by side.

DVC appends a stage that is new in dvc.lock when it ends: the order of new ones would be chance, and two people's files
would differ.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

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
    """Under DVC's own lock and by its own writer, so that nobody's change is lost and the bytes are DVC's."""
    from dvc.repo import Repo
    from dvc.utils.serialize import modify_yaml

    with Repo(str(folder), _wait_for_lock=True) as repo, repo.lock, modify_yaml(str(folder / NAME), fs=repo.fs) as lock:
        for stage in stages:
            lock["stages"][stage] = lock["stages"].pop(stage)
