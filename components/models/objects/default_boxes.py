"""Default boxes and the objects that they are to find: matching, offsets and SSD's loss (Liu et al. 2016, section 2.2).

Objects are (batch, objects, 5): class number, -1 where there is none, and box.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from components.models.objects.boxes import overlaps

MATCHED = 0.5  # intersection over union from which on a default box is to find an object
NEGATIVES = 3  # default boxes without an object that are learned from, for each with one: those of largest loss
OFFSET_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


class Outputs(NamedTuple):
    """A detector's outputs for a batch.

    offsets: to the default boxes, (batch, boxes, 4).
    boxes:   the default boxes themselves, (batch, boxes, 4), as fractions of the image's sides.
    logits:  (batch, boxes, 1 + classes), the background's first.
    """

    offsets: Tensor
    boxes: Tensor
    logits: Tensor

    def scores(self) -> Tensor:
        """(batch, boxes, classes), the probability of each class but the background."""
        return self.logits.softmax(dim=-1)[..., 1:]


def box_coder() -> Any:
    from torchvision.models.detection._utils import BoxCoder  # here, since every stage imports this file

    return BoxCoder(OFFSET_WEIGHTS)


def decoded(offsets: Tensor, boxes: Tensor) -> Tensor:
    """The boxes (n, 4) that offsets (n, 4) to default boxes mean, cut at the image's sides."""
    corners: Tensor = box_coder().decode_single(offsets, boxes)
    return corners.clamp(0, 1)


def matches(objects: Tensor, boxes: Tensor) -> Tensor:
    """For each default box the number of the object that it is to find, or -1: (batch, boxes) from (batch, boxes, 4).

    A box finds the object it overlaps most, if by 0.5 or more; and each object has the box that overlaps it most.
    """
    there = objects[..., 0] >= 0
    iou = overlaps(objects[..., 1:], boxes).masked_fill(~there[..., None], -1)
    most, matches = iou.max(dim=1)
    matches = torch.where(most >= MATCHED, matches, -1)
    best = iou.argmax(dim=2)
    for number in range(objects.shape[1]):
        rows = torch.nonzero(there[:, number]).flatten()
        matches[rows, best[rows, number]] = number
    return matches


def loss(outputs: Outputs, objects: Tensor) -> Tensor:
    """Smooth L1 of the offsets + cross-entropy, per matched default box of each image; the mean of the images.

    For one image this is torchvision's loss. torchvision divides by the matches of the whole batch; by image,
    several workers average to what one computes.
    """
    matched = matches(objects, outputs.boxes)
    positive = matched >= 0
    chosen = torch.gather(objects, 1, matched.clamp_min(0)[..., None].expand(-1, -1, 5))
    targets = torch.where(positive, chosen[..., 0].long() + 1, 0)
    truth = torch.where(positive[..., None], chosen[..., 1:], outputs.boxes)
    wanted = box_coder().encode_single(truth.flatten(0, 1), outputs.boxes.flatten(0, 1)).view_as(outputs.offsets)
    distance = functional.smooth_l1_loss(outputs.offsets, wanted, reduction="none").sum(dim=-1)
    entropy = functional.cross_entropy(outputs.logits.flatten(0, 1), targets.flatten(), reduction="none")
    entropy = entropy.view_as(targets)

    hardest = entropy.detach().masked_fill(positive, -1).argsort(dim=1, descending=True, stable=True)
    rank = hardest.argsort(dim=1)
    count = positive.sum(dim=1)
    learned = positive | (rank < NEGATIVES * count[:, None])
    sums = (distance * positive).sum(dim=1) + (entropy * learned).sum(dim=1)
    return (sums / count.clamp_min(1)).mean()
