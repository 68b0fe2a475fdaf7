"""Image files of every common kind into square RGB rows; what cannot be read is counted, not fatal."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from tqdm import tqdm

from components.data.findings import Findings
from components.process import cores

# Those of PIL's formats that hold photographs and need no other program (as EPS does).
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "MPO")
# Endings of photographs in formats that PIL does not read: such a file is a photograph that cannot be read.
UNREAD = (
    ".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf",
    ".rw2", ".raf", ".pef", ".srw", ".exr", ".hdr",
)  # fmt: skip
MAY_HAVE_16_BITS = (".png", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".jp2", ".j2k", ".jpx")
BRIGHT_16 = 64  # of 255, the highest byte of a colour of 15 or 16 bits
CHUNK = 256  # images in flight: at 300 x 300 pixels they take 70 MB
DRAFT_GAP = 2  # a JPEG is decoded at no less than this many times the wanted side, then resized
WHITE = (255, 255, 255, 255)
TURNS = {  # EXIF orientation → what brings the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Decoded:
    """One decoded image file.

    pixels:      uint8, (3, side, side), upright.
    width:       of the upright image as it was stored, in pixels; so is height.
    orientation: as EXIF numbers it; 1 is upright, from 5 on the stored image lies on its side.
    kinds:       what was odd about it.
    """

    pixels: np.ndarray
    width: int
    height: int
    orientation: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable:
    """An image file that cannot be decoded: what kind of fault, and what the decoder said."""

    kind: str
    reason: str


@cache
def suffixes() -> frozenset[str]:
    """The file name endings of images, in small letters, with their dots."""
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS)


def is_meant_as_image(file: Path) -> bool:
    """By its ending, and else by its content: an ending is not what makes an image."""
    ending = file.suffix.lower()
    if ending in suffixes() or ending in UNREAD:
        return True
    try:
        with Image.open(file, formats=formats()):
            return True
    except Exception:  # PIL raises nearly anything
        return False


def grey_bits(files: Iterable[Path]) -> int:
    """How many bits the values of the 16-bit greyscale images among some files take, from 8 to 16; 16 without such.

    Cameras of 12 bits write files of 16: taken for 16 bits, these would be nearly black.
    """
    candidates = [file for file in files if file.suffix.lower() in MAY_HAVE_16_BITS or not file.suffix]
    with ThreadPoolExecutor(cores.given()) as pool:
        largest = max(pool.map(partial(_largest_grey, formats=formats()), candidates), default=0)
    return min(max(largest.bit_length(), 8), 16) if largest else 16


def _largest_grey(file: Path, formats: tuple[str, ...]) -> int:
    """Of a 16-bit greyscale image; 0 of another, and of what cannot be read."""
    try:
        with Image.open(file, formats=formats) as image:
            return int(np.asarray(image).max()) if image.mode.startswith("I") else 0
    except Exception:  # decode tells why
        return 0


def new_rows(scratch: Path, count: int, side: int) -> np.ndarray:
    """An array of `count` images, uint8, (count, 3, side, side), memory-mapped from a file in `scratch`."""
    shape = (count, 3, side, side)
    return np.lib.format.open_memmap(scratch / "images.npy", mode="w+", dtype=np.uint8, shape=shape)


def readable(
    files: Sequence[Path], names: Sequence[str], side: int, findings: Findings, bits: int | None = None
) -> Iterator[tuple[int, Decoded]]:
    """(number in `files`, image) of each file that can be decoded, in order; the others are skipped.

    names: what to call the files in the findings, to which each oddity is added.
    bits:  as grey_bits gives them for all files, which are asked if it is None.
    """
    bits = grey_bits(files) if bits is None else bits
    work = partial(decode, side=side, formats=formats(), bits=bits)
    with ThreadPoolExecutor(cores.given()) as pool, tqdm(total=len(files), unit=" images", disable=None) as bar:
        for start in range(0, len(files), CHUNK):
            # Here, not in the threads: the filters of warnings belong to the whole process.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                chunk = list(pool.map(work, files[start : start + CHUNK]))
            bar.update(len(chunk))
            for number, result in enumerate(chunk, start):
                if isinstance(result, Unreadable):
                    findings.bad(result.kind, names[number], result.reason)
                    continue
                for kind in result.kinds:
                    findings.add(kind, names[number], kept=True)
                yield number, result


def decode(file: Path, side: int, formats: tuple[str, ...], bits: int = 16) -> Decoded | Unreadable:
    """One image file, resized to (3, side, side) whatever its aspect ratio, or why it cannot be read.

    bits: what the values of a 16-bit greyscale image take at most.
    """
    try:
        if file.stat().st_size == 0:
            return Unreadable("empty file", "empty")
        with Image.open(file, formats=formats) as image:
            return _decoded(image, side, bits)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        return Unreadable("not an image", "not an image of a known format")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Unreadable("too many pixels", f"more than {Image.MAX_IMAGE_PIXELS} pixels")
    except Exception as error:  # PIL's decoders raise nearly anything on damaged data
        return Unreadable("broken image", str(error) or type(error).__name__)


@cache
def formats() -> tuple[str, ...]:
    """Those of FORMATS that this PIL was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _decoded(image: Image.Image, side: int, bits: int) -> Decoded:
    tiles: Any = getattr(image, "tile", None)  # empty once it is loaded, as reading EXIF may do
    raw = tiles[0][3] if tiles else ""
    deep = ";16" in str(raw if isinstance(raw, str) else raw[0])
    orientation = _orientation(image)
    width, height = image.size
    if orientation >= 5 and image.format != "TIFF":
        width, height = height, width
    # A JPEG alone can be decoded smaller; `box` is the part of the smaller one that holds the image.
    drafted = image.draft(None, (DRAFT_GAP * side, DRAFT_GAP * side))
    box = drafted[1] if drafted else None
    colours, kinds = _rgb(image, bits, deep)
    square = colours.resize((side, side), Image.Resampling.BILINEAR, box=box, reducing_gap=DRAFT_GAP)
    if orientation > 1:
        kinds.append("turned by EXIF")
        if image.format != "TIFF":  # which PIL turns upright as it loads
            square = square.transpose(TURNS[orientation])
    pixels = np.asarray(square).transpose(2, 0, 1)
    return Decoded(pixels, width, height, orientation, tuple(kinds))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, from 1 to 8; 1 where there is none, or none that makes sense."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, struct.error, KeyError, TypeError):  # damaged EXIF around sound pixels
        return 1
    return orientation if orientation in TURNS else 1


