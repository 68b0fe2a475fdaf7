"""Textures of the synthetic images: colours, soft noise, backgrounds, outlines, light and the look of a photograph."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PATCH = 320  # pixels a side: each thing is drawn this large, then scaled down, so that its edges come out smooth
Colour = tuple[int, int, int]
Point = tuple[float, float]


def colour(hue: float, saturation: float, value: float) -> Colour:
    """An RGB colour, 0 to 255 each; a hue may lie outside 0 to 1 (it goes round), the others are cut to it."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def scaled(base: Colour, gain: float) -> Colour:
    """A colour made darker (gain below 1) or lighter (above 1)."""
    red, green, blue = (min(255, max(0, round(part * gain))) for part in base)
    return red, green, blue


def image_size(longest: int, random: np.random.Generator) -> tuple[int, int]:
    """(width, height) in pixels, from 3:4 to 4:3, the longer side near `longest`."""
    long = int(longest * random.uniform(0.95, 1.05))
    short = int(np.ceil(long * random.uniform(0.75, 1)))
    return (long, short) if random.random() < 0.5 else (short, long)


def smooth_noise(size: tuple[int, int], cells: int, random: np.random.Generator) -> np.ndarray:
    """Low-frequency noise, float32 (height, width), about 0 to 1, with `cells` hills or valleys a side."""
    grid = Image.fromarray(random.random((cells, cells), dtype=np.float32))
    return np.asarray(grid.resize(size, Image.Resampling.BICUBIC))


def gradient(size: tuple[int, int], first: Colour, second: Colour, random: np.random.Generator) -> Image.Image:
    """An image that goes from one colour to another in a random direction, its border bent by noise."""
    width, height = size
    angle = random.uniform(0, 2 * np.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(angle))
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(angle))
    cells = int(random.integers(3, 9))
    share = 0.5 + across[None, :] + down[:, None] + random.uniform(0.3, 1.2) * (smooth_noise(size, cells, random) - 0.5)
    weight = (255 * share.clip(0, 1)).astype(np.uint8)
    return Image.composite(Image.new("RGB", size, second), Image.new("RGB", size, first), Image.fromarray(weight))


def strokes(image: Image.Image, shades: list[Colour], count: int, upright: bool, random: np.random.Generator) -> None:
    """Draws `count` short lines onto an image in the given colours: upright for grass, else any way, as litter."""
    draw = ImageDraw.Draw(image)
    starts = random.uniform(0, 1, (count, 2)) * image.size
    lengths = random.uniform(0.04, 0.25, count) * max(image.size)
    angles = random.normal(-np.pi / 2, 0.3, count) if upright else random.uniform(0, 2 * np.pi, count)
    ends = starts + lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        shade = scaled(shades[random.integers(len(shades))], random.uniform(0.6, 1.3))
        draw.line([tuple(start), tuple(end)], fill=shade, width=int(random.integers(1, 4)))


def blobs(image: Image.Image, shades: list[Colour], count: int, random: np.random.Generator) -> None:
    """Draws `count` lumps without a regular shape onto an image, in the given colours."""
    draw = ImageDraw.Draw(image)
    turns = np.linspace(0, 2 * np.pi, 9)[:-1]
    for _ in range(count):
        centre = random.uniform(0, 1, 2) * image.size
        radii = random.uniform(0.02, 0.16) * max(image.size) * random.uniform(0.4, 1.3, len(turns))
        outline = centre + radii[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        shade = scaled(shades[random.integers(len(shades))], random.uniform(0.7, 1.2))
        draw.polygon([tuple(point) for point in outline.tolist()], fill=shade)


def petal(centre: Point, angle: float, length: float, width: float, ends: tuple[float, float]) -> list[Point]:
    """The outline of a petal or leaf that leaves `centre` at an angle (radians), length and width in pixels.

    `ends`: how pointed it is at its foot and at its tip, from 0.3 (round) to 1 (a long point).
    """
    along = np.linspace(0, 1, 14)
    profile = along ** ends[0] * (1 - along) ** ends[1]
    half = 0.5 * width * profile / profile.max()
    forth = np.stack([along * length, half], axis=1)
    back = np.stack([along * length, -half], axis=1)[::-1]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(x, y) for x, y in (np.concatenate([forth, back]) @ turn + np.array(centre)).tolist()]


def lit(patch: Image.Image, random: np.random.Generator) -> Image.Image:
    """An RGBA patch under a light from a random side, with soft stains; its alpha stays."""
    pixels = np.asarray(patch)
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0.1, 0.35)
    across = np.linspace(-1, 1, patch.width, dtype=np.float32) * np.float32(np.cos(angle))
    down = np.linspace(-1, 1, patch.height, dtype=np.float32) * np.float32(np.sin(angle))
    stains = smooth_noise(patch.size, 9, random)
    gain = np.float32(0.85) + np.float32(strength) * (across[None, :] + down[:, None]) + np.float32(0.3) * stains
    bright = (pixels[..., :3] * gain[..., None]).clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([bright, pixels[..., 3]]))


def photographed(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """The same image through a camera: mild blur, exposure, white balance and pixel noise."""
    blurred = image.filter(ImageFilter.BoxBlur(random.uniform(0, 1.2)))
    gains = (random.uniform(0.65, 1.3) * random.uniform(0.85, 1.15, 3)).astype(np.float32)
    pixels = random.standard_normal((image.height, image.width, 3), dtype=np.float32)
    pixels *= np.float32(random.uniform(2, 12))
    pixels += np.asarray(blurred) * gains
    return Image.fromarray(pixels.clip(0, 255, out=pixels).astype(np.uint8))
