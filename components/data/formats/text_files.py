"""Texts with labels in files, read in chunks: CSV and Parquet tables, or one folder per class with a .txt per text."""

from __future__ import annotations

import csv
import gzip
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from components.data.dataset import CSV, PARQUET, TSV
from components.data.findings import Findings
from components.data.formats.folders import ALONE, SUBSETS, Kind, files_below, layout_of, subset_in
from components.data.own_files import SUMMARY
from components.errors import UserError

ROWS = 25_000  # of a chunk
TEXT = (".txt",)
TABLES = (*CSV, *PARQUET)
UTF16 = (b"\xff\xfe", b"\xfe\xff")
FALLBACK = "cp1252"  # what a text that is not UTF-8 most often is
NOT_UTF8, WAS_UTF16 = "not UTF-8, read as Windows-1252", "UTF-16"


def frames(folder: Path, columns: Sequence[str], section: str, findings: Findings) -> Iterator[pd.DataFrame]:
    """Every row under `folder`, in the files' order: columns `name` (its place), `text`, `label`, `subset`, and others.

    columns: in tables the names of the text's column, of the label's, and of others that are wanted as they are.
    section: the section of params.yaml that names them, for messages.
    subset:  train, validation or test, where tables or folders of classes are named after these; else "".
    Raises UserError for a file that cannot be read, or if there is nothing to read.
    """
    tables = files_in(folder, TABLES)
    if tables:
        subsets = subsets_of(tables, folder, section)
        for file in files_in(folder, ("",)):
            if file not in subsets and file.name != SUMMARY:
                findings.add("not a table", readable_name(file, folder), kept=False)
        for file, subset in subsets.items():
            yield from table_frames(file, str(file.relative_to(folder)), columns, section, findings, subset)
        return
    kind = Kind(lambda file: file.name.lower().endswith(TEXT), f"{TEXT[0]} files", f"{section}.source")
    if not any(kind.holds(file) for file in files_below(folder)):
        raise UserError(
            f"{folder}: neither a table ({', '.join(TABLES)}) nor folders of .txt files, one per class, are in it; "
            f"{section}.source must name such data"
        )
    layout = layout_of(folder, kind)
    for beside in layout.without:
        findings.add(f"a class's folder without {TEXT[0]} files", readable_name(beside, folder), kept=False)
    for file in layout.loose:
        findings.add("a text outside the classes' folders", readable_name(file, folder), kept=False)
    for own in layout.classes:
        files = [*files_below(own.folder)]
        for file in files:
            if not kind.holds(file):
                findings.add(f"not a {TEXT[0]} file", readable_name(file, folder), kept=False)
        texts = [file for file in files if kind.holds(file)]
        yield from _folder_frames(folder, texts, readable_name(own.folder, own.folder.parent), own.subset, findings)


def subsets_of(tables: Sequence[Path], folder: Path, section: str) -> dict[Path, str]:
    """The subset of a published split that each table is, by its name or its folders', in the subsets' order.

    "" where there is but one subset. Raises UserError where some names speak of subsets and others do not.
    """
    subset_of: dict[Path, str] = {}
    for file in tables:
        stem, *folders = reversed(file.relative_to(folder).parts)
        named = (
            subset_in(name) for name in (stem.partition(".")[0], *filter(ALONE.fullmatch, map(str.lower, folders)))
        )
        subset_of[file] = next(filter(None, named), "")
    named_subsets = {*subset_of.values()}
    if len(named_subsets) == 1:
        return dict.fromkeys(tables, "")
    if "" in named_subsets:
        without = ", ".join(str(file.relative_to(folder)) for file in tables if not subset_of[file])
        own = ", ".join(str(file.relative_to(folder)) for file in tables if subset_of[file])
        raise UserError(
            f"{folder}: {own} {'are subsets' if ', ' in own else 'is a subset'} of a split by name, {without} of none; "
            f"point {section}.source at one table, or name each after its subset: train, validation or test"
        )
    if "train" not in named_subsets:
        raise UserError(f"{folder}: of {', '.join(sorted(named_subsets))} tables none is for training")
    return {file: subset for wanted in SUBSETS for file, subset in subset_of.items() if subset == wanted}


def files_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The visible files with one of these endings in a folder or below it, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name.lower().endswith(endings))
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def table_frames(
    file: Path, called: str, columns: Sequence[str], section: str, findings: Findings, subset: str = ""
) -> Iterator[pd.DataFrame]:
    """The rows of one table, as `frames` has them, each named after its row and what the file is `called`."""
    chunks = _parquet_chunks if file.name.lower().endswith(PARQUET) else _csv_chunks
    start = 0
    for chunk in chunks(file, columns, section):
        names = [f"{called} row {start + place + 1}" for place in range(len(chunk))]
        frame = chunk.rename(columns={columns[0]: "text", columns[1]: "label"}).assign(name=names, subset=subset)
        yield _decoded(frame, findings)
        start += len(frame)


