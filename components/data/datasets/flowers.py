"""Photographs of flowers (tf_flowers, The TensorFlow Team 2019), and any other images in one folder per class.

3,670 images of 5 classes, with no test subset. The synthetic data are drawn flowers in the same layout.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from components.data.dataset import Dataset, Examples, SplitConfig
from components.data.findings import NAMES_KEPT, Findings
from components.data.formats import images
from components.data.formats.folders import Kind, Layout, files_below, layout_of
from components.data.own_files import empty_folders
from components.data.sources import Source, Synthetic, Tree, tree_named
from components.errors import UserError
from components.params.section import Section

SOURCES: dict[str, Source] = {
    "sample": Synthetic("components.data.synthetic.flowers"),
    "synthetic": Synthetic("components.data.synthetic.flowers"),
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
    source: str = Field(
        "general",
        description="general (as the key `source` says) | sample | synthetic | full | the URL, folder or archive of "
        "images in one folder per class",
    )
    side: int = Field(180, ge=8, le=2048, description="an integer from 8 to 2048: the images' side in pixels")
    bad_files: float = Field(
        0.01, ge=0, le=1, description="a number from 0 to 1: tolerated fraction of unreadable files"
    )
    split: SplitConfig = SplitConfig()


def sources(config: Config, general: str) -> tuple[str, Source]:
    """The source that the section names, else the general one."""
    name = general if config.source == "general" else config.source
    return name, tree_named(name, SOURCES, "flowers.source")


KIND = Kind(images.is_meant_as_image, "images", "flowers.source")


def read(config: Config, folder: Path, scratch: Path) -> Examples:
    """The images below `folder` as Examples of shape (n, 3, side, side), sorted by subset, class and file name.

    Raises UserError when there are no folders of images, too many unreadable files, or a class with none left.
    """
    layout = layout_of(folder, KIND)
    findings = Findings()
    _tell_what_is_left_out(layout, folder, findings)
    classes = tuple(sorted({each.name for each in layout.classes}))
    if len(classes) < 2:
        raise UserError(f"{folder}: images of one class alone, {classes[0]!r}; to classify them takes two folders")
    owners, files, names = [], [], []
    for number, own in enumerate(layout.classes):
        for file in files_below(own.folder):
            name = f"{own.subset}/{own.name}" if own.subset else own.name
            name = f"{name}/{file.relative_to(own.folder).as_posix()}"
            if KIND.holds(file):
                owners.append(number)
                files.append(file)
                names.append(name)
            else:
                findings.add("not an image", name, kept=False)

    rows, bits = images.new_rows(scratch, len(files), config.side), images.grey_bits(files)
    kept: list[int] = []
    for number, image in images.readable(files, names, config.side, findings, bits):
        rows[len(kept)] = image.pixels
        kept.append(owners[number])
    for number, own in enumerate(layout.classes):
        if number not in kept:
            unread = [name for name, owner in zip(names, owners, strict=True) if owner == number]
            raise UserError(
                f"{own.folder}: not one of its {len(unread)} images can be read; mend or delete this class's folder"
                + "".join(f"\n    {findings.reason(name)}" for name in unread[:NAMES_KEPT])
            )
    findings.check(len(files), config.bad_files, "flowers.bad_files")
    subsets = [layout.classes[number].subset for number in kept]
    return Examples(
        rows[: len(kept)],
        np.array([classes.index(layout.classes[number].name) for number in kept], dtype=np.int64),
        classes,
        test_from=subsets.index("test") if "test" in subsets else None,
        validation_from=subsets.index("validation") if "validation" in subsets else None,
        findings=findings,
        grey_bits=bits,
    )


def _tell_what_is_left_out(layout: Layout, folder: Path, findings: Findings) -> None:
    """Count what lies beside the classes' images.

    Raises UserError for an empty folder: a class that lost its images.
    """
    tops = {each.folder.parent for each in layout.classes}
    empty = {folder / name for name in empty_folders(folder)}  # which DVC's cache does not bring back
    for beside in sorted({*layout.without, *(each for each in empty if each.parent in tops)}):
        name = beside.relative_to(folder).as_posix()
        if beside.parent in tops and (beside in empty or not any(True for _ in files_below(beside))):
            raise UserError(f"{folder}: the folder {name} is empty; a class needs images: fill it, or delete it")
        findings.add("folder without images", name, kept=False)
    for file in layout.loose:
        findings.add("image outside the classes' folders", file.relative_to(folder).as_posix(), kept=False)


DATASET = Dataset(name="flowers", sources=sources, read=read)
