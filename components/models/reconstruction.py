"""Training of any autoencoder: images as their own targets, the loss of logits of pixels, and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.models.task import Batch, read_inputs


def image_batch(split: Split, rows: np.ndarray) -> Batch:
    """Images float32 in [0, 1], (rows, channels, height, width), as inputs and as targets."""
    images = read_inputs(split, rows)
    return Batch(images, images)


def image_shape(where: str, data_set: str, data: DataSpec, convolutions: int) -> tuple[int, ...]:
    """One image's shape. Raises UserError when the data are none, or too small for so many convolutions."""
    shape = data.input_shape
    if len(shape) != 3:
        raise UserError(f"{where}.data: {data_set} has inputs of shape {shape}; an autoencoder needs images")
    if min(shape[1:]) < 2**convolutions:
        raise UserError(
            f"{where}.filters: {convolutions} convolutions, each of which halves the sides, leave nothing of a "
            f"{shape[1]} x {shape[2]} image; shorten {where}.filters"
        )
    return shape


def loss(config: Any, logits: Tensor, batch: Batch) -> Tensor:
    """Binary cross-entropy in nats, the mean over pixels and images."""
    return functional.binary_cross_entropy_with_logits(logits, batch.targets)


def rounded_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch,): the fraction of an image's pixels that are right when both are rounded to 0 or 1, as in the notes."""
    # In place, as floats that are 0.0 or 1.0: torch compares these faster than it makes booleans.
    wrong = logits.clone().gt_(0).ne_(targets.clone().gt_(0.5))
    return 1 - wrong.flatten(1).mean(dim=1)


def metrics(logits: Tensor, batch: Batch) -> Mapping[str, Tensor]:
    """The rounded accuracy, summed."""
    return {"rounded_accuracy": rounded_accuracy(logits, batch.targets).sum()}


def errors(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch,): binary cross-entropy in nats, the mean over an image's pixels."""
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return each.flatten(1).mean(dim=1)
