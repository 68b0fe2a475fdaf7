"""MNIST's file format, IDX (LeCun, Cortes and Burges), which Fashion-MNIST and many others have, too."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import numpy as np

from components.data.dataset import Examples
from components.errors import IdxError, UserError

SIDE = 28
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
OWN = "own.json"  # beside a set that is not the published one: its labels
UNSIGNED_BYTES = 0x08  # as the third byte of a header calls the type


def read_idx(folder: Path, classes: tuple[str, ...]) -> Examples:
    """The files in a folder as Examples of shape (n, 1, height, width), the training subset first.

    classes: the names of the published set's; those of another one are its labels.
    """
    pairs = [(images, labels) for images, labels in zip(FILES[::2], FILES[1::2], strict=True)]
    there = [pair for pair in pairs if pair == pairs[0] or (folder / pair[0]).exists()]
    images = [read_file(folder / name, axes=3) for name, _ in there]
    labels = [read_file(folder / name, axes=1) for _, name in there]
    for (name, _), own, numbers in zip(there, images, labels, strict=True):
        if len(own) != len(numbers) or own.shape[1:] != images[0].shape[1:]:
            raise UserError(f"{folder}: {len(numbers)} labels do not fit {name}, which has the shape {own.shape}")
    targets = np.concatenate(labels).astype(np.int64)
    if (folder / OWN).exists():
        own_labels = json.loads((folder / OWN).read_text(encoding="utf-8"))["labels"]
        classes, targets = tuple(map(str, own_labels)), np.searchsorted(own_labels, targets).astype(np.int64)
    return Examples(np.concatenate(images)[:, None], targets, classes, len(labels[0]) if len(labels) > 1 else None)


def read_file(file: Path, axes: int) -> np.ndarray:
    """A packed file's array, uint8, of that many axes. Raises IdxError."""
    try:
        content = gzip.decompress(file.read_bytes())
        kind, dimensions = np.frombuffer(content, np.uint8, 4)[2:4].tolist()
        shape = np.frombuffer(content, ">i4", dimensions, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise IdxError(f"{file}: not a packed IDX file ({error}); delete its folder and run again") from None
    if kind != UNSIGNED_BYTES or dimensions != axes:
        raise IdxError(f"{file}: no IDX file of bytes with {axes} axes: type {kind:#04x} and {dimensions} axes")
    if shape.astype(np.int64).prod() != len(values) or (shape < 0).any():
        raise IdxError(f"{file}: its header speaks of {tuple(shape.tolist())} values, and there are {len(values)}")
    return values.reshape(shape)


def write_idx(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write {"train" | "t10k": (uint8 images, uint8 labels)} as packed IDX files, the same bytes every time."""
    for part, (images, labels) in parts.items():
        for kind, array in (("images-idx3", images.reshape(-1, SIDE, SIDE)), ("labels-idx1", labels)):
            header = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            packed = gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
