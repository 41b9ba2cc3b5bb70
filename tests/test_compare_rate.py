"""Bits and closeness of models and codecs over the same images, each figure found another way."""

import io
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.base.bootstrap import means
from explorer.base.job import Cancelled
from explorer.compare import rate
from explorer.compare.coding import code_lengths
from explorer.compare.measure import colour_difference
from explorer.compare.rate import Point, Rates, above, at_equal_bits, curves, rates_of, saved
from explorer.compare.records import Compared, Comparison, Row, Seen, Settings
from explorer.images import sets
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import BEST_PSNR, compare
from explorer.images.sets import ImageSet
from tests.toys import Heard, assert_one_sentence, write_toy_photos
from vqvae.codecs import CODECS, JPEG, Codec
from vqvae.errors import BadInput
from vqvae.tokenizer import Level, Sizes, Spec

K = 256
HERE = [codec for codec in CODECS if codec.available]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return sets.open_set(write_toy_photos(tmp_path_factory.mktemp("set"), count=3, height=40, width=48))


def model(name: str, levels: Sequence[int] = (K,)) -> Compared:
    spec = Spec("toy", tuple(Level(f"{k}", k, 4, "euclidean", 4) for k in levels), 1, 1, Sizes(4))
    return Compared(name, name * 8, spec, 100, "cpu")


def seen(psnr: float, *, cells: int, seed: int = 0, ssim: float | None = 0.5, levels: int = 1) -> Seen:
    grids = [
        np.random.default_rng(seed + level).integers(0, 90, (1, cells)).astype(np.uint8) for level in range(levels)
    ]
    return Seen(psnr, ssim, 3.0, 1.0, 1.0, None, tuple(grids))


def comparison(images: ImageSet, *columns: Sequence[Seen | str], levels: Sequence[int] = (K,)) -> Comparison:
    rows = []
    for name, *each in zip(images.names, *columns, strict=True):
        picture = open_picture(images.read(name), name, working_size=64)
        height, width = picture.pixels.shape[:2]
        rows.append(Row(name, picture.key, (height, width), tuple(each)))
    names = "abcd"[: len(columns)]
    made = tuple(model(name, levels) for name in names)
    return Comparison(made, images.label, images.identity, Settings(working_size=64), tuple(rows), (), len(rows))


def of_models(images: ImageSet, *cells: int) -> Rates:
    """One model for each number of cells an image."""
    columns = [[seen(20.0 + image, cells=many, seed=image) for image in range(3)] for many in cells]
    return rates_of(comparison(images, *columns))


def pixels_of(images: ImageSet) -> list[np.ndarray]:
    return [open_picture(images.read(name), name, working_size=64).pixels for name in images.names]


def slow_file(codec: Codec, pixels: np.ndarray, quality: int) -> tuple[bytes, np.ndarray]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, codec.name, quality=quality, **codec.options)
    return buffer.getvalue(), np.asarray(Image.open(buffer).convert("RGB"))


# --- the models -------------------------------------------------------------------------------------------------------


def test_a_models_bits_are_those_of_its_indices_counted_three_ways(images: ImageSet) -> None:
    columns = [[seen(24.0, cells=30 + image, seed=image) for image in range(3)]]
    found = rates_of(comparison(images, *columns))
    (point,) = found.points
    assert isinstance(point, Point)
    grids = [one.indices for one in columns[0]]
    expected = code_lengths(grids, [K])
    for count in ("fixed", "order0", "conditioned"):
        bits = getattr(expected, count)
        np.testing.assert_array_equal(getattr(point.bits, count), bits)
        assert found.bits_per_pixel(point, count) == pytest.approx(np.mean(bits / (40 * 48)))
        assert saved(point, count) == pytest.approx(1 - bits.sum() / (93 * 8))
    assert list(point.tokens) == [30, 31, 32]


def test_levels_are_coded_each_by_its_own_codebook(images: ImageSet) -> None:
    columns = [[seen(24.0, cells=30, seed=image, levels=2) for image in range(3)]]
    (point,) = rates_of(comparison(images, *columns, levels=(100, 4096))).points
    assert isinstance(point, Point)
    assert point.bits.fixed[0] == pytest.approx(30 * math.log2(100) + 30 * 12)


