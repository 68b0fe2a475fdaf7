"""Synthetic scenes with things to find, for trials of detection without a network: told by shape, not by colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.data.synthetic.textures import (
    PATCH,
    Colour,
    blobs,
    colour,
    gradient,
    image_size,
    lit,
    photographed,
    scaled,
    strokes,
)

CLASSES = ("ball", "cone", "crate", "ring", "star")
LONGEST = 320  # pixels, a scene's longer side
LARGE = (0.35, 0.65)  # the first object's longer side, as a fraction of the scene's shorter side
SMALL = (0.18, 0.3)  # the same for the others
AREA_SHARE = 0.8  # of the first object's box: no other box is larger than this
MAX_OVERLAP = 0.08  # of two boxes, as a fraction of the smaller one
TRIES = 40  # to find a free place for one more object
SOLID = 128  # a pixel is its object's when it covers at least half of it
HALF = PATCH / 2
RADIUS = 0.48 * PATCH

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """An image and what stands in it: (class, (xmin, ymin, xmax, ymax)), in pixels, 1-based, both ends included."""

    image: Image.Image
    objects: tuple[tuple[str, Box], ...]


def scenes(count: int, seed: int) -> Iterator[Scene]:
    """Yields `count` RGB scenes of one large object and up to two small ones; the large one is `objects[0]`.

    The large ones' classes come in turn. Scene i depends on the seed and i alone: a larger set begins with the
    smaller one.
    """
    for index in range(count):
        yield _scene(CLASSES[index % len(CLASSES)], np.random.default_rng([seed, index]))


def _scene(first: str, random: np.random.Generator) -> Scene:
    """One scene whose large object is of the class `first`."""
    image = _background(image_size(LONGEST, random), random)
    around = _mean_colour(image)
    names, patches, places = [], [], list[Box]()
    for turn in range(int(random.integers(1, 4))):
        name = first if turn == 0 else CLASSES[random.integers(len(CLASSES))]
        longer = round(min(image.size) * random.uniform(*(LARGE if turn == 0 else SMALL)))
        patch = _object(name, longer, around, random)
        spare = AREA_SHARE * _area(places[0]) / (patch.width * patch.height) if places else 1
        if spare < 1:
            patch = patch.resize((int(patch.width * spare**0.5), int(patch.height * spare**0.5)))
        place = _free_place(image.size, patch.size, places, random)
        if place is not None:
            names.append(name)
            patches.append(patch)
            places.append(place)
    boxes = _paste(image, patches, places)
    return Scene(photographed(image, random), tuple(zip(names, boxes, strict=True)))


def _paste(image: Image.Image, patches: list[Image.Image], places: list[Box]) -> list[Box]:
    """Draws the patches onto the image, the first one on top; returns the box of what is seen of each."""
    owner = np.zeros((image.height, image.width), dtype=np.uint8)  # which patch is seen here, from 1; 0 for none
    for index in reversed(range(len(patches))):
        patch, (left, top, right, bottom) = patches[index], places[index]
        image.paste(patch, (left - 1, top - 1), patch)
        owner[top - 1 : bottom, left - 1 : right][np.asarray(patch)[..., 3] >= SOLID] = index + 1
    boxes = []
    for index in range(len(patches)):
        rows, columns = np.nonzero(owner == index + 1)
        boxes.append((int(columns.min()) + 1, int(rows.min()) + 1, int(columns.max()) + 1, int(rows.max()) + 1))
    return boxes


def _solid_part(patch: Image.Image) -> Box:
    """Where a patch is solid: left, top, right and bottom in pixels from 0, the last two not included."""
    part = patch.getchannel("A").point([255 * (alpha >= SOLID) for alpha in range(256)]).getbbox()
    if part is None:
        raise ValueError("an object was drawn without one solid pixel")
    return part


def _area(box: Box) -> int:
    """Pixels inside a box, both ends included."""
    return max(0, box[2] - box[0] + 1) * max(0, box[3] - box[1] + 1)


def _free_place(
    size: tuple[int, int], patch: tuple[int, int], taken: list[Box], random: np.random.Generator
) -> Box | None:
    """A box of the patch's size anywhere in the image that hides none of those taken, or None if there is none."""
    for _ in range(TRIES):
        left = int(random.integers(1, size[0] - patch[0] + 2))
        top = int(random.integers(1, size[1] - patch[1] + 2))
        box = (left, top, left + patch[0] - 1, top + patch[1] - 1)
        if all(_overlap(box, other) <= MAX_OVERLAP for other in taken):
            return box
    return None


