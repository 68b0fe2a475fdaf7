"""Take an entry out of params.yaml, with what stages made of it and its lines in dvc.lock.

    python -m components.remove cnn_wide

DVC's cache keeps what was made; `dvc gc` clears it. A promoted model stays.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(prog="python -m components.remove", description="Remove an entry of params.yaml.")
    parser.add_argument("name", help="the name of a data set, model, backbone, baseline or study")
    given = begin(parser)

import shutil
from pathlib import Path

from components.code.digests_by_step import STEPS
from components.entries import lock_lines
from components.entries.names import group_of, named_by, nothing_runs, outputs
from components.errors import UserError
from components.params import params
from components.params.change import remove_entries
from components.params.declarations import GROUPS
from components.process.command import run


def remove(name: str, settings: params.Params, file: Path = params.FILE) -> list[str]:
    """What to say of it. Raises UserError, with nothing changed, where other entries name it."""
    group = group_of(name, settings)
    if users := named_by(name, settings):
        listed = ", ".join(f"{other_group}.{other}.{key}" for other_group, other, key in users)
        raise UserError(f"{group}.{name} is named by {listed}; remove these first, or let them name another one")
    with nothing_runs(settings):
        remove_entries(file, [(group, name), *_searched(group, name, settings)])
        lock_lines.without({f"{step}@{name}" for step, (_, own) in STEPS.items() if own == group})
        gone = [path for path in [*outputs(group, name, settings), *scratch(name, settings)] if path.exists()]
        for path in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = [f"{GROUPS[group].what} {name}: taken out of {file.name}"]
    return said + [f"  deleted: {path}" for path in gone]


def _searched(group: str, name: str, settings: params.Params) -> list[tuple[str, str]]:
    """The sweeps of a model's name and of its family, if no other model has them."""
    if group != "models":
        return []
    others = [other for other in settings.groups["models"] if other != name]
    used = {*others, *(settings.values(other)["family"] for other in others)}
    own = {name, settings.values(name)["family"]} - used
    return [("sweep", key) for key in settings.general.sweep if key in own]


def scratch(name: str, settings: params.Params) -> list[Path]:
    """Checkpoints, trials and notes of an entry, which are nobody's output."""
    runs = Path(settings.paths.runs)
    below = [runs, *(folder for folder in runs.glob("*") if folder.is_dir() and "@" not in folder.name)]
    return [path for folder in below for path in sorted(folder.glob(f"*@{name}"))] + [runs / f"timing/{name}.json"]


def main(name: str) -> None:
    for line in remove(name, params.load()):
        print(line)


if __name__ == "__main__":
    run(lambda: main(given.name))
