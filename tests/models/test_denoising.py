"""Noise, how it is measured, and that the denoiser takes more of it away than a median filter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.data.arrays import Split
from components.evaluate.denoising import RESULTS, measured, median_filter, psnr, ssim
from components.models.encoders import in_parts
from components.models.families import denoising
from components.models.noise import noisy
from components.models.reconstruction import image_batch
from components.models.task import Batch
from components.params import params
from components.train.loop import fit
from tests.conftest import CPU

GREY = torch.full((50, 1, 40, 40), 0.5)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def make(committed: params.Params) -> Callable[..., denoising.Config]:
    section = committed.sections["denoising"].model_dump()
    return lambda **changes: denoising.Config.model_validate({**section, **changes}, strict=False)


def test_gaussian_noise_has_its_deviation_and_leaves_pixels_from_0_to_1() -> None:
    assert (noisy(GREY, "gaussian", 0.1, random()) - GREY).std().item() == pytest.approx(0.1, rel=0.02)
    strong = noisy(GREY, "gaussian", 5, random())
    assert [strong.min().item(), strong.max().item()] == [0, 1]


def test_salt_and_pepper_are_as_likely_and_of_the_fraction_that_was_asked() -> None:
    found = noisy(GREY, "salt_and_pepper", 0.4, random())
    assert [(found == value).float().mean().item() for value in (0.0, 1.0, 0.5)] == pytest.approx(
        [0.2, 0.2, 0.6], abs=0.01
    )


def test_masking_blackens_its_fraction() -> None:
    found = noisy(GREY, "masking", 0.3, random())
    assert (found == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert set(found.unique().tolist()) == {0.0, 0.5}


def test_noise_is_on_the_inputs_alone(make: Callable[..., denoising.Config]) -> None:
    drawn = denoising.draw(make(), Batch(GREY, GREY), random())
    assert not torch.equal(drawn.inputs, GREY)
    assert torch.equal(drawn.targets, GREY)


@pytest.mark.parametrize("noise", ["salt_and_pepper", "masking"])
def test_a_fraction_above_1_is_refused(make: Callable[..., denoising.Config], noise: str) -> None:
    with pytest.raises(ValueError, match="a fraction of pixels"):
        make(noise=noise, strength=1.5)
    assert make(strength=1.5).strength == 1.5


def test_psnr_by_hand() -> None:
    assert psnr(GREY + 0.1, GREY) == pytest.approx(20, abs=1e-3)
    assert psnr(torch.cat([GREY[:1] + 0.1, GREY[:1] + 0.01]), GREY[:2]) == pytest.approx(30, abs=1e-3)


def test_ssim_is_1_for_the_same_and_little_for_noise() -> None:
    images = torch.rand(3, 1, 28, 28, generator=random())
    assert ssim(images, images) == pytest.approx(1)
    assert ssim(torch.rand(3, 1, 28, 28, generator=random(1)), images) < 0.2


def test_a_median_filter_takes_away_single_pixels_and_keeps_edges() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[..., 5:] = 1
    spotted = image.clone()
    spotted[0, 0, 2, 2] = 1
    spotted[0, 0, 6, 7] = 0
    assert torch.equal(median_filter(spotted, 3), image)


def test_the_best_median_filter_is_the_one_that_is_compared(tmp_path: Path) -> None:
    clean = torch.zeros(2, 1, 28, 28)
    clean[:, :, 8:20, 8:20] = 1
    given = noisy(clean, "salt_and_pepper", 0.2, random())
    found = measured(clean, given, 20 * (clean - 0.5), 20 * (clean - 0.5), np.arange(2), tmp_path)
    assert found["psnr_median"] == pytest.approx(max(psnr(median_filter(given, side), clean) for side in (3, 5)))
    assert found["psnr"] > 60
    assert (tmp_path / "denoised.png").stat().st_size


def test_validation_meets_the_same_noise_each_epoch(make: Callable[..., Any], made_split: Split) -> None:
    losses = [
        fit(denoising.TASK, make(epochs=2, learning_rate=1e-12), made_split, CPU, lambda *_: None).history[n]
        for n in (0, 1)
    ]
    assert losses[0]["validation_loss"] == pytest.approx(losses[1]["validation_loss"], abs=1e-6)
    assert losses[0]["loss"] != pytest.approx(losses[1]["loss"], abs=1e-6)


@pytest.mark.slow
def test_it_gains_5_db_over_the_noise_and_beats_the_median_filter(
    make: Callable[..., Any], made_split: Split, tmp_path: Path
) -> None:
    training = fit(denoising.TASK, make(epochs=40), made_split, CPU, lambda *_: None)
    rows = made_split.rows["test"]
    model = training.model.eval()
    clean = image_batch(made_split, rows).inputs
    found = RESULTS.evaluate(model, in_parts(model, clean, CPU), rows, made_split, tmp_path)
    assert found["psnr"] >= found["psnr_noisy"] + 5
    assert found["psnr"] > found["psnr_median"]
