"""Versions of training images, augmented once, so that what frozen layers make of them can be stored, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.data.arrays import Split
from components.models.pretrained import PretrainedConfig
from components.models.task import Batch, Task, read_inputs


class Views(NamedTuple):
    """Images (batch, channels, height, width), and the arrays of a split that belong to them, with as many rows."""

    images: Tensor
    belonging: Mapping[str, np.ndarray]


def others(examples: Split) -> dict[str, np.ndarray]:
    """All arrays beside the inputs."""
    return {name: array for name, array in examples.arrays.items() if name != "inputs"}


def as_they_are(examples: Split, rows: np.ndarray) -> Views:
    return Views(read_inputs(examples, rows), {name: array[rows] for name, array in others(examples).items()})


def augmented(task: Task, config: PretrainedConfig, examples: Split, batch_size: int) -> Iterator[Views]:
    """`views` - 1 versions of each training image, which follow the seed; each image is changed by draws of its own."""
    anew = config.model_copy(update={"views": 1})
    train = examples.rows["train"]
    starts = [start for _ in range(config.views - 1) for start in range(0, len(train), batch_size)]
    random = torch.Generator().manual_seed(config.seed).get_state()
    for start in starts:
        rows = train[start : start + batch_size]
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(random)
            drawn = [task.augment(anew, each) for each in _one_by_one(task.batch(examples, rows))]
            random = torch.get_rng_state()
        images, targets = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        yield Views(images, _belonging(examples, rows, targets))


def _one_by_one(batch: Batch) -> list[Batch]:
    return [Batch(*parts) for parts in zip(*(tensor.split(1) for tensor in batch), strict=True)]


def _belonging(examples: Split, rows: np.ndarray, targets: Tensor) -> dict[str, np.ndarray]:
    """What belongs to these rows, with the objects where they are now: targets (rows, 5), or (rows, objects, 5)."""
    arrays = {name: array[rows] for name, array in others(examples).items()}
    if "boxes" in arrays:
        objects = targets.reshape(len(rows), -1, 5).numpy()
        count = objects.shape[1]  # of one object alone in what a model of one learns from
        arrays["labels"] = np.full_like(arrays["labels"], -1)
        arrays["labels"][:, :count] = objects[..., 0]
        arrays["boxes"] = np.zeros_like(arrays["boxes"])
        arrays["boxes"][:, :count] = objects[..., 1:]
    return arrays
