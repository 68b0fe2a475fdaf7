"""The report's PNG images: boxes on photographs, what a network's layers see, and what one kernel does."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np

from components.plots.canvas import GAP, LINE, WIDTH, add_axis, new_figure, save, show, size_of, write
from components.plots.convolution import convolve_1d, convolve_2d
from components.plots.palette import BLUE, INK, ORANGE, PALE

COLUMNS = 4
MAPS = 8

EXAMPLE, EXAMPLE_KERNEL = (5, 3, 7, 5, 9, 7), (1, 2, 3)
SOBEL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
KERNELS = {
    "blur": np.full((3, 3), 1 / 9),
    "horizontal edges (Sobel)": SOBEL,
    "vertical edges (Sobel)": SOBEL.T,
    "all edges (Laplacian)": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}

Rectangle = tuple[float, float, float, float]


class Box(NamedTuple):
    """A named box: (left, top, right, bottom) as fractions of the image's sides. Without a score it is the truth."""

    label: str
    box: Rectangle
    score: float | None = None


def draw_boxes(
    file: Path, images: np.ndarray, truths: Sequence[Sequence[Box]], predictions: Sequence[Sequence[Box]]
) -> None:
    """Images, uint8 (n, 3, height, width), four in a row, each with its true and its predicted boxes."""
    if not len(images):
        figure = new_figure(0.5)
        write(figure, 0, 0.15, "no images", size=12)
        save(figure, file)
        return
    side = (WIDTH - (COLUMNS - 1) * GAP) / COLUMNS
    tall = side * images.shape[2] / images.shape[3]
    step = LINE + tall + GAP
    head = 0.3
    figure = new_figure(head + -(-len(images) // COLUMNS) * step)
    _legend(figure)
    for index, (image, true, predicted) in enumerate(zip(images, truths, predictions, strict=True)):
        row, column = divmod(index, COLUMNS)
        left, top = column * (side + GAP), head + row * step
        names = Counter(box.label for box in true)
        there = ", ".join(name if count == 1 else f"{count} {name}" for name, count in names.items())
        write(figure, left, top + 0.03, shorten(there or "no object", 20, placeholder=" ..."), size=9)
        axis = add_axis(figure, left, top + LINE, side, tall)
        show(axis, image)
        for box in predicted:
            _outline(axis, box.box, ORANGE, 3.2)
        for box in true:
            _outline_truth(axis, box.box)
        _tag(axis, predicted)
    save(figure, file)


def draw_feature_maps(file: Path, image: np.ndarray, maps: Sequence[tuple[str, np.ndarray]]) -> None:
    """An image, uint8 (3 or 1, h, w), and of each layer's maps, (channels, h, w), the eight of largest variance."""
    slots = max([COLUMNS, *(min(MAPS, len(layer)) for _, layer in maps)])
    side = (WIDTH - (slots - 1) * GAP) / slots
    scale = 1.5 / max(image.shape[1:])
    tall, wide = scale * image.shape[1], scale * image.shape[2]
    heights = [side * layer.shape[1] / layer.shape[2] for _, layer in maps]
    top = max(tall, 1.3)  # room for what is told beside a low image
    figure = new_figure(top + sum(heights) + len(maps) * (2 * LINE + 0.2))
    show(add_axis(figure, 0, 0, wide, tall), image)
    told = (
        f"The image, {size_of(image)} pixels, and below it what\n"
        f"each layer makes of it: up to {MAPS} channels, the\n"
        f"most varied first.\n\n"
        f"Dark is a channel's lowest value and yellow\n"
        f"its highest; #0 is a layer's first channel."
    )
    write(figure, wide + 0.15, 0.1, told, size=11)
    for (name, layer), high in zip(maps, heights, strict=True):
        top += 0.2
        write(figure, 0, top, name, size=10, weight="bold")
        count = f"{len(layer)} channels" if len(layer) > 1 else "1 channel"
        write(figure, WIDTH, top, f"{count} of {size_of(layer)}", size=10, ha="right")
        variances = layer.astype(np.float64).var(axis=(1, 2))
        for slot, channel in enumerate(np.argsort(-variances, kind="stable")[:MAPS]):
            left = slot * (side + GAP)
            axis = add_axis(figure, left, top + LINE, side, high)
            own = layer[channel]
            show(axis, own[None], cmap="viridis", vmin=own.min(), vmax=own.max())
            write(figure, left + side / 2, top + LINE + high + 0.03, f"#{channel}", size=9, ha="center")
        top += 2 * LINE + high
    save(figure, file)


def draw_convolution(file: Path, image: np.ndarray) -> None:
    """Draw what one kernel does: to the notes' six numbers, and to an image, uint8 (channels, h, w), made grey."""
    grey = image.mean(axis=0)
    side = (WIDTH - 2 * 0.15) / 3
    tall = side * grey.shape[0] / grey.shape[1]
    head = 2.45
    step = LINE + tall + 0.85
    figure = new_figure(head + 2 * step - 0.15)
    _draw_sliding(figure)
    write(figure, 0, head - 0.3, "In two dimensions", size=12, weight="bold")
    write(figure, 0, head, f"the image, {size_of(grey)}", size=10)
    show(add_axis(figure, 0, head + LINE, side, tall), grey[None])
    told = (
        "A kernel slides along\n"
        "both axes. At each\n"
        "place, its nine numbers\n"
        "times the nine pixels\n"
        "that it covers, added\n"
        "up, are one pixel of\n"
        "the output.\n\n"
        "If a kernel's numbers\n"
        "add up to 0, mid-grey\n"
        "is 0 in its output,\n"
        "darker is negative and\n"
        "lighter is positive."
    )
    write(figure, 0, head + LINE + tall + 0.15, told, size=11)
    for index, (name, kernel) in enumerate(KERNELS.items()):
        left = (1 + index % 2) * (side + 0.15)
        top = head + index // 2 * step
        output = convolve_2d(grey, kernel)
        largest = max(1.0, float(np.abs(output).max()))
        write(figure, left, top, name, size=10)
        axis = add_axis(figure, left, top + LINE, side, tall)
        signed = abs(kernel.sum()) < 0.5
        show(axis, output[None], vmin=-largest if signed else 0, vmax=largest if signed else 255)
        _draw_numbers(add_axis(figure, left, top + LINE + tall + 0.05, 0.8, 0.6, units=(3, 3)), kernel)
        write(figure, left + 0.9, top + LINE + tall + 0.15, f"{size_of(grey)} →\n{size_of(output)}", size=10)
    save(figure, file)


def _draw_sliding(figure: Any) -> None:
    """The 1-D example, the kernel at its first place and the sum written out."""
    output = [int(value) for value in convolve_1d(EXAMPLE, EXAMPLE_KERNEL)]
    wide, high, step, start = 0.75, 0.4, 0.55, 0.8
    reach = len(EXAMPLE_KERNEL)
    write(figure, 0, 0.02, "In one dimension", size=12, weight="bold")
    axis = add_axis(figure, 0, 0.3, WIDTH, 1.6, units=(WIDTH, 1.6))
    rows = [("values", EXAMPLE, 0, BLUE, reach), ("kernel", EXAMPLE_KERNEL, 0, INK, reach)]
    rows.append(("output", tuple(output), reach // 2, ORANGE, 1))
    for row, (name, numbers, first, colour, filled) in enumerate(rows):
        middle = row * step + high / 2
        axis.text(0, middle, name, size=11, color=INK, va="center")
        for place, number in enumerate(numbers):
            left = start + (first + place) * wide
            box = (row * step, left, row * step + high, left + wide - 0.06)
            fill, edge, shade = (colour, colour, "white") if place < filled else ("white", PALE, INK)
            _outline(axis, box, edge, 1.5, facecolor=fill)
            axis.text((box[1] + box[3]) / 2, middle, str(number), size=12, color=shade, ha="center", va="center")
    pairs = list(zip(EXAMPLE, EXAMPLE_KERNEL, strict=False))
    products = " + ".join(f"{value}·{weight}" for value, weight in pairs)
    sums = " + ".join(str(value * weight) for value, weight in pairs)
    said = start + reach * wide + 0.1
    axis.text(said, step + high / 2, f"{products} = {sums} = {output[0]}", size=11, color=INK, va="center")
    said = start + (reach // 2 + len(output)) * wide + 0.1
    counted = f"{len(EXAMPLE)} - {reach} + 1 = {len(output)} places"
    axis.text(said, 2 * step + high / 2, counted, size=10, color=INK, va="center")


def _draw_numbers(axis: Any, kernel: np.ndarray) -> None:
    """A 3 x 3 kernel's numbers in a frame, on an axis of 3 by 3 units."""
    _outline(axis, (0, 0, 3, 3), BLUE, 1.2)
    for (row, column), number in np.ndenumerate(kernel):
        text = str(Fraction(float(number)).limit_denominator(99))
        axis.text(column + 0.5, row + 0.54, text, size=9, color=INK, ha="center", va="center")


def _legend(figure: Any) -> None:
    axis = add_axis(figure, 0, 0, WIDTH, 0.25, units=(WIDTH, 0.25))
    _outline_truth(axis, (0.03, 0.05, 0.25, 0.19))
    axis.text(0.35, 0.125, "true box, its class above the image", size=10, color=INK, va="center")
    _outline(axis, (3.63, 0.05, 3.85, 0.19), ORANGE, 3.2)
    axis.text(3.95, 0.125, "predicted box", size=10, color=INK, va="center")


def _tag(axis: Any, boxes: Sequence[Box]) -> None:
    """Names the predicted boxes, the surest first, each tag in the image and, if it can be, clear of the others."""
    taken: list[Rectangle] = []
    for rank, box in enumerate(sorted(boxes, key=lambda box: -(box.score or 0))):
        words = box.label if box.score is None else f"{box.label} {box.score:.0%}"
        layer = 10 + len(boxes) - rank  # so that of tags that cannot but overlap, the surest can be read
        text = axis.text(0, 0, words, size=9, weight="bold", color="white", ha="center", va="center_baseline")
        text.set_zorder(layer + 0.5)
        extent = text.get_window_extent()
        wide, high = 1.06 * extent.width / axis.bbox.width + 0.02, 1.3 * extent.height / axis.bbox.height
        if wide > 1:
            text.set_size(9 / wide)
            wide = 1.0
        left, top, right, bottom = np.clip(box.box, 0, 1).tolist()
        corners = itertools.product((top - high, top, bottom - high, bottom), (left, right - wide))
        places = [_tag_at(*corner, high, wide) for corner in corners]
        place = min(places, key=lambda place: sum(_common(place, other) for other in taken))
        taken.append(place)
        _outline(axis, place, "white", 0.6, facecolor=ORANGE, zorder=layer)
        text.set_position(((place[0] + place[2]) / 2, (place[1] + place[3]) / 2))


def _tag_at(top: float, left: float, high: float, wide: float) -> Rectangle:
    """A tag's place, moved into the image."""
    top, left = min(max(top, 0), 1 - high), min(max(left, 0), 1 - wide)
    return left, top, left + wide, top + high


def _common(one: Rectangle, other: Rectangle) -> float:
    """The area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, high) * max(0.0, wide)


def _outline_truth(axis: Any, box: Rectangle) -> None:
    """White between dark lines, so that it shows on any image, and so thin that a predicted box shows around it."""
    _outline(axis, box, INK, 2.2)
    _outline(axis, box, "white", 1.0)


def _outline(axis: Any, box: Rectangle, colour: str, width: float, **style: Any) -> None:
    """A box, in the axis's units, of which what lies outside the axis is cut off."""
    from matplotlib.patches import Rectangle as Patch

    down, across = axis.get_ylim()[0], axis.get_xlim()[1]
    left, top, right, bottom = np.clip(box, 0, (across, down, across, down)).tolist()
    style = {"edgecolor": colour, "facecolor": "none", "linewidth": width, "joinstyle": "miter", **style}
    axis.add_patch(Patch((left, top), right - left, bottom - top, **style, clip_on=False))
