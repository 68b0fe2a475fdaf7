"""Folders in Pascal VOC's layout: which image belongs to which annotation, and to which subset.

<top>/JPEGImages/…       images, in folders below or not
<top>/Annotations/…      an XML file for each, under the same name in the same folder
<top>/ImageSets/Main/    lists of their names: train.txt, val.txt, trainval.txt, test.txt
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.folders import files_below, subset_in
from components.errors import UserError

IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets/Main"
XML = ".xml"


@dataclass(frozen=True)
class Entry:
    """An image and its XML file.

    name:   of both, below their folders and without an ending.
    prefix: what goes before their names where data sets of several years are read.
    """

    xml: Path
    image: Path
    name: str
    prefix: str
    test: bool


def entries_in(folder: Path, key: str, findings: Findings) -> Iterator[Entry]:
    """Every image with an XML file, by folder and name, those of the data sets' own test subsets last.

    key: the key of params.yaml that names the folder, for the message of the UserError where there is none.
    """
    tops = [top for path in sorted(folder.rglob(ANNOTATIONS)) if _annotations(top := path.parent)]
    if not tops:
        raise UserError(f"{folder}: no folder with {ANNOTATIONS}/*.xml and {IMAGES}/ is in it; {key} must name one")
    learning: list[Entry] = []
    test: list[Entry] = []
    tests = _test_tops(tops, folder, key)
    for top in tops:
        prefix = f"{top.relative_to(folder).as_posix()}/" if len(tops) > 1 else ""
        annotations, image_files = _annotations(top), _image_files(top, prefix, findings)
        own_test, rest = _parts(top / LISTS, prefix, {*annotations, *image_files}, {*annotations}, findings)
        if top in tests:
            own_test, rest = rest, set()
        for name in sorted({*image_files} - {*annotations}):
            findings.add("no annotation", f"{prefix}{name}", kept=False)
        for name in sorted((own_test | rest) & {*annotations}):
            if name in image_files:
                entry = Entry(annotations[name], image_files[name], name, prefix, name in own_test)
                (test if entry.test else learning).append(entry)
            else:
                findings.add("no image", f"{prefix}{name}{XML}", kept=False)
        for name in sorted({*image_files} & {*annotations} - own_test - rest):
            findings.add("in no list", f"{prefix}{name}", kept=False)
    yield from learning
    yield from test


def _test_tops(tops: Sequence[Path], folder: Path, key: str) -> set[Path]:
    """Of several folders without lists those whose names say that they are for testing.

    Raises UserError where that is said of some, and the others' names speak of no subset.
    """
    subsets = {top: subset_in(top.name) for top in tops if not (top / LISTS).is_dir()}
    tests = {top for top, subset in subsets.items() if subset == "test"}
    others = [top for top in tops if not subsets.get(top)]
    if tests and others:
        names = [", ".join(str(top.relative_to(folder)) for top in own) for own in (sorted(tests), others)]
        raise UserError(
            f"{folder}: {names[0]} is for testing by its name, and {names[1]} speaks of no subset; name each after its "
            f"subset (train, val or test), give each its {LISTS}, or point {key} at one of them"
        )
    return tests if len(tops) > 1 else set()


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


def _parts(
    lists: Path, prefix: str, known: set[str], annotated: set[str], findings: Findings
) -> tuple[set[str], set[str]]:
    """(names of the test subset, of the rest), as the lists in a folder say; without lists the rest is all.

    known: the names of all images and annotations. What a list names beside them is a finding.
    """
    counts = Counter(posixpath.basename(name) for name in known)
    shortened = {own: name for name in known if counts[own := posixpath.basename(name)] == 1}

    def listed(*subsets: str) -> set[str] | None:
        files = [file for subset in subsets if (file := lists / f"{subset}.txt").is_file()]
        names: set[str] = set()
        for file in files:
            for line in filter(None, map(str.strip, file.read_text("utf-8-sig", errors="replace").splitlines())):
                name = _meant(line, known, shortened)
                if name is None:
                    findings.add("listed, but not there", f"{prefix}{LISTS}/{file.name}: {line}", kept=False)
                else:
                    names.add(name)
        return names if files else None

    test = listed("test") or set()
    rest = next((names for names in (listed("trainval"), listed("train", "val")) if names is not None), annotated)
    return test, rest - test


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
