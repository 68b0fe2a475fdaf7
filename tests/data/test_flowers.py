"""Images in one folder per class become examples, wherever the folders lie, and unreadable files are told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.arrays import open_split
from components.data.download import download
from components.data.kind import Examples
from components.data.kinds import images as flowers
from components.data.preprocess import preprocess
from components.data.split import split
from components.errors import UserError
from components.params import params
from tests.conftest import MIRROR, needs_mirror, with_source

SIDE = 16
COLOURS = {"roses": (255, 0, 0), "daisy": (255, 255, 255), "violets": (0, 0, 255)}


@pytest.fixture
def config(committed: params.Params) -> flowers.Config:
    section = committed.sections["flowers"]
    assert isinstance(section, flowers.Config)
    return section.model_copy(update={"side": SIDE, "bad_files": 0.0})


def plant(top: Path, per_class: int = 3) -> Path:
    """Folders of plainly coloured images, with the other files that such folders have."""
    for name, colour in COLOURS.items():
        (top / name).mkdir(parents=True)
        for number in range(per_class):
            Image.new("RGB", (40, 30), colour).save(top / name / f"{number}.png")
    (top / "LICENSE.txt").touch()
    (top / ".DS_Store").touch()
    (top / "roses" / ".hidden.png").touch()
    (top / ".thumbnails").mkdir()
    Image.new("RGB", (4, 4)).save(top / ".thumbnails" / "0.png")
    return top


def read(config: flowers.Config, folder: Path) -> Examples:
    scratch = folder.parent / "scratch"
    scratch.mkdir()
    return flowers.read(config, folder, scratch)


@pytest.mark.parametrize("where", ["", "flower_photos", "some/where/deep"])
def test_a_class_is_a_folder_and_its_name(where: str, config: flowers.Config, tmp_path: Path) -> None:
    plant(tmp_path / "raw" / where)
    examples = read(config, tmp_path / "raw")
    assert examples.classes == ("daisy", "roses", "violets")
    assert examples.targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert examples.targets.dtype == np.int64
    assert isinstance(examples.inputs, np.memmap)
    assert examples.inputs.shape == (9, 3, SIDE, SIDE)
    assert [tuple(row[:, 0, 0].tolist()) for row in examples.inputs] == [
        COLOURS[examples.classes[number]] for number in examples.targets
    ]
    assert examples.subsets is None
    assert not examples.findings


def test_a_folder_of_another_kind_beside_the_classes_is_no_class(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw" / "flower_photos")
    (top / "notes").mkdir()
    (top / "notes" / "notes.txt").touch()
    (tmp_path / "raw" / "__MACOSX").mkdir()
    examples = read(config, tmp_path / "raw")
    assert examples.classes == ("daisy", "roses", "violets")
    assert examples.findings.summary() == {
        "folder without images": {"count": 1, "files": ["flower_photos/notes"], "kept": False}
    }


def test_a_bad_file_is_left_out_and_the_rows_move_up(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw")
    (top / "daisy" / "1.png").write_bytes(b"")
    examples = read(config.model_copy(update={"bad_files": 0.12}), tmp_path / "raw")
    assert examples.targets.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert examples.inputs[2, :, 0, 0].tolist() == list(COLOURS["roses"])
    assert examples.findings.summary() == {"empty file": {"count": 1, "files": ["daisy/1.png"], "kept": False}}


def test_more_bad_files_than_tolerated_are_one_message(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw")
    (top / "daisy" / "1.png").write_text("text")
    with pytest.raises(UserError, match=r"flowers\.bad_files: 1 of 9 files.*\n.*daisy/1\.png: not an image"):
        read(config.model_copy(update={"bad_files": 0.11}), tmp_path / "raw")


def test_a_class_with_no_readable_image_is_refused(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw", per_class=1)
    (top / "daisy" / "0.png").write_text("text")
    with pytest.raises(UserError, match=r"daisy: not one of its 1 images can be read(.|\n)*daisy/0\.png: not an image"):
        read(config.model_copy(update={"bad_files": 1.0}), tmp_path / "raw")


def test_one_class_is_too_few(config: flowers.Config, tmp_path: Path) -> None:
    (tmp_path / "raw" / "roses").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "raw" / "roses" / "0.png")
    with pytest.raises(UserError, match=r"one class alone, 'roses'"):
        read(config, tmp_path / "raw")


def test_no_images_at_all_is_one_message(config: flowers.Config, tmp_path: Path) -> None:
    (tmp_path / "raw" / "a" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match="no folders of images"):
        read(config, tmp_path / "raw")


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Test1"), ("seg_train/seg_train", "seg_test/deep")])
def test_a_published_test_subset_is_kept(names: tuple[str, str], config: flowers.Config, tmp_path: Path) -> None:
    plant(tmp_path / "raw" / "set" / names[0], per_class=5)
    plant(tmp_path / "raw" / "set" / names[1], per_class=2)
    examples = read(config, tmp_path / "raw")
    assert examples.classes == ("daisy", "roses", "violets")
    assert examples.subsets is not None
    assert examples.subsets.tolist() == [0] * 15 + [2] * 6
    assert examples.targets.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("with_test", [True, False])
@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_a_published_validation_subset_is_kept(
    name: str, with_test: bool, committed: params.Params, config: flowers.Config, tmp_path: Path
) -> None:
    plant(tmp_path / "raw" / "train", per_class=20)
    plant(tmp_path / "raw" / name, per_class=3)
    if with_test:
        plant(tmp_path / "raw" / "test", per_class=2)
    settings = replace(committed, sections={**committed.sections, "flowers": config})
    preprocess("flowers", settings, tmp_path / "raw", tmp_path / "preprocessed")
    split("flowers", settings, tmp_path / "preprocessed", tmp_path / "split")
    rows = open_split(tmp_path / "split").rows
    assert rows["validation"].tolist() == list(range(60, 69))
    assert len(rows["test"]) == (6 if with_test else 12)
    assert len(rows["train"]) == (60 if with_test else 48)


def test_a_class_of_the_training_subset_alone_is_named(
    committed: params.Params, config: flowers.Config, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        plant(tmp_path / "raw" / part, per_class=10)
    shutil.rmtree(tmp_path / "raw" / "test" / "roses")
    settings = replace(committed, sections={**committed.sections, "flowers": config})
    preprocess("flowers", settings, tmp_path / "raw", tmp_path / "preprocessed")
    with pytest.raises(UserError, match="class 'roses' has no example in the test subset, while the set has its own"):
        split("flowers", settings, tmp_path / "preprocessed", tmp_path / "split")


def flat(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8)).save(folder / f"cat.{number}.jpg")


def planted(*folders: str) -> Callable[[Path], None]:
    def make(raw: Path) -> None:
        for folder in folders:
            plant(raw / folder)

    return make


def split_without_classes(raw: Path) -> None:
    plant(raw / "train")
    flat(raw / "test")


def emptied_class(raw: Path) -> None:
    plant(raw)
    shutil.rmtree(raw / "roses")
    (raw / "roses").mkdir()


def another_format(raw: Path) -> None:
    plant(raw)
    for file in (raw / "roses").iterdir():
        file.with_suffix(".HEIC").write_bytes(b"\0\0\0\x18ftypheic")
        file.unlink()


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "parts without classes": (
        lambda raw: flat(raw / "train", raw / "test1"),
        "train: images without folders of classes; test1, train are names of splits, and of no class",
    ),
    "a test subset without classes": (split_without_classes, "test: images without folders of classes"),
    "a part beside a class": (
        lambda raw: flat(raw / "train", raw / "roses"),
        "train is the name of a split, and of no class, beside roses",
    ),
    "splits beside one that is not labelled": (
        planted("seg_train/seg_train", "seg_test/seg_test", "seg_pred"),
        "seg_test, seg_train are names of splits, and of no class, beside seg_pred",
    ),
    "two parts of one kind": (planted("train", "train2", "val"), "train, train2 are all of one split"),
    "no training subset": (planted("val", "test"), "have no training subset among them"),
    "two sets": (
        planted("2019", "2020"),
        r"several folders hold folders of images of one name \(daisy, roses, violets\): 2019, 2020",
    ),
    "an emptied class": (emptied_class, "the folder roses is empty"),
    "a class of another format": (
        another_format,
        r"roses: not one of its 3 images can be read(.|\n)*roses/0\.HEIC: not an image of a known format",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_is_not_understood_is_refused_by_what_is_there(
    name: str, config: flowers.Config, tmp_path: Path
) -> None:
    make, said = REFUSED[name]
    make(tmp_path / "raw")
    with pytest.raises(UserError, match=said):
        read(config, tmp_path / "raw")


def test_classes_whose_names_hold_a_word_of_splits_are_classes(config: flowers.Config, tmp_path: Path) -> None:
    for name in ("steam_train", "electric_train"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "raw" / name / "0.png")
    assert read(config, tmp_path / "raw").classes == ("electric_train", "steam_train")


def test_a_part_with_but_one_class_of_folders_keeps_that_class(config: flowers.Config, tmp_path: Path) -> None:
    plant(tmp_path / "raw" / "train")
    for batch in ("a", "b"):
        (tmp_path / "raw" / "test" / "roses" / batch).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "raw" / "test" / "roses" / batch / "0.png")
    examples = read(config, tmp_path / "raw")
    assert examples.targets[examples.subsets == 2].tolist() == [1, 1]


def test_what_lies_above_the_classes_is_told(config: flowers.Config, tmp_path: Path) -> None:
    plant(tmp_path / "raw" / "photos" / "flowers")
    Image.new("RGB", (8, 8)).save(tmp_path / "raw" / "photos" / "x.png")
    (tmp_path / "raw" / "notes").mkdir()
    found = read(config, tmp_path / "raw").findings.summary()
    assert {kind: own["files"] for kind, own in found.items()} == {
        "folder without images": ["notes"],
        "image outside the classes' folders": ["photos/x.png"],
    }


def test_an_emptied_class_is_noticed_though_dvcs_cache_brings_no_empty_folder(
    committed: params.Params, tmp_path: Path
) -> None:
    top = plant(tmp_path / "own", per_class=20)
    shutil.rmtree(top / "roses")
    (top / "roses").mkdir()
    settings = with_source(committed, "flowers", str(top))
    download("flowers", settings, tmp_path / "raw")
    (tmp_path / "raw" / "roses").rmdir()
    with pytest.raises(UserError, match="the folder roses is empty"):
        preprocess("flowers", settings, tmp_path / "raw", tmp_path / "preprocessed")


def test_images_in_folders_below_and_without_endings_are_of_their_class(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw")
    for place in ("second day", "a/b"):
        (top / "daisy" / place).mkdir(parents=True)
    (top / "daisy" / "1.png").rename(top / "daisy" / "second day" / "1")
    (top / "daisy" / "2.png").rename(top / "daisy" / "a/b" / "2.bak")
    (top / "daisy" / "notes.txt").write_text("text")
    Image.new("RGB", (8, 8)).save(top / "loose.png")
    examples = read(config, tmp_path / "raw")
    assert examples.targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert examples.findings.summary() == {
        "image outside the classes' folders": {"count": 1, "files": ["loose.png"], "kept": False},
        "not an image": {"count": 1, "files": ["daisy/notes.txt"], "kept": False},
    }


def test_a_users_own_folder_goes_through_both_stages(committed: params.Params, tmp_path: Path) -> None:
    top = plant(tmp_path / "own", per_class=100)
    (top / "roses" / "7.png").write_bytes((top / "roses" / "7.png").read_bytes()[:60])
    settings = with_source(committed, "flowers", str(top))
    download("flowers", settings, tmp_path / "raw")
    preprocess("flowers", settings, tmp_path / "raw", tmp_path / "preprocessed")
    split("flowers", settings, tmp_path / "preprocessed", tmp_path / "split")
    opened = open_split(tmp_path / "split")
    assert {part: len(rows) for part, rows in opened.rows.items()} == {"train": 191, "validation": 48, "test": 60}
    summary = json.loads((tmp_path / "split" / "split.json").read_text())
    assert summary["findings"] == {"broken image": {"count": 1, "files": ["roses/7.png"], "kept": False}}
    assert not (tmp_path / "split" / "scratch").exists()


def test_a_failed_split_leaves_what_was_there_and_no_scratch(committed: params.Params, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "kept").touch()
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError):
        split("flowers", committed, tmp_path / "raw", tmp_path / "split")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "raw", "split"]


@needs_mirror
def test_the_mirrors_flowers_are_5_by_80_and_without_fault(committed: params.Params, tmp_path: Path) -> None:
    settings = with_source(committed, "flowers", str(MIRROR / "flower_photos.tgz"))
    download("flowers", settings, tmp_path / "raw")
    preprocess("flowers", settings, tmp_path / "raw", tmp_path / "preprocessed")
    split("flowers", settings, tmp_path / "preprocessed", tmp_path / "split")
    opened = open_split(tmp_path / "split")
    assert opened.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert opened.spec.input_shape == (3, 180, 180)
    assert np.bincount(opened.arrays["targets"]).tolist() == [80] * 5
    assert np.bincount(opened.arrays["targets"][opened.rows["test"]]).tolist() == [16] * 5
    assert "findings" not in json.loads((tmp_path / "split" / "split.json").read_text())


@pytest.mark.slow
def test_synthetic_flowers_are_5_by_80_and_without_fault(committed: params.Params, tmp_path: Path) -> None:
    settings = with_source(committed, "flowers", "synthetic")
    download("flowers", settings, tmp_path / "one")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    examples = flowers.read(settings.sections["flowers"], tmp_path / "one", scratch)  # type: ignore[arg-type]
    assert np.bincount(examples.targets).tolist() == [80] * 5
    assert not examples.findings
