"""The training stage: one model, in this process or on the workers of a Ray cluster, stopped and continued at will."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from components.cluster import placement
from components.cluster.storage import Location, local, shared
from components.code.imports import digests
from components.data import arrays
from components.models import artifact
from components.models.pretrained import digest_of
from components.models.task import Task, TrainingConfig
from components.params.declarations import MODELS
from components.prepare.weights import load_weights
from components.process.lock import only_one
from components.train import checkpoints, loop
from components.train.driver import fit_on_ray
from components.train.local import fit_here
from components.train.loop import is_finished

INTERRUPTED = 130  # as shells have it for Ctrl-C


def run_key(task: Task, config: TrainingConfig, split: arrays.Split, weights: Mapping[str, Tensor]) -> str:
    """The name of exactly this training: its config, data, weights, code and torch version, and nothing else.

    The number of workers is no part of it: a training may go on on a larger cluster.
    """
    code = digests([loop.__name__, f"{MODELS}.{task.family}"]).items()
    parts = [task.name, config.model_dump_json(), split.fingerprint, digest_of(weights), torch.__version__, *code]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def train(
    task: Task, config: TrainingConfig, split: arrays.Split, runs: Path, target: Path, weights: Path | None = None
) -> None:
    """Train, or continue, and write the model into the folder `target`.

    weights: the folder of the weights to start from; of a model that starts from none there are none in it.

    Checkpoints are kept under `runs`/<key>/, or in the shared storage under the same names; a killed training goes on
    from its last epoch, and a finished one whose model was lost is not trained again.
    Raises UserError for what the user can mend.
    """
    task.build(config, split.spec)  # a model that does not fit its data should not wait for a cluster
    published = load_weights(weights)
    storage = shared()
    stage = kept_in(runs, storage)
    run = stage / run_key(task, config, split, published)
    runs.mkdir(parents=True, exist_ok=True)
    with only_one(runs / f"{run.name}.lock", task.name):
        state, file = checkpoints.newest_state(run)
        if state is None or not is_finished(config, state["history"], state["best"]):
            if state is not None:
                print(
                    f"{task.name}: going on after epoch {len(state['history'])} of {config.epochs}",
                    flush=True,
                )
            if placement.is_asked_for(torch.cuda.device_count()):
                state, file = fit_on_ray(task, config, split, run, resume=file, weights=weights, storage=storage)
            else:
                state, file = fit_here(task, config, split, run, state, published)
            checkpoints.finish(run, file)
        else:
            print(f"{task.name}: already trained; the model is taken from {file}", flush=True)
        artifact.save(target, task, config, split.spec, state, published)
    for key in checkpoints.forget_finished(stage, but=run.name):
        (runs / f"{key}.lock").unlink(missing_ok=True)


def kept_in(runs: Path, storage: Location | None) -> Location:
    """The folder of a stage's trainings: `runs`, or the one of its name in the storage if there is one."""
    return storage / runs.name if storage else local(runs)
