"""The average of weights is what is validated, kept and saved; training goes on with the weights themselves."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from components.data.arrays import Split
from components.models import artifact
from components.models.families.cnn import TASK
from components.train.average import WeightAverage
from components.train.loop import State, Training, fit, validate
from tests.conftest import CPU, Config


def test_it_is_the_moving_average_of_the_weights() -> None:
    model = nn.Linear(3, 2)
    average, expected = WeightAverage(model, 0.6), model.weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            model.weight += torch.randn(2, 3)
        average.update(step)
        keeps = min(0.6, (1 + step) / (10 + step))
        expected = keeps * expected + (1 - keeps) * model.weight.detach()
    assert torch.allclose(average.kept["weight"], expected, atol=1e-6)


def test_within_the_block_the_model_is_the_average_and_after_it_what_it_was() -> None:
    model = nn.Linear(3, 2)
    average, before = WeightAverage(model, 0.9), model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    with pytest.raises(KeyError), average.in_place():
        assert torch.equal(model.weight, before)
        raise KeyError
    assert torch.equal(model.weight, before + 1)
    assert torch.equal(average.kept["weight"], before)


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_model_that_is_saved_is_the_one_that_was_validated(
    config: Config, made_split: Split, tmp_path: Path, keep: str, batch_norm: bool
) -> None:
    settings = config(epochs=3, ema=0.95, keep=keep, batch_norm=batch_norm, learning_rate=0.003)
    states: list[State] = []
    training = fit(TASK, settings, made_split, CPU, lambda _, state: states.append(copy.deepcopy(state or {})))
    artifact.save(tmp_path / "model", TASK, settings, made_split.spec, states[-1])
    saved = artifact.load(tmp_path / "model")
    alone = Training(TASK, settings, made_split, CPU)
    alone.model.load_state_dict(saved.model.state_dict())
    told = training.history[saved.epoch - 1]["validation_loss"]
    assert validate(alone, "validation")["loss"] == pytest.approx(told, rel=1e-5)
    weights, kept = training.model.state_dict(), saved.model.state_dict()
    assert not torch.equal(weights["classifier.0.weight"], kept["classifier.0.weight"])


def test_the_weights_in_training_are_those_without_an_average(config: Config, made_split: Split) -> None:
    with_it, without = (
        fit(TASK, config(epochs=2, ema=ema), made_split, CPU, lambda *_: None).model.state_dict() for ema in (0.9, 0.0)
    )
    assert all(torch.equal(with_it[name], without[name]) for name in without)


def test_an_average_tests_better_than_the_last_weights_of_a_large_rate(config: Config, made_split: Split) -> None:
    def loss(ema: float) -> float:
        settings = config(epochs=4, optimizer="sgd", learning_rate=0.08, batch_size=8, ema=ema, seed=1)
        history = fit(TASK, settings, made_split, CPU, lambda *_: None).history
        return float(history[-1]["validation_loss"])

    assert loss(0.98) < loss(0.0)
