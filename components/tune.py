"""A sweep: many trainings of one model, on a Ray cluster, for the values that are best.

    python -m components.tune cnn              what params.yaml's `sweep.cnn` holds is searched
    python -m components.tune cnn --grow       `grow.widths.cnn` widen until the model overfits
    python -m components.tune cnn --apply      and the best values are written into params.yaml

The same command goes on where a killed one was; a cluster is joined by RAY_ADDRESS.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter, set_for_torch

    end_with_starter()
    set_for_torch()

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from components import cluster, loop, params, sweep_results
from components.apply import apply
from components.checkpoints import keep_finished
from components.cluster import Slots
from components.data.loaders import Split
from components.declarations import MODELS
from components.distributed import off_main_thread
from components.errors import UserError
from components.features import training_split
from components.growth import Widths
from components.ledger import Ledger, Trial, measured
from components.lock import only_one
from components.loop import State
from components.node_data import send
from components.pretrained import digest_of
from components.proposals import Proposals, Sampled
from components.search_space import PERTURBED, Grow, Search, Space
from components.source_code import digests
from components.storage import Location, keys_hidden, shared
from components.sweep_progress import SweepProgress
from components.sweep_results import Found
from components.task import Task, TrainingConfig, load_task
from components.train import INTERRUPTED, kept_in, run_key
from components.weights import check_fits, load_weights

RANKED_SHOWN = 5
REGULARISERS = ("l1", "l2")


@dataclass(frozen=True)
class Sweep:
    """What is swept, and how.

    space: key → range; empty in a grow search, whose `keys` take the width.
    grow:  None unless it is a grow search.
    """

    task: Task
    config: TrainingConfig
    split: Split
    weights: Path | None
    space: Space
    search: Search
    grow: Grow | None
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.task.name

    def key(self, weights: Mapping[str, Tensor]) -> str:
        """The name of exactly this sweep. How many trials it has is no part of it: a sweep can be made longer."""
        searched = {*self.space, *self.keys, *(["seed"] if self.grow and self.grow.seeds > 1 else [])}
        base = {key: value for key, value in self.config.model_dump(mode="json").items() if key not in searched}
        space = {key: each.model_dump() for key, each in self.space.items()}
        how = self.grow.model_dump() if self.grow else self.search.model_dump(exclude={"trials"})
        parts = [self.name, base, space, how, list(self.keys), self.split.fingerprint, digest_of(weights)]
        code = digests([loop.__name__, f"{MODELS}.{self.name}"]).items()
        return hashlib.sha256(json.dumps([*parts, torch.__version__, *code]).encode()).hexdigest()[:16]

    def proposals(self, begun: int) -> Proposals:
        base = self.config.model_dump(mode="json")
        if self.grow:
            return Widths(self.grow, base, self.keys, self.config.keep)
        own = {key: base[key] for key in self.space}
        return Sampled(self.space, own, self.search, self.search.trials, self.task.goal, self.config.keep, begun)


def planned(settings: params.Params, name: str, trials: int | None, grow: bool) -> Sweep:
    """The sweep that params.yaml describes. Raises UserError where it describes none, or data are missing."""
    task, config = load_task(name), settings.sections[name]
    assert isinstance(config, TrainingConfig)
    general = settings.general
    search = general.search.model_copy(update={"trials": trials}) if trials else general.search
    space, keys = general.sweep.get(name, {}), general.grow.widths.get(name, ())
    if grow and not keys:
        raise UserError(
            f"grow.widths.{name}: no key to widen; params.yaml has some for: {_listed(general.grow.widths)}"
        )
    if not grow and not space:
        raise UserError(f"sweep.{name}: nothing to search; params.yaml has spaces for: {_listed(general.sweep)}")
    if not grow and search.method == "pbt" and not any(each.kind in PERTURBED for each in space.values()):
        raise UserError(f"sweep.{name}: pbt varies {' and '.join(PERTURBED)} ranges alone, and there is none")
    split = training_split(settings.paths, name, config)
    weights = Path(settings.paths.weights) / name if config.starts_from_weights else None
    if weights:
        check_fits(weights, config, split)
    task.build(config, split.spec)
    own = general.grow if grow else None
    if own and not own.regularised:
        config = unregularised(config)
    return Sweep(task, config, split, weights, {} if grow else space, search, own, keys if grow else ())


def unregularised(config: TrainingConfig) -> TrainingConfig:
    """The same config without dropout, L1 and L2."""
    off = {key: 0.0 for key in type(config).model_fields if key in REGULARISERS or key.endswith("dropout")}
    return config.model_copy(update=off)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)


def run(sweep: Sweep, ledger: Ledger, cpus: int | None, gpus: float | None, workers: int) -> None:
    """Run what the sweep's ledger lacks."""
    trials = ledger.trials()
    ended = [trial for trial in trials if trial.outcome]
    total = None if sweep.grow else max(sweep.search.trials, len(trials))
    if total and len(ended) >= total:
        print(f"{sweep.name}: all {len(ended)} trials had ended before; nothing was trained", flush=True)
        return
    storage = shared()
    cluster.connect()
    import ray

    with keys_hidden():
        try:
            slots = cluster.slots(cluster.nodes(), cpus, gpus, workers)
            _run_on_ray(sweep, ledger, ended, slots, total, storage if cluster.spans_machines() else None)
        finally:
            ray.shutdown()


