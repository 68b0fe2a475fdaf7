"""Which annotation file belongs to which image, where each image has one of its own (YOLO's text, or XML as VOC has).

photos/train/1.jpg         photos/train/1.txt            beside it
images/train/1.jpg         labels/train/1.txt            in a folder of another name, and there in the same place
images/1.jpg               annotations/xmls/1.xml        under the same name, where no other file there has it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.folders import SUBSET_WORDS, files_below, subset_in
from components.errors import UserError

OF_IMAGES, OF_LABELS = ("images", "jpegimages", "imgs", "img"), ("labels", "annotations", "xmls", "bboxes")


@dataclass(frozen=True)
class Pair:
    image: Path
    annotation: Path
    subset: str


def pairs_in(folder: Path, annotations: Sequence[Path], findings: Findings) -> list[Pair]:
    """Each image that has one of the annotation files, sorted; what has no other half is a finding."""
    of = _Names(folder, annotations)
    pairs, used = [], set()
    for image in files_below(folder):
        if image in of.files or not images.is_meant_as_image(image):
            continue
        annotation = of.annotation(image)
        if annotation:
            pairs.append(Pair(image, annotation, subset_of(image, folder)))
            used.add(annotation)
        else:
            findings.add("no annotation", image.relative_to(folder).as_posix(), kept=False)
    for annotation in annotations:
        if annotation not in used:
            findings.add("no image", annotation.relative_to(folder).as_posix(), kept=False)
    return pairs


def subset_of(file: Path, folder: Path) -> str:
    """The subset that the names of a file's folders speak of, the innermost that does; else ""."""
    named = (subset_in(part) for part in reversed(file.relative_to(folder).parts[:-1]))
    return next(filter(None, named), "")


class _Names:
    """Annotation files by the places where their images may lie."""

    def __init__(self, folder: Path, annotations: Sequence[Path]) -> None:
        self.folder, self.files = folder, {*annotations}
        self.by_place = {_place(file, folder): file for file in annotations}
        by_stem: Mapping[tuple[str, str], list[Path]] = defaultdict(list)
        for file in annotations:
            by_stem[subset_of(file, folder), file.stem].append(file)
        self.by_stem = {name: files[0] for name, files in by_stem.items() if len(files) == 1}

    def annotation(self, image: Path) -> Path | None:
        place = _place(image, self.folder)
        return self.by_place.get(place) or self.by_stem.get((subset_of(image, self.folder), image.stem))


def _place(file: Path, folder: Path) -> tuple[str, ...]:
    """The folders that lead to a file, less those that say "images" or "labels", and its name without an ending."""
    *above, _ = file.relative_to(folder).parts
    return (*(part for part in above if part.lower() not in (*OF_IMAGES, *OF_LABELS)), file.stem)


def check_subsets(named: Mapping[str, Sequence[str]], folder: Path, key: str) -> None:
    """Raise UserError where of some images it is said to which subset they belong, and of others not.

    named: subset, or "", → the names of its images. key: the key of params.yaml that names `folder`.
    """
    if "" in named and len(named) > 1:
        raise UserError(
            f"{folder}: {named[''][0]} and {len(named['']) - 1} more images are in no subset, beside "
            f"{', '.join(sorted(filter(None, named)))}; put each into a folder of its subset "
            f"({', '.join(sorted({*SUBSET_WORDS}))}), or point {key} at one of them"
        )
    if named and "" not in named and "train" not in named:
        raise UserError(f"{folder}: of {', '.join(sorted(named))} none is for training; {key} must name such data")