def test_closeness_is_the_mean_over_the_images_with_its_interval_and_a_perfect_one_is_finite(images: ImageSet) -> None:
    column = [seen(24.0, cells=9), seen(math.inf, cells=9, ssim=None), seen(30.0, cells=9)]
    found = rates_of(comparison(images, column))
    expected = means({"x": np.array([24.0, BEST_PSNR, 30.0])})["x"]
    assert found.estimates[0, "psnr"] == expected
    assert found.estimates[0, "ssim"].images == 2
    one = rates_of(comparison(sets.one_picture("one", images.read(images.names[0])), column[:1]))
    assert one.estimates[0, "psnr"].low is None


def test_only_images_that_all_models_could_do_are_looked_at_and_a_failed_model_costs_its_column(
    images: ImageSet,
) -> None:
    good = [seen(24.0 + image, cells=9) for image in range(3)]
    partly: list[Seen | str] = ["It would not.", *good[1:]]
    found = rates_of(comparison(images, good, ["Out of memory."] * 3, partly))
    assert [row.name for row in found.rows] == list(images.names[1:])
    assert found.left_out == 1
    assert found.points[1] == "Out of memory."
    assert (0, "psnr") in found.estimates and (1, "psnr") not in found.estimates
    assert found.estimates[0, "psnr"].value == 25.5
    with pytest.raises(BadInput) as refusal:
        rates_of(comparison(images, [good[0], "No.", "No."], ["No.", good[1], "No."]))
    assert_one_sentence(refusal)
    with pytest.raises(BadInput):
        rates_of(comparison(images, ["No."] * 3))


# --- the codecs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", HERE, ids=lambda codec: codec.name)
def test_a_curve_is_what_the_files_of_all_images_take_and_how_close_they_come(codec: Codec, images: ImageSet) -> None:
    found = next(curve for curve in curves(of_models(images, 40), images, None, kept=None) if curve.codec is codec)
    for place, quality in list(enumerate(found.qualities))[::4]:
        files = [slow_file(codec, pixels, quality) for pixels in pixels_of(images)]
        bits = [8 * len(data) / (40 * 48) for data, _ in files]
        bare = [8 * codec.data_bytes(data) / (40 * 48) for data, _ in files]
        assert found.bits_per_pixel[True][place] == pytest.approx(np.mean(bits))
        assert found.bits_per_pixel[False][place] == pytest.approx(np.mean(bare))
        pairs = [(pixels, drawn) for pixels, (_, drawn) in zip(pixels_of(images), files, strict=True)]
        assert found.closeness["psnr"][place] == pytest.approx(np.mean([compare(*pair).psnr for pair in pairs]))
        assert found.closeness["ssim"][place] == pytest.approx(np.mean([compare(*pair).ssim for pair in pairs]))
        colour = np.mean([colour_difference(*pair) for pair in pairs])
        assert found.closeness["colour_difference"][place] == pytest.approx(colour)
    assert set(found.qualities) <= set(codec.qualities)
    assert list(found.bits_per_pixel[True]) == sorted(found.bits_per_pixel[True])


@pytest.mark.parametrize("headers", [True, False])
def test_at_equal_bits_each_image_has_the_best_file_that_is_no_larger(headers: bool, images: ImageSet) -> None:
    rates = of_models(images, 1200, 300)
    found = at_equal_bits(rates, images, None, count="fixed", headers=headers, kept=None)
    for most, by_codec in zip((1200, 300), found, strict=True):
        assert [equal.codec for equal in by_codec] == HERE
        for equal in by_codec:
            counted = len if headers else equal.codec.data_bytes
            for image, pixels in enumerate(pixels_of(images)):
                data = equal.codec.of_size(pixels, most, counted=counted)
                if counted(data) > most:
                    assert math.isnan(equal.bytes[image]) and math.isnan(equal.closeness["psnr"][image])
                else:
                    assert equal.bytes[image] == counted(data) <= most
                    assert equal.closeness["psnr"][image] == compare(pixels, equal.codec.decode(data)).psnr
    jpeg = found[1][0]
    assert jpeg.codec is JPEG and jpeg.fits == (0 if headers else 3)  # none is so small with its headers


def test_entropy_coded_bits_leave_fewer_bytes_to_the_codecs(images: ImageSet) -> None:
    rates = of_models(images, 1200)
    fixed, coded = (at_equal_bits(rates, images, None, count=n, headers=True, kept=None) for n in ("fixed", "order0"))
    (point,) = rates.points
    assert isinstance(point, Point)
    assert (coded[0][0].bytes <= point.bits.order0 / 8).all()
    assert coded[0][0].bytes.sum() < fixed[0][0].bytes.sum()


