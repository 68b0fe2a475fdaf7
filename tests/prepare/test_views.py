"""Versions of training images, whose features are stored: boxes move along, and what is validated stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from components.data.arrays import Split, Subset, open_split
from components.errors import UserError
from components.models.pretrained import PretrainedConfig
from components.models.task import Batch, Task, load_task
from components.params import params
from components.prepare import features
from components.prepare.views import Views, augmented
from components.train.loop import fit
from tests.conftest import CPU

Sectioned = Callable[..., PretrainedConfig]
SIDE = 64
CHANGED = {"flip": 0.5, "crop": 0.3, "colour": 0.2, "views": 3}


@pytest.fixture(scope="module")
def section(committed: params.Params) -> Sectioned:
    """A family's committed section with changes, checked as params.yaml's are."""

    def change(name: str, **changes: Any) -> PretrainedConfig:
        values = {**committed.sections[name].model_dump(), **changes}
        config = load_task(name).config.model_validate(values, strict=False).at(f"models.{name}")
        assert isinstance(config, PretrainedConfig)
        return config

    return change


@pytest.fixture
def marked() -> Split:
    """Ten images whose red tells how far to the right a pixel lies, and whose green how far down; two objects each."""
    along = ((np.arange(SIDE) + 0.5) / SIDE * 255).astype(np.uint8)
    image = np.stack([np.tile(along, (SIDE, 1)), np.tile(along[:, None], (1, SIDE)), np.zeros((SIDE, SIDE), np.uint8)])
    arrays = {
        "inputs": np.tile(image, (10, 1, 1, 1)),
        "targets": np.arange(10),
        "labels": np.tile(np.array([1, 0, -1], dtype=np.int16), (10, 1)),
        "boxes": np.tile(
            np.array([[0.2, 0.2, 0.6, 0.7], [0.5, 0.5, 0.9, 0.9], [0, 0, 0, 0]], dtype=np.float32), (10, 1, 1)
        ),
    }
    rows = {"train": np.array([0, 2, 3, 5, 7, 9]), "validation": np.array([1, 4]), "test": np.array([6, 8])}
    return Split(Path("marked"), arrays, rows, ("a", "b"), "")  # type: ignore[arg-type]


def drawn(section: Sectioned, family: str, split: Split, **changes: Any) -> list[Views]:
    return [*augmented(load_task(family), section(family, **{**CHANGED, **changes}), split, 4)]


def test_each_training_image_has_its_views_and_no_other_image_has_any(section: Sectioned, marked: Split) -> None:
    found = drawn(section, "ssd", marked)
    assert [len(views.images) for views in found] == [4, 2, 4, 2]
    assert [*np.concatenate([views.belonging["targets"] for views in found])] == [0, 2, 3, 5, 7, 9] * 2
    images = torch.cat([views.images for views in found])
    assert len(images.flatten(1).unique(dim=0)) == 12  # of each image draws of its own


def test_the_boxes_of_a_view_are_around_the_same_pixels(section: Sectioned, marked: Split) -> None:
    found, whole = drawn(section, "ssd", marked, colour=0.0), 0
    for images, arrays in found:
        for image, labels, boxes in zip(images, arrays["labels"], arrays["boxes"], strict=True):
            assert (labels >= 0).any()
            for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
                if label < 0 or min(left, top) <= 0 or max(right, bottom) >= 1:  # not there, or cut
                    continue
                row, column = (int((one + other) / 2 * SIDE) for one, other in ((top, bottom), (left, right)))
                middle = (0.4, 0.45) if label == 1 else (0.7, 0.7)
                assert image[:2, row, column].tolist() == pytest.approx(middle, abs=0.06)
                whole += 1
    assert whole >= 8


def test_a_model_of_one_object_learns_from_views_of_that_one(section: Sectioned, marked: Split) -> None:
    for views in drawn(section, "detection", marked):
        assert set(views.belonging["labels"][:, 0]) == {1}
        assert (views.belonging["labels"][:, 1:] == -1).all()
        assert (views.belonging["boxes"][:, 0, 2:] > views.belonging["boxes"][:, 0, :2]).all()


def test_views_follow_the_seed_and_leave_other_chance_as_it_was(section: Sectioned, marked: Split) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    once, again = (torch.cat([v.images for v in drawn(section, "ssd", marked)]) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(once, again)
    other = torch.cat([views.images for views in drawn(section, "ssd", marked, seed=1)])
    assert not torch.allclose(once, other)


def stored(task: Task, config: PretrainedConfig, split: Split, folder: Path) -> Split:
    folder.mkdir()
    features.make(task, config, split, {}, folder)
    return open_split(folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["transfer", "ssd", "sliding_window"])
def test_what_is_stored_has_all_views_to_train_on_and_each_image_once_to_validate(
    family: str, section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    task, exact = load_task(family), {"epochs": 1, "frozen_precision": "float32"}
    config = section(family, **CHANGED, **exact)
    whole = made_splits(config.data)
    split = replace(whole, rows={subset: rows[:6] for subset, rows in whole.rows.items()})
    once, several = (
        stored(task, each, split, tmp_path / str(each.views)) for each in (section(family, **exact), config)
    )
    assert len(several.rows["train"]) == 3 * len(once.rows["train"])
    subsets: tuple[Subset, ...] = ("train", "validation")
    for subset in subsets:
        rows = several.rows[subset][: len(once.rows[subset])]
        assert np.allclose(several.arrays["inputs"][rows], once.arrays["inputs"][once.rows[subset]], atol=1e-4)
    assert len(several.rows["validation"]) == len(once.rows["validation"])
    assert several.rows["test"].size == 0
    training = fit(task, config, several, CPU, lambda *_: None)
    assert np.isfinite(training.history[-1]["validation_loss"])


def test_what_is_stored_is_augmented_no_further_in_training(section: Sectioned) -> None:
    given = Batch(torch.rand(2, 5), torch.zeros(2, 3, 5))
    for family in ("transfer", "detection", "ssd", "sliding_window"):
        found = load_task(family).augment(section(family, **CHANGED), given)
        assert torch.equal(found.inputs, given.inputs)
        assert torch.equal(found.targets, given.targets)


def test_views_of_a_network_without_a_frozen_layer_are_refused(
    section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    config = section("transfer", **CHANGED, freeze=0)
    with pytest.raises(UserError, match=r"models.transfer.views: 3, .* set models.transfer.freeze, or views to 1"):
        features.make(load_task("transfer"), config, made_splits("flowers"), {}, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"flip": 0.0, "crop": 1.0, "colour": 0.0}, "views is 3, and they would all be the same"),
        ({"store_features": False}, "views is 3, which are stored; set store_features"),
    ],
)
def test_views_that_could_not_be_are_refused_with_params_yaml(
    changes: dict[str, Any], said: str, section: Sectioned
) -> None:
    with pytest.raises(ValidationError, match=said):
        section("ssd", **{**CHANGED, **changes})
