"""The notes' CNN as a bare PyTorch loop: nothing is measured, kept or resumed. What the real loop is compared with."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 128


def network() -> nn.Module:
    """28 x 28 grey images → logits of 10 classes; 19,927 parameters."""
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(144, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    return layers.to(memory_format=torch.channels_last)


def epochs(images: Tensor, targets: Tensor, held_out: Tensor, answers: Tensor, count: int) -> list[float]:
    """Train for `count` epochs and validate after each; the seconds of each.

    images, held_out: uint8 (examples, 1, 28, 28); targets, answers: int64 (examples,).
    """
    model, seconds = network(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for _ in range(count):
        started = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(_floats(images.index_select(0, rows))), targets[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for part, own in zip(held_out.split(BATCH), answers.split(BATCH), strict=True):
                (model(_floats(part)).argmax(dim=1) == own).sum()
        seconds.append(time.perf_counter() - started)
    return seconds


def _floats(images: Tensor) -> Tensor:
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)
