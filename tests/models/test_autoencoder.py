"""The stacked autoencoder: the notes' numbers, its convolutional kin, and what it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.evaluate.autoencoder import RESULTS
from components.models import reconstruction
from components.models.encoders import Decoder, Encoder, named_encoder
from components.models.families import autoencoder
from components.models.task import Batch
from components.params import params
from components.train.loop import fit
from tests.conftest import CPU

DIGITS = DataSpec((1, 28, 28), tuple("0123456789"))
Make = Callable[..., autoencoder.Config]


@pytest.fixture
def make(committed: params.Params) -> Make:
    section = committed.sections["autoencoder"].model_dump()
    return lambda **changes: autoencoder.Config.model_validate({**section, **changes}, strict=False)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_committed_one_has_the_notes_163814_parameters(make: Make) -> None:
    # 784 x 100 + 100 and 100 x 30 + 30 down, 30 x 100 + 100 and 100 x 784 + 784 up
    assert parameters(autoencoder.build(make(), DIGITS)) == 78_500 + 3_030 + 3_100 + 79_184 == 163_814


@pytest.mark.parametrize(
    "changes",
    [{}, {"widths": []}, {"filters": [4]}, {"filters": [4, 8, 16], "widths": []}, {"bottleneck": 2}],
    ids=str,
)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 15, 22)], ids=str)
def test_what_comes_out_has_the_shape_of_what_goes_in(
    make: Make, changes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    config = make(**changes)
    model = autoencoder.build(config, DataSpec(shape, ("a", "b")))
    images = torch.rand(2, *shape)
    assert model.encoder(images).shape == (2, config.bottleneck)
    assert model(images).shape == images.shape


def test_weights_start_as_lecun_has_it_and_keep_the_variance() -> None:
    torch.manual_seed(0)
    encoder = Encoder((1, 28, 28), [], [400, 300])
    dense = encoder[1]
    assert isinstance(dense, torch.nn.Linear)
    assert dense.weight.std().item() == pytest.approx(784**-0.5, rel=0.01)
    assert dense.bias.abs().max() == 0
    found = encoder(torch.randn(2000, 1, 28, 28))
    assert found.mean().item() == pytest.approx(0, abs=0.1)
    assert found.std().item() == pytest.approx(1, abs=0.1)


def test_transposed_convolutions_keep_the_variance_too() -> None:
    torch.manual_seed(0)
    decoder = Decoder((1, 56, 56), [16, 32], [64])
    assert decoder(torch.randn(500, 64)).std().item() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("filters", [[], [4, 8]])
def test_an_encoders_name_makes_it_again(filters: list[int], mean: bool) -> None:
    encoder = Encoder((3, 20, 30), filters, [50, 7], mean)
    again = named_encoder(encoder.name)
    assert again is not None
    again.load_state_dict(encoder.state_dict())
    images = torch.rand(2, 3, 20, 30)
    assert torch.equal(again(images), encoder(images))


@pytest.mark.parametrize("name", ["encoder", "encoder_28x28_30", "encoder_1x28x28", "encoder_1x28x28_0", "resnet18"])
def test_other_names_are_no_encoders(name: str) -> None:
    assert named_encoder(name) is None


def test_the_loss_and_the_rounded_accuracy_by_hand() -> None:
    logits = torch.tensor([[[[0.0, math.log(3)], [math.log(3), -1.0]]]])
    targets = torch.tensor([[[[1.0, 1.0], [0.0, 0.2]]]])
    batch = Batch(targets, targets)
    last = 0.2 * math.log(1 + math.e) + 0.8 * math.log(1 + math.exp(-1))
    expected = (math.log(2) - math.log(0.75) - math.log(0.25) + last) / 4
    assert reconstruction.loss(None, logits, batch).item() == pytest.approx(expected)
    assert reconstruction.errors(logits, targets).tolist() == [pytest.approx(expected)]
    # 0.5 is rounded to 0, so the first is wrong; the third is wrong by far.
    assert reconstruction.metrics(logits, batch)["rounded_accuracy"].item() == pytest.approx(0.5)


def test_data_that_are_no_images_and_images_that_are_too_small_are_refused(make: Make) -> None:
    with pytest.raises(UserError, match=r"autoencoder\.data: .* needs images"):
        autoencoder.build(make(), DataSpec((100,), ("a", "b")))
    with pytest.raises(UserError, match=r"shorten autoencoder\.filters"):
        autoencoder.build(make(filters=[2] * 5), DIGITS)


def test_it_learns_more_than_the_mean_image(make: Make, made_split: Split) -> None:
    training = fit(autoencoder.TASK, make(epochs=5), made_split, CPU, lambda *_: None)
    images = {
        part: reconstruction.image_batch(made_split, made_split.rows[part]).targets for part in ("train", "validation")
    }
    mean = images["train"].mean(dim=0, keepdim=True).clamp(1e-6, 1 - 1e-6).expand_as(images["validation"])
    assert training.history[-1]["validation_loss"] < functional.binary_cross_entropy(mean, images["validation"]).item()


def test_it_tells_an_images_error_and_its_code(make: Make) -> None:
    model = autoencoder.build(make(bottleneck=3), DIGITS).eval()
    images = torch.rand(2, 1, 28, 28)
    told = RESULTS.describe(model, DIGITS, images, model(images).detach())
    assert [len(each["code"]) for each in told] == [3, 3]
    assert all(each["reconstruction_error"] > 0 for each in told)
