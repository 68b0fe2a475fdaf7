"""The parts of a single shot detector: where a backbone is tapped, what follows it, and its default boxes.

SSD300 (Liu et al. 2016) on VGG16 and SSDLite320 (Sandler et al. 2018, section 6.2; Howard et al. 2019, section 6.3) on
MobileNetV3 are torchvision's, to the last parameter. Any other backbone gets SSDLite's layers.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import UserError
from components.models.backbones.networks import Backbone, load_backbone

SSD300, SSDLITE320 = "ssd300_vgg16", "ssdlite320_mobilenet_v3_large"
BASES = {SSD300: "vgg16", SSDLITE320: "mobilenet_v3_large"}  # the networks whose published weights they start from
LITE_SIDE = 320
LITE_STRIDE = 16  # of SSDLite's finest map
LITE_EXTRAS = (512, 256, 256, 128)
LITE_DEVIATION = 0.03  # of its first weights
lite_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)

Head = Callable[[list[int], list[int], int], nn.Module]  # maps' channels, boxes per place, classes with background


@dataclass(frozen=True)
class Parts:
    """The parts of a detector.

    side:   pixels a side of the images that it takes.
    taps:   after how many of the backbone's steps a map is taken.
    extras: blocks that follow the whole backbone; each gives one more map.
    scale:  (channels of the first map,), by which that map is multiplied once each place has the norm 1; or None.
    boxes:  torchvision's generator of default boxes.
    """

    backbone: Backbone
    side: int
    taps: tuple[int, ...]
    extras: nn.ModuleList
    head: Head
    boxes: Any
    scale: nn.Parameter | None = None


def parts_of(name: str, untrained: bool, where: str) -> Parts:
    """The parts of the detector of that name. `untrained`: no weights will come. Raises UserError."""
    if name == SSD300:
        return _ssd300(where)
    if name == SSDLITE320:
        return _ssdlite320(untrained)
    return _ssdlite_on(load_backbone(name, where), name, where)


def _ssd300(where: str) -> Parts:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSDFeatureExtractorVGG, SSDHead

    backbone = load_backbone(BASES[SSD300], where)
    made = SSDFeatureExtractorVGG(backbone.net.get_submodule("features"), highres=False)  # it rounds the third pool up
    backbone.steps = backbone.steps[:-1]  # the last pool is among the extras, with another stride
    boxes = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    return Parts(
        backbone=backbone,
        side=300,
        taps=(backbone.steps.index("features.22") + 1,),  # conv4_3 with its ReLU
        extras=nn.ModuleList([made.extra[0][-1], *made.extra[1:]]),
        head=SSDHead,
        boxes=boxes,
        scale=made.scale_weight,
    )


def _ssdlite320(untrained: bool) -> Parts:
    """The last stage is half as wide where no published weights are to fit in it (Howard et al. 2019, table 6)."""
    from torchvision.models import mobilenet_v3_large
    from torchvision.models.mobilenetv3 import InvertedResidual

    features = mobilenet_v3_large(weights=None, norm_layer=lite_norm, reduced_tail=untrained).features
    if untrained:
        _draw_weights(features)
    tapped = max(n for n, m in enumerate(features) if isinstance(m, InvertedResidual) and m.block[1][0].stride[0] == 2)
    steps: list[str] = []
    for number, module in enumerate(features):
        inside = [f".block.{part}" for part in range(len(module.block))] if number == tapped else [""]
        steps += [f"features.{number}{part}" for part in inside]
    backbone = Backbone(nn.Sequential(OrderedDict(features=features)), tuple(steps))
    return _lite(backbone, (tapped + 1, len(steps)), features[-1].out_channels)


def _ssdlite_on(backbone: Backbone, name: str, where: str) -> Parts:
    sizes = backbone.sizes((3, LITE_SIDE, LITE_SIDE))
    fine = [number for number, shape in enumerate(sizes, start=1) if shape[-1] == LITE_SIDE // LITE_STRIDE]
    if not fine or fine[-1] == len(sizes):
        raise UserError(
            f"{where}: {name!r} does not come as a chain of steps with a map of 1/{LITE_STRIDE} of the image's side "
            f"and a smaller one after it; choose another, such as efficientnet_lite0, {SSDLITE320} or {SSD300}"
        )
    return _lite(backbone, (fine[-1], len(sizes)), sizes[-1][0])


def _lite(backbone: Backbone, taps: tuple[int, ...], channels: int) -> Parts:
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssdlite import SSDLiteHead

    widths = (channels, *LITE_EXTRAS)
    extras = nn.ModuleList([_extra_block(*pair) for pair in itertools.pairwise(widths)])
    _draw_weights(extras)
    return Parts(
        backbone=backbone,
        side=LITE_SIDE,
        taps=taps,
        extras=extras,
        head=partial(SSDLiteHead, norm_layer=lite_norm),
        boxes=DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95),
    )


def _extra_block(inputs: int, outputs: int) -> nn.Sequential:
    """To half the channels, a depthwise convolution that halves the sides, and to all the channels."""
    from torchvision.ops import Conv2dNormActivation

    half = outputs // 2
    made = partial(Conv2dNormActivation, norm_layer=lite_norm, activation_layer=nn.ReLU6)
    return nn.Sequential(
        made(inputs, half, kernel_size=1),
        made(half, half, kernel_size=3, stride=2, groups=half),
        made(half, outputs, kernel_size=1),
    )


def _draw_weights(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=LITE_DEVIATION)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def default_boxes(generator: Any, side: int, sizes: list[tuple[int, int]]) -> Tensor:
    """All default boxes, (boxes, 4), left, top, right, bottom as fractions, for maps of these (height, width)."""
    from torchvision.models.detection.image_list import ImageList

    image = ImageList(torch.empty(1, 3, side, side), [(side, side)])
    (boxes,) = generator(image, [torch.empty(1, 1, *size) for size in sizes])
    fractions: Tensor = boxes / side
    return fractions
