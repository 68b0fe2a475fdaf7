"""The trials of a sweep, on disk: the one record that a killed sweep goes on from.

<sweep>/trials/00012/values.json   written when the trial is proposed, so that it is never proposed again
<sweep>/trials/00012/epochs.json   its finished epochs, written whole after each
<sweep>/trials/00012/state.pt      what its next epoch goes on from; once it has ended, only the best trial's stays
<sweep>/trials/00012/node.txt      where it ran
<sweep>/trials/00012/fault.txt     why it could not train
<sweep>/trials/00012/end.json      written once, last
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.cluster.storage import local
from components.files import write_whole
from components.models.task import Goal, TrainingConfig
from components.params.search_space import Values
from components.train.checkpoints import STATE_FILE, try_load
from components.train.loop import State, is_finished

Outcome = Literal["finished", "stopped", "failed"]
Epochs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    values:  the keys that were searched, in this trial.
    epochs:  one dict per finished epoch: epoch, loss, each metric and its validation_ twin, seconds.
    outcome: None while it has not ended.
    reason:  of one that failed, what was wrong.
    node:    the beginning of Ray's name for the machine that it was last on.
    """

    number: int
    values: Values
    epochs: Epochs
    outcome: Outcome | None
    reason: str
    node: str = ""

    @property
    def seconds(self) -> float:
        return float(sum(epoch["seconds"] for epoch in self.epochs))


def kept(epochs: Epochs, keep: str) -> Mapping[str, Any]:
    """The epoch whose weights a training keeps, as artifact.save does: the lowest validation loss, or the last."""
    return min(epochs, key=_validation_loss) if keep == "best" else epochs[-1]


def _validation_loss(epoch: Mapping[str, Any]) -> float:
    loss: float = epoch["validation_loss"]
    return loss


def measured(epochs: Epochs, keep: str, goal: Goal) -> float:
    """The metric that the kept weights reach on the validation subset."""
    value: float = kept(epochs, keep)[f"validation_{goal.metric}"]
    return value


def all_trained(config: TrainingConfig, epochs: Epochs) -> bool:
    """Whether a training with these epochs behind it is finished."""
    return is_finished(config, list(epochs), dict(kept(epochs, "best")) if epochs else None)  # type: ignore[arg-type]


class Ledger:
    """The trials of a sweep, in its folder."""

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep
        (sweep / "trials").mkdir(parents=True, exist_ok=True)

    def folder(self, number: int) -> Path:
        return trial_folder(self.sweep, number)

    def begin(self, number: int, values: Values) -> None:
        write_whole(self.folder(number) / "values.json", json.dumps(values) + "\n")

    def end(self, number: int, config: TrainingConfig | None, lost: str = "") -> Trial:
        """Record that a trial has ended, and how.

        config: what it was to train, None if it could not be made.
        lost:   why, of one that was given up.
        """
        folder = self.folder(number)
        epochs = read_epochs(folder)
        file = folder / "fault.txt"
        reason = file.read_text(encoding="utf-8").strip() if file.exists() else lost
        outcome: Outcome = "stopped"
        if config is None or reason or not epochs:
            outcome = "failed"
        elif all_trained(config, epochs):
            outcome = "finished"
        write_whole(folder / "end.json", json.dumps({"outcome": outcome, "reason": reason}) + "\n")
        if outcome != "finished":
            (folder / STATE_FILE).unlink(missing_ok=True)
        return self.read(number)

    def forget_states(self, but: int) -> None:
        """Delete the final states of ended trials, but for the best one's, which training can go on from."""
        for file in (self.sweep / "trials").glob(f"*/{STATE_FILE}"):
            if int(file.parent.name) != but and (file.parent / "end.json").exists():
                file.unlink(missing_ok=True)

    def final_state(self, number: int) -> State | None:
        """The state that a trial ended with, if it is still there and whole."""
        return try_load(local(self.folder(number) / STATE_FILE))

    def read(self, number: int) -> Trial:
        folder = self.folder(number)
        values = json.loads((folder / "values.json").read_text(encoding="utf-8"))
        file = folder / "end.json"
        ended: Any = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"outcome": None, "reason": ""}
        node = folder / "node.txt"
        where = node.read_text(encoding="utf-8").strip() if node.exists() else ""
        return Trial(number, values, read_epochs(folder), ended["outcome"], ended["reason"], where)

    def trials(self) -> list[Trial]:
        """All that were begun, in the order of their numbers."""
        return [self.read(int(file.parent.name)) for file in sorted((self.sweep / "trials").glob("*/values.json"))]


def trial_folder(sweep: Path, number: int) -> Path:
    return sweep / "trials" / f"{number:05}"


def read_epochs(folder: Path) -> list[dict[str, Any]]:
    file = folder / "epochs.json"
    trials: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return trials


def write_epochs(folder: Path, epochs: Epochs) -> None:
    write_whole(folder / "epochs.json", json.dumps([dict(epoch) for epoch in epochs]) + "\n")
