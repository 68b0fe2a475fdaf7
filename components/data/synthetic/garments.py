"""Drawn garments in Fashion-MNIST's classes and size, for when there is no network: outlines filled with grey."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from components.data.formats.idx import write_idx

SIDE, SCALE = 28, 4  # drawn four times as large, and made small
Points = list[tuple[float, float]]

# Outlines on a square of 28 by 28, as Fashion-MNIST has its ten classes in order.
SHIRT: Points = [(9, 4), (19, 4), (26, 9), (23, 13), (20, 11), (20, 25), (8, 25), (8, 11), (5, 13), (2, 9)]
TROUSER: Points = [(9, 2), (19, 2), (21, 26), (15.5, 26), (14, 9), (12.5, 26), (7, 26)]
SLEEVES: Points = [
    (9, 4),
    (19, 4),
    (23, 8),
    (26, 24),
    (22, 25),
    (20, 13),
    (20, 25),
    (8, 25),
    (8, 13),
    (6, 25),
    (2, 24),
    (5, 8),
]
DRESS: Points = [(10, 2), (18, 2), (18, 11), (23, 26), (5, 26), (10, 11)]
COAT: Points = [
    (9, 2),
    (19, 2),
    (24, 6),
    (26, 26),
    (22, 26),
    (21, 12),
    (21, 27),
    (7, 27),
    (7, 12),
    (6, 26),
    (2, 26),
    (4, 6),
]
SANDAL: Points = [(2, 19), (10, 17), (18, 12), (24, 9), (26, 18), (26, 22), (23, 22), (22, 18), (14, 22), (2, 22)]
SNEAKER: Points = [(2, 17), (10, 15), (15, 10), (24, 10), (26, 14), (26, 21), (2, 21)]
BAG: Points = [(3, 11), (25, 11), (26, 24), (2, 24)]
BOOT: Points = [(13, 3), (24, 3), (25, 25), (3, 25), (3, 20), (12, 16)]
OUTLINES = (SHIRT, TROUSER, SLEEVES, DRESS, COAT, SANDAL, SLEEVES, SNEAKER, BAG, BOOT)


def make(folder: Path) -> None:
    """Write 1,000 + 200 garments as Fashion-MNIST's four files."""
    write_idx(folder, garments(train=1000, test=200, seed=0))


def garments(train: int, test: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Garments, shifted, stretched, striped and noisy.

    Returns {"train" | "t10k": (uint8 images (n, 28, 28), uint8 labels (n,))}, the classes in equal fractions and in
    random order.
    """
    random = np.random.default_rng(seed)
    parts = {}
    for part, count in (("train", train), ("t10k", test)):
        labels = random.permutation(np.arange(count) % len(OUTLINES)).astype(np.uint8)
        parts[part] = (np.stack([_garment(int(label), random) for label in labels]), labels)
    return parts


def _garment(label: int, random: np.random.Generator) -> np.ndarray:
    """One light garment on black, (28, 28) uint8."""
    place = _placed(random)
    image = Image.new("L", (SIDE * SCALE, SIDE * SCALE))
    draw = ImageDraw.Draw(image)
    draw.polygon([place(x, y) for x, y in OUTLINES[label]], fill=255)
    _details(draw, label, place)
    shape = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
    grey = random.uniform(110, 235) * (1 + random.uniform(0, 0.35) * _stripes(random))
    noisy = shape * grey + (shape > 0) * random.normal(0, 12, (SIDE, SIDE))
    return noisy.clip(0, 255).astype(np.uint8)


def _details(draw: Any, label: int, place: Callable[[float, float], tuple[float, float]]) -> None:
    """Draw what tells like outlines apart: a shirt's buttons, a coat's opening, a bag's handle, a shoe's sole."""
    if label == 4:
        draw.line([place(14, 3), place(14, 27)], fill=60, width=SCALE)
    elif label == 6:
        for y in range(7, 25, 3):
            draw.ellipse([place(13.3, y), place(14.7, y + 1.4)], fill=40)
    elif label == 7:
        draw.line([place(2, 20.5), place(26, 20.5)], fill=120, width=SCALE)
    elif label == 8:
        draw.arc([place(8, 3), place(20, 19)], 180, 360, fill=230, width=SCALE + 2)


def _placed(random: np.random.Generator) -> Callable[[float, float], tuple[float, float]]:
    """Where a point of an outline comes to lie on the large image."""
    wide, high = random.uniform(0.8, 1.05, size=2)
    right, down = random.uniform(-1.5, 1.5, size=2)
    middle = SIDE / 2

    def place(x: float, y: float) -> tuple[float, float]:
        return SCALE * (middle + right + (x - middle) * wide), SCALE * (middle + down + (y - middle) * high)

    return place


def _stripes(random: np.random.Generator) -> np.ndarray:
    """A wave from -1 to 1 along or across, (28, 28)."""
    wave = np.sin(np.arange(SIDE) * random.uniform(0.3, 2.5) + random.uniform(0, 6))
    return np.tile(wave, (SIDE, 1)).T if random.random() < 0.5 else np.tile(wave, (SIDE, 1))
