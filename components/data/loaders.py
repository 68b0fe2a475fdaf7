"""Arrays on disk, memory-mapped, and the rows that each part of a split owns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.data.findings import Findings
from components.params import UserError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
SUMMARY = "split.json"


@dataclass(frozen=True)
class DataSpec:
    """What a model must know of its data: one example's shape, (channels, height, width) for images, and
    the classes' names in the order of the targets' numbers.

    stored: the shape of what the inputs are where these are features that were computed from the images; else None.
    """

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    stored: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Split:
    """A split data set.

    arrays:      name → array with one row per example, memory-mapped read-only: "inputs", "targets" and
                 whatever more the data set has.
    rows:        part → the row numbers it owns, int64; the parts are disjoint.
    classes:     the classes' names, in the order of the targets' numbers.
    fingerprint: a digest of every array and of every part.
    images:      one image's shape, where the inputs are features computed from images; else None.
    """

    folder: Path
    arrays: Mapping[str, np.ndarray]
    rows: Mapping[Part, np.ndarray]
    classes: tuple[str, ...]
    fingerprint: str
    images: tuple[int, ...] | None = None

    @property
    def spec(self) -> DataSpec:
        shape = tuple(self.arrays["inputs"].shape[1:])
        return DataSpec(self.images, self.classes, stored=shape) if self.images else DataSpec(shape, self.classes)


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
        images=tuple(summary["images"]) if "images" in summary else None,
    )


def save_split(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    rows: Mapping[Part, np.ndarray],
    classes: tuple[str, ...],
    findings: Findings | None = None,
    images: tuple[int, ...] | None = None,
) -> None:
    """Write arrays, rows and the summary with every digest and what was found odd into a folder.

    images: one image's shape, where the inputs are features computed from images.
    """
    digests = {name: _save(folder / f"{name}.npy", array) for name, array in [*arrays.items(), *rows.items()]}
    targets = arrays["targets"]
    summary: dict[str, Any] = {
        "arrays": list(arrays),
        "classes": list(classes),
        "examples": {part: len(rows[part]) for part in PARTS},
        "per_class": {p: np.bincount(targets[rows[p]], minlength=len(classes)).tolist() for p in PARTS},
        "sha256": digests,
    }
    if images:
        summary["images"] = list(images)
    if findings:
        summary["findings"] = findings.summary()
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _save(file: Path, array: np.ndarray) -> str:
    np.save(file, array)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
