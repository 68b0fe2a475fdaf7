"""The results of a sweep, as files: a table of all trials, the best values, and what the report shows of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.files import whole_folder
from components.models.task import Goal
from components.params.search_space import Grow, Space, Values
from components.plots.file_names import SWEEP
from components.plots.tables import Table, write_tables
from components.tune import growth, plots
from components.tune.ledger import Trial, kept, measured
from components.tune.proposals import importances

BEST_SHOWN, FAULTS_SHOWN = 10, 10


@dataclass(frozen=True)
class Found:
    """A sweep's trials, and what they are judged by.

    keep: best or last, as the model's section says: which epoch's weights count.
    """

    model: str
    goal: Goal
    keep: str
    trials: Sequence[Trial]

    @property
    def measure(self) -> str:
        return self.goal.measure.replace("_", " ")

    def reached(self, trial: Trial) -> float:
        return measured(trial.epochs, self.keep, self.goal)

    @property
    def ranked(self) -> list[Trial]:
        """The trials that trained to their end, the best first; of equals the earlier."""
        finished = [trial for trial in self.trials if trial.outcome == "finished"]
        return sorted(finished, key=lambda trial: (-self.goal.sign * self.reached(trial), trial.number))

    def outcomes(self) -> str:
        """ "50 trials: 31 finished, 17 stopped early, 2 failed" """
        names = {"finished": "finished", "stopped": "stopped early", "failed": "failed", None: "not ended"}
        counts = {said: sum(t.outcome == outcome for t in self.trials) for outcome, said in names.items()}
        return f"{len(self.trials)} trials: " + ", ".join(f"{n} {said}" for said, n in counts.items() if n)


def write_search(target: Path, found: Found, space: Space) -> None:
    """The folder of a sweep: trials.parquet, trials.csv, best.json, images, and the report's chapter."""
    ranked = found.ranked
    with whole_folder(target) as folder:
        _write_trials(folder, found)
        tables = [_best_table(found, list(space)), *_faults_table(found)]
        headline = [("trials", str(len(found.trials)))]
        finding = "No trial has trained to its end yet."
        if ranked:
            finding = _compared(found, ranked[0])
            headline.insert(0, (f"best validation {found.measure}", f"{found.reached(ranked[0]):.4f}"))
            _write_best(folder, found, ranked[0], list(space))
            scores = {trial.number: found.reached(trial) for trial in ranked}
            fractions = importances(space, scores, {trial.number: trial.values for trial in ranked})
            reached = {t.number: found.reached(t) for t in found.trials if t.outcome in ("finished", "stopped")}
            plots.draw(folder, found.trials, space, scores, reached, found.goal, fractions)
        write_tables(folder, tables, heading=f"Sweep of {found.model.replace('_', ' ')}")
        _write_chapter(folder, headline, finding)


def write_growth(target: Path, found: Found, grow: Grow, keys: Sequence[str]) -> None:
    """The same of a grow search; `values` of best.json are those of the narrowest width that is as good as the best."""
    points = growth.curve(found.trials, keys, found.keep, grow.seeds)
    with whole_folder(target) as folder:
        _write_trials(folder, found)
        headline, finding = [("trials", str(len(found.trials)))], "No width has trained to its end yet."
        if points:
            knee = growth.chosen(points, grow.tolerance)
            finding = growth.finding(points, grow)
            headline.insert(0, ("width chosen", f"{knee.width}"))
            own = [trial for trial in found.ranked if growth.width_of(trial.values, keys) == knee.width]
            _write_best(folder, found, own[0], keys)
            plots.draw_growth(folder / "growth.png", points, knee.width, ", ".join(keys))
        columns = ["width", "training loss", "validation loss", "validation loss, last epoch"]
        rows = [[f"{p.width}", f"{p.training:.4f}", f"{p.validation:.4f}", f"{p.last:.4f}"] for p in points]
        note = f"Training: the last epoch. Validation: the epoch whose weights are kept. Medians of {grow.seeds}."
        if not grow.regularised:
            note += " Without dropout, L1 and L2."
        tables = [Table("Width by width", columns, rows, note), *_faults_table(found)]
        write_tables(folder, tables, heading=f"How wide {found.model.replace('_', ' ')} should be: {', '.join(keys)}")
        _write_chapter(folder, headline, finding)


