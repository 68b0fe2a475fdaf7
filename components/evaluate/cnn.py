"""Evaluation of a CNN: a classifier's results, and what one convolution does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from components.data.arrays import Split
from components.evaluate import classification
from components.evaluate.results import Results
from components.plots.images import draw_convolution


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """A classifier's test metrics and images, and convolution.png, which shows what one kernel does."""
    draw_convolution(folder / "convolution.png", split.arrays["inputs"][rows[0]])
    return classification.evaluate(model, logits, rows, split, folder)


RESULTS = Results(evaluate, classification.describe)
