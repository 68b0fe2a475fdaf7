"""Pascal VOC's XML files: which objects an image shows, and where."""

from __future__ import annotations

import codecs
import math
import re
from pathlib import Path
from xml.etree import ElementTree

from components.data.formats.annotations import Annotation, Object
from components.errors import AnnotationError

DECLARATION = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["'](?P<encoding>[A-Za-z0-9._-]+)["']""")
FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")  # a few lines of entities can stand for gigabytes


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
