"""Synthetic flowers in the five classes of tf_flowers, for trials without a network: told by shape, not by colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.data.synthetic.textures import (
    PATCH,
    Colour,
    Point,
    blobs,
    colour,
    gradient,
    image_size,
    lit,
    petal,
    photographed,
    scaled,
    strokes,
)

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")  # tf_flowers' folder names
LONGEST = 240  # pixels, an image's longer side
MIDDLE = (PATCH / 2, PATCH / 2)
RADIUS = 0.47 * PATCH  # of a flower on its patch
GOLDEN = np.pi * (3 - 5**0.5)  # radians between one floret and the next in a flower's head


def flowers(per_class: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """Yields (class, RGB image), the classes in turn, `per_class` of each.

    Image i depends on the seed and i alone: a larger set begins with the smaller one.
    """
    for index in range(per_class * len(CLASSES)):
        name = CLASSES[index % len(CLASSES)]
        yield name, _image(name, np.random.default_rng([seed, index]))


def _image(name: str, random: np.random.Generator) -> Image.Image:
    """One image, RGB: one large flower or a few smaller ones of a class, some half behind leaves."""
    image = _background(image_size(LONGEST, random), random)
    count = int(random.choice([1, 1, 2, 3, 4]))
    largest = {1: 0.9, 2: 0.62, 3: 0.52, 4: 0.45}[count]
    heads = [_head(name, random)]
    if count > 2:
        heads.append(_head(name, random))
    sides = [int(min(image.size) * random.uniform(0.72, 1) * largest) for _ in range(count)]
    centres = [_place(image.size, place, count, random) for place in range(count)]
    for side, centre in zip(sides, centres, strict=True):
        if name == "tulips" or random.random() < 0.5:
            _stem(image, centre, max(3, side // 22), random)
        for _ in range(int(random.integers(0, 3))):
            spot = random.normal(centre, 0.5 * side)
            _paste(image, _leaf(random), spot, (side, 0.5, random.uniform(0, 360)), random)
    for place, (side, centre) in enumerate(zip(sides, centres, strict=True)):
        if name == "tulips":
            shape = (side, 1.0, random.uniform(-25, 25))
        else:  # seen from the side, a flower's face is narrower
            shape = (side, random.uniform(0.6, 1), random.uniform(0, 360))
        _paste(image, heads[place % len(heads)], centre, shape, random)
        if random.random() < 0.35:
            reach = random.uniform(0, 2 * np.pi)
            edge = centre + 0.5 * side * np.array([np.cos(reach), np.sin(reach)])
            _paste(image, _leaf(random), edge, (int(0.6 * side), 0.5, random.uniform(0, 360)), random)
    return photographed(image, random)


def _place(size: tuple[int, int], place: int, count: int, random: np.random.Generator) -> np.ndarray:
    """Where flower number `place` of `count` stands, (x, y) in pixels: spread round the middle, never in a grid."""
    if count == 1:
        return np.array(size) * random.uniform(0.36, 0.64, 2)
    angle = 2 * np.pi * place / count + random.uniform(0, 1.2) + (0 if count == 2 else 0.6)
    return np.array(size) * (0.5 + 0.27 * np.array([np.cos(angle), np.sin(angle)]) + random.uniform(-0.05, 0.05, 2))


def _paste(
    image: Image.Image,
    patch: Image.Image,
    centre: np.ndarray,
    shape: tuple[int, float, float],
    random: np.random.Generator,
) -> None:
    """Puts a patch onto the image, lit; `shape`: pixels a side, the fraction its height keeps, degrees turned."""
    side, lean, turn = shape
    small = patch.resize((side, max(1, int(side * lean))), Image.Resampling.BILINEAR)
    turned = lit(small, random).rotate(turn, resample=Image.Resampling.BILINEAR, expand=True)
    corner = int(centre[0] - turned.width / 2), int(centre[1] - turned.height / 2)
    image.paste(turned, corner, turned)


def _background(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Grass, sky, soil or things out of focus, chosen without regard to the class."""
    kind = int(random.integers(4))
    if kind == 0:
        shades = [colour(random.uniform(0.2, 0.38), 0.6, random.uniform(0.25, 0.7)) for _ in range(4)]
        image = gradient(size, shades[0], shades[1], random)
        strokes(image, shades, 220, True, random)
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, 3)))
    if kind == 1:
        blue = random.uniform(0.53, 0.64)
        deep, pale = colour(blue, random.uniform(0.4, 0.8), 0.85), colour(blue, random.uniform(0, 0.25), 0.95)
        return gradient(size, deep, pale, random).filter(ImageFilter.GaussianBlur(2))
    if kind == 2:
        shades = [colour(random.uniform(0.04, 0.12), random.uniform(0.2, 0.6), v) for v in (0.2, 0.35, 0.5, 0.65)]
        image = gradient(size, shades[0], shades[2], random)
        blobs(image, shades, 60, random)
        strokes(image, shades, 120, False, random)
        return image.filter(ImageFilter.GaussianBlur(random.uniform(0.8, 3)))
    shades = [colour(random.random(), random.uniform(0.1, 0.9), random.uniform(0.1, 0.95)) for _ in range(4)]
    image = gradient(size, shades[0], shades[1], random)
    blobs(image, shades, 25, random)
    return image.filter(ImageFilter.GaussianBlur(random.uniform(6, 14)))


