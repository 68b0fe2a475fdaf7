"""Evaluation of a classifier of texts: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from components.data.arrays import DataSpec, Split
from components.data.text.vocabulary import PADDING, UNKNOWN
from components.evaluate import classification
from components.evaluate.classification import outcome
from components.evaluate.results import Results
from components.plots.tables import Table, write_tables

SHOWN = 6


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy and cross-entropy; confusion.csv and a table of the surest mistakes."""
    result = outcome(logits, rows, split, folder, worst=SHOWN)
    assert split.text is not None
    names = split.classes
    told = [
        [
            names[result.targets[i]],
            f"{names[result.predicted[i]]}, {result.confidence[i]:.0%}",
            split.text.read_back(split.arrays["inputs"][rows[i]]),
        ]
        for i in result.worst.tolist()
    ]
    note = "What the model saw of each text: its words after all steps; … stands for a word that it does not know."
    write_tables(folder, [Table("Worst mistakes on the test subset", ["actual", "predicted", "text"], told, note)])
    return result.metrics


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """Each text's class, its probability, how many words it has, and how many of them the model does not know."""
    words, unknown = (inputs != PADDING).sum(dim=1).tolist(), (inputs == UNKNOWN).sum(dim=1).tolist()
    described = classification.describe(model, data, inputs, logits)
    return [{**own, "words": w, "unknown": u} for own, w, u in zip(described, words, unknown, strict=True)]


RESULTS = Results(evaluate, describe)
