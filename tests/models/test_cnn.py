"""The course notes' CNN, and what its parameters change."""

from __future__ import annotations

import pytest
import torch

from components.data.arrays import DataSpec
from components.errors import UserError
from components.models.families import cnn
from tests.conftest import Config

DIGITS = DataSpec((1, 28, 28), tuple("0123456789"))


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_committed_cnn_has_the_notes_19927_parameters(config: Config) -> None:
    # Conv 40 + conv 37 + dense 144 x 128 + 128 = 18,560 + dense 128 x 10 + 10 = 1,290
    assert parameters(cnn.build(config(), DIGITS)) == 40 + 37 + 18_560 + 1_290 == 19_927


def test_images_become_one_logit_per_class(config: Config) -> None:
    assert cnn.build(config(), DIGITS)(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"filters": [8]}, 80 + (8 * 13 * 13 * 128 + 128) + 1_290),
        ({"dense": []}, 40 + 37 + 144 * 10 + 10),
        ({"dense": [64, 32]}, 40 + 37 + (144 * 64 + 64) + (64 * 32 + 32) + 330),
        ({"batch_norm": True}, 19_927 + 2 * (4 + 1 + 128)),
    ],
    ids=str,
)
def test_every_width_and_batch_norm_are_parameters(config: Config, changes: dict[str, object], count: int) -> None:
    assert parameters(cnn.build(config(**changes), DIGITS)) == count


def test_dropout_leaves_out_its_fraction_in_training_only(config: Config) -> None:
    model = cnn.build(config(dropout=0.9), DIGITS)
    dropout = next(m for m in model.modules() if isinstance(m, torch.nn.Dropout))
    ones = torch.ones(100_000)
    assert (dropout.train()(ones) == 0).float().mean().item() == pytest.approx(0.9, abs=0.01)
    assert torch.equal(dropout.eval()(ones), ones)


def test_biases_start_at_zero_and_weights_as_glorot_has_it(config: Config) -> None:
    dense = cnn.build(config(), DIGITS).classifier[0]
    assert isinstance(dense, torch.nn.Linear)
    assert dense.bias.abs().max() == 0
    assert dense.weight.abs().max().item() == pytest.approx((6 / (144 + 128)) ** 0.5, rel=0.01)


def test_too_many_convolutions_for_the_image_name_the_setting(config: Config) -> None:
    with pytest.raises(UserError, match=r"cnn\.filters: 14 convolutions of 3 x 3"):
        cnn.build(config(filters=[1] * 14), DIGITS)


def test_data_that_are_no_images_are_refused(config: Config) -> None:
    with pytest.raises(UserError, match="needs images"):
        cnn.build(config(), DataSpec((100,), ("a", "b")))


@pytest.mark.parametrize(("pooling", "side"), [("each", 10), ("last", 6)])
def test_the_smallest_image_that_poolings_leave_something_of(config: Config, pooling: str, side: int) -> None:
    settings = config(filters=[4, 4], pooling=pooling, batch_norm=False)
    model = cnn.build(settings, DataSpec((1, side, side), ("a", "b")))
    assert model(torch.zeros(2, 1, side, side)).shape == (2, 2)
    with pytest.raises(UserError, match="leave nothing"):
        cnn.build(settings, DataSpec((1, side - 1, side - 1), ("a", "b")))
