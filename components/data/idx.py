"""MNIST's file format, IDX (LeCun, Cortes and Burges), which Fashion-MNIST has, too."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from components.data.dataset import Examples
from components.params import UserError

SIDE = 28
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def read_idx(folder: Path, classes: tuple[str, ...]) -> Examples:
    """The four files in a folder as Examples of shape (n, 1, 28, 28), the training part first."""
    train, test = (_read_pair(folder, part) for part in ("train", "t10k"))
    images, labels = (np.concatenate(pair) for pair in zip(train, test, strict=True))
    return Examples(images, labels.astype(np.int64), classes, len(train[1]))


def _read_pair(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) and labels (n,), both uint8, from two files of IDX format."""
    pixels = _read_file(folder / f"{part}-images-idx3-ubyte.gz", header=16)
    labels = _read_file(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
    if len(pixels) != len(labels) * SIDE * SIDE:
        raise UserError(f"{folder}: {len(labels)} {part} labels do not fit {len(pixels)} bytes of {part} images")
    return pixels.reshape(-1, 1, SIDE, SIDE), labels


def _read_file(file: Path, header: int) -> np.ndarray:
    try:
        return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=header)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{file}: not a packed IDX file ({error}); delete its folder and run again") from None


def write_idx(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write {"train" | "t10k": (uint8 images, uint8 labels)} as packed IDX files, the same bytes every time."""
    for part, (images, labels) in parts.items():
        for kind, array in (("images-idx3", images.reshape(-1, SIDE, SIDE)), ("labels-idx1", labels)):
            header = np.array([0x800 + array.ndim, *array.shape], dtype=">i4").tobytes()
            packed = gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
