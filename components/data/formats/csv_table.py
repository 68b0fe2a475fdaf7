"""Tables with a row in a line: cells between commas, semicolons, bars or tabs, quoted or not; packed by gzip or not."""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from components.data.endings import TSV
from components.errors import UserError

DELIMITERS = (",", "\t", ";", "|")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
FALLBACK = "cp1252"  # what a text that is not UTF-8 most often is
SETTINGS: dict[str, Any] = {
    "encoding": "utf-8-sig",
    "encoding_errors": "surrogateescape",
    "dtype": object,
    "keep_default_na": False,
}
DAMAGE = (ParserError, ParserWarning, OSError, EOFError, zlib.error)


def header(file: Path, wanted: Sequence[str], delimiter: str = "") -> tuple[str, list[str]]:
    """(what stands between a table's cells, its columns): the first delimiter by which all wanted columns are there.

    delimiter: the only one to try, if it is given. Raises UserError for a file that is no table.
    """
    given = (delimiter,) if delimiter else ("\t",) if file.name.lower().endswith(TSV) else DELIMITERS
    headers: dict[str, list[str]] = {}
    try:
        with _opened(file) as opened:
            if opened.read(2) in UTF16:
                raise UserError(f"{file}: this is UTF-16; save it as UTF-8")
        for each in given:
            with suppress(ParserError):
                first = pd.read_csv(file, header=None, nrows=1, sep=each, **SETTINGS).iloc[0]
                headers[each] = [_decoded(str(name)) for name in first]
                if wanted and all(column in headers[each] for column in wanted):
                    return each, headers[each]
    except EmptyDataError:
        raise UserError(f"{file}: the file is empty") from None
    except DAMAGE as error:
        raise UserError(_fault(file, error)) from None
    most = max(headers, key=lambda each: len(headers[each]), default=given[0])
    return most, headers.get(most, [])


def chunks(file: Path, columns: Sequence[str], rows: int, delimiter: str = "") -> Iterator[pd.DataFrame]:
    """Some columns, all strings, so many rows at a time. Raises UserError for a file that is no table."""
    separator, names = header(file, columns, delimiter)
    plain = separator == "\t" and _has_plain_quotes(file)
    settings: dict[str, Any] = {"sep": separator, "names": range(len(names)), "header": 0, **SETTINGS}
    settings |= {"quoting": csv.QUOTE_NONE} if plain else {}
    places = [names.index(column) for column in columns]
    try:
        # Without index_col a first row with more cells than the header would shift all columns.
        with pd.read_csv(file, chunksize=rows, index_col=False, **settings) as read:
            while True:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", ParserWarning)
                    chunk = next(read, None)
                if chunk is None:
                    return
                wanted = _as_text(chunk[places].set_axis(list(columns), axis=1))
                yield wanted.map(_unquoted) if plain else wanted
    except DAMAGE as error:
        raise UserError(_fault(file, error)) from None


def _fault(file: Path, error: Exception) -> str:
    return f"{file}: not a CSV table: {str(error).strip()}; mend that line, or its quotes"


def _opened(file: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb")


def _decoded(name: str) -> str:
    content = name.encode("utf-8", "surrogateescape")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode(FALLBACK, "replace")


def _has_plain_quotes(file: Path) -> bool:
    """Whether each line of a table with tabs is a row: a quote in it is then a letter, and holds no rows together."""
    with _opened(file) as opened:
        return len({line.count(b"\t") for line in opened if line.strip()}) <= 1


def _unquoted(cell: str) -> str:
    """A cell that is quoted as a whole, without its quotes."""
    inside = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', "")
    return inside.replace('""', '"') if whole else cell


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Every value as a string, a missing one as ""."""
    # Not by pandas' own conversions: its strings cannot hold the surrogates that stand for bytes that are no UTF-8.
    columns = {
        str(name): ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        for name, column in frame.items()
    }
    return pd.DataFrame(columns, dtype=object)
