"""Small grey images in MNIST's format, IDX: MNIST itself, sets that are published like it, or one's own.

And a table of pixels (CSV, packed by gzip) with the label in its last column.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.data.decoded import open_examples, written
from components.data.formats.idx import read_idx
from components.data.kind import DataConfig, Examples, Kind
from components.data.source_files import reading_of
from components.errors import UserError

TABLE = "*.csv.gz"


class Config(DataConfig):
    """No keys of its own: images are as large as they are stored."""


def read(config: Config, folder: Path) -> Examples:
    """Read what the download stage left in `folder`, as Examples of shape (n, 1, height, width)."""
    named = reading_of(folder).classes
    tables = sorted(folder.glob(TABLE))
    return _table(tables[0], named) if tables else read_idx(folder, named)


def _table(file: Path, named: tuple[str, ...]) -> Examples:
    values = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    side = round((values.shape[1] - 1) ** 0.5)
    if side * side != values.shape[1] - 1:
        raise UserError(f"{file}: rows of {values.shape[1] - 1} pixels and a label are no square images")
    targets = values[:, -1].astype(np.int64)
    classes = named or tuple(map(str, range(int(targets.max()) + 1)))
    return Examples(values[:, :-1].reshape(-1, 1, side, side), targets, classes)


def preprocess(config: Config, raw: Path, folder: Path) -> list[str]:
    return written(read(config, raw), folder)


KIND = Kind(preprocess, open_examples)
