"""Where a run works: in the project itself, or, with other values than params.yaml's, in a copy of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ruamel.yaml import YAML

Changes = Mapping[str, Any]  # as nested as params.yaml: {"cnn": {"dropout": 0.4}}
LOCK = "pipeline.lock"


@contextmanager
def workspace(repo: Path, runs: str, changes: Changes, log: Callable[[str], None]) -> Iterator[Path]:
    """The folder to work in, held against every other run of this machine until the block ends.

    runs:    the project's scratch folder, params.yaml's `paths.runs`.
    changes: values in place of params.yaml's. They get a copy of the project, whose DVC cache is the project's
             own, so that whatever was made before with the same values is taken from there.
    """
    folder = _copy(repo, runs, changes) if changes else repo
    scratch = folder / runs
    scratch.mkdir(parents=True, exist_ok=True)
    # A singleton: a sweep's flow holds the project while it calls the pipeline's.
    lock = FileLock(scratch / LOCK, is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log("another run works in this folder; waiting for its end")
        lock.acquire()
    try:
        yield folder
    finally:
        lock.release()


def merged(values: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The values with the changes in their places, section by section."""
    found = dict(values)
    for key, change in changes.items():
        own = found.get(key)
        found[key] = merged(own, change) if isinstance(own, Mapping) and isinstance(change, Mapping) else change
    return found


def _copy(repo: Path, runs: str, changes: Changes) -> Path:
    """A copy of the project's files with other values, the same folder for the same changes."""
    name = hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:16]
    folder = repo / runs / "with" / name
    sources = [*_sources(repo)]
    for old in {source.parts[0] for source in sources if len(source.parts) > 1} - {"data", ".dvc"}:
        shutil.rmtree(folder / old, ignore_errors=True)
    for source in sources:
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repo / source, folder / source)
    yaml = YAML()
    values = merged(yaml.load((repo / "params.yaml").read_text(encoding="utf-8")), changes)
    with (folder / "params.yaml").open("w", encoding="utf-8") as opened:
        yaml.dump(values, opened)
    if not (folder / "dvc.lock").exists() and (repo / "dvc.lock").exists():
        shutil.copyfile(repo / "dvc.lock", folder / "dvc.lock")
    cache = json.dumps(str(repo / ".dvc/cache"))
    (folder / ".dvc/config.local").write_text(f"[core]\n    no_scm = true\n[cache]\n    dir = {cache}\n")
    return folder


def _sources(repo: Path) -> Iterable[Path]:
    """The project's own files: what git has or would take, but no stage's outputs."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=repo, text=True, capture_output=True, check=True)
    return (Path(name) for name in done.stdout.splitlines() if (repo / name).is_file() and name != "dvc.lock")
