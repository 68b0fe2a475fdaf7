"""loop.fit on the workers of a Ray cluster, by Ray Train V2's TorchTrainer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any

from components.cluster import joining, settings
from components.cluster.folders import TEMPORARY
from components.cluster.placement import Placement
from components.cluster.storage import Location
from components.data.arrays import Split
from components.errors import DamagedCheckpointError, TrainingError, UserError
from components.models.task import Task, TrainingConfig
from components.train import checkpoints
from components.train.loop import State
from components.train.node_data import send, send_split
from components.train.progress import ProgressPrinter

if TYPE_CHECKING:
    from components.train.worker import Job

WORKER_FAILURES = 3  # lost processes and machines; a fault in the config or the data is not tried again


def fit_on_ray(
    task: Task,
    config: TrainingConfig,
    split: Split,
    run: Location,
    resume: Location | None,
    weights: Path | None = None,
    storage: Location | None = None,
) -> tuple[State, Location]:
    """Train on the cluster at RAY_ADDRESS, or on one of its own; the finished training's state, and its file.

    run:     the run's folder, for checkpoints; on a cluster of several machines all of them reach it.
    resume:  the file of the state to go on from.
    weights: the folder of the published weights to start from.
    storage: where nodes without the data fetch them from.
    Raises UserError for what the user can mend, TrainingError when workers fail again and again.
    """
    joining.connect()
    import ray  # after joining.connect, whose settings it reads when imported
    from ray.train.v2.api.exceptions import TrainingFailedError

    from components.train.progress_file import ProgressFile

    try:
        place = joining.placement()
        published = storage if joining.spans_machines() else None
        job = _job(task, config, split, resume, weights, published)
        print(f"{task.name}: training on {place}", flush=True)
        # Ray's controller, which writes the progress, runs on this machine, wherever the workers are.
        with TemporaryDirectory(prefix="trainyard-", ignore_cleanup_errors=True) as scratch:
            progress = Path(scratch, "progress.jsonl")
            attempt = trainer(job, place, checkpoints.new_attempt(run), [ProgressFile(progress)])
            with ProgressPrinter(task.name, progress, config.epochs):
                result = off_main_thread(attempt.fit)
    except TrainingFailedError as error:
        top = os.environ.get(TEMPORARY) or gettempdir()
        logs = Path(top, "ray", ray.get_runtime_context().get_session_name(), "logs")
        raise TrainingError(f"{task.name}: the training failed: {str(error).strip()}\nRay's logs: {logs}") from None
    finally:
        ray.shutdown()
    if result.return_value is not None:
        raise UserError(str(result.return_value))
    return _final_state(task.name, result)


def _job(
    task: Task,
    config: TrainingConfig,
    split: Split,
    resume: Location | None,
    weights: Path | None,
    published: Location | None,
) -> Job:
    from components.train.worker import Job

    return Job(
        task=task.name,
        family=task.family,
        config=config.model_dump_json(),
        where=config.where,
        split=send_split(split, published),
        resume=resume,
        weights=send(weights, published) if weights else None,
    )


def _final_state(name: str, result: Any) -> tuple[State, Location]:
    """Raises UserError when it was damaged since it was written."""
    assert result.checkpoint is not None, "an epoch was reported, so there is a checkpoint"
    newest = Location(result.checkpoint.filesystem, result.checkpoint.path) / checkpoints.STATE_FILE
    try:
        return checkpoints.load_state(newest), newest
    except DamagedCheckpointError as error:
        raise UserError(f"{name}: {error}; the same command trains on from the last whole one") from None


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


def trainer(job: Any, place: Placement, attempt: Location, callbacks: Sequence[Any]) -> Any:
    """Ray's trainer of a Job whose storage is the folder `attempt`.

    The Job goes along with the function, which the controller passes on unopened: what is in it would bring torch.
    """
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig

    from components.train.lean_trainer import LeanTrainer
    from components.train.worker import train_worker

    return LeanTrainer(
        partial(train_worker, job),
        scaling_config=ScalingConfig(
            num_workers=place.workers, use_gpu=place.gpus > 0, resources_per_worker=place.resources
        ),
        run_config=RunConfig(
            name=attempt.name,
            storage_path=attempt.parent.path,
            storage_filesystem=attempt.filesystem,
            failure_config=FailureConfig(max_failures=WORKER_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            worker_runtime_env={"env_vars": settings.worker_environment()},
            callbacks=list(callbacks),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
