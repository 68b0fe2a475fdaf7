"""What every classifier of texts shares in evaluation: test metrics, confusion, and its worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from components.data.loaders import Split
from components.data.vocabulary import FIRST, UNKNOWN
from components.tables import Table, write_tables

SHOWN, WORDS_SHOWN = 6, 45


def evaluate(logits: Tensor, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """Test accuracy and cross-entropy; confusion.csv (a row per example) and a table of the surest mistakes."""
    import pandas as pd  # here, since every stage imports this file to check params.yaml

    targets = torch.from_numpy(split.arrays["targets"][rows])
    losses = functional.cross_entropy(logits, targets, reduction="none")
    predicted = logits.argmax(dim=1)
    names = np.array(split.classes)
    confusion = pd.DataFrame({"actual": names[targets.numpy()], "predicted": names[predicted.numpy()]})
    confusion.to_csv(folder / "confusion.csv", index=False)

    wrong = torch.nonzero(predicted != targets).flatten()
    worst = wrong[losses[wrong].argsort(descending=True, stable=True)][:SHOWN].tolist()
    sure = logits.softmax(dim=1).max(dim=1).values
    told = [
        [str(names[targets[i]]), f"{names[predicted[i]]}, {sure[i]:.0%}", read_back(split, int(rows[i]))] for i in worst
    ]
    note = "What the model saw of each text: its words after all steps; … stands for a word that it does not know."
    write_tables(folder, [Table("Worst mistakes on the test part", ["actual", "predicted", "text"], told, note)])
    return {
        "accuracy": (predicted == targets).double().mean().item(),
        "loss": losses.double().mean().item(),
        "examples": len(rows),
        "mistakes": len(wrong),
    }


def read_back(split: Split, row: int) -> str:
    """The first words of a text, from their numbers."""
    assert split.text is not None
    numbers = split.arrays["inputs"][row]
    known = [split.text.words[n - FIRST] if n != UNKNOWN else "…" for n in numbers[numbers > 0]]
    return " ".join([*known[:WORDS_SHOWN], *(["[…]"] if len(known) > WORDS_SHOWN else [])])
