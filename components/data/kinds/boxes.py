"""Images with objects in boxes: Pascal VOC's layout, XML files beside images, COCO's JSON, or YOLO's text files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from components.data.arrays import published
from components.data.decoded import open_examples
from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.annotations import Annotation, Entry, Object, placed
from components.data.formats.box_layouts import entries_in
from components.data.image_files import decode_files
from components.data.kind import Examples, ImagesConfig, Kind
from components.errors import AnnotationError, UserError


class Config(ImagesConfig):
    side: int = Field(300, ge=8, le=2048, description="an integer from 8 to 2048: the images' side in pixels")
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="null (every class that occurs) | a list of class names; other objects are left out",
    )
    difficult: bool = Field(True, description="true | false: whether objects marked as difficult count")

    first: Literal["listed", "largest"] = Field(
        "listed",
        description="listed (the annotations' first) | largest: the object of an image that models of one learn",
    )

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes and len(set(classes)) < len(classes):
            raise ValueError("a class is named twice")
        return classes


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """The images in `folder` that show objects, sorted by the subset of a published split.

    inputs (n, 3, side, side) and extra "boxes", float32 (n, most objects, 4), (left, top, right, bottom) as fractions
    of the image's sides, padded with 0, and "labels", int64 (n, most objects), padded with -1. targets: the class
    of each image's first object. Raises UserError when there are none, or too many unreadable files.
    """
    findings = Findings()
    entries = entries_in(folder, f"{config.where}.source", findings)
    wanted = list(_annotated(entries, config, findings))
    rows = images.new_rows(scratch, max(len(wanted), 1), config.side)
    shown: list[tuple[str, list[Object]]] = []
    files = [entry.image for entry, _ in wanted]
    names = [entry.name for entry, _ in wanted]
    bits = images.grey_bits(files)
    for number, decoded in images.readable(files, names, config.side, findings, bits):
        entry, annotation = wanted[number]
        try:
            objects = placed(annotation, decoded, entry.told_in, findings)
        except AnnotationError as error:
            findings.bad("size disagrees", entry.told_in, str(error))
            continue
        if objects:
            rows[len(shown)] = decoded.pixels
            shown.append((entry.subset, _largest_first(objects) if config.first == "largest" else objects))
        else:
            findings.add("no objects", entry.told_in, kept=False)
    findings.check(len(entries), config.bad_files, f"{config.where}.bad_files")
    return replace(_examples(rows[: len(shown)], shown, config, findings, folder), grey_bits=bits)


def _examples(
    rows: np.ndarray, shown: Sequence[tuple[str, list[Object]]], config: Config, findings: Findings, folder: Path
) -> Examples:
    """rows and, for each, (its published subset or "", its objects) as Examples."""
    if not any(subset in ("", "train") for subset, _ in shown):
        part = "outside the published test subset " if shown else ""
        odd = "".join(f"\n    {line}" for line in findings.lines())
        raise UserError(f"{folder}: no image {part}shows an object to learn; look at {config.where}.classes{odd}")
    classes = config.classes or tuple(sorted({thing.name for _, objects in shown for thing in objects}))
    numbers = {name: number for number, name in enumerate(classes)}
    most = max(len(objects) for _, objects in shown)
    boxes = np.zeros((len(shown), most, 4), dtype=np.float32)
    labels = np.full((len(shown), most), -1, dtype=np.int64)
    for row, (_, objects) in enumerate(shown):
        boxes[row, : len(objects)] = [thing.box for thing in objects]
        labels[row, : len(objects)] = [numbers[thing.name] for thing in objects]
    return Examples(
        inputs=rows,
        targets=labels[:, 0].copy(),
        classes=classes,
        subsets=published([subset for subset, _ in shown]),
        extra={"boxes": boxes, "labels": labels},
        findings=findings,
        rare_classes_ok=True,
    )


def _largest_first(objects: Sequence[Object]) -> list[Object]:
    def area(thing: Object) -> float:
        left, top, right, bottom = thing.box
        return (right - left) * (bottom - top)

    return sorted(objects, key=area, reverse=True)


def _annotated(entries: Sequence[Entry], config: Config, findings: Findings) -> Iterator[tuple[Entry, Annotation]]:
    """The entries with objects that the configuration wants, and their annotations with these alone."""
    for entry in entries:
        annotation, name = entry.said, entry.told_in
        if isinstance(annotation, AnnotationError):
            findings.bad("broken annotation", name, str(annotation))
            continue
        wanted = []
        for thing in annotation.objects:
            if config.classes is not None and thing.name not in config.classes:
                findings.add("unknown class", name, kept=False)
            elif thing.difficult and not config.difficult:
                findings.add("difficult object", name, kept=False)
            else:
                wanted.append(thing)
        if wanted:
            yield entry, replace(annotation, objects=tuple(wanted))
        else:
            findings.add("no objects", name, kept=False)


KIND = Kind(partial(decode_files, read), open_examples)
