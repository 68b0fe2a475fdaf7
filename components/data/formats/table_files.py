"""Which files are tables, and what is wanted of them. Imports no pandas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.data.endings import JSON, TABLES
from components.data.own_files import SUMMARY


@dataclass(frozen=True)
class Wanted:
    """What is read of tables.

    columns:   the columns, which must be there → the keys of params.yaml that name them, for messages.
    split:     the column that says each row's subset, where a table has one; "" if none does.
    delimiter: what stands between the cells of a CSV; "" if it is to be found.
    where:     the path of the entry in params.yaml.
    """

    columns: Mapping[str, str]
    split: str
    delimiter: str
    where: str


def tables_in(folder: Path) -> list[Path]:
    """The visible tables in a folder or below it, sorted. What ends with .json is one only where nothing else is."""
    tables = files_in(folder, TABLES)
    return tables or [file for file in files_in(folder, JSON) if file.name != SUMMARY]


def files_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The visible files with one of these endings in a folder or below it, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name.lower().endswith(endings))
    return sorted(path for path in files if not any(p.startswith(".") for p in path.relative_to(folder).parts))
