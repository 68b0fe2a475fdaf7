"""Models that start from a published network: their keys in params.yaml, and the frozen beginning.

A frozen beginning gives the same outputs for an image in every epoch, so `prepare` may store them
(components/prepare/features.py); the model then starts after it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec
from components.errors import UserError
from components.models.backbones.layers import chosen_layers, layers_of
from components.models.backbones.networks import Backbone, load_backbone
from components.models.encoders import takes
from components.models.task import READ_BEFORE, TrainingConfig
from components.params.section import DERIVED

# For each of a CPU's threads. `python -m bench.machine` measures what it saves.
PIXELS_AT_ONCE = 131_072


class PretrainedConfig(TrainingConfig):
    backbone: str = Field(
        "",
        description="the network that `start` names; of a trained model's encoder, such as encoder_1x28x28_100_30",
        json_schema_extra=DERIVED,
    )
    pretrained: bool = Field(True, description="whether that network has weights", json_schema_extra=DERIVED)
    freeze: int | str = Field(
        "all", description="how many layers are not trained: an integer >= 0, a layer's name, or all"
    )
    frozen_precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="auto (bfloat16 where the device computes in it, and for what is stored) | float32 | bfloat16, of "
        "the frozen beginning",
    )
    store_features: bool = Field(
        True, description="true | false: compute the frozen beginning once per image, if none is augmented anew"
    )
    backbone_rate: float = Field(
        1.0, gt=0, le=1, description="a number in (0, 1], times the learning rate: that of the backbone's own weights"
    )
    flip: float = Field(0.0, ge=0, le=1, description="a number in [0, 1]: how often an image is mirrored")
    crop: float = Field(
        1.0, gt=0, le=1, description="a number in (0, 1]: the smallest fraction of an image that a crop keeps"
    )
    colour: float = Field(0.0, ge=0, lt=1, description="a number in [0, 1): how far brightness, contrast and hue vary")
    views: int = Field(
        1,
        ge=1,
        description="an integer >= 1: of how many versions of a training image features are stored, itself and others "
        "by flip, crop and colour; 1: these change it anew in each epoch, and nothing is stored",
    )

    @model_validator(mode="after")
    def _views_differ(self) -> PretrainedConfig:
        if self.views > 1 and not self.store_features:
            raise ValueError(f"views is {self.views}, which are stored; set store_features to true, or views to 1")
        if self.views > 1 and not self.varies:
            raise ValueError(f"views is {self.views}, and they would all be the same; set flip, crop or colour")
        return self

    def rates(self) -> dict[str, float]:
        return {"backbone.": self.backbone_rate} if self.backbone_rate != 1 else {}

    @property
    def on_a_backbone(self) -> bool:
        return True

    @property
    def base_network(self) -> str:
        """The network whose published weights are loaded."""
        return self.backbone

    @classmethod
    def starts_from(cls, family: str) -> tuple[str, ...]:
        return ("backbone", family)

    @classmethod
    def prepared_from(cls) -> tuple[str, ...]:
        return ("backbone", "freeze", "frozen_precision", "store_features", "augments", "pretrained", "drawn")

    @classmethod
    def unsearchable(cls) -> dict[str, str]:
        before = ("freeze", "frozen_precision", "store_features", "flip", "crop", "colour", "views", "seed")
        return {**super().unsearchable(), **dict.fromkeys(before, READ_BEFORE)}

    @property
    def varies(self) -> bool:
        """Whether any key changes training images."""
        return self.flip > 0 or self.crop < 1 or self.colour > 0

    @property
    def augments(self) -> bool:
        """Whether each epoch sees images that are augmented anew."""
        return self.varies and self.views == 1

    @property
    def drawn(self) -> tuple[float, ...]:
        """All that the stored versions of an image follow, where there are several."""
        return (self.views, self.flip, self.crop, self.colour, self.seed) if self.views > 1 else ()

    @property
    def small(self) -> bool:
        """Only where what is trained is a head on stored features, and not the backbone."""
        return self.store_features and not self.augments and self.freeze == "all"


class Pretrained(nn.Module):
    """A backbone with a frozen beginning, and what a subclass makes of its features in `rest`.

    kept:   after how many of the backbone's steps the frozen beginning is read, in ascending order.
    first:  how many steps of the backbone are the frozen beginning; the last of `kept`.
    stored: whether the inputs are the outputs of that beginning, not images.
    """

    def __init__(
        self, backbone: Backbone, config: PretrainedConfig, data: DataSpec, kept: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.kept = kept or (backbone.frozen_steps,)
        self.first = self.kept[-1]
        self.stored, self.precision = data.stored is not None, config.frozen_precision
        if self.stored:
            backbone.drop(self.first)

    def forward(self, inputs: Tensor) -> Any:
        return self.rest((inputs if self.stored else self.beginning(inputs)).float())

    @torch.no_grad()
    def _frozen(self, images: Tensor) -> Tensor:
        return torch.cat([self._passed(part) for part in images.split(_at_once(images))])

    def _passed(self, images: Tensor) -> Tensor:
        normalised = self.backbone.normalised(images)
        with frozen_autocast(self.precision, images.device):
            # Convolutions of pixels whose channels lie side by side take half the time on a CPU.
            return self.read(normalised.contiguous(memory_format=torch.channels_last))

    def read(self, normalised: Tensor) -> Tensor:
        """The output of the frozen steps that is kept."""
        return self.backbone.run_frozen(normalised, last=self.first)

    def beginning(self, images: Tensor) -> Tensor:
        """Images float32 in [0, 1] (batch, 3, height, width) → the outputs of the frozen steps."""
        return self._frozen(images) if self.first else self.backbone.normalised(images)

    def rest(self, features: Tensor) -> Any:
        """The network's outputs, from the output of the frozen beginning."""
        raise NotImplementedError

    def start(self, weights: dict[str, Tensor]) -> None:
        """Take the backbone's published weights."""
        self.backbone.load(weights)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (batch, channels, height, width) in another height and width."""
    if images.shape[-2:] == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True)


def _at_once(images: Tensor) -> int:
    """How many images pass the frozen layers together: on a CPU so few that what they leave stays in its caches."""
    if images.device.type != "cpu":
        return max(1, len(images))
    return max(1, round(torch.get_num_threads() * PIXELS_AT_ONCE / (images.shape[-2] * images.shape[-1])))


def frozen_autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 if asked for, or on `auto` if the device multiplies matrices of it.

    CPUs with vectors of it alone (AVX-512) take longer for it than for float32; `python -m bench.machine` measures it.
    """
    if device.type == "cuda":
        has_it = torch.cuda.is_bf16_supported()
    else:
        has_it = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
    if precision == "bfloat16" or (precision == "auto" and has_it):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def frozen_backbone(config: PretrainedConfig, data: DataSpec, maps: bool = False) -> Backbone:
    """The untrained backbone with its layers frozen as the configuration says. Raises UserError.

    maps: whether its outputs have to be maps, (channels, height, width).
    """
    check_colours(config, data, maps)
    backbone = load_backbone(config.base_network, f"{config.where}.start")
    freeze(backbone, config)
    return backbone


def check_colours(config: PretrainedConfig, data: DataSpec, maps: bool) -> None:
    """Raises UserError when the data are not colour images, or not those that an autoencoder's encoder takes."""
    where = config.where
    if (shape := takes(config.backbone)) is not None:
        if maps:
            raise UserError(f"{where}.start: {config.start} gives codes, and this model needs maps of features")
        if data.input_shape != shape:
            raise UserError(
                f"{where}.start: {config.start} takes images of shape {shape}, and {where}.data: {config.data} "
                f"has inputs of shape {data.input_shape}"
            )
        return
    if len(data.input_shape) != 3 or data.input_shape[0] != 3:
        raise UserError(
            f"{where}.data: {config.data} has inputs of shape {data.input_shape}; {config.backbone} needs colour images"
        )


def freeze(backbone: Backbone, config: PretrainedConfig) -> None:
    """Freeze the layers that the configuration says. Raises UserError for layers that do not exist."""
    backbone.freeze(chosen_layers(layers_of(backbone.net), config.freeze, f"{config.where}.freeze"))


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """A digest of all names and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].numpy().tobytes())
    return digest.hexdigest()
