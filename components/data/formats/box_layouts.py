"""Images with boxes, in whichever layout: Pascal VOC's, XML files beside images, COCO's JSON, YOLO's text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from components.data.findings import Findings
from components.data.formats import coco, voc_layout, yolo
from components.data.formats.annotations import Entry
from components.data.formats.folders import SUBSETS, files_below
from components.data.formats.pairs import check_subsets, pairs_in
from components.errors import UserError

Reader = Callable[[Path, str, Findings], Iterator[Entry]]
WAYS = (
    f"a folder with {voc_layout.ANNOTATIONS}/*.xml and {voc_layout.IMAGES}/ (Pascal VOC), XML files beside images, a "
    f"JSON file in COCO's format, or YOLO's text files"
)


def entries_in(folder: Path, key: str, findings: Findings) -> list[Entry]:
    """Every image with an annotation, sorted by subset. Raises UserError for a folder in no layout, or in two.

    key: the key of params.yaml that names the folder, for messages.
    """
    layouts = layouts_in(folder)
    if not layouts:
        raise UserError(f"{folder}: no {WAYS.removeprefix('a ')} is in it; {key} must name one")
    if len(layouts) > 1:
        raise UserError(
            f"{folder}: annotations in several formats are in it: {', '.join(layouts)}; leave those of one there"
        )
    entries = list(next(iter(layouts.values()))(folder, key, findings))
    if any(entry.subset for entry in entries):
        entries = [replace(entry, subset=entry.subset or "train") for entry in entries]
        entries.sort(key=lambda entry: SUBSETS.index(entry.subset))
    return entries


def layouts_in(folder: Path) -> dict[str, Reader]:
    """The layouts that a folder has files of, by name, each with what reads it."""
    layouts: dict[str, Reader] = {}
    if voc_layout.tops_in(folder):
        layouts["Pascal VOC"] = voc_layout.entries_in
    elif _xml_in(folder):
        layouts["XML files"] = _beside
    if coco.files_in(folder, Findings()):
        layouts["COCO"] = coco.entries_in
    if yolo.label_files(folder):
        layouts["YOLO"] = yolo.entries_in
    return layouts


def _xml_in(folder: Path) -> list[Path]:
    return [file for file in files_below(folder) if file.suffix.lower() == voc_layout.XML]


def _beside(folder: Path, key: str, findings: Findings) -> Iterator[Entry]:
    """Images and XML files in the same folder, or in folders such as images/ and annotations/."""
    by_subset = defaultdict(list)
    for pair in pairs_in(folder, _xml_in(folder), findings):
        called = pair.image.relative_to(folder).as_posix()
        by_subset[pair.subset].append(called)
        told_in = pair.annotation.relative_to(folder).as_posix()
        yield Entry(pair.image, called, told_in, pair.subset, voc_layout.said_in(pair.annotation))
    check_subsets(by_subset, folder, key)
