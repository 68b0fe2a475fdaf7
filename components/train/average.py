"""An average of the weights over the last steps, which tests better than any one step's (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of the trained weights.

    At step t (from 0) the average keeps min(decay, (1 + t) / (10 + t)) of itself, so that a short training does not
    end with the weights that it began with (as TensorFlow's ExponentialMovingAverage does it).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.kept = {name: weight.detach().clone() for name, weight in self.trained.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        keeps = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([*self.kept.values()], [*self.trained.values()], 1 - keeps)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model's weights are the averages."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self.trained.items():
            was = weight.detach().clone()
            weight.copy_(self.kept[name])
            self.kept[name].copy_(was)

    @torch.no_grad()
    def restore(self, kept: Mapping[str, Tensor]) -> None:
        for name, average in self.kept.items():
            average.copy_(kept[name])
