"""SSD and the sliding window: torchvision's networks and loss, hand-worked matches and mAP, windows in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from components.data.arrays import DataSpec, Split
from components.errors import UserError
from components.evaluate import detectors as detections_of_many
from components.evaluate.evaluation import Detections
from components.models.families import sliding_window, ssd
from components.models.objects import batches, default_boxes
from components.models.objects.default_boxes import Outputs, decoded, matches
from components.models.objects.windows import Windows, shown
from components.params import params
from components.train.loop import fit
from tests.conftest import CPU

COCO = DataSpec((3, 300, 300), tuple(map(str, range(90))))  # with the background the 91 that torchvision counts
FULL = ("ssd300_vgg16", "ssdlite320_mobilenet_v3_large")

Sectioned = Callable[..., Any]


@pytest.fixture(scope="module")
def section(committed: params.Params) -> Sectioned:
    def change(**changes: Any) -> Any:
        values = {**committed.sections["ssd"].model_dump(), "pretrained": False, "freeze": 0, **changes}
        return ssd.Config.model_validate(values, strict=False)

    return change


@pytest.fixture(scope="module")
def windows(committed: params.Params) -> Windows:
    config = committed.sections["sliding_window"]
    assert isinstance(config, sliding_window.Config)
    return config.windows


@pytest.mark.parametrize(
    ("name", "parameters", "boxes"), [(FULL[0], 35_641_826, 8_732), (FULL[1], 3_440_060, 3_234)], ids=FULL
)
def test_parameters_and_default_boxes_are_the_published_ones(
    name: str, parameters: int, boxes: int, section: Sectioned
) -> None:
    model = ssd.build(section(backbone=name), COCO)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.boxes.shape == (boxes, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_the_network_computes_what_torchvisions_does(name: str, section: Sectioned) -> None:
    own = ssd.build(section(backbone=name), COCO).eval()
    other = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None).eval()
    theirs = dict(zip(other.state_dict(), _in_its_order(own, name), strict=True))
    other.load_state_dict(theirs)
    images = torch.rand(2, 3, own.side, own.side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = own(images)
        maps = list(other.backbone(own.backbone.normalised(images)).values())
        expected = other.head(maps)
        boxes = other.anchor_generator(ImageList(images, [(own.side, own.side)] * 2), maps)[0]
    assert torch.allclose(found.logits, expected["cls_logits"], atol=1e-4)
    assert torch.allclose(found.offsets, expected["bbox_regression"], atol=1e-4)
    assert torch.allclose(found.boxes[0], boxes / own.side, atol=1e-6)


def _in_its_order(model: ssd.SSD, name: str) -> list[Tensor]:
    """The model's tensors in the order in which torchvision's network has them."""
    state = model.state_dict()
    backbone = [t for n, t in state.items() if n.startswith("backbone.net.")]
    extras = [t for n, t in state.items() if n.startswith("extras.")]
    head = [t for n, t in state.items() if n.startswith("head.")]
    if name == FULL[1]:
        return [*backbone, *extras, *head]
    fine = 20  # tensors up to conv4_3, ten convolutions
    return [state["scale"], *backbone[:fine], *backbone[fine:], *extras, *head]


def outputs_and_objects() -> tuple[Outputs, Tensor]:
    """Random outputs of 300 default boxes and 3 classes for 2 images, with 2 and with 1 objects."""
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(300, 2, generator=random) * 0.7
    boxes = torch.cat([corner, corner + 0.05 + 0.25 * torch.rand(300, 2, generator=random)], dim=1)
    offsets, logits = (torch.randn(2, 300, size, generator=random) for size in (4, 4))
    objects = torch.full((2, 2, 5), -1.0)
    objects[..., 1:] = 0
    objects[0, 0] = torch.tensor([2, *boxes[7].tolist()])
    objects[0, 1] = torch.tensor([0, 0.1, 0.1, 0.3, 0.35])
    objects[1, 0] = torch.tensor([1, 0.4, 0.5, 0.62, 0.7])
    return Outputs(offsets, boxes.expand(2, -1, -1), logits), objects


@pytest.mark.slow
def test_the_loss_of_an_image_is_torchvisions() -> None:
    outputs, objects = outputs_and_objects()
    reference = torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=4)
    expected = []
    for offsets, boxes, logits, own in zip(*outputs, objects, strict=True):
        there = own[own[:, 0] >= 0]
        target = {"boxes": there[:, 1:], "labels": there[:, 0].long() + 1}
        matched = reference.proposal_matcher(torchvision.ops.box_iou(target["boxes"], boxes))
        found = {"bbox_regression": offsets[None], "cls_logits": logits[None]}
        expected.append(sum(reference.compute_loss([target], found, [boxes], [matched]).values()))
    assert default_boxes.loss(outputs, objects).item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_every_object_has_its_best_box_and_boxes_have_objects_they_half_cover() -> None:
    boxes = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.4], [0.5, 0.5, 1, 1], [0.6, 0, 1, 0.2]]).float()
    objects = torch.tensor([[3, 0, 0, 0.5, 0.5], [1, 0.9, 0.9, 1, 1], [-1, 0.6, 0, 1, 0.2]]).float()
    assert matches(objects[None], boxes[None]).tolist() == [[0, 0, 1, -1]]


def test_an_image_without_objects_has_a_loss_and_a_gradient() -> None:
    outputs, objects = outputs_and_objects()
    objects[1, :, 0] = -1
    learned = (outputs.offsets.requires_grad_(), outputs.logits.requires_grad_())
    default_boxes.loss(outputs, objects).backward()
    for each in learned:
        assert each.grad is not None
        assert torch.isfinite(each.grad).all()
        assert each.grad[1].abs().sum() == 0


def test_offsets_of_zero_mean_the_default_box_and_one_means_a_tenth_of_its_side() -> None:
    boxes = torch.tensor([[0.2, 0.2, 0.4, 0.6]])
    assert torch.allclose(decoded(torch.zeros(1, 4), boxes), boxes)
    moved = decoded(torch.tensor([[1.0, 0, 0, 0]]), boxes)
    assert torch.allclose(moved, torch.tensor([[0.22, 0.2, 0.42, 0.6]]))


def detections(*found: tuple[float, ...]) -> Tensor:
    """One image's detections, padded."""
    rows = torch.full((1, len(found) + 1, 6), -1.0)
    for number, detection in enumerate(found):
        rows[0, number] = torch.tensor(detection)
    return rows


