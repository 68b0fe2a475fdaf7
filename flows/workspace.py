"""Where a run works: in the project itself, or, with other values than params.yaml's, in a copy of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ruamel.yaml import YAML

from flows.graph import cache
from flows.mend import mend

Changes = Mapping[str, Any]  # as nested as params.yaml: {"cnn": {"dropout": 0.4}}
LOCK = "pipeline.lock"
KEPT = 5  # copies, each with outputs and checkpoints of its own


@contextmanager
def workspace(repo: Path, runs: str, changes: Changes, log: Callable[[str], None]) -> Iterator[Path]:
    """The folder to work in, held against every other run of this machine until the block ends.

    runs:    the project's scratch folder, params.yaml's `paths.runs`.
    changes: values in place of params.yaml's. They get a copy of the project, whose DVC cache is the project's
             own, so that whatever was made before with the same values is taken from there. The copies used last
             are kept.
    Raises DvcError if DVC refuses to tell its cache.
    """
    if not changes:
        with _held(repo, runs, log):
            mend(repo, log)
            yield repo
        return
    copies = repo / runs / "with"
    folder = copies / hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:16]
    with _held(folder, runs, log):
        os.utime(folder)
        _copy(repo, folder, runs, changes)
        mend(folder, log)
        _forget(copies, runs)
        try:
            yield folder
        finally:
            os.utime(folder)


@contextmanager
def _held(folder: Path, runs: str, log: Callable[[str], None]) -> Iterator[None]:
    """Make the folder if need be, and hold its lock. Another run's end is waited for."""
    scratch = folder / runs
    # A singleton: a sweep's flow holds the project while it calls the pipeline's.
    lock = FileLock(scratch / LOCK, is_singleton=True, thread_local=False)
    patience = 0
    while True:
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=patience)
            break
        except Timeout:
            log("another run works in this folder; waiting for its end")
            patience = -1
        except FileNotFoundError:  # another run has just deleted this copy
            continue
    try:
        yield
    finally:
        lock.release()


def merged(values: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The values with the changes in their places, section by section."""
    merged_values = dict(values)
    for key, change in changes.items():
        own = merged_values.get(key)
        merged_values[key] = merged(own, change) if isinstance(own, Mapping) and isinstance(change, Mapping) else change
    return merged_values


def _copy(repo: Path, folder: Path, runs: str, changes: Changes) -> None:
    """The project's files with other values. What stages made there before stays, and so does the lock that is held."""
    sources = [source for source in _sources(repo) if not source.is_relative_to(runs)]
    own = {"data", ".dvc", Path(runs).parts[0]}
    for old in {source.parts[0] for source in sources if len(source.parts) > 1} - own:
        shutil.rmtree(folder / old, ignore_errors=True)
    for source in sources:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repo / source, folder / source)
    yaml = YAML()
    values = merged(yaml.load((repo / "params.yaml").read_text(encoding="utf-8")), changes)
    for own in values["data"].values():
        if not any(Path(own["source"]) in (source, *source.parents) for source in sources):  # which the copy lacks
            own["source"] = str((repo / own["source"]).resolve())
    with (folder / "params.yaml").open("w", encoding="utf-8") as opened:
        yaml.dump(values, opened)
    if not (folder / "dvc.lock").exists() and (repo / "dvc.lock").exists():
        shutil.copyfile(repo / "dvc.lock", folder / "dvc.lock")
    shared = json.dumps(str(cache(repo)), ensure_ascii=False)
    (folder / ".dvc/config.local").write_text(
        f"[core]\n    no_scm = true\n[cache]\n    dir = {shared}\n", encoding="utf-8"
    )


def _sources(repo: Path) -> Iterator[Path]:
    """The project's own files: what git has or would take, but no stage's outputs."""
    # Without -z git quotes a name with a letter beyond ASCII.
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=repo, capture_output=True, check=True)
    names = os.fsdecode(done.stdout).split("\0")
    return (Path(name) for name in names if (repo / name).is_file() and name != "dvc.lock")


def _forget(copies: Path, runs: str) -> None:
    """Delete all copies but those used last, as far as that can be done. One that a run works in stays."""
    with suppress(OSError):
        newest = sorted(copies.iterdir(), key=lambda copy: copy.stat().st_mtime_ns, reverse=True)
        for old in newest[KEPT:]:
            with suppress(OSError):
                (old / runs).mkdir(parents=True, exist_ok=True)  # a kill in here may have left the rest alone
                with FileLock(old / runs / LOCK, timeout=0):
                    # Under another name first: a new run with these values must not work in what is being deleted.
                    shutil.rmtree(old.rename(old.with_name(f"{old.name}.old")), ignore_errors=True)
