"""JPEG, WebP and AVIF files of pixels: the best of so many bytes, and which of their bytes are the picture."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, features

from tests.toys import encoded, toy_pixels
from vqvae.codecs import AVIF, CODECS, JPEG, WEBP, Codec, avif_data_bytes, jpeg_data_bytes, webp_data_bytes

PIXELS = toy_pixels(40, 56)
PHOTO = Image.fromarray(PIXELS)
HERE = [codec for codec in CODECS if codec.available]

every_codec = pytest.mark.parametrize("codec", HERE, ids=lambda codec: codec.name)


def test_what_pillow_says_it_writes_is_available() -> None:
    assert {codec.name: codec.available for codec in CODECS} == {
        "JPEG": True,
        "WebP": features.check("webp"),
        "AVIF": features.check("avif"),
    }
    assert not Codec("XYZ", range(3), {}, "", len, "").available


@every_codec
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (40, 56)])
def test_a_file_holds_a_picture_of_the_same_size_and_better_ones_are_closer(
    codec: Codec, shape: tuple[int, int]
) -> None:
    pixels = toy_pixels(*shape)
    away = []
    for quality in (codec.qualities[0], 50, codec.qualities[-1]):
        data = codec.encode(pixels, quality)
        assert 0 < codec.data_bytes(data) < len(data)
        drawn = codec.decode(data)
        assert drawn.shape == pixels.shape and drawn.dtype == np.uint8
        np.testing.assert_array_equal(drawn, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        away.append(np.square(drawn.astype(int) - pixels).mean())
    assert away[0] > away[2]


@every_codec
def test_what_is_not_the_picture_is_not_counted(codec: Codec) -> None:
    options = {**codec.options, "quality": 30}
    data = encoded(PHOTO, codec.name, **options)
    profiled = encoded(PHOTO, codec.name, **options, icc_profile=b"x" * 5001)
    assert len(profiled) > len(data) + 5000
    assert codec.data_bytes(profiled) == codec.data_bytes(data) == codec.data_bytes(codec.encode(PIXELS, 30))


@every_codec
def test_the_highest_quality_that_fits_is_taken(codec: Codec) -> None:
    by_quality = {quality: codec.encode(PIXELS, quality) for quality in codec.qualities}
    for counted in (len, codec.data_bytes):
        sizes = [counted(data) for data in by_quality.values()]
        for limit in np.linspace(min(sizes), max(sizes), 9):
            data = codec.of_size(PIXELS, limit, counted=counted)
            assert counted(data) <= limit
            quality = next(quality for quality, one in by_quality.items() if one == data)
            better = by_quality.get(quality + 1)
            while better == data:  # some qualities make one file
                quality += 1
                better = by_quality.get(quality + 1)
            assert better is None or counted(better) > limit
        assert codec.of_size(PIXELS, 3, counted=counted) == by_quality[codec.qualities[0]]
        assert counted(codec.of_size(PIXELS, 10**9, counted=counted)) == sizes[-1]


def test_more_is_left_for_the_picture_where_headers_are_not_counted() -> None:
    limit = jpeg_data_bytes(encoded(PHOTO, "JPEG", quality=50, optimize=True))
    data = JPEG.of_size(PIXELS, limit, counted=jpeg_data_bytes)
    assert jpeg_data_bytes(data) == limit < len(data)


# --- which bytes are the picture, found another way -------------------------------------------------------------------


def test_the_data_of_a_jpeg_is_what_stands_between_the_header_of_its_scan_and_its_end() -> None:
    data = encoded(PHOTO, "JPEG", quality=30, optimize=True)
    place = data.index(b"\xff\xda")  # no table of this file holds these two bytes
    header = int.from_bytes(data[place + 2 : place + 4], "big")
    assert data[-2:] == b"\xff\xd9"
    assert jpeg_data_bytes(data) == len(data) - place - 2 - header - 2
    twice = encoded(PHOTO, "JPEG", quality=30, optimize=True, comment=b"x" * 5000)  # a header is no data
    assert (len(twice) - len(data) > 5000) and jpeg_data_bytes(twice) == jpeg_data_bytes(data)


@pytest.mark.skipif(not WEBP.available, reason="this Pillow writes no WebP")
@pytest.mark.parametrize("quality", range(0, 101, 10))
def test_the_data_of_a_webp_is_its_frame_behind_the_start_code_and_the_size(quality: int) -> None:
    data = WEBP.encode(PIXELS, quality)
    place = data.index(b"\x9d\x01\x2a")  # the start code of a key frame
    assert struct.unpack_from("<HH", data, place + 3) == (56, 40)
    padding = struct.unpack_from("<I", data, 16)[0] % 2
    assert webp_data_bytes(data) == len(data) - place - 7 - padding == len(data) - 30 - padding


@pytest.mark.skipif(not AVIF.available, reason="this Pillow writes no AVIF")
@pytest.mark.parametrize("quality", range(0, 101, 10))
def test_the_data_of_an_avif_stands_behind_the_name_of_its_box(quality: int) -> None:
    data = AVIF.encode(PIXELS, quality)
    place = data.index(b"mdat")
    assert struct.unpack_from(">I", data, place - 4)[0] == len(data) - place + 4  # it is the last box
    assert avif_data_bytes(data) == len(data) - place - 4


def test_boxes_may_say_their_length_in_eight_bytes_or_last_to_the_end() -> None:
    free = struct.pack(">I4s", 12, b"free") + b"mdat"  # a name that is none
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"12345"
    last = struct.pack(">I4s", 0, b"mdat") + b"123"
    assert avif_data_bytes(free + long + last) == 5 + 3
    with pytest.raises(ValueError, match="shorter"):
        avif_data_bytes(struct.pack(">I4s", 4, b"mdat") + b"1234")
