"""Augmentation of whole batches: images and their boxes move together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from components.models import augment
from components.models.families import ssd
from components.models.task import Batch
from components.params import params

Sectioned = Callable[..., ssd.Config]
SIDE = 96


@pytest.fixture(scope="module")
def section(committed: params.Params) -> Sectioned:
    values = {**committed.sections["ssd"].model_dump(), "flip": 0.0, "crop": 1.0, "colour": 0.0}
    return lambda **changes: ssd.Config.model_validate({**values, **changes}, strict=False)


def batch(count: int = 16) -> Batch:
    """Images whose red tells how far down a pixel lies, and whose green how far to the right; two objects each."""
    down = (torch.arange(SIDE) + 0.5) / SIDE
    image = torch.stack([down[:, None].expand(SIDE, SIDE), down[None].expand(SIDE, SIDE), torch.zeros(SIDE, SIDE)])
    objects = torch.tensor([[1, 0.2, 0.3, 0.6, 0.7], [0, 0.65, 0.6, 0.9, 0.9], [-1, 0, 0, 0, 0]])
    return Batch(image.expand(count, -1, -1, -1).clone(), objects.expand(count, -1, -1).clone())


def colours_at(image: Tensor, left: float, top: float) -> list[float]:
    row, column = (min(SIDE - 1, max(0, int(place * SIDE))) for place in (top, left))
    return image[:2, row, column].tolist()


def test_nothing_asked_is_nothing_done(section: Sectioned) -> None:
    given = batch()
    assert augment.many_boxes(section(), given) is given
    assert augment.images_alone(section(), given) is given


def test_a_mirrored_image_has_mirrored_boxes(section: Sectioned) -> None:
    given = batch()
    inputs, targets = augment.many_boxes(section(flip=1.0), given)
    assert torch.allclose(inputs, given.inputs.flip(-1))
    assert torch.allclose(targets[0, 0], torch.tensor([1, 0.4, 0.3, 0.8, 0.7]))
    assert targets[:, 2, 0].tolist() == [-1] * 16


def test_in_a_cropped_image_each_box_is_around_the_same_pixels(section: Sectioned) -> None:
    torch.manual_seed(0)
    given = batch()
    inputs, targets = augment.many_boxes(section(crop=0.4, flip=0.5), given)
    assert inputs.shape == given.inputs.shape
    assert not torch.allclose(inputs, given.inputs)
    checked = 0
    for image, before, after in zip(inputs, given.targets, targets, strict=True):
        for number in range(2):
            if after[number, 0] < 0:
                continue
            assert after[number, 0] == before[number, 0]
            inside = [0.02 < side < 0.98 for side in after[number, 1:].tolist()]
            if all(inside):  # what was not cut still has its corners' colours, mirrored or not
                left, top, right, bottom = before[number, 1:].tolist()
                found = [colours_at(image, *after[number, corner].tolist()) for corner in ([1, 2], [3, 4])]
                assert [found[0][0], found[1][0]] == pytest.approx([top, bottom], abs=0.03)
                assert sorted([found[0][1], found[1][1]]) == pytest.approx([left, right], abs=0.03)
                checked += 1
    assert checked > 4


def test_an_object_of_which_a_crop_leaves_little_is_gone_but_never_all_of_them(section: Sectioned) -> None:
    torch.manual_seed(0)
    lost = 0
    for _ in range(20):
        targets = augment.many_boxes(section(crop=0.1), batch()).targets
        assert (targets[..., 0] >= 0).any(dim=1).all()
        assert targets[..., 1:].min() >= 0
        assert targets[..., 1:].max() <= 1
        lost += int((targets[:, :2, 0] < 0).sum())
    assert lost > 0


def test_one_box_stays_with_its_image(section: Sectioned) -> None:
    many = batch()
    one = Batch(many.inputs, many.targets[:, 0])
    torch.manual_seed(0)
    found = augment.one_box(section(crop=0.3), one)
    assert found.targets.shape == (16, 5)
    assert (found.targets[:, 0] == 1).all()


def test_colours_change_the_image_and_no_box(section: Sectioned) -> None:
    torch.manual_seed(0)
    given = batch()
    inputs, targets = augment.many_boxes(section(colour=0.5), given)
    assert torch.allclose(targets, given.targets, atol=1e-6)
    assert not torch.allclose(inputs, given.inputs)
    assert inputs.min() >= 0
    assert inputs.max() <= 1


@pytest.mark.parametrize("function", [augment.many_boxes, augment.images_alone])
def test_the_same_seed_draws_the_same_and_a_batch_is_not_all_alike(function: Any, section: Sectioned) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(function(section(crop=0.3), batch()).inputs)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0][0], found[0][-1])


def test_a_last_batch_of_one_image_is_augmented_too(section: Sectioned) -> None:
    assert augment.many_boxes(section(flip=1.0), batch(1)).inputs.shape == (1, 3, SIDE, SIDE)
