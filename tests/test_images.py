"""Odd files, hostile files, and the exact ways from pixels to tensors and back."""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from tests.browser import ROOT
from tests.toys import assert_one_sentence, encoded, toy_images, toy_pixels
from vqvae.errors import BadInput, shown
from vqvae.images import (
    LONGEST_SIDE,
    MOST_PIXELS,
    display_name,
    fit_within,
    load_image,
    pad_to_multiple,
    read_photo,
    shrink_short_side,
    to_image,
    to_pixels,
    to_png,
    to_tensor,
)

PIXELS = toy_pixels(12, 17)
PHOTO = Image.fromarray(PIXELS)
LOSSLESS = [("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]


def read(data: bytes, name: str = "a.png") -> np.ndarray:
    image = load_image(data, name)
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(data: bytes, name: str = "a.png") -> str:
    with pytest.raises(BadInput) as refusal:
        load_image(data, name)
    message = assert_one_sentence(refusal)
    assert display_name(name) in message
    return message


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


# Odd files that are sound


@pytest.mark.parametrize(("form", "options"), LOSSLESS)
def test_rgb_arrives_to_the_pixel_and_without_notes(form: str, options: dict) -> None:
    photo = read_photo(encoded(PHOTO, form, **options), "a")
    np.testing.assert_array_equal(np.asarray(photo.image), PIXELS)
    assert photo.notes == ()


def test_jpeg_arrives_nearly() -> None:
    assert np.abs(read(encoded(PHOTO, "JPEG", quality=95)).astype(int) - PIXELS).mean() < 6


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_single_pixel_is_an_image(form: str) -> None:
    assert read(encoded(Image.new("RGB", (1, 1), (9, 120, 200)), form)).tolist() == [[[9, 120, 200]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_transparency_is_laid_over_white(form: str) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, PIXELS.shape[:2]).astype(np.uint8)
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    photo = read_photo(encoded(Image.fromarray(np.dstack([PIXELS, alpha])), form, **options), "a")
    np.testing.assert_allclose(np.asarray(photo.image), over_white(PIXELS, alpha), atol=1)
    assert photo.notes == ("Transparent parts are laid over white.",)


def test_grey_with_transparency_is_laid_over_white() -> None:
    grey, alpha = PIXELS[..., 0], PIXELS[..., 1]
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    expected = over_white(np.repeat(grey[..., None], 3, axis=2), alpha)
    np.testing.assert_allclose(read(encoded(image, "PNG")), expected, atol=1)


@pytest.mark.parametrize("height", [1, 63, 64, 65, 200])
def test_transparency_is_laid_over_white_as_pillow_does_it_at_once(height: int) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (height, 9, 4)).astype(np.uint8)
    for alpha in (colours[..., 3], np.full((height, 9), 255, np.uint8)):
        colours[..., 3] = alpha
        image = Image.fromarray(colours)
        at_once = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        np.testing.assert_array_equal(read(encoded(image, "PNG")), np.asarray(at_once))
    np.testing.assert_array_equal(read(encoded(image, "PNG")), colours[..., :3])  # nothing is transparent


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_note() -> None:
    opaque = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    photo = read_photo(encoded(Image.fromarray(opaque), "PNG"), "a")
    np.testing.assert_array_equal(np.asarray(photo.image), PIXELS)
    assert photo.notes == ()


def test_a_palette_is_looked_up() -> None:
    palette = PHOTO.quantize(9)
    np.testing.assert_array_equal(read(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_the_transparent_colour_of_a_palette_is_white(form: str) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    image.putdata([0, 1, 0])
    pixels = read(encoded(image, form, transparency=1))
    assert pixels.tolist() == [[[10, 20, 30], [255, 255, 255], [10, 20, 30]]]


def test_the_transparent_colour_of_an_rgb_png_is_white() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read(encoded(image, "PNG", transparency=(1, 2, 3))).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_one_bit_is_black_and_white() -> None:
    bits = np.array([[True, False, True]])
    assert read(encoded(Image.fromarray(bits), "PNG"))[..., 1].tolist() == [[255, 0, 255]]


def test_grey_is_grey() -> None:
    pixels = read(encoded(Image.fromarray(PIXELS[..., 0]), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat(PIXELS[..., :1], 3, axis=2))


SIXTEEN_BITS = np.array([[0, 128, 257 * 7, 30_000, 65_535]], np.uint16)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_not_clipped(form: str, order: str) -> None:
    mode = {"<u2": "I;16", ">u2": "I;16B"}[order]
    image = Image.frombytes(mode, (5, 1), SIXTEEN_BITS.astype(order).tobytes())
    photo = read_photo(encoded(image, form), "a")
    assert np.asarray(photo.image)[0, :, 0].tolist() == [round(value / 257) for value in SIXTEEN_BITS[0].tolist()]
    assert photo.notes == ("Values from 0 to 65,535 are scaled to 8 bits.",)


def test_thirty_two_bits_in_the_range_of_sixteen_are_scaled() -> None:
    image = Image.fromarray(SIXTEEN_BITS.astype(np.int32))
    assert image.mode == "I"
    assert read(encoded(image, "TIFF"))[0, :, 2].tolist() == [round(v / 257) for v in SIXTEEN_BITS[0].tolist()]


@pytest.mark.parametrize("whole", [1, 255, 65_535])
def test_floats_are_scaled_by_the_range_that_they_fill(whole: int) -> None:
    values = np.array([[0, 0.25, 0.5, 1]], np.float32) * whole
    assert read(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 64, 128, 255]


def test_cmyk_jpeg_has_the_colours_it_shows() -> None:
    red = Image.new("RGB", (16, 16), (250, 10, 10)).convert("CMYK")
    pixels = read(encoded(red, "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - (250, 10, 10)).max() < 12


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # the EXIF standard's table: stored -> shown
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_are_turned_upright(form: str, orientation: int) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = read(encoded(PHOTO, form, **options))
    np.testing.assert_array_equal(read(encoded(PHOTO, form, exif=exif, **options)), UPRIGHT[orientation](stored))


def test_an_orientation_off_the_table_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    np.testing.assert_array_equal(read(encoded(PHOTO, "PNG", exif=exif)), PIXELS)


@pytest.mark.parametrize(("form", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_of_an_animation_the_first_frame_is_shown_and_said(form: str, options: dict) -> None:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    photo = read_photo(encoded(frames[0], form, save_all=True, append_images=frames[1:], **options), "a")
    assert photo.image.getpixel((2, 2)) == (255, 0, 0)
    assert photo.notes == ("The first of its 3 frames is shown.",)


def test_a_phones_double_picture_is_one_picture() -> None:
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO])
    photo = read_photo(data, "a.jpg")
    assert photo.image.size == PHOTO.size and photo.notes == ()


def test_metadata_that_pillow_warns_of_does_not_matter() -> None:
    double = encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO])
    data = double.replace(b"MPF\0II*\0", b"MPF\0II*\1")  # the list of its pictures, damaged
    with pytest.warns(UserWarning, match="malformed MPO"):
        Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(read(data), read(double))


def test_a_name_does_not_decide_what_a_file_is() -> None:
    np.testing.assert_array_equal(read(encoded(PHOTO, "PNG"), "a.svg"), PIXELS)


# Refusals


def text_image(kind: str) -> bytes:
    if kind == "svg":
        return b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    return encoded(PHOTO, kind)


@pytest.mark.parametrize("kind", ["svg", "EPS", "PDF", "ICO", "PPM", "TGA", "DDS", "PCX", "ICNS", "SGI"])
def test_other_formats_are_refused(kind: str) -> None:
    assert "PNG, JPEG, WebP, GIF, BMP or TIFF" in refused(text_image(kind))


def test_nothing_and_text_are_refused() -> None:
    assert "empty" in refused(b"")
    refused(b"\0")
    refused(b"hello, this is a letter\n" * 40)
    refused(bytes(5000))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_a_file_that_is_cut_off_is_refused(form: str, share: float) -> None:
    data = encoded(Image.fromarray(toy_pixels(64, 64)), form)
    refused(data[: int(share * len(data))])


SMALL = Image.fromarray(toy_pixels(24, 20))
KINDS: list[tuple[str, dict[str, Any], Callable[[Image.Image], Image.Image]]] = [
    ("PNG", {}, lambda image: image),
    ("PNG", {}, lambda image: image.quantize(9)),
    ("PNG", {"save_all": True, "append_images": [SMALL.rotate(180)]}, lambda image: image),
    ("JPEG", {"quality": 90}, lambda image: image),
    ("JPEG", {"quality": 90, "progressive": True}, lambda image: image),
    ("WEBP", {"quality": 80}, lambda image: image),
    ("WEBP", {"lossless": True}, lambda image: image),
    ("WEBP", {"save_all": True, "append_images": [SMALL.rotate(180)]}, lambda image: image),
    ("GIF", {}, lambda image: image.quantize(9)),
    ("GIF", {"save_all": True, "append_images": [SMALL.rotate(180)]}, lambda image: image),
    ("BMP", {}, lambda image: image),
    ("BMP", {}, lambda image: image.quantize(9)),
    ("TIFF", {}, lambda image: image),
    ("TIFF", {"compression": "tiff_lzw"}, lambda image: image),
    ("TIFF", {"compression": "jpeg"}, lambda image: image),
    ("TIFF", {"compression": "packbits"}, lambda image: image),
]


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[f"{form}-{n}" for n, (form, _, _) in enumerate(KINDS)])
def test_cut_off_anywhere_a_file_is_refused_or_whole(number: int) -> None:
    form, options, made = KINDS[number]
    data = encoded(made(SMALL), form, **options)
    whole = read(data)
    refusals = 0
    for length in sorted({*range(0, len(data), 1 + len(data) // 150), *range(max(0, len(data) - 30), len(data))}):
        try:
            found = read(data[:length])
        except BadInput:
            refusals += 1
        else:
            np.testing.assert_array_equal(found, whole)
    assert refusals > 50


def chunk(tag: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + tag + payload + struct.pack(">I", zlib.crc32(tag + payload))


def png(size: tuple[int, int], raw: bytes, *, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """A PNG of those filtered bytes, be they many or few; every checksum and the end are right."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace)
    palette = chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
    half = len(packed := zlib.compress(raw)) // 2
    parts = chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + parts + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("depth", "colour", "bits"),
    [(8, 2, 24), (16, 2, 48), (8, 0, 8), (1, 0, 1), (16, 0, 16), (4, 3, 4), (8, 4, 16), (8, 6, 32)],
)
def test_a_png_whose_data_end_early_is_refused(depth: int, colour: int, bits: int) -> None:
    rows = [b"\0" + random.Random(row).randbytes(-(-13 * bits // 8)) for row in range(64)]
    whole = read(png((13, 64), b"".join(rows), depth=depth, colour=colour))
    assert whole.shape == (64, 13, 3)
    for kept in (1, 3, 40, 63):
        assert "cut off" in refused(png((13, 64), b"".join(rows[:kept]), depth=depth, colour=colour))
        assert "cut off" in refused(png((13, 64), b"".join(rows[:kept]) + rows[kept][:-1], depth=depth, colour=colour))


def test_a_png_that_is_black_below_is_whole() -> None:
    pixels = toy_pixels(64, 13)
    pixels[3:] = 0
    np.testing.assert_array_equal(read(to_png(pixels)), pixels)
    assert not read(to_png(np.zeros((9, 7, 3), np.uint8))).any()


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (13, 64), (8, 8), (3, 9)])
def test_an_interlaced_png_whose_data_end_early_is_refused(size: tuple[int, int]) -> None:
    width, height = size
    pixels = toy_pixels(height, width)
    passes = [pixels[top::down, left::across] for top, left, down, across in ADAM7]
    raw = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    np.testing.assert_array_equal(read(png(size, raw, interlace=1)), pixels)
    for kept in {0, len(raw) // 3, len(raw) - 1}:
        assert "cut off" in refused(png(size, raw[:kept], interlace=1))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def bmp_header(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + info + bytes(100)


def tiff_header(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, height), (279, 100)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(300, b"\0")


def gif_header(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00;"


def jpeg_header(width: int, height: int) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(20) + b"\xff\xd9"


def webp(tag: bytes, payload: bytes) -> bytes:
    body = b"WEBP" + tag + struct.pack("<I", len(payload)) + payload + bytes(len(payload) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def webp_lossless_header(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(9))


HEADERS = [png_header, bmp_header, tiff_header, gif_header, jpeg_header, webp_canvas, webp_lossless_header]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What Pillow was asked to decode."""
    asked: list[object] = []
    real = ImageFile.ImageFile.load

    def load(self: ImageFile.ImageFile) -> object:
        asked.append(self.size)
        return real(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    return asked


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(("width", "height"), [(8000, 5001), (16_383, 16_383), (5001, 8000)])
def test_too_many_pixels_are_refused_by_the_header_alone(
    header: Callable[[int, int], bytes], width: int, height: int, decoded: list[object]
) -> None:
    assert "40 megapixels" in refused(header(width, height))
    assert decoded == []


PEAK = """
import io, sys
from PIL import Image
from vqvae.images import load_image

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

data, buffer = sys.stdin.buffer.read(), io.BytesIO()
Image.new("RGB", (64, 64)).save(buffer, "JPEG")
load_image(buffer.getvalue(), "small")
before = peak()
assert load_image(data, "large").width in (6000, 4000)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is told by Linux alone")
@pytest.mark.parametrize("turned", [False, True])
def test_a_jpeg_of_24_megapixels_takes_256_mebibytes_at_most(turned: bool) -> None:
    image = Image.fromarray(toy_pixels(40, 60)).resize((6000, 4000), Image.Resampling.BILINEAR)
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    # Progressive and with colour at full resolution: what libjpeg itself needs the most for.
    data = encoded(image, "JPEG", quality=80, exif=exif, progressive=not turned, subsampling=0)
    run = subprocess.run([sys.executable, "-c", PEAK], input=data, capture_output=True, check=True, cwd=ROOT)
    assert 60 < float(run.stdout) <= 256


@pytest.mark.parametrize("header", HEADERS[:6])
@pytest.mark.parametrize("tall", [False, True])
def test_too_long_a_side_is_refused_by_the_header_alone(
    header: Callable[[int, int], bytes], tall: bool, decoded: list[object]
) -> None:
    width, height = (7, LONGEST_SIDE + 1) if tall else (LONGEST_SIDE + 1, 7)
    assert "16,384 pixels" in refused(header(width, height))
    assert decoded == []


@pytest.mark.parametrize("header", [png_header, bmp_header, tiff_header, webp_canvas])
def test_absurd_sizes_are_refused_by_the_header_alone(
    header: Callable[[int, int], bytes], decoded: list[object]
) -> None:
    side = (1 << 24) if header is webp_canvas else (1 << 31) - 1
    assert "40 megapixels" in refused(header(side, side))
    assert decoded == []


def test_a_webp_canvas_is_judged_before_pillow_allocates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    assert "40 megapixels" in refused(webp_canvas(16_384, 16_384))


def test_the_largest_sizes_are_read() -> None:
    assert load_image(encoded(Image.new("L", (LONGEST_SIDE, 2)), "PNG"), "a").size == (LONGEST_SIDE, 2)
    assert "cut off" in refused(png_header(8000, MOST_PIXELS // 8000))  # not too large, only empty


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *[(value, "not numbers") for value in (np.nan, np.inf, -np.inf)],
        *[(value, "outside 0 to 65,535") for value in (-0.01, 70_000.0, 3e38)],
    ],
)
def test_floats_that_are_no_brightness_are_refused(value: float, said: str) -> None:
    assert said in refused(encoded(Image.fromarray(np.array([[0.5, value]], np.float32)), "TIFF"))


@pytest.mark.parametrize("value", [-1, 65_536, 2**31 - 1, -(2**31)])
def test_whole_numbers_beyond_sixteen_bits_are_refused(value: int) -> None:
    assert "outside 0 to 65,535" in refused(encoded(Image.fromarray(np.array([[5, value]], np.int32)), "TIFF"))


def small_files() -> dict[str, bytes]:
    """One valid file of every kind that is worth damaging."""
    photo = Image.fromarray(toy_pixels(9, 11))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    more = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    files = {form: encoded(photo, form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")}
    files |= {f"{form} with frames": encoded(photo, form, **more) for form in ("PNG", "WEBP", "GIF", "TIFF", "MPO")}
    files |= {f"{form} with EXIF": encoded(photo, form, exif=exif) for form in ("PNG", "JPEG", "WEBP", "TIFF")}
    files |= {f"{kind} TIFF": encoded(photo, "TIFF", compression=f"tiff_{kind}") for kind in ("lzw", "adobe_deflate")}
    files["float TIFF"] = encoded(Image.fromarray(np.random.default_rng(0).random((9, 11), dtype=np.float32)), "TIFF")
    files["16-bit PNG"] = encoded(Image.fromarray(SIXTEEN_BITS), "PNG")
    files["palette PNG"] = encoded(photo.quantize(7), "PNG", transparency=3)
    files["CMYK JPEG"] = encoded(photo.convert("CMYK"), "JPEG")
    return files


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few random bytes changed, removed or put in, more of them near the start where the headers are."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        place = chance.randrange(len(content) if chance.random() < 0.5 else min(len(content), 120))
        match chance.randrange(10):
            case 0:
                del content[place + 1 :]
            case 1:
                del content[place : place + chance.randrange(1, 5)]
            case 2:
                content[place:place] = chance.randbytes(chance.randrange(1, 9))
            case _:
                content[place] = chance.choice((0, 1, 4, 127, 128, 255, chance.randrange(256)))
        content = content or bytearray(b"x")
    return bytes(content)


@pytest.mark.parametrize("kind", small_files())
def test_a_damaged_file_is_an_image_or_a_refusal_and_nothing_else(kind: str) -> None:
    data, chance = small_files()[kind], random.Random(kind)
    read(data)
    refusals = 0
    for _ in range(40):
        try:
            read(damaged(data, chance))
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
    assert refusals > 0


def test_a_gif_whose_later_frames_are_damaged_is_refused_not_a_crash() -> None:
    photo = Image.fromarray(toy_pixels(9, 11))
    data = encoded(photo, "GIF", save_all=True, append_images=[photo.rotate(90), photo.rotate(180)])
    for end in range(len(data) // 2, len(data)):
        try:
            read(data[:end])
        except BadInput as refusal:
            assert_one_sentence(refusal)


def test_reading_leaves_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    read(encoded(PHOTO, "PNG"))
    refused(png_header(16_383, 16_383))
    assert warnings.filters == before


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.png", "“cat.png”"),
        ("../../etc/passwd", "“passwd”"),
        ("C:\\photos\\cat.png", "“cat.png”"),
        ("a\nb\r\x1b[31m\x00.png", "“ab[31m.png”"),
        ("\u202egnp.exe", "“gnp.exe”"),
        ("", "“the file”"),
        ("photos/", "“the file”"),
        (" \n ", "“the file”"),
        ("\ud800.png", "“.png”"),
        ("Füße 猫.jpg", "“Füße 猫.jpg”"),
    ],
)
def test_a_name_is_shown_by_its_last_part_without_what_cannot_be_seen(name: str, expected: str) -> None:
    assert display_name(name) == expected


def test_a_long_name_is_shortened_in_the_middle() -> None:
    name = display_name("a" * 296 + ".png")
    assert len(name) <= 62 and name.startswith("“aaa") and name.endswith("a.png”") and "…" in name


@pytest.mark.parametrize(
    "name", ["../" * 99 + "x", "<img src=x onerror=alert(1)>", "x\n" * 300, "\x00" * 9, "猫" * 500]
)
def test_whatever_the_name_a_refusal_stays_one_short_line(name: str) -> None:
    for data in (b"", b"text", png_header(16_383, 16_383), encoded(PHOTO, "PNG")[:60]):
        assert len(refused(data, name)) < 200


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a\nb", "'a\\nb'"), (True, "True"), (float("nan"), "nan"), ("x" * 99, "'" + 38 * "x" + "…")],
)
def test_a_value_is_quoted_on_one_short_line(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_values_that_python_cannot_print_are_quoted_all_the_same() -> None:
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "a very large list"
    assert shown(10**5000) == "a very large int"


# Sizes


@pytest.mark.parametrize(("size", "expected"), [((300, 200), (60, 40)), ((200, 300), (40, 60)), ((1000, 1), (60, 1))])
def test_fit_within_shrinks_to_the_longer_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_within(Image.new("RGB", size), 60).size == expected


@pytest.mark.parametrize(("size", "expected"), [((300, 200), (90, 60)), ((200, 300), (60, 90)), ((99, 61), (97, 60))])
def test_shrink_short_side_shrinks_to_the_shorter_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink_short_side(Image.new("RGB", size), 60).size == expected


@pytest.mark.parametrize("shrink", [fit_within, shrink_short_side])
def test_nothing_is_ever_enlarged(shrink: Callable[[Image.Image, int], Image.Image]) -> None:
    assert shrink(PHOTO, 17) is PHOTO
    assert shrink(PHOTO, 500) is PHOTO


def test_shrinking_keeps_the_mean_colour() -> None:
    small = np.asarray(shrink_short_side(Image.fromarray(toy_pixels(60, 80)), 15))
    np.testing.assert_allclose(small.mean((0, 1)), toy_pixels(60, 80).mean((0, 1)), atol=2)


# Pixels and tensors

EVERY_VALUE = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_pixels_to_tensor_and_back_is_exact() -> None:
    pixels = np.stack([EVERY_VALUE, EVERY_VALUE[::-1], EVERY_VALUE.T], axis=-1)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert tensor[0, 1, 2, 3].item() == pytest.approx(pixels[2, 3, 1] / 255)
    assert tensor.min() == 0 and tensor.max() == 1
    np.testing.assert_array_equal(to_pixels(tensor), pixels[None])
    assert torch.equal(to_tensor(Image.fromarray(pixels)), tensor)


def test_to_pixels_rounds_to_nearest_and_clips() -> None:
    values = torch.tensor([-3.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.7]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_pixels(values)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 255]


def test_to_tensor_does_not_share_memory_with_its_pixels() -> None:
    pixels = PIXELS.copy()
    tensor = to_tensor(pixels)
    before = tensor.clone()
    pixels[:] = 0
    assert torch.equal(tensor, before)


@pytest.mark.parametrize("channels", [3, 4, None])
def test_png_holds_exactly_these_pixels(channels: int | None) -> None:
    shape = (13, 9) if channels is None else (13, 9, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(to_png(pixels)))), pixels)


def test_to_image_holds_exactly_these_pixels() -> None:
    np.testing.assert_array_equal(np.asarray(to_image(PIXELS)), PIXELS)


# Padding


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (2, 3), (7, 13), (8, 16), (9, 17), (3, 8)])
@pytest.mark.parametrize("multiple", [1, 4, 8, 64])
def test_padding_is_numpys_reflection(height: int, width: int, multiple: int) -> None:
    images = toy_images(2, height, width)
    below, right = -height % multiple, -width % multiple
    padded = pad_to_multiple(images, multiple)
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), (0, below), (0, right)), mode="reflect")
    np.testing.assert_array_equal(padded.numpy(), expected)
    assert torch.equal(padded[..., :height, :width], images)


def test_padding_goes_back_and_forth_where_the_image_is_smaller_than_it() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    assert pad_to_multiple(row, 8)[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]


def test_nothing_is_padded_where_nothing_is_missing() -> None:
    images = toy_images(1, 8, 16)
    assert pad_to_multiple(images, 8) is images
