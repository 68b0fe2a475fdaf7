"""Texts with labels in files: tables, or one folder per class with a .txt file per text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from components.data.endings import TABLES
from components.data.findings import Findings
from components.data.formats import table_files, tables
from components.data.formats.folders import Kind, files_below, layout_of
from components.data.formats.table_files import Wanted
from components.data.formats.tables import decode
from components.data.own_files import SUMMARY
from components.errors import UserError

TEXT = (".txt",)


def frames(folder: Path, wanted: Wanted, findings: Findings) -> Iterator[pd.DataFrame]:
    """Every row under `folder`, in the files' order: columns `name` (its place), `text`, `label`, `subset`, and others.

    wanted: its first two columns are the texts' and the labels'; others are given as they are.
    subset: train, validation or test, where tables or folders of classes are named after these, or a column tells;
            else "".
    Raises UserError for a file that cannot be read, or if there is nothing to read.
    """
    there = table_files.tables_in(folder)
    if there:
        subsets = tables.subsets_of(there, folder, wanted)
        for file in table_files.files_in(folder, ("",)):
            if file not in subsets and file.name != SUMMARY:
                findings.add("not a table", readable_name(file, folder), kept=False)
        for file, subset in subsets.items():
            yield from table_frames(file, str(file.relative_to(folder)), wanted, findings, subset)
        return
    kind = Kind(is_text, f"{TEXT[0]} files", f"{wanted.where}.source")
    if not any(kind.holds(file) for file in files_below(folder)):
        raise UserError(
            f"{folder}: neither a table ({', '.join(TABLES)}) nor folders of .txt files, one per class, "
            f"are in it; {wanted.where}.source must name such data"
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


def is_text(file: Path) -> bool:
    """By its ending, or where it has none: 20 Newsgroups' texts are called 49960."""
    return file.name.lower().endswith(TEXT) or "." not in file.name


def table_frames(
    file: Path, called: str, wanted: Wanted, findings: Findings, subset: str = ""
) -> Iterator[pd.DataFrame]:
    """The rows of one table, as `frames` has them."""
    text, label, *_ = wanted.columns
    for chunk in tables.rows(file, called, wanted, findings, subset):
        yield chunk.rename(columns={text: "text", label: "label"})


def readable_name(path: Path, folder: Path) -> str:
    """A path below a folder, as text that can be printed whatever bytes it is made of."""
    return decode(os.fsencode(path.relative_to(folder)))[0]


def _folder_frames(
    folder: Path, files: list[Path], label: str, subset: str, findings: Findings
) -> Iterator[pd.DataFrame]:
    """The texts of one class's folder."""
    for start in range(0, len(files), tables.ROWS):
        rows = []
        for file in files[start : start + tables.ROWS]:
            name = readable_name(file, folder)
            try:
                text, odd = decode(file.read_bytes())
            except OSError as error:
                raise UserError(f"{file}: cannot be read: {error.strerror}") from None
            if odd:
                findings.add(odd, name, kept=True)
            rows.append({"name": name, "text": text, "label": label, "subset": subset})
        yield pd.DataFrame(rows, dtype=object)
