"""The evaluation stage: a trained model on the test part; metrics as JSON, plot data as CSV, pictures as PNG.

python -m components.evaluate cnn
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from components.process import end_with_starter, set_for_torch

    end_with_starter()
    set_for_torch()

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from components import allocator, artifact, cores, params
from components.artifact import Artifact
from components.data.loaders import Split, open_split
from components.errors import UserError
from components.files import whole_folder, write_whole

TIMINGS = "timing"  # under the runs' folder
CARRIED = (artifact.HISTORY, artifact.LAYERS, artifact.DESCRIPTION)


def predictions_of(trained: Artifact, split: Split, rows: np.ndarray) -> tuple[torch.nn.Module, torch.Tensor, float]:
    """(the model, its predictions for these rows on the CPU, milliseconds per row), on the GPU where there is one.

    The first batch is not in the time, since whatever runs first is slow, unless it is the only one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = trained.model.to(device)
    size = trained.config.batch_size
    found, seconds = [], []
    for start in range(0, len(rows), size):
        images = trained.task.batch(split, rows[start : start + size]).to(device).inputs
        started = time.perf_counter()
        found.append(trained.task.predict(model, images))
        seconds.append((time.perf_counter() - started) / len(images))
    return model, torch.cat(found), 1000 * statistics.median(seconds[1:] or seconds)


def evaluate(trained: Artifact, split: Split, metrics: Path, plots: Path, timing: Path) -> dict[str, float]:
    """Write the test metrics to the file `metrics`, and plot data and pictures into the folder `plots`.

    timing: the file for how long it took, which is no output of the stage: it differs from time to time.
    """
    if trained.task.spec(trained.config, split.spec) != trained.spec:
        raise UserError(
            f"{trained.task.name}: the model was trained on other data than {split.folder} holds; `dvc repro`"
        )
    rows = split.rows["test"]
    model, predictions, milliseconds = predictions_of(trained, split, rows)
    with whole_folder(plots) as folder:
        found = dict(trained.task.evaluate(model, predictions, rows, split, folder))
        for name in CARRIED:
            shutil.copyfile(trained.folder / name, folder / name)
    write_whole(timing, json.dumps({"milliseconds_per_example": milliseconds}) + "\n")
    write_whole(metrics, json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.evaluate", description="Test one model.")
    parser.add_argument("task", help="a model's name, such as cnn")
    name = parser.parse_args().task
    cores.use()
    allocator.keep_freed()
    paths = params.load().paths
    trained = artifact.load(Path(paths.models) / name)
    split = open_split(Path(paths.split) / trained.config.data)
    timing = Path(paths.runs) / TIMINGS / f"{name}.json"
    found = evaluate(trained, split, Path(paths.metrics) / f"{name}.json", Path(paths.plots) / name, timing)
    shown = ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{v} {k}" for k, v in found.items())
    print(f"{name} on the test part: {shown}", flush=True)


if __name__ == "__main__":
    params.run(main)
