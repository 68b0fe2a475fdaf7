"""One program of one library: trains on the arrays of a file and prints its epochs as JSON.

python -m bench.peers.programs LIBRARY MODEL ARRAYS EPOCHS      as `python -m bench.peers` runs it
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

BATCHES = {"cnn": 128, "autoencoder": 32, "lstm": 32}
POOL = 50  # batches of texts that are sorted by length at once, as the product does
Arrays = Mapping[str, np.ndarray]  # inputs and targets to train on, held_out and answers to validate on


class Epochs(NamedTuple):
    """Of each epoch: its seconds, validation included, and the accuracy that was validated."""

    seconds: list[float]
    accuracy: list[float]


def buckets(texts: np.ndarray, shuffled: bool) -> Iterator[np.ndarray]:
    """Rows of batches of about one length."""
    lengths, size = (texts != 0).sum(axis=1), BATCHES["lstm"]
    random = np.random.default_rng()
    order = random.permutation(len(texts)) if shuffled else np.arange(len(texts))
    batches = []
    for start in range(0, len(order), POOL * size):
        pool = order[start : start + POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    yield from (batches[number] for number in (random.permutation if shuffled else np.arange)(len(batches)))


def main() -> None:
    library, model, file, epochs = sys.argv[1:]
    with np.load(file) as arrays:
        data = dict(arrays)
    program = getattr(importlib.import_module(f"bench.peers.{library}_programs"), model)
    print(json.dumps(program(data, int(epochs))._asdict()))


if __name__ == "__main__":
    main()
