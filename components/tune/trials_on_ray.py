"""A sweep's trials on a Ray cluster, by Ray Tune. The ledger is the record of them.

Tune's own experiment files are not gone back to: a kill may leave them half-written, and they may tell of a trial's end
later than the ledger or not at all. A sweep that goes on is a new experiment over what the ledger lacks.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.search import Searcher

from components.cluster.placement import Slots
from components.errors import UserError
from components.models.task import Task, TrainingConfig
from components.params.search_space import PERTURBED, Search, Space, Values
from components.tune.ledger import Ledger, Trial, measured
from components.tune.proposals import Proposals
from components.tune.trial import NUMBER, SCORE, TrialJob, run_trial

LOST_PROCESSES = 2  # of one trial, that are started again
Listener = Callable[[Trial, int], None]  # an ended trial, and how many run


class Proposer(Searcher):  # type: ignore[misc]
    """Hands Tune what the ledger lacks: first the trials that a kill cut off, then new proposals."""

    def __init__(
        self,
        ledger: Ledger,
        proposals: Proposals,
        space: Space,
        configure: Callable[[Values], TrainingConfig],
        score: Callable[[Trial], float],
    ) -> None:
        super().__init__(metric=SCORE, mode="max")
        self.ledger, self.proposals, self.space, self.configure = ledger, proposals, space, configure
        self.score = score  # of a finished trial, the larger the better
        self.best: Trial | None = None
        self.running: dict[str, int] = {}  # Tune's id → number
        self.listener: Listener | None = None
        trials = ledger.trials()
        for trial in trials:
            if trial.outcome is not None:
                proposals.ended(trial)
                self._note_best(trial)
        self.cut_off = [trial for trial in trials if trial.outcome is None]
        for trial in self.cut_off:
            proposals.going_on(trial)
        self.next_number = max((trial.number for trial in trials), default=-1) + 1

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.cut_off:
            trial = self.cut_off.pop(0)
            return self._start(trial_id, trial.number, trial.values)
        if self.proposals.all_proposed:
            return str(Searcher.FINISHED)
        values = self.proposals.propose(self.next_number)
        if values is None:
            return str(Searcher.FINISHED) if self.proposals.all_proposed else None
        number, self.next_number = self.next_number, self.next_number + 1
        self.ledger.begin(number, values)
        return self._start(trial_id, number, values)

    def _start(self, trial_id: str, number: int, values: Values) -> dict[str, Any]:
        self.running[trial_id] = number
        return {NUMBER: number, **{k: self.space[k].encode(v) if k in self.space else v for k, v in values.items()}}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.running.pop(trial_id)
        try:
            config = self.configure(self.ledger.read(number).values)
        except UserError:
            config = None
        lost = f"its process was lost {LOST_PROCESSES + 1} times" if error else ""
        trial = self.ledger.end(number, config, lost)
        self.proposals.ended(trial)
        self._note_best(trial)
        if self.listener:
            self.listener(trial, len(self.running))

    def _note_best(self, trial: Trial) -> None:
        if trial.outcome == "finished":
            reached = self.score(trial)
            if self.best is None or reached > self.score(self.best):
                self.best = trial
            self.ledger.forget_states(but=self.best.number)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: all that is known stands in the ledger."""

    def restore(self, checkpoint_path: str) -> None: ...

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None: ...


def scheduler(
    search: Search, task: Task, config: TrainingConfig, space: Space, ended: list[Trial], whole: bool
) -> TrialScheduler:
    """When a trial is stopped early: by ASHA (Li et al. 2020), which is told of the trials that ended before.

    whole: none is. A grow search's curve needs each training whole, and one on workers of its own would leave
           them their cores if it was stopped: Ray Train frees those of a killed training only with a dashboard.
    """
    if whole:
        return FIFOScheduler()
    if search.method == "pbt":
        mutable = [key for key, searched in space.items() if searched.kind in PERTURBED]
        return Population(
            time_attr="epoch",
            metric=SCORE,
            mode="max",
            perturbation_interval=max(1, search.grace),
            hyperparam_mutations={key: _draw(space, key) for key in mutable},
            custom_explore_fn=lambda values: {k: _within(space, k, v) for k, v in values.items()},
            log_config=False,
        )
    if not search.grace or search.grace >= config.epochs:
        return FIFOScheduler()
    asha = Asha(
        time_attr="epoch",
        metric=SCORE,
        mode="max",
        max_t=config.epochs,
        grace_period=search.grace,
        reduction_factor=search.reduction,
    )
    for trial in ended:
        known = SimpleNamespace(trial_id=f"ended-{trial.number}")
        asha.on_trial_add(None, known)
        for epoch in range(1, len(trial.epochs) + 1):
            reached = task.goal.sign * measured(trial.epochs[:epoch], config.keep, task.goal)
            asha.on_trial_result(None, known, {"epoch": epoch, SCORE: reached})
    return asha


class Asha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """It stops no trial 0, which has the user's own values: the others are compared with these."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = super().on_trial_result(tune_controller, trial, result)
        own = getattr(trial, "config", {}).get(NUMBER) == 0
        return TrialScheduler.CONTINUE if own and result["epoch"] < self._max_t else decision


class Population(PopulationBasedTraining):  # type: ignore[misc]
    """It refuses searchers, which would learn from values that it changes; ours only proposes the first ones."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)


def _draw(space: Space, key: str) -> Any:
    low, high = space[key].values
    return tune.loguniform(low, high) if space[key].logarithmic else tune.uniform(low, high)


def _within(space: Space, key: str, value: Any) -> Any:
    """A perturbed value, brought back into its range."""
    if key in space and space[key].kind in PERTURBED:
        low, high = space[key].values
        return min(max(value, low), high)
    return value


def run(proposer: Proposer, job: TrialJob, slots: Slots, stopping: TrialScheduler, storage: Path) -> None:
    """Run trials on the joined cluster until all that is proposed has ended."""
    attempt = f"{time.time_ns()}-{os.getpid()}"
    trainable = tune.with_resources(tune.with_parameters(run_trial, job=job), _resources(slots))
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=proposer,
            scheduler=stopping,
            num_samples=-1,
            max_concurrent_trials=slots.at_once,
            # A trial's own processes end only with the one that started them.
            reuse_actors=not slots.workers,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=attempt,
            storage_path=str(storage.resolve()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=LOST_PROCESSES),
        ),
    )
    tuner.fit()
    shutil.rmtree(storage, ignore_errors=True)


def _name(trial: Any) -> str:
    return str(trial.config[NUMBER])


def _resources(slots: Slots) -> Mapping[str, float]:
    """Of Tune's process for a trial.

    Where workers of its own do the work, it holds a share of what each cluster has once, its head. Did it hold a core,
    such processes could take them all, and the workers of none would start.
    """
    if slots.workers:  # half of it: each training of Ray Train's needs a little of the head, too
        return {"node:__internal_head__": 0.5 / slots.at_once}
    return {"CPU": slots.cpus, **({"GPU": slots.gpus} if slots.gpus else {})}
