"""Pictures in one folder per class become examples, wherever the folders lie, and unreadable files are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components import params
from components.data.dataset import Examples
from components.data.download import download
from components.data.loaders import open_split
from components.data.split import split
from components.datasets import flowers
from components.params import UserError
from tests.conftest import MIRROR, needs_mirror, with_source

SIDE = 16
COLOURS = {"roses": (255, 0, 0), "daisy": (255, 255, 255), "violets": (0, 0, 255)}


@pytest.fixture
def config(committed: params.Params) -> flowers.Config:
    section = committed.sections["flowers"]
    assert isinstance(section, flowers.Config)
    return section.model_copy(update={"side": SIDE, "bad_files": 0.0})


def plant(top: Path, per_class: int = 3) -> Path:
    """Folders of plainly coloured pictures, with the other files that such folders have."""
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
    assert examples.test_from is None
    assert not examples.findings


def test_a_folder_of_another_kind_beside_the_classes_is_no_class(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw" / "flower_photos")
    (top / "notes").mkdir()
    (top / "notes" / "notes.txt").touch()
    (tmp_path / "raw" / "__MACOSX").mkdir()
    assert read(config, tmp_path / "raw").classes == ("daisy", "roses", "violets")


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


def test_a_class_with_no_readable_picture_is_refused(config: flowers.Config, tmp_path: Path) -> None:
    top = plant(tmp_path / "raw", per_class=1)
    (top / "daisy" / "0.png").write_text("text")
    with pytest.raises(UserError, match="daisy: not one picture"):
        read(config.model_copy(update={"bad_files": 1.0}), tmp_path / "raw")


def test_one_class_is_too_few(config: flowers.Config, tmp_path: Path) -> None:
    (tmp_path / "raw" / "roses").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "raw" / "roses" / "0.png")
    with pytest.raises(UserError, match=r"one class alone, 'roses'"):
        read(config, tmp_path / "raw")


def test_no_pictures_at_all_is_one_message(config: flowers.Config, tmp_path: Path) -> None:
    (tmp_path / "raw" / "a" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match="no folders of pictures"):
        read(config, tmp_path / "raw")


def test_two_sets_of_class_folders_are_not_guessed_between(config: flowers.Config, tmp_path: Path) -> None:
    for part in ("train", "test"):
        plant(tmp_path / "raw" / part)
    with pytest.raises(UserError, match=r"test, train; point flowers\.source at one"):
        read(config, tmp_path / "raw")


def test_a_users_own_folder_goes_through_both_stages(committed: params.Params, tmp_path: Path) -> None:
    top = plant(tmp_path / "own", per_class=100)
    (top / "roses" / "7.png").write_bytes((top / "roses" / "7.png").read_bytes()[:60])
    settings = with_source(committed, "flowers", str(top))
    download("flowers", settings, tmp_path / "raw")
    split("flowers", settings, tmp_path / "raw", tmp_path / "split")
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
    split("flowers", settings, tmp_path / "raw", tmp_path / "split")
    opened = open_split(tmp_path / "split")
    assert opened.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert opened.spec.input_shape == (3, 180, 180)
    assert np.bincount(opened.arrays["targets"]).tolist() == [80] * 5
    assert np.bincount(opened.arrays["targets"][opened.rows["test"]]).tolist() == [16] * 5
    assert "findings" not in json.loads((tmp_path / "split" / "split.json").read_text())


@pytest.mark.slow
def test_made_flowers_are_5_by_80_and_without_fault(committed: params.Params, tmp_path: Path) -> None:
    settings = with_source(committed, "flowers", "made")
    download("flowers", settings, tmp_path / "one")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    examples = flowers.read(settings.sections["flowers"], tmp_path / "one", scratch)  # type: ignore[arg-type]
    assert np.bincount(examples.targets).tolist() == [80] * 5
    assert not examples.findings
