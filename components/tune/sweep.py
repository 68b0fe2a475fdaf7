"""A sweep: many trainings of one model, on a Ray cluster, for the values that are best."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from components.cluster import joining, placement
from components.cluster.placement import Slots
from components.cluster.storage import Location, keys_hidden, shared
from components.code.imports import digests
from components.data.arrays import Split
from components.errors import UserError
from components.models.pretrained import digest_of
from components.models.task import Task, TrainingConfig, load_task
from components.params import params
from components.params.declarations import MODELS
from components.params.search_space import PERTURBED, Grow, Search, Space, asked_for
from components.prepare.stage import training_split
from components.prepare.start import resolved, weights_folder
from components.prepare.weights import load_weights
from components.train import loop
from components.train.checkpoints import keep_finished
from components.train.driver import off_main_thread
from components.train.loop import State
from components.train.node_data import send, send_split
from components.train.training import kept_in, run_key
from components.tune import results
from components.tune.growth import Widths
from components.tune.ledger import Ledger, Trial, measured
from components.tune.progress import SweepProgress
from components.tune.proposals import Proposals, Sampled
from components.tune.results import Outcome

RANKED_SHOWN = 5
REGULARISERS = ("l1", "l2", "weight_decay", "label_smoothing")


@dataclass(frozen=True)
class Sweep:
    """A sweep's model, data, search space and method.

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
        code = digests([loop.__name__, f"{MODELS}.{self.task.family}"]).items()
        return hashlib.sha256(json.dumps([*parts, torch.__version__, *code]).encode()).hexdigest()[:16]

    def proposals(self, begun: int) -> Proposals:
        base = self.config.model_dump(mode="json")
        if self.grow:
            return Widths(self.grow, base, self.keys, self.config.keep)
        own = {key: base[key] for key in self.space}
        return Sampled(self.space, own, self.search, self.search.trials, self.task.goal, self.config.keep, begun)


def planned(settings: params.Params, name: str, trials: int | None, grow: bool) -> Sweep:
    """The sweep that params.yaml describes. Raises UserError where it describes none, or data are missing."""
    config = resolved(settings, name)
    task, general = load_task(config.family, name), settings.general
    search = general.search.model_copy(update={"trials": trials}) if trials else general.search
    space = asked_for(general.sweep, name, config.family) or {}
    keys = asked_for(general.grow.widths, name, config.family) or config.grows()
    if grow and not keys:
        raise UserError(
            f"grow.widths.{name}: no key to widen: a {config.family} has none by itself; name some there, as a list"
        )
    if not grow and not space:
        raise UserError(f"sweep.{name}: nothing to search; params.yaml has spaces for: {_listed(general.sweep)}")
    if not grow and search.method == "pbt" and not any(each.kind in PERTURBED for each in space.values()):
        raise UserError(f"sweep.{name}: pbt varies {' and '.join(PERTURBED)} ranges alone, and there is none")
    split = training_split(settings.paths, name, config)
    weights = weights_folder(settings, name)
    task.build(config, split.spec)
    own = general.grow if grow else None
    if own and not own.regularised:
        config = unregularised(config)
    return Sweep(task, config, split, weights, {} if grow else space, search, own, keys if grow else ())


def unregularised(config: TrainingConfig) -> TrainingConfig:
    """The same config without dropout, L1, L2, weight decay and label smoothing."""
    off = {key: 0.0 for key in type(config).model_fields if key in REGULARISERS or key.endswith("dropout")}
    return config.model_copy(update=off)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)


def run_trials(sweep: Sweep, ledger: Ledger, cpus: int | None, gpus: float | None, workers: int) -> None:
    """Run what the sweep's ledger lacks."""
    trials = ledger.trials()
    ended = [trial for trial in trials if trial.outcome]
    total = None if sweep.grow else max(sweep.search.trials, len(trials))
    if total and len(ended) >= total:
        print(f"{sweep.name}: all {len(ended)} trials had ended before; nothing was trained", flush=True)
        return
    storage = shared()
    joining.connect()
    import ray

    with keys_hidden():
        try:
            slots = placement.slots(joining.nodes(), cpus, gpus, workers)
            _run_on_ray(sweep, ledger, ended, slots, total, storage if joining.spans_machines() else None)
        finally:
            ray.shutdown()


