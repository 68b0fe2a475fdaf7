"""Batches of texts: padded, and of texts of about one length."""

from __future__ import annotations

import numpy as np
import torch

from components.data.arrays import Split
from components.models.task import Batch

BATCHES_IN_A_POOL = 50


def text_batch(split: Split, rows: np.ndarray) -> Batch:
    """Token ids, int64, (rows, words of the longest), 0 behind a shorter text; class numbers int64, (rows,)."""
    longest = max(1, int(split.arrays["lengths"][rows].max()))
    inputs = torch.from_numpy(split.arrays["inputs"][rows, :longest].astype(np.int64))
    return Batch(inputs, torch.from_numpy(split.arrays["targets"][rows]))


def by_length(split: Split, rows: np.ndarray, batch_size: int, generator: torch.Generator | None) -> np.ndarray:
    """Rows in an order in which a batch's texts are of about one length, so that little of it is padding.

    With a generator (in training) the rows are shuffled, sorted by length within pools of 50 batches, and the batches
    are shuffled, but for a last one that is short; without one they are sorted by length.
    """
    lengths = split.arrays["lengths"]
    if generator is None:
        return rows[np.argsort(lengths[rows], kind="stable")]
    shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
    whole = len(shuffled) - len(shuffled) % batch_size
    pool = batch_size * BATCHES_IN_A_POOL
    pools = [shuffled[start : min(start + pool, whole)] for start in range(0, whole, pool)]
    batches = np.concatenate([own[np.argsort(lengths[own], kind="stable")] for own in pools] or [shuffled[:0]])
    order = torch.randperm(whole // batch_size, generator=generator).numpy()
    return np.concatenate([batches.reshape(-1, batch_size)[order].ravel(), shuffled[whole:]])
