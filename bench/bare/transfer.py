"""Transfer's head on stored features as a bare PyTorch loop: what the real loop is compared with."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 32


def network(features: int) -> nn.Module:
    """Features, flattened → logits of 5 classes."""
    return nn.Sequential(
        nn.Linear(features, 260), nn.ReLU(), nn.Dropout(0.5), nn.Linear(260, 100), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(100, 5),
    )  # fmt: skip


def epochs(features: Tensor, targets: Tensor, held_out: Tensor, answers: Tensor, count: int) -> list[float]:
    """Train for `count` epochs and validate after each; the seconds of each.

    features, held_out: float32 (examples, channels, height, width); targets, answers: int64 (examples,).
    """
    model, seconds = network(math.prod(features.shape[1:])), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for _ in range(count):
        started = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(features)).split(BATCH):
            optimizer.zero_grad()
            values = features.index_select(0, rows).flatten(1)
            functional.cross_entropy(model(values), targets[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for part, own in zip(held_out.split(BATCH), answers.split(BATCH), strict=True):
                (model(part.flatten(1)).argmax(dim=1) == own).sum()
        seconds.append(time.perf_counter() - started)
    return seconds
