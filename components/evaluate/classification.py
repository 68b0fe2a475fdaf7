"""Evaluation of any classifier, of images or texts: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec, Split
from components.data.text.vocabulary import PADDING, UNKNOWN, Text
from components.evaluate.results import Results
from components.plots.feature_maps import draw_first_layers
from components.plots.tables import Table, write_tables

IMAGES_SHOWN, TEXTS_SHOWN = 16, 6
LONG = 4  # letters in a class's name, from which on an image's title takes two lines


@dataclass(frozen=True)
class Outcome:
    """A classifier's answers on the test subset.

    metrics:   accuracy, loss, examples, mistakes.
    predicted: (examples,) class numbers; so are targets. confidence: (examples,) their probabilities.
    worst:     the places of the mistakes with the largest loss, the worst first.
    """

    metrics: Mapping[str, float]
    targets: Tensor
    predicted: Tensor
    confidence: Tensor
    worst: Tensor


def outcome(logits: Tensor, rows: np.ndarray, split: Split, folder: Path, worst: int) -> Outcome:
    """Measure a classifier's logits, and write confusion.csv, a row per example. worst: how many mistakes to name."""
    targets = torch.from_numpy(split.arrays["targets"][rows])
    losses = functional.cross_entropy(logits, targets, reduction="none")
    surest = logits.softmax(dim=1).max(dim=1)
    predicted = logits.argmax(dim=1)
    names = np.array(split.classes)
    confusion = pd.DataFrame({"actual": names[targets.numpy()], "predicted": names[predicted.numpy()]})
    confusion.to_csv(folder / "confusion.csv", index=False)
    wrong = torch.nonzero(predicted != targets).flatten()
    metrics = {
        "accuracy": (predicted == targets).double().mean().item(),
        "loss": losses.double().mean().item(),
        "examples": len(rows),
        "mistakes": len(wrong),
    }
    ordered = wrong[losses[wrong].argsort(descending=True, stable=True)]
    return Outcome(metrics, targets, predicted, surest.values, ordered[:worst])


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy and cross-entropy; confusion.csv; the worst mistakes; of images what the first layers see."""
    if split.text is not None:
        return _of_texts(split.text, logits, rows, split, folder)
    result = outcome(logits, rows, split, folder, worst=IMAGES_SHOWN)
    names = split.classes
    titles = [
        f"{names[result.targets[i]]} as {names[result.predicted[i]]}, {result.confidence[i]:.0%}" for i in result.worst
    ]
    if max(map(len, names)) > LONG:
        titles = [title.replace(" as ", "\nas ") for title in titles]
    images = split.arrays["inputs"][rows[result.worst.numpy()]]
    _draw_mistakes(images, titles, folder / "mistakes.png")
    draw_first_layers(model, split.arrays["inputs"][rows[0]], folder / "feature_maps.png")
    return result.metrics


def _of_texts(text: Text, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    result = outcome(logits, rows, split, folder, worst=TEXTS_SHOWN)
    names = split.classes
    told = [
        [
            names[result.targets[i]],
            f"{names[result.predicted[i]]}, {result.confidence[i]:.0%}",
            text.read_back(split.arrays["inputs"][rows[i]]),
        ]
        for i in result.worst.tolist()
    ]
    note = "What the model saw of each text: its words after all steps; … stands for a word that it does not know."
    write_tables(folder, [Table("Worst mistakes on the test subset", ["actual", "predicted", "text"], told, note)])
    return result.metrics


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
        axis.set_title(title, fontsize=11, parse_math=False)
    if not len(images):
        axes[0].set_title("no mistakes", fontsize=12)
    figure.savefig(file, dpi=150, metadata={"Software": None})


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """Each example's class and its probability; of a text also how many words it has, and how many are not known."""
    surest = logits.softmax(dim=1).max(dim=1)
    pairs = zip(surest.indices.tolist(), surest.values.tolist(), strict=True)
    classes = [{"class": data.classes[number], "probability": round(fraction, 4)} for number, fraction in pairs]
    if data.text is None:
        return classes
    words, unknown = (inputs != PADDING).sum(dim=1).tolist(), (inputs == UNKNOWN).sum(dim=1).tolist()
    return [{**own, "words": w, "unknown": u} for own, w, u in zip(classes, words, unknown, strict=True)]


RESULTS = Results(evaluate, describe)
