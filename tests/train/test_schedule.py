"""The learning rate of each step, groups with a rate of their own, and weights that shrink."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from components.data.arrays import Split
from components.models.families.cnn import TASK
from components.train.gradients import decay_weights, make_optimizer
from components.train.loop import fit
from components.train.schedule import factor, set_rate
from tests.conftest import CPU, Config

STEPS = 100


def factors(config: Config, **changes: object) -> list[float]:
    return [factor(config(**changes), step, STEPS) for step in range(STEPS)]


def test_without_a_schedule_the_rate_stays(config: Config) -> None:
    assert factors(config) == [1.0] * STEPS


def test_the_cosine_is_torchs_own(config: Config) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for ours in factors(config, schedule="cosine"):
        assert ours == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_steps_divide_by_ten_after_a_half_and_three_quarters(config: Config) -> None:
    found = factors(config, schedule="step")
    assert found == pytest.approx([1.0] * 50 + [0.1] * 25 + [0.01] * 25)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
@pytest.mark.parametrize("warmup_ratio", [0.01, 0.05, 0.3, 0.99])
def test_it_rises_over_the_warm_up_to_the_whole_rate_and_never_after_it(
    config: Config, schedule: str, warmup_ratio: float
) -> None:
    found = factors(config, schedule=schedule, warmup_ratio=warmup_ratio)
    rising = round(warmup_ratio * STEPS)
    assert found[:rising] == pytest.approx([(step + 1) / rising for step in range(rising)])
    assert all(0 <= later <= earlier for earlier, later in pairwise(found[rising:]))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_training_of_few_steps_has_a_rate_at_each(config: Config, steps: int) -> None:
    for schedule in ("constant", "cosine", "linear", "step"):
        for warmup_ratio in (0.0, 0.5, 0.9):
            settings = config(schedule=schedule, warmup_ratio=warmup_ratio)
            assert all(0 <= factor(settings, step, steps) <= 1 for step in range(steps))
            assert factor(settings, 0, steps) > 0


def test_a_group_with_a_rate_of_its_own_keeps_its_share_of_it(config: Config) -> None:
    model = nn.ModuleDict({"slow": nn.Linear(3, 3), "rest": nn.Linear(3, 3)})
    settings = config(learning_rate=0.1, schedule="linear")
    object.__setattr__(settings, "rates", lambda: {"slow.": 0.1, "none.": 0.5})
    optimizer = make_optimizer(model, settings)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]
    set_rate(optimizer, settings, 50, STEPS)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])


def test_with_weight_decay_adam_is_torchs_adamw_but_for_biases(config: Config) -> None:
    torch.manual_seed(0)
    one, inputs = nn.Linear(20, 5), torch.randn(8, 20)
    two = copy.deepcopy(one)
    groups = [{"params": [one.weight], "weight_decay": 0.5}, {"params": [one.bias], "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01)
    settings = config(learning_rate=0.01, weight_decay=0.5)
    ours = make_optimizer(two, settings)
    for _ in range(20):
        for model in (one, two):
            model.zero_grad()
            model(inputs).square().mean().backward()
        theirs.step()
        decay_weights(ours, settings)
        ours.step()
    assert torch.allclose(one.weight, two.weight, rtol=1e-5, atol=1e-7)
    assert torch.allclose(one.bias, two.bias, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nadam"])
def test_weight_decay_makes_weights_smaller_with_any_optimizer(
    config: Config, made_split: Split, optimizer: str
) -> None:
    def size(decay: float) -> float:
        settings = config(epochs=2, optimizer=optimizer, weight_decay=decay, filters=[4])
        model = fit(TASK, settings, made_split, CPU, lambda *_: None).model
        return sum(weight.square().sum().item() for weight in model.parameters() if weight.dim() > 1)

    assert size(5.0) < 0.95 * size(0.0)


def test_the_last_steps_of_a_linear_schedule_change_less(config: Config, made_split: Split) -> None:
    settings = config(epochs=6, schedule="linear", filters=[4])
    history = fit(TASK, settings, made_split, CPU, lambda *_: None).history
    updates = [epoch["layers"]["classifier.0.weight"]["update"] for epoch in history]
    assert updates[-1] < 0.4 * updates[0]
