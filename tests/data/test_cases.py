"""The cases that users of such tools report, made by the scripts beside the project, have their right outcomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.data.arrays import Split, open_split
from components.data.dataset import load_dataset
from components.data.download import download
from components.data.split import split
from components.data.text import stage
from components.errors import UserError
from components.params import params
from tests.conftest import REPO

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

    def read(self, name: str, source: Path, **changes: Any) -> Split:
        """As the download, text and split stages make it."""
        values = self.committed.sections[name].model_copy(update={"source": str(source), **changes})
        settings = replace(self.committed, sections={**self.committed.sections, name: values})
        raw = self.folder / "raw"
        download(name, settings, raw)
        if load_dataset(name).texts:
            words = self.folder / "text"
            stage.prepare(name, settings, raw, words, self.folder / "plots", self.folder / "metrics.json")
            raw = words
        split(name, settings, raw, self.folder / "split")
        return open_split(self.folder / "split")

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
    found = case.read("reviews", own / "messages.csv", text_column="message", label_column="kind", bad_rows=0.1)
    assert per_class(found) == {"ham": 80, "spam": 40}


def test_tables_train_and_test(case: Case) -> None:
    found = case.read("reviews", case.make("tables_train_and_test") / "tables")
    assert len(found.rows["train"]) + len(found.rows["validation"]) == 80
    assert found.rows["test"].tolist() == list(range(80, 100))


def test_imdb_with_unsup(case: Case) -> None:
    own = case.make("imdb_with_unsup")
    with pytest.raises(UserError, match=r"class 'unsup' has no example in the test subset.*reviews\.classes: a list"):
        case.read("reviews", own)
    found = case.read("reviews", own, classes=("neg", "pos"))
    assert per_class(found) == {"neg": 40, "pos": 40}
    assert len(found.rows["test"]) == 30


def test_nested_class_folders(case: Case) -> None:
    found = case.read("flowers", case.make("nested_class_folders") / "mixed", side=32)
    assert per_class(found) == {"daisy": 10, "rose": 10, "tulip": 10}


def test_unknown_ending(case: Case) -> None:
    own = case.make("unknown_ending")
    with pytest.raises(UserError) as raised:
        case.read("flowers", own, side=32)
    assert "daisy: not one of its 10 images can be read" in str(raised.value)
    assert all(f"daisy/IMG_{number:04}.HEIC" in str(raised.value) for number in range(10))
    for file in (own / "daisy").iterdir():
        file.unlink()
    (own / "daisy").rmdir()
    assert per_class(case.read("flowers", own, side=32)) == {"rose": 10, "tulip": 10}


def test_flat_train_and_test(case: Case) -> None:
    with pytest.raises(UserError, match="test1, train are names of splits, and of no class"):
        case.read("flowers", case.make("flat_train_and_test"), side=32)


def test_latin1_names(case: Case) -> None:
    own = case.make("latin1_names")
    with pytest.raises(UserError, match=r"fleur.* is not UTF-8; rename"):
        case.read("flowers", own)
    assert {path.name for path in case.folder.iterdir()} == {"own"}


def test_read_only_source(case: Case) -> None:
    own = case.make("read_only_source")
    for _ in range(2):
        found = case.read("flowers", own, side=32)
        assert per_class(found) == {"rose": 12, "tulip": 12}
    assert all(path.stat().st_mode & 0o200 for path in (case.folder / "raw").rglob("*"))
    subprocess.run(["chmod", "-R", "u+w", str(own)], check=True)


def test_zip_with_backslashes(case: Case) -> None:
    found = case.read("flowers", case.make("zip_with_backslashes") / "pictures.zip", side=32)
    assert per_class(found) == {"rose": 10, "tulip": 10}


def test_twelve_bits_in_sixteen(case: Case) -> None:
    found = case.read("flowers", case.make("twelve_bits_in_sixteen"), side=64)
    assert found.arrays["inputs"].max() > 220
    assert found.spec.grey_bits == 12
    assert case.findings() == {"16-bit greyscale, of which 12 bits are used": 30}


def test_gb2312_annotations(case: Case) -> None:
    found = case.read("voc", case.make("gb2312_annotations") / "VOC", side=64, bad_files=0.0)
    assert set(found.classes) == {"汽车", "行人"}
    assert len(found.arrays["inputs"]) == 24


@pytest.mark.parametrize("kind", ["endings", "paths"])
def test_lists_with_paths(kind: str, case: Case) -> None:
    found = case.read("voc", case.make("lists_with_paths") / kind, side=32, bad_files=0.0)
    assert len(found.arrays["inputs"]) == 20
    assert case.findings() == {}


@pytest.mark.parametrize("kind", ["nested", "capitals"])
def test_nested_annotations(kind: str, case: Case) -> None:
    found = case.read("voc", case.make("nested_annotations") / kind, side=32, bad_files=0.0)
    assert len(found.arrays["inputs"]) == 20
    assert set(found.classes) == {"cup", "pen"}


def test_controls_expected_to_pass(case: Case) -> None:
    own = case.make("controls_expected_to_pass")
    assert len(case.read("voc", own / "VOC", side=32).arrays["inputs"]) == 20
    assert per_class(case.read("flowers", own / "flowers", side=32)) == {"rose": 10, "tulip": 10}
    assert case.findings() == {"not an image": 2}


def test_every_case_has_a_test() -> None:
    scripts = {file.stem for file in CASES.glob("*.py")}
    assert scripts <= {name.removeprefix("test_") for name in globals()}
    assert os.access(CASES, os.R_OK)
