"""Pascal VOC's layout becomes images with boxes, and every oddity of real annotations is counted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from components.data.arrays import SUBSETS, Split, Subset
from components.data.formats.voc_xml import parse
from components.data.kind import Examples, SplitConfig
from components.data.kinds import boxes as voc
from components.data.split import split_rows
from components.errors import AnnotationError, UserError
from components.params import params
from tests.conftest import MIRROR, needs_mirror, split_of, with_source
from tests.data.test_images import STORED

SIDE = 32
WIDTH, HEIGHT = 64, 32
BOX = (1, 1, 16, 8)  # (xmin, ymin, xmax, ymax): the left quarter of the top quarter
SHARES = [0.0, 0.0, 0.25, 0.25]  # (left, top, right, bottom)
RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def config(committed: params.Params) -> voc.Config:
    section = committed.sections["voc"]
    assert isinstance(section, voc.Config)
    return section.model_copy(update={"side": SIDE, "bad_files": 0.0})


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """An empty folder in VOC's layout, inside the raw folder."""
    return layout(tmp_path / "raw" / "VOCdevkit" / "VOC2007")


def layout(top: Path) -> Path:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (top / name).mkdir(parents=True)
    return top


def thing(name: str = "dog", box: Iterable[object] = BOX, more: str = "") -> str:
    """An <object>."""
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def xml(*objects: str, size: tuple[int, int] | None = (WIDTH, HEIGHT)) -> str:
    said = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation>{said}{''.join(objects)}</annotation>"


def add(top: Path, name: str, text: str | None = None) -> None:
    """An image with a red box in the left quarter of its top quarter, and its annotation (one dog there)."""
    image = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    image.paste(RED, (0, 0, 16, 8))
    image.save(top / "JPEGImages" / f"{name}.jpg", quality=95)
    (top / "Annotations" / f"{name}.xml").write_text(xml(thing()) if text is None else text)


def read(config: voc.Config, top: Path, **changes: Any) -> Examples:
    folder = next(path for path in (top, *top.parents) if path.name == "raw")
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return voc.read(config.model_copy(update=changes), folder, scratch)


def kinds(examples: Examples) -> dict[str, tuple[int, list[str], bool]]:
    summary = examples.findings.summary()
    return {kind: (found["count"], found["files"], found["kept"]) for kind, found in summary.items()}


def test_boxes_are_fractions_of_the_image_from_pixels_counted_from_1(config: voc.Config, top: Path) -> None:
    add(top, "a", xml(thing(), thing("cat", (1, 1, WIDTH, HEIGHT)), thing("dog", (2.5, 9.0, 64, 16))))
    add(top, "b")
    examples = read(config, top)
    assert examples.classes == ("cat", "dog")
    assert examples.targets.tolist() == [1, 1]
    assert examples.extra["labels"].tolist() == [[1, 0, 1], [1, -1, -1]]
    assert examples.extra["labels"].dtype == np.int64
    assert examples.extra["boxes"].dtype == np.float32
    assert examples.extra["boxes"][0].tolist() == [SHARES, [0, 0, 1, 1], [1.5 / 64, 0.25, 1, 0.5]]
    assert examples.extra["boxes"][1].tolist() == [SHARES, [0] * 4, [0] * 4]
    assert isinstance(examples.inputs, np.memmap)
    assert examples.inputs.shape == (2, 3, SIDE, SIDE)
    assert examples.rare_classes_ok
    assert not examples.findings


def test_the_largest_object_comes_first_where_that_is_asked(config: voc.Config, top: Path) -> None:
    small, large, same = thing(), thing("cat", (1, 1, WIDTH, HEIGHT)), thing("bird", (17, 1, 32, 8))
    add(top, "a", xml(small, same, large))
    add(top, "b", xml(same))
    found = read(config, top, first="largest")
    assert found.classes == ("bird", "cat", "dog")
    assert found.extra["labels"].tolist() == [[1, 2, 0], [0, -1, -1]]  # of two as large the one listed first
    assert found.targets.tolist() == [1, 0]
    assert found.extra["boxes"][0, :2].tolist() == [[0, 0, 1, 1], SHARES]
    assert read(config, top).extra["labels"].tolist() == [[2, 0, 1], [0, -1, -1]]


