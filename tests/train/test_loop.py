"""The training loop: it learns, repeats itself bit for bit, resumes, regularises and clips."""

from __future__ import annotations

import copy
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from components.data.arrays import Split, open_split
from components.errors import UserError
from components.models.families import cnn
from components.models.families.cnn import TASK
from components.train import batch_norm, batches, loop
from components.train.gradient_norms import LayerStatistics
from components.train.gradients import clip_gradients, make_optimizer, penalty
from components.train.loop import State, Training, fit, validate
from tests.conftest import CPU, REPO, Config


def trained(config: Any, split: Split, resume: State | None = None) -> tuple[Training, list[State]]:
    """A finished training and a copy of the state after each epoch, as a checkpoint holds it."""
    states: list[State] = []
    training = fit(TASK, config, split, CPU, lambda _, state: states.append(copy.deepcopy(state or {})), resume)
    return training, states


def same_weights(one: Training, other: Training) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns(config: Config, made_split: Split) -> None:
    history = trained(config(epochs=5, batch_size=32, filters=[8], learning_rate=0.003), made_split)[0].history
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4, 5]
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["validation_accuracy"] > 0.6  # chance is 0.1


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(config: Config, made_split: Split) -> None:
    one, again, other = (trained(config(epochs=1, seed=seed), made_split)[0] for seed in (1, 1, 2))
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"optimizer": "nadam"},
        {"schedule": "cosine", "warmup_ratio": 0.3, "ema": 0.9, "weight_decay": 0.01},
        {"optimizer": "sgd", "schedule": "step", "ema": 0.5},
    ],
    ids=str,
)
def test_resuming_gives_the_weights_of_never_having_stopped(
    config: Config, made_split: Split, changes: dict[str, Any]
) -> None:
    settings = config(epochs=4, batch_norm=True, dropout=0.5, **changes)
    straight, states = trained(settings, made_split)
    for epoch in (1, 3):
        resumed, _ = trained(settings, made_split, resume=states[epoch - 1])
        assert same_weights(straight, resumed)
        assert resumed.history == straight.history


def test_a_finished_state_is_not_trained_on(config: Config, made_split: Split) -> None:
    _, states = trained(config(epochs=2), made_split)
    _, more = trained(config(epochs=2), made_split, resume=states[-1])
    assert more == []


def test_it_stops_after_patience_epochs_without_a_lower_validation_loss(config: Config, made_split: Split) -> None:
    # A learning rate that is far too high: the first epochs are the best.
    history = trained(config(epochs=30, patience=2, learning_rate=0.2), made_split)[0].history
    losses = [epoch["validation_loss"] for epoch in history]
    best = losses.index(min(losses))
    assert len(history) == best + 1 + 2 < 30


def test_the_best_epochs_weights_are_in_the_state(config: Config, made_split: Split) -> None:
    training, states = trained(config(epochs=6, learning_rate=0.05, batch_size=16), made_split)
    losses = [epoch["validation_loss"] for epoch in training.history]
    best = losses.index(min(losses))
    assert training.best is not None
    assert training.best["epoch"] == best + 1
    kept = training.best["model"].items()
    assert all(torch.equal(weight, states[best]["model"][name]) for name, weight in kept)


def test_a_loss_that_is_no_number_says_what_to_change(config: Config, made_split: Split) -> None:
    with pytest.raises(UserError, match=r"lower cnn\.learning_rate.*or set cnn\.clip"):
        trained(config(epochs=3, optimizer="sgd", learning_rate=1e30), made_split)


def test_l1_and_l2_are_sums_over_weights_and_not_biases() -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -4.0]]))
        model.bias.fill_(100.0)
    assert penalty(model, l1=1.0, l2=0.0).item() == pytest.approx(7.0)
    assert penalty(model, l1=0.0, l2=1.0).item() == pytest.approx(25.0)
    assert penalty(model, l1=0.1, l2=0.01).item() == pytest.approx(0.95)


def test_l1_takes_more_weights_near_zero_than_none(config: Config, made_split: Split) -> None:
    def small(training: Training) -> float:
        weights = torch.cat([p.flatten() for p in training.model.parameters() if p.dim() > 1])
        return (weights.abs() < 1e-3).float().mean().item()

    plain, sparse = (trained(config(epochs=5, l1=l1), made_split)[0] for l1 in (0.0, 0.01))
    assert small(sparse) > 5 * small(plain)


