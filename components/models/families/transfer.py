"""Transfer learning after the course notes: a published backbone, most of it frozen, and a new dense head.

VGG16 (Simonyan and Zisserman 2015) at 180 x 180 with 17 of Keras' layers frozen, flattened, dense 260 and 100, 5
classes: 18,069,553 parameters, of which 5,714,673 are trained. Hidden layers start as He et al. 2015 have it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.models import augment, classification
from components.models.encoders import weights_of_encoder
from components.models.pretrained import Pretrained, PretrainedConfig, frozen_backbone
from components.models.task import Goal, Task

ENCODERS = ("autoencoder", "denoising", "vae")  # the families of which an encoder can be taken
Width = Annotated[int, Field(ge=1)]


class Config(classification.Config, PretrainedConfig):
    dense: tuple[Width, ...] = Field(
        (260, 100), description="a list of integers >= 1, hidden layer widths; [] for none"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="a number in [0, 1), before each hidden layer's successor")

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return (*super().starts_from(family), *ENCODERS)

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("dense",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {} if family in ENCODERS else {"dense": "dense"}


class Transfer(Pretrained):
    """Images (batch, 3, height, width) → logits (batch, classes)."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        backbone = frozen_backbone(config, data)
        width = math.prod(backbone.output_shape(data.input_shape))
        super().__init__(backbone, config, data)
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

    def rest(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone.run(features, first=self.first))
        return logits


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
