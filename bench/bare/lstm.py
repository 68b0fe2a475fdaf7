"""The classifier of texts, an LSTM both ways, as a bare PyTorch loop: what the real loop is compared with."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH, POOL, VECTOR, HIDDEN = 32, 50, 100, 64


class Network(nn.Module):
    """Words' numbers (batch, words), 0 behind a shorter text → logits of 2 classes."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, VECTOR, padding_idx=0)
        self.lstm = nn.LSTM(VECTOR, HIDDEN, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * HIDDEN, 2)

    def forward(self, numbers: Tensor) -> Tensor:
        outputs, _ = self.lstm(functional.dropout(self.embedding(numbers), 0.3, self.training))
        largest = outputs.masked_fill((numbers == 0)[..., None], -torch.inf).amax(dim=1)
        logits: Tensor = self.dense(functional.dropout(largest, 0.5, self.training))
        return logits


def epochs(texts: Tensor, targets: Tensor, held_out: Tensor, answers: Tensor, count: int) -> list[float]:
    """Train for `count` epochs and validate after each; the seconds of each.

    texts, held_out: int32 (examples, words); targets, answers: int64 (examples,).
    """
    words = 1 + int(max(texts.max(), held_out.max()))
    lengths, longest = (texts != 0).sum(dim=1), (held_out != 0).sum(dim=1)
    model, seconds = Network(words), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    for _ in range(count):
        started = time.perf_counter()
        model.train()
        for rows in _buckets(lengths):
            optimizer.zero_grad()
            functional.cross_entropy(model(_numbers(texts, lengths, rows)), targets[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for rows in longest.argsort().split(BATCH):
                (model(_numbers(held_out, longest, rows)).argmax(dim=1) == answers[rows]).sum()
        seconds.append(time.perf_counter() - started)
    return seconds


def _buckets(lengths: Tensor) -> list[Tensor]:
    """Batches of about one length, in an order of chance."""
    pools = torch.randperm(len(lengths)).split(POOL * BATCH)
    batches = [batch for pool in pools for batch in pool[lengths[pool].argsort()].split(BATCH)]
    return [batches[number] for number in torch.randperm(len(batches)).tolist()]


def _numbers(texts: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
    return texts[rows, : int(lengths[rows].max())].long()