def test_parts_of_objects_are_no_objects(config: voc.Config, top: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    add(top, "a", xml(thing("person", BOX, more=part)))
    examples = read(config, top)
    assert examples.classes == ("person",)
    assert examples.extra["boxes"].tolist() == [[SHARES]]


def test_the_boxes_are_where_the_pixels_are_for_every_turn(config: voc.Config, top: Path) -> None:
    for orientation, undo in STORED.items():
        name = f"{orientation}"
        add(top, name)
        upright = Image.open(top / "JPEGImages" / f"{name}.jpg").copy()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        upright.transpose(undo).save(top / "JPEGImages" / f"{name}.jpg", exif=exif, quality=95)
    examples = read(config, top)
    assert len(examples.inputs) == 7
    for image, boxes in zip(examples.inputs, examples.extra["boxes"], strict=True):
        assert_red_inside(image, boxes[0])


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_of_the_stored_image_turn_with_it(orientation: int, config: voc.Config, top: Path) -> None:
    stored = Image.new("RGB", (HEIGHT, WIDTH), WHITE)
    stored.paste(RED, (4, 10, 12, 30))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    add(top, "a", xml(thing("dog", (5, 11, 12, 30)), size=(HEIGHT, WIDTH)))
    stored.save(top / "JPEGImages" / "a.jpg", exif=exif, quality=95)
    examples = read(config, top)
    assert_red_inside(examples.inputs[0], examples.extra["boxes"][0, 0])
    assert kinds(examples)["boxes of the image before its turn"] == (1, ["a.xml"], True)
    assert "size disagrees" not in kinds(examples)


def assert_red_inside(image: np.ndarray, box: np.ndarray) -> None:
    """The red pixels of a (3, SIDE, SIDE) image fill the box, to within a pixel, and nothing else."""
    rows, columns = np.nonzero(image[1] < 128)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert np.abs(np.array(found) - box * SIDE).max() <= 1


def test_boxes_of_an_image_that_was_scaled_since_are_scaled_with_it(config: voc.Config, top: Path) -> None:
    for number, factor in enumerate((2, 10, 0.5)):
        box = (1, 1, 16 * factor, 8 * factor)
        add(top, f"{number}", xml(thing("dog", box), size=(int(WIDTH * factor), int(HEIGHT * factor))))
    examples = read(config, top)
    assert examples.extra["boxes"].tolist() == [[SHARES]] * 3
    names = ["0.xml", "1.xml", "2.xml"]
    assert kinds(examples) == {"boxes of the image before it was scaled": (3, names, True)}


def test_boxes_of_an_image_of_another_shape_mean_nothing_and_are_told(config: voc.Config, top: Path) -> None:
    add(top, "a", xml(thing(), size=(500, 375)))
    add(top, "b", xml(thing(), size=(HEIGHT, WIDTH)))  # nothing turns this one
    add(top, "c", xml(thing(), size=None))
    add(top, "d", xml(thing(), size=(0, 0)))  # as some programs write that do not know it
    with pytest.raises(UserError, match=r"a\.xml: it states an image of 500 x 375 pixels, and the image has 64 x 32"):
        read(config, top)
    examples = read(config, top, bad_files=0.5)
    assert examples.extra["boxes"].tolist() == [[SHARES]] * 2
    assert kinds(examples) == {"size disagrees": (2, ["a.xml", "b.xml"], False)}


def test_boxes_beyond_the_image_are_clipped_and_those_without_area_left_out(config: voc.Config, top: Path) -> None:
    beyond, outside = (0, -5, 80, 16), (70, 5, 90, 9)
    line, swapped = (10, 5, 9, 20), (20, 5, 10, 20)
    add(top, "a", xml(*(thing("dog", box) for box in (beyond, outside, line, swapped, BOX))))
    examples = read(config, top)
    assert examples.extra["boxes"].tolist() == [[[0, 0, 1, 0.5], SHARES]]
    assert kinds(examples) == {
        "box beyond the image": (1, ["a.xml"], True),
        "box without area": (3, ["a.xml"], False),
    }


def test_an_image_with_no_object_left_is_skipped(config: voc.Config, top: Path) -> None:
    add(top, "a", xml())
    add(top, "b")
    add(top, "c", xml(thing("dog", (10, 5, 9, 20))))
    examples = read(config, top)
    assert len(examples.inputs) == 1
    assert kinds(examples)["no objects"] == (2, ["a.xml", "c.xml"], False)


def test_only_the_listed_classes_count_and_in_that_order(config: voc.Config, top: Path) -> None:
    add(top, "a", xml(thing("cat"), thing("dog"), thing("zebra")))
    add(top, "b", xml(thing("cat")))
    examples = read(config, top, classes=("zebra", "dog", "emu"))
    assert examples.classes == ("zebra", "dog", "emu")
    assert examples.extra["labels"].tolist() == [[1, 0]]
    assert kinds(examples)["unknown class"] == (2, ["a.xml", "b.xml"], False)


def test_a_class_listed_twice_is_refused(tmp_path: Path, committed: params.Params) -> None:
    section = committed.sections["voc"].model_dump() | {"classes": ["dog", "dog"]}
    with pytest.raises(ValueError, match="a class is named twice"):
        voc.Config.model_validate(section, strict=False)


def test_difficult_objects_count_only_if_wanted(config: voc.Config, top: Path) -> None:
    add(top, "a", xml(thing("cat", BOX, "<difficult>1</difficult>"), thing("dog", BOX, "<difficult>0</difficult>")))
    assert read(config, top, difficult=True).classes == ("cat", "dog")
    examples = read(config, top, difficult=False)
    assert examples.classes == ("dog",)
    assert kinds(examples) == {"difficult object": (1, ["a.xml"], False)}


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>' + xml(thing("&b;"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB.encode(), "document type or entities, which are refused"),
        (BOMB.encode("utf-16"), "document type or entities, which are refused"),
        (b"<annotation><object>", "not well-formed"),
        (b"", "not well-formed"),
        (xml(thing("dog", ("a few", 1, 2, 2))).encode(), "the dog's xmin is 'a few', not a number"),
        (xml(thing("dog", (1, 1, "nan", 2))).encode(), "the dog's xmax is 'nan'"),
        (xml("<object><name>dog</name></object>").encode(), "the dog has no bndbox"),
        (xml(thing(" ")).encode(), "an object has no name"),
    ],
    ids=["entities", "entities-utf16", "cut", "empty", "word", "nan", "no box", "no name"],
)
def test_a_bad_annotation_is_skipped_and_counted(content: bytes, reason: str, config: voc.Config, top: Path) -> None:
    add(top, "a")
    add(top, "b")
    (top / "Annotations" / "b.xml").write_bytes(content)
    with pytest.raises(AnnotationError, match=reason):
        parse(top / "Annotations" / "b.xml")
    examples = read(config, top, bad_files=0.5)
    assert len(examples.inputs) == 1
    assert kinds(examples) == {"broken annotation": (1, ["b.xml"], False)}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        *(("gb2312", name) for name in ("GB2312", "gbk", "GB18030")),
        ("gbk", "gb2312"),
        ("utf-16", "utf-16"),
        ("utf-16", None),
        ("big5", "Big5"),
        ("shift-jis", "Shift_JIS"),
        ("utf-8", "UTF-8"),
    ],
)
def test_class_names_are_those_that_the_declared_encoding_means(encoding: str, declared: str | None, top: Path) -> None:
    add(top, "a")
    name = "犬" if encoding == "shift-jis" else "行人"
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    (top / "Annotations" / "a.xml").write_bytes((head + xml(thing(name))).encode(encoding))
    assert parse(top / "Annotations" / "a.xml").objects[0].name == name