A, B = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
ELSEWHERE = (0.5, 0.0, 1.0, 0.4)


def test_mean_average_precision_agrees_with_a_hand_worked_case() -> None:
    """Class 0: two objects; the surest detection is right, the next wrong, the last right.

    Precision is 1 up to a recall of 1/2, then 2/3; of COCO's 101 recalls 51 have 1 and 50 have 2/3. Class 1: one
    object, found 0.2 wide of 0.25, an IoU of 0.8: right at the 7 thresholds from 0.5 to 0.8.
    """
    objects = torch.tensor([[[0, *A], [0, *B], [1, 0.6, 0, 0.9, 0.25]]])
    found = detections((0, 0.9, *A), (0, 0.8, *ELSEWHERE), (0, 0.7, *B), (1, 0.6, 0.6, 0, 0.9, 0.2))
    means, each = detections_of_many.mean_average_precision(found, objects)
    first = (51 + 50 * 2 / 3) / 101
    assert each == {0: pytest.approx(first), 1: pytest.approx(1)}
    assert means["map_50"] == pytest.approx((first + 1) / 2)
    assert means["map"] == pytest.approx((first + 0.7) / 2, abs=0.026)  # 0.8 may round to either side
    assert means["mar"] == pytest.approx((1 + 0.7) / 2, abs=0.051)


