"""The text stage: what is odd about texts is one clear message or is counted and named; nothing is half written."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.arrays import open_split
from components.data.download import download
from components.data.findings import Findings
from components.data.formats import tables
from components.data.kinds import texts as reviews
from components.data.preprocess import preprocess, share
from components.data.split import split
from components.data.synthetic import reviews as synthetic_reviews
from components.data.text import stage as text_stage
from components.data.text.stage import SUMMARY, TEXTS
from components.errors import UserError
from components.params import params
from tests.conftest import MIRROR, needs_mirror

GOOD = [("A fine film, truly fine.", "up"), ("A dull film, truly dull.", "down"), ("Such fun to watch.", "up")]
ROWS = [*GOOD, ("Nobody should watch this.", "down")]


class Stage:
    """The download and text stages on a file or folder of the test's own."""

    def __init__(self, folder: Path, committed: params.Params) -> None:
        self.folder, self.committed = folder, committed
        self.source = folder / "source"
        self.source.mkdir()

    def settings(self, **changes: Any) -> params.Params:
        own = {"source": str(self.source), **changes}
        section = self.committed.sections["reviews"].model_copy(update=own)
        return replace(self.committed, sections={**self.committed.sections, "reviews": section})

    def run(self, **changes: Any) -> dict[str, Any]:
        """The summary."""
        settings = self.settings(**{"bad_rows": 0.9, **changes})
        download("reviews", settings, self.folder / "raw")
        target, plots = self.folder / "text", self.folder / "plots"
        preprocess("reviews", settings, self.folder / "raw", target)
        share(target, plots, self.folder / "metrics.json")
        found: dict[str, Any] = json.loads((target / SUMMARY).read_text())
        return found

    def table(self) -> pd.DataFrame:
        table: pd.DataFrame = pq.read_table(self.folder / "text" / TEXTS).to_pandas()
        return table

    def csv(self, rows: list[tuple[str, str]], name: str = "table.csv") -> None:
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(self.source / name, index=False)

    def counts(self, **changes: Any) -> dict[str, int]:
        """Each kind of finding and how often it was found."""
        return {kind: found["count"] for kind, found in self.run(**changes)["findings"].items()}


@pytest.fixture
def stage(tmp_path: Path, committed: params.Params) -> Stage:
    return Stage(tmp_path, committed)


def test_a_csv_table_becomes_words_with_labels(stage: Stage) -> None:
    stage.csv(ROWS)
    found = stage.run()
    assert found["classes"] == {"down": 2, "up": 2}
    assert found["findings"] == {}
    assert stage.table()["words"].tolist()[0] == "fine film truly fine"
    assert stage.table()["label"].tolist() == [label for _, label in ROWS]
    assert found["words_before"] == 18
    assert found["removed"] == 1 - found["words_after"] / 18
    assert found["examples"][0] == {"before": ROWS[0][0], "after": "fine film truly fine"}


def test_parquet_class_folders_and_archives_give_the_same_as_csv(stage: Stage) -> None:
    stage.csv(ROWS)
    stage.run()
    expected = {tuple(row) for row in stage.table()[["text", "label", "words"]].to_numpy()}
    (stage.source / "table.csv").unlink()
    pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(stage.source / "part-0.parquet")
    stage.run()
    assert {tuple(row) for row in stage.table()[["text", "label", "words"]].to_numpy()} == expected
    (stage.source / "part-0.parquet").unlink()
    for number, (content, label) in enumerate(ROWS):
        (stage.source / "deeper" / label).mkdir(parents=True, exist_ok=True)
        (stage.source / "deeper" / label / f"{number}.txt").write_text(content)
    stage.run()
    assert {tuple(row) for row in stage.table()[["text", "label", "words"]].to_numpy()} == expected
    with tarfile.open(stage.folder / "packed.tar.gz", "w:gz") as archive:
        archive.add(stage.source, "texts")
    stage.source = stage.folder / "packed.tar.gz"
    stage.run()
    assert {tuple(row) for row in stage.table()[["text", "label", "words"]].to_numpy()} == expected


