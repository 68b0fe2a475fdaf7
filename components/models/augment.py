"""Augmentation of whole batches: mirrored, cropped and recoloured, the boxes along with the images.

A batch is cut into a few groups; torchvision's transforms draw once for each. Random numbers are torch's own,
which the checkpoints keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from components.models.pretrained import PretrainedConfig
from components.models.task import Batch

GROUPS = 8
LEAST_LEFT = 0.4  # of a box's area; what a crop leaves less of is no longer there to be found


def images_alone(config: PretrainedConfig, batch: Batch) -> Batch:
    """For classifiers: images (batch, 3, height, width) in [0, 1]; the targets are as they were."""
    if not config.augments:
        return batch
    from torchvision.tv_tensors import Image  # here, since every stage imports this file to check params.yaml

    transform = _transform(config, tuple(batch.inputs.shape[-2:]))
    parts = [transform(Image(part)) for part in batch.inputs.tensor_split(min(GROUPS, len(batch.inputs)))]
    return Batch(torch.cat([part.as_subclass(Tensor) for part in parts]), batch.targets)


def one_box(config: PretrainedConfig, batch: Batch) -> Batch:
    """For one object: targets (batch, 5), each class, left, top, right, bottom as fractions."""
    inputs, targets = many_boxes(config, Batch(batch.inputs, batch.targets.unsqueeze(1)))
    return Batch(inputs, targets.squeeze(1))


def many_boxes(config: PretrainedConfig, batch: Batch) -> Batch:
    """For many objects: targets (batch, objects, 5), the class -1 where there is none.

    A crop that leaves too little of a box takes the object away; an image that would lose them all stays uncut.
    """
    if not config.augments:
        return batch
    size = tuple(batch.inputs.shape[-2:])
    transform, whole = _transform(config, size), _transform(config.model_copy(update={"crop": 1.0}), size)
    images, targets = [], []
    for inputs, objects in zip(*(t.tensor_split(min(GROUPS, len(t))) for t in batch), strict=True):
        state = torch.get_rng_state()
        cut, moved = _apply(transform, inputs, objects)
        lost = (moved[..., 0] < 0).all(dim=1) & (objects[..., 0] >= 0).any(dim=1)
        if lost.any():
            after = torch.get_rng_state()
            torch.set_rng_state(state)
            uncut, all_found = _apply(whole, inputs, objects)
            torch.set_rng_state(after)
            cut = torch.where(lost[:, None, None, None], uncut, cut)
            moved = torch.where(lost[:, None, None], all_found, moved)
        images.append(cut)
        targets.append(moved)
    return Batch(torch.cat(images), torch.cat(targets))


def _transform(config: PretrainedConfig, size: tuple[int, ...]) -> Callable[..., Any]:
    from torchvision.transforms import v2

    steps: list[v2.Transform] = [v2.RandomHorizontalFlip(config.flip)]
    if config.colour:
        c = config.colour
        steps.append(v2.ColorJitter(brightness=c, contrast=c, saturation=c, hue=c / 4))
    if config.crop < 1:
        steps.append(v2.RandomResizedCrop(size, scale=(config.crop, 1.0), ratio=(0.75, 1.33), antialias=True))
    composed: Callable[..., Any] = v2.Compose(steps)
    return composed


def _apply(transform: Callable[..., Any], inputs: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
    """One draw for all of these images (n, 3, height, width) and objects (n, k, 5)."""
    from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

    height, width = inputs.shape[-2:]
    scale = torch.tensor([width, height, width, height], device=inputs.device)
    corners = objects[..., 1:] * scale
    boxes = BoundingBoxes(
        corners.reshape(-1, 4), format=BoundingBoxFormat.XYXY, canvas_size=(height, width), clamping_mode=None
    )
    changed, moved = transform(Image(inputs), boxes)
    moved = moved.as_subclass(Tensor).reshape(corners.shape)
    # A crop enlarges: what is left of a box is its clipped area over the area it would have had.
    clipped = torch.minimum(moved.clamp(min=0), scale)
    left = _area(clipped) / _area(moved).clamp_min(1e-6)
    kept = (objects[..., 0] >= 0) & (left >= LEAST_LEFT)
    labels = torch.where(kept, objects[..., 0], -1.0)
    fractions = (clipped / scale) * kept[..., None]
    return changed.as_subclass(Tensor), torch.cat([labels[..., None], fractions], dim=-1)


def _area(boxes: Tensor) -> Tensor:
    sides = boxes[..., 2:] - boxes[..., :2]
    return sides[..., 0].clamp_min(0) * sides[..., 1].clamp_min(0)
