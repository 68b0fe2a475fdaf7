"""The evaluation stage: a trained model on the test subset; metrics as JSON, plot data as CSV, images as PNG."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.data.arrays import Split
from components.errors import UserError
from components.evaluate.evaluation import Config
from components.evaluate.results import results_of
from components.files import whole_folder, write_whole
from components.models.artifact import Artifact
from components.models.artifact_files import DESCRIPTION, HISTORY, LAYERS
from components.models.outputs import joined
from components.plots.file_names import EVALUATION
from components.plots.metric import write_names

CARRIED = (HISTORY, LAYERS, DESCRIPTION)


def predictions_of(
    predict: Callable[[Any, torch.Tensor], Any], trained: Artifact, split: Split, rows: np.ndarray
) -> tuple[torch.nn.Module, Any, float]:
    """(the model, its predictions for these rows on the CPU, milliseconds per row), on the GPU where there is one.

    The first batch is not in the time, since whatever runs first is slow, unless it is the only one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = trained.model.to(device)
    size = trained.config.batch_size
    outputs, seconds = [], []
    for start in range(0, len(rows), size):
        images = trained.task.batch(split, rows[start : start + size]).to(device).inputs
        started = time.perf_counter()
        outputs.append(predict(model, images))
        seconds.append((time.perf_counter() - started) / len(images))
    return model, joined(outputs), 1000 * statistics.median(seconds[1:] or seconds)


def evaluate(
    trained: Artifact, split: Split, evaluation: Config, metrics: Path, plots: Path, timing: Path
) -> dict[str, float]:
    """Write the test metrics to the file `metrics`, and plot data and images into the folder `plots`.

    evaluation: the section of params.yaml of that name.
    timing: the file for how long it took, which is no output of the stage: it differs from time to time.
    """
    if trained.task.spec(trained.config, split.spec) != trained.spec:
        raise UserError(
            f"{trained.task.name}: the model was trained on other data than {split.folder} holds; `dvc repro`"
        )
    rows = split.rows["test"]
    family = trained.task.family
    results, own = results_of(family, evaluation), getattr(evaluation, family, None)
    model, predictions, milliseconds = predictions_of(results.predict, trained, split, rows)
    with whole_folder(plots) as folder:
        figures = dict(results.evaluate(model, predictions, rows, split, folder))
        write_names(folder, results.metrics)
        (folder / EVALUATION).write_text(own.model_dump_json(indent=1) if own else "{}", encoding="utf-8")
        for name in CARRIED:
            shutil.copyfile(trained.folder / name, folder / name)
    write_whole(timing, json.dumps({"milliseconds_per_example": milliseconds}) + "\n")
    write_whole(metrics, json.dumps(figures, indent=1) + "\n")
    return figures
