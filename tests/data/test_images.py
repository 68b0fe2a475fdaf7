"""Every kind of image file becomes upright RGB or is counted as unreadable; no fault of a file is fatal by itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from components.data.findings import Findings
from components.data.formats import images
from components.errors import UserError

SIDE = 16
RED, WHITE = (255, 0, 0), (255, 255, 255)

STORED = {  # what a camera held that way stores: the opposite of what brings it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def read(*files: Path) -> tuple[list[images.Decoded], Findings]:
    found = Findings()
    decoded = images.readable(files, [file.name for file in files], SIDE, found)
    return [one for _, one in decoded], found


def one(file: Path) -> tuple[np.ndarray, list[str]]:
    """The pixels of one readable file as (side, side, 3), and the kinds of findings it gives."""
    decoded, found = read(file)
    summary = found.summary()
    assert all(entry == {"count": 1, "files": [file.name], "kept": True} for entry in summary.values())
    return decoded[0].pixels.transpose(1, 2, 0), list(summary)


def noise(size: tuple[int, int] = (200, 150)) -> Image.Image:
    """An image that packs badly, so that a JPEG of it is long enough to cut."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def test_an_image_is_resized_to_a_square_whatever_its_aspect_ratio(tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 100))
    image.paste(RED, (200, 0, 400, 100))
    image.save(tmp_path / "wide.png")
    decoded, found = read(tmp_path / "wide.png")
    assert not found
    assert (decoded[0].width, decoded[0].height) == (400, 100)
    assert decoded[0].pixels.dtype == np.uint8
    assert decoded[0].pixels.shape == (3, SIDE, SIDE)
    assert (decoded[0].pixels[0, :, :7] == 0).all()
    assert (decoded[0].pixels[0, :, 9:] == 255).all()
    assert not decoded[0].pixels[1:].any()


def test_a_large_jpeg_decoded_smaller_looks_like_the_same_image(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 1001).astype(np.uint8)
    Image.fromarray(np.stack([np.tile(ramp, (701, 1))] * 3, axis=2)).save(tmp_path / "ramp.jpg", quality=95)
    pixels, kinds = one(tmp_path / "ramp.jpg")
    assert kinds == []
    expected = (np.arange(SIDE) + 0.5) / SIDE * 255
    assert np.abs(pixels[8, :, 0] - expected).max() < 3


def test_images_come_in_the_files_order_however_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CHUNK", 7)
    for number in range(20):
        Image.new("RGB", (600 - 29 * number, 300), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    decoded, found = read(*sorted(tmp_path.iterdir()))
    assert [int(one.pixels[0, 0, 0]) for one in decoded] == list(range(20))
    assert not found


@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_greyscale_image_becomes_three_equal_colours(mode: str, tmp_path: Path) -> None:
    Image.new("L", (40, 30), 255).convert(mode).save(tmp_path / "grey.png")
    pixels, kinds = one(tmp_path / "grey.png")
    assert kinds == ["greyscale"]
    assert (pixels == 255).all()


def test_a_cmyk_jpeg_is_red_where_it_was_red(tmp_path: Path) -> None:
    Image.new("CMYK", (40, 30), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    pixels, kinds = one(tmp_path / "cmyk.jpg")
    assert kinds == ["CMYK colours"]
    assert np.abs(pixels.astype(int) - RED).max() < 5


def test_a_palette_image_has_its_palettes_colours(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), RED).convert("P").save(tmp_path / "palette.png")
    pixels, kinds = one(tmp_path / "palette.png")
    assert kinds == ["palette"]
    assert (pixels == RED).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 40, 20))
    image.convert(mode).save(tmp_path / "clear.png")
    pixels, kinds = one(tmp_path / "clear.png")
    assert "transparency" in kinds
    assert (pixels[:7] == 0).all()
    assert (pixels[9:] == 255).all()