def _run_on_ray(
    sweep: Sweep, ledger: Ledger, ended: list[Trial], slots: Slots, total: int | None, published: Location | None
) -> None:
    from components.tune import trials_on_ray
    from components.tune.trial import TrialJob, configured

    base = sweep.config.model_dump(mode="json")
    proposals = sweep.proposals(len(ledger.trials()))
    goal, keep = sweep.task.goal, sweep.config.keep
    proposer = trials_on_ray.Proposer(
        ledger,
        proposals,
        sweep.space,
        configure=lambda values: configured(sweep.task, base, values, sweep.config.where),
        score=lambda trial: goal.sign * measured(trial.epochs, keep, goal),
    )
    progress = SweepProgress(sweep.name, goal, keep, sweep.config.epochs, total, ended)
    proposer.listener = progress
    before = f"; {len(ended)} ended before" if ended else ""
    print(f"{sweep.name}: {f'{total} trials' if total else 'grow search'}, {slots}{before}", flush=True)
    stopping = trials_on_ray.scheduler(
        sweep.search, sweep.task, sweep.config, sweep.space, ended, whole=bool(sweep.grow or slots.workers)
    )
    job = TrialJob(
        task=sweep.name,
        family=sweep.task.family,
        where=sweep.config.where,
        base=json.dumps(base),
        space=json.dumps({key: searched.model_dump() for key, searched in sweep.space.items()}),
        sweep=str(ledger.sweep),
        split=send_split(sweep.split, published),
        weights=send(sweep.weights, published) if sweep.weights else None,
        exploits=not sweep.grow and sweep.search.method == "pbt",
        place=slots.place,
    )
    started = time.monotonic()
    try:
        off_main_thread(lambda: trials_on_ray.run(proposer, job, slots, stopping, ledger.sweep / "tune"))
    finally:
        progress.close()
    here = progress.ended[len(ended) :]
    wall, trained = time.monotonic() - started, sum(trial.seconds for trial in here)
    beyond = (wall - trained / slots.at_once) / max(1, len(here))
    print(f"{sweep.name}: {len(here)} trials in {wall:.0f} s, {beyond:.2f} s of each beyond training", flush=True)


def write(sweep: Sweep, ledger: Ledger, target: Path) -> Outcome:
    """Write the sweep's results so far into the folder `target`, and print its best."""
    rows = len(sweep.split.rows["validation"])
    outcome = Outcome(sweep.name, sweep.task.goal, sweep.config.keep, ledger.trials(), rows)
    if sweep.grow:
        results.write_growth(target, outcome, sweep.grow, sweep.keys)
    else:
        results.write_search(target, outcome, sweep.space)
    print(f"{sweep.name}: {outcome.outcomes()}")
    for trial in outcome.ranked[:RANKED_SHOWN]:
        values = ", ".join(f"{key} {results.shown(value)}" for key, value in trial.values.items())
        print(f"  {outcome.metric} {outcome.reached(trial):.4f}  trial {trial.number}: {values}")
    print(f"{sweep.name}: {results.finding(target)}\nTables and images: {target}", flush=True)
    return outcome


def hand_over(sweep: Sweep, state: State, runs: Path) -> None:
    """Leave the winner's training where the train stage looks for one that is finished.

    It would train the same, but for the last digits where its workers have other numbers of cores than a trial.
    """
    config = resolved(params.load(), sweep.name)
    published = load_weights(sweep.weights)
    keep_finished(kept_in(runs, shared()) / run_key(sweep.task, config, sweep.split, published), state)
