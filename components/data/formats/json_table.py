"""Tables as JSON: an object in each line (JSON lines), or one list of objects; packed by gzip or not."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd

from components.errors import UserError

LOOKED_AT = 100  # rows, of which the columns are all the keys


def columns_of(file: Path) -> list[str]:
    """The keys of a table's first rows, in the order of their first place. Raises UserError for what is no table."""
    columns: dict[str, None] = {}
    for number, (_, row) in enumerate(_objects(file)):
        if number == LOOKED_AT:
            break
        columns |= dict.fromkeys(row)
    if not columns:
        raise UserError(f"{file}: the file is empty")
    return [*columns]


def chunks(file: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    """Some columns, all strings, "" where a row lacks one; so many rows at a time. Raises UserError."""
    cells: list[list[str]] = []
    for line, row in _objects(file):
        cells.append([_cell(row.get(column), column, file, line) for column in columns])
        if len(cells) == rows:
            yield pd.DataFrame(cells, columns=list(columns), dtype=object)
            cells = []
    if cells:
        yield pd.DataFrame(cells, columns=list(columns), dtype=object)


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line or number, object) of each row."""
    try:
        with _opened(file) as opened:
            is_list = opened.read(64).removeprefix("\ufeff").lstrip().startswith("[")
        with _opened(file) as opened:
            rows = enumerate(json.load(opened), 1) if is_list else _lines(opened, file)
            for line, row in rows:
                if not isinstance(row, dict):
                    raise UserError(f"{file}: row {line} is {str(row)[:40]!r}, where an object {{…}} was expected")
                yield line, row
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file}: not a JSON table: {error}") from None


def _lines(opened: IO[str], file: Path) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(opened, 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except ValueError as error:
                raise UserError(f"{file}: line {line} is not JSON: {error}; each line must be an object") from None


def _opened(file: Path) -> IO[str]:
    opens = gzip.open if file.name.lower().endswith(".gz") else open
    return opens(file, "rt", encoding="utf-8-sig", errors="surrogateescape")


def _cell(value: Any, column: str, file: Path, line: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise UserError(
        f"{file}: line {line}: {column!r} is a {type(value).__name__}, where a text or a number was expected"
    )
