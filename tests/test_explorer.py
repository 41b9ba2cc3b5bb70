"""What is computed for the screen, against slow plain computations and its own laws."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.codebook.tiles import code_tiles, mean_colours
from explorer.images import samples
from explorer.images.pictures import file_stem, open_picture
from explorer.images.reconstruction import (
    Quality,
    amount,
    compare,
    encode_picture,
    explain,
    jpeg_quality,
    quality_figures,
    render,
    size_figures,
    times,
)
from tests.toys import toy_model
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_png


def photo(height: int, width: int) -> np.ndarray:
    """Something smooth with an edge in it: uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 5 % 256, y * 3 % 256, np.where(x > y, 200, 40)], axis=-1).astype(np.uint8)


def picture(height: int = 22, width: int = 30):
    return open_picture(to_png(photo(height, width)), "a.png", working_size=128)


def test_every_sample_is_a_photo_that_opens():
    assert len({sample.name for sample in samples.SAMPLES}) == len(samples.SAMPLES) >= 10
    for sample in samples.SAMPLES:
        opened = open_picture(sample.read(), sample.file, working_size=128)
        assert max(opened.pixels.shape) == 128
        assert opened.pixels.std() > 5
        assert samples.find(sample.name) is sample
    assert samples.find("no such sample") is None


def test_a_small_picture_keeps_its_pixels_and_a_large_one_says_that_it_was_shrunk():
    small = picture()
    np.testing.assert_array_equal(small.pixels, photo(22, 30))
    assert small.notes == ()
    large = open_picture(to_png(photo(300, 200)), "a.png", working_size=128)
    assert large.pixels.shape == (128, 85, 3)
    assert large.notes == ("Shrunk from 200 × 300 to 85 × 128 px.",)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("My holiday, day 2.JPEG", "My-holiday-day-2"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\café.png", "café"),
        ("archive.tar.gz", "archive-tar"),
        ("chelsea", "chelsea"),
        (".png", "png"),
        ("<b>bad</b>.png", "b"),
        ("x" * 300 + ".png", "x" * 60),
        ("a\nb\x00.png", "a-b"),
        ("…", "picture"),
        ("", "picture"),
    ],
)
def test_a_file_is_called_after_its_picture_and_can_be_called_that_anywhere(name, stem):
    assert file_stem(name) == stem


def test_a_pictures_key_is_of_its_pixels_not_of_its_file():
    bmp = io.BytesIO()
    Image.fromarray(photo(22, 30)).save(bmp, "BMP")
    assert open_picture(bmp.getvalue(), "b.bmp", working_size=128).key == picture().key
    changed = photo(22, 30)
    changed[21, 29, 2] ^= 1
    assert open_picture(to_png(changed), "a.png", working_size=128).key != picture().key


def test_a_bad_file_is_refused():
    with pytest.raises(BadInput):
        open_picture(b"not an image", "a.png", working_size=128)


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
def test_rendering_at_the_ends_of_the_blend_is_the_decoder_without_and_with_the_embedding(decoder_inputs):
    model = toy_model(decoder_inputs=decoder_inputs)
    shown = picture()
    encoded = encode_picture(model, shown)
    encoding = model.encode(shown.image)
    for weight, second in ((0, None), (1, encoding.embedding)):
        expected = to_pixels(model.decode(encoding.quantized, second)[..., :22, :30])[0]
        rendering = render(model, encoded, shown, weight=weight)
        np.testing.assert_array_equal(rendering.pixels, expected)
        error = (expected.astype(float) - shown.pixels) / 255
        assert rendering.quality.psnr == pytest.approx(-10 * math.log10((error**2).mean()), abs=1e-4)


def test_a_picture_without_a_cell_of_margin_still_has_figures():
    model = toy_model()
    one_pixel = picture(1, 1)
    encoded = encode_picture(model, one_pixel)
    rendering = render(model, encoded, one_pixel, weight=1)
    assert rendering.pixels.shape == (1, 1, 3)
    assert rendering.quality.ssim is None
    figures = {figure.label: figure for figure in size_figures(one_pixel, encoded, codes=8)}
    assert next(iter(figures)) == "Grid"
    assert figures["Size"].meaning.startswith("1 cell × log2 8 bits = 3 bits,")
    assert "–" in quality_figures(rendering.quality, rendering.quality)[1].value


