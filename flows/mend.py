"""Bring DVC's own files back that a kill cut short: dvc.lock, which DVC writes in place, and its list of locks.

    python -m flows.mend      before a `dvc repro` that says "'./dvc.lock' validation failed"

Each run of the flow does so at its start, and keeps a whole copy of dvc.lock at its start and after each stage. What
the copy lacks DVC takes from its cache: stages that ran are not run again.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from zc.lockfile import LockError, LockFile

NAME = "dvc.lock"
COPY = ".dvc/tmp/trainyard-dvc.lock"  # git knows nothing of that folder
ASIDE = ".dvc/tmp/trainyard-dvc.lock.cut-short"  # what was in the restored one's place
MERGE = "\n<<<<<<< "
LOCKS, LOCKS_GUARD = ".dvc/tmp/rwlock", "rwlock.lock"
LOCK_SECONDS = 10
Log = Callable[[str], None]


def mend(folder: Path, log: Log) -> None:
    """Restore what a kill left broken in a project's folder, and tell it in a line; then keep a copy of it."""
    if not (folder / ".dvc").is_dir():
        return
    with suppress(LockError):  # another DVC command works for long: it would have refused a broken file
        _mend_lock(folder, log)
        _mend_list_of_locks(folder, log)
    keep_copy(folder)


def keep_copy(folder: Path, after_success: bool = False) -> None:
    """Keep a whole copy of dvc.lock, if it is whole.

    after_success: DVC has just ended well, so that what it left is no beginning of another file.
    """
    with suppress(LockError, OSError), _dvcs_lock(folder):
        text, copy = _text(folder / NAME), _text(folder / COPY)
        if text is None or text == copy or _stages(text) is None:
            return
        if after_success or not _is_cut_short(folder, text, copy):
            _write(folder / COPY, text)


def _mend_lock(folder: Path, log: Log) -> None:
    with _dvcs_lock(folder):
        text, copy = _text(folder / NAME), _text(folder / COPY)
        if text is None or MERGE in text or not _is_cut_short(folder, text, copy):
            return  # both sides of a merge are the user's to choose from
        (folder / NAME).replace(folder / ASIDE)
        stages = _stages(copy) if copy else None
        if copy and stages is not None:
            _write(folder / NAME, copy)
            log(f"{NAME} was cut short by a kill; its copy of {len(stages)} stages is in its place")
        else:
            log(f"{NAME} was cut short by a kill, and there is no copy; DVC takes what ran before from its cache")


def _mend_list_of_locks(folder: Path, log: Log) -> None:
    with _dvcs_lock(folder, LOCKS_GUARD):
        text = _text(folder / LOCKS)
        if text is None:
            return
        try:
            json.loads(text)
        except ValueError:
            (folder / LOCKS).unlink()
            log(f"{LOCKS} was cut short by a kill; DVC makes it anew")


@contextmanager
def _dvcs_lock(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the lock that each DVC command holds while it works. Raises LockError if one does so for long."""
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


def _is_cut_short(folder: Path, text: str, copy: str | None) -> bool:
    """Whether the file is the beginning of another one: DVC writes all of it, stage after stage, in the same order."""
    stages = _stages(text)
    if stages is None or not text.endswith("\n"):
        return True
    known = (_stages(copy) or {}) if copy else {}
    names, there = [*known], [*stages]
    if not there or names[: len(there)] != there:
        return False
    shorter = len(there) < len(names) or _has_fewer_outputs(stages[there[-1]], known[there[-1]])
    return shorter and not _is_known_to_git(folder)


def _has_fewer_outputs(stage: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether the last stage of a file, whose outputs stand last in it, ends before a known one of its name does."""
    outputs, others = stage.get("outs") or [], known.get("outs") or []
    if len(outputs) != len(others):
        return len(outputs) < len(others)
    return bool(outputs) and outputs[-1].keys() < others[-1].keys()


def _stages(text: str) -> Mapping[str, Any] | None:
    """Stage → what the file says of it; None if it is no whole dvc.lock."""
    try:
        values: Any = YAML(typ="safe").load(text)
    except YAMLError:
        return None
    stages = values.get("stages") if isinstance(values, dict) else None
    whole = isinstance(stages, dict) and all(isinstance(each, dict) and "cmd" in each for each in stages.values())
    return stages if whole else None


def _is_known_to_git(folder: Path) -> bool:
    """Whether git has this very dvc.lock: a shorter one that a checkout brought is whole."""
    with suppress(OSError):
        digest = ["git", "hash-object", NAME]
        done = subprocess.run(digest, cwd=folder, text=True, capture_output=True, check=False)
        if done.returncode == 0:
            known = ["git", "cat-file", "-e", done.stdout.strip()]
            return subprocess.run(known, cwd=folder, capture_output=True, check=False).returncode == 0
    return False


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def main() -> None:
    said: list[str] = []
    mend(Path.cwd(), said.append)
    print("\n".join(said or [f"{NAME} is whole"]), flush=True)


if __name__ == "__main__":
    main()
