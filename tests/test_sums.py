"""Loss and metrics over an epoch are means over its examples, in float64, however many steps it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from components.models.cnn import TASK
from components.sums import ADDED_AT_ONCE, Sums
from components.task import Batch
from tests.conftest import CPU

SUMMED = replace(
    TASK, metrics=lambda outputs, batch: {"right": outputs.sum(), "spread": outputs.float().square().sum()}
)


def batch_of(size: int) -> Batch:
    return Batch(torch.zeros(size), torch.zeros(size))


@pytest.mark.parametrize("steps", [1, 3, ADDED_AT_ONCE, 2 * ADDED_AT_ONCE + 5])
def test_means_are_over_examples_and_not_over_steps(steps: int) -> None:
    random = np.random.default_rng(steps)
    sizes, losses = random.integers(1, 9, steps), random.normal(size=steps).astype(np.float32)
    outputs = [torch.from_numpy(random.integers(0, 3, size)) for size in sizes]
    sums = Sums(SUMMED, CPU, workers=1)
    for size, loss, found in zip(sizes.tolist(), losses, outputs, strict=True):
        sums.add(batch_of(size), found, torch.tensor(loss), size)
    every = torch.cat(outputs).double()
    assert sums.means() == pytest.approx(
        {
            "loss": float(np.average(losses.astype(np.float64), weights=sizes)),
            "right": every.mean().item(),
            "spread": every.square().mean().item(),
        },
        rel=1e-12,
    )


def test_a_row_that_only_keeps_step_is_not_counted() -> None:
    sums = Sums(SUMMED, CPU, workers=1)
    sums.add(batch_of(1), torch.tensor([5]), torch.tensor(7.0), own=0)
    sums.add(batch_of(2), torch.tensor([1, 2]), torch.tensor(3.0), own=2)
    sums.add(batch_of(1), torch.tensor([5]), torch.tensor(float("nan")), own=0)
    assert sums.means() == {"loss": 3.0, "right": 1.5, "spread": 2.5}
