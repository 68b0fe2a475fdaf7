"""Images whose classes stand in a table, as competitions and labelling tools publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from components.data.kind import Examples
from components.data.kinds import images
from components.errors import UserError
from components.params import params
from tests.conftest import split_of, with_source

CLASSES = ("hen", "owl")


@pytest.fixture
def config(committed: params.Params) -> images.Config:
    section = committed.sections["flowers"]
    assert isinstance(section, images.Config)
    return section.model_copy(update={"side": 8, "bad_files": 0.0})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Images 0.jpg to 7.jpg in a folder of their own, the even ones red."""
    folder = tmp_path / "raw"
    for number in range(8):
        image(folder / f"photos/{number}.jpg", "red" if number % 2 == 0 else "blue")
    return folder


def image(file: Path, colour: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 9), colour).save(file, quality=95)


def table(file: Path, form: str = "{}.jpg", numbers: range = range(8), **columns: list[Any]) -> None:
    rows = {"file": [form.format(n) for n in numbers], "label": [CLASSES[n % 2] for n in numbers]}
    pd.DataFrame({**rows, **columns}).to_csv(file, index=False)


def read(config: images.Config, raw: Path, **changes: Any) -> Examples:
    (raw.parent / "scratch").mkdir(exist_ok=True)
    return images.read(config.model_copy(update=changes), raw, raw.parent / "scratch")


def kinds(examples: Examples) -> dict[str, list[str]]:
    return {kind: found["files"] for kind, found in examples.findings.summary().items()}


@pytest.mark.parametrize("form", ["{}.jpg", "photos/{}.jpg", "{}", "C:\\upload\\{}.jpg"])
def test_a_table_names_images_as_people_write_them(form: str, config: images.Config, raw: Path) -> None:
    table(raw / "labels.csv", form)
    examples = read(config, raw)
    assert examples.classes == CLASSES
    assert examples.targets.tolist() == [0, 1] * 4
    assert [bool(row[0].mean() > 200) for row in examples.inputs] == [True, False] * 4
    assert examples.subsets is None
    assert not examples.findings


def test_what_fits_no_row_and_no_file_is_counted(config: images.Config, raw: Path) -> None:
    table(raw / "labels.csv")
    with (raw / "labels.csv").open("a") as opened:
        opened.write("gone.jpg,hen\n0.jpg,hen\n0.jpg,owl\n1.jpg,\n")
    image(raw / "photos/more.jpg", "red")
    examples = read(config, raw)
    assert len(examples.inputs) == 8
    assert kinds(examples) == {
        "in no table": ["photos/more.jpg"],
        "listed again": ["labels.csv row 10"],
        "listed again with another class": ["labels.csv row 11"],
        "listed, but not there": ["labels.csv row 9: gone.jpg"],
        "no class": ["labels.csv row 12"],
    }


def test_a_split_column_is_kept(config: images.Config, raw: Path) -> None:
    table(raw / "labels.csv", split=["train"] * 4 + ["valid"] * 2 + ["test"] * 2)
    examples = read(config, raw)
    assert examples.subsets is not None
    assert examples.subsets.tolist() == [0] * 4 + [1] * 2 + [2] * 2


def test_tables_named_after_subsets_keep_the_split(config: images.Config, raw: Path) -> None:
    table(raw / "train.csv", numbers=range(6))
    table(raw / "test.csv", numbers=range(6, 8))
    examples = read(config, raw)
    assert examples.subsets is not None
    assert examples.subsets.tolist() == [0] * 6 + [2] * 2


def test_folders_of_subsets_without_classes_are_read_by_a_table(config: images.Config, raw: Path) -> None:
    (raw / "photos").rename(raw / "train")
    image(raw / "test/100.jpg", "red")
    table(raw / "train.csv", "{}")
    examples = read(config, raw)
    assert examples.targets.tolist() == [0, 1] * 4
    assert kinds(examples) == {"in no table": ["test/100.jpg"]}


def test_folders_of_classes_come_before_a_table_unless_it_is_named(config: images.Config, raw: Path) -> None:
    image(raw / "drawn/a.jpg", "red")
    table(raw / "labels.csv")
    assert read(config, raw).classes == ("drawn", "photos")
    assert read(config, raw, table="labels.csv").classes == CLASSES
    with pytest.raises(UserError, match=r"data\.flowers\.table: no table 'other\.csv' is in .*; there is: labels\.csv"):
        read(config, raw, table="other.csv")


def test_a_table_with_other_columns_is_one_message(config: images.Config, raw: Path) -> None:
    pd.DataFrame({"image_id": ["0"], "species": ["hen"]}).to_csv(raw / "labels.csv", index=False)
    said = r"data\.flowers\.file_column: labels\.csv has no column 'file'; its columns: image_id, species"
    with pytest.raises(UserError, match=said):
        read(config, raw)


def test_a_table_of_none_of_the_images_is_one_message(config: images.Config, raw: Path) -> None:
    table(raw / "labels.csv", "other{}.jpg")
    with pytest.raises(UserError, match=r"no image that labels\.csv lists with a class is there(.|\n)*8 x listed, but"):
        read(config, raw)


def test_the_stages_read_a_table_beside_images(committed: params.Params, raw: Path, tmp_path: Path) -> None:
    for number in range(8, 40):
        image(raw / f"photos/{number}.jpg", "red" if number % 2 == 0 else "blue")
    table(raw / "labels.csv", numbers=range(40))
    raw.rename(tmp_path / "own")
    found = split_of("flowers", with_source(committed, "flowers", str(tmp_path / "own")), tmp_path)
    assert found.classes == CLASSES
    assert {subset: len(own) for subset, own in found.rows.items()} == {"train": 25, "validation": 7, "test": 8}