def test_a_colour_of_a_palette_can_be_transparent(tmp_path: Path) -> None:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, *RED])
    image.paste(1, (0, 0, 40, 20))
    image.save(tmp_path / "clear.png", transparency=0)
    pixels, kinds = one(tmp_path / "clear.png")
    assert kinds == ["palette", "transparency"]
    assert (pixels[:7] == RED).all()
    assert (pixels[9:] == WHITE).all()


def test_a_half_transparent_colour_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (*RED, 128)).save(tmp_path / "half.png")
    pixels, _ = one(tmp_path / "half.png")
    assert np.abs(pixels.astype(int) - (255, 127, 127)).max() <= 1


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_16_bit_greys_are_scaled_not_cut(ending: str, tmp_path: Path) -> None:
    greys = np.repeat([[0, 65535 // 4, 65535 // 2, 65535]], 4, axis=0).astype(np.uint16)
    file = tmp_path / f"deep.{ending}"
    if ending == "pgm":
        file.write_bytes(b"P5 4 4 65535\n" + greys.astype(">u2").tobytes())
    else:
        Image.fromarray(greys).save(file)
    pixels, kinds = one(file)
    assert kinds == ["16-bit greyscale"]
    assert pixels[0, [0, -1], 0].tolist() == [0, 255]
    assert pixels[0].mean() == pytest.approx(255 * (0 + 1 / 4 + 1 / 2 + 1) / 4, abs=4)


def cut(file: Path) -> None:
    noise().save(file, quality=90)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def too_many_pixels(file: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(file, format="PNG")


def fractions(file: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(file, format="TIFF")


def more_than_16_bits(file: Path) -> None:
    Image.fromarray(np.full((4, 4), 100_000, dtype=np.int32)).save(file, format="TIFF")


def cut_png(file: Path) -> None:
    noise().save(file, format="PNG")
    file.write_bytes(file.read_bytes()[:60])


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("empty file", Path.touch),
        ("not an image", lambda file: file.write_text("no image, though it is called one\n" * 50)),
        ("not an image", lambda file: file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")),
        ("broken image", cut),
        ("broken image", cut_png),
        ("broken image", fractions),
        ("broken image", more_than_16_bits),
        ("too many pixels", too_many_pixels),
    ],
    ids=["empty", "text", "eps", "cut", "cut-png", "fractions", "32-bit", "bomb"],
)
def test_a_file_that_cannot_be_read_is_skipped_and_counted(
    kind: str, spoil: Callable[[Path], object], tmp_path: Path
) -> None:
    noise().save(tmp_path / "a.jpg")
    spoil(tmp_path / "b.jpg")
    noise().save(tmp_path / "c.jpg")
    decoded, found = read(*sorted(tmp_path.iterdir()))
    assert len(decoded) == 2
    assert found.summary() == {kind: {"count": 1, "files": ["b.jpg"], "kept": False}}


def test_an_image_a_little_over_the_limit_is_a_bomb_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200 * 150 - 1)  # here PIL only warns
    noise().save(tmp_path / "a.jpg")
    decoded, found = read(tmp_path / "a.jpg")
    assert not decoded
    assert list(found.summary()) == ["too many pixels"]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_an_image_that_exif_turns_is_upright(ending: str, orientation: int, tmp_path: Path) -> None:
    upright = Image.new("RGB", (64, 32), WHITE)
    upright.paste(RED, (0, 0, 16, 16))
    stored = upright.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / f"turned.{ending}", exif=exif, quality=95)
    decoded, found = read(tmp_path / f"turned.{ending}")
    one = decoded[0]
    assert list(found.summary()) == ["turned by EXIF"]
    assert (one.width, one.height, one.orientation) == (64, 32, orientation)
    green = one.pixels[1] < 128
    assert green[:7, :3].all()
    assert not green[9:].any()
    assert not green[:, 5:].any()


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_exif_does_not_know_turns_nothing(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    noise().save(tmp_path / "a.jpg", exif=exif)
    assert one(tmp_path / "a.jpg")[1] == []


def test_damaged_exif_around_sound_pixels_is_no_fault(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")
    assert one(tmp_path / "a.jpg")[1] == []


def test_what_is_meant_as_an_image_is_told_by_its_ending_or_its_content(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.jpeg", "LICENSE.txt", "c.png", "d.eps", "e.HEIC", "noending", "data.csv"):
        (tmp_path / name).touch()
    for name in ("scan", "scan.bak", "0001"):
        noise().save(tmp_path / name, format="JPEG")
    meant = [path.name for path in sorted(tmp_path.iterdir()) if images.is_meant_as_image(path)]
    assert meant == ["0001", "a.jpeg", "b.JPG", "c.png", "e.HEIC", "scan", "scan.bak"]


@pytest.mark.parametrize(("most", "bits"), [(255, 8), (1023, 10), (3000, 12), (4095, 12), (16383, 14), (65535, 16)])
def test_greys_are_scaled_by_the_bits_that_all_the_files_use(most: int, bits: int, tmp_path: Path) -> None:
    for number, grey in enumerate((most, most // 4)):  # the darker image stays the darker one
        Image.fromarray(np.full((20, 20), grey, np.uint16)).save(tmp_path / f"{number}.{'png' if number else 'tif'}")
    files = sorted(tmp_path.iterdir())
    assert images.grey_bits(files) == bits
    decoded, found = read(*files)
    whole = most / (2**bits - 1) * 255
    assert [int(p.pixels[0, 0, 0]) for p in decoded] == [pytest.approx(whole, abs=1), pytest.approx(whole / 4, abs=1)]
    (kind,) = found.summary()
    assert kind == ("16-bit greyscale" if bits == 16 else f"16-bit greyscale, of which {bits} bits are used")


def sixteen_bit_colours(file: Path, most: int) -> None:
    """A PNG of 16 bits a colour, which PIL does not write."""
    row = b"\0" + np.full((20, 3), most, ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(row * 20)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def test_colours_of_twelve_bits_in_sixteen_are_refused_rather_than_nearly_black(tmp_path: Path) -> None:
    sixteen_bit_colours(tmp_path / "a.png", 60000)
    sixteen_bit_colours(tmp_path / "b.png", 4095)
    decoded, found = read(tmp_path / "a.png", tmp_path / "b.png")
    assert [int(one.pixels[0, 0, 0]) for one in decoded] == [60000 >> 8]
    assert "convert it to 8 bits" in found.reason("b.png")


def test_as_many_bad_files_as_are_tolerated_are_no_fault_and_one_more_is() -> None:
    found = Findings()
    for number in range(7):
        found.bad("empty file", f"{number}.jpg", "empty")
        found.bad("broken image", f"{number}.jpg", "told again")
    found.add("greyscale", "grey.jpg", kept=True)
    found.check(100, 0.07, "set.bad_files")
    with pytest.raises(UserError) as raised:
        found.check(100, 0.06, "set.bad_files")
    message = str(raised.value)
    assert "set.bad_files: 7 of 100 files cannot be read, which is more than 0.06" in message
    assert "0.jpg: empty" in message
    assert "raise set.bad_files" in message
    assert "5.jpg" not in message


def test_of_many_files_the_summary_names_the_first_100_and_counts_all() -> None:
    found = Findings()
    for number in reversed(range(250)):
        found.add("greyscale", f"{number:03}.jpg", kept=True)
    entry = found.summary()["greyscale"]
    assert entry["count"] == 250
    assert entry["files"] == [f"{number:03}.jpg" for number in range(100)]
    assert list(found.lines()) == ["250 x greyscale (kept): 000.jpg, 001.jpg, 002.jpg, ..."]


def test_nothing_found_is_nothing_said() -> None:
    assert not Findings()
    assert Findings().summary() == {}
    Findings().check(0, 0.0, "set.bad_files")
