"""Published networks without their classifiers, by timm's or torchvision's name, as chains of steps.

Step: what runs one after the other ("features.0", "block12"); a frozen beginning of the chain can be computed once
      per image and stored.
"""

from __future__ import annotations

import copy
import difflib
import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import UserError
from components.models.backbones import lean_imports
from components.models.backbones.folded import PROBES, Folded, folded
from components.models.backbones.layers import HEADS, Layer, owns_weights
from components.models.encoders import named_encoder

COMPUTED_PIXELS = 400 * 400  # of an image whose shapes are computed rather than asked of torch's meta device
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A network without its classifier. Images float32 in [0, 1] (batch, 3, height, width) → a map of features.

    steps: the names of the modules that make it up, in the order they run.
    """

    def __init__(
        self,
        net: nn.Module,
        steps: tuple[str, ...],
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.net, self.steps = net, steps
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))
        self.frozen: tuple[nn.Module, ...] = ()
        self._folded: Folded | None = None
        self.register_load_state_dict_post_hook(_forget_folded)  # type: ignore[no-untyped-call]

    def forward(self, images: Tensor) -> Tensor:
        return self.run(self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def run(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Steps `first` up to `last`, not with it."""
        return _run(self.net, self.steps[first:last], x)

    def run_frozen(self, x: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """The same of frozen steps, in fewer passes: sums in another order, whose last digits differ."""
        last = len(self.steps) if last is None else last
        if torch.compiler.is_compiling():
            return self.run(x, first, last)
        if self._folded is None:
            self._folded = folded(self.net, self.steps[: self.frozen_steps])
        net = self._folded.net if {first, last} <= self._folded.cuts else self.net
        return _run(net, self.steps[first:last], x)

    def _apply(self, function: Any, recurse: bool = True) -> Any:
        self._folded = None  # it is made anew on the other device
        return super()._apply(function, recurse)  # type: ignore[no-untyped-call]

    def output_shape(self, shape: tuple[int, ...], first: int = 0, last: int | None = None) -> tuple[int, ...]:
        """The shape of what `run` makes of one example of this shape. Raises UserError if it does not fit."""
        return [shape, *self.sizes(shape, first, last)][-1]

    @torch.no_grad()
    def sizes(self, shape: tuple[int, ...], first: int = 0, last: int | None = None) -> list[tuple[int, ...]]:
        """The same after each step.

        Computed on zeros, but for large images: the meta device, which has shapes alone, takes seconds to start.
        """
        small = math.prod(shape[1:]) <= COMPUTED_PIXELS
        network = self if small else copy.deepcopy(self).to("meta")
        x, shapes, was = torch.zeros(1, *shape, device=network.mean.device), [], self.training
        network.eval()
        try:
            for step in range(first, len(self.steps) if last is None else last):
                x = network.run(x, step, step + 1)
                shapes.append(tuple(x.shape[1:]))
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"an image of {shape[-2]} x {shape[-1]} does not fit this backbone; it is too small, or the network "
                f"wants sides that are multiples of 32 or so: {_first_line(error)}"
            ) from None
        finally:
            network.train(was)
        return shapes

    def freeze(self, layers: list[Layer]) -> None:
        """Train these layers no more; they stay in evaluation mode, so that batch norm's statistics stay too."""
        self._folded = None
        self.frozen = tuple(module for layer in layers for module in layer.modules)
        for module in self.frozen:
            for parameter in module.parameters(recurse=not owns_weights(module)):
                parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.frozen:
            for part in [module] if owns_weights(module) else module.modules():
                part.training = False
        # What is random in training may stand after the last frozen layer, and still be in a step that trains nothing.
        for step in self.steps[: self.frozen_steps]:
            self.net.get_submodule(step).eval()
        return self

    @property
    def frozen_steps(self) -> int:
        """How many steps from the first on train nothing; 0 when no layer is frozen."""
        if not self.frozen:
            return 0
        trained = [any(p.requires_grad for p in self.net.get_submodule(s).parameters()) for s in self.steps]
        return trained.index(True) if True in trained else len(trained)

    def drop(self, steps: int) -> None:
        """Free the first steps, whose outputs are at hand."""
        self._folded = None
        for step in self.steps[:steps]:
            if step:
                self.net.set_submodule(step, nn.Identity())
            else:
                self.net = nn.Identity()
        left = set(self.net.modules())
        self.frozen = tuple(module for module in self.frozen if module in left)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take what the weights stage left, but for the steps that were dropped."""
        self._folded = None
        own = self.net.state_dict()
        self.net.load_state_dict({n: w for n, w in weights.items() if n in own}, strict=False)
        for name in ("mean", "std"):
            if name in weights:
                getattr(self, name).copy_(weights[name].view(-1, 1, 1))


def _forget_folded(backbone: nn.Module, _: Any) -> None:
    """It has the weights that were there before."""
    assert isinstance(backbone, Backbone)
    backbone._folded = None


def load_backbone(name: str, where: str) -> Backbone:
    """The untrained network of that name. `where` is the key of params.yaml, for messages. Raises UserError."""
    if encoder := named_encoder(name):
        return Backbone(encoder, tuple(step for step, _ in encoder.named_children()), mean=(0.0,), std=(1.0,))
    lean_imports.load()
    import timm  # here, since every stage imports this file to check params.yaml
    import torchvision

    base = name.split(".")[0]
    if base in (former := timm.models.get_deprecated_models()):
        raise UserError(f"{where}: timm calls {name!r} {former[base]} now")
    if timm.is_model(base):
        net = _timm_net(name, where)
    elif name in torchvision.models.list_models(module=torchvision.models):
        net = _torchvision_net(name, where)
    else:
        known = [*timm.list_models(), *torchvision.models.list_models(module=torchvision.models)]
        near = difflib.get_close_matches(base, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{where}: neither timm nor torchvision has a model {name!r}{hint}")
    try:
        return Backbone(net, _steps(net))
    except ValueError as error:
        raise UserError(f"{where}: {name!r} is no convolutional network that can be used here: {error}") from None


def _timm_net(name: str, where: str) -> nn.Module:
    import timm

    # VGG's dense layers, 90 % of it, are made small, since they are thrown away.
    options: dict[str, Any] = {"mlp_ratio": 1 / 4096} if name.startswith("vgg") else {}
    try:
        net: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, global_pool="", **options)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise UserError(f"{where}: timm cannot make {name!r} without its classifier: {_first_line(error)}") from None
    return net


def _torchvision_net(name: str, where: str) -> nn.Module:
    import torchvision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how weights start that are replaced
        whole = torchvision.models.get_model(name, weights=None)
    if not isinstance(getattr(whole, "features", None), nn.Sequential):
        raise UserError(f"{where}: torchvision's {name!r} is not a chain of features; choose a model of timm's")
    return nn.Sequential(OrderedDict(features=whole.features))


@torch.no_grad()
def _steps(net: nn.Module) -> tuple[str, ...]:
    """The chain's names, if the chain computes what the whole does; else the whole as one step.

    Raises ValueError when neither gives a map of features (batch, channels, height, width).
    """
    net.eval()
    steps, output = _probed(net)
    net.train()
    if output.dim() != 4 or output.shape[3] >= output.shape[1]:
        raise ValueError(f"its features have the shape {tuple(output.shape)}, not (batch, channels, height, width)")
    if steps != ("",):
        used = {step.split(".")[0] for step in steps}
        for name in [name for name, _ in net.named_children() if name not in used]:
            delattr(net, name)  # a classifier that is not asked trains nothing, and several workers wait for it
    return steps


def _probed(net: nn.Module) -> tuple[tuple[str, ...], Tensor]:
    """The steps, and what they make of a probe. Raises ValueError where no probe passes."""
    whole = getattr(net, "forward_features", None) or net
    steps = tuple(_chain(net, ""))
    reason = ""
    for height, width in PROBES:
        probe = torch.linspace(-1, 1, 3 * height * width).view(1, 3, height, width)
        try:
            features = whole(probe)
            if _same(net, steps, probe, features):
                return steps, features
            output = net(probe)
        except Exception as error:  # a network may raise anything on an image that it cannot take
            reason = f"it takes no image of {height} x {width}: {_first_line(error)}"
            continue
        if torch.is_tensor(output):
            return ("",), output
        reason = "its features are not one map"
    raise ValueError(reason)


def _same(net: nn.Module, steps: tuple[str, ...], probe: Tensor, expected: object) -> bool:
    try:
        output = _run(net, steps, probe)
    except Exception:  # what is no chain may fail in any way when it is run as one
        return False
    return torch.is_tensor(expected) and output.shape == expected.shape and torch.allclose(output, expected)


def _run(net: nn.Module, steps: tuple[str, ...], x: Tensor) -> Tensor:
    for step in steps:
        x = net.get_submodule(step)(x)
    return x


def _chain(net: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in net.named_children():
        if not prefix and name in HEADS:
            return
        path = f"{prefix}{name}"
        if isinstance(child, nn.Sequential) and len(child):
            yield from _chain(child, f"{path}.")
        else:
            yield path


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
