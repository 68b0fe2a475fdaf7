"""A denoising autoencoder (Vincent, Larochelle, Bengio and Manzagol 2008): noisy images in, clean ones out.

The network is the stacked autoencoder's; noise is drawn anew for each batch.
"""

from __future__ import annotations

import torch
from pydantic import Field, model_validator

from components.data.arrays import DataSpec
from components.models import reconstruction
from components.models.families import autoencoder
from components.models.noise import Kind, noisy
from components.models.task import NOT_COMPARABLE, Batch, Task


class Config(autoencoder.Config):
    noise: Kind = Field("gaussian", description="gaussian | salt_and_pepper | masking")
    strength: float = Field(
        0.5,
        gt=0,
        description="a number > 0: gaussian noise's deviation, pixels being 0 to 1; of others the fraction of pixels",
    )

    @model_validator(mode="after")
    def _a_fraction(self) -> Config:
        if self.noise != "gaussian" and self.strength > 1:
            raise ValueError(
                f"strength is {self.strength}, and of {self.noise} noise it is a fraction of pixels, 0 to 1"
            )
        return self

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        return {**super().unsearchable(), "noise": NOT_COMPARABLE, "strength": NOT_COMPARABLE}


class Denoiser(autoencoder.Autoencoder):
    """Noisy images (batch, channels, height, width) → logits of the clean ones' pixels, of the same shape."""

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__(config, shape)
        self.config = config


def build(config: Config, data: DataSpec) -> Denoiser:
    """The untrained network for such images. Raises UserError when the data are none, or too small."""
    return Denoiser(config, reconstruction.image_shape(config.where, config.data, data, len(config.filters)))


def draw(config: Config, batch: Batch, random: torch.Generator | None) -> Batch:
    """Noise on the inputs; the targets stay clean."""
    return Batch(noisy(batch.inputs, config.noise, config.strength, random), batch.targets)


TASK = Task(
    name="denoising",
    config=Config,
    build=build,
    batch=reconstruction.image_batch,
    loss=reconstruction.loss,
    metrics=reconstruction.metrics,
    draw=draw,
)
