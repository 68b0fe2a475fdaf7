"""Frozen layers in fewer passes: a batch norm that is no longer trained is part of the convolution before it.

It multiplies and shifts each channel by constants, which the convolution's own weights can do (Jacob et al. 2018,
section 3.2). On a CPU each pass over the maps that is saved costs about as much as a small convolution.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

PROBES = (64, 96), (160, 192)
TOLERANCE = 1e-3  # of the largest value; sums of float32 in another order differ by less


@dataclass(frozen=True)
class Folded:
    """A copy of a network with folded batch norms. cuts: after how many of its steps it has what the network has."""

    net: nn.Module
    cuts: frozenset[int]


@torch.no_grad()
def folded(net: nn.Module, steps: Sequence[str]) -> Folded:
    """Fold the frozen batch norms of a network, whose frozen steps these are.

    What follows what is only known from the order in which modules are listed, so each step is tried on a probe.
    """
    copied = copy.deepcopy(net).eval()
    if not _fold(copied):
        return Folded(net, frozenset())
    for sides in PROBES:
        probe = torch.linspace(-1, 1, 3 * math.prod(sides), device=next(net.parameters()).device).view(1, 3, *sides)
        try:
            return Folded(copied, frozenset(_cuts(net, copied, steps, probe)))
        except (RuntimeError, AssertionError):  # it is too small for this network
            continue
    return Folded(net, frozenset())


def _cuts(net: nn.Module, copied: nn.Module, steps: Sequence[str], probe: Tensor) -> Iterator[int]:
    expected, computed = probe, probe
    yield 0
    for cut, step in enumerate(steps, start=1):
        expected, computed = net.get_submodule(step)(expected), copied.get_submodule(step)(computed)
        if (computed - expected).abs().max() <= TOLERANCE * expected.abs().max():
            yield cut


def _fold(net: nn.Module) -> int:
    """Fold each frozen batch norm that is listed right after a convolution; how many there were."""
    folds = 0
    for module in [*net.modules()]:
        for (before, _), (after, norm) in itertools.pairwise([*module.named_children()]):
            last = _last(before, module.get_submodule(before))
            conv = module.get_submodule(last)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and _can_be_folded(conv, norm):
                module.set_submodule(last, fuse_conv_bn_eval(conv, norm))
                setattr(module, after, _activation(norm))
                folds += 1
    return folds


def _last(name: str, module: nn.Module) -> str:
    """The name of what is listed last in a module, and in that, and so on."""
    children = [*module.named_children()]
    return _last(f"{name}.{children[-1][0]}", children[-1][1]) if children else name


def _can_be_folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    trained = any(parameter.requires_grad for parameter in (*conv.parameters(), *norm.parameters()))
    return norm.running_mean is not None and not trained and conv.out_channels == norm.num_features


def _activation(norm: nn.BatchNorm2d) -> nn.Module:
    """What a batch norm of timm's does after it has normalised."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
