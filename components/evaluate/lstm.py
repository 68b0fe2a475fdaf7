"""What every classifier of texts shares in evaluation: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from components.data.loaders import DataSpec, Split
from components.data.vocabulary import FIRST, PADDING, UNKNOWN
from components.evaluate import classification
from components.evaluate.classification import outcome
from components.evaluate.memory import draw_memory
from components.evaluate.results import Results
from components.tables import Table, write_tables

SHOWN, WORDS_SHOWN = 6, 45


def _measured(logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
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


def evaluate(model: nn.Module, logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """A text classifier's test metrics, its worst mistakes, and memory.png, the gradients of an RNN and of LSTMs."""
    draw_memory(folder / "memory.png")
    return _measured(logits, rows, split, folder)


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """Each text's class, its probability, how many words it has, and how many of them the model does not know."""
    words, unknown = (inputs != PADDING).sum(dim=1).tolist(), (inputs == UNKNOWN).sum(dim=1).tolist()
    found = classification.describe(model, data, inputs, logits)
    return [{**own, "words": w, "unknown": u} for own, w, u in zip(found, words, unknown, strict=True)]


RESULTS = Results(evaluate, describe)
