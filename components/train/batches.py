"""Which examples each worker gets of each global batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from components.data.arrays import Split, Subset
from components.models.task import Batch, Task, TrainingConfig

VALIDATED_AT_ONCE = 128  # examples, at most four batches; more leave a CPU's caches


class Training(Protocol):
    """Of a loop.Training: what tells which examples a worker gets. norms: the batch norms that it trains."""

    task: Task
    config: TrainingConfig
    split: Split
    device: torch.device
    channels_last: bool
    norms: list[Any]
    rank: int
    world: int


def _batch_size(config: TrainingConfig, subset: Subset) -> int:
    """Examples of a global batch. Where no gradients are kept, a small network has room for more at once."""
    if subset == "train" or not config.small:
        return config.batch_size
    return min(4 * config.batch_size, max(config.batch_size, VALIDATED_AT_ONCE))


def cuts(training: Training, rows: int, subset: Subset) -> list[int]:
    """Where each global batch begins, and the end of the last.

    In training with batch norm each worker needs two examples, or it could normalise none: a last batch with fewer
    joins the one before.
    """
    begins = [*range(0, rows, _batch_size(training.config, subset))]
    if training.norms and subset == "train" and len(begins) > 1 and rows - begins[-1] < 2 * training.world:
        begins.pop()
    return [*begins, rows]


def batches(training: Training, subset: Subset, random: torch.Generator | None) -> Iterator[tuple[Batch, int, int]]:
    """This worker's share of each global batch, with its own and the global number of examples.

    A worker that gets none of a short last batch gets one row to keep step with, and the count 0.
    """
    size = _batch_size(training.config, subset)
    ordered = training.task.order(training.split, training.split.rows[subset], size, random)
    for begin, end in itertools.pairwise(cuts(training, len(ordered), subset)):
        whole = ordered[begin:end]
        share = whole[training.rank :: training.world]
        taken = share if len(share) else whole[:1]
        batch = training.task.batch(training.split, taken).to(training.device, training.channels_last)
        yield batch, len(share), len(whole)
