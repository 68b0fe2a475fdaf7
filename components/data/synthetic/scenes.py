"""Synthetic scenes of objects with their boxes, in Pascal VOC's layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from components.data.synthetic.scene_images import scenes

TRAINING, TEST = 960, 120
JPEG_QUALITY = 90


def make(folder: Path) -> None:
    """Write drawn scenes as VOCdevkit/Made, in VOC's layout."""
    top = folder / "VOCdevkit" / "Made"
    for below in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (top / below).mkdir(parents=True)
    names = [f"{number:06}" for number in range(1, TRAINING + TEST + 1)]
    for name, scene in zip(names, scenes(len(names), seed=0), strict=True):
        scene.image.save(top / "JPEGImages" / f"{name}.jpg", quality=JPEG_QUALITY)
        (top / "Annotations" / f"{name}.xml").write_text(
            _xml(f"{name}.jpg", scene.image.size, scene.objects), encoding="utf-8"
        )
    for part, own in (("trainval", names[:TRAINING]), ("test", names[TRAINING:])):
        (top / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(own) + "\n", encoding="utf-8")


def _xml(file: str, size: tuple[int, int], objects: Iterable[tuple[str, tuple[int, int, int, int]]]) -> str:
    """VOC's XML of a synthetic scene; the boxes are (xmin, ymin, xmax, ymax), counted from 1, both ends inside."""
    lines = ["<annotation>", f"\t<filename>{file}</filename>"]
    width, height = size
    lines += [f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"]
    for name, box in objects:
        sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        corners = "".join(f"<{key}>{value}</{key}>" for key, value in sides)
        lines += [f"\t<object><name>{name}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"]
    return "\n".join([*lines, "</annotation>\n"])
