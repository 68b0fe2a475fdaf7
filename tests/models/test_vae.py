"""The variational autoencoder: its two terms by hand, what chance does to it, and that it goes on where it was."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from components.data.arrays import DataSpec, Split
from components.evaluate.vae import manifold_codes
from components.models.families import vae
from components.models.task import Batch
from components.params import params
from components.train.loop import State, fit
from tests.conftest import CPU

DIGITS = DataSpec((1, 28, 28), tuple("0123456789"))
Make = Callable[..., vae.Config]


@pytest.fixture
def make(committed: params.Params) -> Make:
    section = committed.sections["vae"].model_dump()
    return lambda **changes: vae.Config.model_validate({**section, **changes}, strict=False)


def images(count: int = 8) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_the_kl_term_by_hand() -> None:
    mean, log_variance = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
    # 1/2 of 1², and 1/2 (4 - 1 - log 4); none for the prior itself
    assert vae.kl_divergence(mean, log_variance).tolist() == pytest.approx([0.5 + 1.5 - math.log(2), 0])


def test_the_kl_term_is_what_drawing_codes_estimates() -> None:
    random = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(1, 5, generator=random), torch.randn(1, 5, generator=random)
    drawn = mean + (log_variance / 2).exp() * torch.randn(400_000, 5, generator=random)
    own = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(drawn).sum(dim=1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(drawn).sum(dim=1)
    assert vae.kl_divergence(mean, log_variance).item() == pytest.approx((own - prior).mean().item(), rel=0.01)


def test_the_reconstruction_term_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3), math.log(3), 0.0]])
    targets = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    expected = 2 * math.log(2) - math.log(0.75) - math.log(0.25)
    assert vae.reconstruction_term(logits, targets).tolist() == pytest.approx([expected])


def test_the_loss_is_reconstruction_and_beta_times_kl_and_the_bound_knows_no_beta(make: Make) -> None:
    config = make(beta=4.0, bottleneck=2)
    targets = torch.tensor([[[[1.0, 0.0]]]])
    outputs = vae.Outputs(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), torch.tensor([4.0]))
    batch = Batch(targets, targets)
    assert vae.loss(config, outputs, batch).item() == pytest.approx(2 * math.log(2) + 4 * 0.5)
    assert vae.metrics(outputs, batch)["elbo"].item() == pytest.approx(-(2 * math.log(2) + 0.5))


def test_the_outputs_have_a_row_for_each_image(make: Make) -> None:
    model = vae.build(make(bottleneck=7), DIGITS).eval()
    found = model(images())
    assert found.logits.shape == (8, 784)
    assert found.mean.shape == found.log_variance.shape == (8, 7)
    assert torch.allclose(found.mean, model.encoder(images()), atol=1e-6)
    assert found.kl_weight.tolist() == [1.0] * 8


def test_codes_are_drawn_in_training_and_always_the_same_in_evaluation(make: Make) -> None:
    model = vae.build(make(), DIGITS)
    assert not torch.equal(model(images()).logits, model(images()).logits)
    model.eval()
    assert torch.equal(model(images()).logits, model(images()).logits)


def test_gradients_reach_mean_and_variance_through_the_draw(make: Make) -> None:
    model = vae.build(make(beta=0.0), DIGITS)
    batch = Batch(images().round(), images().round())
    vae.loss(model.config, model(batch.inputs), batch).backward()
    assert isinstance(model.encoder[-1].weight, torch.Tensor)
    for weight in (model.encoder[-1].weight, model.log_variance.weight):
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0


def test_the_kl_weight_rises_to_beta_over_the_warm_up_and_is_beta_in_evaluation(make: Make) -> None:
    model = vae.build(make(beta=2.0, warm_up=4), DIGITS)
    weights = [model(images()).kl_weight[0].item() for _ in range(6)]
    assert weights == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    fresh = vae.build(make(beta=2.0, warm_up=4), DIGITS).eval()
    assert fresh(images()).kl_weight[0].item() == 2.0


def test_sampled_pixels_are_white_as_often_as_they_are_bright(make: Make) -> None:
    grey = torch.full((100, 1, 28, 28), 0.3)
    drawn = vae.draw(make(binarise="sampled"), Batch(grey, grey), torch.Generator().manual_seed(0))
    assert set(drawn.inputs.unique().tolist()) == {0.0, 1.0}
    assert drawn.inputs.mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(drawn.inputs, drawn.targets)


def test_a_threshold_and_none_leave_nothing_to_chance(make: Make) -> None:
    batch = Batch(images(), images())
    assert torch.equal(vae.draw(make(binarise="threshold"), batch, None).inputs, (images() > 0.5).float())
    assert torch.equal(vae.draw(make(binarise="none"), batch, None).inputs, images())


def test_a_warm_up_that_was_stopped_goes_on_to_the_same_weights(make: Make, made_split: Split) -> None:
    config = make(epochs=3, warm_up=60)
    states: list[State] = []
    whole = fit(vae.TASK, config, made_split, CPU, lambda _, state: states.append(_copied(state)))
    again = fit(vae.TASK, config, made_split, CPU, lambda *_: None, resume=states[0])
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert whole.history[1:] == again.history[1:]


def _copied(state: State | None) -> State:
    import copy

    assert state is not None
    return copy.deepcopy(state)


def test_it_learns_and_keeps_a_part_of_each_image_in_its_code(make: Make, made_split: Split) -> None:
    history = fit(vae.TASK, make(epochs=5), made_split, CPU, lambda *_: None).history
    assert history[-1]["validation_elbo"] > history[0]["validation_elbo"]
    assert history[-1]["validation_kl"] > 1
    assert history[-1]["validation_loss"] == pytest.approx(-history[-1]["validation_elbo"], rel=1e-5)


def test_a_manifolds_codes_are_evenly_spaced_in_probability() -> None:
    codes = manifold_codes(5)
    assert codes.shape == (25, 2)
    assert codes[12].tolist() == pytest.approx([0, 0], abs=1e-6)
    fractions = torch.distributions.Normal(0.0, 1.0).cdf(codes[:5, 0])
    assert fractions.tolist() == pytest.approx([0.02, 0.26, 0.5, 0.74, 0.98])
    assert codes[0, 1] > codes[-1, 1]
