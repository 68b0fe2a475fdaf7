"""One trial of a sweep, inside a process of Ray Tune's: the same loop.fit as everywhere."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypedDict

import ray
import torch
from pydantic import ValidationError
from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from components.cluster.placement import Placement
from components.cluster.storage import local
from components.errors import UserError
from components.files import write_whole
from components.models.task import Task, TrainingConfig, load_task
from components.params.search_space import Range, Values
from components.prepare.weights import load_weights
from components.process import allocator
from components.train import checkpoints
from components.train.checkpoints import STATE_FILE, save_state, try_load
from components.train.loop import State, fit
from components.train.node_data import Sent, SentSplit, on_this_node, split_on_this_node
from components.tune.ledger import all_trained, measured, read_epochs, trial_folder, write_epochs

SCORE = "score"  # what Tune's schedulers compare, the larger the better
NUMBER = "number"  # the trial's, in what Tune hands to it


class TrialJob(TypedDict):
    """The values that all trials of a sweep share."""

    task: str
    family: str
    where: str  # the model's place in params.yaml, for messages
    base: str  # its values, JSON
    space: str  # JSON: key → range
    sweep: str  # the sweep's folder
    split: SentSplit
    weights: Sent | None
    exploits: bool  # whether one trial may go on from another's state, as in population-based training
    place: Placement | None  # the workers of each trial, or None: it trains in its own process


def configured(task: Task, base: Mapping[str, Any], values: Values, where: str) -> TrainingConfig:
    """The section with these values in it. Raises UserError when it does not allow them."""
    try:
        config: TrainingConfig = task.config.model_validate_json(json.dumps({**base, **values})).at(where)
        return config
    except ValidationError as error:
        said = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise UserError("; ".join(said)) from None


def decoded(given: Mapping[str, Any], space: Mapping[str, Range]) -> Values:
    return {key: space[key].decode(value) if key in space else value for key, value in given.items() if key != NUMBER}


def run_trial(given: dict[str, Any], job: TrialJob) -> None:
    """Train as `given` says, from the last finished epoch if a kill left one.

    A fault of the trial's own is written into its folder, and the process goes on to the next trial.
    """
    number = int(tune.get_context().get_trial_name())
    folder = trial_folder(Path(job["sweep"]), number)
    (folder / "node.txt").write_text(ray.get_runtime_context().get_node_id()[:8] + "\n", encoding="utf-8")
    space = {key: Range.model_validate(value) for key, value in json.loads(job["space"]).items()}
    try:
        values = decoded(given, space)
        if job["exploits"]:
            write_whole(folder / "values.json", json.dumps(values) + "\n")
        task = load_task(job["family"], job["task"])
        train = _train_on_workers if job["place"] else _train
        train(task, configured(task, json.loads(job["base"]), values, job["where"]), folder, job)
    except Exception as error:  # whatever a bad value does, the sweep goes on
        said = str(error).strip() or type(error).__name__
        text = said if isinstance(error, UserError) else f"{type(error).__name__}: {said.splitlines()[0]}"
        (folder / "fault.txt").write_text(text + "\n", encoding="utf-8")
        tune.report({SCORE: float("nan"), "epoch": 0})


def _train(task: Task, config: TrainingConfig, folder: Path, job: TrialJob) -> None:
    """In this process. Where all epochs are behind it already, since a kill came before the end was noted, tell so."""
    state = _given_state() or _last_state(folder)
    epochs = _behind(state, folder) if state else []
    write_epochs(folder, epochs)
    if epochs and all_trained(config, epochs):
        tune.report(_result(task, config, epochs))
        return
    if state is not None:  # whose momentum may be another trial's
        for group in state["optimizer"]["param_groups"]:
            group |= {"momentum": config.momentum} if "momentum" in group else {}

    def report(metrics: Mapping[str, float], state: State | None) -> None:
        assert state is not None
        epochs.append(dict(metrics))
        write_epochs(folder, epochs)
        save_state(folder, state)  # after its epochs, so that each state's are known
        with _checkpoint(state) if job["exploits"] else nullcontext() as checkpoint:
            tune.report(_result(task, config, epochs), checkpoint=checkpoint)

    allocator.keep_freed()
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    weights = load_weights(on_this_node(job["weights"]) if job["weights"] else None)
    fit(task, config, split_on_this_node(job["split"]), device, report, resume=state, weights=weights)


def _behind(state: State, folder: Path) -> list[dict[str, Any]]:
    """A state's epochs, which may be another trial's; the seconds are those that were spent on this one."""
    seconds = [epoch["seconds"] for epoch in read_epochs(folder)]
    seconds += [0.0] * len(state["history"])
    own = [{key: value for key, value in epoch.items() if key != "layers"} for epoch in state["history"]]
    return [{**epoch, "seconds": spent} for epoch, spent in zip(own, seconds, strict=False)]


def _train_on_workers(task: Task, config: TrainingConfig, folder: Path, job: TrialJob) -> None:
    """On workers of its own, by Ray Train."""
    from components.train.driver import trainer
    from components.train.worker import Job

    run = local(folder)
    state, file = checkpoints.newest_state(run)
    epochs = read_epochs(folder)[: len(state["history"])] if state else []
    if epochs and all_trained(config, epochs):
        tune.report(_result(task, config, epochs))
        return
    work = Job(
        task=task.name,
        family=task.family,
        config=config.model_dump_json(),
        where=config.where,
        split=job["split"],
        weights=job["weights"],
        resume=file,
    )
    told = EpochsToTune(job["family"], config.model_dump_json(), folder)
    assert job["place"] is not None
    result = trainer(work, job["place"], checkpoints.new_attempt(run), [told]).fit()
    if result.return_value is not None:
        raise UserError(str(result.return_value))


class EpochsToTune(TuneReportCallback):  # type: ignore[misc]
    """In Ray Train's controller: keeps each epoch as a trial of one process does, and tells Tune of it."""

    def __init__(self, family: str, config: str, folder: Path) -> None:
        super().__init__()
        self.family, self.config, self.folder = family, config, folder

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        task = load_task(self.family)
        config = task.config.model_validate_json(self.config)
        epochs = read_epochs(self.folder)[: int(metrics[0]["epoch"]) - 1]  # a lost worker's epoch comes again
        epochs.append(dict(metrics[0]))
        write_epochs(self.folder, epochs)
        super().after_report(run_context, [_result(task, config, epochs)], None)


def _result(task: Task, config: TrainingConfig, epochs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {SCORE: task.goal.sign * measured(epochs, config.keep, task.goal), "epoch": len(epochs)}


@contextmanager
def _checkpoint(state: State) -> Iterator[tune.Checkpoint]:
    """A state for Tune to hand to another trial."""
    with tempfile.TemporaryDirectory() as scratch:
        save_state(Path(scratch), state)
        yield tune.Checkpoint.from_directory(scratch)


def _given_state() -> State | None:
    """The state that Tune hands over: its own, of a paused trial, or a better one's."""
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as scratch:
            return try_load(local(Path(scratch) / STATE_FILE))
    return None


def _last_state(folder: Path) -> State | None:
    return try_load(local(folder / STATE_FILE))
