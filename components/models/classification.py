"""Training of any classifier: its keys, loss and metrics; and a batch of images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from components.data.arrays import Split
from components.models.task import Batch, TrainingConfig, read_inputs


class Config(TrainingConfig):
    """The keys of every classifier."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="a number in [0, 1), of the target that all classes share: 0.1 keeps it less sure"
    )


def image_batch(split: Split, rows: np.ndarray) -> Batch:
    """Images float32 in [0, 1], (rows, channels, height, width), or stored features; class numbers int64, (rows,)."""
    return Batch(read_inputs(split, rows), torch.from_numpy(split.arrays["targets"][rows]))


def loss(config: Config, logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy in nats; with label smoothing (Szegedy et al. 2016) of what the targets are then."""
    return functional.cross_entropy(logits, batch.targets, label_smoothing=config.label_smoothing)


def metrics(logits: Tensor, batch: Batch) -> Mapping[str, Tensor]:
    """Right answers, summed."""
    return {"accuracy": (logits.argmax(dim=1) == batch.targets).sum()}
