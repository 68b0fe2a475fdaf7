"""Gradients: penalties that add to them, clipping, and the optimizer that follows them."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from components.models.task import TrainingConfig
from components.train.schedule import SCALE


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015), SGD with momentum, or NAdam (Dozat 2016)."""
    kinds = {"sgd": torch.optim.SGD, "nadam": torch.optim.NAdam, "adam": torch.optim.Adam}
    options: dict[str, Any] = {"lr": config.learning_rate}
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
    if config.optimizer != "nadam":  # which has no such form
        options["fused"] = True  # all weights in one pass a step
    optimizer: torch.optim.Optimizer = _without_compiler(kinds[config.optimizer])(_groups(model, config), **options)
    return optimizer


def _groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, Any]]:
    """The trained weights; those with a rate of their own are groups of their own."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    groups: list[dict[str, Any]] = []
    for part, scale in config.rates().items():
        own = [trained.pop(name) for name in [*trained] if name.startswith(part)]
        groups += [{"params": own, SCALE: scale}] if own else []
    return [*([{"params": [*trained.values()]}] if trained else []), *groups]


@torch.no_grad()
def decay_weights(optimizer: torch.optim.Optimizer, config: TrainingConfig) -> None:
    """Shrink weights, not biases or scales, apart from the loss's gradients (Loshchilov and Hutter 2019, AdamW)."""
    if not config.weight_decay:
        return
    for group in optimizer.param_groups:
        weights = [weight for weight in group["params"] if weight.dim() > 1]
        if weights:
            torch._foreach_mul_(weights, 1 - group["lr"] * config.weight_decay)


def clear(optimizer: torch.optim.Optimizer) -> None:
    """Forget the last step's gradients, as `zero_grad` does, which also tells the profiler and so takes longer."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = None


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


def _without_compiler(kind: type[torch.optim.Optimizer]) -> Any:
    """The same optimizer, which imports no compiler and calls no hooks.

    Importing torch's compiler takes longer than many a training's epochs, and torch (2.15) does so just to say of these
    methods that they are not to be compiled. Looking for hooks, of which there are none here, and telling the profiler
    would be felt in a small network's step.
    """
    marked = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    bare: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in marked}
    step: Any = torch.no_grad()(inspect.unwrap(kind.step))
    step.hooked = True  # what torch writes there once it has wrapped it
    return type(kind.__name__, (kind,), {**bare, "step": step})
