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

NO_BOXES = "{}: its images have no boxes, which a detector learns; set the model's `data` to a data set that has them"


def objects_of(split: Split, rows: np.ndarray) -> Tensor:
    """float32 (rows, objects, 5), padded with the class -1. Raises UserError where the images have no boxes."""
    if "boxes" not in split.arrays:
        raise UserError(NO_BOXES.format(split.folder.name))
    objects = np.concatenate([split.arrays["labels"][rows][..., None], split.arrays["boxes"][rows]], axis=-1)
    return torch.from_numpy(objects.astype(np.float32))


def batch(split: Split, rows: np.ndarray) -> Batch:
    """Images, or stored features, and as targets their objects."""
    return Batch(read_inputs(split, rows), objects_of(split, rows))
