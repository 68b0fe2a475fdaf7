"""The evaluation stage: a trained model on the test part; metrics as JSON, plot data as CSV, pictures as PNG.

python -m components.evaluate cnn
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from components import artifact, params
from components.artifact import Artifact
from components.data.loaders import Split, open_split
from components.files import whole_folder
from components.params import UserError

BATCH_ROWS = 512
CARRIED = (artifact.HISTORY, artifact.LAYERS, artifact.DESCRIPTION)


@torch.inference_mode()
def outputs_of(trained: Artifact, split: Split, rows: np.ndarray) -> torch.Tensor:
    """The model's outputs for these rows, float32 on the CPU, computed on the GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = trained.model.to(device)
    batches = [rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS)]
    outputs = [model(trained.task.batch(split, b).to(device).inputs).float().cpu() for b in batches]
    return torch.cat(outputs)


def evaluate(trained: Artifact, split: Split, metrics: Path, plots: Path) -> dict[str, float]:
    """Write the test metrics to the file `metrics`, and plot data and pictures into the folder `plots`."""
    if split.spec != trained.spec:
        raise UserError(
            f"{trained.task.name}: the model was trained on other data than {split.folder} holds; `dvc repro`"
        )
    rows = split.rows["test"]
    outputs = outputs_of(trained, split, rows)
    with whole_folder(plots) as folder:
        found = dict(trained.task.evaluate(outputs, rows, split, folder))
        for name in CARRIED:
            shutil.copyfile(trained.folder / name, folder / name)
    metrics.parent.mkdir(parents=True, exist_ok=True)
    part = metrics.with_name(f".{metrics.name}.part")
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    part.replace(metrics)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.evaluate", description="Test one model.")
    parser.add_argument("task", help="a model's name, such as cnn")
    name = parser.parse_args().task
    paths = params.load().paths
    trained = artifact.load(Path(paths.models) / name)
    split = open_split(Path(paths.split) / trained.config.data)
    found = evaluate(trained, split, Path(paths.metrics) / f"{name}.json", Path(paths.plots) / name)
    shown = ", ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{v} {k}" for k, v in found.items())
    print(f"{name} on the test part: {shown}", flush=True)


if __name__ == "__main__":
    params.run(main)
