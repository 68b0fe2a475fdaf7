"""What annotation files say of images, whatever their format: which objects, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from components.data.findings import Findings
from components.data.formats.images import Decoded
from components.errors import AnnotationError

Box = tuple[float, float, float, float]
SAME_SHAPE = 0.02  # how much the ratios of two sizes' sides may differ where one is the other, scaled


@dataclass(frozen=True)
class Object:
    """One object of an image.

    box:       (left, top, right, bottom): in pixels, so that right - left is a width, or in fractions of the image's
               sides, as its Annotation says; after `placed` fractions from 0 to 1.
    difficult: whether the annotators call it hard to recognise.
    """

    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True)
class Annotation:
    """What an annotation file says of one image.

    size:      the image's (width, height) in pixels, where it says so.
    fractions: whether the boxes are fractions of the upright image's sides; else they are pixels.
    """

    objects: tuple[Object, ...]
    size: tuple[int, int] | None = None
    fractions: bool = False


@dataclass(frozen=True)
class Entry:
    """An image and what is said of it.

    image:   the image file; name: what findings call it; told_in: what they call the place of its annotation.
    subset:  of a published split, "train", "validation" or "test"; "" where none is published.
    said:    the annotation, or what is wrong with it.
    """

    image: Path
    name: str
    told_in: str
    subset: str
    said: Annotation | AnnotationError


def placed(annotation: Annotation, image: Decoded, name: str, findings: Findings) -> list[Object]:
    """The objects with their boxes as fractions of the upright image's sides.

    Where the annotation gives the sides of an image that EXIF turns as they were before the turn, the boxes turn too.
    Where it gives a size of the same shape, the image was scaled since: its boxes are fractions of that size.
    Boxes are clipped to the image; those without an area are left out.
    name: what to call the file in the findings, to which each oddity is added.
    Raises AnnotationError where the annotation gives the size of another image: its boxes mean nothing in this one.
    """
    width, height, turned = (1, 1, False) if annotation.fractions else (image.width, image.height, False)
    if annotation.size and not annotation.fractions and annotation.size != (width, height):
        turned = image.orientation >= 5 and _same_shape(annotation.size, (height, width))
        if not turned and not _same_shape(annotation.size, (width, height)):
            stated = "{} x {}".format(*annotation.size)
            raise AnnotationError(f"it states an image of {stated} pixels, and the image has {width} x {height}")
        if turned:
            findings.add("boxes of the image before its turn", name, kept=True)
        if {*annotation.size} != {width, height}:
            findings.add("boxes of the image before it was scaled", name, kept=True)
        width, height = annotation.size

    objects = []
    for thing in annotation.objects:
        left, top, right, bottom = thing.box
        exact = (left / width, top / height, right / width, bottom / height)
        if turned:
            exact = turn(exact, image.orientation)
        left, top, right, bottom = clipped = tuple(min(max(side, 0.0), 1.0) for side in exact)
        if bottom <= top or right <= left:
            findings.add("box without area", name, kept=False)
            continue
        if clipped != exact:
            findings.add("box beyond the image", name, kept=True)
        objects.append(replace(thing, box=(left, top, right, bottom)))
    return objects


def _same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= SAME_SHAPE


def turn(box: Box, orientation: int) -> Box:
    """Where a box of the stored image lies once EXIF's `orientation` from 5 to 8 has brought it upright."""
    left, top, right, bottom = box
    if orientation == 5:  # mirrored along the falling diagonal
        return top, left, bottom, right
    if orientation == 6:  # a quarter turn clockwise
        return 1 - bottom, left, 1 - top, right
    if orientation == 7:  # mirrored along the rising diagonal
        return 1 - bottom, 1 - right, 1 - top, 1 - left
    return top, 1 - right, bottom, 1 - left  # 8: a quarter turn anticlockwise
