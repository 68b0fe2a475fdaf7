"""Pascal VOC's XML files: which objects an image shows, and where."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from components.data.findings import Findings
from components.data.formats.images import Decoded
from components.errors import AnnotationError

Box = tuple[float, float, float, float]
DECLARATION = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["'](?P<encoding>[A-Za-z0-9._-]+)["']""")
SAME_SHAPE = 0.02  # how much the ratios of two sizes' sides may differ where one is the other, scaled
FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")  # a few lines of entities can stand for gigabytes


@dataclass(frozen=True)
class Object:
    """One object of an image.

    box:       (left, top, right, bottom): pixels as the XML file gives them, less the 1 that VOC counts from,
               so that right - left is a width; after `placed` fractions of the image's sides, from 0 to 1.
    difficult: whether VOC's annotators call it hard to recognise.
    """

    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True)
class Annotation:
    """One XML file: the objects, and the image's (width, height) in pixels where it says so."""

    objects: tuple[Object, ...]
    size: tuple[int, int] | None


def parse(file: Path) -> Annotation:
    """Read an XML file. Raises AnnotationError, which says what is wrong with it."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AnnotationError(error.strerror or str(error)) from None
    text = _decoded(content)
    # Of the very text that is parsed: in bytes another encoding could hide these words.
    if any(word in text for word in FORBIDDEN):
        raise AnnotationError("it declares a document type or entities, which are refused")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise AnnotationError(f"not well-formed XML: {error}") from None
    return Annotation(tuple(_object(element) for element in root.findall("object")), _size(root))


def _decoded(content: bytes) -> str:
    """The text as its mark or its declaration says, else UTF-8, else Latin-1. Raises AnnotationError."""
    encoding = "utf-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    declared = DECLARATION.match(content)
    if declared and not content.startswith(codecs.BOM_UTF8):
        encoding = declared["encoding"].decode().lower()
    # What calls itself by the older two names is most often written in the encoding that grew out of them.
    encoding = "gb18030" if encoding in ("gb2312", "gbk") else encoding
    try:
        return content.decode("utf-8-sig" if encoding in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise AnnotationError(f"it declares the encoding {encoding!r}, which is not known") from None
    except UnicodeDecodeError:
        if encoding == "utf-8-sig" or encoding in ("utf-8", "utf8"):
            return content.decode("latin-1")
        raise AnnotationError(f"it is not in the encoding {encoding!r} that it declares") from None


def placed(annotation: Annotation, image: Decoded, name: str, findings: Findings) -> list[Object]:
    """The objects with their boxes as fractions of the upright image's sides.

    Where the XML file gives the sides of an image that EXIF turns as they were before the turn, the boxes turn too.
    Where it gives a size of the same shape, the image was scaled since: its boxes are fractions of that size.
    Boxes are clipped to the image; those without an area are left out.
    name: what to call the file in the findings, to which each oddity is added.
    Raises AnnotationError where the XML file gives the size of another image: its boxes mean nothing in this one.
    """
    width, height, turned = image.width, image.height, False
    if annotation.size and annotation.size != (width, height):
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


def _object(element: ElementTree.Element) -> Object:
    """From an <object>'s own children; those of its <part>s have boxes too, which are not objects."""
    name = (element.findtext("name") or "").strip()
    if not name:
        raise AnnotationError("an object has no name")
    box = element.find("bndbox")
    if box is None:
        raise AnnotationError(f"the {name} has no bndbox")
    left, top, right, bottom = (_coordinate(box, key, name) for key in ("xmin", "ymin", "xmax", "ymax"))
    difficult = (element.findtext("difficult") or "").strip() == "1"
    return Object(name, (left - 1, top - 1, right, bottom), difficult)


def _coordinate(box: ElementTree.Element, key: str, name: str) -> float:
    text = box.findtext(key) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(f"the {name}'s {key} is {text.strip()!r}, not a number")
    return value


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """None where there is none, and where it is 0 x 0, as some programs write that do not know it."""
    try:
        width, height = int(root.findtext("size/width") or ""), int(root.findtext("size/height") or "")
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None
