"""Arrays on disk, memory-mapped, and the rows that each part of a split owns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from components.params import UserError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
SUMMARY = "split.json"


@dataclass(frozen=True)
class DataSpec:
    """What a model must know of its data: one example's shape, (channels, height, width) for images, and
    the classes' names in the order of the targets' numbers."""

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """A split data set.

    arrays:      name → array with one row per example, memory-mapped read-only ("inputs", "targets").
    rows:        part → the row numbers it owns, int64; the parts are disjoint.
    classes:     the classes' names, in the order of the targets' numbers.
    fingerprint: a digest of every array and of every part.
    """

    folder: Path
    arrays: Mapping[str, np.ndarray]
    rows: Mapping[Part, np.ndarray]
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def spec(self) -> DataSpec:
        return DataSpec(self.arrays["inputs"].shape[1:], self.classes)


def open_split(folder: Path) -> Split:
    """Open what the split stage wrote. Raises UserError when it is not there."""
    try:
        text = (folder / SUMMARY).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{folder}: no split data here; `dvc repro` makes it") from None
    summary = json.loads(text)
    return Split(
        folder=folder,
        arrays={n: np.load(folder / f"{n}.npy", mmap_mode="r") for n in summary["arrays"]},
        rows={p: np.load(folder / f"{p}.npy") for p in PARTS},
        classes=tuple(summary["classes"]),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )


def save_split(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    rows: Mapping[Part, np.ndarray],
    classes: tuple[str, ...],
) -> None:
    """Write arrays, rows and the summary with every digest into an empty folder."""
    digests = {name: _save(folder / f"{name}.npy", array) for name, array in [*arrays.items(), *rows.items()]}
    targets = arrays["targets"]
    summary = {
        "arrays": list(arrays),
        "classes": list(classes),
        "examples": {part: len(rows[part]) for part in PARTS},
        "per_class": {p: np.bincount(targets[rows[p]], minlength=len(classes)).tolist() for p in PARTS},
        "sha256": digests,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _save(file: Path, array: np.ndarray) -> str:
    np.save(file, array)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
