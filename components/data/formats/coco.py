"""COCO's JSON files: images, classes and boxes of a subset in one file (Lin et al. 2014; cocodataset.org)."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.annotations import Annotation, Entry, Object
from components.data.formats.folders import files_below, subset_in
from components.data.formats.pairs import check_subsets, subset_of
from components.errors import AnnotationError

JSON = ".json"
KEYS = {"images", "annotations", "categories"}
INSTANCES = "instances"  # what COCO calls the file with the boxes, beside those with captions and with joints


@dataclass(frozen=True)
class Told:
    """One file: where it lies, its subset or "", and what it holds."""

    file: Path
    subset: str
    values: Mapping[str, Any]


def files_in(folder: Path, findings: Findings) -> list[Told]:
    """The files in COCO's format at or below a folder, sorted; others beside them that are like these are findings."""
    told = []
    for file in files_below(folder):
        if file.suffix.lower() == JSON:
            values = _read(file)
            if isinstance(values, dict) and {*values} >= KEYS:
                told.append(Told(file, subset_in(file.stem) or subset_of(file, folder), values))
    chosen = [each for each in told if _has_boxes(each.values)]
    if any(each.file.name.startswith(INSTANCES) for each in chosen):
        chosen = [each for each in chosen if each.file.name.startswith(INSTANCES)]
    for each in told if chosen else []:
        if each not in chosen:
            findings.add("annotations of another kind", each.file.relative_to(folder).as_posix(), kept=False)
    return chosen


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _has_boxes(values: Mapping[str, Any]) -> bool:
    listed = values["annotations"]
    return isinstance(listed, list) and any(isinstance(each, dict) and "bbox" in each for each in listed)


def entries_in(folder: Path, key: str, findings: Findings) -> Iterator[Entry]:
    """Every image that a file names and that is there. Raises UserError where subsets cannot be told.

    key: the key of params.yaml that names the folder.
    """
    places, by_subset, seen = _Places(folder), defaultdict(list), set()
    for each in files_in(folder, findings):
        called = each.file.relative_to(folder).as_posix()
        by_image = _by_image(each.values)
        names = {own.get("id"): str(own.get("name")) for own in _dicts(each.values["categories"])}
        for own in _dicts(each.values["images"]):
            stated = str(own.get("file_name", ""))
            image = places.image(stated, each)
            if image is None:
                findings.add("no image", f"{called}: {stated}", kept=False)
                continue
            name = image.relative_to(folder).as_posix()
            if image in seen:
                findings.add("described twice", name, kept=False)
                continue
            seen.add(image)
            by_subset[each.subset].append(name)
            said = _said(own, by_image.get(own.get("id"), ()), names, name, findings)
            yield Entry(image, name, f"{called}: {stated}", each.subset, said)
    for image in places.files:
        if image not in seen:
            findings.add("no annotation", image.relative_to(folder).as_posix(), kept=False)
    check_subsets(by_subset, folder, key)


def _dicts(values: Any) -> Iterator[Mapping[str, Any]]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list) else iter(())


def _by_image(values: Mapping[str, Any]) -> Mapping[Any, list[Mapping[str, Any]]]:
    by_image = defaultdict(list)
    for each in _dicts(values["annotations"]):
        by_image[each.get("image_id")].append(each)
    return by_image


class _Places:
    """The image files of a folder, by their paths and by their names alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = [file for file in files_below(folder) if file.suffix != JSON and images.is_meant_as_image(file)]
        self.by_name: Mapping[str, list[Path]] = defaultdict(list)
        for file in self.files:
            self.by_name[file.name].append(file)
        self.known = {*self.files}

    def image(self, stated: str, told: Told) -> Path | None:
        """The file that an annotation file means by a name or a path; None where there is none, or several could be."""
        path = PurePosixPath(stated.replace("\\", "/"))
        for top in (told.file.parent, told.file.parent.parent, self.folder):
            if (file := top / path) in self.known:
                return file
        named = self.by_name.get(path.name, [])
        ends = [file for file in named if file.as_posix().endswith(f"/{path.as_posix().lstrip('./')}")] or named
        own = [file for file in ends if told.subset and subset_of(file, self.folder) == told.subset] or ends
        return own[0] if len(own) == 1 else None


def _said(
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    names: Mapping[Any, str],
    called: str,
    findings: Findings,
) -> Annotation | AnnotationError:
    """What is said of one image; a crowd is no object of its own."""
    objects = []
    try:
        for each in annotations:
            if each.get("iscrowd") == 1:
                findings.add("a crowd in one box", called, kept=False)
            else:
                objects.append(_object(each, names))
        return Annotation(tuple(objects), _size(image))
    except AnnotationError as error:
        return error


def _object(annotation: Mapping[str, Any], names: Mapping[Any, str]) -> Object:
    """Raises AnnotationError."""
    number = annotation.get("category_id")
    if number not in names:
        raise AnnotationError(f"annotation {annotation.get('id')}: category {number!r} has no name")
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_finite(side) for side in box):
        raise AnnotationError(f"annotation {annotation.get('id')}: bbox is {box!r}, where 4 numbers were expected")
    left, top, width, height = map(float, box)
    return Object(names[number], (left, top, left + width, top + height), difficult=False)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """None where it says none, and where it is 0 x 0, as some programs write that do not know it."""
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None
