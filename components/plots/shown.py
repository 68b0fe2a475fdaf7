"""What `dvc plots show` draws, beside the tables that the report alone reads: images, and the curve of a training."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.files import whole_folder, write_whole


def show_images(plots: Path, images: Path) -> None:
    """Move the images of a stage's folder into one that has nothing else."""
    with whole_folder(images) as folder:
        for image in plots.glob("*.png"):
            shutil.move(image, folder / image.name)


def show_curve(history: Path, curve: Path) -> None:
    """Copy the history of a training, a row for each epoch."""
    write_whole(curve, history.read_text(encoding="utf-8"))
