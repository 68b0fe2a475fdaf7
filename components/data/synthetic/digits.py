"""Synthetic digits, for when there is no network: simple, seeded, and hard enough that a blank guess fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from components.data.formats.idx import write_idx

SIDE = 28
FAMILIES = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")  # these ship inside matplotlib


def make(folder: Path) -> None:
    """Write 1,000 + 200 digits as MNIST's four files."""
    write_idx(folder, digits(train=1000, test=200, seed=0))


def digits(train: int, test: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Printed digits, turned, shifted, scaled and noisy.

    Returns {"train" | "t10k": (uint8 images (n, 28, 28), uint8 labels (n,))}, the classes in equal fractions
    and in random order.
    """
    random = np.random.default_rng(seed)
    files = [str(font_manager.findfont(name)) for name in FAMILIES]
    parts = {}
    for part, count in (("train", train), ("t10k", test)):
        labels = random.permutation(np.arange(count) % 10).astype(np.uint8)
        images = np.stack([_digit(int(label), random, files) for label in labels])
        parts[part] = (images, labels)
    return parts


def _digit(label: int, random: np.random.Generator, fonts: list[str]) -> np.ndarray:
    """One white digit on black, (28, 28) uint8."""
    font = ImageFont.truetype(fonts[random.integers(len(fonts))], size=int(random.integers(16, 25)))
    image = Image.new("L", (SIDE, SIDE))
    centre = tuple(SIDE / 2 + random.uniform(-3, 3, size=2))
    ImageDraw.Draw(image).text(centre, str(label), fill=255, font=font, anchor="mm")
    turned = image.rotate(random.uniform(-20, 20), resample=Image.Resampling.BILINEAR)
    noisy = np.asarray(turned, dtype=np.float64) + random.normal(0, 25, (SIDE, SIDE))
    return noisy.clip(0, 255).astype(np.uint8)
