"""The figures of the report's PNG images of one width, on which all is placed in inches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.plots.palette import INK

WIDTH = 6.4  # inches, of every image: on a telephone 10 points are then 8 pixels
DPI = 150
GAP = 0.08  # inches between two images
LINE = 0.2  # inches a line of text


def new_figure(height: float) -> Any:
    from matplotlib.figure import Figure  # here, since predict imports this file's users, and draws nothing

    return Figure(figsize=(WIDTH, height), dpi=DPI)


def add_axis(
    figure: Any, left: float, top: float, width: float, height: float, units: tuple[float, float] = (1, 1)
) -> Any:
    """A bare axis, placed in inches from the upper left corner; within it, x goes right and y down, 0 to `units`."""
    whole = figure.get_figheight()
    axis = figure.add_axes((left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole))
    axis.set_axis_off()
    axis.set(xlim=(0, units[0]), ylim=(units[1], 0))
    return axis


def show(axis: Any, image: np.ndarray, **scale: Any) -> None:
    """An image (channels, h, w) that fills its axis of 1 by 1 units; 0 to 255, unless `scale` says otherwise."""
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    axis.imshow(pixels, **{"cmap": "gray", "vmin": 0, "vmax": 255, **scale}, extent=(0, 1, 1, 0), aspect="auto")


def write(figure: Any, left: float, top: float, text: str, **style: Any) -> None:
    """Text whose upper left corner is placed in inches from the figure's."""
    figure.text(left / WIDTH, 1 - top / figure.get_figheight(), text, color=INK, va="top", **style)


def size_of(image: np.ndarray) -> str:
    return f"{image.shape[-2]} x {image.shape[-1]}"


def save(figure: Any, file: Path) -> None:
    figure.savefig(file, format="png", metadata={"Software": None})
