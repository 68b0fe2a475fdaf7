"""Loss and metrics summed over examples, then over workers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, distributed

ADDED_AT_ONCE = 256  # steps


class Sums:
    """In float64, on the device. A step's values are kept as they are and added up many at once: in a
    small network's step, adding would be felt.
    """

    def __init__(self, device: torch.device, workers: int) -> None:
        self.device, self.workers = device, workers
        self.names: tuple[str, ...] = ()
        self.kept: list[tuple[Tensor, ...]] = []
        self.counts: list[int] = []
        self.total: Tensor | float = 0.0

    def add(self, loss: Tensor, metrics: Mapping[str, Tensor], own: int) -> None:
        """A step's mean loss and summed metrics, which must not change later; own: the examples that count."""
        self.names = ("loss", *metrics)
        if own:
            self.kept.append((loss, *metrics.values()))
            self.counts.append(own)
        if len(self.kept) == ADDED_AT_ONCE:
            self._add_up()

    def means(self) -> dict[str, float]:
        """Over every example of all workers, each of which calls this."""
        if self.kept:
            self._add_up()
        values = torch.zeros(len(self.names) + 1, dtype=torch.float64, device=self.device) + self.total
        if self.workers > 1:
            distributed.all_reduce(values)
        return dict(zip(self.names, (values[:-1] / values[-1]).tolist(), strict=True))

    def _add_up(self) -> None:
        counts = torch.tensor(self.counts, dtype=torch.float64, device=self.device)
        losses, *metrics = (torch.stack(values).double() for values in zip(*self.kept, strict=True))
        sums = [losses @ counts, *(values.sum() for values in metrics), counts.sum()]
        self.total = self.total + torch.stack(sums)
        self.kept, self.counts = [], []
