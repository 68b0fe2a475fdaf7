"""Synthetic flowers in tf_flowers' layout: one folder of JPEG files per class."""

from __future__ import annotations

from pathlib import Path

from components.data.synthetic.flower_images import flowers

PER_CLASS = 80
JPEG_QUALITY = 90


def make(folder: Path) -> None:
    """Write drawn flowers as flower_photos/<class>/NNNN.jpg."""
    counts: dict[str, int] = {}
    for name, image in flowers(PER_CLASS, seed=0):
        counts[name] = counts.get(name, 0) + 1
        file = folder / "flower_photos" / name / f"{counts[name]:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, quality=JPEG_QUALITY)
