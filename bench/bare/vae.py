"""The variational autoencoder as a bare PyTorch loop: what the real loop is compared with."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH, HIDDEN, CODE = 32, 500, 20


class Network(nn.Module):
    """Black and white images, flattened → logits of their pixels, mean and log variance of the codes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.Tanh())
        self.mean, self.log_variance = nn.Linear(HIDDEN, CODE), nn.Linear(HIDDEN, CODE)
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 784))

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encoder(values)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return self.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean)), mean, log_variance


def loss(values: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The negative evidence lower bound in nats per image."""
    reconstruction = functional.binary_cross_entropy_with_logits(logits, values, reduction="sum")
    kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return (reconstruction + kl) / len(values)


def epochs(images: Tensor, targets: Tensor, held_out: Tensor, answers: Tensor, count: int) -> list[float]:
    """Train for `count` epochs and validate after each; the seconds of each. Targets and answers are not read.

    images, held_out: uint8 (examples, 1, 28, 28).
    """
    model, seconds = Network(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for _ in range(count):
        started = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            values = _drawn(images.index_select(0, rows))
            optimizer.zero_grad()
            loss(values, *model(values)).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for part in held_out.split(BATCH):
                values = _drawn(part)
                loss(values, *model(values))
        seconds.append(time.perf_counter() - started)
    return seconds


def _drawn(images: Tensor) -> Tensor:
    values = images.flatten(1).float().div_(255)
    return (torch.rand_like(values) < values).float()
