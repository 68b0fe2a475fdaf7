"""Rows and grids of small images, and codes as coloured points: what an autoencoder's images are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from components.plots.canvas import GAP, LINE, WIDTH, add_axis, new_figure, save, show, write
from components.plots.palette import INK

EDGE = 0.04  # inches between two images of a grid
SHOWN = 1000  # the most points of a map


def draw_rows(file: Path, rows: Sequence[tuple[str, Tensor]], note: str = "") -> None:
    """Each row its name and below it its images, (count, channels, height, width) in [0, 1]; a note above all."""
    count = max(len(images) for _, images in rows)
    side = (WIDTH - (count - 1) * GAP) / count
    tall = side * rows[0][1].shape[2] / rows[0][1].shape[3]
    head = LINE * (note.count("\n") + 1) + 0.1 if note else 0.0
    step = LINE + tall + GAP
    figure = new_figure(head + len(rows) * step)
    write(figure, 0, 0.02, note, size=10)
    for row, (name, images) in enumerate(rows):
        top = head + row * step
        write(figure, 0, top + 0.02, name, size=9)
        for column, image in enumerate(_pixels(images)):
            show(add_axis(figure, column * (side + GAP), top + LINE, side, tall), image, vmin=0, vmax=1)
    save(figure, file)


def draw_grid(file: Path, images: Tensor, columns: int, note: str = "") -> None:
    """Images (count, channels, height, width) in [0, 1], row by row; a note above all."""
    side = (WIDTH - (columns - 1) * EDGE) / columns
    tall = side * images.shape[2] / images.shape[3]
    head = LINE * (note.count("\n") + 1) + 0.1 if note else 0.0
    figure = new_figure(head + -(-len(images) // columns) * (tall + EDGE))
    write(figure, 0, 0.02, note, size=10)
    for number, image in enumerate(_pixels(images)):
        row, column = divmod(number, columns)
        place = add_axis(figure, column * (side + EDGE), head + row * (tall + EDGE), side, tall)
        show(place, image, vmin=0, vmax=1)
    save(figure, file)


def draw_codes(file: Path, codes: Tensor, targets: np.ndarray, classes: Sequence[str], note: str) -> None:
    """Codes (examples, numbers) as points in the plane, coloured by class, each class named at its middle.

    Codes of more than two numbers are laid out by t-SNE (van der Maaten and Hinton 2008).
    """
    import matplotlib
    from matplotlib.patheffects import withStroke

    codes, targets = codes[:SHOWN], targets[:SHOWN]
    points = codes.numpy() if codes.shape[1] == 2 else _laid_out(codes.numpy())
    head, high = 0.1 + LINE * (note.count("\n") + 1), 4.6
    figure = new_figure(head + high)
    write(figure, 0, 0.02, note, size=10)
    axis = add_axis(figure, 0, head, WIDTH, high)
    colours = matplotlib.colormaps["tab10" if len(classes) <= 10 else "turbo"].resampled(max(2, len(classes)))
    for number, name in enumerate(classes):
        own = points[targets == number]
        if len(own):
            axis.scatter(own[:, 0], own[:, 1], s=9, color=colours(number), linewidths=0)
            middle = np.median(own, axis=0)
            text = axis.text(*middle, name, size=12, weight="bold", color=INK, ha="center", va="center")
            text.set(parse_math=False, path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5)
    low, high_ = points.min(axis=0), points.max(axis=0)
    margin = 0.03 * (high_ - low) + 1e-6
    axis.set(xlim=(low[0] - margin[0], high_[0] + margin[0]), ylim=(low[1] - margin[1], high_[1] + margin[1]))
    save(figure, file)


def _laid_out(codes: np.ndarray) -> np.ndarray:
    """(examples, numbers) → (examples, 2), so that near ones stay near."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if codes.shape[1] < 2 or len(codes) < 10:
        return np.pad(codes, ((0, 0), (0, 2)))[:, :2]
    start = PCA(2, random_state=0).fit_transform(codes)
    start = start / max(float(start[:, 0].std()), 1e-12) * 1e-4  # as scikit-learn scales its own start by PCA
    perplexity = min(30.0, (len(codes) - 1) / 3)
    places: np.ndarray = TSNE(2, perplexity=perplexity, init=start, random_state=0, max_iter=500).fit_transform(codes)
    return places


def one_of_each(targets: np.ndarray, count: int) -> np.ndarray:
    """The places of `count` examples, the first of each class first."""
    firsts = np.sort(np.unique(targets, return_index=True)[1])
    firsts = firsts[np.argsort(targets[firsts], kind="stable")]
    return np.concatenate([firsts, np.setdiff1d(np.arange(len(targets)), firsts)])[:count]


def _pixels(images: Tensor) -> np.ndarray:
    array: np.ndarray = images.detach().float().clamp(0, 1).cpu().numpy()
    return array