def _rgb(image: Image.Image, bits: int, deep: bool) -> tuple[Image.Image, list[str]]:
    """The image in mode RGB, and what was odd about its mode. Raises ValueError on pixels of no known range.

    deep: whether its colours have 16 bits, of which PIL keeps the higher byte.
    """
    image.load()
    if image.mode.startswith("I"):
        used = "" if bits == 16 else f", of which {bits} bits are used"
        return _eight_bits(image, bits).convert("RGB"), [f"16-bit greyscale{used}"]
    if deep and image.mode in ("RGB", "RGBA") and np.asarray(image)[..., :3].max() < BRIGHT_16:
        raise ValueError("its colours have 16 bits of which the highest are not used; convert it to 8 bits")
    if image.mode == "F":
        raise ValueError("its pixels are fractions of no known range")
    plain = {"RGB": [], "RGBA": [], "1": ["greyscale"], "L": ["greyscale"], "LA": ["greyscale"], "P": ["palette"]}
    kinds = list(plain.get(image.mode, [f"{image.mode} colours"]))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, WHITE), layer)
        kinds.append("transparency")
    return image.convert("RGB"), kinds


def _eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Greys from 0 to 2^bits - 1 as mode L, from 0 to 255. Raises ValueError on greys beyond 16 bits."""
    greys, most = np.asarray(image).astype(np.int64), 2**bits - 1
    if greys.min() < 0 or greys.max() > 65535:
        raise ValueError("its greys have more than 16 bits")
    return Image.fromarray(((greys.clip(max=most) * 255 + most // 2) // most).astype(np.uint8))


def grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 (…, 3, height, width) → (…, 1, height, width), the luma of ITU-R BT.601."""
    weights = np.array([0.299, 0.587, 0.114])
    luma: np.ndarray = np.tensordot(np.moveaxis(pixels, -3, -1), weights, axes=1)
    return luma.round().astype(np.uint8)[..., None, :, :]
