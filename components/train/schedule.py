"""The learning rate of each step, by the step's number alone, so that a training that goes on computes the same one."""

from __future__ import annotations

import math

import torch

from components.models.task import TrainingConfig

DROPS = (0.5, 0.75)  # of all steps, after which `step` divides the rate by ten (as He et al. 2016 for CIFAR-10)
SCALE = "scale"  # of a group of weights: times the learning rate


def factor(config: TrainingConfig, step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step (from 0) of so many.

    It rises in a straight line over the first `warmup_ratio` of all steps (Goyal et al. 2017), then follows `schedule`.
    A rise over a third and a cosine down is one-cycle (Smith and Topin 2018) with a constant momentum.
    """
    rising = math.ceil(config.warmup_ratio * steps)
    if step < rising:
        return (step + 1) / rising
    past = (step - rising) / max(1, steps - rising)
    if config.schedule == "cosine":  # Loshchilov and Hutter 2017, equation 5, without restarts
        return 0.5 * (1 + math.cos(math.pi * past))
    if config.schedule == "linear":
        return 1 - past
    if config.schedule == "step":
        return float(0.1 ** sum(step >= drop * steps for drop in DROPS))
    return 1.0


def set_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int, steps: int) -> None:
    """Give each group of weights its learning rate for a step."""
    rate = config.learning_rate * factor(config, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SCALE, 1.0)
