"""What is measured of several models on the same images: by definition, and after a stop, a crash or another model."""

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from explorer.base import versions as versioned
from explorer.base.job import Cancelled
from explorer.base.memory import peak_bytes
from explorer.base.open_model import OpenModel
from explorer.compare import kept as keeping
from explorer.compare.measure import colour_difference, measure
from explorer.compare.records import Comparison, Row, Seen, Settings
from explorer.images.sets import ImageSet, one_picture, open_set
from tests import toy_tokenizers
from tests.toys import Heard, assert_one_sentence, encoded, toy_model, toy_pixels, write_toy_photos
from vqvae.errors import BadInput
from vqvae.images import to_image, to_pixels, to_tensor
from vqvae.served import Served
from vqvae.tokenizer import blend

SMALL = Settings(working_size=48)


def opened(tokenizer: Any, name: str) -> OpenModel:
    """As the app holds it, of any number of levels."""
    served = Served(tokenizer)
    return OpenModel(name, served, hashlib.sha256(name.encode()).hexdigest(), "cpu", "", 1000, "", Path("none"), {})


@pytest.fixture
def models() -> list[OpenModel]:
    return [opened(toy_model(), "one"), opened(toy_tokenizers.two_levels(), "levels"), opened(toy_model(1), "other")]


@pytest.fixture
def photos(tmp_path: Path) -> ImageSet:
    folder = write_toy_photos(tmp_path / "photos", count=3, height=30, width=41)
    write_toy_photos(folder / "tall", count=2, height=50, width=21)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return open_set(folder)


def untimed(row: Row) -> Any:
    """A row without the times, to be compared."""
    return row.name, row.digest, row.size, [one if isinstance(one, str) else _untimed(one) for one in row.seen]


def _untimed(seen: Seen) -> Any:
    grids = [(level.dtype, level.shape, level.tobytes()) for level in seen.indices]
    return seen.psnr, seen.ssim, seen.colour_difference, seen.peak_bytes, grids


def all_untimed(comparison: Comparison) -> Any:
    rows = [untimed(row) for row in comparison.rows]
    return rows, comparison.unreadable, comparison.repeated, comparison.models, comparison.asked


def test_the_figures_are_those_of_their_definitions(models: list[OpenModel], photos: ImageSet) -> None:
    found = measure(models, photos, replace(SMALL, weight=0.7))
    assert found.finished and [row.name for row in found.rows] == [n for n in photos.names if n != "broken.png"]
    assert [model.name for model in found.models] == ["one", "levels", "other"]
    for row in found.rows:
        if "tall" in row.name:
            assert row.size == (48, 20)  # shrunk
            continue
        original = toy_pixels(30, 41, seed=int(Path(row.name).stem))
        assert row.size == (30, 41)
        for model, seen in zip(models, row.seen, strict=True):
            assert isinstance(seen, Seen)
            encoding = model.tokenizer.encode(to_tensor(original))
            fed = blend(encoding, 0.7 if model.inputs == 2 else 0.0)
            drawn = to_pixels(model.tokenizer.decode(encoding.quantized, fed)[..., :30, :41])[0]
            assert seen.psnr == pytest.approx(peak_signal_noise_ratio(original, drawn), abs=1e-4)
            wanted = structural_similarity(
                original, drawn, channel_axis=2, gaussian_weights=True, use_sample_covariance=False
            )
            assert seen.ssim == pytest.approx(wanted, abs=1e-4)
            assert len(seen.indices) == len(model.spec.levels)
            for grid, level in zip(seen.indices, encoding.indices, strict=True):
                np.testing.assert_array_equal(grid, level[0].numpy())
                assert grid.dtype == np.uint8
            assert seen.tokens == sum(level.numel() for level in encoding.indices)
            assert seen.encode_ms > 0 and seen.decode_ms > 0


