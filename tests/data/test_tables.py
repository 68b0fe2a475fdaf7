"""Tables as people and tools write them: any delimiter, JSON lines, Parquet, with a split of their own or without."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.data.arrays import Split
from components.errors import UserError
from components.params import params
from tests.conftest import split_of, with_source

TEXTS = [f"{'good' if n % 2 else 'bad'} film number{n} told again and again" for n in range(40)]
LABELS = ["up" if n % 2 else "down" for n in range(40)]
SUBSETS = ["train"] * 24 + ["dev"] * 8 + ["Test"] * 8
ROWS = pd.DataFrame({"id": range(40), "text": TEXTS, "label": LABELS})
Read = Callable[..., Split]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


@pytest.fixture
def read(committed: params.Params, tmp_path: Path) -> Read:
    """The stages on a file or folder, with changes of the entry's keys."""

    def reads(source: Path, **changes: Any) -> Split:
        settings = with_source(committed, "reviews", str(source))
        entry = settings.sections["reviews"].model_copy(update=changes)
        return split_of("reviews", replace(settings, sections={**settings.sections, "reviews": entry}), tmp_path)

    return reads


def as_lines(file: Path, rows: pd.DataFrame) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_dict("records"))
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


WAYS: dict[str, Callable[[Path], Path]] = {}


def way(name: str) -> Callable[[Callable[[Path, pd.DataFrame], object]], None]:
    """Note a way to write a table into a file of that name."""

    def note(write: Callable[[Path, pd.DataFrame], object]) -> None:
        def make(own: Path) -> Path:
            write(own / name, ROWS.assign(split=SUBSETS))
            return own / name

        WAYS[name] = make

    return note


way("table.csv")(lambda file, rows: rows.to_csv(file, index=False))
way("semicolons.csv")(lambda file, rows: rows.to_csv(file, index=False, sep=";"))
way("bars.csv")(lambda file, rows: rows.to_csv(file, index=False, sep="|"))
way("tabs.tsv")(lambda file, rows: rows.to_csv(file, index=False, sep="\t"))
way("table.parquet")(lambda file, rows: rows.to_parquet(file))
way("lines.jsonl")(as_lines)
way("lines.jsonl.gz")(as_lines)
way("lines.json")(as_lines)
way("list.json")(lambda file, rows: rows.to_json(file, orient="records"))


@pytest.mark.parametrize("name", WAYS)
def test_a_split_column_is_kept_in_any_kind_of_table(name: str, own: Path, read: Read) -> None:
    found = read(WAYS[name](own))
    rows = {subset: own.tolist() for subset, own in found.rows.items()}
    assert rows == {"train": [*range(24)], "validation": [*range(24, 32)], "test": [*range(32, 40)]}
    assert found.classes == ("down", "up")
    assert found.arrays["targets"].tolist() == [0, 1] * 20


def test_a_split_columns_rows_may_be_in_any_order(own: Path, read: Read) -> None:
    mixed = ROWS.assign(split=SUBSETS).sample(frac=1, random_state=0)
    mixed.to_csv(own / "table.csv", index=False)
    found = read(own)
    assert found.rows["test"].tolist() == np.flatnonzero(mixed["split"] == "Test").tolist()


def test_without_a_split_column_rows_are_drawn(own: Path, read: Read) -> None:
    ROWS.assign(split=["fold1", "fold2"] * 20).to_csv(own / "table.csv", index=False)
    with pytest.raises(UserError) as raised:
        read(own / "table.csv")
    assert "data.reviews.split_column: table.csv row 1 says 'fold1' in the column 'split'" in str(raised.value)
    found = read(own / "table.csv", split_column="")
    assert {subset: len(own) for subset, own in found.rows.items()} == {"train": 25, "validation": 7, "test": 8}


def test_a_given_delimiter_is_the_only_one(own: Path, read: Read) -> None:
    ROWS.to_csv(own / "table.csv", index=False, sep="~")
    with pytest.raises(UserError, match="has no column 'text'"):
        read(own)
    assert len(read(own, delimiter="~").arrays["targets"]) == 40


def test_lines_of_two_files_with_and_without_a_split_are_refused(own: Path, read: Read) -> None:
    as_lines(own / "a.jsonl", ROWS.assign(split=SUBSETS))
    as_lines(own / "b.jsonl", ROWS)
    with pytest.raises(UserError, match=r"a\.jsonl is a subset of a split by name or by a column, b\.jsonl of none"):
        read(own)


def test_files_named_after_subsets_keep_the_split_as_lines_too(own: Path, read: Read) -> None:
    as_lines(own / "train.jsonl", ROWS[:30])
    as_lines(own / "test.jsonl", ROWS[30:])
    (own / "dataset_info.json").write_text('{"splits": {}}')
    found = read(own)
    assert found.rows["test"].tolist() == [*range(30, 40)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "label": "b"}\n{"text": "a"\n', r"lines\.jsonl: line 2 is not JSON"),
        ('["a", "b"]\n', r"row 1 is 'a', where an object"),
        ('{"text": ["a"], "label": "b"}\n', "line 1: 'text' is a list, where a text or a number was expected"),
        (
            '{"review": "a", "label": "b"}\n',
            "lines.jsonl has no column 'text'; its columns: review, label",
        ),
        ("", "the file is empty"),
    ],
)
def test_what_is_no_table_of_lines_is_one_message(content: str, said: str, own: Path, read: Read) -> None:
    (own / "lines.jsonl").write_text(content)
    with pytest.raises(UserError, match=said):
        read(own / "lines.jsonl")


def test_numbers_and_missing_values_in_lines_are_texts(own: Path, read: Read) -> None:
    rows: list[dict[str, Any]] = [{"text": text, "label": n % 3} for n, text in enumerate(TEXTS)]
    text = "".join(json.dumps(row) + "\n" for row in [*rows, {"text": None, "label": 1}, {"label": 2}])
    (own / "lines.ndjson").write_text(text)
    found = read(own / "lines.ndjson", bad_rows=0.1)
    assert found.classes == ("0", "1", "2")
    assert len(found.arrays["targets"]) == 40
