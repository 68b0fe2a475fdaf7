"""What is done to gradients: penalties that add to them, clipping, and the optimizer that follows them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from components.task import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015), SGD with momentum, or NAdam (Dozat 2016)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=config.learning_rate, momentum=config.momentum)
    if config.optimizer == "nadam":
        return torch.optim.NAdam(trained, lr=config.learning_rate)
    return torch.optim.Adam(trained, lr=config.learning_rate)


def penalty(model: nn.Module, l1: float, l2: float) -> Tensor:
    """l1 x sum |w| + l2 x sum w² over trained weights, not biases or scales: lasso and ridge."""
    weights = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    total = torch.zeros((), device=weights[0].device)
    for weight in weights:
        total = total + l1 * weight.abs().sum() + l2 * weight.square().sum()
    return total


def clip_gradients(model: nn.Module, config: TrainingConfig) -> None:
    """By value: each component to [-limit, limit]. By norm: scaled so that the whole has at most limit."""
    if config.clip == "value":
        nn.utils.clip_grad_value_(model.parameters(), config.clip_limit)
    elif config.clip == "norm":
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_limit)