def _csv_chunks(file: Path, columns: Sequence[str], section: str) -> Iterator[pd.DataFrame]:
    settings: dict[str, Any] = {"encoding": "utf-8-sig", "encoding_errors": "surrogateescape", "dtype": object}
    try:
        with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as opened:
            if opened.read(2) in UTF16:
                raise UserError(f"{file}: this is UTF-16; save it as UTF-8")
        separator, header = _header(file, columns, settings)
        check_columns(file, header, columns, section)
        plain = separator == "\t" and _has_plain_quotes(file)
        settings |= {"sep": separator, "names": range(len(header)), "header": 0}
        settings |= {"quoting": csv.QUOTE_NONE} if plain else {}
        places = [header.index(column) for column in columns]
        # Without index_col a first row with more cells than the header would shift all columns.
        with pd.read_csv(file, chunksize=ROWS, index_col=False, keep_default_na=False, **settings) as chunks:
            while True:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", ParserWarning)
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                wanted = as_text(chunk[places].set_axis(list(columns), axis=1))
                yield wanted.map(_unquoted) if plain else wanted
    except EmptyDataError:
        raise UserError(f"{file}: the file is empty") from None
    except (ParserError, ParserWarning, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file}: not a CSV table: {str(error).strip()}; mend that line, or its quotes") from None


def _has_plain_quotes(file: Path) -> bool:
    """Whether each line of a table with tabs is a row: a quote in it is then a letter, and holds no rows together."""
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as opened:
        return len({line.count(b"\t") for line in opened if line.strip()}) <= 1


def _unquoted(cell: str) -> str:
    """A cell that is quoted as a whole, without its quotes."""
    inside = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else cell


def _header(file: Path, columns: Sequence[str], settings: Mapping[str, Any]) -> tuple[str, list[str]]:
    """(what stands between a table's cells, its header): the first separator by which all wanted columns are there."""
    separators = ("\t",) if file.name.lower().endswith(TSV) else (",", "\t", ";")
    headers = {}
    for separator in separators:
        with suppress(ParserError):
            first = pd.read_csv(file, header=None, nrows=1, sep=separator, keep_default_na=False, **settings).iloc[0]
            headers[separator] = [decode(str(name).encode("utf-8", "surrogateescape"))[0] for name in first]
            if all(column in headers[separator] for column in columns):
                return separator, headers[separator]
    return separators[0], headers.get(separators[0], [])


def _parquet_chunks(file: Path, columns: Sequence[str], section: str) -> Iterator[pd.DataFrame]:
    try:
        with pq.ParquetFile(file) as opened:
            check_columns(file, opened.schema_arrow.names, columns, section)
            for batch in opened.iter_batches(batch_size=ROWS, columns=list(columns)):
                # Not by pandas' types, in which a chunk's whole numbers turn to fractions where one is missing.
                strings = {name: batch[name].cast(pa.string()).fill_null("") for name in columns}
                yield pd.DataFrame({name: pd.Series(own.to_pylist(), dtype=object) for name, own in strings.items()})
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file}: not a Parquet file of texts: {str(error).strip()}") from None
    except pa.ArrowNotImplementedError as error:
        raise UserError(f"{file}: {section}.text_column and label_column must hold texts or numbers: {error}") from None


def check_parquet(files: Sequence[Path], columns: Sequence[str], section: str) -> None:
    """Raises UserError unless each file is Parquet and has the columns."""
    for file in files:
        try:
            check_columns(file, pq.read_schema(file).names, columns, section)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file}: not a Parquet file: {str(error).strip()}") from None


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Every value as a string, a missing one as ""."""
    # Not by pandas' own conversions: its strings cannot hold the surrogates that stand for bytes that are no UTF-8.
    columns = {
        str(name): ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        for name, column in frame.items()
    }
    return pd.DataFrame(columns, dtype=object)


def check_columns(file: Path, present: Sequence[str], wanted: Sequence[str], section: str) -> None:
    """Raises UserError unless all the wanted columns are there."""
    for key, column in zip(("text_column", "label_column"), wanted, strict=False):
        if column not in present:
            raise UserError(
                f"{section}.{key}: {file.name} has no column {column!r}; its columns: {', '.join(map(str, present))}"
            )
        if list(present).count(column) > 1:
            raise UserError(f"{section}.{key}: {file.name} has several columns {column!r}; rename all but one of them")


def _decoded(frame: pd.DataFrame, findings: Findings) -> pd.DataFrame:
    """The frame with texts that are no UTF-8 read as Windows-1252, each a finding."""
    for column in ("text", "label"):
        values = frame[column].to_numpy(dtype=object, copy=True)
        for place in np.flatnonzero([not _encodable(value) for value in values]):
            values[place] = values[place].encode("utf-8", "surrogateescape").decode(FALLBACK, "replace")
            findings.add(NOT_UTF8, frame["name"].iloc[place], kept=True)
        frame[column] = values
    return frame


def _encodable(value: str) -> bool:
    return value.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in value)


def decode(content: bytes) -> tuple[str, str]:
    """(a file's text, what was odd about its encoding or ""). UTF-8, UTF-16 with its mark, or else Windows-1252."""
    if content[:2] in UTF16:
        return content.decode("utf-16", "replace"), WAS_UTF16
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode(FALLBACK, "replace"), NOT_UTF8


def readable_name(path: Path, folder: Path) -> str:
    """A path below a folder, as text that can be printed whatever bytes it is made of."""
    return decode(os.fsencode(path.relative_to(folder)))[0]


def _folder_frames(
    folder: Path, files: list[Path], label: str, subset: str, findings: Findings
) -> Iterator[pd.DataFrame]:
    """The texts of one class's folder."""
    for start in range(0, len(files), ROWS):
        rows = []
        for file in files[start : start + ROWS]:
            name = readable_name(file, folder)
            try:
                text, odd = decode(file.read_bytes())
            except OSError as error:
                raise UserError(f"{file}: cannot be read: {error.strerror}") from None
            if odd:
                findings.add(odd, name, kept=True)
            rows.append({"name": name, "text": text, "label": label, "subset": subset})
        yield pd.DataFrame(rows, dtype=object)