def _run_on_ray(
    sweep: Sweep, ledger: Ledger, ended: list[Trial], slots: Slots, total: int | None, published: Location | None
) -> None:
    from components import sweeper
    from components.trial import TrialJob, configured

    base = sweep.config.model_dump(mode="json")
    proposals = sweep.proposals(len(ledger.trials()))
    goal, keep = sweep.task.goal, sweep.config.keep
    proposer = sweeper.Proposer(
        ledger,
        proposals,
        sweep.space,
        configure=lambda values: configured(sweep.task, base, values),
        score=lambda trial: goal.sign * measured(trial.epochs, keep, goal),
    )
    progress = SweepProgress(sweep.name, goal, keep, sweep.config.epochs, total, ended)
    proposer.listener = progress
    before = f"; {len(ended)} ended before" if ended else ""
    print(f"{sweep.name}: {f'{total} trials' if total else 'grow search'}, {slots}{before}", flush=True)
    stopping = sweeper.scheduler(
        sweep.search, sweep.task, sweep.config, sweep.space, ended, whole=bool(sweep.grow or slots.workers)
    )
    job = TrialJob(
        task=sweep.name,
        base=json.dumps(base),
        space=json.dumps({key: searched.model_dump() for key, searched in sweep.space.items()}),
        sweep=str(ledger.sweep),
        split=send(sweep.split.folder, published),
        weights=send(sweep.weights, published) if sweep.weights else None,
        exploits=not sweep.grow and sweep.search.method == "pbt",
        place=slots.place,
    )
    started = time.monotonic()
    try:
        off_main_thread(lambda: sweeper.run(proposer, job, slots, stopping, ledger.sweep / "tune"))
    finally:
        progress.close()
    here = progress.ended[len(ended) :]
    wall, trained = time.monotonic() - started, sum(trial.seconds for trial in here)
    beyond = (wall - trained / slots.at_once) / max(1, len(here))
    print(f"{sweep.name}: {len(here)} trials in {wall:.0f} s, {beyond:.2f} s of each beyond training", flush=True)


def write(sweep: Sweep, ledger: Ledger, target: Path) -> Found:
    """What the sweep found so far, into the folder `target`, and its best on the terminal."""
    found = Found(sweep.name, sweep.task.goal, sweep.config.keep, ledger.trials())
    if sweep.grow:
        sweep_results.write_growth(target, found, sweep.grow, sweep.keys)
    else:
        sweep_results.write_search(target, found, sweep.space)
    print(f"{sweep.name}: {found.outcomes()}")
    for trial in found.ranked[:RANKED_SHOWN]:
        values = ", ".join(f"{key} {sweep_results.shown(value)}" for key, value in trial.values.items())
        print(f"  {found.measure} {found.reached(trial):.4f}  trial {trial.number}: {values}")
    print(f"{sweep.name}: {sweep_results.finding(target)}\nTables and pictures: {target}", flush=True)
    return found


def _hand_over(sweep: Sweep, state: State, runs: Path) -> None:
    """Leave the winner's training where the train stage looks for one that is finished.

    It would train the same, but for the last digits where its workers have other numbers of cores than a trial.
    """
    config = params.load().sections[sweep.name]
    assert isinstance(config, TrainingConfig)
    published = load_weights(sweep.weights) if sweep.weights else {}
    keep_finished(kept_in(runs, shared()) / run_key(sweep.task, config, sweep.split, published), state)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m components.tune", description="Search a model's values.")
    parser.add_argument("model", help="a model's name, such as cnn")
    parser.add_argument("--grow", action="store_true", help="widen the model until it overfits")
    parser.add_argument("--apply", action="store_true", help="write the best values into params.yaml")
    parser.add_argument("--trials", type=_at_least_one, help="in place of params.yaml's search.trials")
    parser.add_argument("--cpus", type=_at_least_one, help="cores of a trial, or of each of its workers")
    parser.add_argument("--gpus", type=float, help="GPUs of a trial, or of each worker; 0.25: four trials share one")
    parser.add_argument("--workers", type=int, default=0, help="of a trial, by Ray Train; 0: it trains in one process")
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer >= 1")
    return int(text)


def main() -> None:
    given = _arguments()
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
    ledger = Ledger(runs.resolve() / sweep.key(load_weights(sweep.weights) if sweep.weights else {}))
    with only_one(runs / "lock", name):
        try:
            run(sweep, ledger, given.cpus, given.gpus, given.workers)
        except KeyboardInterrupt:
            write(sweep, ledger, target)
            print(f"{name}: stopped; the same command goes on with what is left", file=sys.stderr)
            sys.exit(INTERRUPTED)
        found = write(sweep, ledger, target)
    if not found.ranked:
        sys.exit(f"error: {name}: no trial trained to its end; {target / 'trials.csv'} has the reasons")
    if given.apply:
        apply(params.FILE, name, sweep_results.best_values(target))
        print(f"{params.FILE}: {name} has the values of the best, as `dvc params diff` shows")
        # Of a grow search the width alone is applied, of pbt the last values: neither is the winner's training.
        best = None if sweep.grow or sweep.search.method == "pbt" else found.ranked[0]
        state = ledger.final_state(best.number) if best else None
        done = "trains it"
        if state is not None:
            _hand_over(sweep, state, Path(settings.paths.runs) / f"train@{name}")
            done = "takes over the model that the sweep trained with them"
        print(f"{name}: `dvc repro` {done}")


if __name__ == "__main__":
    params.run(main)
