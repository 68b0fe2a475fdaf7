"""Feature maps: a network's first convolutions, of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.plots.images import draw_feature_maps

LAYERS_SHOWN = 3


@torch.inference_mode()
def first_maps(model: nn.Module, image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(layer's name, its output (channels, height, width)) of the first convolution at each of the first three sizes.

    image: uint8 (channels, height, width).
    """
    maps: dict[tuple[int, ...], tuple[str, np.ndarray]] = {}

    def record(name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            maps.setdefault(tuple(output.shape[2:]), (name, output[0].float().cpu().numpy()))

        return keep

    hooks = [m.register_forward_hook(record(n)) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    try:
        device = next(model.parameters()).device
        model(torch.tensor(image, device=device).float().div(255).unsqueeze(0))
    finally:
        for hook in hooks:
            hook.remove()
    return list(maps.values())[:LAYERS_SHOWN]


def draw_first_layers(model: nn.Module, image: np.ndarray, file: Path) -> None:
    """An image of the first layers' maps into `file`; none of a network without a convolution."""
    found = [(name.removeprefix("backbone.net."), maps) for name, maps in first_maps(model, image)]
    if found:
        draw_feature_maps(file, image, found)