def test_colours_differ_as_defined() -> None:
    """Of two greys only the lightness counts: ΔL / S_L, by the formula of Sharma et al. 2005."""
    grey = np.full((12, 12, 3), 119, np.uint8)
    lighter = grey + np.uint8(10)

    def lightness(value: float) -> float:
        linear = ((value / 255 + 0.055) / 1.055) ** 2.4
        return 116 * linear ** (1 / 3) - 16

    from_50 = (lightness(119) + lightness(129)) / 2 - 50
    scale = 1 + 0.015 * from_50**2 / (20 + from_50**2) ** 0.5
    wanted = (lightness(129) - lightness(119)) / scale
    assert colour_difference(grey, grey) == 0
    assert colour_difference(grey, lighter) == pytest.approx(wanted, abs=1e-3)
    half = grey.copy()
    half[:6] += np.uint8(10)
    assert colour_difference(grey, half) == pytest.approx(wanted / 2, abs=1e-3)
    assert colour_difference(half, grey) == pytest.approx(colour_difference(grey, half))


def test_memory_is_what_tensors_take_at_once() -> None:
    def work() -> None:
        first = torch.zeros(1_000_000)
        second = torch.zeros(2_000_000)
        del first
        third = torch.zeros(500_000)
        assert len(second) + len(third)

    assert peak_bytes(work) == 4 * 3_000_000
    assert peak_bytes(work, "meta") is None


def test_memory_is_of_the_largest_image_and_of_those_of_its_size(photos: ImageSet) -> None:
    model = opened(toy_model(), "one")
    found = measure([model], photos, SMALL)
    peaks = {row.size: row.seen[0].peak_bytes for row in found.rows if isinstance(row.seen[0], Seen)}
    assert peaks[(30, 41)] is not None and peaks[(48, 20)] is None  # smaller than what is known already
    assert {row.seen[0].peak_bytes for row in found.rows if row.size == (30, 41)} == {peaks[(30, 41)]}


def test_a_single_size_is_that_of_all_and_a_second_one_is_refused(photos: ImageSet) -> None:
    small = toy_tokenizers.one_size()
    square = toy_tokenizers.one_size()
    object.__setattr__(square, "spec", replace(small.spec, sizes=replace(small.spec.sizes, only=(32, 32))))
    found = measure([opened(toy_model(), "any"), opened(small, "small"), opened(square, "square")], photos, SMALL)
    for row in found.rows:
        assert row.size == (48, 64)
        assert isinstance(row.seen[0], Seen) and isinstance(row.seen[1], Seen)
        assert isinstance(row.seen[2], str)
        assert "32 × 32" in assert_one_sentence(row.seen[2])


@pytest.mark.parametrize("fault", [RuntimeError, ValueError, IndexError, TypeError])
def test_a_model_that_fails_costs_its_own_figures_alone(
    fault: type[Exception], models: list[OpenModel], photos: ImageSet
) -> None:
    class Failing:
        spec = models[0].spec
        encode, lookup, vectors = (getattr(models[0].tokenizer, name) for name in ("encode", "lookup", "vectors"))

        def decode(self, quantized: Any, embedding: Any = None) -> Any:
            if quantized.shape[-1] > 8:
                raise fault("out of memory")
            return models[0].tokenizer.decode(quantized, embedding)

    failing = replace(models[0], name="failing", tokenizer=Failing(), fingerprint="f" * 64)
    found = measure([models[0], failing, models[1]], photos, SMALL)
    assert found.finished and len(found.rows) == 5
    for row in found.rows:
        assert isinstance(row.seen[0], Seen) and isinstance(row.seen[2], Seen)
        wide = row.size == (30, 41)
        assert isinstance(row.seen[1], str if wide else Seen)
        if wide:
            assert "out of memory" in assert_one_sentence(row.seen[1])
    alone = measure([models[0], models[1]], photos, SMALL)
    assert [untimed(row)[3][0] for row in found.rows] == [untimed(row)[3][0] for row in alone.rows]