def finding(target: Path) -> str:
    """Read the finding of a sweep's folder, a sentence or two."""
    said: str = json.loads((target / SWEEP).read_text(encoding="utf-8"))["finding"]
    return said


def best_values(target: Path) -> Values:
    """The values that a sweep chose. Raises FileNotFoundError if none has finished."""
    found: dict[str, Any] = json.loads((target / "best.json").read_text(encoding="utf-8"))
    values: Values = found["values"]
    return values


def _compared(found: Found, best: Trial) -> str:
    """The metric that the winner reaches, beside params.yaml's own values as the sweep began with them."""
    said = f"Trial {best.number} reaches a validation {found.measure} of {found.reached(best):.4f}"
    own = next((trial for trial in found.trials if trial.number == 0), None)
    if own is None or own.outcome != "finished":
        return f"{said}."
    if own is best:
        return f"{said}: nothing beat params.yaml's own values."
    return f"{said}, params.yaml's own values {found.reached(own):.4f}."


def _write_trials(folder: Path, found: Found) -> None:
    import pandas as pd

    rows = []
    for trial in found.trials:
        at = kept(trial.epochs, found.keep) if trial.epochs else {}
        rows.append(
            {
                "trial": trial.number,
                "outcome": trial.outcome or "not ended",
                **{key: _plain(value) for key, value in trial.values.items()},
                **{key: value for key, value in at.items() if key.startswith("validation_")},
                "loss": trial.epochs[-1]["loss"] if trial.epochs else None,
                "epoch_kept": at.get("epoch"),
                "epochs": len(trial.epochs),
                "seconds": round(trial.seconds, 3),
                "node": trial.node,
                "reason": trial.reason,
            }
        )
    table = pd.DataFrame(rows)
    table.to_parquet(folder / "trials.parquet", index=False)
    table.to_csv(folder / "trials.csv", index=False)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _write_best(folder: Path, found: Found, best: Trial, keys: Sequence[str]) -> None:
    at = kept(best.epochs, found.keep)
    reached = {key: value for key, value in at.items() if key.startswith("validation_")}
    written = {
        "model": found.model,
        "trial": best.number,
        "values": {key: best.values[key] for key in keys},
        **reached,
        "epoch": at["epoch"],
    }
    (folder / "best.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _best_table(found: Found, keys: Sequence[str]) -> Table:
    rows = [
        [str(trial.number), f"{found.reached(trial):.4f}", *(shown(trial.values[key]) for key in keys)]
        for trial in found.ranked[:BEST_SHOWN]
    ]
    note = f"{found.outcomes()}. Trial 0 has the values that params.yaml had."
    return Table("The best trials", ["trial", found.measure, *(key.replace("_", " ") for key in keys)], rows, note)


def _faults_table(found: Found) -> list[Table]:
    failed = [trial for trial in found.trials if trial.outcome == "failed"]
    rows = [[str(t.number), _listed(t.values), t.reason] for t in failed[:FAULTS_SHOWN]]
    more = len(failed) - FAULTS_SHOWN
    note = f"And {more} more; trials.csv has them all." if more > 0 else ""
    return [Table("Trials that failed", ["trial", "values", "reason"], rows, note)] if failed else []


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {shown(value)}" for key, value in values.items())


def shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_chapter(folder: Path, headline: Sequence[tuple[str, str]], finding: str) -> None:
    (folder / SWEEP).write_text(json.dumps({"headline": headline, "finding": finding}) + "\n", encoding="utf-8")