@pytest.mark.parametrize(("declared", "said"), [("klingon", "which is not known"), ("gb2312", "it is not in")])
def test_an_encoding_that_is_not_there_is_told(declared: str, said: str, top: Path) -> None:
    file = top / "Annotations" / "a.xml"
    file.write_bytes(f'<?xml version="1.0" encoding="{declared}"?>'.encode() + xml(thing("\xff")).encode("latin-1"))
    with pytest.raises(AnnotationError, match=said):
        parse(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_names_beyond_ascii_are_read(encoding: str, top: Path) -> None:
    add(top, "a")
    (top / "Annotations" / "a.xml").write_text(xml(thing("écureuil")), encoding=encoding)
    assert parse(top / "Annotations" / "a.xml").objects[0].name == "écureuil"


def test_bad_images_and_bad_annotations_together_exceed_the_threshold(config: voc.Config, top: Path) -> None:
    for name in "abcdefghij":
        add(top, name)
    (top / "JPEGImages" / "b.jpg").write_bytes((top / "JPEGImages" / "b.jpg").read_bytes()[:300])
    (top / "Annotations" / "c.xml").write_text("<annotation>")
    assert len(read(config, top, bad_files=0.2).inputs) == 8
    with pytest.raises(UserError, match=r"voc\.bad_files: 2 of 10 files.*\n.*b\.jpg: .*\n.*c\.xml: not well-formed"):
        read(config, top, bad_files=0.19)


def test_what_lacks_its_other_half_is_counted_and_skipped(config: voc.Config, top: Path) -> None:
    for name in "abc":
        add(top, name)
    (top / "JPEGImages" / "a.jpg").unlink()
    (top / "Annotations" / "b.xml").unlink()
    examples = read(config, top)
    assert len(examples.inputs) == 1
    assert kinds(examples) == {"no image": (1, ["a.xml"], False), "no annotation": (1, ["b"], False)}


def published(examples: Examples) -> list[int] | None:
    """The number of each image's subset."""
    return None if examples.subsets is None else list(examples.subsets.tolist())


def listed(top: Path, **parts: str) -> None:
    for part, names in parts.items():
        (top / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names) + "\n")


