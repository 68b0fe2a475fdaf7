"""Evaluation of a VAE: its bound, and images decoded from drawn codes, and of codes between images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.data.arrays import DataSpec, Split
from components.evaluate import reconstruction as reconstructions
from components.evaluate.results import Results
from components.models.encoders import in_parts
from components.models.families.vae import VAE, Outputs, draw, terms
from components.models.reconstruction import image_batch
from components.plots.image_rows import draw_grid, one_of_each
from components.plots.metric import NATS, Metric

USED = 0.01
SAMPLES, STEPS, PAIRS = 100, 10, 5
SPREAD = 0.02  # the fractions of the prior's probability that a manifold leaves out at either end

Decode = Callable[[Tensor], Tensor]  # codes (count, bottleneck) → images (count, channels, height, width) in [0, 1]


def decoder_of(decoder: nn.Module, device: torch.device) -> Decode:
    """Codes on the CPU → the pixels' probabilities."""
    return lambda codes: in_parts(decoder, codes, device).sigmoid()


def draw_samples(decode: Decode, bottleneck: int, file: Path) -> None:
    """Draw images decoded from codes that are drawn from the prior."""
    drawn = torch.randn(SAMPLES, bottleneck, generator=torch.Generator().manual_seed(0))
    note = f"{SAMPLES} codes drawn from the standard normal distribution, and decoded."
    draw_grid(file, decode(drawn), 10, note)


def draw_interpolation(decode: Decode, codes: Tensor, targets: np.ndarray, file: Path) -> None:
    """Images on the straight way between two codes, for some pairs of images of different classes."""
    ends = codes[one_of_each(targets, 2 * PAIRS)]
    first, second = ends[: len(ends) // 2], ends[len(ends) // 2 :]
    second = second[: len(first)]
    way = torch.linspace(0, 1, STEPS)[:, None]
    between = torch.cat([a + (b - a) * way for a, b in zip(first, second, strict=False)])
    note = "Each row goes from one image's code (left) to another's (right) in equal steps."
    draw_grid(file, decode(between), STEPS, note)


def manifold_codes(side: int) -> Tensor:
    """(side², 2): codes of two numbers, evenly spaced in the prior's probability, rows from top to bottom.

    The inverse of the normal distribution function of a grid on the unit square, as figure 4 of Kingma and Welling.
    """
    places = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(SPREAD, 1 - SPREAD, side))
    down, across = torch.meshgrid(places.flip(0), places, indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], dim=1)


def draw_manifold(decode: Decode, side: int, file: Path) -> None:
    """Draw images decoded from codes of two numbers, over the whole plane."""
    note = "Codes of two numbers all over the plane, decoded;\neach number runs from -2 to 2 deviations of the prior."
    draw_grid(file, decode(manifold_codes(side)), side, note)


def evaluate(model: nn.Module, outputs: Outputs, rows: np.ndarray, split: Split, folder: Path) -> Mapping[str, float]:
    """The test subset's evidence lower bound in nats per image, of one code drawn for each; images.

    outputs: of the images as they are; what is measured are images drawn from them, black and white.
    """
    assert isinstance(model, VAE)
    config, device = model.config, next(model.parameters()).device
    random = torch.Generator().manual_seed(config.seed)
    batch = draw(config, image_batch(split, rows), random)
    drawn: Outputs = in_parts(model, batch.inputs, device)
    reconstruction, kl = (term.double().mean().item() for term in terms(drawn, batch.targets))
    reconstructed = drawn.logits.sigmoid().unflatten(1, model.shape)
    reconstructions.draw(model.encoder, reconstructed, batch.targets, rows, split, folder)
    decode = decoder_of(model.decoder, device)
    draw_samples(decode, config.bottleneck, folder / "samples.png")
    draw_interpolation(decode, drawn.mean, split.arrays["targets"][rows], folder / "interpolation.png")
    # Burda, Grosse and Salakhutdinov 2016, section 5: a number of the code is in use if its mean varies.
    used = int((drawn.mean.var(dim=0) > USED).sum()) if len(rows) > 1 else config.bottleneck
    bound = {"elbo": -(reconstruction + kl), "reconstruction": reconstruction, "kl": kl}
    return {**bound, "loss": reconstruction + config.beta * kl, "numbers_in_use": used, "examples": len(rows)}


def describe(model: nn.Module, data: DataSpec, inputs: Tensor, outputs: Outputs) -> list[dict[str, Any]]:
    """For each image the evidence lower bound in nats, of it as grey as it is, and its code's mean and deviation."""
    reconstruction, kl = terms(outputs, inputs)
    bounds = (-(reconstruction + kl)).tolist()
    deviations = (outputs.log_variance / 2).exp()
    each = zip(bounds, outputs.mean.tolist(), deviations.tolist(), strict=True)
    return [
        {"elbo": round(bound, 3), "code": [round(v, 4) for v in mean], "deviation": [round(v, 4) for v in spread]}
        for bound, mean, spread in each
    ]


METRICS = {
    "elbo": Metric("evidence lower bound", NATS),
    "kl": Metric("KL term", NATS),
    "reconstruction": Metric("reconstruction term", NATS),
    "numbers_in_use": Metric("numbers of a code in use"),
}
RESULTS = Results(evaluate, describe, metrics=METRICS)
