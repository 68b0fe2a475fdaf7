"""The gate: a newly trained model takes the promoted one's place only if it is not worse by more than a margin.

    python -m components.promote cnn lstm

The promoted models are copies of their own, which a later training leaves as they are: data/models/promoted/MODEL, and
promoted.json beside them says which each is. `promotion` in params.yaml sets the margin.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.promote", description="Promote models that are no worse."
    )
    parser.add_argument("models", nargs="+", help="trained and tested models, such as cnn")
    given = begin(parser)

import datetime
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import UserError
from components.files import restore, whole_folder, write_whole
from components.models.artifact_files import WEIGHTS
from components.models.task import Goal, load_task
from components.params import params
from components.process.command import run

RECORD, FOLDER, STAGE = "promoted.json", "promoted", "production"
BEFORE = "before"  # in a model's record, while its folder is changed: what is said of the one that is there until then


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a model, and its reason."""

    promoted: bool
    reason: str


def judge(goal: Goal, value: float, promoted: float | None, margin: float) -> Verdict:
    """Whether a test metric passes.

    margin: how much worse than the promoted model's it may be, as a fraction of that metric; of 0, absolutely.
    """
    metric = goal.metric.replace("_", " ")
    if value != value:
        return Verdict(False, f"its {metric} is no number")
    if promoted is None:
        return Verdict(True, f"the first one, with {metric} {value:.4f}")
    allowed = margin * (abs(promoted) or 1.0)
    passes = goal.sign * (value - promoted) >= -allowed
    told = f"{metric} {value:.4f} against {promoted:.4f}"
    return Verdict(passes, told if passes else f"{told} is worse by more than {allowed:.4f}")


def promote(name: str, settings: params.Params) -> Verdict:
    """Judge the model that is trained now, and put it in the promoted one's place if it passes.

    Raises UserError where it has not been trained and tested.
    """
    paths = settings.paths
    config = settings.entry("models", name)
    models, goal = Path(paths.models), load_task(config.family).goal
    model, tested = models / name, Path(paths.metrics) / f"{name}.json"
    if not (model / WEIGHTS).exists() or not tested.exists():
        raise UserError(f"{name}: no trained and tested model; `dvc repro evaluate@{name}` makes one")
    value = float(json.loads(tested.read_text(encoding="utf-8"))[goal.metric])
    record = promoted(models)
    digest = _digest(model)
    held = record.get(name)
    if held and held["sha256"] == digest:
        _write(models, name, held)  # of one whose promotion was cut off
        return Verdict(True, f"is the promoted one, with {goal.metric.replace('_', ' ')} {held['value']:.4f}")
    # Of another metric nothing can be said: the first of its kind.
    comparable = held["value"] if held and held["metric"] == goal.metric else None
    verdict = judge(goal, value, comparable, settings.general.promotion.margin)
    if verdict.promoted:
        new = {
            "stage": STAGE,
            "metric": goal.metric,
            "value": value,
            "sha256": digest,
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        # Of both until the folder is there: a kill in between leaves one of them, and the record of it.
        _write(models, name, {**new, BEFORE: held})
        with whole_folder(models / FOLDER / name) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
        _write(models, name, new)
    return verdict


def _write(models: Path, name: str, said: Mapping[str, Any]) -> None:
    record = {**_record(models), name: dict(said)}
    write_whole(models / RECORD, json.dumps(record, indent=2, sort_keys=True) + "\n")


def promoted(models: Path) -> dict[str, dict[str, Any]]:
    """Model → what promoted.json says of its promoted one, of those whose weights are there as it says.

    Raises UserError where that file is no JSON.
    """
    kept = {}
    for name, said in _record(models).items():
        folder = models / FOLDER / name
        restore(folder)
        digest, before = _digest(folder), said.pop(BEFORE, None)
        if digest == said["sha256"]:
            kept[name] = said
        elif before and digest == before["sha256"]:
            kept[name] = before
        else:
            wrong = "are other ones than" if (folder / WEIGHTS).exists() else "are gone, as"
            print(f"{name}: the weights in {folder} {wrong} {models / RECORD} says; none is promoted", file=sys.stderr)
    return kept


def promoted_folder(models: Path, name: str) -> Path:
    """The folder of the promoted model of that name. Raises UserError where there is none, or it is not as it was."""
    if name not in promoted(models):
        raise UserError(f"{name}: no model is promoted; `python -m components.promote {name}` promotes the trained one")
    return models / FOLDER / name


def _digest(model: Path) -> str | None:
    """Of a model's weights; None where there are none."""
    file = model / WEIGHTS
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def _record(models: Path) -> dict[str, dict[str, Any]]:
    file = models / RECORD
    if not file.exists():
        return {}
    try:
        promoted: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error}); put it right, or delete it to promote anew") from None
    for said in [*promoted.values(), *(said[BEFORE] for said in promoted.values() if said.get(BEFORE))]:
        if "measure" in said:  # as an earlier version named it
            said["metric"] = said.pop("measure")
    return promoted


def sentence(name: str, verdict: Verdict) -> str:
    return f"{name}: {'promoted' if verdict.promoted else 'kept, not promoted'}: {verdict.reason}"


def main(names: list[str]) -> None:
    settings = params.load()
    for name in names:
        print(sentence(name, promote(name, settings)), flush=True)


if __name__ == "__main__":
    run(lambda: main(given.models))
