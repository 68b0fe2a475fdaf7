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


def write_tables(folder: Path, tables: Sequence[Table], heading: str = "") -> None:
    """Write them into a folder of plots, in their order, below a heading where nothing else names them."""
    values = {"heading": heading, "tables": [asdict(table) for table in tables]}
    (folder / FILE).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_tables(folder: Path) -> tuple[str, list[Table]]:
    """The heading and the tables of a folder of plots; none if none were left."""
    file = folder / FILE
    if not file.exists():
        return "", []
    values = json.loads(file.read_text(encoding="utf-8"))
    return values["heading"], [Table(**table) for table in values["tables"]]
