"""Convolution as the notes define it, and the report's images: what is where in the PNG."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from components.plots import canvas, images
from components.plots.convolution import convolve_1d, convolve_2d
from components.plots.images import KERNELS, Box, draw_boxes, draw_convolution, draw_feature_maps

GREEN, YELLOW, PURPLE = (0, 255, 0), (253, 231, 37), (68, 1, 84)  # the last two are viridis's ends
ORANGE = (209, 96, 61)
NEAR = 6  # pixels of the PNG: half of the thickest outline, and a little for smooth edges


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def is_colour(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(np.abs(image - colour).max(axis=-1) <= 2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is true, the last two not included."""
    rows, columns = np.nonzero(mask)
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def draw_on_green(folder: Path, true: list[Box], found: list[Box]) -> np.ndarray:
    green = np.zeros((1, 3, 60, 80), dtype=np.uint8)
    green[:, 1] = 255
    draw_boxes(folder / "green.png", green, [true], [found])
    return pixels(folder / "green.png")


class Drawn:
    """One green image with boxes on it, and what they changed of its pixels."""

    def __init__(self, bare: np.ndarray, folder: Path, true: list[Box], found: list[Box]) -> None:
        self.image = draw_on_green(folder, true, found)
        self.changed = (bare != self.image).any(axis=-1)
        self.top, self.left, self.bottom, self.right = extent(is_colour(bare, GREEN))
        self.tags = is_colour(self.image, ORANGE) & ~is_colour(bare, ORANGE)

    def outline(self, box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
        """A box's edges in pixels of the PNG."""
        high, wide = self.bottom - self.top, self.right - self.left
        top, bottom = (round(self.top + fraction * high) for fraction in (box[1], box[3]))
        left, right = (round(self.left + fraction * wide) for fraction in (box[0], box[2]))
        return top, left, bottom, right


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The green image without boxes."""
    return draw_on_green(tmp_path_factory.mktemp("bare"), [], [])


def test_the_notes_example_is_32_32_44_44() -> None:
    # The notes print 17, 22, 39, 44; but 5·1 + 3·2 + 7·3 is 32, 3·1 + 7·2 + 5·3 is 32, and 7·1 + 5·2 + 9·3 is 44
    assert convolve_1d([5, 3, 7, 5, 9, 7], [1, 2, 3]).tolist() == [32, 32, 44, 44]


@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_in_one_dimension_it_is_torchs_convolution(length: int) -> None:
    values, kernel = random(9), random(10)[:length]
    expected = functional.conv1d(torch.tensor(values)[None, None], torch.tensor(kernel)[None, None])[0, 0]
    assert len(convolve_1d(values, kernel)) == 9 - length + 1
    np.testing.assert_allclose(convolve_1d(values, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (7, 8)], ids=str)
def test_in_two_dimensions_it_is_torchs_convolution(shape: tuple[int, int]) -> None:
    image, kernel = random(7, 8), random(*shape)
    expected = functional.conv2d(torch.tensor(image)[None, None], torch.tensor(kernel)[None, None])[0, 0]
    assert convolve_2d(image, kernel).shape == (7 - shape[0] + 1, 8 - shape[1] + 1)
    np.testing.assert_allclose(convolve_2d(image, kernel), expected, atol=1e-12)


def test_sums_of_bright_pixels_do_not_overflow() -> None:
    bright = np.full((3, 3), 255, dtype=np.uint8)
    assert convolve_2d(bright, np.ones((3, 3), dtype=np.uint8)).tolist() == [[9 * 255]]


@pytest.mark.parametrize(
    ("convolve", "values", "kernel", "message"),
    [
        (convolve_1d, [1, 2], [1, 2, 3], "The kernel, 3, is longer than the input, 2"),
        (convolve_2d, np.ones((3, 9)), np.ones((4, 1)), "The kernel, 4 x 1, is longer than the input, 3 x 9"),
        (convolve_1d, [[1, 2]], [1], "The input of a 1-D convolution has 1 axis, not 2"),
        (convolve_2d, np.ones((3, 3)), [1], "The kernel of a 2-D convolution has 2 axes, not 1"),
        (convolve_1d, [1], [], "The kernel of a 1-D convolution is empty"),
        (convolve_2d, np.ones((0, 3)), np.ones((1, 1)), "The input of a 2-D convolution is empty"),
    ],
    ids=["longer", "higher", "input rank", "kernel rank", "empty kernel", "empty input"],
)
def test_a_kernel_that_has_no_place_is_refused(
    convolve: Callable[[object, object], np.ndarray], values: object, kernel: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convolve(values, kernel)


def test_each_sobel_kernel_answers_to_edges_of_its_own_direction_only() -> None:
    upright = np.repeat([[0, 0, 0, 1, 1, 1]], 5, axis=0)
    vertical, horizontal = KERNELS["vertical edges (Sobel)"], KERNELS["horizontal edges (Sobel)"]
    assert convolve_2d(upright, vertical).any()
    assert convolve_2d(upright.T, horizontal).any()
    assert not convolve_2d(upright, horizontal).any()
    assert not convolve_2d(upright.T, vertical).any()


@pytest.mark.parametrize("of_truth", [True, False], ids=["true", "predicted"])
def test_a_box_is_drawn_where_it_is_and_nowhere_else(of_truth: bool, bare: np.ndarray, tmp_path: Path) -> None:
    fractions = (0.4, 0.25, 0.9, 0.75)
    box = Box("", fractions, None if of_truth else 0.5)
    drawn = Drawn(bare, tmp_path, [box] if of_truth else [], [] if of_truth else [box])
    top, left, bottom, right = drawn.outline(fractions)
    for row, column in itertools.product((top, bottom), range(left, right)):
        assert drawn.changed[row - 1 : row + 2, column].any()
    for row, column in itertools.product(range(top, bottom), (left, right)):
        assert drawn.changed[row, column - 1 : column + 2].any()
    assert not drawn.changed[top + NEAR : bottom - NEAR, left + NEAR : right - NEAR].any()
    around = drawn.changed[drawn.top : drawn.bottom].copy()
    upper = top - drawn.top - NEAR if of_truth else 0  # the tag of a predicted box stands above it
    around[upper : bottom - drawn.top + NEAR, left - NEAR : right + NEAR] = False
    assert not around.any()


def test_a_true_box_shows_on_black_and_on_white(tmp_path: Path) -> None:
    for shade in (0, 255):
        plain = np.full((1, 3, 40, 40), shade, dtype=np.uint8)
        draw_boxes(tmp_path / "bare.png", plain, [[]], [[]])
        draw_boxes(tmp_path / "drawn.png", plain, [[Box("dog", (0.2, 0.2, 0.8, 0.8))]], [[]])
        bare, drawn = pixels(tmp_path / "bare.png"), pixels(tmp_path / "drawn.png")
        middle = np.abs(drawn - bare)[len(bare) // 2].max(axis=-1)
        assert runs(middle > 150) >= 2, shade  # its left side and its right one


@pytest.mark.parametrize("corner", [(0, 0), (0.95, 0.95), (-0.5, 1.2)], ids=str)
def test_a_tag_stays_in_the_image_wherever_its_box_is(
    corner: tuple[float, float], bare: np.ndarray, tmp_path: Path
) -> None:
    box = (corner[0], corner[1], corner[0] + 0.05, corner[1] + 0.05)
    drawn = Drawn(bare, tmp_path, [], [Box("a rather long name", box, 0.87)])
    top, left, bottom, right = extent(drawn.tags)
    assert drawn.top - NEAR <= top < bottom <= drawn.bottom + NEAR
    assert drawn.left - NEAR <= left < right <= drawn.right + NEAR
    margins = drawn.tags[(top + bottom) // 2 - 4 : (top + bottom) // 2 + 4]
    assert margins[:, drawn.left + 2 : drawn.left + 4].all()  # so its words are in the image too
    assert margins[:, drawn.right - 4 : drawn.right - 2].all()


def test_tags_of_boxes_in_one_place_do_not_cover_each_other(bare: np.ndarray, tmp_path: Path) -> None:
    place = (0.1, 0.4, 0.5, 0.7)
    one, two = (Drawn(bare, tmp_path, [], [Box("dog", place, 0.87)] * count) for count in (1, 2))
    assert two.tags.sum() > one.tags.sum() * 1.4


def test_the_score_is_in_the_tag(bare: np.ndarray, tmp_path: Path) -> None:
    place = (0.1, 0.3, 0.9, 0.7)
    without, low, high = (Drawn(bare, tmp_path, [], [Box("dog", place, score)]).image for score in (None, 0.11, 0.87))
    assert (without != low).any()
    assert (low != high).any()


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 9, 7), dtype=np.uint8)
    boxes = [Box("dog", (0.1, 0.2, 0.5, 0.6), 0.5), Box("cat", (0.2, 0.2, 0.5, 0.6), 0.5)]
    for name in ("one", "other"):
        draw_boxes(tmp_path / f"{name} boxes.png", image[None], [boxes], [boxes])
        draw_feature_maps(tmp_path / f"{name} maps.png", image, [("first", random(3, 4, 4))])
    for kind in ("boxes", "maps"):
        one = tmp_path / f"one {kind}.png"
        assert one.read_bytes() == (tmp_path / f"other {kind}.png").read_bytes()
        assert b"Software" not in one.read_bytes()  # matplotlib's version


def test_without_images_it_says_so(tmp_path: Path) -> None:
    draw_boxes(tmp_path / "none.png", np.zeros((0, 3, 8, 8), dtype=np.uint8), [], [])
    assert (pixels(tmp_path / "none.png") < 100).any()


@pytest.mark.parametrize("count", [1, 5, 8])
def test_there_are_four_images_in_a_row(count: int, tmp_path: Path) -> None:
    green = np.zeros((count, 3, 8, 8), dtype=np.uint8)
    green[:, 1] = 255
    draw_boxes(tmp_path / "boxes.png", green, [[]] * count, [[]] * count)
    there = is_colour(pixels(tmp_path / "boxes.png"), GREEN)
    assert runs(there.max(axis=0)) == min(4, count)
    assert runs(there.max(axis=1)) == -(-count // 4)


def runs(line: np.ndarray) -> int:
    """How often a line of booleans turns true."""
    return int((np.diff(line.astype(int), prepend=0) == 1).sum())


def test_the_eight_most_varied_channels_come_first_and_equals_in_their_order(tmp_path: Path) -> None:
    heights = [3, 9, 1, 9, 5, 7, 2, 8, 6, 4]  # channel i has this in row i, else 0
    maps = np.zeros((10, 10, 10), dtype=np.float32)
    maps[np.arange(10), np.arange(10)] = np.array(heights)[:, None]
    draw_feature_maps(tmp_path / "maps.png", np.full((1, 8, 8), 255, dtype=np.uint8), [("first", maps)])
    image = pixels(tmp_path / "maps.png")
    bright = is_colour(image, YELLOW)
    top, left, bottom, right = extent(bright | is_colour(image, PURPLE))
    slots = np.array_split(bright[top:bottom, left:right], 8, axis=1)
    channels = [int(np.nonzero(slot)[0].mean() / (bottom - top) * 10) for slot in slots]
    assert channels == [1, 3, 7, 5, 8, 4, 9, 0]


def test_the_examples_output_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((1, 8, 8), dtype=np.uint8)
    draw_convolution(tmp_path / "one.png", image)
    monkeypatch.setattr(images, "EXAMPLE", (5, 3, 7, 5, 9, 8))
    draw_convolution(tmp_path / "other.png", image)
    changed = extent((pixels(tmp_path / "one.png") != pixels(tmp_path / "other.png")).any(axis=-1))
    values_to_output = 1.2 * canvas.DPI
    assert changed[2] - changed[0] > values_to_output


def test_three_equal_colours_are_convolved_as_their_grey(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (1, 9, 7), dtype=np.uint8)
    draw_convolution(tmp_path / "grey.png", grey)
    draw_convolution(tmp_path / "colours.png", np.repeat(grey, 3, axis=0))
    draw_convolution(tmp_path / "other.png", 255 - grey)
    assert (tmp_path / "colours.png").read_bytes() == (tmp_path / "grey.png").read_bytes()
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "grey.png").read_bytes()
