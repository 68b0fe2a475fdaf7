"""The notes' stacked autoencoder as a bare PyTorch loop: what the real loop is compared with."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 32


def network() -> nn.Module:
    """28 x 28 grey images, flattened → logits of their pixels; 163,814 parameters."""
    return nn.Sequential(
        nn.Linear(784, 100), nn.SELU(), nn.Linear(100, 30), nn.SELU(),
        nn.Linear(30, 100), nn.SELU(), nn.Linear(100, 784),
    )  # fmt: skip


def epochs(images: Tensor, targets: Tensor, held_out: Tensor, answers: Tensor, count: int) -> list[float]:
    """Train for `count` epochs and validate after each; the seconds of each. Targets and answers are not read.

    images, held_out: uint8 (examples, 1, 28, 28).
    """
    model, seconds = network(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(count):
        started = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            values = images.index_select(0, rows).flatten(1).float().div_(255)
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(values), values).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for part in held_out.split(BATCH):
                values = part.flatten(1).float().div_(255)
                functional.binary_cross_entropy_with_logits(model(values), values)
        seconds.append(time.perf_counter() - started)
    return seconds
