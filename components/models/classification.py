"""Training of any classifier: loss and metrics; and a batch of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from components.data.arrays import Split
from components.models.task import Batch, read_inputs


def image_batch(split: Split, rows: np.ndarray) -> Batch:
    """Images float32 in [0, 1], (rows, channels, height, width), or stored features; class numbers int64, (rows,)."""
    return Batch(read_inputs(split, rows), torch.from_numpy(split.arrays["targets"][rows]))


def loss(config: Any, logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy in nats."""
    return functional.cross_entropy(logits, batch.targets)


def metrics(logits: Tensor, batch: Batch) -> Mapping[str, Tensor]:
    """Right answers, summed."""
    return {"accuracy": (logits.argmax(dim=1) == batch.targets).sum()}
