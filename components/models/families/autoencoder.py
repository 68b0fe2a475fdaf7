"""A stacked autoencoder after the course notes: an image through a bottleneck of few numbers, and back.

Dense 784-100-30 and 30-100-784, SELU: with the committed params.yaml 163,814 parameters. With `filters`, convolutions
come first and transposed ones last.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.models import reconstruction
from components.models.encoders import Decoder, Encoder
from components.models.task import Epochs, LearningRate, Task, TrainingConfig

Width = Annotated[int, Field(ge=1)]


class Config(TrainingConfig):
    filters: tuple[Width, ...] = Field(
        (), description="a list of integers >= 1, one per convolution, each of which halves the sides; [] for none"
    )
    widths: tuple[Width, ...] = Field(
        (100,), description="a list of integers >= 1, the encoder's dense layers; [] for none"
    )
    bottleneck: int = Field(30, ge=1, description="an integer >= 1: the numbers of a code")
    epochs: Epochs = 20
    learning_rate: LearningRate = 0.01

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return ("none", family) if family == "vae" else ("none", "autoencoder", "denoising")

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("bottleneck",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {key: key for key in ("filters", "widths", "bottleneck")}


class Autoencoder(nn.Module):
    """Images (batch, channels, height, width) → logits of their pixels, of the same shape."""

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        super().__init__()
        widths = (*config.widths, config.bottleneck)
        self.encoder = Encoder(shape, config.filters, widths)
        self.decoder = Decoder(shape, config.filters, widths)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.decoder(self.encoder(images))
        return logits


def build(config: Config, data: DataSpec) -> Autoencoder:
    """The untrained network for such images. Raises UserError when the data are none, or too small."""
    return Autoencoder(config, reconstruction.image_shape(config.where, config.data, data, len(config.filters)))


TASK = Task(
    name="autoencoder",
    config=Config,
    build=build,
    batch=reconstruction.image_batch,
    loss=reconstruction.loss,
    metrics=reconstruction.metrics,
)
