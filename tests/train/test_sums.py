"""Loss and metrics over an epoch are means over its examples, in float64, however many steps it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.train.metric_sums import ADDED_AT_ONCE, Sums
from tests.conftest import CPU


def summed(found: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"right": found.sum(), "spread": found.float().square().sum()}


@pytest.mark.parametrize("steps", [1, 3, ADDED_AT_ONCE, 2 * ADDED_AT_ONCE + 5])
def test_means_are_over_examples_and_not_over_steps(steps: int) -> None:
    random = np.random.default_rng(steps)
    sizes, losses = random.integers(1, 9, steps), random.normal(size=steps).astype(np.float32)
    outputs = [torch.from_numpy(random.integers(0, 3, size)) for size in sizes]
    sums = Sums(CPU, workers=1)
    for size, loss, found in zip(sizes.tolist(), losses, outputs, strict=True):
        sums.add(torch.tensor(loss), summed(found), size)
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
    sums = Sums(CPU, workers=1)
    sums.add(torch.tensor(7.0), summed(torch.tensor([5])), own=0)
    sums.add(torch.tensor(3.0), summed(torch.tensor([1, 2])), own=2)
    sums.add(torch.tensor(float("nan")), summed(torch.tensor([5])), own=0)
    assert sums.means() == {"loss": 3.0, "right": 1.5, "spread": 2.5}
