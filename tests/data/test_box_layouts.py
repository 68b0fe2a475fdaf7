"""COCO's JSON, YOLO's text and XML beside images, as tools export them, become images with boxes like VOC's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.data.kind import Examples
from components.data.kinds import boxes
from components.errors import UserError
from components.params import params
from tests.conftest import split_of, with_source

WIDTH, HEIGHT = 80, 40
DOG, CAT = (8, 4, 40, 20), (40, 20, 80, 40)  # (left, top, right, bottom) in pixels
DOG_IS, CAT_IS = [0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]
NAMES = ("cat", "dog")


@pytest.fixture
def config(committed: params.Params) -> boxes.Config:
    section = committed.sections["voc"]
    assert isinstance(section, boxes.Config)
    return section.model_copy(update={"side": 16, "bad_files": 0.0})


def image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(file)


def text(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def coco(file: Path, stated: Mapping[str, list[tuple[int, tuple[int, int, int, int]]]], **more: Any) -> None:
    """COCO's file of some images, each with (category, box)."""
    images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(stated)]
    listed = [
        {"id": 1, "image_id": n, "category_id": number, "bbox": [x, y, x2 - x, y2 - y], "iscrowd": 0} | more
        for n, own in enumerate(stated.values())
        for number, (x, y, x2, y2) in own
    ]
    categories = [{"id": 90, "name": "cat"}, {"id": 18, "name": "dog"}]
    values = {"info": {}, "images": images, "annotations": listed, "categories": categories}
    text(file, json.dumps(values))


def yolo(box: tuple[int, int, int, int], number: int) -> str:
    x, y, x2, y2 = (side / of for side, of in zip(box, (WIDTH, HEIGHT) * 2, strict=True))
    return f"{number} {(x + x2) / 2:.6f} {(y + y2) / 2:.6f} {x2 - x:.6f} {y2 - y:.6f}\n"


def xml(box: tuple[int, int, int, int], name: str) -> str:
    keys = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, *box[2:]), strict=True)
    sides = "".join(f"<{key}>{value}</{key}>" for key, value in keys)
    return f"<annotation><object><name>{name}</name><bndbox>{sides}</bndbox></object></annotation>"


def as_coco_publishes(top: Path) -> None:
    image(top / "train2017/1.jpg")
    image(top / "train2017/2.jpg")
    image(top / "val2017/3.jpg")
    coco(top / "annotations/instances_train2017.json", {"1.jpg": [(18, DOG)], "2.jpg": [(90, CAT)]})
    coco(top / "annotations/instances_val2017.json", {"3.jpg": [(18, DOG), (90, CAT)]})
    coco(top / "annotations/person_keypoints_val2017.json", {"3.jpg": [(18, DOG)]})
    text(top / "annotations/captions_val2017.json", '{"images": [], "annotations": [{"caption": "a dog"}]}')


def as_roboflow_exports_coco(top: Path) -> None:
    for subset, names in (("train", ("1.jpg", "2.jpg")), ("valid", ("1.jpg",))):
        stated = {name: [(18, DOG)] if name == "1.jpg" else [(90, CAT)] for name in names}
        stated = stated if subset == "train" else {"1.jpg": [(18, DOG), (90, CAT)]}
        for name in stated:
            image(top / subset / name)
        coco(top / subset / "_annotations.coco.json", stated)
    text(top / "README.roboflow.txt", "exported")


def as_ultralytics_lays_out(top: Path) -> None:
    for place, content in (
        ("train/1", yolo(DOG, 1)),
        ("train/2", yolo(CAT, 0)),
        ("val/3", yolo(DOG, 1) + yolo(CAT, 0)),
    ):
        image(top / f"images/{place}.jpg")
        text(top / f"labels/{place}.txt", content)
    text(top / "data.yaml", "path: ../somewhere\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")


