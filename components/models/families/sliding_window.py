"""Many objects the naive way, after the course notes: a classifier of one thing looks through every window.

The classifier is transfer's, trained on windows of images with known objects, and on windows that show none. To
detect, windows of several sizes slide over the image, and of those that find the same thing the surest stays.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from components.data.arrays import DataSpec, Split, Subset
from components.models import augment, classification
from components.models.families import transfer
from components.models.objects import batches
from components.models.objects.windows import Windows, shown
from components.models.task import READ_BEFORE, BatchSize, Epochs, Goal, Schedule, Task

BACKGROUND = "background"


class Config(transfer.Config):
    reads = ("boxes",)

    windows: Windows = Windows()
    enlarge: transfer.Enlarge = 0
    pooling: transfer.Pooling = "none"  # which tells where in a window a thing is
    dense: tuple[transfer.Width, ...] = Field(
        (128,), description="a list of integers >= 1, hidden layer widths; [] for none"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="a number in [0, 1), before each hidden layer's successor")
    epochs: Epochs = 8
    schedule: Schedule = "constant"
    batch_size: BatchSize = 128

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return ("backbone", family)

    @classmethod
    def prepared_from(cls) -> tuple[str, ...]:
        return (*super().prepared_from(), "windows", "seed")

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        return {**super().unsearchable(), "windows": READ_BEFORE}


class SlidingWindow(transfer.Transfer):
    """Windows (batch, 3, window, window) → logits (batch, classes + 1), the background's last."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__(config, data)
        self.config = config


def build(config: Config, data: DataSpec) -> SlidingWindow:
    """The network with its frozen layers. Raises UserError when backbone, layer or data do not fit."""
    return SlidingWindow(config, data)


def spec(config: Config, data: DataSpec) -> DataSpec:
    """Of the windows: one more class, and the size that the classifier sees."""
    side = config.windows.pixels
    return replace(data, input_shape=(3, side, side), classes=(*data.classes, BACKGROUND))


def derive(config: Config, split: Split, scratch: Path) -> Split:
    """A split of windows: of each image up to `examples` for each object, and as many that show none.

    Half of those without an object, if there are as many, touch one; else every edge would be taken for an object.
    """
    random = np.random.default_rng(config.seed)
    boxes, side = config.windows.boxes(), config.windows.pixels
    images = np.concatenate([split.rows["train"], split.rows["validation"]])
    objects = batches.objects_of(split, images)
    chosen = [_examples(boxes, own, config.windows.examples, len(split.classes), random) for own in objects]
    ends = np.cumsum([len(numbers) for numbers, _ in chosen])

    crops = np.lib.format.open_memmap(scratch / "windows.npy", "w+", np.uint8, (int(ends[-1]), 3, side, side))
    for row, (numbers, _), end in zip(images, chosen, ends, strict=True):
        image = torch.tensor(split.arrays["inputs"][row]).float()
        pixels = config.windows.crops(image, torch.from_numpy(numbers))
        crops[end - len(numbers) : end] = pixels.round().clamp(0, 255).byte().numpy()
    between = int(ends[len(split.rows["train"]) - 1])
    rows: dict[Subset, np.ndarray] = {
        "train": np.arange(between),
        "validation": np.arange(between, len(crops)),
        "test": np.empty(0, dtype=np.int64),
    }
    arrays = {"inputs": crops, "targets": np.concatenate([labels for _, labels in chosen])}
    return Split(scratch, arrays, rows, (*split.classes, BACKGROUND), split.fingerprint)


def _examples(
    boxes: Tensor, objects: Tensor, most: int, background: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of windows, the classes that they show), of one image's objects (objects, 5)."""
    labels, best = (array.numpy() for array in shown(boxes, objects, background))
    count = most * int((objects[:, 0] >= 0).sum())
    positive = _some(np.flatnonzero((labels >= 0) & (labels != background)), count, random)
    touching = _some(np.flatnonzero((labels == background) & (best > 0)), count // 2, random)
    free = _some(np.flatnonzero((labels == background) & (best == 0)), count - len(touching), random)
    numbers = np.sort(np.concatenate([positive, touching, free]))
    return numbers, labels[numbers]


def _some(numbers: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    return random.choice(numbers, size=min(most, len(numbers)), replace=False)


TASK = Task(
    name="sliding_window",
    config=Config,
    build=build,
    batch=classification.image_batch,
    loss=classification.loss,
    metrics=classification.metrics,
    augment=augment.images_alone,
    derive=derive,
    spec=spec,
    goal=Goal("accuracy", more=True),
)
