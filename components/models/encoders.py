"""Encoders that bring an image down to a short code, the decoders that mirror them, and their names.

Dense or convolutional layers with SELU, which keeps activations near mean 0 and variance 1 if weights start as LeCun
et al. 1998 have it: normal, of variance 1 / inputs (Klambauer, Unterthiner, Mayr and Hochreiter 2017). Those of a VAE
have tanh, as Kingma and Welling 2014 do: it is bounded, so that codes far from all images decode to no glare.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from components.data.arrays import DataSpec
from components.models.outputs import each, joined

Shape = tuple[int, ...]
NAME = re.compile(r"encoder_(\d+)x(\d+)x(\d+)((?:_c\d+)*)((?:_\d+)+)(_mean)?")
KERNEL, STRIDE, PADDING = 3, 2, 1  # of convolutions, each of which halves the sides


class Encoder(nn.Sequential):
    """Images (batch, channels, height, width) → codes (batch, widths[-1]).

    shape:   one image's.
    filters: of the convolutions that come first; empty for none.
    widths:  of the dense layers, the last of which gives the code.
    mean:    whether the code is the mean of a VAE's distribution: tanh within, and no activation after the last layer.
    """

    def __init__(self, shape: Shape, filters: Sequence[int], widths: Sequence[int], mean: bool = False) -> None:
        layers: list[nn.Module] = []
        activation = nn.Tanh if mean else nn.SELU
        for inputs, outputs in pairwise((shape[0], *filters)):
            layers += [nn.Conv2d(inputs, outputs, KERNEL, STRIDE, PADDING), activation()]
        layers.append(nn.Flatten())
        for inputs, outputs in pairwise((math.prod(map_shapes(shape, filters)[-1]), *widths)):
            layers += [nn.Linear(inputs, outputs), activation()]
        super().__init__(*(layers[:-1] if mean else layers))
        self.shape = shape
        self.name = name_of(shape, filters, widths, mean)
        self.apply(lecun)

    def before_last(self, images: Tensor) -> Tensor:
        """The input of the last layer."""
        for layer in list(self)[:-1]:
            images = layer(images)
        return images


class Decoder(nn.Sequential):
    """Codes (batch, bottleneck) → logits of pixels (batch, channels, height, width): an Encoder backwards."""

    def __init__(self, shape: Shape, filters: Sequence[int], widths: Sequence[int], mean: bool = False) -> None:
        activation = nn.Tanh if mean else nn.SELU
        maps = map_shapes(shape, filters)
        backwards = [*reversed(widths), math.prod(maps[-1])]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(backwards):
            layers += [nn.Linear(inputs, outputs), activation()]
        if not filters:
            layers.pop()
        layers.append(nn.Unflatten(1, maps[-1]))
        for small, large in pairwise(reversed(maps)):
            odd = (1 - large[1] % 2, 1 - large[2] % 2)  # an even side lost half a pixel's neighbour on the way down
            layers += [
                nn.ConvTranspose2d(small[0], large[0], KERNEL, STRIDE, PADDING, output_padding=odd),
                activation(),
            ]
        super().__init__(*(layers[:-1] if filters else layers))
        self.apply(lecun)


def map_shapes(shape: Shape, filters: Sequence[int]) -> list[Shape]:
    """The shape of an image, and of what each convolution makes of it."""
    shapes = [shape]
    for count in filters:
        _, height, width = shapes[-1]
        shapes.append((count, -(-height // STRIDE), -(-width // STRIDE)))
    return shapes


def lecun(module: nn.Module) -> None:
    """Weights normal with variance 1 / inputs, biases zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        inputs = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):  # of each output pixel only every STRIDE-th tap meets an input
            inputs = max(1, module.weight[:, 0].numel() // STRIDE**2)
        nn.init.normal_(module.weight, std=inputs**-0.5)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def name_of(shape: Shape, filters: Sequence[int], widths: Sequence[int], mean: bool) -> str:
    """The name of such an encoder under a `backbone` key, such as encoder_1x28x28_100_30."""
    parts = ["encoder", "x".join(map(str, shape)), *(f"c{count}" for count in filters), *map(str, widths)]
    return "_".join([*parts, "mean"] if mean else parts)


def named_encoder(name: str) -> Encoder | None:
    """The untrained encoder of that name; None if it is no encoder's name."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    numbers = [int(number) for number in match.group(1, 2, 3)]
    filters = [int(part) for part in match[4].replace("c", "").split("_") if part]
    widths = [int(part) for part in match[5].split("_") if part]
    if not all((*numbers, *filters, *widths)):
        return None
    return Encoder(tuple(numbers), filters, widths, mean=bool(match[6]))


def weights_of_encoder(config: Any, own: DataSpec, trained: nn.Module, of: DataSpec) -> Mapping[str, Tensor]:
    """A trained autoencoder's encoder, as the weights of a backbone, whose pixels are as they are."""
    encoder = trained.get_submodule("encoder").state_dict()
    return {**encoder, "mean": torch.zeros(1), "std": torch.ones(1)}


def takes(name: str) -> Shape | None:
    """The shape of an image that an encoder of that name takes; None if it is no encoder's name."""
    match = NAME.fullmatch(name)
    return tuple(int(number) for number in match.group(1, 2, 3)) if match else None


@torch.inference_mode()
def in_parts(network: Callable[[Tensor], Any], inputs: Tensor, device: torch.device, size: int = 1000) -> Any:
    """A network's outputs for many inputs, `size` at a time on the device; float32 on the CPU."""
    return joined([each(lambda output: output.float().cpu(), network(part.to(device))) for part in inputs.split(size)])
