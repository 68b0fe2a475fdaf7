"""What every classifier of texts shares in evaluation: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from components.classification_results import outcome
from components.data.loaders import Split
from components.data.vocabulary import FIRST, UNKNOWN
from components.tables import Table, write_tables

SHOWN, WORDS_SHOWN = 6, 45


def evaluate(logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy and cross-entropy; confusion.csv and a table of the surest mistakes."""
    found = outcome(logits, rows, split, folder, worst=SHOWN)
    names = split.classes
    told = [
        [
            names[found.targets[i]],
            f"{names[found.predicted[i]]}, {found.confidence[i]:.0%}",
            read_back(split, int(rows[i])),
        ]
        for i in found.worst.tolist()
    ]
    note = "What the model saw of each text: its words after all steps; … stands for a word that it does not know."
    write_tables(folder, [Table("Worst mistakes on the test part", ["actual", "predicted", "text"], told, note)])
    return found.metrics


def read_back(split: Split, row: int) -> str:
    """The first words of a text, from their numbers."""
    assert split.text is not None
    numbers = split.arrays["inputs"][row]
    known = [split.text.words[n - FIRST] if n != UNKNOWN else "…" for n in numbers[numbers > 0]]
    return " ".join([*known[:WORDS_SHOWN], *(["[…]"] if len(known) > WORDS_SHOWN else [])])
