"""MNIST's file format, IDX (LeCun, Cortes and Burges), which Fashion-MNIST and many others have, too."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np

from components.data.arrays import published
from components.data.formats.folders import files_below
from components.data.kind import Examples
from components.errors import IdxError, UserError

SIDE = 28
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
# The four files' names, as published, unpacked by some programs, or called by others.
NAMES = {
    name: re.compile(rf"(.*[-_.])?{part}[-_.]{kind}[-_.]?idx{axes}[-_.]ubyte(\.gz)?", re.IGNORECASE)
    for name, (part, kind, axes) in zip(
        FILES,
        (("train", "images", 3), ("train", "labels", 1), ("(t10k|test)", "images", 3), ("(t10k|test)", "labels", 1)),
        strict=True,
    )
}
OPTIONAL = FILES[2:]  # of a set without a test subset
UNSIGNED_BYTES = 0x08  # as the third byte of a header calls the type
PACKED = b"\x1f\x8b"


def read_idx(folder: Path, classes: tuple[str, ...]) -> Examples:
    """The files in a folder or below it as Examples of shape (n, 1, height, width), the training subset first.

    classes: the names of the labels 0, 1, …; without them the classes are the labels that occur.
    Raises UserError where files are missing, several could be one of them, or they do not fit each other.
    """
    chosen = _chosen(folder)
    images = [read_file(chosen[name], axes=3) for name in FILES[::2] if name in chosen]
    labels = [read_file(chosen[name], axes=1) for name in FILES[1::2] if name in chosen]
    for name, own, numbers in zip(FILES[::2], images, labels, strict=False):
        if len(own) != len(numbers) or own.shape[1:] != images[0].shape[1:]:
            raise UserError(f"{folder}: {len(numbers)} labels do not fit {name}, which has the shape {own.shape}")
    targets = np.concatenate(labels).astype(np.int64)
    if not classes:
        occurring = np.unique(targets)
        classes, targets = tuple(map(str, occurring.tolist())), np.searchsorted(occurring, targets).astype(np.int64)
    subsets = ["train"] * len(labels[0]) + ["test"] * len(labels[1]) if len(labels) > 1 else []
    return Examples(np.concatenate(images)[:, None], targets, classes, published(subsets))


def is_idx(file: Path) -> bool:
    """By its name."""
    return any(pattern.fullmatch(file.name) for pattern in NAMES.values())


def _chosen(folder: Path) -> dict[str, Path]:
    """The one file of each kind. Raises UserError where one that is needed is not there, or several are."""
    chosen, files = {}, [*files_below(folder)]
    for name, pattern in NAMES.items():
        fitting = [path for path in files if pattern.fullmatch(path.name)]
        if len(fitting) > 1:
            several = ", ".join(str(path.relative_to(folder)) for path in fitting[:4])
            raise UserError(f"{folder}: several files could be {name}: {several}; leave one of them there")
        if fitting:
            chosen[name] = fitting[0]
        elif name not in OPTIONAL:
            raise UserError(f"{folder}: there is no {name} in it, packed or not")
    if len(chosen.keys() & {*OPTIONAL}) == 1:
        raise UserError(f"{folder}: of {' and '.join(OPTIONAL)} one alone is there")
    return chosen


def read_file(file: Path, axes: int) -> np.ndarray:
    """A file's array, uint8, of that many axes, packed by gzip or not. Raises IdxError."""
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if content[:2] == PACKED else content
        kind, dimensions = np.frombuffer(content, np.uint8, 4)[2:4].tolist()
        shape = np.frombuffer(content, ">i4", dimensions, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise IdxError(f"{file}: not an IDX file ({error})") from None
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
