"""Noise on images, whole batches at once: what a denoising autoencoder learns to take away (Vincent et al. 2008)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["gaussian", "salt_and_pepper", "masking"]


def noisy(images: Tensor, kind: Kind, strength: float, random: torch.Generator | None) -> Tensor:
    """Images in [0, 1] of any shape → the same with noise, still in [0, 1].

    gaussian:        a normal number of deviation `strength` added to each value.
    salt_and_pepper: each value with probability `strength` replaced by 0 or 1, which are as likely.
    masking:         each value with probability `strength` replaced by 0.
    random:          on the images' device; None for PyTorch's own.
    """
    if kind == "gaussian":
        drawn = torch.randn(images.shape, generator=random, device=images.device)
        return (images + strength * drawn).clamp(0, 1)
    drawn = torch.rand(images.shape, generator=random, device=images.device)
    if kind == "masking":
        return images.masked_fill(drawn < strength, 0.0)
    return images.masked_fill(drawn < strength, 1.0).masked_fill(drawn < strength / 2, 0.0)
