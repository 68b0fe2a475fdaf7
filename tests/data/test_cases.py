"""The cases that users of such tools report, made by the scripts beside the project, have their right outcomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data.arrays import Split
from components.data.look import look
from components.errors import UserError
from components.params import params
from tests.conftest import REPO, split_of, with_data

CASES = REPO.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="needs the cases beside the project")


class Case:
    """A made set of a user's, and the stages on it."""

    def __init__(self, folder: Path, committed: params.Params) -> None:
        self.folder, self.committed = folder, committed

    def make(self, script: str) -> Path:
        own = self.folder / "own"
        subprocess.run([sys.executable, str(CASES / f"{script}.py"), str(own)], check=True, capture_output=True)
        return own

    def read(self, kind: str, source: Path, **keys: Any) -> Split:
        """As the stages make it, under a name of its own."""
        return split_of("own", with_data(self.committed, "own", kind, source, **keys), self.folder)

    def findings(self) -> dict[str, int]:
        summary = json.loads((self.folder / "split" / "split.json").read_text())
        return {kind: found["count"] for kind, found in summary.get("findings", {}).items()}


@pytest.fixture
def case(tmp_path: Path, committed: params.Params) -> Case:
    return Case(tmp_path, committed)


def per_class(found: Split) -> dict[str, int]:
    counts = np.bincount(found.arrays["targets"], minlength=len(found.classes)).tolist()
    return dict(zip(found.classes, counts, strict=True))


def test_empty_header_cells(case: Case) -> None:
    own = case.make("empty_header_cells")
    found = case.read("texts", own / "messages.csv", text_column="message", label_column="kind", bad_rows=0.1)
    assert per_class(found) == {"ham": 80, "spam": 40}


def test_tables_train_and_test(case: Case) -> None:
    found = case.read("texts", case.make("tables_train_and_test") / "tables")
    assert len(found.rows["train"]) + len(found.rows["validation"]) == 80
    assert found.rows["test"].tolist() == list(range(80, 100))


def test_imdb_with_unsup(case: Case) -> None:
    own = case.make("imdb_with_unsup")
    with pytest.raises(UserError, match=r"class 'unsup' has no example in the test subset.*data\.own\.classes: a list"):
        case.read("texts", own)
    found = case.read("texts", own, classes=("neg", "pos"))
    assert per_class(found) == {"neg": 40, "pos": 40}
    assert len(found.rows["test"]) == 30


def test_nested_class_folders(case: Case) -> None:
    found = case.read("images", case.make("nested_class_folders") / "mixed", side=32)
    assert per_class(found) == {"daisy": 10, "rose": 10, "tulip": 10}


def test_unknown_ending(case: Case) -> None:
    own = case.make("unknown_ending")
    with pytest.raises(UserError) as raised:
        case.read("images", own, side=32)
    assert "daisy: not one of its 10 images can be read" in str(raised.value)
    assert all(f"daisy/IMG_{number:04}.HEIC" in str(raised.value) for number in range(10))
    for file in (own / "daisy").iterdir():
        file.unlink()
    (own / "daisy").rmdir()
    assert per_class(case.read("images", own, side=32)) == {"rose": 10, "tulip": 10}


def test_flat_train_and_test(case: Case) -> None:
    with pytest.raises(UserError, match="test1, train are names of splits, and of no class"):
        case.read("images", case.make("flat_train_and_test"), side=32)


def test_latin1_names(case: Case) -> None:
    own = case.make("latin1_names")
    with pytest.raises(UserError, match=r"fleur.* is not UTF-8; rename"):
        case.read("images", own)
    assert {path.name for path in case.folder.iterdir()} == {"own"}


def test_read_only_source(case: Case) -> None:
    own = case.make("read_only_source")
    for _ in range(2):
        found = case.read("images", own, side=32)
        assert per_class(found) == {"rose": 12, "tulip": 12}
    assert all(path.stat().st_mode & 0o200 for path in (case.folder / "raw").rglob("*"))
    subprocess.run(["chmod", "-R", "u+w", str(own)], check=True)


def test_zip_with_backslashes(case: Case) -> None:
    found = case.read("images", case.make("zip_with_backslashes") / "pictures.zip", side=32)
    assert per_class(found) == {"rose": 10, "tulip": 10}


def test_twelve_bits_in_sixteen(case: Case) -> None:
    found = case.read("images", case.make("twelve_bits_in_sixteen"), side=64)
    assert found.arrays["inputs"].max() > 220
    assert found.spec.grey_bits == 12
    assert case.findings() == {"16-bit greyscale, of which 12 bits are used": 30}


def test_gb2312_annotations(case: Case) -> None:
    found = case.read("boxes", case.make("gb2312_annotations") / "VOC", side=64, bad_files=0.0)
    assert set(found.classes) == {"汽车", "行人"}
    assert len(found.arrays["inputs"]) == 24


@pytest.mark.parametrize("kind", ["endings", "paths"])
def test_lists_with_paths(kind: str, case: Case) -> None:
    found = case.read("boxes", case.make("lists_with_paths") / kind, side=32, bad_files=0.0)
    assert len(found.arrays["inputs"]) == 20
    assert case.findings() == {}


@pytest.mark.parametrize("kind", ["nested", "capitals"])
def test_nested_annotations(kind: str, case: Case) -> None:
    found = case.read("boxes", case.make("nested_annotations") / kind, side=32, bad_files=0.0)
    assert len(found.arrays["inputs"]) == 20
    assert set(found.classes) == {"cup", "pen"}


def test_controls_expected_to_pass(case: Case) -> None:
    own = case.make("controls_expected_to_pass")
    assert len(case.read("boxes", own / "VOC", side=32).arrays["inputs"]) == 20
    assert per_class(case.read("images", own / "flowers", side=32)) == {"rose": 10, "tulip": 10}
    assert case.findings() == {"not an image": 2}


@pytest.mark.parametrize(
    ("script", "place", "keys", "said"),
    [
        ("empty_header_cells", "messages.csv", {}, "120 examples of 2 classes: ham (80), spam (40)"),
        ("tables_train_and_test", "tables", {}, "the published train and test rows are kept: train 64, validation 16"),
        ("imdb_with_unsup", "", {}, "class 'unsup' has no example in the test subset"),
        ("nested_class_folders", "mixed", {}, "30 examples of 3 classes: daisy (10), rose (10), tulip (10)"),
        ("unknown_ending", "", {}, "daisy: not one of its 10 images can be read"),
        ("flat_train_and_test", "", {}, "test1, train are names of splits, and of no class"),
        ("latin1_names", "", {}, "is not UTF-8; rename"),
        ("read_only_source", "", {}, "24 examples of 2 classes: rose (12), tulip (12)"),
        ("zip_with_backslashes", "pictures.zip", {}, "20 examples of 2 classes: rose (10), tulip (10)"),
        ("twelve_bits_in_sixteen", "", {}, "30 x 16-bit greyscale, of which 12 bits are used (kept)"),
        ("gb2312_annotations", "VOC", {}, "24 images with objects of 2 classes: 汽车 (12), 行人 (12)"),
        ("lists_with_paths", "endings", {}, "20 images with objects of 2 classes: cup (10), pen (10)"),
        ("nested_annotations", "nested", {}, "20 images with objects of 2 classes: cup (13), pen (7)"),
        ("controls_expected_to_pass", "flowers", {}, "2 x not an image (left out)"),
    ],
)
def test_a_look_finds_the_kind_and_tells_the_same(
    script: str, place: str, keys: dict[str, Any], said: str, case: Case
) -> None:
    own = case.make(script)
    try:
        lines = "\n".join(look("own", str(own / place), keys, "sample").lines)
    except UserError as error:
        lines = str(error)
    assert said in lines
    subprocess.run(["chmod", "-R", "u+w", str(own)], check=True)


def test_every_case_has_a_test() -> None:
    scripts = {file.stem for file in CASES.glob("*.py")}
    assert scripts <= {name.removeprefix("test_") for name in globals()}
    assert os.access(CASES, os.R_OK)
