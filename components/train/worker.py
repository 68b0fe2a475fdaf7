"""Training inside Ray's workers: loop.fit, on this worker's share of each batch."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device
from torch import Tensor, distributed

from components.cluster.storage import VARIABLE as STORAGE
from components.cluster.storage import Location, local
from components.data.arrays import Split
from components.errors import DamagedCheckpointError, UserError
from components.models.task import Task, TrainingConfig, load_task
from components.prepare.weights import load_weights
from components.process import allocator
from components.train.checkpoints import STATE_FILE, load_state, save_state, try_load
from components.train.loop import State, fit
from components.train.node_data import Sent, SentSplit, on_this_node, split_on_this_node
from components.train.process_group import joined

DATA_HOURS = 12  # how long workers wait for those whose node still fetches the data


class Job(TypedDict):
    """Sent from the driver to every worker; `config` becomes the task's Config there."""

    task: str
    family: str
    config: str  # JSON
    where: str  # the entry's place in params.yaml, for messages
    split: SentSplit
    weights: Sent | None  # the folder of the published weights to start from
    resume: Location | None  # a checkpoint's file


def train_worker(job: Job) -> str | None:
    """Train the share of this worker as a Job says.

    Returns the text of a fault that the user can mend, which Ray must not try again.
    """
    task = load_task(job["family"], job["task"])
    config = task.config.model_validate_json(job["config"]).at(job["where"])
    if not config.quicker_on_all:
        torch.set_num_threads(1)  # of the worker's cores, which Ray has told torch of
    allocator.keep_freed()
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where NCCL gathers the workers' random states
    with joined(device):
        return _train(task, config, job, device)


def _train(task: Task, config: TrainingConfig, job: Job, device: torch.device) -> str | None:
    group = _waiting_group()
    ready: _Ready | None = None
    fault = None
    try:
        ready = _prepare(job)
    except UserError as error:
        fault = str(error)
    if (fault := _any_fault(fault, group)) or ready is None:
        return fault
    try:
        fit(task, config, device=device, report=_report, **ready)
    except UserError as error:
        return str(error)
    return None


class _Ready(TypedDict):
    """All that a worker has to have before the first step."""

    split: Split
    weights: Mapping[str, Tensor] | None
    resume: State | None


def _prepare(job: Job) -> _Ready:
    """From this node's disk or from the shared storage. Raises UserError where it is on neither."""
    return _Ready(
        split=split_on_this_node(job["split"]),
        weights=load_weights(on_this_node(job["weights"])) if job["weights"] else None,
        resume=_state_to_resume(job["resume"]),
    )


def _waiting_group() -> Any:
    """All workers, with as much patience as data take; None if there is but one."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return None
    return distributed.new_group(backend="gloo", timeout=timedelta(hours=DATA_HOURS))


def _any_fault(own: str | None, group: Any) -> str | None:
    """The first fault that any worker has, told to all: else those without one would wait in vain for the others."""
    if group is None:
        return own
    faults: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(faults, own, group=group)
    distributed.destroy_process_group(group)
    return next((fault for fault in faults if fault), None)


def _state_to_resume(given: Location | None) -> State | None:
    """The newest checkpoint of this run, if a worker was lost and it is whole; else the one that the driver found."""
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            state = try_load(local(Path(folder) / STATE_FILE))
        if state is not None:
            return state
    try:
        return load_state(given) if given else None
    except DamagedCheckpointError as error:
        raise UserError(f"{socket.gethostname()}: {error}; the same command goes on from one that is whole") from None
    except FileNotFoundError:
        raise UserError(
            f"{socket.gethostname()}: {given}, the checkpoint to go on from, is not there; set {STORAGE} to a storage "
            f"that all nodes reach, or put the project on a disk that they share"
        ) from None


def _report(metrics: Mapping[str, float], state: State | None) -> None:
    """Hand an epoch to Ray; rank 0 brings the state, which Ray copies into its storage."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if state is not None:
            save_state(Path(folder), state)
            checkpoint = Checkpoint.from_directory(folder)
        ray.train.report(dict(metrics), checkpoint=checkpoint)
