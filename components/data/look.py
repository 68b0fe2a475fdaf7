"""What a source holds, before it is an entry of params.yaml: its kind, classes, sizes, split, and what is odd.

All files are read once, by the very code of the stages.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from components.data.arrays import SUBSETS, Subset
from components.data.download import source_of
from components.data.formats import box_layouts, images, table_files
from components.data.formats.folders import files_below
from components.data.formats.idx import is_idx
from components.data.formats.text_files import is_text
from components.data.kind import Examples, Kind, load_kind
from components.data.own_files import check_names, path_here, tree
from components.data.split import split_examples
from components.errors import OddNameError, UserError
from components.params.declarations import KINDS, config_of, declared_in
from components.params.faults import fault, nearest

SMALL = 8  # the side in pixels at which images are looked at
SIZES_SEEN = 500
SIDES = (32, 64, 96, 128, 180, 224)  # which are suggested
SIDES_OF_BOXES = (64, 128, 224, 300)
SMALLEST_KEPT = 96  # images that all are that small and square are best left as they are
OF_TEXTS = ("text", "message", "review", "sentence", "content", "body", "comment", "tweet", "title")
OF_FILES = ("file", "filename", "file_name", "image", "image_path", "path", "filepath", "image_id", "id")
OF_LABELS = ("label", "class", "category", "target", "sentiment", "kind", "species", "breed", "y")


@dataclass(frozen=True)
class Looked:
    """values: the entry's keys, as far as they are no defaults. lines: what is there, for a person to read."""

    values: Mapping[str, Any]
    lines: list[str]


def look(name: str, source: str, given: Mapping[str, Any], profile: str) -> Looked:
    """Read what a source holds. Raises UserError, as the stages would, for what cannot be read.

    source: as params.yaml would have it. given: keys that the user has chosen, of which `kind` may be one.
    """
    if "kind" in given:  # before gigabytes are read
        _config(name, {"source": source, **given})
    with _files(name, source, profile) as folder:
        kind = str(given.get("kind") or _kind_of(folder))
        values = {"kind": kind, "source": source, **_columns(kind, folder, given), **given}
        sides = _sizes(folder) if kind in ("images", "boxes") else []
        if sides and "side" not in values:
            values["side"] = _suggested(sides, SIDES_OF_BOXES if kind == "boxes" else SIDES)
        config = _config(name, values)
        with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
            read: Kind = load_kind(kind)
            quick = config.model_copy(update=_quick(kind))
            said = read.preprocess(quick, folder, Path(made))
            examples = read.examples(quick, Path(made), Path(scratch))
            rows = split_examples(quick, examples)
            lines = [*_told(examples, rows), *_of_sizes(sides), *said[1:]]
    return Looked(values, [f"{kind}, from {source}", *lines])


def _config(name: str, values: Mapping[str, Any]) -> Any:
    """The entry as params.yaml would have it. Raises UserError for a kind, a key or a value that cannot be."""
    kind, known = str(values["kind"]), list(declared_in(KINDS))
    if kind not in known:
        raise UserError(f"{kind!r} is no kind of data{nearest(kind, known)}")
    declared = config_of(KINDS, kind)
    try:
        return declared.model_validate_json(json.dumps(dict(values), default=str)).at(f"data.{name}")
    except ValidationError as error:
        said = [fault(declared, f"data.{name}.", details) for details in error.errors()]
        raise UserError("\n".join(said)) from None


def _quick(kind: str) -> dict[str, Any]:
    """What makes a look cheap and changes nothing of what is counted."""
    if kind == "texts":
        from components.data.text.steps import Steps

        return {"steps": Steps(stopwords="none", lemmas="none")}
    return {"side": SMALL} if kind in ("images", "boxes") else {}


@contextmanager
def _files(name: str, source: str, profile: str) -> Iterator[Path]:
    """The source's files: in place if it is a folder, else fetched to where they are deleted again."""
    here = path_here(source)
    if here is not None and here.is_dir():
        try:
            check_names(name for name, _ in tree(here))
        except OddNameError as error:
            raise UserError(f"{source}: {error}") from None
        yield here
        return
    with tempfile.TemporaryDirectory() as temporary:
        _, place, _ = source_of(source, f"data.{name}", profile)
        place.fetch(Path(temporary))
        yield Path(temporary)


def _kind_of(folder: Path) -> str:
    """The kind that files are most likely of. Raises UserError where none of them fits one."""
    files = list(files_below(folder))
    if any(is_idx(file) for file in files):
        return "digits"
    tables = table_files.tables_in(folder)
    texts = [file for file in files if is_text(file)]
    pictures = sum(images.is_meant_as_image(file) for file in files if file not in tables)
    if pictures and pictures >= len(texts) - 1 and box_layouts.layouts_in(folder):
        return "boxes"
    if pictures > 1 and pictures >= len(texts):
        return "images"
    if tables or texts:
        return "texts"
    endings = sorted({file.suffix or file.name for file in files})[:10]
    raise UserError(
        f"{folder}: no images, tables, texts or IDX files are in it; there is: {', '.join(endings) or 'nothing'}. "
        f"--kind says what it is: {', '.join(declared_in(KINDS))}"
    )


def _columns(kind: str, folder: Path, given: Mapping[str, Any]) -> dict[str, str]:
    """The columns of a table that are called otherwise than by default, as far as their names tell."""
    there = table_files.tables_in(folder) if kind in ("images", "texts") else []
    if not there:
        return {}
    from components.data.formats.tables import columns_of

    names = columns_of(there[0], table_files.Wanted({}, "", str(given.get("delimiter", "")), ""))
    keys = {"text_column": OF_TEXTS} if kind == "texts" else {"file_column": OF_FILES}
    chosen = {}
    for key, known in {**keys, "label_column": OF_LABELS}.items():
        column = next((name for like in known for name in names if name.strip().lower() == like), None)
        if column and column != known[0]:
            chosen[key] = column
    return chosen


def _sizes(folder: Path) -> list[tuple[int, int]]:
    """(width, height) of some of the images, evenly chosen."""
    files = [file for file in files_below(folder) if images.is_meant_as_image(file)]
    sizes = []
    for file in files[:: max(1, len(files) // SIZES_SEEN)]:
        try:
            with Image.open(file, formats=images.formats()) as image:
                sizes.append(image.size)
        except Exception:  # which reading it will tell
            continue
    return sizes


def _suggested(sizes: list[tuple[int, int]], usual: Sequence[int]) -> int:
    """The side of small square images as it is; else the usual one that is nearest to most images' shorter side."""
    if len({*sizes}) == 1 and sizes[0][0] == sizes[0][1] <= SMALLEST_KEPT:
        return max(sizes[0][0], SMALL)
    typical = float(np.median([min(size) for size in sizes]))
    return min(usual, key=lambda side: abs(np.log(side / typical)))


def _of_sizes(sizes: list[tuple[int, int]]) -> list[str]:
    if not sizes:
        return []
    least, most = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    if least == most:
        return [f"sizes: {least[0]} x {least[1]} pixels"]
    middle = sorted(sizes, key=lambda s: s[0] * s[1])[len(sizes) // 2]
    return [
        f"sizes: from {least[0]} x {least[1]} to {most[0]} x {most[1]} pixels, half of them up to "
        f"{middle[0]} x {middle[1]}"
    ]


def _told(examples: Examples, rows: Mapping[Subset, np.ndarray]) -> list[str]:
    """Classes and their counts, and the split."""
    counts = np.bincount(examples.targets, minlength=len(examples.classes))
    named = ", ".join(f"{name} ({count:,})" for name, count in zip(examples.classes[:20], counts, strict=False))
    more = f", and {len(examples.classes) - 20} more" if len(examples.classes) > 20 else ""
    what = "images with objects" if "boxes" in examples.extra else "examples"
    lines = [f"{len(examples.targets):,} {what} of {len(examples.classes)} classes: {named}{more}"]
    published = [] if examples.subsets is None else [SUBSETS[number] for number in np.unique(examples.subsets)]
    kept = f"the published {' and '.join(published)} rows are kept" if published else "no split is published"
    return [*lines, f"{kept}: {', '.join(f'{subset} {len(rows[subset]):,}' for subset in SUBSETS)}"]