def test_clipping_by_value_bounds_each_component_and_by_norm_the_whole(config: Config) -> None:
    def clipped(**changes: Any) -> torch.Tensor:
        model = nn.Linear(4, 1, bias=False)
        model.weight.grad = torch.tensor([[3.0, -4.0, 0.5, 0.0]])
        clip_gradients(model, config(**changes))
        return model.weight.grad.flatten()

    assert clipped(clip="value", clip_limit=1.0).tolist() == [1.0, -1.0, 0.5, 0.0]
    assert clipped(clip="norm", clip_limit=1.0).norm().item() == pytest.approx(1.0, rel=1e-4)
    assert clipped(clip="none").tolist() == [3.0, -4.0, 0.5, 0.0]


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"channels_last": True}], ids=str)
def test_bfloat16_and_channels_last_train_to_about_the_same_loss(
    config: Config, made_split: Split, changes: dict[str, Any]
) -> None:
    plain, other = (trained(config(epochs=3, dropout=0.0, **c), made_split)[0] for c in ({}, changes))
    assert other.history[-1]["loss"] == pytest.approx(plain.history[-1]["loss"], rel=0.05)
    assert all(p.dtype == torch.float32 for p in other.model.parameters())


def test_validation_counts_every_example_once_whatever_the_batch(config: Config, made_split: Split) -> None:
    training, _ = trained(config(epochs=1), made_split)
    whole = validate(training, "validation")
    training.config = config(batch_size=7)
    assert validate(training, "validation") == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(("batch", "validated"), [(1, 4), (32, 128), (100, 128), (128, 128), (1000, 1000)])
def test_small_networks_are_validated_on_more_at_once_and_trained_as_asked(
    config: Config, batch: int, validated: int
) -> None:
    assert batches._batch_size(config(batch_size=batch), "train") == batch
    assert batches._batch_size(config(batch_size=batch), "validation") == validated


def test_layer_statistics_measure_gradient_and_relative_update() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    statistics = LayerStatistics(model, steps=1)
    model.weight.grad = torch.tensor([[0.6, 0.8]])
    statistics.before_step()
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    statistics.after_step()
    assert statistics.layers()["weight"] == pytest.approx({"gradient": 1.0, "update": 0.5 / 5})
    assert statistics.total() == pytest.approx(1.0)


def with_rows(split: Split, count: int) -> Split:
    return replace(split, rows={**split.rows, "train": split.rows["train"][:count]})


@pytest.mark.parametrize("rows", [33, 65, 97, 800])
@pytest.mark.parametrize("batch_size", [16, 17, 32])
def test_a_lone_last_example_joins_the_batch_before_it(
    rows: int, batch_size: int, config: Config, made_split: Split
) -> None:
    training = trained(config(epochs=1, batch_norm=True, batch_size=batch_size), with_rows(made_split, rows))[0]
    sizes = [whole for _, _, whole in batches.batches(training, "train", torch.Generator().manual_seed(0))]
    assert sum(sizes) == rows
    assert min(sizes) > 1
    assert max(sizes) <= batch_size + 1
    assert training.history[0]["loss"] > 0


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("rows", range(90, 100))
def test_each_of_many_workers_gets_two_examples_of_each_batch(
    world: int, rows: int, config: Config, made_split: Split
) -> None:
    training = Training(TASK, config(batch_norm=True, batch_size=2 * world), with_rows(made_split, rows), CPU)
    shares = []
    training.world = world
    for training.rank in range(world):
        shares.append([own for _, own, _ in batches.batches(training, "train", torch.Generator().manual_seed(0))])
    assert sum(map(sum, shares)) == rows
    assert min(map(min, shares)) >= 2
    assert len({len(own) for own in shares}) == 1


def test_without_batch_norm_batches_are_cut_as_ever(config: Config, made_split: Split) -> None:
    training = Training(TASK, config(batch_size=32), with_rows(made_split, 65), CPU)
    assert [whole for _, _, whole in batches.batches(training, "train", None)] == [32, 32, 1]


def test_one_example_alone_under_batch_norm_is_one_message(config: Config, made_split: Split) -> None:
    with pytest.raises(UserError, match=r"cnn: batch norm cannot .* set cnn\.batch_size to 2 or more"):
        trained(config(epochs=1, batch_norm=True, batch_size=1), made_split)


def test_a_batch_too_small_for_batch_norm_on_many_workers_is_refused_by_all(config: Config, made_split: Split) -> None:
    training = Training(TASK, config(batch_norm=True, batch_size=5), made_split, CPU)
    training.world = 3
    with pytest.raises(UserError, match=r"5 is not enough for 3 workers, each of which .* TRAINYARD_WORKERS to 2"):
        training._check_batch_size()


def statistics_of(training: Training) -> list[torch.Tensor]:
    return [s for norm in training.norms for s in (norm.running_mean, norm.running_var) if s is not None]