def test_folders_train_and_test_keep_the_sets_own_test_subset(stage: Stage) -> None:
    for part in ("train", "test"):
        for number, (content, label) in enumerate(ROWS):
            file = stage.source / part / label / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content} {part}")
    stage.run()
    assert stage.table()["subset"].tolist() == ["train"] * 4 + ["test"] * 4


def test_the_full_set_is_read_as_it_is_published(tmp_path: Path, committed: params.Params) -> None:
    """With lists of URLs beside its classes, and texts of unknown class, which are no examples."""
    raw = tmp_path / "raw"
    for part, label in [("train", "pos"), ("train", "neg"), ("train", "unsup"), ("test", "pos"), ("test", "neg")]:
        file = raw / "aclImdb" / part / label / "0_9.txt"
        file.parent.mkdir(parents=True)
        file.write_text(f"a {part} {label} film")
        (raw / "aclImdb" / part / f"urls_{label}.txt").write_text("https://example.org")
    (raw / "aclImdb" / "README").write_text("about")
    reading = {"labels": {"neg": "negative", "pos": "positive"}}
    (raw / "source.json").write_text(json.dumps({"source": "reviews, full", "reading": reading}))
    frames = reviews.frames(committed.sections["reviews"], raw, Findings())  # type: ignore[arg-type]
    rows = pd.concat(frames)[["text", "label", "subset"]].to_numpy().tolist()
    assert rows == [
        ["a train neg film", "negative", "train"],
        ["a train pos film", "positive", "train"],
        ["a test neg film", "negative", "test"],
        ["a test pos film", "positive", "test"],
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "valid.csv", "test.csv"),
        ("imdb_train.tsv", "imdb_dev.tsv", "imdb_test.tsv"),
        ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("train/part.csv", "val/part.csv", "test/part.csv"),
    ],
    ids=lambda names: names[1],
)
def test_tables_named_after_parts_keep_the_published_split(names: tuple[str, ...], stage: Stage) -> None:
    for name, count in zip(names, (10, 4, 6), strict=True):
        rows = [(f"film{n} number{n} of {name}", str(n % 2)) for n in range(count)]
        frame, file = pd.DataFrame(rows, columns=["text", "label"]), stage.source / name
        file.parent.mkdir(exist_ok=True)
        if name.endswith("parquet"):
            frame.to_parquet(file)
        else:
            frame.to_csv(file, index=False, sep="\t" if name.endswith("tsv") else ",")
    stage.run()
    assert stage.table()["subset"].tolist() == ["train"] * 10 + ["validation"] * 4 + ["test"] * 6
    split("reviews", stage.settings(), stage.folder / "text", stage.folder / "split")
    rows_of = open_split(stage.folder / "split").rows
    assert [rows_of[part].tolist() for part in ("train", "validation", "test")] == [
        list(range(10)), list(range(10, 14)), list(range(14, 20)),
    ]  # fmt: skip


def test_tables_of_which_some_are_parts_by_name_are_refused(stage: Stage) -> None:
    stage.csv(ROWS, "train.csv")
    stage.csv(ROWS, "more.csv")
    with pytest.raises(UserError, match=r"train\.csv is a subset of a split by name or by a column, more\.csv of none"):
        stage.run()