def test_images_are_chosen_evenly_and_equal_ones_count_once(models: list[OpenModel], tmp_path: Path) -> None:
    folder = write_toy_photos(tmp_path / "photos", count=8)
    (folder / "8.png").write_bytes(encoded(to_image(toy_pixels(40, 48, seed=2)), "PNG", compress_level=1))
    photos = open_set(folder)
    found = measure(models[:1], photos, replace(SMALL, most=3))
    assert [row.name for row in found.rows] == ["0.png", "3.png", "6.png"] and found.finished
    found = measure(models[:1], photos, SMALL)
    assert found.repeated == (("8.png", "2.png"),) and len(found.rows) == 8 and found.finished


def test_nothing_that_can_be_read_is_refused(models: list[OpenModel], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nonsense")
    with pytest.raises(BadInput) as refusal:
        measure(models, open_set(tmp_path), SMALL)
    assert_one_sentence(refusal)


# Kept


class Counting:
    """A model that counts what it encodes."""

    def __init__(self, tokenizer: Any) -> None:
        self.inner, self.encoded = tokenizer, 0
        self.spec, self.lookup, self.vectors = tokenizer.spec, tokenizer.lookup, tokenizer.vectors
        self.decode = tokenizer.decode

    def encode(self, images: Any) -> Any:
        self.encoded += 1
        return self.inner.encode(images)


def counting(model: OpenModel) -> tuple[OpenModel, Counting]:
    tokenizer = Counting(model.tokenizer)
    return replace(model, tokenizer=tokenizer), tokenizer


@pytest.mark.parametrize("stop_at", [2, 7, 11])
def test_resumed_is_as_uninterrupted(stop_at: int, models: list[OpenModel], photos: ImageSet, tmp_path: Path) -> None:
    whole = measure(models, photos, SMALL)
    kept = tmp_path / "kept"
    if stop_at < 6:
        with pytest.raises(Cancelled):  # the first image is not there yet: there is nothing to show
            measure(models, photos, SMALL, progress=Heard(stop_at=stop_at), kept=kept)
    else:
        part = measure(models, photos, SMALL, progress=Heard(stop_at=stop_at), kept=kept)
        assert not part.finished and all_untimed(part)[0] == all_untimed(whole)[0][: len(part.rows)]
    heard = Heard()
    found = measure(models, photos, SMALL, progress=heard, kept=kept)
    assert all_untimed(found) == all_untimed(whole)
    assert heard.steps[-1] == (18, 18) and [done for done, _ in heard.steps] == sorted(d for d, _ in heard.steps)
    counted, tokenizer = counting(models[0])
    again = measure([counted, *models[1:]], photos, SMALL, kept=kept)
    assert tokenizer.encoded == 0
    for one, other in zip(found.rows, again.rows, strict=True):  # kept to the bit, times too
        assert [seen.encode_ms for seen in one.seen] == [seen.encode_ms for seen in other.seen]
        assert untimed(one) == untimed(other)


def test_another_model_is_all_that_is_measured(models: list[OpenModel], photos: ImageSet, tmp_path: Path) -> None:
    measure(models[:2], photos, SMALL, kept=tmp_path / "kept")
    with_counts = [counting(model) for model in models]
    order = [with_counts[place][0] for place in (2, 1, 0)]
    found = measure(order, photos, SMALL, kept=tmp_path / "kept")
    assert [tokenizer.encoded for _, tokenizer in with_counts] == [0, 0, 5 + 1]  # five images, and one to warm up
    assert [model.name for model in found.models] == ["other", "levels", "one"]


@pytest.mark.parametrize("changes", [{"weight": 0.5}, {"working_size": 32}])
def test_other_settings_are_measured_anew(
    changes: dict[str, Any], models: list[OpenModel], photos: ImageSet, tmp_path: Path
) -> None:
    measure(models[:2], photos, SMALL, kept=tmp_path / "kept")
    counts = [counting(model) for model in models[:2]]
    measure([model for model, _ in counts], photos, replace(SMALL, **changes), kept=tmp_path / "kept")
    has_one_input = [model.inputs == 1 and "weight" in changes for model in models[:2]]
    assert [tokenizer.encoded == 0 for _, tokenizer in counts] == has_one_input  # a blend is nothing to one input


@pytest.mark.parametrize("package", ["pillow", "scikit-image", "numpy", "torch"])
def test_other_versions_measure_anew(
    package: str, models: list[OpenModel], photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report says with which versions its figures were made."""
    measure(models[:1], photos, SMALL, kept=tmp_path / "kept")
    counted, tokenizer = counting(models[0])
    installed = versioned._installed
    monkeypatch.setattr(versioned, "_installed", lambda name: "0.0.0" if name == package else installed(name))
    measure([counted], photos, SMALL, kept=tmp_path / "kept")
    assert tokenizer.encoded == 5 + 1


def test_more_images_of_a_set_cost_only_those(models: list[OpenModel], photos: ImageSet, tmp_path: Path) -> None:
    measure(models[:1], photos, replace(SMALL, most=3), kept=tmp_path / "kept")
    counted, tokenizer = counting(models[0])
    found = measure([counted], photos, SMALL, kept=tmp_path / "kept")
    assert len(found.rows) == 5 and tokenizer.encoded == 2 + 1


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.99])
def test_a_damaged_file_is_a_miss(at: float, models: list[OpenModel], photos: ImageSet, tmp_path: Path) -> None:
    wanted = measure(models[:1], photos, SMALL, kept=tmp_path / "kept")
    (path,) = (tmp_path / "kept").glob(f"*/*{keeping.SUFFIX}")
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 4
    path.write_bytes(data)
    counted, tokenizer = counting(models[0])
    found = measure([counted], photos, SMALL, kept=tmp_path / "kept")
    assert tokenizer.encoded == 5 + 1 and all_untimed(found) == all_untimed(wanted)
    assert len(list((tmp_path / "kept").glob("*/*"))) == 1


def test_kept_files_hold_few_images_each(
    models: list[OpenModel], photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_IMAGES", 2)
    wanted = measure(models, photos, SMALL, kept=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob(f"*/*{keeping.SUFFIX}"))) == 3 * 3
    assert all_untimed(measure(models, photos, SMALL, kept=tmp_path / "kept")) == all_untimed(wanted)


def test_a_picture_that_lies_nowhere_is_not_kept(models: list[OpenModel], photos: ImageSet, tmp_path: Path) -> None:
    """Nor its name: it may be what a visitor has uploaded."""
    found = measure(models, one_picture("my secret.png", photos.read("1.png")), SMALL, kept=tmp_path / "kept")
    assert found.finished and found.remark == "" and not (tmp_path / "kept").exists()


def test_a_full_disk_is_said_and_costs_nothing_else(
    models: list[OpenModel], photos: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(keeping, "write_atomically", full)
    found = measure(models, photos, SMALL, kept=tmp_path / "kept")
    assert found.finished and "no space left on device" in assert_one_sentence(found.remark)
    assert measure(models, photos, SMALL).remark == ""


def test_an_image_that_changed_behind_its_set_is_measured_again(
    models: list[OpenModel], photos: ImageSet, tmp_path: Path
) -> None:
    """A file may change and keep its size and time: then one model's figures would be of other pixels."""
    measure(models[:1], photos, SMALL, kept=tmp_path / "kept")
    other = encoded(to_image(toy_pixels(30, 41, seed=9)), "PNG")
    changed = replace(photos, _read=lambda name: other if name == "1.png" else photos.read(name))
    counted, tokenizer = counting(models[0])
    found = measure([counted, models[1]], changed, SMALL, kept=tmp_path / "kept")
    assert tokenizer.encoded == 1 + 1
    assert all_untimed(found)[0] == all_untimed(measure(models[:2], changed, SMALL))[0]
    assert all_untimed(measure(models[:2], changed, SMALL, kept=tmp_path / "kept"))[0] == all_untimed(found)[0]
