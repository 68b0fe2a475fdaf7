"""The layers of a published network, which `freeze` counts.

For VGG (Simonyan and Zisserman 2015) and Xception (Chollet 2017) these are Keras' layers, the input being the first;
for all others the modules that hold weights or compute, in their order.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from components.errors import UserError

HEADS = ("global_pool", "avgpool", "pre_logits", "head_drop", "head", "fc", "classifier")  # the first ends the chain


@dataclass(frozen=True)
class Layer:
    """One layer, as `freeze` counts them. `modules` is empty for an input or an addition."""

    name: str
    modules: tuple[nn.Module, ...]


def layers_of(net: nn.Module) -> list[Layer]:
    """The layers that `freeze` counts, from the input on."""
    from timm.models.vgg import VGG
    from timm.models.xception import Xception

    if isinstance(net, VGG):
        return [Layer("input", ()), *_vgg_layers(net)]
    if isinstance(net, Xception):
        return [Layer("input", ()), *_xception_layers(net)]
    return [
        Layer(name, (module,))
        for name, module in net.named_modules()
        if name and (owns_weights(module) or _leaf(module))
    ]


def _vgg_layers(net: nn.Module) -> Iterator[Layer]:
    """Each convolution with its activation, and each pooling."""
    group: list[nn.Module] = []
    name = ""
    for number, module in net.get_submodule("features").named_children():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            if group:
                yield Layer(name, tuple(group))
            group, name = [], f"features.{number}"
        group.append(module)
    yield Layer(name, tuple(group))


def _xception_layers(net: nn.Module) -> Iterator[Layer]:
    """Keras counts a separable convolution as one, and after each block its addition."""
    for name, child in net.named_children():
        if not name.startswith("block"):
            if name in HEADS:
                return
            yield Layer(name, (child,))
            continue
        *main, last = child.get_submodule("rep").named_children()
        if not isinstance(last[1], nn.MaxPool2d):
            main.append(last)
        yield from (Layer(f"{name}.rep.{number}", (module,)) for number, module in main)
        if isinstance(last[1], nn.MaxPool2d):
            yield Layer(f"{name}.skip", (child.get_submodule("skip"),))
            yield Layer(f"{name}.rep.{last[0]}", (last[1],))
            yield Layer(f"{name}.skipbn", (child.get_submodule("skipbn"),))
        yield Layer(f"{name}.add", ())


def chosen_layers(layers: list[Layer], freeze: int | str, where: str) -> list[Layer]:
    """The layers up to and including a count, a name, or "all". Raises UserError for one that does not exist."""
    if freeze == "all":
        return layers
    if isinstance(freeze, int):
        if not 0 <= freeze <= len(layers):
            raise UserError(f"{where}: {freeze} is not in 0 to {len(layers)}, the layers that this backbone has")
        return layers[:freeze]
    inside = [n for n, layer in enumerate(layers) if layer.name == freeze or layer.name.startswith(f"{freeze}.")]
    if not inside:
        near = difflib.get_close_matches(freeze, [layer.name for layer in layers], n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{where}: this backbone has no layer {freeze!r}{hint}")
    return layers[: inside[-1] + 1]


def owns_weights(module: nn.Module) -> bool:
    """Whether a module with modules inside has weights of its own beside theirs."""
    return not _leaf(module) and next(module.parameters(recurse=False), None) is not None


def _leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None
