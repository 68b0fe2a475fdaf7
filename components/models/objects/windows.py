"""Windows that slide over a pyramid of one image: where they lie, their pixels, and what they show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from components.models.objects.boxes import overlaps
from components.params.section import Section

AN_OBJECT, NO_OBJECT = 0.5, 0.3  # intersection over union from which a window shows an object, and below which none

Fraction = Annotated[float, Field(gt=0, le=1)]
Ratio = Annotated[float, Field(gt=0)]


class Level(NamedTuple):
    """One level of the pyramid: the windows' sides and where they begin, as fractions of the image's sides."""

    height: float
    width: float
    tops: Tensor
    lefts: Tensor


class Windows(Section):
    pixels: int = Field(64, ge=32, le=512, description="an integer from 32 to 512: the side of a window as it is seen")
    sizes: tuple[Fraction, ...] = Field(
        (0.2, 0.3, 0.42, 0.6),
        min_length=1,
        description="a list of numbers in (0, 1]: the windows' sides, as fractions of the image's",
    )
    aspects: tuple[Ratio, ...] = Field((1.0,), min_length=1, description="a list of numbers > 0: widths over heights")
    step: float = Field(
        0.33, gt=0, le=1, description="a number in (0, 1]: from window to window, as a fraction of its side"
    )
    examples: int = Field(3, ge=1, description="an integer >= 1: most windows of an object, and of none, to learn from")

    def levels(self) -> Iterator[Level]:
        """Windows of one size and aspect each; the last ones in a row or column end at the image's side."""
        for size in self.sizes:
            for aspect in self.aspects:
                height, width = min(1.0, size / aspect**0.5), min(1.0, size * aspect**0.5)
                yield Level(height, width, self._starts(height), self._starts(width))

    def _starts(self, side: float) -> Tensor:
        return torch.linspace(0, 1 - side, 1 + math.ceil((1 - side) / (self.step * side) - 1e-6))

    def boxes(self) -> Tensor:
        """Every window's (left, top, right, bottom) as fractions, (windows, 4), level after level, row after row."""
        boxes = []
        for height, width, tops, lefts in self.levels():
            top, left = torch.meshgrid(tops, lefts, indexing="ij")
            boxes.append(torch.stack([left, top, left + width, top + height], dim=-1).flatten(0, 1))
        return torch.cat(boxes)

    def crops(self, image: Tensor, numbers: Tensor) -> Tensor:
        """The pixels of these windows of an image (3, height, width): (numbers, 3, pixels, pixels).

        Each level of the pyramid is the image, made so large that a window of that level is pixels x pixels of it.
        numbers: places in `boxes`, in ascending order.
        """
        crops, first = [], 0
        for height, width, tops, lefts in self.levels():
            here = numbers[(numbers >= first) & (numbers < first + len(tops) * len(lefts))].to(tops.device) - first
            first += len(tops) * len(lefts)
            if len(here):
                size = tuple(max(self.pixels, round(self.pixels / side)) for side in (height, width))
                level = functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
                rows = (tops * size[0]).round().long().clamp(max=size[0] - self.pixels)[here // len(lefts)]
                columns = (lefts * size[1]).round().long().clamp(max=size[1] - self.pixels)[here % len(lefts)]
                seen = level.unfold(1, self.pixels, 1).unfold(2, self.pixels, 1)  # a view of every place
                crops.append(seen[:, rows.to(image.device), columns.to(image.device)].transpose(0, 1))
        return torch.cat(crops)


def shown(windows: Tensor, objects: Tensor, background: int) -> tuple[Tensor, Tensor]:
    """(class, overlap) of each window (windows, 4) with what it shows most of objects (objects, 5): (windows,) each.

    The class is `background` where it shows none, and -1 where it shows a part of one, which is neither.
    """
    there = objects[objects[:, 0] >= 0]
    most, which = overlaps(windows[None], there[None, :, 1:])[0].max(dim=1)
    labels = there[which, 0].long()
    labels[most < AN_OBJECT] = -1
    labels[most < NO_OBJECT] = background
    return labels, most
