"""Many objects in one pass: the single shot detector (Liu et al. 2016), and its light form for small machines.

SSD300 on VGG16: 8,732 default boxes; 35,641,826 parameters with COCO's 90 classes. SSDLite320 on MobileNetV3: 3,234
boxes; 3,440,060 parameters. Both are torchvision's; any other backbone gets SSDLite's layers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from components.data.arrays import DataSpec
from components.models import augment
from components.models.objects import batches, default_boxes
from components.models.objects.boxes import overlaps
from components.models.objects.default_boxes import Outputs, decoded
from components.models.objects.ssd_networks import BASES, Parts, parts_of
from components.models.objects.ssd_networks import default_boxes as all_boxes
from components.models.pretrained import Pretrained, PretrainedConfig, check_colours, freeze, resized
from components.models.task import Batch, Epochs, LearningRate, Schedule, Task, WarmupRatio


class Config(PretrainedConfig):
    reads = ("boxes",)

    epochs: Epochs = 8
    learning_rate: LearningRate = 0.003
    schedule: Schedule = "cosine"
    warmup_ratio: WarmupRatio = 0.05

    @property
    def small(self) -> bool:
        return False

    @property
    def base_network(self) -> str:
        return BASES.get(self.backbone, self.backbone)


class SSD(Pretrained):
    """Images (batch, 3, height, width) → default_boxes.Outputs."""

    def __init__(self, config: Config, data: DataSpec) -> None:
        check_colours(config, data, maps=True)
        parts = parts_of(config.backbone, not config.pretrained, f"{config.where}.start")
        freeze(parts.backbone, config)
        sizes = parts.backbone.sizes((3, parts.side, parts.side))
        shapes = _map_shapes(parts, sizes)
        super().__init__(parts.backbone, config, data, kept := _kept(parts, sizes))
        self.shapes = [sizes[step - 1] for step in kept if step]
        self.side, self.taps, self.extras, self.scale = parts.side, parts.taps, parts.extras, parts.scale
        self.config = config
        channels = [shape[0] for shape in shapes]
        self.head = parts.head(channels, parts.boxes.num_anchors_per_location(), len(data.classes) + 1)
        self.boxes: Tensor
        boxes = all_boxes(parts.boxes, parts.side, [(shape[1], shape[2]) for shape in shapes])
        self.register_buffer("boxes", boxes, persistent=False)

    def beginning(self, images: Tensor) -> Tensor:
        return super().beginning(resized(images, (self.side, self.side)))

    def read(self, normalised: Tensor) -> Tensor:
        """The outputs that are kept, side by side: (batch, numbers) where these are several."""
        if len(self.kept) == 1:
            return super().read(normalised)
        levels, at = [], 0
        for step in self.kept:
            normalised = self.backbone.run_frozen(normalised, at, step)
            levels.append(normalised.flatten(1))
            at = step
        return torch.cat(levels, dim=1)

    def rest(self, features: Tensor) -> Outputs:
        maps = self._all_maps(features)
        if self.scale is not None:
            maps[0] = self.scale.view(1, -1, 1, 1) * functional.normalize(maps[0])
        predictions = self.head(maps)
        boxes = self.boxes.expand(len(features), -1, -1)
        return Outputs(predictions["bbox_regression"], boxes, predictions["cls_logits"])

    def _all_maps(self, features: Tensor) -> list[Tensor]:
        if len(self.kept) == 1:
            return _maps(self, features, self.first)
        outputs = features.split([math.prod(shape) for shape in self.shapes], dim=1)
        early = [
            output.unflatten(1, shape).contiguous(memory_format=torch.channels_last)
            for output, shape in zip(outputs, self.shapes, strict=True)
        ]
        return [*early[:-1], *_maps(self, early[-1], self.first)]


def _kept(parts: Parts, sizes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """After how many of the backbone's steps the frozen beginning is read: where it ends, or at each map that it has.

    Then once more behind these: after the last step that leaves no more numbers than the first map has, so that what is
    stored stays small. What is frozen and comes later is computed at each step.
    """
    frozen = parts.backbone.frozen_steps
    inside = tuple(tap for tap in parts.taps if tap < frozen)
    if not inside:
        return (frozen,)
    most = math.prod(sizes[inside[0] - 1])
    last = max(step for step in range(inside[-1], frozen + 1) if math.prod(sizes[step - 1]) <= most)
    return inside if last == inside[-1] else (*inside, last)


def _maps(network: SSD, x: Tensor, first: int) -> list[Tensor]:
    """The maps that the heads read and that come no earlier, from what the backbone's step `first` is given."""
    maps = []
    for tap in network.taps:
        if tap < first:
            continue
        x = network.backbone.run(x, first, tap)
        maps.append(x)
        first = tap
    x = network.backbone.run(x, first)
    for block in network.extras:
        x = block(x)
        maps.append(x)
    return maps


@torch.no_grad()
def _map_shapes(parts: Parts, sizes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Of the maps that the heads read; sizes: what each step of the backbone leaves."""
    shapes = [sizes[tap - 1] for tap in parts.taps]
    x = torch.zeros(1, *sizes[-1])
    extras = copy.deepcopy(parts.extras).eval()
    for block in extras:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    return shapes


def build(config: Config, data: DataSpec) -> SSD:
    """The network with its frozen layers. Raises UserError when backbone, layer or data do not fit."""
    return SSD(config, data)


def loss(config: Config, outputs: Outputs, batch: Batch) -> Tensor:
    return default_boxes.loss(outputs, batch.targets)


def metrics(outputs: Outputs, batch: Batch) -> Mapping[str, Tensor]:
    """How often the surest box of an image finds an object: its class, and an overlap of 0.5 or more; summed."""
    scores = outputs.scores()
    surest = scores.flatten(1).argmax(dim=1)
    rows, place = torch.arange(len(scores), device=scores.device), surest // scores.shape[2]
    boxes = decoded(outputs.offsets[rows, place], outputs.boxes[rows, place])
    iou = overlaps(boxes[:, None], batch.targets[..., 1:])[:, 0]
    right = (batch.targets[..., 0] == (surest % scores.shape[2])[:, None]) & (iou >= default_boxes.MATCHED)
    return {"surest_right": right.any(dim=1).sum()}


TASK = Task(
    name="ssd",
    config=Config,
    build=build,
    batch=batches.batch,
    loss=loss,
    metrics=metrics,
    augment=augment.many_boxes,
)
