"""loop.fit by one worker in this process, through Ray Train's local mode: no cluster, and no process but this one."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from components.cluster.settings import apply_settings
from components.cluster.storage import Location
from components.data.arrays import Split
from components.errors import TrainingError
from components.models.task import Task, TrainingConfig
from components.train import checkpoints
from components.train.loop import State, fit
from components.train.progress import epoch_line


def fit_here(
    task: Task,
    config: TrainingConfig,
    split: Split,
    run: Location,
    resume: State | None,
    weights: Mapping[str, Tensor],
) -> tuple[State, Location]:
    """Train in this process, on its GPU if there is one; the finished training's state, and its file.

    run:     the run's folder, for checkpoints.
    resume:  the state to go on from.
    weights: the published weights to start from; empty if there are none.
    Nothing is tried again: after a kill the same command goes on. Raises UserError for what the user can mend.
    """
    apply_settings(own_cluster=True)
    from ray import train  # after the settings, which it reads when imported

    from components.train.lean_trainer import LeanTrainer

    logging.getLogger("ray.train").setLevel(logging.ERROR)  # else a line at each report
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    seconds: list[float] = []

    def report(metrics: Mapping[str, float], state: State | None) -> None:
        assert state is not None, "one worker has rank 0"
        attempt.keep(state)
        seconds.append(metrics["seconds"])
        print(epoch_line(task.name, metrics, config.epochs, seconds), flush=True)
        train.report(dict(metrics))

    def train_here() -> State:
        return fit(task, config, split, device, report, resume, weights).state()

    print(f"{task.name}: training in this process on {_described(device)}", flush=True)
    trainer = LeanTrainer(train_here, scaling_config=train.ScalingConfig(num_workers=0))
    with checkpoints.Attempt(checkpoints.new_attempt(run)) as attempt:
        try:
            state: State = trainer.fit().return_value
            return state, attempt.end()
        except (OSError, torch.OutOfMemoryError) as error:
            raise TrainingError(f"{task.name}: the training failed: {error}") from None


def _described(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} CPU core{'s' if threads > 1 else ''}"
