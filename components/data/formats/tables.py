"""Tables in files, read in chunks: CSV and the like, JSON lines, Parquet. Every cell is a string.

A table may say which rows are for training, validation and test: by its file's name, or in a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.endings import JSON, JSON_LINES, PARQUET
from components.data.findings import Findings
from components.data.formats import csv_table, json_table
from components.data.formats.csv_table import FALLBACK, UTF16
from components.data.formats.folders import ALONE, SUBSET_WORDS, SUBSETS, subset_in
from components.data.formats.table_files import Wanted
from components.errors import UserError

ROWS = 25_000  # of a chunk
NOT_UTF8, WAS_UTF16 = "not UTF-8, read as Windows-1252", "UTF-16"
SPLIT_KEY = "split_column"


def subsets_of(tables: Sequence[Path], folder: Path, wanted: Wanted) -> dict[Path, str]:
    """The subset of a published split that each table is, by its name or its folders', in the subsets' order.

    "" where there is but one subset, or where each table has a column that tells. Raises UserError where that is so of
    some and not of others.
    """
    telling = {file for file in tables if wanted.split and wanted.split in columns_of(file, wanted)}
    if telling == {*tables}:
        return dict.fromkeys(tables, "")
    subset_of: dict[Path, str] = {}
    for file in tables:
        stem, *folders = reversed(file.relative_to(folder).parts)
        named = (
            subset_in(name) for name in (stem.partition(".")[0], *filter(ALONE.fullmatch, map(str.lower, folders)))
        )
        subset_of[file] = next(filter(None, named), "")
    if len({*subset_of.values()}) == 1 and not telling:
        return dict.fromkeys(tables, "")
    if without := [file for file in tables if not subset_of[file] and file not in telling]:
        own = _names((file for file in tables if file not in without), folder)
        raise UserError(
            f"{folder}: {own} {'are subsets' if ', ' in own else 'is a subset'} of a split by name or by a column, "
            f"{_names(without, folder)} of none; point {wanted.where}.source at one table, or name each after its "
            f"subset: train, validation or test"
        )
    if not telling and "train" not in subset_of.values():
        raise UserError(f"{folder}: of {', '.join(sorted({*subset_of.values()}))} tables none is for training")
    ordered = {file: subset for each in SUBSETS for file, subset in subset_of.items() if subset == each}
    return ordered | {file: "" for file in tables if file not in ordered}


def _names(files: Iterable[Path], folder: Path) -> str:
    return ", ".join(str(file.relative_to(folder)) for file in files)


def columns_of(file: Path, wanted: Wanted) -> list[str]:
    """A table's columns. Raises UserError for a file that is no table."""
    name = file.name.lower()
    if name.endswith(PARQUET):
        try:
            return list(pq.read_schema(file).names)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file}: not a Parquet file: {str(error).strip()}") from None
    if name.endswith((*JSON_LINES, *JSON)):
        return json_table.columns_of(file)
    return csv_table.header(file, [*wanted.columns], wanted.delimiter)[1]


def rows(file: Path, called: str, wanted: Wanted, findings: Findings, subset: str = "") -> Iterator[pd.DataFrame]:
    """The rows of a table in chunks: the wanted columns, and `name` (its row and what the file is `called`), `subset`.

    Raises UserError for a file that cannot be read, or that lacks a column.
    """
    present = columns_of(file, wanted)
    check_columns(file, present, wanted)
    tells = bool(wanted.split) and wanted.split in present
    columns = [*wanted.columns, *([wanted.split] if tells and wanted.split not in wanted.columns else [])]
    start = 0
    for chunk in _chunks(file, columns, wanted):
        names = [f"{called} row {start + place + 1}" for place in range(len(chunk))]
        subsets = _subsets(chunk[wanted.split], names, wanted) if tells else subset
        start += len(chunk)
        yield _decoded(chunk[[*wanted.columns]].assign(name=names, subset=subsets), [*wanted.columns], findings)


def _chunks(file: Path, columns: Sequence[str], wanted: Wanted) -> Iterator[pd.DataFrame]:
    """The named columns of a table in chunks of strings, a missing value as ""."""
    name = file.name.lower()
    if name.endswith(PARQUET):
        yield from _parquet_chunks(file, columns, wanted)
    elif name.endswith((*JSON_LINES, *JSON)):
        yield from json_table.chunks(file, columns, ROWS)
    else:
        yield from csv_table.chunks(file, columns, ROWS, wanted.delimiter)


def _subsets(told: pd.Series[str], names: Sequence[str], wanted: Wanted) -> list[str]:
    """The subsets that a column tells, in the field's words. Raises UserError for a cell that tells none."""
    subsets = [SUBSET_WORDS.get(value.strip().lower(), "") for value in told]
    if "" in subsets:
        place, key = subsets.index(""), f"{wanted.where}.{SPLIT_KEY}"
        raise UserError(
            f"{key}: {names[place]} says {told.iloc[place]!r} in the column {wanted.split!r}, which is none of "
            f'{", ".join(SUBSET_WORDS)}; where that column is no split, set {key}: ""'
        )
    return subsets


def check_columns(file: Path, present: Sequence[str], wanted: Wanted) -> None:
    """Raises UserError unless all the wanted columns are there, each once."""
    for column, key in wanted.columns.items():
        if column not in present:
            raise UserError(f"{key}: {file.name} has no column {column!r}; its columns: {', '.join(map(str, present))}")
        if list(present).count(column) > 1:
            raise UserError(f"{key}: {file.name} has several columns {column!r}; rename all but one of them")


def _parquet_chunks(file: Path, columns: Sequence[str], wanted: Wanted) -> Iterator[pd.DataFrame]:
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=ROWS, columns=list(columns)):
                # Not by pandas' types, in which a chunk's whole numbers turn to fractions where one is missing.
                strings = {name: batch[name].cast(pa.string()).fill_null("") for name in columns}
                yield pd.DataFrame({name: pd.Series(own.to_pylist(), dtype=object) for name, own in strings.items()})
    except (pa.ArrowInvalid, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file}: not a Parquet file of texts: {str(error).strip()}") from None
    except pa.ArrowNotImplementedError as error:
        keys = " and ".join(wanted.columns.values())
        raise UserError(f"{file}: {keys} must hold texts or numbers: {error}") from None


def _decoded(frame: pd.DataFrame, columns: Sequence[str], findings: Findings) -> pd.DataFrame:
    """The frame with texts that are no UTF-8 read as Windows-1252, each a finding."""
    for column in columns:
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