def _stem(image: Image.Image, centre: np.ndarray, width: int, random: np.random.Generator) -> None:
    """Draws a bent green stem from a flower's middle down to the image's lower edge, `width` pixels thick."""
    foot = np.array([centre[0] + random.normal(0, 25), image.height + width])
    bend = np.array([centre[0] + random.normal(0, 12), (centre[1] + foot[1]) / 2])
    steps = np.linspace(0, 1, 12)[:, None]
    curve = (1 - steps) ** 2 * centre + 2 * steps * (1 - steps) * bend + steps**2 * foot
    green = colour(random.uniform(0.22, 0.33), 0.55, random.uniform(0.3, 0.65))
    draw = ImageDraw.Draw(image)
    draw.line([tuple(point) for point in curve.tolist()], fill=scaled(green, 0.7), width=width, joint="curve")
    light = curve - np.array([width / 5, 0])
    draw.line([tuple(point) for point in light.tolist()], fill=green, width=max(1, width // 2), joint="curve")


def _leaf(random: np.random.Generator) -> Image.Image:
    """A green leaf with its rib, along an RGBA patch twice as wide as it is high."""
    patch = Image.new("RGBA", (PATCH, PATCH // 2))
    draw = ImageDraw.Draw(patch)
    green = colour(random.uniform(0.2, 0.4), random.uniform(0.4, 0.75), random.uniform(0.25, 0.65))
    middle, width = PATCH / 4, PATCH * random.uniform(0.2, 0.45)
    draw.polygon(petal((0.03 * PATCH, middle), 0, 0.94 * PATCH, width, (0.7, 0.9)), fill=green)
    rib = scaled(green, 1.25)
    draw.line([(0.03 * PATCH, middle), (0.95 * PATCH, middle)], fill=rib, width=5)
    for fraction in (0.2, 0.35, 0.5, 0.65):
        for way in (-1, 1):
            draw.line(
                [(PATCH * fraction, middle), (PATCH * (fraction + 0.13), middle + way * 0.3 * width)], rib, width=3
            )
    return patch


def _head(name: str, random: np.random.Generator) -> Image.Image:
    """One flower of a class, filling an RGBA patch."""
    patch = Image.new("RGBA", (PATCH, PATCH))
    painters: dict[str, Callable[[ImageDraw.ImageDraw, np.random.Generator], None]] = {
        "daisy": _daisy,
        "dandelion": _dandelion,
        "roses": _rose,
        "sunflowers": _sunflower,
        "tulips": _tulip,
    }
    painters[name](ImageDraw.Draw(patch), random)
    return patch


def _ring_of_petals(
    draw: ImageDraw.ImageDraw, base: Colour, count: int, size: Point, tip: float, random: np.random.Generator
) -> None:
    """Draws `count` petals round the middle; `size` is (length, width) in pixels, `tip` how pointed they are."""
    start = random.uniform(0, 2 * np.pi)
    for index in random.permutation(count):
        angle = start + 2 * np.pi * (index + random.uniform(-0.2, 0.2)) / count
        length = size[0] * random.uniform(0.86, 1)
        shade = scaled(base, random.uniform(0.85, 1.05))
        outline = petal(MIDDLE, angle, length, size[1] * random.uniform(0.85, 1.15), (0.7, tip))
        draw.polygon(outline, fill=shade, outline=scaled(shade, 0.72))
        for fraction in (0.55, 0.85):
            reach = fraction * length
            end = (MIDDLE[0] + reach * np.cos(angle), MIDDLE[1] + reach * np.sin(angle))
            draw.line([MIDDLE, end], fill=scaled(shade, 0.86), width=2)


def _disc(draw: ImageDraw.ImageDraw, base: Colour, radius: float, florets: int, random: np.random.Generator) -> None:
    """Draws a flower's round middle, `radius` in pixels, with its florets in a spiral, paler to the rim."""
    x, y = MIDDLE
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=scaled(base, 0.7))
    dot = 0.9 * radius / florets**0.5
    for index in range(florets):
        fraction = (index / florets) ** 0.5
        cx, cy = x + fraction * radius * np.cos(index * GOLDEN), y + fraction * radius * np.sin(index * GOLDEN)
        shade = scaled(base, random.uniform(0.7, 1) + 0.35 * fraction)
        draw.ellipse([cx - dot, cy - dot, cx + dot, cy + dot], fill=shade)


def _daisy(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Narrow white (or faintly pink or violet) petals with round tips round a small yellow middle."""
    tint = random.choice([0.0, 0.03, 0.15, 0.3])
    white = colour(random.uniform(0.75, 1.15), tint, random.uniform(0.85, 1))
    width = RADIUS * random.uniform(0.17, 0.25)
    for length in (RADIUS, 0.94 * RADIUS):
        _ring_of_petals(draw, white, int(random.integers(12, 20)), (length, width), 0.3, random)
    _disc(draw, colour(random.uniform(0.1, 0.15), 0.9, 0.95), RADIUS * random.uniform(0.2, 0.3), 70, random)


def _sunflower(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Broad pointed petals, yellow to rust, in two rings round a large brown disc."""
    yellow = colour(random.uniform(0.07, 0.16), random.uniform(0.65, 1), random.uniform(0.8, 1))
    if random.random() < 0.2:
        yellow = colour(random.uniform(-0.01, 0.06), 0.8, random.uniform(0.5, 0.8))
    width = RADIUS * random.uniform(0.24, 0.34)
    for length, gain in ((RADIUS, 0.85), (0.9 * RADIUS, 1.0)):
        _ring_of_petals(draw, scaled(yellow, gain), int(random.integers(15, 22)), (length, width), 0.9, random)
    radius = RADIUS * random.uniform(0.42, 0.56)
    brown = colour(random.uniform(0.04, 0.09), 0.7, random.uniform(0.28, 0.45))
    _disc(draw, brown, radius, 170, random)
    _disc(draw, scaled(brown, 0.6), 0.45 * radius, 50, random)


def _dandelion(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Many fine yellow rays, ring over ring; or, one time in four, the white ball of seeds."""
    if random.random() < 0.25:
        _seed_ball(draw, random)
        return
    hue = random.uniform(0.11, 0.16)
    for layer, reach in enumerate((1.0, 0.86, 0.72, 0.56, 0.4, 0.24)):
        base = colour(hue - 0.006 * layer, random.uniform(0.75, 1), 1 - 0.035 * layer)
        count = int(80 * reach + 12)
        angles = 2 * np.pi * (np.arange(count) + random.uniform(-0.4, 0.4, count)) / count
        for angle, length in zip(angles.tolist(), RADIUS * reach * random.uniform(0.82, 1, count), strict=True):
            shade = scaled(base, random.uniform(0.68, 1.1))
            end = (MIDDLE[0] + length * np.cos(angle), MIDDLE[1] + length * np.sin(angle))
            draw.line([MIDDLE, end], fill=shade, width=int(random.integers(4, 7)))


def _seed_ball(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """A dandelion gone to seed: a thin white ball of little parasols round a brown heart."""
    x, y = MIDDLE
    draw.ellipse([x - 0.9 * RADIUS, y - 0.9 * RADIUS, x + 0.9 * RADIUS, y + 0.9 * RADIUS], fill=(225, 225, 220, 70))
    count = 110
    for index in range(count):
        angle, reach = index * GOLDEN, 0.9 * RADIUS * (0.25 + 0.75 * (index / count) ** 0.5)
        grey = int(random.integers(205, 255))
        cx, cy = x + reach * np.cos(angle), y + reach * np.sin(angle)
        draw.line([MIDDLE, (cx, cy)], fill=(grey, grey, grey - 15, 120), width=2)
        for ray in random.uniform(0, 2 * np.pi, 7).tolist():
            length = random.uniform(0.08, 0.13) * RADIUS
            draw.line([(cx, cy), (cx + length * np.cos(ray), cy + length * np.sin(ray))], fill=(grey,) * 3, width=2)
    draw.ellipse([x - 16, y - 16, x + 16, y + 16], fill=(110, 85, 60))


def _rose(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """Round petals one over another in a spiral, pale at the rim and darker inwards: red, pink, white or yellow."""
    hue, saturation = random.choice([[0.98, 0.85], [0.93, 0.45], [0.08, 0.12], [0.13, 0.6], [0.04, 0.6]])
    base = colour(hue + random.uniform(-0.02, 0.02), saturation, random.uniform(0.65, 1))
    count = int(random.integers(17, 24))
    turns = np.linspace(0, 2 * np.pi, 15)[:-1]
    way = random.choice([-1, 1])
    for index in range(count):
        fraction = 1 - index / count  # 1 at the rim, 0 in the heart
        angle = way * index * GOLDEN + random.uniform(-0.2, 0.2)
        reach, radius = 0.52 * RADIUS * min(1, 1.3 * fraction), RADIUS * (0.16 + 0.3 * min(1, 1.3 * fraction))
        wave = radius * random.uniform(0.93, 1.05, len(turns))
        outline = np.stack([np.cos(turns), np.sin(turns)], axis=1) * wave[:, None]
        toward = np.array([np.cos(angle), np.sin(angle)])
        middle = np.array(MIDDLE) + reach * toward
        shade = scaled(base, (0.68 + 0.32 * fraction) * random.uniform(0.9, 1.08))
        layers = ((1.05, 0.0, 0.5), (1.0, 0.0, 1.12), (0.9, 0.1, 0.9), (0.72, 0.2, 0.76))
        for size, inward, gain in layers:  # its shadow, its pale rim, its face, its fold
            points = middle - inward * radius * toward + size * outline
            draw.polygon([tuple(point) for point in points.tolist()], fill=scaled(shade, gain))
    angles = np.linspace(0, 3.5 * np.pi, 40)
    spiral = np.array(MIDDLE) + (0.016 * RADIUS * angles)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    draw.line([tuple(point) for point in spiral.tolist()], fill=scaled(base, 0.42), width=4)


def _tulip(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    """A cup of three to five pointed oval petals seen from the side, in any colour."""
    hue, saturation = random.choice([[0.0, 0.9], [0.14, 0.85], [0.8, 0.6], [0.93, 0.5], [0.1, 0.08], [0.06, 0.85]])
    base = colour(hue + random.uniform(-0.03, 0.03), saturation, random.uniform(0.6, 1))
    foot, length = (PATCH / 2, 0.95 * PATCH), 0.88 * PATCH
    width = PATCH * random.uniform(0.36, 0.44)
    spread = random.uniform(0.2, 0.36)
    leans = {3: (-1.0, 1.0, 0.0), 4: (0.3, -1.0, 1.0, -0.1), 5: (-0.5, 0.5, -1.0, 1.0, 0.0)}[int(random.integers(3, 6))]
    for index, lean in enumerate(leans):
        front = index == len(leans) - 1
        shade = scaled(base, (1.0 if front else 0.72 + 0.2 * abs(lean)) * random.uniform(0.93, 1.05))
        angle = -np.pi / 2 + spread * lean + random.uniform(-0.04, 0.04)
        tall = length * (0.86 if front else random.uniform(0.92, 1))
        outline = petal(foot, angle, tall, width * (1.15 if front else 1), (0.42, 0.62))
        draw.polygon(outline, fill=shade)
        draw.line([*outline, outline[0]], fill=scaled(shade, 0.66), width=3)
        for offset in (-0.12, -0.06, 0, 0.06, 0.12):
            reach = tall * random.uniform(0.6, 0.85)
            end = (foot[0] + reach * np.cos(angle + offset), foot[1] + reach * np.sin(angle + offset))
            draw.line([foot, end], fill=scaled(shade, 0.88), width=2)
