"""Transfer learning after the course notes: a published backbone, most of it frozen, and a new dense head.

VGG16 (Simonyan and Zisserman 2015) at 180 x 180 with 17 of Keras' layers frozen, `pooling: none`, dense 260 and 100, 5
classes: 18,069,553 parameters, of which 5,714,673 are trained. Hidden layers start as He et al. 2015 have it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.models import augment, classification
from components.models.encoders import takes, weights_of_encoder
from components.models.pretrained import Pretrained, PretrainedConfig, frozen_backbone, resized
from components.models.task import READ_BEFORE, Epochs, Goal, Schedule, Task

ENCODERS = ("autoencoder", "denoising", "vae")  # the families of which an encoder can be taken
Width = Annotated[int, Field(ge=1)]
Enlarge = Annotated[
    int,
    Field(
        ge=0,
        le=2048,
        description="an integer >= 0: images whose shorter side is less are enlarged to it for the backbone; 0: none",
    ),
]
Pooling = Annotated[
    Literal["average", "none"], Field(description="average (global) | none (every place has its own weights)")
]


class Config(classification.Config, PretrainedConfig):
    enlarge: Enlarge = 160
    pooling: Pooling = "average"
    dense: tuple[Width, ...] = Field((256,), description="a list of integers >= 1, hidden layer widths; [] for none")
    dropout: float = Field(0.5, ge=0, lt=1, description="a number in [0, 1), before each hidden layer's successor")
    epochs: Epochs = 20
    schedule: Schedule = "cosine"

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return (*super().starts_from(family), *ENCODERS)

    @classmethod
    def prepared_from(cls) -> tuple[str, ...]:
        return (*super().prepared_from(), "enlarge", "pooling")

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        return {**super().unsearchable(), "enlarge": READ_BEFORE, "pooling": READ_BEFORE}

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("dense",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {} if family in ENCODERS else {key: key for key in ("dense", "enlarge", "pooling")}


class Transfer(Pretrained):
    """Images (batch, 3, height, width) → logits (batch, classes)."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        backbone = frozen_backbone(config, data)
        side = _enlarged(config, data.input_shape)
        shape = backbone.output_shape((data.input_shape[0], *side))
        super().__init__(backbone, config, data)
        self.side, self.average = side, config.pooling == "average" and len(shape) == 3
        width = shape[0] if self.average else math.prod(shape)
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise((width, *config.dense)):
            hidden += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(config.dropout)]
            nn.init.kaiming_normal_(hidden[-3].weight, nonlinearity="relu")  # type: ignore[arg-type]
        last = nn.Linear((width, *config.dense)[-1], len(data.classes))
        nn.init.xavier_uniform_(last.weight)
        self.head = nn.Sequential(nn.Flatten(), *hidden, last)
        for layer in self.head:
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)

    def beginning(self, images: Tensor) -> Tensor:
        return super().beginning(resized(images, self.side))

    def read(self, normalised: Tensor) -> Tensor:
        """Of a backbone that is frozen as a whole, its maps' averages, which are what is stored then."""
        features = super().read(normalised)
        return self._pooled(features) if self.first == len(self.backbone.steps) else features

    def rest(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self._pooled(self.backbone.run(features, first=self.first)))
        return logits

    def _pooled(self, features: Tensor) -> Tensor:
        return features.float().mean(dim=(2, 3)) if self.average and features.dim() == 4 else features


def _enlarged(config: Config, shape: tuple[int, ...]) -> tuple[int, int]:
    """The height and width in which the backbone sees images, (channels, height, width).

    Its layers know things by the sizes that these had in the photographs it was trained on; of 32 pixels
    EfficientNet-Lite0 leaves one place, at which next to nothing differs between images.
    """
    _, height, width = shape
    scale = max(1.0, config.enlarge / min(height, width)) if takes(config.backbone) is None else 1.0
    return round(height * scale), round(width * scale)


def build(config: Config, data: DataSpec) -> Transfer:
    """The network with its frozen layers. Raises UserError when backbone, layer or data do not fit."""
    return Transfer(config, data)


TASK = Task(
    name="transfer",
    config=Config,
    build=build,
    batch=classification.image_batch,
    loss=classification.loss,
    metrics=classification.metrics,
    augment=augment.images_alone,
    take=weights_of_encoder,
    goal=Goal("accuracy", more=True),
)
