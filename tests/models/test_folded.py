"""Frozen layers with folded batch norms compute what they computed before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from components.models.backbones.folded import folded
from components.models.backbones.layers import chosen_layers, layers_of
from components.models.backbones.networks import Backbone, load_backbone

WITH_NORMS = ("efficientnet_lite0", "resnet18", "densenet121", "mobilenet_v3_large", "legacy_xception", "resnetv2_50")

MOST_LEFT = {"densenet121": 0.6, "resnetv2_50": 0.7}  # whose norms come before convolutions, too


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def frozen_backbone(name: str, freeze: int | str = "all") -> Backbone:
    backbone = load_backbone(name, "models.own.start")
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    backbone.freeze(chosen_layers(layers_of(backbone.net), freeze, "models.own.freeze"))
    return backbone.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-3 * other.abs().max())


@pytest.mark.parametrize("name", WITH_NORMS)
@torch.no_grad()
def test_a_folded_network_gives_what_the_network_gives(name: str) -> None:
    backbone = frozen_backbone(name)
    images = torch.rand(2, 3, 96, 128)
    assert close(backbone.run_frozen(images), backbone.run(images))
    net = folded(backbone.net, backbone.steps).net
    assert norms(net) <= norms(backbone.net) * MOST_LEFT.get(name, 0)
    assert backbone.state_dict().keys() == load_backbone(name, "").state_dict().keys(), "what is saved stays"


@torch.no_grad()
def test_wherever_it_is_read_it_gives_what_the_network_gives() -> None:
    backbone = frozen_backbone("efficientnet_lite0")  # its stem's batch norm is a step of its own
    images = torch.rand(1, 3, 64, 64)
    for cut in range(1, len(backbone.steps) + 1):
        begun = backbone.run_frozen(images, last=cut)
        assert close(begun, backbone.run(images, last=cut)), backbone.steps[cut - 1]
        assert close(backbone.run_frozen(begun, first=cut), backbone.run(images)), backbone.steps[cut - 1]


@pytest.mark.parametrize("freeze", [1, 2, 7, 30])
@torch.no_grad()
def test_a_norm_that_is_trained_is_not_folded_into_a_frozen_convolution(freeze: int) -> None:
    backbone = frozen_backbone("efficientnet_lite0", freeze)
    images = torch.rand(2, 3, 64, 64)
    steps = backbone.frozen_steps
    assert close(backbone.run_frozen(images, last=steps), backbone.run(images, last=steps))


@torch.no_grad()
def test_weights_that_are_loaded_later_are_folded_anew() -> None:
    one, other = frozen_backbone("resnet18"), frozen_backbone("resnet18")
    images = torch.rand(2, 3, 64, 64)
    one.run_frozen(images)
    one.load_state_dict(other.state_dict())
    assert close(one.run_frozen(images), other.run(images))
    one.load(frozen_backbone("resnet18").net.state_dict())
    assert close(one.run_frozen(images), one.run(images))
    assert not close(one.run(images), other.run(images))
    assert one.double().run_frozen(images.double()).dtype == torch.float64


class OutOfOrder(nn.Module):
    """Its modules are not listed in the order in which they run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(x).relu())  # type: ignore[no-any-return]


@torch.no_grad()
def test_a_network_whose_modules_run_in_another_order_is_left_as_it_is() -> None:
    block = OutOfOrder()
    nn.init.constant_(block.norm.running_mean, 0.5)  # type: ignore[arg-type]
    net = nn.Sequential(block).eval()
    backbone = Backbone(net, ("0",))
    backbone.freeze([*layers_of(net)])
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(backbone.run_frozen(images), backbone.run(images))