def test_the_difference_from_a_codec_is_paired_over_the_images_that_have_a_file(images: ImageSet) -> None:
    columns = [[seen(20.0 + 3 * image, cells=(1200, 5, 1000)[image], seed=image) for image in range(3)]]
    rates = rates_of(comparison(images, *columns))
    equal = at_equal_bits(rates, images, None, count="fixed", headers=True, kept=None)[0][0]
    assert equal.fits == 2 and math.isnan(equal.bytes[1])
    found = above(rates, 0, equal, "psnr")
    less = np.array([20.0, 26.0]) - equal.closeness["psnr"][[0, 2]]
    assert found is not None and found.estimate == means({"x": less})["x"]
    nothing = at_equal_bits(of_models(images, 5), images, None, count="fixed", headers=True, kept=None)[0][0]
    assert nothing.fits == 0 and above(of_models(images, 5), 0, nothing, "psnr") is None


def test_a_row_has_the_models_value_over_the_images_of_the_codec(images: ImageSet) -> None:
    columns = [[seen(20.0 + 3 * image, cells=(1200, 5, 1000)[image], seed=image) for image in range(3)]]
    rates = rates_of(comparison(images, *columns))
    equal = at_equal_bits(rates, images, None, count="fixed", headers=True, kept=None)
    row = next(iter(rate.plain(rates, equal, count="fixed", headers=True)))
    assert (row["images"], row["codec_images"], row["measure"]) == (3, 2, "psnr")
    assert row["value"] == 23.0 and row["value_on_codec_images"] == 23.0
    assert row["value_on_codec_images"] - row["codec_value"] == pytest.approx(row["difference"])
    columns[0][1] = seen(40.0, cells=5)
    row = next(iter(rate.plain(rates_of(comparison(images, *columns)), equal, count="fixed", headers=True)))
    assert row["value"] == pytest.approx(86 / 3) and row["value_on_codec_images"] == 23.0
    assert list(row) == list(rate.COLUMNS)