@pytest.mark.parametrize(
    ("parts", "expected", "subsets"),
    [
        ({}, "abcdef", None),
        ({"trainval": "fb"}, "bf", None),
        ({"train": "fb"}, "bf", None),
        ({"val": "fb"}, "bf", None),
        ({"train": "fb", "val": "ac"}, "bfac", [0, 0, 1, 1]),
        ({"train": "fb", "val": "ac", "test": "d"}, "bfacd", [0, 0, 1, 1, 2]),
        ({"train": "f", "val": "c", "trainval": "e"}, "e", None),
        ({"test": "ca"}, "bdefac", [0, 0, 0, 0, 2, 2]),
        ({"test": "ca", "trainval": "fba"}, "bfac", [0, 0, 2, 2]),
        ({"test": "xy", "trainval": "ab"}, "ab", None),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_the_lists_say_what_belongs_where(
    parts: dict[str, str], expected: str, subsets: list[int] | None, config: voc.Config, top: Path
) -> None:
    for number, name in enumerate("abcdef"):
        add(top, name, xml(thing(name, (1, 1, number + 2, 9))))
    listed(top, **parts)
    examples = read(config, top)
    assert "".join(examples.classes[number] for number in examples.targets) == expected
    assert published(examples) == subsets


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "{}.jpg",
        "./VOC/JPEGImages/{}.jpg",
        "VOC/JPEGImages/{}.jpg VOC/Annotations/{}.xml",
        "{} -1",
        ".\\a\\{}.JPG",
    ],
)
@pytest.mark.parametrize("name", ["000001", "screen shot 2021-03-01 16.42.00", "a.b"])
def test_a_list_names_images_as_programs_write_them(line: str, name: str, config: voc.Config, top: Path) -> None:
    if " " in name and ("-1" in line or "xml" in line):
        pytest.skip("which of the spaces is in the name cannot be told")
    for own in (name, "other"):
        add(top, own)
    listed(top, trainval=line.format(name, name).split("\n"))  # type: ignore[arg-type]
    examples = read(config, top)
    assert len(examples.inputs) == 1
    assert kinds(examples) == {"in no list": (1, ["other"], False)}


