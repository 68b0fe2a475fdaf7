"""Folders in Pascal VOC's layout: which image belongs to which annotation, and to which subset.

<top>/JPEGImages/…       images, in folders below or not
<top>/Annotations/…      an XML file for each, under the same name in the same folder
<top>/ImageSets/Main/    lists of their names: train.txt, val.txt, trainval.txt, test.txt
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.annotations import Annotation, Entry
from components.data.formats.folders import files_below, subset_in
from components.data.formats.voc_xml import parse
from components.errors import AnnotationError, UserError

IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets/Main"
XML = ".xml"


def tops_in(folder: Path) -> list[Path]:
    """The folders in this layout at or below a folder."""
    return [top for path in sorted(folder.rglob(ANNOTATIONS)) if _annotations(top := path.parent)]


def entries_in(folder: Path, key: str, findings: Findings) -> Iterator[Entry]:
    """Every image with an XML file, by folder and name.

    key: the key of params.yaml that names `folder`, for the message of the UserError where it cannot be told which of
    several folders in this layout are for testing.
    """
    tops = tops_in(folder)
    by_name = _subsets_of(tops, folder, key)
    for top in tops:
        prefix = f"{top.relative_to(folder).as_posix()}/" if len(tops) > 1 else ""
        annotations, image_files = _annotations(top), _image_files(top, prefix, findings)
        lists = _lists(top / LISTS, prefix, {*annotations, *image_files}, {*annotations}, findings)
        subsets = dict.fromkeys(annotations, by_name[top]) if top in by_name else lists
        for name in sorted({*image_files} - {*annotations}):
            findings.add("no annotation", f"{prefix}{name}", kept=False)
        for name in sorted(subsets.keys() & {*annotations}):
            told_in = f"{prefix}{name}{annotations[name].suffix}"
            if name in image_files:
                called = f"{prefix}{name}{image_files[name].suffix}"
                yield Entry(image_files[name], called, told_in, subsets[name], said_in(annotations[name]))
            else:
                findings.add("no image", told_in, kept=False)
        for name in sorted({*image_files} & {*annotations} - subsets.keys()):
            findings.add("in no list", f"{prefix}{name}", kept=False)


def said_in(xml: Path) -> Annotation | AnnotationError:
    """The annotation in an XML file, or what is wrong with it."""
    try:
        return parse(xml)
    except AnnotationError as error:
        return error


def _subsets_of(tops: Sequence[Path], folder: Path, key: str) -> dict[Path, str]:
    """Of several folders the subset that each is, by its name; nothing where none is said to be for testing.

    Raises UserError where that is said of some, and the others' names speak of no subset.
    """
    subsets = {top: subset for top in tops if not (top / LISTS).is_dir() and (subset := subset_in(top.name))}
    tests = {top for top, subset in subsets.items() if subset == "test"}
    others = [top for top in tops if top not in subsets]
    if tests and others:
        names = [", ".join(str(top.relative_to(folder)) for top in own) for own in (sorted(tests), others)]
        raise UserError(
            f"{folder}: {names[0]} is for testing by its name, and {names[1]} speaks of no subset; name each after its "
            f"subset (train, val or test), give each its {LISTS}, or point {key} at one of them"
        )
    return subsets if len(tops) > 1 and not others else {}


def _annotations(top: Path) -> dict[str, Path]:
    """Name → XML file of one folder in VOC's layout; nothing where it is none."""
    if not (top / IMAGES).is_dir():
        return {}
    files = (path for path in files_below(top / ANNOTATIONS) if path.suffix.lower() == XML)
    return {_name(path, top / ANNOTATIONS): path for path in files}


def _image_files(top: Path, prefix: str, findings: Findings) -> dict[str, Path]:
    """Name → image file. Of several under one name the first counts."""
    image_files: dict[str, Path] = {}
    for file in files_below(top / IMAGES):
        name = f"{prefix}{file.relative_to(top / IMAGES).as_posix()}"
        if not images.is_meant_as_image(file):
            findings.add("not an image", name, kept=False)
        elif image_files.setdefault(_name(file, top / IMAGES), file) is not file:
            findings.add("a second image of the same name", name, kept=False)
    return image_files


def _name(file: Path, top: Path) -> str:
    return file.relative_to(top).with_suffix("").as_posix() if file.suffix else file.relative_to(top).as_posix()


def _lists(lists: Path, prefix: str, known: set[str], annotated: set[str], findings: Findings) -> dict[str, str]:
    """Name → its subset as the lists in a folder say, "" of what is to learn from; without lists that is all.

    Of trainval.txt, as VOC's own have, validation rows are drawn; of train.txt and val.txt without it, val.txt is kept.
    known: the names of all images and annotations. What a list names beside them is a finding.
    """
    counts = Counter(posixpath.basename(name) for name in known)
    shortened = {own: name for name in known if counts[own := posixpath.basename(name)] == 1}

    def listed(subset: str) -> set[str] | None:
        file = lists / f"{subset}.txt"
        if not file.is_file():
            return None
        names: set[str] = set()
        for line in filter(None, map(str.strip, file.read_text("utf-8-sig", errors="replace").splitlines())):
            name = _meant(line, known, shortened)
            if name is None:
                findings.add("listed, but not there", f"{prefix}{LISTS}/{file.name}: {line}", kept=False)
            else:
                names.add(name)
        return names

    test, both = listed("test") or set(), listed("trainval")
    train, validation = (None, None) if both is not None else (listed("train"), listed("val"))
    if train is not None and validation is not None:
        subsets = dict.fromkeys(train, "train") | dict.fromkeys(validation, "validation")
    else:
        rest = next((names for names in (both, train, validation) if names is not None), annotated)
        subsets = dict.fromkeys(rest, "")
    return subsets | dict.fromkeys(test, "test")


def _meant(line: str, known: set[str], shortened: Mapping[str, str]) -> str | None:
    """The name that a line of a list means: a name, with spaces or not, with an ending, a path, or two of these."""
    for written in (line, line.split()[0]):
        path = PurePosixPath(written.replace("\\", "/"))
        begins = next((n for n, folder in enumerate(path.parts, 1) if folder in (IMAGES, ANNOTATIONS)), None)
        tail = path.parts[begins:] if begins else ()
        for name in (path, PurePosixPath(*tail)) if tail else (path,):
            for form in (name.as_posix(), name.with_suffix("").as_posix() if name.suffix else ""):
                if form in known:
                    return form
        # Where images lie in folders below, another folder's image is another one.
        own = len(path.parts) == 1 or path.is_absolute() or bool(tail) or not any("/" in name for name in known)
        for form in (path.name, path.stem) if own else ():
            if form in shortened:
                return shortened[form]
    return None