def as_roboflow_exports_yolo(top: Path) -> None:
    outline = "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"
    for place, name, content in (("train", "1", outline), ("train", "2", yolo(CAT, 0)), ("valid", "3", "")):
        image(top / place / "images" / f"{name}.jpg")
        text(top / place / "labels" / f"{name}.txt", content or yolo(DOG, 1) + yolo(CAT, 0))
    text(top / "data.yaml", "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['cat', 'dog']\n")


def as_cvat_exports_yolo(top: Path) -> None:
    for name, content in (("1", yolo(DOG, 1)), ("2", yolo(CAT, 0)), ("3", yolo(DOG, 1) + yolo(CAT, 0))):
        image(top / f"obj_train_data/{name}.png")
        text(top / f"obj_train_data/{name}.txt", content)
    text(top / "obj.names", "cat\ndog\n")
    text(top / "obj.data", "classes = 2\nnames = data/obj.names\n")
    text(top / "train.txt", "data/obj_train_data/1.png\ndata/obj_train_data/2.png\n")
    text(top / "valid.txt", "data/obj_train_data/3.png\n")


def as_roboflow_exports_voc(top: Path) -> None:
    image(top / "train/1.jpg")
    text(top / "train/1.xml", xml(DOG, "dog"))
    image(top / "train/2.jpg")
    text(top / "train/2.xml", xml(CAT, "cat"))
    image(top / "valid/3.jpg")
    both = xml(DOG, "dog").replace("</annotation>", "") + xml(CAT, "cat").removeprefix("<annotation>")
    text(top / "valid/3.xml", both)


EXPORTS: list[Callable[[Path], None]] = [
    as_coco_publishes,
    as_roboflow_exports_coco,
    as_ultralytics_lays_out,
    as_roboflow_exports_yolo,
    as_cvat_exports_yolo,
    as_roboflow_exports_voc,
]


@pytest.mark.parametrize("make", EXPORTS, ids=lambda make: make.__name__)
def test_an_export_is_read_with_its_own_split(
    make: Callable[[Path], None], config: boxes.Config, tmp_path: Path
) -> None:
    make(tmp_path / "raw")
    examples = read(config, tmp_path)
    assert examples.classes == NAMES
    assert examples.subsets is not None
    assert examples.subsets.tolist() == [0, 0, 1]
    assert examples.extra["labels"].tolist() == [[1, -1], [0, -1], [1, 0]]
    expected: Any = [[DOG_IS, [0] * 4], [CAT_IS, [0] * 4], [DOG_IS, CAT_IS]]
    assert np.allclose(examples.extra["boxes"], expected, atol=1e-5)
    assert {*examples.findings.summary()} <= {"annotations of another kind"}


def read(config: boxes.Config, folder: Path, **changes: Any) -> Examples:
    (folder / "scratch").mkdir(exist_ok=True)
    return boxes.read(config.model_copy(update=changes), folder / "raw", folder / "scratch")


def kinds(examples: Examples) -> dict[str, list[str]]:
    return {kind: found["files"] for kind, found in examples.findings.summary().items()}