def test_a_class_that_is_not_there_counts_for_nothing_and_finding_nothing_is_zero() -> None:
    objects = torch.tensor([[[0, *A]]])
    means, each = detections_of_many.mean_average_precision(detections((1, 0.9, *B)), objects)
    assert means["map_50"] == 0
    assert each == {0: 0}


def test_of_detections_that_overlap_the_surest_of_each_class_is_kept() -> None:
    boxes = torch.tensor([A, (0.0, 0.0, 0.5, 0.45), B])
    scores = torch.tensor([[0.6, 0.1], [0.9, 0.2], [0.05, 0.3]])
    kept = detections_of_many.kept(scores, boxes, Detections(score=0.1, nms=0.45))
    assert kept.shape == (detections_of_many.DETECTIONS, 6)
    there = kept[kept[:, 0] >= 0]
    assert there[:, :2].tolist() == [pytest.approx(pair) for pair in ([0, 0.9], [1, 0.3], [1, 0.2])]
    assert torch.equal(there[0, 2:], boxes[1])


def test_one_step_with_perfect_scores_finds_every_object(
    section: Sectioned, made_splits: Callable[[str], Split]
) -> None:
    """Outputs that say of each default box what it is to find, decoded, suppressed and counted, give a mAP of 1."""
    split = made_splits("voc")
    objects = batches.objects_of(split, split.rows["test"])
    boxes = ssd.build(section(), split.spec).boxes.expand(len(objects), -1, -1)
    matched = matches(objects, boxes)
    chosen = torch.gather(objects, 1, matched.clamp_min(0)[..., None].expand(-1, -1, 5))
    scores = (
        torch.nn.functional.one_hot(chosen[..., 0].long().clamp_min(0), len(split.classes)) * (matched >= 0)[..., None]
    )
    own = Detections(score=0.5, nms=0.45)
    found = [detections_of_many.kept(s.float(), b, own) for s, b in zip(scores, chosen[..., 1:], strict=True)]
    assert detections_of_many.mean_average_precision(torch.stack(found), objects)[0]["map"] == pytest.approx(1)


@pytest.mark.slow
def test_ssd_trains_though_its_last_batch_would_be_one_image(
    section: Sectioned, made_splits: Callable[[str], Split]
) -> None:
    """Its last map has one place, in which one image alone cannot be normalised: 33, 65, 97, … rows crashed."""
    split = made_splits("voc")
    few = replace(split, rows={**split.rows, "train": split.rows["train"][:9], "validation": split.rows["train"][:2]})
    config = section(backbone="efficientnet_lite0", freeze="all", epochs=1, batch_size=8)
    training = fit(ssd.TASK, config, few, CPU, lambda *_: None)
    assert np.isfinite(training.history[0]["validation_loss"])
    assert len(training.norms) == 24


def test_a_backbone_without_a_fine_map_is_refused(section: Sectioned) -> None:
    with pytest.raises(UserError, match=r"ssd\.start: 'hrnet_w18_small'"):
        ssd.build(section(backbone="hrnet_w18_small"), COCO)


@pytest.mark.parametrize(
    ("name", "freeze", "steps"),
    [
        # 112 x 20 x 20 numbers of the first map, and 320 x 10 x 10 before the last convolution makes 1280 x 10 x 10.
        ("efficientnet_lite0", "all", ["blocks.4.2", "blocks.6.0"]),
        ("efficientnet_lite0", "blocks.5.1", ["blocks.4.2", "blocks.5.1"]),
        ("efficientnet_lite0", "blocks.4.2", ["blocks.4.2"]),
        ("efficientnet_lite0", "blocks.2", ["blocks.2.1"]),
        ("ssd300_vgg16", "all", ["features.22", "features.29"]),
        ("ssdlite320_mobilenet_v3_large", "all", ["features.13.block.0", "features.16"]),
    ],
)
def test_a_frozen_beginning_is_read_at_each_map_and_where_little_is_left_of_it(
    name: str, freeze: str, steps: list[str], section: Sectioned
) -> None:
    model = ssd.build(section(backbone=name, freeze=freeze), COCO)
    assert [model.backbone.steps[step - 1] for step in model.kept] == steps
    assert model.first == model.kept[-1]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "ssd300_vgg16"])
