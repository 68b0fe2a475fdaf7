"""What every classifier of images shares in evaluation: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.loaders import Split
from components.feature_maps import draw_first_layers

PICTURED = 16
LONG = 4  # letters in a class's name, from which on a picture's title takes two lines


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy and cross-entropy; confusion.csv (a row per example), mistakes.png and feature_maps.png."""
    import pandas as pd  # here, since every stage imports this file to check params.yaml

    targets = torch.from_numpy(split.arrays["targets"][rows])
    losses = functional.cross_entropy(logits, targets, reduction="none")
    predicted = logits.argmax(dim=1)
    names = np.array(split.classes)
    confusion = pd.DataFrame({"actual": names[targets.numpy()], "predicted": names[predicted.numpy()]})
    confusion.to_csv(folder / "confusion.csv", index=False)

    wrong = torch.nonzero(predicted != targets).flatten()
    worst = wrong[losses[wrong].argsort(descending=True, stable=True)][:PICTURED].numpy()
    confidence = logits.softmax(dim=1).max(dim=1).values
    titles = [f"{names[targets[i]]} as {names[predicted[i]]}, {confidence[i]:.0%}" for i in worst]
    if max(map(len, names)) > LONG:
        titles = [title.replace(" as ", "\nas ") for title in titles]
    pictures = split.arrays["inputs"][rows[worst]]
    _draw_mistakes(pictures, titles, folder / "mistakes.png")
    draw_first_layers(model, split.arrays["inputs"][rows[0]], folder / "feature_maps.png")
    return {
        "accuracy": (predicted == targets).double().mean().item(),
        "loss": losses.double().mean().item(),
        "examples": len(rows),
        "mistakes": len(wrong),
    }


def _draw_mistakes(images: np.ndarray, titles: list[str], file: Path) -> None:
    """A grid of images (n, channels, height, width), each under "actual as predicted, confidence"."""
    from matplotlib.figure import Figure

    columns = 4  # so that the titles can be read on a telephone
    lines = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(1.6 * columns, 2.0 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, title in zip(axes, images, titles, strict=False):
        axis.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray_r", vmin=0, vmax=255)
        axis.set_title(title, fontsize=11)
    if not len(images):
        axes[0].set_title("no mistakes", fontsize=12)
    figure.savefig(file, dpi=150, metadata={"Software": None})
