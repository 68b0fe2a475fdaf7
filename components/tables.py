"""Tables that a stage leaves beside its plots, for the report to show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "tables.json"


@dataclass(frozen=True)
class Table:
    """Cells are text as it is to be shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def write_tables(folder: Path, tables: Sequence[Table]) -> None:
    """Write them into a folder of plots, in their order."""
    text = json.dumps([asdict(table) for table in tables], indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_tables(folder: Path) -> list[Table]:
    """The tables of a folder of plots; none if none were left."""
    file = folder / FILE
    return [Table(**table) for table in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []
