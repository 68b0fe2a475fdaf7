"""YOLO's text files: a line for each object, its class's number and its box (Redmon and Farhadi 2018; Ultralytics).

CLASS X Y WIDTH HEIGHT     the box's centre and size, as fractions of the image's sides
CLASS X1 Y1 X2 Y2 X3 Y3 …  an outline, of which the box around it is taken

The classes' names stand in data.yaml, or one in a line of classes.txt, obj.names or the like.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.data.findings import Findings
from components.data.formats.annotations import Annotation, Entry, Object
from components.data.formats.folders import SUBSET_WORDS, files_below
from components.data.formats.pairs import check_subsets, pairs_in
from components.errors import AnnotationError, UserError

LABELS = ".txt"
YAML_NAMES = (".yaml", ".yml")
LISTS_OF_NAMES = ("classes.txt", "obj.names", "labels.txt", "names.txt", "_darknet.labels")
BOX_VALUES = 5


def label_files(folder: Path) -> list[Path]:
    """The text files that are labels of objects, sorted; those that list images or classes are not."""
    texts = [file for file in files_below(folder) if file.suffix.lower() == LABELS]
    others = {*LISTS_OF_NAMES, *(f"{word}{LABELS}" for word in SUBSET_WORDS)}
    return [file for file in texts if file.name.lower() not in others and _is_label(file)]


def _is_label(file: Path) -> bool:
    """By its first line; an empty one is of an image without objects."""
    try:
        with file.open(encoding="utf-8-sig") as opened:
            first = opened.readline().split()
        return all(math.isfinite(float(value)) for value in first) and (not first or len(first) >= BOX_VALUES)
    except (OSError, ValueError):
        return False


def entries_in(folder: Path, key: str, findings: Findings) -> Iterator[Entry]:
    """Every image with a label file. Raises UserError where the classes have no names, or subsets cannot be told.

    key: the key of params.yaml that names the folder.
    """
    names = _names_in(folder, key)
    pairs, by_subset = pairs_in(folder, label_files(folder), findings), defaultdict(list)
    lists = _lists_in(folder)
    for pair in pairs:
        called = pair.image.relative_to(folder).as_posix()
        subset = lists.get(pair.image.name) or pair.subset
        by_subset[subset].append(called)
        told_in = pair.annotation.relative_to(folder).as_posix()
        yield Entry(pair.image, called, told_in, subset, _said_in(pair.annotation, names))
    check_subsets(by_subset, folder, key)


def _said_in(file: Path, names: Mapping[int, str]) -> Annotation | AnnotationError:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        objects = [_object(line.split(), n, names) for n, line in enumerate(lines, 1) if line.strip()]
    except AnnotationError as error:
        return error
    except (OSError, UnicodeDecodeError) as error:
        return AnnotationError(str(error))
    return Annotation(tuple(objects), fractions=True)


def _object(values: list[str], line: int, names: Mapping[int, str]) -> Object:
    """Raises AnnotationError."""
    try:
        number, places = float(values[0]), [float(value) for value in values[1:]]
    except ValueError:
        raise AnnotationError(f"line {line}: {' '.join(values)!r} is not a row of numbers") from None
    is_box, is_outline = len(values) == BOX_VALUES, len(values) > BOX_VALUES + 1 and len(values) % 2 == 1
    if not is_box and not is_outline:
        raise AnnotationError(f"line {line}: {len(values)} numbers, where a class's and the 4 of a box were expected")
    if not all(map(math.isfinite, places)):
        raise AnnotationError(f"line {line}: a place is not a finite number")
    if number not in names:
        raise AnnotationError(f"line {line}: class {values[0]} has no name; there are {len(names)}")
    if is_box:
        x, y, width, height = places
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        box = (min(places[::2]), min(places[1::2]), max(places[::2]), max(places[1::2]))
    if max(map(abs, box)) > 2:  # a little beyond the image is rounding; pixels are another format
        raise AnnotationError(f"line {line}: a box of {max(map(abs, box)):g}, where fractions of the image are meant")
    return Object(names[int(number)], box, difficult=False)


def _names_in(folder: Path, key: str) -> dict[int, str]:
    """Class number → name. Raises UserError where no file has them, or several do that do not agree."""
    found = {file: names for file in files_below(folder) if (names := _names(file))}
    if not found:
        raise UserError(
            f"{folder}: YOLO's label files number the classes, and nothing names them; put data.yaml "
            f"(names: [first, second, …]) or classes.txt, a name in a line, into {key}"
        )
    first, *others = found.items()
    for file, names in others:
        if names != first[1]:
            raise UserError(f"{folder}: {first[0].name} and {file.name} name the classes differently; leave one there")
    return first[1]


def _names(file: Path) -> dict[int, str]:
    """The classes' names in a file; nothing where it has none."""
    if file.name.lower() in LISTS_OF_NAMES or file.suffix.lower() == ".names":
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        return dict(enumerate(name for line in lines if (name := line.strip())))
    if file.suffix.lower() not in YAML_NAMES:
        return {}
    try:
        values: Any = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YAMLError):
        return {}
    names = values.get("names") if isinstance(values, dict) else None
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict) and all(isinstance(number, int) for number in names):
        return {number: str(name) for number, name in names.items()}
    return {}


def _lists_in(folder: Path) -> dict[str, str]:
    """An image file's name → its subset, of lists such as train.txt with a path in each line.

    A name that stands in lists of several subsets is in none.
    """
    subsets: dict[str, str] = {}
    for file in files_below(folder):
        subset = SUBSET_WORDS.get(file.stem.lower()) if file.suffix.lower() == LABELS else None
        for line in file.read_text("utf-8-sig", errors="replace").splitlines() if subset else ():
            name = line.strip().replace("\\", "/").rsplit("/", 1)[-1]
            subsets[name] = str(subset) if subsets.get(name, subset) == subset else ""
    return subsets
