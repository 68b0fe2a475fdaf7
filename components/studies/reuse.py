"""An autoencoder's encoder put to use: a classifier on it learns from few labels, beside the same one from scratch.

The encoder saw the whole training subset, but no class. Each point of the curve is as many training steps as any other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from components.data.arrays import Split
from components.errors import UserError
from components.models.encoders import Encoder
from components.models.families import transfer
from components.plots.canvas import WIDTH
from components.plots.metric import Metric
from components.plots.palette import BLUE, INK, ORANGE, PALE
from components.plots.tables import Table, write_tables
from components.train.loop import fit, validate

if TYPE_CHECKING:
    from components.models.artifact import Artifact
from components.studies.study import StudyConfig

Fraction = Annotated[float, Field(gt=0, le=1)]
Width = Annotated[int, Field(ge=1)]
WAYS = {"frozen": "encoder frozen", "fine_tuned": "encoder trained further", "from_scratch": "from scratch"}
METRICS = {way: Metric(f"accuracy, {name}, fewest labels") for way, name in WAYS.items()}
METRICS["labels"] = Metric("fewest labels", of_test=False)
COLOURS = dict(zip(WAYS, (BLUE, INK, ORANGE), strict=True))


class Config(StudyConfig):
    """Of a model with an encoder, on labelled images."""

    needs = ("data", "model")
    of = ("autoencoder", "denoising", "vae")

    labels: tuple[Fraction, ...] = Field(
        (0.01, 0.05, 0.1, 1.0),
        min_length=1,
        description="a list of numbers in (0, 1], fractions of the training subset",
    )
    seeds: int = Field(3, ge=1, description="an integer >= 1: trainings for each point, of which the median counts")
    dense: tuple[Width, ...] = Field((), description="a list of integers >= 1, hidden layers of the head; [] for none")
    steps: int = Field(300, ge=1, description="an integer >= 1: training steps, about, whatever the number of labels")
    batch_size: int = Field(32, ge=1, description="an integer >= 1")
    learning_rate: float = Field(0.01, gt=0, description="a number > 0")


class Point(NamedTuple):
    """One training: how it began, with how many labels, and the fraction of the test subset that it got right."""

    way: str
    fraction: float
    labels: int
    seed: int
    accuracy: float


def some_of_each(split: Split, fraction: float, seed: int) -> np.ndarray:
    """That fraction of the training subset's rows of each class, at least one, drawn by seed, ascending."""
    rows = split.rows["train"]
    targets = split.arrays["targets"][rows]
    random = np.random.default_rng(seed)
    drawn = []
    for number in np.unique(targets):
        own = rows[targets == number]
        drawn.append(random.permutation(own)[: max(1, round(fraction * len(own)))])
    return np.sort(np.concatenate(drawn))


def head_config(config: Config, encoder: str, frozen: bool, seed: int, labels: int) -> transfer.Config:
    """transfer's section for one training."""
    epochs = math.ceil(config.steps / math.ceil(labels / config.batch_size))
    return transfer.Config(
        family="transfer", data=config.data, start=config.model, seed=seed, epochs=epochs, batch_size=config.batch_size,
        learning_rate=config.learning_rate, momentum=0.0, precision="float32", channels_last=False, compile=False,
        keep="last", backbone=encoder, freeze="all" if frozen else 0, frozen_precision="float32", store_features=False,
        schedule="constant",
        dense=config.dense, dropout=0.0,
    )  # fmt: skip


def train(config: Config, encoder: Encoder, split: Split, way: str, fraction: float, seed: int) -> Point:
    """Train one head, and the encoder unless it is frozen, and measure it on the test subset."""
    rows = some_of_each(split, fraction, seed)
    # The validation subset would be labels, too; the last weights are kept, so that it decides nothing.
    own = replace(split, rows={**split.rows, "train": rows, "validation": rows[:1]})
    weights: Mapping[str, Tensor] = {} if way == "from_scratch" else encoder.state_dict()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    section = head_config(config, encoder.name, way == "frozen", seed, len(rows))
    training = fit(transfer.TASK, section, own, device, lambda *_: None, weights=weights)
    return Point(way, fraction, len(rows), seed, validate(training, "test")["accuracy"])


def evaluate(
    config: Config, models: Callable[[str], Artifact], splits: Callable[[str], Split], folder: Path
) -> dict[str, float]:
    """The median accuracies with the fewest labels; the whole curve as reuse.csv, reuse.png and a table.

    Raises UserError when the model has no encoder, or it takes other images than the data are.
    """
    import pandas as pd

    trained = models(config.model)
    encoder, split = getattr(trained.model, "encoder", None), splits(config.data)
    if not isinstance(encoder, Encoder):
        raise UserError(f"{config.where}.model: {config.model} has no encoder; choose an autoencoder")
    points = [
        train(config, encoder, split, way, fraction, seed)
        for fraction in sorted(config.labels)
        for way in WAYS
        for seed in range(config.seeds)
    ]
    pd.DataFrame(points).to_csv(folder / "reuse.csv", index=False)
    _draw(points, folder / "reuse.png")
    write_tables(folder, [_table(points, config)], f"{config.model}'s encoder put to use, on {config.data}")
    fewest = min(config.labels)
    return {**{way: median(points, way, fewest) for way in WAYS}, "labels": _at(points, "frozen", fewest)[0].labels}


def _at(points: list[Point], way: str, fraction: float) -> list[Point]:
    return [point for point in points if point.way == way and point.fraction == fraction]


def median(points: list[Point], way: str, fraction: float) -> float:
    """Over the seeds."""
    return statistics.median(point.accuracy for point in _at(points, way, fraction))


def _table(points: list[Point], config: Config) -> Table:
    rows = []
    for fraction in sorted(config.labels):
        count = _at(points, "frozen", fraction)[0].labels
        rows.append([f"{fraction:.0%}", f"{count:,}", *(f"{median(points, way, fraction):.2%}" for way in WAYS)])
    note = (
        f"Test accuracy, the median of {config.seeds}. The same head and about {config.steps} steps everywhere; only "
    )
    note += "the encoder's weights differ: those of the autoencoder, or random ones that are trained with the head."
    return Table("With few labels", ["of the labels", "labels", *WAYS.values()], rows, note)


def _draw(points: list[Point], file: Path) -> None:
    """Accuracy over the number of labels: medians as lines, each training as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 4), layout="constrained")
    axis = figure.subplots()
    for way, name in WAYS.items():
        own = [point for point in points if point.way == way]
        counts = sorted({point.labels for point in own})
        middles = [statistics.median(p.accuracy for p in own if p.labels == count) for count in counts]
        axis.plot(counts, middles, color=COLOURS[way], label=name)
        axis.scatter([p.labels for p in own], [p.accuracy for p in own], color=COLOURS[way], s=12)
    counts = sorted({point.labels for point in points})
    axis.set(xscale="log", xlabel="labels", ylabel="test accuracy")
    axis.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=PALE)
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=150, metadata={"Software": None})
