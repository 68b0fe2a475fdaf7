"""Transfer and one-object detection: the notes' counts, what is trained, and features that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from components.data.arrays import DataSpec, Split, open_split
from components.errors import UserError
from components.models import pretrained
from components.models.families import detection, transfer
from components.models.pretrained import Pretrained
from components.models.task import Batch, load_task, untrained
from components.params import params
from components.prepare import features
from components.train.loop import fit
from tests.conftest import CPU

FLOWERS = DataSpec((3, 180, 180), ("daisy", "dandelion", "roses", "sunflowers", "tulips"))
VOC = DataSpec((3, 300, 300), tuple(f"class {number}" for number in range(20)))

Sectioned = Callable[..., Any]


@pytest.fixture(scope="module")
def section(committed: params.Params) -> Sectioned:
    """The committed section of a model, without published weights, with changes checked as params.yaml's are."""

    def change(name: str, **changes: Any) -> Any:
        values = {**committed.sections[name].model_dump(), "pretrained": False, **changes}
        return load_task(name).config.model_validate(values, strict=False)

    return change


def count(model: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def count_as_keras(model: nn.Module) -> int:
    return count(model) + sum(
        b.numel() for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))
    )


NOTES: dict[str, Any] = {"pooling": "none", "dense": [260, 100]}


def test_the_notes_transfer_model_has_18069553_parameters_and_trains_5714673(section: Sectioned) -> None:
    model = transfer.build(section("transfer", backbone="vgg16.tv_in1k", freeze=17, **NOTES), FLOWERS)
    assert count(model) == 18_069_553
    assert count(model, trained=True) == 5_714_673
    trained = {name for name, p in model.named_parameters() if p.requires_grad and name.startswith("backbone")}
    assert trained == {"backbone.net.features.28.weight", "backbone.net.features.28.bias"}  # block5_conv3


def test_the_notes_detector_has_21276104_parameters_and_trains_8278992(section: Sectioned) -> None:
    notes = section("detection", backbone="legacy_xception.tf_in1k", freeze=110, reduction=0, pooling="average")
    model = detection.build(notes, VOC)
    assert count_as_keras(model) == 21_276_104
    assert count(model, trained=True) == 8_278_992


def test_the_notes_detector_weighs_its_losses_0_1_and_0_9(section: Sectioned) -> None:
    notes = section("detection", box_loss="mse", class_weight=0.1, box_weight=0.9)
    outputs = detection.Outputs(torch.zeros(1, 2), torch.tensor([[0.1, 0.2, 0.5, 0.6]]))  # two classes alike
    target = torch.tensor([[1.0, 0.1, 0.2, 0.5, 1.0]])
    found = detection.loss(notes, outputs, Batch(torch.zeros(1), target))
    assert found.item() == pytest.approx(0.1 * np.log(2) + 0.9 * 0.4**2 / 4)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mse", 0.04 / 2), ("smooth_l1", (0.2 - 1 / 18) / 2), ("giou", 1 - 0.6 / 1.0)],
)
def test_a_box_that_is_a_fifth_too_short_at_both_ends_costs(kind: str, expected: float) -> None:
    box, truth = torch.tensor([[0.2, 0.0, 0.8, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert detection.box_loss(kind, box, truth).item() == pytest.approx(expected, abs=1e-6)


def test_overlap_is_what_it_is_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.0, 0.0]])
    truth = torch.tensor([[0.0, 0.25, 0.5, 0.75], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]])
    assert detection.overlaps(boxes, truth).tolist() == pytest.approx([1 / 3, 0, 1])  # the last one's corners changed