def test_what_a_list_names_and_is_not_there_is_said_of_the_list(config: voc.Config, top: Path) -> None:
    add(top, "a")
    listed(top, trainval="ax")
    told = {"listed, but not there": (1, ["ImageSets/Main/trainval.txt: x"], False)}
    assert kinds(read(config, top)) == told


def test_a_name_in_a_folder_is_not_another_folders(config: voc.Config, top: Path) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (top / kind / "2007").mkdir()
    for name in ("2007/1", "2007/2"):
        add(top, name)
    (top / "ImageSets/Main/trainval.txt").write_text("2007/1\n2007/2\n")
    (top / "ImageSets/Main/test.txt").write_text("2008/1\n")
    examples = read(config, top)
    assert published(examples) is None
    assert kinds(examples) == {"listed, but not there": (1, ["ImageSets/Main/test.txt: 2008/1"], False)}


def test_folders_named_after_parts_keep_the_published_split(config: voc.Config, tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        for number in range(count):
            add(layout(tmp_path / "raw" / part) if not number else tmp_path / "raw" / part, f"{part}{number}")
        (tmp_path / "raw" / part / "ImageSets/Main").rmdir()
        (tmp_path / "raw" / part / "ImageSets").rmdir()
    examples = read(config, tmp_path / "raw" / "train")
    assert published(examples) == [0, 0, 0, 1, 2, 2]
    (tmp_path / "raw" / "train").rename(tmp_path / "raw" / "more")
    with pytest.raises(UserError, match="test is for testing by its name, and more speaks of no subset"):
        read(config, tmp_path / "raw" / "test")


def test_annotations_lie_in_folders_below_as_their_images_do(config: voc.Config, top: Path) -> None:
    for folder in ("one", "two"):
        for kind in ("JPEGImages", "Annotations"):
            (top / kind / folder).mkdir()
        add(top, f"{folder}/a", xml(thing(folder)))
        (top / "Annotations" / folder / "a.xml").rename(top / "Annotations" / folder / "a.XML")
    examples = read(config, top)
    assert examples.classes == ("one", "two")
    assert not examples.findings


def test_an_image_without_an_ending_and_what_is_none(config: voc.Config, top: Path) -> None:
    add(top, "a")
    (top / "JPEGImages" / "a.jpg").rename(top / "JPEGImages" / "a")
    (top / "JPEGImages" / "readme.md").write_text("text")
    examples = read(config, top)
    assert len(examples.inputs) == 1
    assert kinds(examples) == {"not an image": (1, ["readme.md"], False)}


def test_a_test_subset_alone_is_refused(config: voc.Config, top: Path) -> None:
    add(top, "a")
    listed(top, test="a")
    with pytest.raises(UserError, match="no image outside the published test subset"):
        read(config, top)


def test_nothing_that_is_wanted_is_one_message(config: voc.Config, top: Path) -> None:
    add(top, "a")
    with pytest.raises(UserError, match=r"look at data\.voc\.classes(.|\n)*1 x unknown class"):
        read(config, top, classes=("emu",))


def test_a_folder_of_another_layout_is_one_message(config: voc.Config, tmp_path: Path) -> None:
    (tmp_path / "raw" / "Annotations").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no folder with Annotations/\*\.xml and JPEGImages/ .* files is in it"):
        read(config, tmp_path / "raw")


def test_both_folders_at_the_top_will_do_and_any_kind_of_image(config: voc.Config, tmp_path: Path) -> None:
    top = layout(tmp_path / "raw")
    add(top, "a")
    Image.open(top / "JPEGImages" / "a.jpg").save(top / "JPEGImages" / "b.PNG")
    (top / "Annotations" / "b.xml").write_text(xml(thing("cat")))
    (top / "Annotations" / "._b.xml").write_text("left by another system")
    examples = read(config, top)
    assert examples.classes == ("cat", "dog")
    assert not examples.findings


def test_several_years_are_read_together_and_told_apart(config: voc.Config, top: Path) -> None:
    later = layout(top.with_name("VOC2012"))
    add(top, "a")
    add(top, "b", xml(thing("cat")))
    listed(top, test="b")
    add(later, "a", xml(thing("emu")))
    Image.new("L", (WIDTH, HEIGHT)).save(later / "JPEGImages" / "a.jpg")
    examples = read(config, top)
    assert [examples.classes[number] for number in examples.targets] == ["dog", "emu", "cat"]
    assert published(examples) == [0, 0, 2]
    assert kinds(examples) == {"greyscale": (1, ["VOCdevkit/VOC2012/a.jpg"], True)}


@pytest.mark.parametrize("own", [None, np.repeat([0, 2], [60, 16])], ids=["none", "published"])
def test_classes_too_rare_to_share_are_drawn_as_one(own: np.ndarray | None) -> None:
    targets = np.array([0] * 50 + [1] * 20 + [2, 3, 4, 5, 5, 6])
    config = SplitConfig(method="stratified", validation=0.2, test=0.2, seed=42)
    rows = split_rows(targets, own, config, "voc.split", rare_classes_ok=True)
    assert sorted(np.concatenate([rows[part] for part in SUBSETS])) == list(range(len(targets)))
    with pytest.raises(UserError):
        split_rows(targets, own, config, "voc.split")


@pytest.mark.parametrize("counts", [[1] * 7, [5, 1], [3, 3, 1], [1, 30], [2, 2, 2, 2]], ids=str)
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
def test_any_mix_of_rare_classes_can_be_split(counts: list[int], fraction: float) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    config = SplitConfig(method="stratified", validation=fraction, test=fraction, seed=0)
    part: Subset
    try:
        rows = split_rows(targets, None, config, "voc.split", rare_classes_ok=True)
    except UserError as error:
        assert fraction >= 0.5 and len(targets) * (1 - fraction) ** 2 < 1, error
        return
    for part in SUBSETS:
        assert len(rows[part]) > 0


def opened(committed: params.Params, source: str, tmp_path: Path) -> Split:
    settings = with_source(committed, "voc", source)
    return split_of("voc", settings, tmp_path)


@needs_mirror
def test_the_mirrors_subset_is_400_images_of_20_classes(committed: params.Params, tmp_path: Path) -> None:
    found = opened(committed, str(MIRROR / "VOC2007_subset.tar"), tmp_path)
    assert len(found.classes) == 20
    assert found.arrays["inputs"].shape == (400, 3, 300, 300)
    assert {part: len(rows) for part, rows in found.rows.items()} == {"train": 256, "validation": 64, "test": 80}
    assert found.rows["test"].tolist() == list(range(320, 400))
    # 000001.jpg, 353 x 500: a dog at (48, 240, 195, 371), then a person at (8, 12, 352, 498).
    assert [found.classes[number] for number in found.arrays["labels"][0][:2]] == ["dog", "person"]
    assert np.allclose(found.arrays["boxes"][0, 0], [47 / 353, 239 / 500, 195 / 353, 371 / 500])
    boxes = found.arrays["boxes"][found.arrays["labels"] >= 0]
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert json.loads((tmp_path / "raw" / "source.json").read_text())["files"] == 804


@pytest.mark.slow
def test_synthetic_scenes_are_960_and_120_without_fault(committed: params.Params, tmp_path: Path) -> None:
    found = opened(committed, "synthetic", tmp_path)
    assert {part: len(rows) for part, rows in found.rows.items()} == {"train": 768, "validation": 192, "test": 120}
    assert "findings" not in json.loads((tmp_path / "split" / "split.json").read_text())
