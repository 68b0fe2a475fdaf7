"""Evaluation of a detector of one object: its predictions beside the truth, and the confusion of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from components.data.arrays import DataSpec, Split
from components.evaluate import classification
from components.evaluate.results import Results
from components.models.families.detection import Outputs, batch, metrics, ordered
from components.plots.feature_maps import draw_first_layers
from components.plots.images import Box, draw_boxes
from components.plots.metric import Metric

DRAWN = 8


def _write(model: nn.Module, outputs: Outputs, targets: Tensor, rows: np.ndarray, split: Split, folder: Path) -> None:
    """predictions.png of the first images, confusion.csv and feature_maps.png into `folder`.

    targets: (rows, 5), class and box.
    """
    names = np.array(split.classes)
    scores, predicted = outputs.logits.softmax(dim=1).max(dim=1)
    actual = targets[:, 0].long()
    table = pd.DataFrame({"actual": names[actual.numpy()], "predicted": names[predicted.numpy()]})
    table.to_csv(folder / "confusion.csv", index=False)
    shown = range(min(DRAWN, len(rows)))
    truths = [[Box(str(names[actual[i]]), tuple(targets[i, 1:].tolist()))] for i in shown]
    predictions = [[Box(str(names[predicted[i]]), tuple(outputs.boxes[i].tolist()), scores[i].item())] for i in shown]
    draw_boxes(folder / "predictions.png", split.arrays["inputs"][rows[: len(shown)]], truths, predictions)
    draw_first_layers(model, split.arrays["inputs"][rows[0]], folder / "feature_maps.png")


def evaluate(model: nn.Module, outputs: Outputs, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy, mean IoU and the fraction with 0.5 or more of it; and plots."""
    truth = batch(split, rows)
    means = {name: total.item() / len(rows) for name, total in metrics(outputs, truth).items()}
    _write(model, outputs, truth.targets, rows, split, folder)
    return {**means, "examples": len(rows)}


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, outputs: Outputs) -> list[dict[str, Any]]:
    """Each image's class, its probability, and the box: left, top, right, bottom as fractions of the image."""
    classes = classification.describe(model, data, inputs, outputs.logits)
    boxes = ordered(outputs.boxes).clamp(0, 1).tolist()
    return [{**own, "box": [round(edge, 4) for edge in box]} for own, box in zip(classes, boxes, strict=True)]


METRICS = {"iou": Metric("mean overlap (IoU)"), "iou_50": Metric("boxes with IoU ≥ 0.5")}
RESULTS = Results(evaluate, describe, metrics=METRICS)