def stored(name: str, config: Any, split: Split, folder: Path) -> Split:
    folder.mkdir()
    features.make(load_task(name), config, split, {}, folder)
    return open_split(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transfer", "detection", "ssd"])
@pytest.mark.parametrize("freeze", ["all", "blocks.2"])
def test_training_on_stored_features_is_the_same_training(
    name: str, freeze: str, section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    # Small steps: a network without published weights would soon make much of a last digit that was rounded otherwise.
    changes = {"freeze": freeze, "epochs": 2, "frozen_precision": "float32", "optimizer": "sgd", "learning_rate": 1e-4}
    config = section(name, **changes, **({} if name == "ssd" else {"dropout": 0.0}))
    split = made_splits(config.data)
    kept = stored(name, config, split, tmp_path / "features")
    assert kept.spec.stored is not None
    task = load_task(name)
    with_features = fit(task, config, kept, CPU, lambda *_: None)
    without = fit(task, config, split, CPU, lambda *_: None)
    for one, other in zip(with_features.history, without.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-3)


def test_images_pass_the_frozen_layers_few_at_once_and_give_what_all_at_once_give(
    section: Sectioned, made_splits: Callable[[str], Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = section("transfer", frozen_precision="float32")
    model = untrained(load_task("transfer"), config, made_splits("flowers").spec, {})
    assert isinstance(model, Pretrained)
    images = torch.rand(7, 3, 64, 64)
    model.eval()
    monkeypatch.setattr(pretrained, "PIXELS_AT_ONCE", 7 * 64 * 64)
    whole = model.beginning(images)
    for pixels in (1, 64 * 64, 2 * 64 * 64):  # one by one, one for each thread, two
        monkeypatch.setattr(pretrained, "PIXELS_AT_ONCE", pixels)
        assert torch.allclose(model.beginning(images), whole, atol=1e-4)


@pytest.mark.parametrize("change", [{"flip": 0.5}, {"store_features": False}, {"freeze": 0}], ids=str)
def test_nothing_is_stored_where_the_images_themselves_are_needed(
    change: dict[str, Any], section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    config = section("transfer", **change)
    said = features.make(load_task("transfer"), config, made_splits("flowers"), {}, tmp_path)
    assert said.startswith("nothing stored")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("precision", "bytes_each"), [("auto", 2), ("float32", 4)])
def test_features_are_stored_in_half_the_room_unless_all_digits_are_asked_for(
    precision: str, bytes_each: int, section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    whole = made_splits("flowers")
    split = replace(whole, rows={subset: rows[:4] for subset, rows in whole.rows.items()})
    kept = stored("transfer", section("transfer", frozen_precision=precision), split, tmp_path / "features")
    assert kept.arrays["inputs"].itemsize == bytes_each
    task = load_task("transfer")
    exact = stored("transfer", section("transfer", frozen_precision="float32"), split, tmp_path / "exact")
    rows = np.arange(8)
    found, expected = task.batch(kept, rows).inputs.float(), task.batch(exact, rows).inputs
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_features_are_the_test_subsets_of_nobody(
    section: Sectioned, made_splits: Callable[[str], Split], tmp_path: Path
) -> None:
    split = made_splits("flowers")
    kept = stored("transfer", section("transfer"), split, tmp_path / "features")
    assert len(kept.rows["test"]) == 0
    assert len(kept.arrays["inputs"]) == len(split.rows["train"]) + len(split.rows["validation"])
    for part in ("train", "validation"):
        kept_targets = kept.arrays["targets"][kept.rows[part]]
        assert np.array_equal(kept_targets, split.arrays["targets"][split.rows[part]])


@pytest.mark.slow
def test_a_training_leaves_the_frozen_layers_as_they_were(
    section: Sectioned, made_splits: Callable[[str], Split]
) -> None:
    config, task = section("transfer", freeze="blocks.3", epochs=1, store_features=False), load_task("transfer")
    split = made_splits("flowers")
    before = untrained(task, config, split.spec, {}).state_dict()
    after = fit(task, config, split, CPU, lambda *_: None).model.state_dict()
    moved = {
        name.split(".")[2] + "." + name.split(".")[3]
        for name in before
        if not torch.equal(before[name], after[name]) and name.startswith("backbone.net.blocks")
    }
    assert moved == {"blocks.4", "blocks.5", "blocks.6"}


def test_grey_images_are_refused_for_a_backbone_of_colours(section: Sectioned) -> None:
    with pytest.raises(UserError, match=r"transfer\.data: .* needs colour images"):
        transfer.build(section("transfer"), DataSpec((1, 28, 28), ("0", "1")))


def test_a_detector_on_images_without_boxes_is_refused(made_splits: Callable[[str], Split]) -> None:
    with pytest.raises(UserError, match="images have no boxes"):
        detection.batch(made_splits("flowers"), np.arange(2))


def test_small_images_pass_the_backbone_enlarged_and_large_ones_as_they_are(section: Sectioned) -> None:
    for side, seen in ((32, 160), (100, 160), (160, 160), (180, 180)):
        model = transfer.build(section("transfer"), DataSpec((3, side, side), FLOWERS.classes))
        assert model.side == (seen, seen)
        assert model(torch.rand(2, 3, side, side)).shape == (2, 5)
    wide = transfer.build(section("transfer", enlarge=64), DataSpec((3, 32, 48), FLOWERS.classes))
    assert wide.side == (64, 96)


def test_of_a_wholly_frozen_backbone_the_averages_are_what_training_starts_from(section: Sectioned) -> None:
    images = torch.rand(2, 3, 180, 180)
    whole = transfer.build(section("transfer", frozen_precision="float32"), FLOWERS).eval()
    assert whole.beginning(images).dim() == 2
    features = whole.backbone.run(whole.backbone.normalised(images))
    assert torch.allclose(whole.beginning(images), features.mean((2, 3)), atol=1e-3, rtol=1e-3)
    every = transfer.build(section("transfer", pooling="none"), FLOWERS)
    assert every.beginning(images).dim() == 4
    part = transfer.build(section("transfer", freeze=10), FLOWERS).eval()
    assert part.beginning(images).dim() == 4
    assert part(images).shape == (2, 5)
