"""One object and where it is, after the course notes: a published backbone, a class head and a box head.

Xception (Chollet 2017) at 300 x 300 with 110 of Keras' layers frozen, global average pooling, dense 200, and VOC's 20
classes: 21,276,104 parameters in Keras' count, 8,278,992 of them trained. The loss is 0.1 x cross-entropy + 0.9 x the
box's mean squared error. An image's first object is its target; the data set's `first` says which that is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.models import augment
from components.models.objects import batches
from components.models.objects import boxes as geometry
from components.models.pretrained import Pretrained, PretrainedConfig, frozen_backbone
from components.models.task import Batch, Epochs, Goal, Task, read_inputs

SMOOTH_L1_BETA = 1 / 9  # in fractions of a side; below it the loss is quadratic, as in Detectron (Girshick et al. 2018)
BOX_DEVIATION = 0.001  # of the box head's first weights, as in Fast R-CNN (Girshick 2015)
FIRST_BOX = (0.25, 0.25, 0.75, 0.75)  # what an untrained head says of every image


class Config(PretrainedConfig):
    reads = ("boxes",)

    reduction: int = Field(
        32, ge=0, description="an integer >= 0: channels that a 1x1 convolution leaves to pool; 0: all"
    )
    pooling: Literal["average", "none"] = Field(
        "none", description="average (global) | none (every place has its own weights)"
    )
    dense: int = Field(200, ge=1, description="an integer >= 1, the width of the layer that both heads read")
    dropout: float = Field(0.5, ge=0, lt=1, description="a number in [0, 1), before that layer")
    class_weight: float = Field(0.1, ge=0, description="a number >= 0, times the cross-entropy")
    box_weight: float = Field(0.9, ge=0, description="a number >= 0, times the box's loss")
    box_loss: Literal["mse", "smooth_l1", "giou"] = Field("giou", description="mse | smooth_l1 | giou")
    epochs: Epochs = 20

    @classmethod
    def grows(cls) -> tuple[str, ...]:
        return ("dense",)

    @classmethod
    def shared_with(cls, family: str) -> dict[str, str]:
        return {key: key for key in ("reduction", "pooling", "dense")}


class Outputs(NamedTuple):
    """logits: (batch, classes). boxes: (batch, 4), as fractions of the image's sides."""

    logits: Tensor
    boxes: Tensor


class Detector(Pretrained):
    """Images (batch, 3, height, width) → Outputs."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        backbone = frozen_backbone(config, data, maps=True)
        shape = backbone.output_shape(data.input_shape)
        super().__init__(backbone, config, data)
        average = config.pooling == "average"
        self.reduction = nn.Sequential()
        if config.reduction:
            convolution = nn.Conv2d(shape[0], config.reduction, 1, bias=False)
            self.reduction = nn.Sequential(convolution, nn.BatchNorm2d(config.reduction), nn.ReLU())
            shape = (config.reduction, *shape[1:])
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1) if average else nn.Identity(), nn.Flatten())
        width = shape[0] if average else math.prod(shape)
        self.dense = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.dense), nn.ReLU())
        self.classes = nn.Linear(config.dense, len(data.classes))
        self.box = nn.Linear(config.dense, 4)
        for layer in (self.dense[1], self.classes):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # Wider ones start as boxes far outside the image, of which a few hundred images are learnt by heart.
        nn.init.normal_(self.box.weight, std=BOX_DEVIATION)
        with torch.no_grad():
            self.box.bias.copy_(torch.tensor(FIRST_BOX))

    def rest(self, features: Tensor) -> Outputs:
        hidden = self.dense(self.pool(self.reduction(self.backbone.run(features, first=self.first))))
        return Outputs(self.classes(hidden), self.box(hidden))


def build(config: Config, data: DataSpec) -> Detector:
    """The network with its frozen layers. Raises UserError when backbone, layer or data do not fit."""
    return Detector(config, data)


def batch(split: Split, rows: np.ndarray) -> Batch:
    """targets: float32 (rows, 5), the first object's class number and its box, left, top, right, bottom."""
    if "boxes" not in split.arrays:
        raise UserError(batches.NO_BOXES.format(split.folder.name))
    first = np.concatenate([split.arrays["labels"][rows, :1], split.arrays["boxes"][rows, 0]], axis=1)
    return Batch(read_inputs(split, rows), torch.from_numpy(first.astype(np.float32)))


def loss(config: Config, outputs: Outputs, batch: Batch) -> Tensor:
    """class_weight x mean cross-entropy + box_weight x the mean loss of the boxes."""
    labels, truth = batch.targets[:, 0].long(), batch.targets[:, 1:]
    overlap = box_loss(config.box_loss, outputs.boxes, truth).mean()
    return config.class_weight * functional.cross_entropy(outputs.logits, labels) + config.box_weight * overlap


def box_loss(kind: str, boxes: Tensor, truth: Tensor) -> Tensor:
    """The loss of each box, (n,), from boxes (n, 4), left, top, right, bottom. GIoU: Rezatofighi et al. 2019."""
    if kind == "mse":
        return (boxes - truth).square().mean(dim=1)
    if kind == "smooth_l1":
        return functional.smooth_l1_loss(boxes, truth, beta=SMOOTH_L1_BETA, reduction="none").mean(dim=1)
    from torchvision.ops import generalized_box_iou_loss  # here, since every stage imports this file

    losses: Tensor = generalized_box_iou_loss(ordered(boxes), truth)
    return losses


def ordered(boxes: Tensor) -> Tensor:
    """The same boxes with the lower corner first, so that an area is never negative."""
    first, second = boxes[:, :2], boxes[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], dim=1)


def overlaps(boxes: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of each pair, (n,), from two of (n, 4)."""
    return geometry.overlaps(ordered(boxes)[:, None], truth[:, None])[:, 0, 0]


def metrics(outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
    """Right classes, intersection over union, and boxes with 0.5 of it or more, summed."""
    iou = overlaps(outputs.boxes, batch.targets[:, 1:])
    right = outputs.logits.argmax(dim=1) == batch.targets[:, 0]
    return {"accuracy": right.sum(), "iou": iou.sum(), "iou_50": (iou >= 0.5).sum()}


TASK = Task(
    name="detection",
    config=Config,
    build=build,
    batch=batch,
    loss=loss,
    metrics=metrics,
    augment=augment.one_box,
    goal=Goal("iou", more=True),
)
