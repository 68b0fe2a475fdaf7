"""What is shown of a detector of one object: its predictions beside the truth, and the confusion of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from components.data.loaders import Split
from components.feature_maps import draw_first_layers
from components.pictures import Box, draw_boxes

PICTURED = 8


def write(model: nn.Module, outputs: Tensor, targets: Tensor, rows: np.ndarray, split: Split, folder: Path) -> None:
    """predictions.png of the first pictures, confusion.csv and feature_maps.png into `folder`.

    outputs: (rows, classes + 4), logits and box. targets: (rows, 5), class and box.
    """
    import pandas as pd  # here, since every stage imports this file to check params.yaml

    names = np.array(split.classes)
    scores, predicted = outputs[:, :-4].softmax(dim=1).max(dim=1)
    actual = targets[:, 0].long()
    table = pd.DataFrame({"actual": names[actual.numpy()], "predicted": names[predicted.numpy()]})
    table.to_csv(folder / "confusion.csv", index=False)
    shown = range(min(PICTURED, len(rows)))
    truths = [[Box(str(names[actual[i]]), _corners(targets[i, 1:]))] for i in shown]
    found = [[Box(str(names[predicted[i]]), _corners(outputs[i, -4:]), scores[i].item())] for i in shown]
    draw_boxes(folder / "predictions.png", split.arrays["inputs"][rows[: len(shown)]], truths, found)
    draw_first_layers(model, split.arrays["inputs"][rows[0]], folder / "feature_maps.png")


def _corners(box: Tensor) -> tuple[float, float, float, float]:
    top, left, bottom, right = box.tolist()
    return top, left, bottom, right