def _overlap(one: Box, other: Box) -> float:
    """The area that two boxes share over that of the smaller one (so their IoU is at most this)."""
    common = (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    return _area(common) / min(_area(one), _area(other))


def _background(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Two colours run into each other under soft lumps and loose lines, which belong to no class."""
    shades = [colour(random.random(), random.uniform(0, 0.7), random.uniform(0.15, 0.95)) for _ in range(4)]
    image = gradient(size, shades[0], shades[1], random)
    blobs(image, shades, int(random.integers(4, 30)), random)
    if random.random() < 0.6:
        strokes(image, shades, int(random.integers(10, 60)), False, random)
    image = image.filter(ImageFilter.BoxBlur(random.uniform(1, 6)))
    strokes(image, shades, int(random.integers(2, 9)), False, random)
    return image


def _mean_colour(image: Image.Image) -> np.ndarray:
    """The mean red, green and blue of an image, 0 to 255."""
    return np.array(np.asarray(image.resize((1, 1), Image.Resampling.BOX))[0, 0], dtype=np.float64)


def _colours(around: np.ndarray, random: np.random.Generator) -> tuple[Colour, Colour]:
    """An object's two colours: of any hue, the first one unlike the image's mean, the second unlike the first."""
    chosen: list[Colour] = []
    avoided = around
    while len(chosen) < 2:
        shade = colour(random.random(), random.uniform(0.1, 1), random.uniform(0.35, 1))
        if np.abs(np.array(shade) - avoided).sum() > 140:
            chosen.append(shade)
            avoided = np.array(shade)
    return chosen[0], chosen[1]


def _object(name: str, longer: int, around: np.ndarray, random: np.random.Generator) -> Image.Image:
    """One object on an RGBA patch that fits it tightly, its longer side `longer` pixels."""
    painters: dict[str, Callable[[Colour, Colour, np.random.Generator], Image.Image]] = {
        "ball": _ball,
        "cone": _cone,
        "crate": _crate,
        "ring": _ring,
        "star": _star,
    }
    drawn = painters[name](*_colours(around, random), random)
    cut = drawn.crop(_solid_part(drawn))
    scale = longer / max(cut.size)
    small = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BOX)
    return lit(small, random)


def _round(distance: np.ndarray, shade: np.ndarray, paint: Colour | np.ndarray) -> Image.Image:
    """An RGBA patch that is solid where `distance` (pixels, (side, side)) is negative, its paint times `shade`."""
    alpha = (255 * (0.5 - distance)).clip(0, 255)
    pixels = (np.asarray(paint, dtype=np.float32) * shade[..., None]).clip(0, 255)
    return Image.fromarray(np.dstack([pixels, alpha]).astype(np.uint8))


def _from_middle() -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel of a patch lies from its middle, to the right and down, float32 (side, side) each."""
    side = np.arange(PATCH, dtype=np.float32) - np.float32(HALF - 0.5)
    return np.broadcast_to(side[None, :], (PATCH, PATCH)), np.broadcast_to(side[:, None], (PATCH, PATCH))


def _ball(paint: Colour, second: Colour, random: np.random.Generator) -> Image.Image:
    """A ball, brightest off its middle and dark at the rim; half of them wear a curved band in a second colour."""
    x, y = _from_middle()
    angle = random.uniform(0, 2 * np.pi)
    light = np.float32(random.uniform(0.2, 0.5) * RADIUS) * np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
    nearness = 1 - ((x - light[0]) ** 2 + (y - light[1]) ** 2) / np.float32((1.5 * RADIUS) ** 2)
    shade = np.float32(0.35) + np.float32(0.85) * nearness.clip(0, 1)
    pattern = np.broadcast_to(np.array(paint, dtype=np.float32), (PATCH, PATCH, 3))
    if random.random() < 0.5:
        tilt = random.uniform(0, np.pi)
        along, across = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
        bend = random.uniform(-0.5, 0.5) * (1 - (along / RADIUS) ** 2)
        band = np.abs(across / RADIUS - bend) < random.uniform(0.12, 0.25)
        pattern = np.where(band[..., None], np.array(second, dtype=np.float32), pattern)
    return _round(np.sqrt(x**2 + y**2) - RADIUS, shade, pattern)


def _ring(paint: Colour, _: Colour, random: np.random.Generator) -> Image.Image:
    """A ring with a hole to see through, some of it seen aslant; its tube is bright along the middle."""
    x, y = _from_middle()
    tilt, lean = random.uniform(0, np.pi), random.uniform(1, 1.4)
    along, across = x * np.cos(tilt) + y * np.sin(tilt), (y * np.cos(tilt) - x * np.sin(tilt)) * lean
    half = RADIUS * random.uniform(0.13, 0.22)  # of the tube's thickness
    off = np.sqrt(along**2 + across**2) - (RADIUS - half)
    shade = np.float32(0.45) + np.float32(0.75) * np.sqrt((1 - (off / half + 0.2) ** 2).clip(0, 1))
    return _round(np.abs(off) - half, shade, paint)


def _cone(paint: Colour, second: Colour, random: np.random.Generator) -> Image.Image:
    """A traffic cone: a foot, and a body that tapers upwards, striped; it leans by up to 15 degrees."""
    patch = Image.new("RGBA", (PATCH, PATCH))
    draw = ImageDraw.Draw(patch)
    foot, tip = RADIUS * random.uniform(0.42, 0.6), RADIUS * random.uniform(0.06, 0.12)
    top, bottom, edge = 0.08 * PATCH, 0.86 * PATCH, 0.93 * PATCH
    stripes = int(random.choice([5, 7]))
    for index in range(stripes):
        upper, lower = index / stripes, (index + 1) / stripes
        shade = paint if index % 2 == 0 else second
        for part in range(6):  # across: bright left of the middle, dark to the right
            gain = (0.85, 1.1, 1.15, 1.0, 0.8, 0.6)[part]
            corners = []
            for height, fraction in ((upper, part), (upper, part + 1), (lower, part + 1), (lower, part)):
                half = tip + (foot - tip) * height
                corners.append((HALF + half * (fraction / 3 - 1), top + (bottom - top) * height))
            draw.polygon(corners, fill=scaled(shade, gain))
    wide = 1.3 * foot
    draw.polygon(
        [(HALF - foot, bottom - 6), (HALF + foot, bottom - 6), (HALF + wide, edge), (HALF - wide, edge)], paint
    )
    draw.rectangle([HALF - wide, edge - 10, HALF + wide, edge], fill=scaled(paint, 0.6))
    return patch.rotate(random.uniform(-15, 15), resample=Image.Resampling.BILINEAR, expand=True)


def _crate(paint: Colour, _: Colour, random: np.random.Generator) -> Image.Image:
    """A box of planks in a frame with one slanting board, turned by up to 12 degrees."""
    patch = Image.new("RGBA", (PATCH, PATCH))
    draw = ImageDraw.Draw(patch)
    high = random.uniform(0.65, 1) * PATCH
    left, top, right, bottom = 4.0, (PATCH - high) / 2 + 4, PATCH - 4.0, (PATCH + high) / 2 - 4
    draw.rectangle([left, top, right, bottom], fill=scaled(paint, 0.35))
    planks = int(random.integers(4, 7))
    step = (bottom - top) / planks
    for index in range(planks):
        shade = scaled(paint, random.uniform(0.65, 0.95))
        draw.rectangle([left, top + index * step + 3, right, top + (index + 1) * step - 3], fill=shade)
        for grain in random.uniform(0.2, 0.8, 2).tolist():
            height = top + (index + grain) * step
            draw.line([(left, height), (right, height + random.uniform(-4, 4))], fill=scaled(shade, 0.85), width=2)
    board, dark, pale = 0.12 * PATCH, scaled(paint, 0.35), scaled(paint, 1.15)
    rising = [(left, bottom), (left, bottom - board), (right - board, top), (right, top), (right, top + board)]
    slanting = [*rising, (left + board, bottom)]
    if random.random() < 0.5:
        slanting = [(PATCH - x, y) for x, y in slanting]
    draw.polygon(slanting, fill=pale, outline=dark, width=4)
    for beam in (
        (left, top, right, top + board),
        (left, bottom - board, right, bottom),
        (left, top, left + board, bottom),
        (right - board, top, right, bottom),
    ):
        draw.rectangle(beam, fill=pale, outline=dark, width=4)
    return patch.rotate(random.uniform(-12, 12), resample=Image.Resampling.BILINEAR, expand=True)


def _star(paint: Colour, _: Colour, random: np.random.Generator) -> Image.Image:
    """A star of five points, turned at will, each point with a bright and a dark facet."""
    patch = Image.new("RGBA", (PATCH, PATCH))
    draw = ImageDraw.Draw(patch)
    angles = random.uniform(0, 2 * np.pi) + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, RADIUS, RADIUS * random.uniform(0.38, 0.5))
    corners = [
        (HALF + r * np.cos(a), HALF + r * np.sin(a)) for r, a in zip(radii.tolist(), angles.tolist(), strict=True)
    ]
    for index in range(10):
        gain = 1.12 if index % 2 == 0 else 0.78
        draw.polygon([(HALF, HALF), corners[index], corners[(index + 1) % 10]], fill=scaled(paint, gain))
    return patch
