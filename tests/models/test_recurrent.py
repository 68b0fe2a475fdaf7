"""Recurrent layers: padding is never seen, gradients are cut where they are told, and an LSTM remembers."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from components.models.recurrent import Cell, Recurrent, from_the_end, pooled, remember, reordered
from components.params import params
from components.studies.gradient_reach import Config, FirstSign, draw, evaluate, gradients_by_step, reaches, sequences

LENGTHS = torch.tensor([9, 5, 1])


def values(steps: int = 9, width: int = 4) -> Tensor:
    return torch.randn(3, steps, width, generator=torch.Generator().manual_seed(1))


def network(cell: Cell = "lstm", widths: tuple[int, ...] = (6,), **settings: object) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, 4, widths, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_one_layer_gives_what_pytorchs_packed_sequences_do(cell: Cell, both_ways: bool) -> None:
    own = network(cell, both_ways=both_ways)
    kind = nn.LSTM if cell == "lstm" else nn.RNN
    theirs = kind(4, 6, batch_first=True, bidirectional=both_ways)
    state = dict(own.layers[0][0].state_dict())  # type: ignore[index]
    if both_ways:
        state |= {f"{name}_reverse": value for name, value in own.layers[0][1].state_dict().items()}  # type: ignore[index]
    theirs.load_state_dict(state)
    packed = pack_padded_sequence(values(), LENGTHS, batch_first=True)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = own(values(), LENGTHS)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(found[row, :length], expected[row, :length])


@pytest.mark.parametrize("how", ["last", "mean", "max"])
def test_padding_changes_nothing(how: str) -> None:
    model = network(widths=(6, 5), both_ways=True)
    longer = torch.cat([values(), 100 * torch.ones(3, 7, 4)], dim=1)
    expected = pooled(model(values(), LENGTHS), LENGTHS, how, both_ways=True)
    torch.testing.assert_close(pooled(model(longer, LENGTHS), LENGTHS, how, both_ways=True), expected)


def test_pooling_reads_the_last_step_the_mean_or_the_maximum() -> None:
    outputs = torch.tensor([[[1.0, -1], [3, -3], [9, 9]]])
    length = torch.tensor([2])
    assert pooled(outputs, length, "last", both_ways=False).tolist() == [[3, -3]]
    assert pooled(outputs, length, "last", both_ways=True).tolist() == [[3, -1]]
    assert pooled(outputs, length, "mean", both_ways=False).tolist() == [[2, -2]]
    assert pooled(outputs, length, "max", both_ways=False).tolist() == [[3, -1]]


def test_each_sequence_is_turned_within_its_length() -> None:
    order = from_the_end(torch.tensor([3, 2]), 4)
    assert order.tolist() == [[2, 1, 0, 3], [1, 0, 2, 3]]
    turned = reordered(torch.arange(8.0).reshape(2, 4, 1), order)
    assert turned[..., 0].tolist() == [[2, 1, 0, 3], [5, 4, 6, 7]]


def gradients(model: Recurrent, how: str = "last") -> Tensor:
    """(steps,): the norm of the gradient of a loss on the pooled outputs at each step's input."""
    given = values(12).requires_grad_()
    lengths = torch.full((3,), 12)
    pooled(model(given, lengths), lengths, how, both_ways=False).square().sum().backward()
    assert given.grad is not None
    norms: Tensor = given.grad.norm(dim=(0, 2))
    return norms


def weight_gradients(model: Recurrent) -> list[Tensor]:
    model.zero_grad()
    gradients(model)
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@pytest.mark.parametrize("widths", [(6,), (6, 5)])
@pytest.mark.parametrize("steps", [12, 13, 100])
def test_truncation_of_at_least_the_length_is_full_back_propagation(
    cell: Cell, widths: tuple[int, ...], steps: int
) -> None:
    full, cut = network(cell, widths), network(cell, widths, truncation=steps)
    torch.testing.assert_close(gradients(cut), gradients(full), atol=1e-6, rtol=0)
    for one, other in zip(weight_gradients(cut), weight_gradients(full), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@pytest.mark.parametrize("widths", [(6,), (6, 5)])
@pytest.mark.parametrize(("steps", "reached"), [(1, 1), (4, 4), (5, 2), (11, 1)])
def test_gradients_of_cut_steps_are_zero_and_the_outputs_are_the_same(
    cell: Cell, widths: tuple[int, ...], steps: int, reached: int
) -> None:
    full, cut = network(cell, widths), network(cell, widths, truncation=steps)
    found = gradients(cut)
    assert (found[: 12 - reached] == 0).all()
    assert (found[12 - reached :] > 0).all()
    assert (gradients(full) > 0).all()
    torch.testing.assert_close(cut(values(), LENGTHS), full(values(), LENGTHS))


def test_forget_gates_that_remember_have_biases_up_to_the_logarithm_of_the_steps() -> None:
    layer = nn.LSTM(1, 1000)
    torch.manual_seed(0)
    remember(layer, 200)
    biases = dict(layer.named_parameters())
    total = (biases["bias_ih_l0"] + biases["bias_hh_l0"]).detach()
    forget, inputs = total[1000:2000], total[:1000]
    assert 0 <= forget.min() < 1
    assert torch.tensor(199.0).log() - 0.1 < forget.max() <= torch.tensor(199.0).log()
    torch.testing.assert_close(inputs, -forget)


SHORT = Config(kind="gradient_reach", data="none", model="none", others="none", steps=12, training_steps=2)


def test_gradients_of_a_plain_rnn_vanish_over_200_steps_and_an_lstms_do_not() -> None:
    kinds: tuple[tuple[Cell, int], ...] = (("rnn", 0), ("lstm", 200))
    found = []
    for cell, memory in kinds:
        torch.manual_seed(0)
        model = FirstSign(cell, 32, memory)
        norms = gradients_by_step(model, *sequences(64, 200, torch.Generator().manual_seed(0)))
        assert len(norms) == 200
        found.append((norms[0] / norms[-1]).item())
    plain, remembering = found
    assert plain < 1e-12
    assert remembering > 1e-3


@pytest.mark.slow
def test_the_lstm_learns_what_the_plain_rnn_cannot(committed: params.Params, tmp_path: Path) -> None:
    config = committed.sections["gradient_reach"]
    assert isinstance(config, Config)

    def unread(name: str) -> NoReturn:
        pytest.fail(f"{name} is read")

    found = evaluate(config, unread, unread, tmp_path)
    assert found["plain_rnn"] < 0.65
    assert found["remembering_lstm"] > 0.95
    assert (tmp_path / "gradient_reach.png").stat().st_size > 10_000


def test_the_image_is_the_same_every_time_and_leaves_chance_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for name in ("a.png", "b.png"):
        draw(SHORT, reaches(SHORT), tmp_path / name)
    assert torch.equal(torch.get_rng_state(), before)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert reaches(SHORT)["plain_rnn"].gradients.shape == (12,)
