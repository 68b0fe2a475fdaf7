"""A small convolutional network for images.

The course notes' MNIST model is one of these, as params.yaml's `cnn` sets it: Conv(4, 3x3) ReLU, Conv(1, 3x3) ReLU,
max-pool 2, dropout, flatten, dense 128 ReLU, dense 10, with 19,927 parameters. Initialised as Keras does (Glorot and
Bengio 2010: uniform weights, zero biases), since that is what the notes' figures were made with.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.errors import UserError
from components.models import classification
from components.models.task import BatchSize, Goal, LearningRate, Schedule, Task

Width = Annotated[int, Field(ge=1)]


class Config(classification.Config):
    filters: tuple[Width, ...] = Field(
        (16, 32), min_length=1, description="a list of integers >= 1, one per convolution"
    )
    kernel_size: int = Field(3, ge=1, description="an integer >= 1")
    pooling: Literal["last", "each"] = Field(
        "each", description="last | each: the convolutions that 2 x 2 max-pooling follows"
    )
    batch_norm: bool = Field(True, description="true | false, after each convolution and hidden dense layer")
    dropout: float = Field(0.25, ge=0, lt=1, description="a number in [0, 1), the fraction of activations left out")
    dense: tuple[Width, ...] = Field((128,), description="a list of integers >= 1, hidden layer widths; [] for none")
    batch_size: BatchSize = 128
    learning_rate: LearningRate = 0.003
    schedule: Schedule = "cosine"

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("dense",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {key: key for key in ("filters", "kernel_size", "pooling", "batch_norm", "dense")}


class CNN(nn.Module):
    """Images (batch, channels, height, width) → logits (batch, classes)."""

    def __init__(self, config: Config, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        features: list[nn.Module] = []
        for inputs, outputs in pairwise((channels, *config.filters)):
            features.append(nn.Conv2d(inputs, outputs, config.kernel_size))
            if config.batch_norm:
                features.append(nn.BatchNorm2d(outputs))
            features.append(nn.ReLU())
            if config.pooling == "each":
                features.append(nn.MaxPool2d(2))
        last = [nn.MaxPool2d(2)] if config.pooling == "last" else []
        self.features = nn.Sequential(*features, *last, nn.Dropout(config.dropout), nn.Flatten())

        widths = (config.filters[-1] * left_of(config, height) * left_of(config, width), *config.dense)
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            hidden.append(nn.Linear(inputs, outputs))
            if config.batch_norm:
                hidden.append(nn.BatchNorm1d(outputs))
            hidden.append(nn.ReLU())
        self.classifier = nn.Sequential(*hidden, nn.Linear(widths[-1], classes))
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits


def left_of(config: Config, side: int) -> int:
    """How many pixels of an image's side the convolutions and poolings leave; less than 1 if none."""
    for _ in config.filters:
        side = (side - (config.kernel_size - 1)) // (2 if config.pooling == "each" else 1)
    return side // 2 if config.pooling == "last" else side


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build(config: Config, data: DataSpec) -> CNN:
    """The untrained network for such images. Raises UserError when they are too small for it."""
    shape = data.input_shape
    if len(shape) != 3:
        raise UserError(f"{config.where}.data: {config.data} has inputs of shape {shape}; the CNN needs images")
    if left_of(config, min(shape[1:])) < 1:
        raise UserError(
            f"{config.where}.filters: {len(config.filters)} convolutions of {config.kernel_size} x "
            f"{config.kernel_size} leave nothing of a {shape[1]} x {shape[2]} image; "
            f"shorten filters, lower kernel_size, or set pooling to last"
        )
    return CNN(config, shape, len(data.classes))


TASK = Task(
    name="cnn",
    config=Config,
    build=build,
    batch=classification.image_batch,
    loss=classification.loss,
    metrics=classification.metrics,
    goal=Goal("accuracy", more=True),
)
