"""A variational autoencoder (Kingma and Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114).

The encoder gives each image a normal distribution over codes with a diagonal covariance, the decoder gives each code
a Bernoulli distribution over images, and the prior over codes is the standard normal one. The loss is the negative
evidence lower bound, in nats per image: reconstruction + beta x KL. With beta 1 it bounds -log p(image); another beta
is Higgins et al. 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec
from components.models.encoders import Decoder, Encoder, lecun
from components.models.families import autoencoder
from components.models.reconstruction import image_batch, image_shape
from components.models.task import NOT_COMPARABLE, Batch, Goal, LearningRate, Task


class Config(autoencoder.Config):
    binarise: Literal["sampled", "threshold", "none"] = Field(
        "sampled",
        description="sampled (a pixel is white with its grey level as probability) | threshold (at 0.5) | none",
    )
    beta: float = Field(
        1.0, ge=0, description="a number >= 0: the weight of the KL term; 1 for the evidence lower bound"
    )
    warm_up: int = Field(0, ge=0, description="an integer >= 0: training steps over which that weight rises from 0")
    widths: tuple[autoencoder.Width, ...] = Field(
        (500,), description="a list of integers >= 1, the encoder's dense layers; [] for none"
    )
    bottleneck: int = Field(20, ge=1, description="an integer >= 1: the numbers of a code")
    learning_rate: LearningRate = 0.001

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        return {**super().unsearchable(), "binarise": NOT_COMPARABLE}


class Outputs(NamedTuple):
    """The network's outputs for a batch.

    logits:       of the pixels, (batch, channels x height x width).
    mean:         of the codes' distribution, (batch, bottleneck); so is log_variance.
    kl_weight:    (batch,): beta, or what of it the warm-up has come to.
    """

    logits: Tensor
    mean: Tensor
    log_variance: Tensor
    kl_weight: Tensor


class VAE(nn.Module):
    """Images (batch, channels, height, width) → Outputs.

    In training a code is drawn for each image; in evaluation too, but always the same draw.
    """

    steps: Tensor

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        widths = (*config.widths, config.bottleneck)
        self.encoder = Encoder(shape, config.filters, widths, mean=True)
        last = self.encoder[-1]
        assert isinstance(last, nn.Linear)
        self.log_variance = nn.Linear(last.in_features, config.bottleneck)
        self.log_variance.apply(lecun)
        self.decoder = Decoder(shape, config.filters, widths, mean=True)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Outputs:
        hidden = self.encoder.before_last(images)
        mean, log_variance = self.encoder[-1](hidden).float(), self.log_variance(hidden).float()
        logits = self.decoder(mean + (log_variance / 2).exp() * self._noise(mean))
        return Outputs(logits.flatten(1), mean, log_variance, self._kl_weight().expand(len(images)))

    def _noise(self, mean: Tensor) -> Tensor:
        """Standard normal numbers, so that a code is a function of mean and variance: the reparameterisation."""
        random = None if self.training else torch.Generator(mean.device).manual_seed(self.config.seed)
        return torch.randn(mean.shape, generator=random, device=mean.device)

    def _kl_weight(self) -> Tensor:
        """Training steps are counted in a buffer, which checkpoints hold."""
        if not self.training or not self.config.warm_up:
            return torch.tensor(self.config.beta, device=self.steps.device)
        self.steps += 1
        return self.config.beta * (self.steps / self.config.warm_up).clamp(max=1)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """(batch,): of N(mean, variance) from the standard normal distribution, in nats.

    Kingma and Welling 2014, appendix B: -1/2 sum (1 + log variance - mean² - variance).
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)


def reconstruction_term(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch,): -log p(image | code) of Bernoulli pixels in nats, summed over an image's pixels."""
    each = functional.binary_cross_entropy_with_logits(logits, targets.flatten(1), reduction="none")
    return each.sum(dim=1)


def build(config: Config, data: DataSpec) -> VAE:
    """The untrained network for such images. Raises UserError when the data are none, or too small."""
    return VAE(config, image_shape(config.where, config.data, data, len(config.filters)))


def draw(config: Config, batch: Batch, random: torch.Generator | None) -> Batch:
    """Grey images made black and white, as inputs and as targets (Salakhutdinov and Murray 2008)."""
    images = batch.inputs
    if config.binarise == "sampled":
        images = (torch.rand(images.shape, generator=random, device=images.device) < images).float()
    elif config.binarise == "threshold":
        images = (images > 0.5).float()
    return Batch(images, images)


def terms(outputs: Outputs, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(reconstruction, KL), each (batch,) in nats."""
    return reconstruction_term(outputs.logits, targets), kl_divergence(outputs.mean, outputs.log_variance)


def both(config: Config, outputs: Outputs, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The loss, reconstruction + weight x KL in nats, the mean over images; and what `metrics` gives."""
    reconstruction, kl = terms(outputs, batch.targets)
    loss = (reconstruction + outputs.kl_weight * kl).mean()
    summed, divergence = reconstruction.detach().sum(), kl.detach().sum()
    return loss, {"elbo": -(summed + divergence), "reconstruction": summed, "kl": divergence}


def loss(config: Config, outputs: Outputs, batch: Batch) -> Tensor:
    """Reconstruction + weight x KL in nats, the mean over images."""
    return both(config, outputs, batch)[0]


def metrics(outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
    """The evidence lower bound and its two terms in nats, summed. They know no beta."""
    reconstruction, kl = (term.sum() for term in terms(outputs, batch.targets))
    return {"elbo": -(reconstruction + kl), "reconstruction": reconstruction, "kl": kl}


TASK = Task(
    name="vae",
    config=Config,
    build=build,
    batch=image_batch,
    loss=loss,
    metrics=metrics,
    draw=draw,
    both=both,
    goal=Goal("elbo", more=True),
)
