"""Geometry of boxes: xyxy as torchvision has them, (left, top, right, bottom), as fractions of an image's sides."""

from __future__ import annotations

import torch
from torch import Tensor


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union (batch, n, m) of (batch, n, 4) with (batch, m, 4)."""
    common = torch.minimum(boxes[:, :, None, 2:], others[:, None, :, 2:])
    common = common - torch.maximum(boxes[:, :, None, :2], others[:, None, :, :2])
    shared = common.clamp_min(0).prod(dim=-1)
    areas = [(b[..., 2:] - b[..., :2]).clamp_min(0).prod(dim=-1) for b in (boxes, others)]
    return shared / (areas[0][:, :, None] + areas[1][:, None, :] - shared).clamp_min(1e-9)
