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
class Outcome:
    """A sweep's trials, and what they are judged by.

    keep: best or last, as the model's section says: which epoch's weights count.
    rows: of the validation subset.
    """

    model: str
    goal: Goal
    keep: str
    trials: Sequence[Trial]
    rows: int

    @property
    def metric(self) -> str:
        return self.goal.metric.replace("_", " ")

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


def write_search(target: Path, outcome: Outcome, space: Space) -> None:
    """The folder of a sweep: trials.parquet, trials.csv, best.json, images, and the report's chapter."""
    ranked = outcome.ranked
    with whole_folder(target) as folder:
        _write_trials(folder, outcome)
        tables = [_best_table(outcome, list(space)), *_faults_table(outcome)]
        headline = [("trials", str(len(outcome.trials)))]
        finding = "No trial has trained to its end yet."
        if ranked:
            finding = _compared(outcome, ranked[0])
            headline.insert(0, (f"best validation {outcome.metric}", f"{outcome.reached(ranked[0]):.4f}"))
            _write_best(folder, outcome, ranked[0], list(space))
            scores = {trial.number: outcome.reached(trial) for trial in ranked}
            fractions = importances(space, scores, {trial.number: trial.values for trial in ranked})
            reached = {t.number: outcome.reached(t) for t in outcome.trials if t.outcome in ("finished", "stopped")}
            plots.draw(folder, outcome.trials, space, scores, reached, outcome.goal, fractions)
        write_tables(folder, tables, heading=f"Sweep of {outcome.model.replace('_', ' ')}")
        _write_chapter(folder, headline, finding)


def write_growth(target: Path, outcome: Outcome, grow: Grow, keys: Sequence[str]) -> None:
    """The same of a grow search; `values` of best.json are those of the narrowest width that is as good as the best."""
    points = growth.curve(outcome.trials, keys, outcome.keep, grow.seeds)
    with whole_folder(target) as folder:
        _write_trials(folder, outcome)
        headline, finding = [("trials", str(len(outcome.trials)))], "No width has trained to its end yet."
        if points:
            knee = growth.chosen(points, grow.tolerance)
            finding = growth.finding(points, grow)
            headline.insert(0, ("width chosen", f"{knee.width}"))
            own = [trial for trial in outcome.ranked if growth.width_of(trial.values, keys) == knee.width]
            _write_best(folder, outcome, own[0], keys)
            plots.draw_growth(folder / "growth.png", points, knee.width, ", ".join(keys))
        columns = ["width", "training loss", "validation loss", "validation loss, last epoch"]
        rows = [[f"{p.width}", f"{p.training:.4f}", f"{p.validation:.4f}", f"{p.last:.4f}"] for p in points]
        note = f"Training: the last epoch. Validation: the epoch whose weights are kept. Medians of {grow.seeds}."
        if not grow.regularised:
            note += " Without dropout, L1, L2, weight decay and label smoothing."
        tables = [Table("Width by width", columns, rows, note), *_faults_table(outcome)]
        write_tables(folder, tables, heading=f"How wide {outcome.model.replace('_', ' ')} should be: {', '.join(keys)}")
        _write_chapter(folder, headline, finding)


def finding(target: Path) -> str:
    """Read the finding of a sweep's folder, a sentence or two."""
    said: str = json.loads((target / SWEEP).read_text(encoding="utf-8"))["finding"]
    return said


def best_values(target: Path) -> Values:
    """The values that a sweep chose. Raises FileNotFoundError if none has finished."""
    best: dict[str, Any] = json.loads((target / "best.json").read_text(encoding="utf-8"))
    values: Values = best["values"]
    return values


def _compared(outcome: Outcome, best: Trial) -> str:
    """The metric that the winner reaches, beside params.yaml's own values as the sweep began with them."""
    said = f"Trial {best.number} reaches a validation {outcome.metric} of {outcome.reached(best):.4f}"
    own = next((trial for trial in outcome.trials if trial.number == 0), None)
    doubt = _doubt(outcome, best)
    if own is None or own.outcome != "finished":
        return f"{said}.{doubt}"
    if own is best:
        return f"{said}: nothing beat params.yaml's own values.{doubt}"
    return f"{said}, params.yaml's own values {outcome.reached(own):.4f}.{doubt}"


def _doubt(outcome: Outcome, best: Trial) -> str:
    """How far two accuracies on so few examples differ by chance: twice the standard error of a fraction."""
    reached = outcome.reached(best)
    if outcome.goal.metric != "accuracy" or not 0 < reached < 1:
        return ""
    by_chance = 2 * (reached * (1 - reached) / outcome.rows) ** 0.5
    return f" Of {outcome.rows:,} validation examples, {by_chance:.4f} more or less may be chance."


def _write_trials(folder: Path, outcome: Outcome) -> None:
    import pandas as pd

    rows = []
    for trial in outcome.trials:
        at = kept(trial.epochs, outcome.keep) if trial.epochs else {}
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


def _write_best(folder: Path, outcome: Outcome, best: Trial, keys: Sequence[str]) -> None:
    at = kept(best.epochs, outcome.keep)
    reached = {key: value for key, value in at.items() if key.startswith("validation_")}
    written = {
        "model": outcome.model,
        "trial": best.number,
        "values": {key: best.values[key] for key in keys},
        **reached,
        "epoch": at["epoch"],
    }
    (folder / "best.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _best_table(outcome: Outcome, keys: Sequence[str]) -> Table:
    rows = [
        [str(trial.number), f"{outcome.reached(trial):.4f}", *(shown(trial.values[key]) for key in keys)]
        for trial in outcome.ranked[:BEST_SHOWN]
    ]
    note = f"{outcome.outcomes()}. Trial 0 has the values that params.yaml had."
    return Table("The best trials", ["trial", outcome.metric, *(key.replace("_", " ") for key in keys)], rows, note)


def _faults_table(outcome: Outcome) -> list[Table]:
    failed = [trial for trial in outcome.trials if trial.outcome == "failed"]
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
