"""Mark in git by GTO what the gate promotes, so that `dvc artifacts get . cnn --stage production` finds it.

The tag names a commit beside the branch: HEAD's files, with dvc.lock as it was when the model was promoted, and in
dvc.yaml the line by which DVC knows the model as an artifact. The branch, its index and the files stay as they are, and
nothing is pushed.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

GTO = (sys.executable, "-m", "gto.cli")
RECORD = "promoted.json"  # components/promote.py's, which flows cannot import
LOCK, PIPELINE = "dvc.lock", "dvc.yaml"
NOBODY = {"NAME": "trainyard", "EMAIL": "trainyard@localhost"}
SECONDS = 60  # a signature that waits for somebody's password must not hold the run


class RegistryError(RuntimeError):
    """A model could not be marked; the text is one line, why."""


@contextmanager
def marking(project: Path, values: Mapping[str, Any], log: Callable[[str], None]) -> Iterator[None]:
    """Mark what is newly promoted when the block has ended, even by an error; the log tells of each.

    values: params.yaml's. A model that cannot be marked is promoted all the same, and the run goes on.
    """
    record = project / values["paths"]["models"] / RECORD
    before = _promoted(record)
    try:
        yield
    finally:
        if values["promotion"]["tag"]:
            for name, now in _promoted(record).items():
                if now["sha256"] != before.get(name, {}).get("sha256"):
                    log(_marked(project, name, now["stage"]))


def _promoted(record: Path) -> dict[str, dict[str, Any]]:
    """Model → what is said of its promoted one; nothing of a broken record, of which the gate tells."""
    try:
        promoted: dict[str, dict[str, Any]] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    # While a folder is changed, its record says what is there until then, too.
    settled = {name: said.get("before", said) for name, said in promoted.items()}
    return {name: said for name, said in settled.items() if said}


def _marked(project: Path, name: str, stage: str) -> str:
    """Mark a model, and tell it in a sentence."""
    try:
        commit = _commit(project, name, stage)
        # No version is registered: GTO needs none, and one that failed half-way would leave a tag without a stage.
        assign = [*GTO, "assign", name, commit, "--stage", stage, "--skip-registration"]
        _said(project, assign, environment=_identity(project))
        tag = _said(project, ["git", "tag", "--points-at", commit])
    except RegistryError as error:
        mend = f"once that is mended, commit {LOCK} and run `gto assign {name} --stage {stage}`"
        return f"{name}: promoted, but not marked in git: {error}; {mend}"
    return f"{name}: marked in git as {tag}; `dvc artifacts get . {name} --stage {stage}` brings it"


def _commit(project: Path, name: str, stage: str) -> str:
    """A commit of HEAD's files and the present dvc.lock, which no branch holds. Raises RegistryError."""
    if _said(project, ["git", "rev-parse", "--show-prefix"]):
        raise RegistryError("the project is not the top folder of its git repository")
    head = _said(project, ["git", "rev-parse", "--verify", "--quiet", "HEAD"], fault="git has no commit yet")
    lock = _said(project, ["git", "hash-object", "-w", LOCK])
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        pipeline = Path(folder) / PIPELINE
        pipeline.write_text(
            _with_artifact(_said(project, ["git", "show", f"{head}:{PIPELINE}"]), name), encoding="utf-8"
        )
        listed = _said(project, ["git", "hash-object", "-w", str(pipeline)])
        _said(project, ["git", "read-tree", head], index)
        for file, content in ((LOCK, lock), (PIPELINE, listed)):
            _said(project, ["git", "update-index", "--add", "--cacheinfo", f"100644,{content},{file}"], index)
        tree = _said(project, ["git", "write-tree"], index)
    message = f"{LOCK} of {name} as it went to {stage}"
    return _said(project, ["git", "commit-tree", tree, "-p", head, "-m", message], _identity(project))


def _with_artifact(pipeline: str, name: str) -> str:
    """The text of a dvc.yaml with the model among its artifacts, if it is not there yet."""
    yaml = YAML()
    values = yaml.load(pipeline)
    if name in values.setdefault("artifacts", {}):
        return pipeline
    values["artifacts"][name] = {"path": f"${{paths.models}}/{name}", "type": "model"}
    out = io.StringIO()
    yaml.dump(values, out)
    return out.getvalue()


def _identity(project: Path) -> dict[str, str]:
    """Variables that name trainyard where nobody is configured, as on a machine that only runs schedules."""
    identity: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        try:
            # useConfigOnly: else git makes somebody up from the machine's name, where it can.
            _said(project, ["git", "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT"])
        except RegistryError:
            identity |= {f"GIT_{role}_{key}": value for key, value in NOBODY.items()}
    return identity


def _said(project: Path, command: list[str], environment: Mapping[str, str] | None = None, fault: str = "") -> str:
    """The output of a command. Raises RegistryError with `fault`, or else what it says of its failure."""
    try:
        done = subprocess.run(
            command,
            cwd=project,
            env={**os.environ, **(environment or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(str(error)) from None
    if done.returncode:
        complaint = done.stderr.strip().splitlines() or [f"{command[0]} ended with {done.returncode}"]
        raise RegistryError(fault or complaint[0].removeprefix("fatal: ").removeprefix("❌ "))
    return done.stdout.strip()
