"""Give an entry of params.yaml another name; what stages made of it goes along, so that nothing is trained anew.

    python -m components.rename cnn_wide cnn_broad

Evaluations, baselines and studies are made anew by the next run: their tables and images hold the old name.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.rename", description="Rename an entry of params.yaml.")
    parser.add_argument("old", help="the name of a data set, model, backbone, baseline or study")
    parser.add_argument("new", help="its new name")
    given = begin(parser)

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from components.data.arrays import ARRAYS_IN
from components.entries import lock_lines
from components.entries.names import REFERENCES, check_new, group_of, named_by, nothing_runs, outputs
from components.errors import UserError
from components.files import write_whole
from components.models.artifact_files import DESCRIPTION
from components.params import params
from components.params.change import rename_entry
from components.params.declarations import GROUPS
from components.process.command import run
from components.promote import promoted
from components.remove import scratch

DVC = (sys.executable, "-m", "dvc")
WITH_NAMES = ("evaluate", "baseline", "study")  # stages whose outputs tell people the names


def rename(old: str, new: str, settings: params.Params, file: Path = params.FILE) -> list[str]:
    """What to say of it. Raises UserError, with nothing changed, where the new name cannot be."""
    group = group_of(old, settings)
    others = named_by(old, settings)
    check_new(group, new, settings)
    moves = [*zip(outputs(group, old, settings), outputs(group, new, settings), strict=True)]
    with nothing_runs(settings):
        rename_entry(file, group, old, new, others)
        affected = [(g, new if name == old else name) for g, name in [(group, old), *((g, n) for g, n, _ in others)]]
        tell = {f"{step}@{name}" for step in WITH_NAMES for _, name in affected}
        lock_lines.renamed(old, new, settings.paths)
        lock_lines.without(tell)
        for path, target in moves:
            if path.exists() and not target.exists():
                path.rename(target)
        for path in scratch(old, settings):  # of which nothing fits the new name
            if path.is_file():
                path.unlink()
        held = _names_inside(old, new, affected, settings)
        _told_to_dvc(held)
    said = [f"{GROUPS[group].what} {old} is {new} now", *(f"  {g}.{name}.{key}: {new}" for g, name, key in others)]
    if group == "models" and old in promoted(Path(settings.paths.models)):
        said.append(
            f"  the promoted {old} keeps its name; `python -m components.promote {new}` makes one of the new name"
        )
    return said


def _names_inside(old: str, new: str, affected: Collection[tuple[str, str]], settings: params.Params) -> list[str]:
    """Put the new name into the files that hold the old one; the stages whose outputs these are."""
    stages = []
    for group, name in affected:
        description = Path(settings.paths.models) / name / DESCRIPTION
        if group == "models" and description.exists():
            values = json.loads(description.read_text(encoding="utf-8"))
            values["name"] = name
            values["config"] |= {key: new for key in REFERENCES if values["config"].get(key) == old}
            write_whole(description, json.dumps(values, indent=1) + "\n")
            stages.append(f"train@{name}")
        arrays_in = Path(settings.paths.split) / name / ARRAYS_IN
        if group == "data" and arrays_in.exists():
            path = Path(arrays_in.read_text(encoding="utf-8").strip())
            write_whole(arrays_in, f"{path.with_name(name).as_posix()}\n")
            stages.append(f"split@{name}")
    return stages


def _told_to_dvc(stages: list[str]) -> None:
    """Have DVC note the files that were changed, unless their stages are to run again for another reason."""
    if not lock_lines.LOCK.exists():
        return
    _dvc("repro", "--single-item", "code")
    for _ in range(len(stages) + 1):
        status = json.loads(_dvc("status", "--json"))
        changed = {stage: _only_files(said) for stage, said in status.items()}
        ready = [stage for stage, files in changed.items() if files and files <= _written(stages)]
        if not ready:
            return
        for stage in ready:
            _dvc("commit", "--force", stage)


def _written(stages: list[str]) -> set[str]:
    kinds = {"train": "models", "split": "split"}
    return {f"{kinds[step]}/{name}" for step, name in (stage.split("@") for stage in stages)}


def _only_files(changes: list[object]) -> set[str]:
    """The last two parts of the files that changed of a stage; nothing where something else did, or is gone."""
    files: set[str] = set()
    for change in changes:
        if not isinstance(change, dict):
            return set()
        for entries in change.values():
            if any(state != "modified" for state in entries.values()):
                return set()
            files |= {"/".join(Path(path).parts[-2:]) for path in entries}
    return files


def _dvc(*arguments: str) -> str:
    """The output of a DVC command. Raises UserError if it fails."""
    done = subprocess.run([*DVC, *arguments], text=True, capture_output=True, check=False)
    if done.returncode:
        raise UserError(
            f"`dvc {' '.join(arguments)}` failed: {done.stderr.strip()}\nThe entry has its new name; "
            "`dvc repro` makes again what DVC does not know under it"
        )
    return done.stdout


def main(old: str, new: str) -> None:
    for line in rename(old, new, params.load()):
        print(line)


if __name__ == "__main__":
    run(lambda: main(given.old, given.new))
