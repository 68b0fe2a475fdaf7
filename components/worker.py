"""What runs inside Ray's processes: loop.fit on each worker, and a progress file written by the controller."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import ray.train
import torch
from ray.train import Checkpoint
from ray.train.torch import get_device

from components.checkpoints import STATE_FILE, load_state
from components.data.loaders import open_split
from components.loop import State, fit
from components.params import UserError
from components.task import load_task
from components.weights import load_weights


class Job(TypedDict):
    """Sent from the driver to every worker as plain values; `config` becomes the task's Config there."""

    task: str
    config: str  # JSON
    split: str  # the split's folder
    weights: str | None  # the folder of the published weights to start from
    resume: str | None  # a checkpoint's file


def train_worker(job: dict[str, Any]) -> str | None:
    """Train the share of this worker as a Job says.

    Returns the text of a fault that the user can mend, which Ray must not try again.
    """
    task = load_task(job["task"])
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where NCCL gathers the workers' random states
    try:
        fit(
            task=task,
            config=task.config.model_validate_json(job["config"]),
            split=open_split(Path(job["split"])),
            device=device,
            report=_report,
            resume=_state_to_resume(job["resume"]),
            weights=load_weights(Path(job["weights"])) if job["weights"] else None,
        )
    except UserError as fault:
        return str(fault)
    return None


def _state_to_resume(given: str | None) -> State | None:
    """The newest checkpoint of this run, if a worker was lost; else the one that the driver found."""
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            return load_state(Path(folder) / STATE_FILE)
    return load_state(Path(given)) if given else None


def _report(metrics: Mapping[str, float], state: State | None) -> None:
    """Hand an epoch to Ray; rank 0 brings the state, which Ray copies into its storage."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if state is not None:
            torch.save(state, Path(folder) / STATE_FILE)
            checkpoint = Checkpoint.from_directory(folder)
        ray.train.report(dict(metrics), checkpoint=checkpoint)


class ProgressFile(ray.train.UserCallback):  # type: ignore[misc]
    """Appends each epoch's metrics, and each lost worker, to a JSON-lines file beside the driver."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        self._append(metrics[0])

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        lost = {rank: str(error).strip().splitlines()[-1] for rank, error in worker_exceptions.items()}
        self._append({"lost": lost})

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(record) + "\n")
