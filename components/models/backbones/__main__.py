"""A backbone's layers, as `freeze` counts and names them.

python -m components.models.backbones resnet18
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    import argparse

    from components.process.command import begin

    parser = argparse.ArgumentParser(
        prog="python -m components.models.backbones", description="List a backbone's layers."
    )
    parser.add_argument("name", help="as timm or torchvision has it, such as vgg16.tv_in1k")
    given = begin(parser)

from components.models.backbones.layers import layers_of, owns_weights
from components.models.backbones.networks import load_backbone
from components.process.command import run


def main(name: str) -> None:
    layers = layers_of(load_backbone(name, "backbone").net)
    width = max(len(layer.name) for layer in layers)
    for number, layer in enumerate(layers, start=1):
        own = [p for m in layer.modules for p in m.parameters(recurse=not owns_weights(m))]
        print(f"{number:4}  {layer.name:<{width}}  {sum(p.numel() for p in own):>10,} parameters")


if __name__ == "__main__":
    run(lambda: main(given.name))