HEADERS = {
    "blank columns": "label,text,,,\nup,fine film,,,\ndown,dull film,,,\n",
    "columns of one name": "x,text,x,label,x\n1,fine film,2,up,3\n1,dull film,2,down,3\n",
    "tabs in a csv file": "label\ttext\nup\tfine, film\ndown\tdull film\n",
    "semicolons": "label;text\nup;fine, film\ndown;dull film\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_other_columns_do_not_matter_nor_what_stands_between(name: str, stage: Stage) -> None:
    (stage.source / "table.csv").write_text(HEADERS[name])
    stage.run()
    assert stage.table()[["words", "label"]].to_numpy().tolist() == [["fine film", "up"], ["dull film", "down"]]


@pytest.mark.parametrize("name", ["table.tsv", "table.tab", "TABLE.TSV"])
def test_tab_separated_tables_are_read(name: str, stage: Stage) -> None:
    (stage.source / name).write_text("text\tlabel\nfine, film\tup\ndull film\tdown\n")
    assert stage.run()["classes"] == {"down": 1, "up": 1}


def test_a_quote_in_a_table_with_tabs_swallows_no_rows(stage: Stage) -> None:
    lines = ["text\tlabel", '"hello there\tspam', "foo\tham", 'bar" he said\tham', '"a ""whole"" cell"\tspam']
    (stage.source / "table.tsv").write_text("\n".join(lines) + "\n")
    stage.run()
    rows = [('"hello there', "spam"), ("foo", "ham"), ('bar" he said', "ham"), ('a "whole" cell', "spam")]
    assert [tuple(row) for row in stage.table()[["text", "label"]].to_numpy()] == rows


def test_quoted_cells_of_a_table_with_tabs_may_hold_lines_and_tabs(stage: Stage) -> None:
    rows = [("fine\nfilm, truly", "up"), ("dull\tfilm", "down")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(stage.source / "table.tsv", sep="\t", index=False)
    stage.run()
    assert [tuple(row) for row in stage.table()[["text", "label"]].to_numpy()] == rows


def test_a_wanted_column_that_is_there_twice_is_refused(stage: Stage) -> None:
    (stage.source / "table.csv").write_text("text,label,text\na,b,c\n")
    with pytest.raises(UserError, match=r"reviews\.text_column: table\.csv has several columns 'text'"):
        stage.run()


def test_what_is_not_read_beside_the_texts_is_counted_and_named(stage: Stage) -> None:
    stage.csv(ROWS)
    (stage.source / "more.xlsx").write_bytes(b"PK")
    assert stage.run()["findings"] == {"not a table": {"count": 1, "files": ["more.xlsx"], "kept": False}}
    (stage.source / "table.csv").unlink()
    for number, (own, label) in enumerate(ROWS):
        (stage.source / label / "deeper").mkdir(parents=True, exist_ok=True)
        (stage.source / label / "deeper" / f"{number}.txt").write_text(own)
    (stage.source / "up" / "scan.pdf").write_bytes(b"%PDF")
    (stage.source / "loose.txt").write_text("a text")
    (stage.source / "notes").mkdir()
    (stage.source / "more.xlsx").unlink()
    found = stage.run()
    assert found["classes"] == {"down": 2, "up": 2}
    assert {kind: each["files"] for kind, each in found["findings"].items()} == {
        "a class's folder without .txt files": ["notes"],
        "a text outside the classes' folders": ["loose.txt"],
        "not a .txt file": ["up/scan.pdf"],
    }


def test_texts_without_endings_in_a_published_split_are_read(stage: Stage) -> None:
    """As 20 Newsgroups is published."""
    for part, count in (("train", 3), ("test", 2)):
        for label in ("alt.atheism", "sci.space"):
            folder = stage.source / f"20news-bydate-{part}" / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / str(49960 + number)).write_text(f"Subject: {label} {part} number{number}")
    assert stage.run()["classes"] == {"alt.atheism": 5, "sci.space": 5}
    assert stage.table()["subset"].tolist() == ["train"] * 6 + ["test"] * 4


def test_several_folders_of_classes_are_named(stage: Stage) -> None:
    for name in ("a", "b"):
        for _, label in ROWS[1:3]:
            (stage.source / name / label).mkdir(parents=True)
            (stage.source / name / label / "0.txt").write_text("film")
    with pytest.raises(UserError, match=r"one name \(down, up\): a, b; point data\.reviews\.source at one"):
        stage.run()


def write(content: bytes) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        (stage.source / "table.csv").write_bytes(content)

    return make


def rows(*more: tuple[str, str]) -> Callable[[Stage], None]:
    return lambda stage: stage.csv([*ROWS, *more])


def remove_all(stage: Stage) -> None:
    (stage.source / "notes.md").write_text("nothing here")


def broken_gzip(stage: Stage) -> None:
    (stage.source / "table.csv.gz").write_bytes(gzip.compress(b"text,label\nx,y\n" * 99)[:40])


def broken_parquet(stage: Stage) -> None:
    (stage.source / "part.parquet").write_bytes(b"PAR1 no")


REFUSED: dict[str, tuple[Callable[[Stage], None], str]] = {
    "an empty file": (write(b""), "table.csv: the file is empty"),
    "a header alone": (write(b"text,label\n"), "the table has no rows"),
    "one class only": (write(b"text,label\nfine film,up\nmore film,up\n"), "one class alone, 'up'"),
    "a missing column": (write(b"review,label\nfine,up\n"), "reviews.text_column: table.csv has no column 'text'"),
    "no label column": (write(b"text,stars\nfine,up\n"), "reviews.label_column: .* its columns: text, stars"),
    "a quote that is never closed": (write(b'text,label\n"fine,up\nbad,down\n'), "mend that line, or its quotes"),
    "a row with too many cells": (write(b"text,label\na b,up\nc,d,e,f\n"), "not a CSV table.*line 3"),
    "a first row with too many cells": (write(b"text,label\nc,d,e,f\na b,up\n"), "not a CSV table"),
    "UTF-16": (write("text,label\nfine,up\n".encode("utf-16")), "this is UTF-16; save it as UTF-8"),
    "no texts": (remove_all, "neither a table .* nor folders of .txt files"),
    "a damaged archive of a table": (broken_gzip, "not a CSV table"),
    "broken Parquet": (broken_parquet, "part.parquet: not a Parquet file"),
    "a label in each row": (
        lambda stage: stage.csv([(f"film number{n}", str(n)) for n in range(1200)]),
        "reviews.label_column: there are 1200 different labels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_message_and_nothing_is_written(name: str, stage: Stage) -> None:
    make, said = REFUSED[name]
    make(stage)
    with pytest.raises(UserError, match=said) as raised:
        stage.run()
    assert len(str(raised.value).splitlines()) == 1
    assert {path.name for path in stage.folder.iterdir()} == {"source", "raw"}


SKIPPED: dict[str, tuple[Callable[[Stage], None], dict[str, int]]] = {
    "duplicate rows": (rows(GOOD[0], GOOD[0]), {"the same text again": 2}),
    "a duplicate with another label": (rows((GOOD[0][0], "down")), {"the same text with another label": 1}),
    "an empty text": (rows(("", "up"), ("  ", "up")), {"no text": 2}),
    "a row with too few cells": (
        write(b"text,label\nfine,up\nfilm,down\nSuch fun,up\ndull,down\nlost\n"),
        {"no label": 1},
    ),
    "no label": (rows(("something new", "")), {"no label": 1}),
    "nothing but stopwords": (rows(("the and of", "up")), {"no words left": 1}),
    "a line of 10 MB": (rows(("film " * 2_000_000, "up")), {"longer than 100000 characters": 1}),
    "a label outside the set": (rows(("something new", "sideways")), {"label not among the classes": 1}),
    "not UTF-8": (
        write("text,label\nun café,up\nfilm,down\nSuch fun,up\ndull,down\n".encode("cp1252")),
        {tables.NOT_UTF8: 1},
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_is_odd_is_counted_and_named(name: str, stage: Stage) -> None:
    make, expected = SKIPPED[name]
    make(stage)
    assert stage.counts(classes=("up", "down")) == expected
    listed = json.loads((stage.folder / "text" / SUMMARY).read_text())["findings"]
    assert all(found["files"][0].startswith("table.csv row ") for found in listed.values())
    if name == "not UTF-8":
        assert "café" in stage.table()["words"].iloc[0]
        assert listed[tables.NOT_UTF8] == {"count": 1, "files": ["table.csv row 1"], "kept": True}


def test_whole_numbers_in_parquet_stay_whole_where_some_are_missing(stage: Stage) -> None:
    table = pa.table({"text": [f"film {n}" for n in range(5)], "label": pa.array([0, 1, None, 1, 0], pa.int64())})
    pq.write_table(table, stage.source / "part.parquet")
    found = stage.run(classes=("0", "1"))
    assert found["classes"] == {"0": 2, "1": 2}
    assert found["findings"]["no label"]["count"] == 1


def test_parquet_of_lists_is_refused(stage: Stage) -> None:
    pq.write_table(pa.table({"text": [["a"], ["b"]], "label": ["x", "y"]}), stage.source / "part.parquet")
    with pytest.raises(UserError, match="label_column must hold texts or numbers"):
        stage.run()


def test_an_empty_part_among_others_is_no_fault(stage: Stage) -> None:
    empty = pd.DataFrame({"text": [], "label": []}, dtype=str)
    empty.to_parquet(stage.source / "part-0.parquet")
    pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(stage.source / "part-1.parquet")
    assert stage.run()["texts"] == 4


def test_rows_of_files_with_one_name_are_counted_one_by_one(stage: Stage) -> None:
    for year in ("2001", "2002"):
        (stage.source / year).mkdir()
        rows = [("", "up"), *((f"{content} {year}", label) for content, label in ROWS)]
        stage.csv(rows, f"{year}/part.csv")
    found = stage.run()["findings"]["no text"]
    assert found == {"count": 2, "files": ["2001/part.csv row 1", "2002/part.csv row 1"], "kept": False}


def test_labels_are_stripped_and_a_class_that_never_occurs_is_named(stage: Stage) -> None:
    stage.csv([*ROWS, ("something new", " up ")])
    assert stage.run()["classes"] == {"down": 2, "up": 3}
    with pytest.raises(UserError, match=r"reviews\.classes: no text has the label 'upp'; there are: down, up"):
        stage.run(classes=("up", "down", "upp"))


def test_a_header_that_is_no_utf_8_does_no_harm_and_a_file_name_is_refused(stage: Stage) -> None:
    content = "text,label,pr\xe9nom\n" + "".join(f"{own},{label},x\n" for own, label in ROWS if "," not in own)
    (stage.source / "table.csv").write_bytes(content.encode("latin-1"))
    assert stage.run()["texts"] == 2
    (stage.source / "table.csv").unlink()
    for number, (own, label) in enumerate([*ROWS, GOOD[0]]):
        folder = stage.source / os.fsdecode(b"caf\xe9" if label == "up" else b"down")
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(own)
    with pytest.raises(UserError, match=r"the name 'café/0\.txt' is not UTF-8; rename that file or folder"):
        stage.run()


def test_utf_16_files_are_read_and_other_bytes_and_empty_folders_are_counted(stage: Stage) -> None:
    for number, (own, label) in enumerate(ROWS):
        (stage.source / label).mkdir(exist_ok=True)
        (stage.source / label / f"{number}.txt").write_text(own, encoding="utf-16")
    (stage.source / "up" / "9.txt").write_bytes(b"\x00\x01binary")
    (stage.source / "neutral").mkdir()
    found = stage.counts()
    assert found == {
        tables.WAS_UTF16: 4,
        "no text, but other bytes": 1,
        "a class's folder without .txt files": 1,
    }
    assert stage.table()["words"].iloc[0] == "dull film truly dull"


def test_texts_of_other_classes_than_those_asked_for_are_no_fault(stage: Stage) -> None:
    stage.csv([*ROWS, *((f"something {n}", "sideways") for n in range(20))])
    found = stage.run(classes=("up", "down"), bad_rows=0.0)
    assert found["classes"] == {"down": 2, "up": 2}
    assert found["findings"]["label not among the classes"]["count"] == 20


def test_duplicates_stay_if_they_are_asked_for(stage: Stage) -> None:
    stage.csv([*ROWS, GOOD[0]])
    assert stage.counts(duplicates=True) == {}
    assert len(stage.table()) == 5


def test_more_rows_without_use_than_tolerated_stop_the_stage_and_are_named(stage: Stage) -> None:
    stage.csv([*ROWS, ("", "up")])
    with pytest.raises(UserError, match=r"reviews.bad_rows: 1 of 5 rows cannot be used") as raised:
        stage.run(bad_rows=0.1)
    assert "table.csv row 5: no text" in str(raised.value)
    assert not (stage.folder / "text").exists()
    assert not (stage.folder / "plots").exists()


def test_a_file_that_is_no_table_is_refused_before_anything_is_fetched(stage: Stage) -> None:
    stage.source = stage.folder / "reviews.docx"
    stage.source.write_text("no")
    with pytest.raises(UserError, match=r"reviews\.source: .*neither a folder here nor an archive or a table"):
        stage.run()


def test_the_result_does_not_depend_on_the_size_of_chunks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.csv([(f"{content} {n}", label) for n in range(40) for content, label in ROWS])
    stage.run()
    whole = [(stage.folder / "text" / name).read_bytes() for name in (TEXTS, SUMMARY)]
    monkeypatch.setattr(tables, "ROWS", 7)
    stage.run()
    assert [(stage.folder / "text" / name).read_bytes() for name in (TEXTS, SUMMARY)] == whole


def test_rows_are_written_in_groups_of_one_size(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_stage, "ROWS_IN_A_GROUP", 10)
    monkeypatch.setattr(tables, "ROWS", 7)
    stage.csv([(f"{content} {n}", label) for n in range(6) for content, label in ROWS])
    stage.run()
    groups = pq.ParquetFile(stage.folder / "text" / TEXTS).metadata
    assert [groups.row_group(g).num_rows for g in range(groups.num_row_groups)] == [10, 10, 4]


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data warns of its own defaults
def test_ray_data_gives_what_one_process_does(stage: Stage) -> None:
    made = [(f"{content} {n}", label) for n in range(30) for content, label in ROWS]
    made[5] = ("", "up")
    made[70] = made[3]
    for number in range(3):
        part = pd.DataFrame(made[40 * number : 40 * (number + 1)], columns=["text", "label"])
        part.to_parquet(stage.source / f"part-{number}.parquet")
    stage.run()
    here = [(stage.folder / "text" / name).read_bytes() for name in (TEXTS, SUMMARY)]
    stage.run(ray_above=0.0)
    assert [(stage.folder / "text" / name).read_bytes() for name in (TEXTS, SUMMARY)] == here
    stage.csv([("another film", "up")])  # beside the parts, so that Ray is left alone
    assert stage.run(ray_above=0.0)["texts"] == 119
    (stage.source / "table.csv").unlink()
    pd.DataFrame({"text": ["x"]}).to_parquet(stage.source / "part-9.parquet")
    with pytest.raises(UserError, match=r"reviews\.label_column: part-9.parquet has no column 'label'"):
        stage.run(ray_above=0.0)


@needs_mirror
@pytest.mark.slow
def test_the_mirrors_aclimdb_is_read_as_published(stage: Stage) -> None:
    stage.source = MIRROR / "aclImdb_subset.tar.gz"
    found = stage.run()
    settings = stage.settings()
    split("reviews", settings, stage.folder / "text", stage.folder / "split")
    rows = open_split(stage.folder / "split").rows
    assert sum(found["classes"].values()) == found["texts"] == len(stage.table())
    assert found["texts"] + sum(own["count"] for own in found["findings"].values() if not own["kept"]) == 4000
    assert len(rows["test"]) == (stage.table()["subset"] == "test").sum()
    assert min(rows["test"]) > max(rows["train"])


def test_the_synthetic_reviews_are_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        synthetic_reviews.make(tmp_path / name)
    first, second = ((tmp_path / name / synthetic_reviews.FILE).read_bytes() for name in ("a", "b"))
    assert first == second
    assert pd.read_csv(tmp_path / "a" / synthetic_reviews.FILE)["label"].value_counts().to_dict() == {
        "negative": 300,
        "positive": 300,
    }