def test_one_code_costs_no_bits_and_says_so_without_failing():
    model = toy_model(codes=1)
    shown = picture()
    figures = {figure.label: figure.value for figure in size_figures(shown, encode_picture(model, shown), codes=1)}
    assert figures["Distinct codes"] == "1 of 1"
    assert figures["Size"] == "0 bytes"


def test_size_figures_add_up():
    model = toy_model()
    shown = picture()
    encoded = encode_picture(model, shown)
    figures = {figure.label: figure for figure in size_figures(shown, encoded, codes=8)}
    rows, columns = math.ceil(22 / model.spec.stride), math.ceil(30 / model.spec.stride)
    assert figures["Grid"].value == f"{columns} × {rows}"
    assert figures["Bits per pixel"].value == f"{rows * columns * 3 / (22 * 30):.3f}"
    assert figures["Distinct codes"].value.startswith(f"{len(set(encoded.indices.flatten()))} of")


def test_the_jpeg_of_equal_bytes_is_as_good_as_any_that_fits():
    shown = picture(64, 64)
    limit = 1500
    quality, size = jpeg_quality(shown, limit)
    assert size <= limit
    best = 0.0
    for step in range(1, 96):
        data = io.BytesIO()
        Image.fromarray(shown.pixels).save(data, "JPEG", quality=step, optimize=True)
        if len(data.getvalue()) <= limit:
            best = max(best, compare(shown.pixels, np.asarray(Image.open(data))).psnr)
    assert quality.psnr == pytest.approx(best, abs=0.2)


def test_equal_pictures_compare_as_equal():
    quality = compare(photo(20, 20), photo(20, 20))
    assert quality.psnr == math.inf
    assert quality.ssim == pytest.approx(1)


def test_a_code_tile_is_the_middle_of_a_field_of_that_code():
    model = toy_model(codes=5)
    tiles = code_tiles(model)
    stride = model.spec.stride
    assert tiles.shape == (5, stride, stride, 3)
    for code in range(5):
        with torch.inference_mode():
            field = to_pixels(model.decode(model.lookup((torch.full((1, 3, 3), code),))))[0]
        np.testing.assert_array_equal(tiles[code], field[stride : 2 * stride, stride : 2 * stride])
        np.testing.assert_allclose(mean_colours(tiles)[code], tiles[code].reshape(-1, 3).mean(0), atol=0.5)


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("weight", [0.0, 0.37, 1.0])
def test_the_explanation_is_one_sentence_that_states_the_blend(inputs, weight):
    worse, better = compare(photo(20, 20), photo(20, 20) // 2), compare(photo(20, 20), photo(20, 20) - 1)
    sentence = explain(worse, better, weight=weight, inputs=inputs)
    assert sentence.endswith(".") and sentence.count(". ") == 0
    assert ("codes alone: this picture" in sentence) == (weight == 0)
    assert ("37%" in sentence) == (weight == 0.37)


LESS, ALL = 34.33, 34.03  # dB, of a photo that is closer to its original with a part of the embedding


def quality(psnr: float) -> Quality:
    return Quality(psnr, 0.9)


def test_where_less_of_the_embedding_is_closer_the_sentence_says_so():
    def sentence(psnr: float, weight: float, other: tuple[float, Quality]) -> str:
        return explain(quality(26.7), quality(psnr), weight=weight, inputs=2, other=other)

    assert "0.3 dB closer than with all of it." in sentence(LESS, 0.84, (1, quality(ALL)))
    assert "with 84% of it, it would be 0.3 dB closer." in sentence(ALL, 1, (0.84, quality(LESS)))
    for usual in (sentence(33.0, 0.84, (1, quality(ALL))), sentence(ALL, 1, (0.84, quality(33.0)))):
        assert usual == sentence(33.0 if "84%" in usual else ALL, 0.84 if "84%" in usual else 1, (0.5, quality(0)))


def test_amounts_read_well():
    assert [amount(value) for value in (0, 880, 1280, 3 << 20)] == ["0 bytes", "880 bytes", "1.25 KiB", "3.0 MiB"]
    assert [amount(value) for value in (0.75, 1, 1 + 1e-12, 1.25, 2, 112.5)] == [
        *("0.75 bytes", "1 byte", "1 byte", "1.25 bytes", "2 bytes", "112.5 bytes")
    ]
    assert [times(ratio) for ratio in (0.83, 1, 1.25, 9.6, 94.3, 2345)] == [
        "0.83 ×",
        "1 ×",
        "1.2 ×",
        "9.6 ×",
        "94 ×",
        "2,345 ×",
    ]
