"""Arrays on disk, memory-mapped, and the rows that each subset of a split owns."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.data.findings import Findings
from components.data.text import vocabulary
from components.data.text.vocabulary import Text
from components.errors import UserError

Subset = Literal["train", "validation", "test"]
SUBSETS: tuple[Subset, ...] = ("train", "validation", "test")
SUMMARY, VOCABULARY = "split.json", "vocabulary.json"
ARRAYS_IN = "arrays_in.txt"  # the path from here to the folder that holds the arrays, where that is another


def published(subsets: Sequence[str]) -> np.ndarray | None:
    """Each row's subset, "train", "validation" or "test", as its number in SUBSETS; None where all are ""."""
    numbers: Mapping[str, int] = {subset: number for number, subset in enumerate(SUBSETS)}
    return np.array([numbers[subset] for subset in subsets], dtype=np.int8) if any(subsets) else None


@dataclass(frozen=True)
class DataSpec:
    """All that a model must know of its data: one example's shape, (channels, height, width) for images, and
    the classes' names in the order of the targets' numbers.

    stored: the shape of what the inputs are where these are features that were computed from the images; else None.
    text:   what the token ids of texts mean; else None.
    grey_bits: of 16-bit greyscale images: how many bits of their values are used.
    """

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    stored: tuple[int, ...] | None = None
    text: Text | None = None
    grey_bits: int = 16


@dataclass(frozen=True)
class Split:
    """A split data set.

    arrays:      name → array with one row per example, memory-mapped read-only: "inputs", "targets" and
                 whatever more the data set has.
    rows:        subset → the row numbers it owns, int64; the subsets are disjoint.
    classes:     the classes' names, in the order of the targets' numbers.
    fingerprint: a digest of every array and of every subset.
    images:      one image's shape, where the inputs are features computed from images; else None.
    text:        what the token ids of texts mean; else None.
    grey_bits:   of 16-bit greyscale images: how many bits of their values are used.
    arrays_in:   the folder that the arrays lie in: this one, or that of the preprocessed data set.
    """

    folder: Path
    arrays: Mapping[str, np.ndarray]
    rows: Mapping[Subset, np.ndarray]
    classes: tuple[str, ...]
    fingerprint: str
    images: tuple[int, ...] | None = None
    text: Text | None = None
    grey_bits: int = 16
    arrays_in: Path | None = None

    @property
    def spec(self) -> DataSpec:
        shape = tuple(self.arrays["inputs"].shape[1:])
        if self.images:
            return DataSpec(self.images, self.classes, stored=shape, grey_bits=self.grey_bits)
        return DataSpec(shape, self.classes, text=self.text, grey_bits=self.grey_bits)


def open_split(folder: Path, arrays_in: Path | None = None) -> Split:
    """Open what the split stage wrote. Raises UserError when it is not there, or its arrays are not where they were.

    arrays_in: where the arrays lie that it shares with the preprocessed data set, if not where it says.
    """
    try:
        text = (folder / SUMMARY).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{folder}: no split data here; `dvc repro` makes it") from None
    summary = json.loads(text)
    elsewhere = folder / ARRAYS_IN
    if not elsewhere.exists():
        arrays_in = folder
    elif arrays_in is None:
        arrays_in = Path(os.path.normpath(folder.resolve() / elsewhere.read_text(encoding="utf-8").strip()))
        if not arrays_in.is_dir():
            raise UserError(f"{arrays_in}: no decoded images here, of which {folder} is a split; `dvc repro` does it")
    return Split(
        folder=folder,
        # As plain arrays over the mapped files: numpy's own class for these takes its time at each batch.
        arrays={n: np.asarray(np.load(arrays_in / f"{n}.npy", mmap_mode="r")) for n in summary["arrays"]},
        rows={p: np.load(folder / f"{p}.npy") for p in SUBSETS},
        classes=tuple(summary["classes"]),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
        images=tuple(summary["images"]) if "images" in summary else None,
        text=read_vocabulary(folder),
        grey_bits=summary.get("grey_bits", 16),
        arrays_in=arrays_in,
    )


def read_vocabulary(folder: Path) -> Text | None:
    """The vocabulary in a folder; None if there is none."""
    file = folder / VOCABULARY
    return vocabulary.load(file.read_text(encoding="utf-8")) if file.exists() else None


def save_split(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    rows: Mapping[Subset, np.ndarray],
    classes: tuple[str, ...],
    findings: Findings | None = None,
    images: tuple[int, ...] | None = None,
    text: Text | None = None,
    grey_bits: int = 16,
    arrays_in: Path | None = None,
    digests: Mapping[str, str] | None = None,
) -> None:
    """Write arrays, rows and the summary with every digest and what was found odd into a folder.

    images: one image's shape, where the inputs are features computed from images.
    text:   what the token ids of texts mean.
    grey_bits: of 16-bit greyscale images: how many bits of their values are used.
    arrays_in: the folder where the arrays lie already, beside `folder` or anywhere; digests: theirs.
    """
    new = [*([] if arrays_in else arrays.items()), *rows.items()]
    digests = {**(digests or {}), **{name: save_array(folder / f"{name}.npy", array) for name, array in new}}
    targets = arrays["targets"]
    summary: dict[str, Any] = {
        "arrays": list(arrays),
        "classes": list(classes),
        "examples": {subset: len(rows[subset]) for subset in SUBSETS},
        "per_class": {p: np.bincount(targets[rows[p]], minlength=len(classes)).tolist() for p in SUBSETS},
        "sha256": digests,
    }
    if arrays_in:
        path = os.path.relpath(arrays_in.resolve(), folder.resolve())
        (folder / ARRAYS_IN).write_text(f"{path}\n", encoding="utf-8")
    if images:
        summary["images"] = list(images)
    if grey_bits != 16:
        summary["grey_bits"] = grey_bits
    if text:
        summary["vocabulary"] = len(text.words)
        (folder / VOCABULARY).write_text(text.dump(), encoding="utf-8")
        digests[VOCABULARY] = hashlib.sha256(text.dump().encode()).hexdigest()
    if findings:
        summary["findings"] = findings.summary()
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def save_array(file: Path, array: np.ndarray) -> str:
    """Write an array; the digest of its file."""
    np.save(file, array)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
