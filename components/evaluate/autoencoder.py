"""Evaluation of a stacked autoencoder: its reconstructions, measured and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from components.data.arrays import Split
from components.evaluate import reconstruction
from components.evaluate.results import Results
from components.models.families.autoencoder import Autoencoder
from components.models.reconstruction import image_batch


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test loss and rounded accuracy; reconstructions.png and codes.png."""
    assert isinstance(model, Autoencoder)
    batch = image_batch(split, rows)
    reconstruction.draw(model.encoder, logits.sigmoid(), batch.targets, rows, split, folder)
    return reconstruction.metrics(logits, batch.targets)


RESULTS = Results(evaluate, reconstruction.describe)