def test_coco_as_one_file_of_a_labelling_tool_has_no_split(config: boxes.Config, tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg", "odd.jpg"):
        image(tmp_path / "raw/images" / name)
    stated = {"images\\1.jpg": [(18, DOG)], "../upload/2.jpg": [(90, CAT)], "gone.jpg": [(18, DOG)]}
    coco(tmp_path / "raw/result.json", stated)
    examples = read(config, tmp_path)
    assert examples.subsets is None
    assert len(examples.inputs) == 2
    assert kinds(examples) == {"no image": ["result.json: gone.jpg"], "no annotation": ["images/odd.jpg"]}


def test_a_crowd_is_no_object_and_what_is_no_box_is_counted(config: boxes.Config, tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        image(tmp_path / "raw" / name)
    coco(tmp_path / "raw/a.json", {"1.jpg": [(18, DOG)]}, iscrowd=1)
    values = json.loads((tmp_path / "raw/a.json").read_text())
    values["images"] += [{"id": 7, "file_name": "2.jpg"}, {"id": 8, "file_name": "3.jpg"}]
    values["annotations"] += [
        {"image_id": 7, "category_id": 18, "bbox": [8, 4, 32, 16]},
        {"image_id": 8, "category_id": 18, "bbox": ["x"]},
    ]
    image(tmp_path / "raw/3.jpg")
    text(tmp_path / "raw/a.json", json.dumps(values))
    examples = read(config, tmp_path, bad_files=0.5)
    assert len(examples.inputs) == 1
    assert kinds(examples) == {
        "a crowd in one box": ["1.jpg"],
        "no objects": ["a.json: 1.jpg"],
        "broken annotation": ["a.json: 3.jpg"],
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 0.5 0.5 0.2", "line 1: 4 numbers, where a class's and the 4 of a box were expected"),
        ("1 0.5 0.5 0.2 0.2 0.98", "6 numbers"),
        ("1 400 200 320 160", "a box of 560, where fractions of the image are meant"),
        ("5 0.5 0.5 0.2 0.2", "class 5 has no name; there are 2"),
        ("dog 0.5 0.5 0.2 0.2", "is not a row of numbers"),
        ("1 nan 0.5 0.2 0.2", "not a finite number"),
    ],
)
def test_a_line_that_is_no_box_is_told(line: str, said: str, config: boxes.Config, tmp_path: Path) -> None:
    for name in ("1", "2"):
        image(tmp_path / f"raw/images/{name}.jpg")
        text(tmp_path / f"raw/labels/{name}.txt", yolo(DOG, 1) if name == "2" else f"{line}\n")
    text(tmp_path / "raw/classes.txt", "cat\ndog\n")
    if line.startswith(("1 0.5 0.5 0.2", "dog", "1 nan")) and said.startswith(("line", "is not", "not a")):
        text(tmp_path / "raw/labels/1.txt", f"{yolo(DOG, 1)}{line}\n")
        said = said.replace("line 1", "line 2")
    with pytest.raises(UserError, match=r"1 of 2 files cannot be read(.|\n)*labels/1\.txt: " + f".*{said}"):
        read(config, tmp_path)


def test_numbers_without_names_are_refused(config: boxes.Config, tmp_path: Path) -> None:
    image(tmp_path / "raw/1.jpg")
    text(tmp_path / "raw/1.txt", yolo(DOG, 1))
    with pytest.raises(UserError, match=r"nothing names them; put data\.yaml .* into data\.voc\.source"):
        read(config, tmp_path)


def test_two_formats_at_once_are_refused_by_name(config: boxes.Config, tmp_path: Path) -> None:
    as_cvat_exports_yolo(tmp_path / "raw")
    coco(tmp_path / "raw/result.json", {"obj_train_data/1.png": [(18, DOG)]})
    with pytest.raises(UserError, match="annotations in several formats are in it: COCO, YOLO"):
        read(config, tmp_path)


def test_images_in_a_subset_beside_others_in_none_are_refused(config: boxes.Config, tmp_path: Path) -> None:
    as_roboflow_exports_voc(tmp_path / "raw")
    image(tmp_path / "raw/more/1.jpg")
    text(tmp_path / "raw/more/1.xml", xml(DOG, "dog"))
    with pytest.raises(UserError, match=r"more/1\.jpg and 0 more images are in no subset, beside train, validation"):
        read(config, tmp_path)


def test_the_stages_keep_a_published_validation_subset(committed: params.Params, tmp_path: Path) -> None:
    for subset, count in (("train", 12), ("valid", 3), ("test", 5)):
        for number in range(count):
            image(tmp_path / "own" / subset / f"{number}.jpg")
        coco(tmp_path / "own" / subset / "_annotations.coco.json", {f"{n}.jpg": [(18, DOG)] for n in range(count)})
    found = split_of("voc", with_source(committed, "voc", str(tmp_path / "own")), tmp_path)
    rows = {subset: own.tolist() for subset, own in found.rows.items()}
    assert rows == {"train": [*range(12)], "validation": [12, 13, 14], "test": [*range(15, 20)]}
