"""Pascal VOC (Everingham, Van Gool, Williams, Winn and Zisserman 2010): objects in photographs, with their boxes.

2007: 5,011 images to train on and 4,952 to test on; 2012: 11,540 without a test subset; 20 classes. The data made
here are drawn scenes in the same layout. Any data set of that layout will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.findings import Findings
from components.data.formats import images
from components.data.formats.voc_layout import Entry, entries_in
from components.data.formats.voc_xml import Annotation, Object, parse, placed
from components.data.sources import Source, Synthetic, Tree, tree_named
from components.errors import AnnotationError, UserError
from components.params.section import Section

HOSTS = ("https://thor.robots.ox.ac.uk/pascal/VOC", "http://host.robots.ox.ac.uk/pascal/VOC")
VOC2007 = Tree(  # the digests are those that torchvision lists
    {
        "VOCtrainval_06-Nov-2007.tar": "md5:c52e279531787c972589f7e41ab4ae64",
        "VOCtest_06-Nov-2007.tar": "md5:b6e924de25625d8de591ea690078ad9f",
    },
    mirrors=tuple(f"{host}/voc2007" for host in HOSTS),
)
VOC2012 = Tree(
    {"VOCtrainval_11-May-2012.tar": "md5:6cd6e144f989b92b3379bac3b3de84fd"},
    mirrors=tuple(f"{host}/voc2012" for host in HOSTS),
)
SOURCES: dict[str, Source] = {
    "sample": Synthetic("components.data.synthetic.scenes"),
    "synthetic": Synthetic("components.data.synthetic.scenes"),
    "voc2007": VOC2007,
    "voc2012": VOC2012,
    "full": VOC2007,
}


class Config(Section):
    source: str = Field(
        "general",
        description="general (as the key `source` says) | sample | synthetic | voc2007 | voc2012 | full | the URL, "
        "folder or archive of data in VOC's layout",
    )
    side: int = Field(300, ge=8, le=2048, description="an integer from 8 to 2048: the images' side in pixels")
    classes: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="null (every class that occurs) | a list of class names; other objects are left out",
    )
    difficult: bool = Field(True, description="true | false: whether objects marked as difficult count")
    bad_files: float = Field(
        0.01, ge=0, le=1, description="a number from 0 to 1: tolerated fraction of unreadable files"
    )
    split: SplitConfig = SplitConfig()

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes and len(set(classes)) < len(classes):
            raise ValueError("a class is named twice")
        return classes


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = general if config.source == "general" else config.source
    return name, tree_named(name, SOURCES, "voc.source")


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """The images in `folder` that show objects, those of its own test subset last.

    inputs (n, 3, side, side) and extra "boxes", float32 (n, most objects, 4), (left, top, right, bottom) as fractions
    of the image's sides, padded with 0, and "labels", int64 (n, most objects), padded with -1. targets: the class
    of each image's first object. Raises UserError when there are none, or too many unreadable files.
    """
    findings = Findings()
    entries = list(entries_in(folder, "voc.source", findings))
    wanted = list(_annotated(entries, config, findings))
    rows = images.new_rows(scratch, max(len(wanted), 1), config.side)
    shown: list[tuple[bool, list[Object]]] = []
    files = [entry.image for entry, _ in wanted]
    names = [f"{entry.prefix}{entry.name}{entry.image.suffix}" for entry, _ in wanted]
    bits = images.grey_bits(files)
    for number, decoded in images.readable(files, names, config.side, findings, bits):
        entry, annotation = wanted[number]
        name = f"{entry.prefix}{entry.name}{entry.xml.suffix}"
        try:
            objects = placed(annotation, decoded, name, findings)
        except AnnotationError as error:
            findings.bad("size disagrees", name, str(error))
            continue
        if objects:
            rows[len(shown)] = decoded.pixels
            shown.append((entry.test, objects))
        else:
            findings.add("no objects", name, kept=False)
    findings.check(len(entries), config.bad_files, "voc.bad_files")
    return replace(_examples(rows[: len(shown)], shown, config, findings, folder), grey_bits=bits)


def _examples(
    rows: np.ndarray, shown: Sequence[tuple[bool, list[Object]]], config: Config, findings: Findings, folder: Path
) -> Examples:
    """rows and, for each, (whether it belongs to the set's own test subset, its objects) as Examples."""
    learning = sum(not test for test, _ in shown)
    if not learning:
        part = "outside the data set's own test subset " if shown else ""
        odd = "".join(f"\n    {line}" for line in findings.lines())
        raise UserError(f"{folder}: no image {part}shows an object to learn; look at voc.classes{odd}")
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
        test_from=learning if learning < len(shown) else None,
        extra={"boxes": boxes, "labels": labels},
        findings=findings,
        rare_classes_ok=True,
    )


def _annotated(entries: Sequence[Entry], config: Config, findings: Findings) -> Iterator[tuple[Entry, Annotation]]:
    """The entries with objects that the configuration wants, and their annotations with these alone."""
    for entry in entries:
        name = f"{entry.prefix}{entry.name}{entry.xml.suffix}"
        try:
            annotation = parse(entry.xml)
        except AnnotationError as error:
            findings.bad("broken annotation", name, str(error))
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


DATASET = Dataset(name="voc", sources=sources, read=read)
