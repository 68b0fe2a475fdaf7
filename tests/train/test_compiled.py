"""`compile: true`: the same training but for rounding, repeated and resumed bit for bit, or one message."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch

from components.data.arrays import Split
from components.errors import UserError
from components.models.families.cnn import TASK
from components.train import compiled
from components.train.loop import State, fit
from tests.conftest import CPU, Config

has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


@pytest.mark.slow
@has_compiler
def test_a_compiled_training_goes_on_bit_for_bit(config: Config, made_split: Split) -> None:
    states: list[State] = []
    settings = config(epochs=3, batch_size=120, compile=True)  # of 800: six batches of full size, and one of 80

    def keep(_: object, state: State | None) -> None:
        states.append(copy.deepcopy(state or {}))

    whole = fit(TASK, settings, made_split, CPU, keep)
    assert whole.compiled is not None
    resumed = fit(TASK, settings, made_split, CPU, keep, resume=states[1])
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@has_compiler
def test_a_compiled_training_is_the_same_but_for_rounding(config: Config, made_split: Split) -> None:
    one, other = (
        fit(TASK, config(epochs=2, dropout=0.0, compile=asked), made_split, CPU, lambda *_: None).history[-1]["loss"]
        for asked in (True, False)
    )
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_a_network_that_cannot_be_compiled_is_one_message(config: Config, made_split: Split) -> None:
    with (
        torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",)),
        pytest.raises(UserError, match=r"cnn\.compile: true: torch cannot compile this network: .*; set it to false"),
    ):
        torch.compiler.reset()
        fit(TASK, config(epochs=1, compile=True, dense=(37,)), made_split, CPU, lambda *_: None)


@pytest.mark.parametrize(
    ("asked", "device", "steps", "wanted"),
    [
        (False, "cuda", 10**6, False),
        ("auto", "cpu", 10**6, False),
        ("auto", "cuda", 49_999, False),
        ("auto", "cuda", 50_000, True),
        (True, "cpu", 1, True),
    ],
)
def test_auto_compiles_long_trainings_on_a_gpu(
    asked: bool | str, device: str, steps: int, wanted: bool, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda model: model)  # which would import the compiler
    model = torch.nn.Linear(1, 1)
    found = compiled.network(model, config(compile=asked), torch.device(device), steps)
    assert (found is not None) == wanted
