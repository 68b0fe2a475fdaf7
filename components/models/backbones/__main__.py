"""A backbone's layers, as `freeze` counts and names them.

python -m components.models.backbones resnet18
"""

from __future__ import annotations

import argparse

from components.models.backbones.layers import layers_of, owns_weights
from components.models.backbones.networks import load_backbone
from components.process.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m components.models.backbones", description="List a backbone's layers."
    )
    parser.add_argument("name", help="as timm or torchvision has it, such as vgg16.tv_in1k")
    name = parser.parse_args().name
    layers = layers_of(load_backbone(name, "backbone").net)
    width = max(len(layer.name) for layer in layers)
    for number, layer in enumerate(layers, start=1):
        own = [p for m in layer.modules for p in m.parameters(recurse=not owns_weights(m))]
        print(f"{number:4}  {layer.name:<{width}}  {sum(p.numel() for p in own):>10,} parameters")


if __name__ == "__main__":
    run(main)
