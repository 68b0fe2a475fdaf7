"""The command of a sweep: many trainings of one model, on a Ray cluster, for the values that are best.

    python -m components.tune cnn              what params.yaml's `sweep.cnn` holds is searched
    python -m components.tune cnn --grow       `grow.widths.cnn` widen until the model overfits
    python -m components.tune cnn --apply      and the best values are written into params.yaml

The same command goes on where a killed one was; a cluster is joined by RAY_ADDRESS.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process.command import begin
    from components.tune.arguments import parser

    given = begin(parser())

import argparse
import sys
from pathlib import Path

from components.errors import UserError
from components.params import params
from components.params.change import apply
from components.prepare.weights import load_weights
from components.process.command import run
from components.process.lock import only_one
from components.train.training import INTERRUPTED
from components.tune import results
from components.tune.ledger import Ledger
from components.tune.results import Outcome
from components.tune.sweep import Sweep, hand_over, planned, run_trials, write


def main(given: argparse.Namespace) -> None:
    settings = params.load()
    name = given.model
    sweep = planned(settings, name, given.trials, given.grow)
    if given.workers and not given.grow and sweep.search.method == "pbt":
        raise UserError(
            "pbt stops and moves trials, which --workers does not allow; set search.method to tpe or random"
        )
    runs = Path(settings.paths.runs) / f"sweep@{name}"
    target = Path(settings.paths.sweeps) / (f"{name}_grow" if given.grow else name)
    runs.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(runs.resolve() / sweep.key(load_weights(sweep.weights)))
    with only_one(runs / "lock", name):
        try:
            run_trials(sweep, ledger, given.cpus, given.gpus, given.workers)
        except KeyboardInterrupt:
            write(sweep, ledger, target)
            print(f"{name}: stopped; the same command goes on with what is left", file=sys.stderr)
            sys.exit(INTERRUPTED)
        outcome = write(sweep, ledger, target)
    if not outcome.ranked:
        sys.exit(f"error: {name}: no trial trained to its end; {target / 'trials.csv'} has the reasons")
    if given.apply:
        _apply(sweep, ledger, outcome, target, Path(settings.paths.runs) / f"train@{name}")


def _apply(sweep: Sweep, ledger: Ledger, outcome: Outcome, target: Path, trainings: Path) -> None:
    """Write the best values into params.yaml, and leave the winner's training where the train stage looks for it."""
    apply(params.FILE, sweep.config.where, results.best_values(target))
    print(f"{params.FILE}: {sweep.config.where} has the values of the best, as `dvc params diff` shows")
    # Of a grow search the width alone is applied, of pbt the last values: neither is the winner's training.
    best = None if sweep.grow or sweep.search.method == "pbt" else outcome.ranked[0]
    state = ledger.final_state(best.number) if best else None
    done = "trains it"
    if state is not None:
        hand_over(sweep, state, trainings)
        done = "takes over the model that the sweep trained with them"
    print(f"{sweep.name}: `dvc repro` {done}")


if __name__ == "__main__":
    run(lambda: main(given))