def test_a_model_that_failed_has_no_codec_beside_it(images: ImageSet) -> None:
    rates = rates_of(comparison(images, ["No."] * 3, [seen(24.0, cells=900)] * 3))
    found = at_equal_bits(rates, images, None, count="fixed", headers=True, kept=None)
    assert found[0] == () and len(found[1]) == len(HERE)


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_what_was_written_once_is_found_again_and_the_images_are_not_even_read(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = of_models(images, 700)

    def both() -> tuple[list, list]:
        drawn = curves(rates, images, None, kept=tmp_path)
        (equal,) = at_equal_bits(rates, images, None, count="fixed", headers=False, kept=tmp_path)
        of_curves = [
            (curve.codec.name, curve.bits_per_pixel[True].tolist(), _listed(curve.closeness)) for curve in drawn
        ]
        return of_curves, [(one.codec.name, one.bytes.tolist(), _listed(one.closeness)) for one in equal]

    first = both()
    monkeypatch.setattr(rate, "open_picture", lambda *_, **__: pytest.fail("it was read again"))
    assert both() == first
    for path in tmp_path.iterdir():  # what is damaged, or of another Pillow, is made again
        held = json.loads(path.read_text())
        path.write_text(json.dumps({**held, "writers": "another"}) if path.name < "8" else "{" + path.read_text())
    monkeypatch.undo()
    assert both() == first


def _listed(closeness: object) -> dict[str, list[float]]:
    assert isinstance(closeness, dict)
    return {name: values.tolist() for name, values in closeness.items()}


def test_files_of_a_picture_that_lies_nowhere_are_not_kept(images: ImageSet, tmp_path: Path) -> None:
    one = sets.one_picture("My cat", images.read(images.names[0]))
    rates = rates_of(comparison(one, [seen(22.0, cells=1200)]))
    assert curves(rates, one, None, kept=tmp_path) and not list(tmp_path.iterdir())


def test_it_can_be_stopped_and_goes_on_where_it_was(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = of_models(images, 700)
    with pytest.raises(Cancelled):
        curves(rates, images, None, progress=Heard(stop_at=2), kept=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    opened: list[str] = []
    monkeypatch.setattr(
        rate, "open_picture", lambda data, name, **options: opened.append(name) or open_picture(data, name, **options)
    )
    heard = Heard()
    curves(rates, images, None, progress=heard, kept=tmp_path)
    assert opened == [images.names[2]]
    assert heard.steps[-1] == (3, 3)


def test_a_folder_that_cannot_be_written_to_costs_no_figures_and_is_said(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "file" / "codecs"
    monkeypatch.setattr(rate, "kept_folder", lambda: folder)
    (tmp_path / "file").write_text("")
    found = curves(of_models(images, 40), images, None, kept=folder)
    assert len(found) == len(HERE)
    assert f"could not be kept in {folder} (not a directory)" in assert_one_sentence(rate.remark())
    (tmp_path / "file").unlink()
    curves(of_models(images, 40), images, None, kept=folder)
    assert rate.remark() == ""


def test_a_flipped_byte_of_what_was_kept_is_no_figure(images: ImageSet, tmp_path: Path) -> None:
    curves(of_models(images, 40), images, None, kept=tmp_path)
    path = min(tmp_path.iterdir())
    whole, right = path.read_bytes(), _kept(path)
    draw = random.Random(0)
    refused = 0
    for _ in range(200):
        place = draw.randrange(len(whole))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :])
        found = _kept(path)
        assert found in (({}, {}), right), f"byte {place}"
        refused += found != right
    assert refused > 150


def test_what_was_kept_without_a_checksum_is_found_unless_it_should_have_one(images: ImageSet, tmp_path: Path) -> None:
    curves(of_models(images, 40), images, None, kept=tmp_path)
    path = min(tmp_path.iterdir())
    right = _kept(path)
    held = json.loads(path.read_bytes())
    del held["checksum"]
    path.write_text(json.dumps(held))
    assert _kept(path) == ({}, {})
    path.write_text(json.dumps(held | {"version": 1}))
    assert _kept(path) == right != ({}, {})


def _kept(path: Path) -> tuple[dict, dict]:
    """Sizes and closeness that are found in a file."""
    files = rate.Written(lambda: np.empty(0), rate._closeness)
    rate._load(path, files)
    return files.sizes, files.measured


def test_an_image_that_is_another_by_now_is_refused(images: ImageSet) -> None:
    changed = sets.ImageSet(
        images.label, images.source, "", images.names, images.identity, lambda _: images.read(images.names[0])
    )
    with pytest.raises(BadInput) as refusal:
        curves(of_models(images, 40), changed, None, kept=None)
    assert "changed" in assert_one_sentence(refusal)


# --- in words ---------------------------------------------------------------------------------------------------------


def test_one_sentence_says_what_is_compared_with_what(images: ImageSet) -> None:
    rates = of_models(images, 1200)
    estimate = rates.estimates[0, "psnr"]
    told = rate.told_of_model(rates, 0, "fixed", "psnr")
    assert told == (
        f"a: 3 images of {images.label}, codes only, 1,200 codes × 8 bits = {1200 * 8 / 1920:.4f} bit/px → "
        f"PSNR 21.00 [{estimate.low:.2f}, {estimate.high:.2f}] dB"
    )
    coded = rate.told_of_model(rates, 0, "conditioned", "psnr")
    assert "entropy-coded by the left and the upper neighbour = " in coded and "% less than log2 K)" in coded
    equal = at_equal_bits(rates, images, None, count="fixed", headers=True, kept=None)[0][0]
    beside = rate.told_of_codec(rates, 0, equal, "psnr", headers=True)
    mean = np.mean(equal.closeness["psnr"])
    assert beside.startswith(f"the best JPEG of as many bytes: {mean:.2f} dB; a against it: ")
    assert f"{mean - 21:.2f} dB lower [" in beside
    small = of_models(images, 5)
    none = at_equal_bits(small, images, None, count="fixed", headers=False, kept=None)[0][0]
    assert rate.told_of_codec(small, 0, none, "psnr", headers=False) == "no JPEG is this small, headers not counted"


def test_one_picture_has_no_interval_and_is_called_by_its_name(images: ImageSet) -> None:
    one = sets.one_picture("My cat", images.read(images.names[0]))
    rates = rates_of(comparison(one, [seen(22.0, cells=1200)]))
    assert rate.told_of_model(rates, 0, "fixed", "psnr").startswith("a: My cat, codes only, 1,200 codes × 8 bits = ")
    equal = at_equal_bits(rates, one, None, count="fixed", headers=True, kept=None)[0][0]
    assert "one picture: no interval" in rate.told_of_codec(rates, 0, equal, "psnr", headers=True)
