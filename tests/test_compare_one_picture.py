"""What the codes of one picture cost, and files of as many bytes beside it, as the figures on Reconstruct say it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from explorer.compare import one_picture
from explorer.compare.coding import code_lengths
from explorer.compare.one_picture import Price, price, price_figures
from explorer.images.reconstruction import amount, compare
from explorer.images.written import Written
from tests.toys import toy_pixels
from vqvae.codecs import AVIF, JPEG, WEBP, Codec, jpeg_data_bytes

PIXELS = toy_pixels(64, 64)


def of_bytes(size: int) -> Price:
    """The price of a row of codes that takes so many bytes at log2 256 bits each."""
    return price(PIXELS, row_of(size), 256)


def row_of(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 40, (1, size))


def test_codes_cost_what_they_do_fixed_and_entropy_coded() -> None:
    found, bits = of_bytes(900), code_lengths([(row_of(900),)], [256])
    codes = price_figures(found)[0]
    assert found.bytes == 900
    assert codes.value == f"900 bytes → {amount(round(bits.conditioned[0] / 8))}"
    for said in ("900 cells × log2 256 bits = 7,200 bits", f"{bits.conditioned[0]:,.0f}", f"{bits.order0[0]:,.0f}"):
        assert said in codes.meaning
    assert "% less" in codes.meaning


def test_the_best_file_of_as_many_bytes_is_beside_it_with_and_without_headers() -> None:
    found = of_bytes(900)
    assert [beside.codec.name for beside in found.beside] == ["JPEG", "WebP", "AVIF"]
    for beside in found.beside:
        codec, file, data = beside.codec, beside.file, beside.data
        if not codec.available:
            continue
        assert file and data and file.fits and data.fits
        assert file.size.file <= 900 and data.size.data <= 900
        assert file.closeness == compare(PIXELS, codec.decode(codec.of_size(PIXELS, 900)))
        assert data.closeness.psnr >= file.closeness.psnr
    figure, jpeg = price_figures(found)[1], found.beside[0]
    assert jpeg.file and jpeg.data and jpeg.data.closeness.psnr > jpeg.file.closeness.psnr
    assert figure.label == "JPEG, equal bytes → without headers"
    assert figure.value == f"{jpeg.file.closeness.psnr:.2f} → {jpeg.data.closeness.psnr:.2f} dB"
    assert "best JPEG of at most 900 bytes" in figure.meaning
    assert f"leaves the file's headers out too ({JPEG.headers}): its data take {amount(jpeg.data.size.data)}." in (
        figure.meaning
    )


@pytest.mark.parametrize(("size", "without_headers"), [(20, False), (300, True)])
def test_where_no_file_is_this_small_it_says_so(size: int, without_headers: bool) -> None:
    figure = price_figures(of_bytes(size))[1]
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", quality=1, optimize=True)
    smallest = buffer.getvalue()
    assert f"No JPEG is this small: the smallest takes {amount(len(smallest))} and has" in figure.meaning
    if without_headers:
        assert figure.value.startswith("none this small → ") and figure.value.endswith(" dB")
    else:
        assert figure.value == "none this small"
        assert f"left out too ({JPEG.headers}) the smallest takes {amount(jpeg_data_bytes(smallest))}" in figure.meaning


def test_a_codec_that_is_not_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_picture, "CODECS", (JPEG, replace(AVIF, name="XYZ")))
    figures = price_figures(of_bytes(900))
    assert [figure.value for figure in figures[2:]] == ["–"]
    assert "writes no XYZ" in figures[2].meaning


def test_a_picture_of_one_pixel_and_a_codebook_of_one_code_have_a_price() -> None:
    figures = price_figures(price(toy_pixels(1, 1), np.zeros((1, 1), int), 1))
    assert figures[0].value == "0 bytes → 0 bytes"
    assert {figure.value for figure in figures[1:]} <= {"none this small", "–"}
    assert "nan" not in str(figures)


@pytest.mark.parametrize(("codes", "said", "bits"), [(1024, "1.25 bytes", 10), (256, "1 byte", 8)])
def test_one_cell_takes_a_part_of_a_byte_where_it_does(codes: int, said: str, bits: int) -> None:
    own, *others = price_figures(price(toy_pixels(8, 8), np.full((1, 1), codes - 1), codes))
    assert own.value == f"{said} → {said}"
    assert own.meaning.startswith(f"1 cell × log2 {codes:,} bits = {bits} bits; ")
    assert f"at most {said}, " in others[0].meaning  # the same bytes as they are compared with


def test_each_file_is_looked_for_once_and_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    encode = Codec.encode

    def noted(codec: Codec, pixels: np.ndarray, quality: int) -> bytes:
        written.append(quality)
        return encode(codec, pixels, quality)

    monkeypatch.setattr(Codec, "encode", noted)
    measured: list[int] = []
    files = Written(lambda: PIXELS, lambda one, other: measured.append(1) or compare(one, other))
    found = [files.best(WEBP, 900, headers=headers) for headers in (True, False)]
    assert found == [files.best(WEBP, 900, headers=headers) for headers in (True, False)]
    assert len(written) == len(set(written))
    assert found[0] is not None and files.closeness(WEBP, found[0]) == files.closeness(WEBP, found[0])
    assert len(measured) == 1
    assert files.best(WEBP, 5, headers=False) is None