def test_what_is_read_of_a_frozen_beginning_gives_the_maps_of_the_whole(name: str, section: Sectioned) -> None:
    model = ssd.build(section(backbone=name, freeze="all", frozen_precision="float32"), COCO).eval()
    images = torch.rand(2, 3, model.side, model.side)
    with torch.no_grad():
        found = model._all_maps(model.beginning(images))
        whole = ssd._maps(model, model.backbone.normalised(images), 0)
    assert [map_.shape for map_ in found] == [map_.shape for map_ in whole]
    for one, other in zip(found, whole, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_windows_of_a_level_cover_the_image_to_its_sides(windows: Windows) -> None:
    for height, width, tops, lefts in windows.levels():
        assert tops[0] == lefts[0] == 0
        assert tops[-1].item() + height == pytest.approx(1)
        assert tops.diff().max().item() <= windows.step * height + 1e-6
        assert lefts.diff().max().item() <= windows.step * width + 1e-6


@pytest.mark.parametrize("aspects", [(1.0,), (0.5, 2.0)])
def test_a_windows_pixels_are_those_at_its_place(windows: Windows, aspects: tuple[float, ...]) -> None:
    """Of an image whose colours tell the place, the middle of a crop has the colours of the window's middle."""
    grid = windows.model_copy(update={"aspects": aspects})
    side = torch.linspace(0, 1, 300)
    image = torch.stack([side[:, None].expand(300, 300), side[None].expand(300, 300), torch.zeros(300, 300)])
    boxes = grid.boxes()
    numbers = torch.arange(len(boxes))
    crops = grid.crops(image, numbers)
    assert crops.shape == (len(boxes), 3, grid.pixels, grid.pixels)
    middle = torch.stack([(boxes[:, 1] + boxes[:, 3]) / 2, (boxes[:, 0] + boxes[:, 2]) / 2], dim=1)  # down, across
    assert torch.allclose(crops[:, :2].mean(dim=(2, 3)), middle, atol=0.01)
    some = numbers[::7]
    assert torch.equal(grid.crops(image, some), crops[some])


def test_a_window_shows_an_object_a_part_of_one_or_the_background() -> None:
    objects = torch.tensor([[2, 0, 0, 0.5, 0.5], [-1, 0, 0, 0, 0]]).float()
    places = torch.tensor([[0, 0, 0.5, 0.4], [0, 0, 0.5, 0.2], [0.5, 0.5, 1, 1]])
    assert shown(places, objects, background=5)[0].tolist() == [2, -1, 5]


def test_windows_are_learned_from_with_the_classes_that_they_show(
    committed: params.Params, made_splits: Callable[[str], Split], tmp_path: Any
) -> None:
    config = committed.sections["sliding_window"]
    assert isinstance(config, sliding_window.Config)
    split = made_splits("voc")
    learned = sliding_window.derive(config, split, tmp_path)
    again = sliding_window.derive(config, split, tmp_path)
    assert np.array_equal(learned.arrays["targets"], again.arrays["targets"])
    assert learned.classes == (*split.classes, "background")
    labels = learned.arrays["targets"]
    assert set(np.unique(labels)) == set(range(len(split.classes) + 1))
    objects = sum(int((split.arrays["labels"][split.rows[part]] >= 0).sum()) for part in ("train", "validation"))
    assert 0 < int((labels < len(split.classes)).sum()) <= config.windows.examples * objects
    assert set(learned.rows["train"]).isdisjoint(learned.rows["validation"])


def test_data_without_boxes_are_refused(made_splits: Callable[[str], Split]) -> None:
    with pytest.raises(UserError, match="images have no boxes, which a detector learns; set the model's `data`"):
        batches.batch(made_splits("flowers"), np.arange(2))
