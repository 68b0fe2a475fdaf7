"""Images with many objects, as a training reads them.

Objects are (images, objects, 5): class number, left, top, right, bottom as fractions; the class is -1 where there are
no more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from components.data.arrays import Split
from components.errors import UserError
from components.models.task import Batch, read_inputs


def objects_of(where: str, split: Split, rows: np.ndarray) -> Tensor:
    """float32 (rows, objects, 5), padded with the class -1. `where`: the section, for messages."""
    if "boxes" not in split.arrays:
        raise UserError(f"{where}.data: it must name a data set whose images have boxes, such as voc")
    objects = np.concatenate([split.arrays["labels"][rows][..., None], split.arrays["boxes"][rows]], axis=-1)
    return torch.from_numpy(objects.astype(np.float32))


def batch(where: str, split: Split, rows: np.ndarray) -> Batch:
    """Images, or stored features, and as targets their objects."""
    return Batch(read_inputs(split, rows), objects_of(where, split, rows))
