"""loop.fit on the workers of a Ray cluster, by Ray Train V2's TorchTrainer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from components import checkpoints, cluster
from components.cluster import Placement
from components.data.loaders import Split
from components.loop import State
from components.params import UserError
from components.progress import ProgressPrinter
from components.task import Task, TrainingConfig

WORKER_FAILURES = 3  # lost processes and machines; a fault in the config or the data is not tried again
COLLECTIVE_SECONDS = 300  # a worker that waits longer for the others takes them for lost


class TrainingError(RuntimeError):
    """The workers failed, and trying again did not help."""


def fit_on_ray(
    task: Task, config: TrainingConfig, split: Split, run: Path, resume: Path | None, weights: Path | None = None
) -> State:
    """Train on the cluster at RAY_ADDRESS, or on one of its own, and return the finished training's state.

    run:     the run's folder, for checkpoints and progress; on a cluster of several machines it is shared.
    resume:  the file of the state to go on from.
    weights: the folder of the published weights to start from.
    Raises UserError for what the user can mend, TrainingError when workers fail again and again.
    """
    cluster.connect()
    import ray  # after cluster.connect, whose settings it reads when imported
    from ray.train.v2.api.exceptions import TrainingFailedError

    from components.worker import Job, ProgressFile

    try:
        place = cluster.placement()
        # A new name each time: Ray continues by name from its own records, which a kill may leave half-written.
        attempt = checkpoints.attempts(run) / f"{time.time_ns()}-{os.getpid()}"
        attempt.mkdir(parents=True)
        progress = attempt / "progress.jsonl"
        job = Job(
            task=task.name,
            config=config.model_dump_json(),
            split=str(split.folder.resolve()),
            resume=str(resume) if resume else None,
            weights=str(weights.resolve()) if weights else None,
        )
        print(f"{task.name}: training on {place}", flush=True)
        with ProgressPrinter(task.name, progress, config.epochs):
            result = off_main_thread(trainer(job, place, attempt, [ProgressFile(progress)]).fit)
    except TrainingFailedError as error:
        logs = Path(gettempdir(), "ray", ray.get_runtime_context().get_session_name(), "logs")
        raise TrainingError(f"{task.name}: the training failed: {str(error).strip()}\nRay's logs: {logs}") from None
    finally:
        ray.shutdown()
    if result.return_value is not None:
        raise UserError(str(result.return_value))
    assert result.checkpoint is not None, "an epoch was reported, so there is a checkpoint"
    return checkpoints.load_state(Path(result.checkpoint.path) / checkpoints.STATE_FILE)


def off_main_thread(fit: Callable[[], Any]) -> Any:
    """Call `fit` off the main thread, where Ray would take Ctrl-C over and spend many seconds on it."""
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(fit())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result()


def trainer(job: Any, place: Placement, attempt: Path, callbacks: Sequence[Any]) -> Any:
    """Ray's trainer of a Job whose storage is the folder `attempt`. gloo on CPUs, NCCL on GPUs: Ray's own choice."""
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from components.worker import train_worker

    return TorchTrainer(
        train_worker,
        train_loop_config=job,
        torch_config=TorchConfig(timeout_s=COLLECTIVE_SECONDS),
        scaling_config=ScalingConfig(
            num_workers=place.workers, use_gpu=place.gpus > 0, resources_per_worker=place.resources
        ),
        run_config=RunConfig(
            name=attempt.name,
            storage_path=str(attempt.parent),
            failure_config=FailureConfig(max_failures=WORKER_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            worker_runtime_env={"env_vars": cluster.worker_environment()},
            callbacks=list(callbacks),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