def test_the_kept_statistics_are_those_of_the_epochs_weights_however_short_the_training(
    config: Config, made_split: Split
) -> None:
    """By the loss in training mode, which takes them of each batch: with stale ones validation's is far from it."""
    settings = config(epochs=2, batch_norm=True, dropout=0.0, learning_rate=0.01, batch_size=400)
    training, states = trained(settings, made_split)
    for norm in training.norms:
        assert norm.momentum == 0.1
    weights = copy.deepcopy(training.model)
    for norm in batch_norm.trained(weights):
        norm.reset_running_stats()
        norm.momentum = None
    weights.train()
    with torch.no_grad():
        order = torch.Generator().manual_seed(settings.seed)
        for batch, _, _ in batches.batches(training, "train", order):
            weights(batch.inputs)
    expected = [s for n in batch_norm.trained(weights) for s in (n.running_mean, n.running_var) if s is not None]
    for own, other in zip(statistics_of(training), expected, strict=True):
        assert torch.allclose(own, other, rtol=1e-4, atol=1e-6)
    assert states[-1]["best"]["epoch"] == 2


def test_measuring_the_statistics_anew_changes_no_weight(
    config: Config, made_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(epochs=2, batch_norm=True)
    measured = trained(settings, made_split)[0]
    monkeypatch.setattr(loop, "_settle_statistics", lambda training: None)
    left = trained(settings, made_split)[0]
    for one, other in zip(measured.model.parameters(), left.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(statistics_of(measured)[0], statistics_of(left)[0])


def _one_of_two_workers(rank: int, store: str, section: str, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    training = fit(TASK, TASK.config.model_validate_json(section), open_split(folder), CPU, lambda *_: None)
    if rank == 0:
        torch.save({"model": training.model.state_dict(), "history": training.history}, f"{store}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_with_two_workers_and_batch_norm_the_model_that_is_kept_is_the_one_that_was_validated(
    config: Config, made_split: Split, tmp_path: Path
) -> None:
    settings = config(epochs=1, batch_norm=True)
    store = str(tmp_path / "store")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        shares = [(rank, store, settings.model_dump_json(), made_split.folder) for rank in (0, 1)]
        pool.starmap(_one_of_two_workers, shares, chunksize=1)
    kept = torch.load(f"{store}.pt", weights_only=True)
    alone = Training(TASK, settings, made_split, CPU)
    alone.model.load_state_dict(kept["model"])
    assert validate(alone, "validation")["loss"] == pytest.approx(kept["history"][0]["validation_loss"], rel=1e-6)


def test_a_training_imports_no_compiler() -> None:
    """Importing torch's takes longer than many a training's epochs."""
    code = (
        "import sys, torch; from torch import nn; from types import SimpleNamespace as N\n"
        "from components.train.gradients import make_optimizer\n"
        "for kind in ('adam', 'sgd', 'nadam'):\n"
        "    model = nn.Linear(2, 2)\n"
        "    made = make_optimizer(model, N(optimizer=kind, learning_rate=0.1, momentum=0.9, rates=dict))\n"
        "    model(torch.ones(1, 2)).sum().backward(); made.step(); made.zero_grad()\n"
        "    made.load_state_dict(made.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules and 'torch._inductor' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)


@pytest.mark.parametrize("name", ["adam", "sgd", "nadam"])
def test_the_optimizers_take_torchs_own_steps(name: str, config: Config) -> None:
    """To the last digits, which a pass over all weights at once may round otherwise."""
    kinds: dict[str, Any] = {
        "adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9), "nadam": torch.optim.NAdam
    }  # fmt: skip
    own = kinds[name]
    torch.manual_seed(0)
    one, inputs = nn.Linear(20, 5), torch.randn(8, 20)
    two = copy.deepcopy(one)
    ours = make_optimizer(two, config(optimizer=name, learning_rate=0.01))
    pairs = ((one, own(one.parameters(), lr=0.01)), (two, ours))
    for _ in range(20):
        for model, optimizer in pairs:
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    assert torch.allclose(one.weight, two.weight, rtol=1e-5, atol=1e-7)
    assert not torch.equal(one.weight, nn.Linear(20, 5).weight)


def test_a_state_leaves_frozen_weights_out_and_going_on_has_them_again(made_split: Split, config: Config) -> None:
    def half_frozen(settings: Any, data: Any) -> nn.Module:
        model = cnn.build(settings, data)
        model.get_parameter("features.0.weight").requires_grad_(False)
        return model

    task, settings = replace(TASK, build=half_frozen), config(epochs=2)
    states: list[State] = []
    whole = fit(task, settings, made_split, CPU, lambda _, state: states.append(copy.deepcopy(state)))  # type: ignore[arg-type]
    assert "features.0.weight" in whole.model.state_dict()
    assert "features.0.weight" not in states[0]["model"]
    assert "features.0.weight" not in states[0]["best"]["model"]
    resumed = fit(task, settings, made_split, CPU, lambda *_: None, resume=states[0])
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
