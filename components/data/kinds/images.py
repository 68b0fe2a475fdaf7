"""Images with a class each: one folder per class, or a table (CSV and others) of files and their classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from components.data.arrays import published
from components.data.decoded import open_examples
from components.data.findings import NAMES_KEPT, Findings
from components.data.formats import images
from components.data.formats.folders import Kind as Files
from components.data.formats.folders import Layout, files_below, layout_of
from components.data.formats.table_files import Wanted, tables_in
from components.data.image_files import decode_files
from components.data.kind import Examples, ImagesConfig, Kind, TableConfig
from components.data.own_files import empty_folders
from components.errors import UserError


class Config(TableConfig, ImagesConfig):
    table: str = Field(
        "", description="the name of a table in the source with each image's class, where folders are no classes"
    )
    file_column: str = Field("file", description="the name of that table's column with the images' names or paths")


@dataclass(frozen=True)
class Listed:
    """An image file: what findings call it, its class, its published subset or "", and where its class is said."""

    file: Path
    name: str
    label: str
    subset: str
    told_in: Path


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """The images below `folder` as Examples of shape (n, channels, side, side), as folders or a table list them.

    Raises UserError when there are no images with classes, too many unreadable files, or a class with none left.
    """
    findings = Findings()
    listed = _listed(config, folder, findings)
    classes = tuple(sorted({each.label for each in listed}))
    if len(classes) < 2:
        raise UserError(f"{folder}: images of one class alone, {classes[0]!r}; to classify them takes two")
    files, names = [each.file for each in listed], [each.name for each in listed]
    rows, bits = images.new_rows(scratch, len(files), config.side), images.grey_bits(files)
    kept: list[Listed] = []
    for number, image in images.readable(files, names, config.side, findings, bits):
        rows[len(kept)] = image.pixels
        kept.append(listed[number])
    _check_each_class(listed, kept, findings)
    findings.check(len(files), config.bad_files, f"{config.where}.bad_files")
    return Examples(
        rows[: len(kept)],
        np.array([classes.index(each.label) for each in kept], dtype=np.int64),
        classes,
        subsets=published([each.subset for each in kept]),
        findings=findings,
        grey_bits=bits,
    )


def _check_each_class(listed: list[Listed], kept: list[Listed], findings: Findings) -> None:
    """Raise UserError for a class of a subset of which no image can be read."""
    readable = {(each.subset, each.label) for each in kept}
    for each in listed:
        if (each.subset, each.label) not in readable:
            unread = [own.name for own in listed if (own.subset, own.label) == (each.subset, each.label)]
            raise UserError(
                f"{each.told_in}: not one of its {len(unread)} images can be read; mend or delete this class"
                + "".join(f"\n    {findings.reason(name)}" for name in unread[:NAMES_KEPT])
            )


def _listed(config: Config, folder: Path, findings: Findings) -> list[Listed]:
    """The images of all classes: of folders, or, where `table` names one or folders are no classes, of a table."""
    files_of = Files(images.is_meant_as_image, "images", f"{config.where}.source")
    if config.table:
        return _in_a_table(config, folder, findings)
    there = tables_in(folder)
    try:
        layout = layout_of(folder, files_of)
    except UserError:
        if not there:
            raise
        return _in_a_table(config, folder, findings)
    if there and len({each.name for each in layout.classes}) == 1:  # a folder of all images, beside a table
        return _in_a_table(config, folder, findings)
    return _in_folders(layout, folder, files_of, findings)


def _in_a_table(config: Config, folder: Path, findings: Findings) -> list[Listed]:
    from components.data.formats.image_table import labelled  # pandas, where there is a table

    where = config.where
    columns = {config.file_column: f"{where}.file_column", config.label_column: f"{where}.label_column"}
    wanted = Wanted(columns, config.split_column, config.delimiter, where)
    return [Listed(*each) for each in labelled(folder, config.table, wanted, findings)]


def _in_folders(layout: Layout, folder: Path, files_of: Files, findings: Findings) -> list[Listed]:
    """Sorted by subset, class and file name."""
    _tell_what_is_left_out(layout, folder, findings)
    listed = []
    for own in layout.classes:
        for file in files_below(own.folder):
            name = f"{own.subset}/{own.name}" if own.subset else own.name
            name = f"{name}/{file.relative_to(own.folder).as_posix()}"
            if files_of.holds(file):
                listed.append(Listed(file, name, own.name, own.subset, own.folder))
            else:
                findings.add("not an image", name, kept=False)
    return listed


def _tell_what_is_left_out(layout: Layout, folder: Path, findings: Findings) -> None:
    """Count what lies beside the classes' images.

    Raises UserError for an empty folder: a class that lost its images.
    """
    tops = {each.folder.parent for each in layout.classes}
    empty = {folder / name for name in empty_folders(folder)}  # which DVC's cache does not bring back
    for beside in sorted({*layout.without, *(each for each in empty if each.parent in tops)}):
        name = beside.relative_to(folder).as_posix()
        if beside.parent in tops and (beside in empty or not any(True for _ in files_below(beside))):
            raise UserError(f"{folder}: the folder {name} is empty; a class needs images: fill it, or delete it")
        findings.add("folder without images", name, kept=False)
    for file in layout.loose:
        findings.add("image outside the classes' folders", file.relative_to(folder).as_posix(), kept=False)


KIND = Kind(partial(decode_files, read), open_examples)
