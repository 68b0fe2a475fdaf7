"""Synthetic flowers and scenes: the same for the same seed, fair to each class, and too hard for a guess."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from components.data.synthetic import flower_images, scene_images
from components.data.synthetic.scene_images import Box, Scene

pytestmark = pytest.mark.slow  # it draws hundreds of images

FLOWERS_PER_CLASS = 24
SCENES = 200


@pytest.fixture(scope="module")
def flowers() -> list[tuple[str, Image.Image]]:
    return list(flower_images.flowers(FLOWERS_PER_CLASS, seed=0))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(scene_images.scenes(SCENES, seed=0))


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The common part of two boxes (left, top, right, bottom), right and bottom not included, over their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, width) * max(0.0, height)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (both - common)


def edges(box: Box) -> tuple[int, int, int, int]:
    """A scene's box as left, top, right, bottom from 0, right and bottom not included."""
    return box[0] - 1, box[1] - 1, box[2], box[3]


def fractions(scene: Scene) -> tuple[float, ...]:
    """The first object's box as fractions of the image's width and height."""
    left, top, right, bottom = edges(scene.objects[0][1])
    width, height = scene.image.size
    return left / width, top / height, right / width, bottom / height


def longer_side(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1]) + 1


def test_the_same_seed_gives_the_same_flowers_and_another_seed_others(flowers: list[tuple[str, Image.Image]]) -> None:
    again, others = flower_images.flowers(1, seed=0), flower_images.flowers(1, seed=1)
    for (name, image), (name_again, image_again), (_, other) in zip(flowers, again, others, strict=False):
        assert name == name_again
        assert image.tobytes() == image_again.tobytes() != other.tobytes()


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others(scenes: list[Scene]) -> None:
    for scene, again, other in zip(scenes, scene_images.scenes(5, 0), scene_images.scenes(5, 1), strict=False):
        assert scene.objects == again.objects != other.objects
        assert scene.image.tobytes() == again.image.tobytes() != other.image.tobytes()


def test_every_class_comes_equally_often_and_in_turn(
    flowers: list[tuple[str, Image.Image]], scenes: list[Scene]
) -> None:
    assert Counter(name for name, _ in flowers) == dict.fromkeys(flower_images.CLASSES, FLOWERS_PER_CLASS)
    assert Counter(scene.objects[0][0] for scene in scenes) == dict.fromkeys(scene_images.CLASSES, SCENES // 5)
    assert tuple(name for name, _ in islice(flowers, 5)) == flower_images.CLASSES


def test_images_are_in_colour_of_the_promised_size_and_of_varying_shape(
    flowers: list[tuple[str, Image.Image]], scenes: list[Scene]
) -> None:
    for images, longest in (([image for _, image in flowers], 240), ([scene.image for scene in scenes], 320)):
        assert {image.mode for image in images} == {"RGB"}
        assert all(0.9 * longest < max(image.size) < 1.1 * longest for image in images)
        shapes = [image.width / image.height for image in images]
        assert 0.75 <= min(shapes) < 0.8 and 1.25 < max(shapes) <= 4 / 3


def test_boxes_lie_inside_the_image_and_the_first_object_is_the_largest(scenes: list[Scene]) -> None:
    assert {len(scene.objects) for scene in scenes} == {1, 2, 3}
    for scene in scenes:
        shorter = min(scene.image.size)
        first, *others = [box for _, box in scene.objects]
        for left, top, right, bottom in (first, *others):
            assert 1 <= left < right <= scene.image.width and 1 <= top < bottom <= scene.image.height
        assert 0.34 * shorter < longer_side(first) < 0.66 * shorter
        assert all(0.15 * shorter < longer_side(box) < 0.31 * shorter for box in others)
        assert all(np.ptp(first[::2]) * np.ptp(first[1::2]) > np.ptp(box[::2]) * np.ptp(box[1::2]) for box in others)


def test_objects_hardly_overlap(scenes: list[Scene]) -> None:
    for scene in scenes:
        boxes = [edges(box) for _, box in scene.objects]
        assert all(iou(one, other) < 0.1 for index, one in enumerate(boxes) for other in boxes[:index])


def test_boxes_fit_what_is_drawn_to_the_pixel() -> None:
    image = Image.new("RGB", (40, 30))
    disc = Image.new("RGBA", (10, 10))
    disc.paste((255, 255, 255, 255), (2, 1, 9, 8))
    under = Image.new("RGBA", (10, 10), (255, 0, 0, 255))
    boxes = scene_images._paste(image, [disc, under], [(5, 5, 14, 14), (5, 13, 14, 22)])
    assert boxes == [(7, 6, 13, 12), (5, 13, 14, 22)]
    assert image.getbbox() == (4, 5, 14, 22)


def test_no_constant_box_finds_the_first_object(scenes: list[Scene]) -> None:
    boxes = np.array([fractions(scene) for scene in scenes])
    centre, size = (boxes[:, :2] + boxes[:, 2:]).mean(axis=0) / 2, (boxes[:, 2:] - boxes[:, :2]).mean(axis=0)
    for scale in (0.8, 1, 1.25, 1.5):
        guess = (*(centre - scale * size / 2), *(centre + scale * size / 2))
        assert np.mean([iou(guess, tuple(box)) for box in boxes]) < 0.4


def test_mean_colour_does_not_tell_a_flower(flowers: list[tuple[str, Image.Image]]) -> None:
    colours = np.array([np.asarray(image).mean(axis=(0, 1)) for _, image in flowers])
    labels = np.array([flower_images.CLASSES.index(name) for name, _ in flowers])
    half = len(flowers) // 2
    means = np.stack([colours[:half][labels[:half] == label].mean(axis=0) for label in range(5)])
    distances = np.linalg.norm(colours[half:, None] - means[None], axis=2)
    assert (distances.argmin(axis=1) == labels[half:]).mean() < 0.6
