"""Photographs of flowers (tf_flowers, The TensorFlow Team 2019), and any other pictures in one folder per class.

3,670 pictures of 5 classes, with no test part. The data made here are drawn flowers in the same layout.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from components.data import images
from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.findings import Findings
from components.data.sources import Made, Source, Tree, tree_named
from components.params import Section, UserError

MADE_PER_CLASS = 80
JPEG_QUALITY = 90
SOURCES: dict[str, Source] = {
    "sample": Made(lambda folder: make(folder)),
    "made": Made(lambda folder: make(folder)),
    "full": Tree(
        # The digest that TensorFlow Datasets lists for tf_flowers.
        {"flower_photos.tgz": "sha256:4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"},
        mirrors=(
            "https://storage.googleapis.com/download.tensorflow.org/example_images",
            "http://download.tensorflow.org/example_images",
        ),
    ),
}


class Config(Section):
    source: str | None = Field(
        description="null (the general source) | sample | made | full | the address, folder or archive of pictures "
        "in one folder per class"
    )
    side: int = Field(ge=8, le=2048, description="an integer from 8 to 2048: the pictures' side in pixels")
    bad_files: float = Field(ge=0, le=1, description="a number from 0 to 1: tolerated share of unreadable files")
    split: SplitConfig


def make(folder: Path) -> None:
    """Write drawn flowers as flower_photos/<class>/NNNN.jpg."""
    from components.data.flower_samples import flowers  # drags in what draws, which nothing else here needs

    counts: dict[str, int] = {}
    for name, image in flowers(MADE_PER_CLASS, seed=0):
        counts[name] = counts.get(name, 0) + 1
        file = folder / "flower_photos" / name / f"{counts[name]:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, quality=JPEG_QUALITY)


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = config.source or general
    return name, tree_named(name, SOURCES, "flowers.source")


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """The pictures in `folder` as Examples of shape (n, 3, side, side), sorted by class and file name.

    Raises UserError when there are no folders of pictures, too many unreadable files, or a class with none left.
    """
    top = class_folder(folder)
    found = Findings()
    by_class = {path.name: images.image_files(path) for path in _visible_folders(top)}
    classes = tuple(name for name, files in by_class.items() if files)
    files = [file for name in classes for file in by_class[name]]
    numbers = np.repeat(np.arange(len(classes)), [len(by_class[name]) for name in classes])
    if len(classes) < 2:
        raise UserError(f"{top}: pictures of one class alone, {classes[0]!r}; to classify them takes two folders")

    rows = images.new_rows(scratch, len(files), config.side)
    kept: list[int] = []
    for number, picture in images.readable(files, [f"{f.parent.name}/{f.name}" for f in files], config.side, found):
        rows[len(kept)] = picture.pixels
        kept.append(number)
    found.check(len(files), config.bad_files, "flowers.bad_files")
    targets = numbers[kept].astype(np.int64)
    for number, name in enumerate(classes):
        if number not in targets:
            raise UserError(f"{top / name}: not one picture here can be read; mend or delete this class's folder")
    return Examples(rows[: len(kept)], targets, classes, test_from=None, findings=found)


def class_folder(folder: Path) -> Path:
    """The folder, `folder` itself or below it, whose subfolders hold image files; of several the least deep.

    Raises UserError when there is none, or no single one.
    """
    level = [folder]
    while level:
        tops = [top for top in level if any(images.image_files(below) for below in _visible_folders(top))]
        if len(tops) > 1:
            named = ", ".join(str(top.relative_to(folder)) for top in tops)
            raise UserError(f"{folder}: several folders hold folders of pictures: {named}; point flowers.source at one")
        if tops:
            return tops[0]
        level = [below for top in level for below in _visible_folders(top)]
    raise UserError(f"{folder}: no folders of pictures, one per class, are in it; flowers.source must name such data")


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


DATASET = Dataset(name="flowers", sources=sources, read=read)
