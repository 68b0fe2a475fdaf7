"""A table of image files and their classes: names with or without endings, or paths, from the table or the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from components.data.findings import Findings
from components.data.formats import images, table_files, tables
from components.data.formats.folders import files_below
from components.data.formats.table_files import Wanted
from components.errors import UserError

Row = tuple[Path, str, str, str, Path]  # the image, what findings call it, its class, its subset, the table


def labelled(folder: Path, table: str, wanted: Wanted, findings: Findings) -> list[Row]:
    """The images that the tables in a folder list, in their order.

    table:  the name of the one that counts; "" where all do, by their names for training, validation and test.
    wanted: its first two columns are the files' and the classes'.
    Raises UserError for a table that cannot be read, or where none of its images is there.
    """
    chosen = _chosen(folder, table, wanted)
    of = _Images(folder)
    rows: list[Row] = []
    listed: dict[Path, str] = {}
    for file, subset in tables.subsets_of(chosen, folder, wanted).items():
        called = file.relative_to(folder).as_posix()
        for stated, label, own_subset, row in _rows(file, called, wanted, subset, findings):
            image = of.named(stated, file.parent)
            if image is None:
                findings.add("listed, but not there", f"{row}: {stated}", kept=False)
            elif not label:
                findings.add("no class", row, kept=False)
            elif image in listed:
                again = "listed again" if listed[image] == label else "listed again with another class"
                findings.add(again, row, kept=False)
            else:
                listed[image] = label
                rows.append((image, image.relative_to(folder).as_posix(), label, own_subset, file))
    if not rows:
        odd = "".join(f"\n    {line}" for line in findings.lines())
        raise UserError(f"{folder}: no image that {', '.join(f.name for f in chosen)} lists with a class is there{odd}")
    for image in of.files:
        if image not in listed:
            findings.add("in no table", image.relative_to(folder).as_posix(), kept=False)
    return rows


def _chosen(folder: Path, table: str, wanted: Wanted) -> list[Path]:
    there = table_files.tables_in(folder)
    if not table:
        return there
    named = [file for file in there if table in (file.name, file.relative_to(folder).as_posix())]
    if not named:
        names = ", ".join(file.relative_to(folder).as_posix() for file in there) or "none"
        raise UserError(f"{wanted.where}.table: no table {table!r} is in {folder}; there is: {names}")
    return named[:1]


def _rows(
    file: Path, called: str, wanted: Wanted, subset: str, findings: Findings
) -> Iterator[tuple[str, str, str, str]]:
    """(what the table calls the image, its class, its subset, the row's name) of each row."""
    names, labels, *_ = wanted.columns
    for frame in tables.rows(file, called, wanted, findings, subset):
        for stated, label, own, row in zip(frame[names], frame[labels], frame["subset"], frame["name"], strict=True):
            yield stated.strip(), label.strip(), own, row


class _Images:
    """The image files of a folder, by path, and by name or stem where these are one file's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tables_there = {*table_files.tables_in(folder)}
        self.files = [
            file for file in files_below(folder) if file not in tables_there and images.is_meant_as_image(file)
        ]
        self.known = {*self.files}
        self.by_name = _alone(self.files, [file.name for file in self.files])
        self.by_stem = _alone(self.files, [file.stem for file in self.files])

    def named(self, stated: str, beside: Path) -> Path | None:
        path = PurePosixPath(stated.replace("\\", "/"))
        for top in (beside, self.folder):
            if (file := top / path) in self.known:
                return file
        return self.by_name.get(path.name) or self.by_stem.get(path.name)


def _alone(files: Sequence[Path], keys: Sequence[str]) -> dict[str, Path]:
    counts = Counter(keys)
    return {key: file for key, file in zip(keys, files, strict=True) if counts[key] == 1}
