"""Proposers of a sweep's next trial. These know no Ray: they learn from ended trials and propose values."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

from components.models.task import Goal
from components.params.search_space import Range, Search, Space, Values
from components.tune.ledger import Trial, measured

STARTUP_TRIALS = 10  # that TPE draws at random before it has something to go by, Optuna's own default


class Proposals(Protocol):
    """Of a sweep. Each trial that was begun is told of once, when it has ended or goes on after a kill."""

    def propose(self, number: int) -> Values | None:
        """The values of trial `number`; None while there is nothing to try before others end."""

    def going_on(self, trial: Trial) -> None:
        """That trial, begun before a kill, trains again."""

    def ended(self, trial: Trial) -> None: ...

    @property
    def all_proposed(self) -> bool: ...


class Sampled:
    """Values drawn from a space by Optuna: at random, or by TPE (Bergstra et al. 2011). The first are params.yaml's.

    TPE takes a trial that was stopped early by what it had reached by then, and one that failed for the worst.
    """

    def __init__(
        self, space: Space, first: Values, search: Search, trials: int, goal: Goal, keep: str, begun: int
    ) -> None:
        optuna = _optuna()
        self.space, self.first, self.trials, self.goal, self.keep = space, first, trials, goal, keep
        self.begun = begun
        seed = search.seed + begun  # else a sweep that goes on would draw its first values again
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = (
                optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)
                if search.method == "tpe"
                else optuna.samplers.RandomSampler(seed=seed)
            )
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.distributions = {key: distribution(searched) for key, searched in space.items()}
        self.asked: dict[int, Any] = {}

    @property
    def all_proposed(self) -> bool:
        return self.begun >= self.trials

    def propose(self, number: int) -> Values | None:
        self.begun += 1
        if number == 0:
            self._ask(number, self.first)
            return self.first
        self.asked[number] = self.study.ask(self.distributions)
        drawn = self.asked[number].params
        return {key: rounded(searched.decode(drawn[key]), searched) for key, searched in self.space.items()}

    def going_on(self, trial: Trial) -> None:
        self._ask(trial.number, trial.values)

    def ended(self, trial: Trial) -> None:
        from optuna.trial import TrialState

        if trial.number not in self.asked:
            self._ask(trial.number, trial.values)
        asked = self.asked.pop(trial.number, None)
        if asked is None:  # params.yaml's own values, outside the space
            return
        if trial.outcome == "finished":
            self.study.tell(asked, self._score(trial, len(trial.epochs)))
            return
        for epoch in range(1, len(trial.epochs) + 1) if trial.outcome == "stopped" else ():
            asked.report(self._score(trial, epoch), step=epoch)
        self.study.tell(asked, state=TrialState.PRUNED)

    def _score(self, trial: Trial, epochs: int) -> float:
        return self.goal.sign * measured(trial.epochs[:epochs], self.keep, self.goal)

    def _ask(self, number: int, values: Values) -> None:
        if all(self.space[key].holds(values[key]) for key in self.space):
            self.study.enqueue_trial({key: self.space[key].encode(value) for key, value in values.items()})
            self.asked[number] = self.study.ask(self.distributions)


def _optuna() -> Any:
    """Optuna, quiet; imported here, since it takes a second."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def rounded(value: Any, searched: Range) -> Any:
    """To 4 digits, as a person would write it into params.yaml, and within the range."""
    if not isinstance(value, float) or searched.kind == "choice":
        return value
    low, high = searched.values
    return min(max(float(f"{value:.4g}"), low), high)


def distribution(searched: Range) -> Any:
    """A range as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if searched.kind == "choice":
        return CategoricalDistribution([searched.encode(value) for value in searched.values])
    low, high = searched.values
    kind = IntDistribution if searched.whole else FloatDistribution
    return kind(low, high, log=searched.logarithmic)


def importances(space: Space, trials: Mapping[int, float], values: Mapping[int, Values]) -> dict[str, float]:
    """Each key's fraction of the score's variance, by functional ANOVA (Hutter et al. 2014), the largest first.

    trials: number → score of each finished trial. Empty where there are too few of them, or all scores are equal.
    """
    optuna = _optuna()
    study = optuna.create_study(direction="maximize")
    for number, score in trials.items():
        if all(space[key].holds(values[number][key]) for key in space):
            params = {key: space[key].encode(value) for key, value in values[number].items()}
            distributions = {key: distribution(searched) for key, searched in space.items()}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=score))
    if len(study.trials) < STARTUP_TRIALS or len(set(trials.values())) < 2:
        return {}
    importances: dict[str, float] = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    return importances
