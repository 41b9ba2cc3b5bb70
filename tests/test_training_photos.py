"""Photos that are decoded as they are needed: the same batches as from memory, in bounded memory."""

import io
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.browser import ROOT
from tests.test_train import TOY
from tests.toys import assert_one_sentence, encoded, toy_pixels, write_toy_photos
from vqvae import images
from vqvae.dataset import open_files
from vqvae.errors import BadInput, Unreachable
from vqvae.images import load_image
from vqvae.training import crops as crops_module
from vqvae.training.crops import ROOM, Crops, Photos, prefetch
from vqvae.training.validation import open_pictures, sheet_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """PNGs, and JPEGs that are not large."""
    write_toy_photos(tmp_path, count=3)
    for number in range(3):
        (tmp_path / f"j{number}.jpg").write_bytes(encoded(Image.fromarray(toy_pixels(50, 70, seed=number)), "JPEG"))
    return tmp_path


def in_memory(folder: Path) -> list[Image.Image]:
    files = open_files(folder)
    return [load_image(files.read(name), name) for name in files.names]


def test_batches_are_those_from_memory_to_the_bit(folder: Path) -> None:
    held, lazy = Crops(in_memory(folder), TOY), Crops(Photos.of(open_files(folder), TOY), TOY)
    assert all(torch.equal(held.batch(step), lazy.batch(step)) for step in range(20))


@pytest.mark.parametrize("kept", [0, 20_000, 1 << 30])
def test_what_is_kept_changes_no_batch_and_stays_within_its_bound(folder: Path, kept: int) -> None:
    photos = Photos.of(open_files(folder), TOY, kept_bytes=kept)
    crops, held = Crops(photos, TOY), Crops(in_memory(folder), TOY)
    for step in (3, 1, 2, 3, 0):
        assert torch.equal(crops.batch(step), held.batch(step))
        assert photos._kept_bytes == sum(4 * photo.width * photo.height for photo in photos._kept.values()) <= kept


def test_a_photo_that_is_kept_is_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    real = crops_module.load_image
    monkeypatch.setattr(
        crops_module, "load_image", lambda data, name, **more: decoded.append(name) or real(data, name, **more)
    )
    photos = Photos(open_files(folder), shortest=None)
    for number in (0, 1, 0, 1, 0):
        photos[number]
    assert decoded == list(photos.files.names[:2])


def test_the_one_that_was_asked_for_longest_ago_goes_first(folder: Path) -> None:
    photos = Photos(open_files(folder), shortest=None, kept_bytes=2 * 4 * 40 * 48)
    names = photos.files.names
    first = [names.index(f"{number}.png") for number in range(3)]
    for number in (first[0], first[1], first[0], first[2]):
        photos[number]
    assert list(photos._kept) == [first[0], first[2]]


def large_jpeg(*, width: int = 800, height: int = 600, **options: object) -> bytes:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 127 + 60 * np.sin(rows / 37) + 60 * np.cos(columns / 53)
    pixels = np.stack([waves, waves[::-1], 255 - waves], axis=-1).clip(0, 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=95, **options)


@pytest.mark.parametrize(
    ("shortest", "size"), [(601, (800, 600)), (300, (400, 300)), (299, (400, 300)), (151, (400, 300)), (75, (100, 75))]
)
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size_but_never_below_what_is_needed(
    shortest: int, size: tuple[int, int]
) -> None:
    data = large_jpeg()
    found = load_image(data, "large.jpg", shortest=shortest)
    assert found.size == size
    box = Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BOX)
    away = np.asarray(found).astype(float) - np.asarray(box)
    assert np.sqrt(np.square(away).mean()) < 1.5  # it is the mean over the pixels, but for the JPEG's own rounding


def test_a_turned_photo_is_turned_at_a_part_of_its_size_too() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    assert load_image(large_jpeg(exif=turned), "turned.jpg", shortest=300).size == (300, 400)


def test_a_run_reduces_no_photo_below_twice_the_largest_size_it_is_seen_at(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(large_jpeg())
    for short_side, size in (((20, 30), (100, 75)), ((20, 150), (400, 300)), ((20, 151), (800, 600))):
        assert Photos.of(open_files(tmp_path), replace(TOY, short_side=short_side))[0].size == size
    assert ROOM == 2


def test_a_photo_that_cannot_be_read_is_named_once_and_the_next_stands_in_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "0a.png").write_bytes(encoded(Image.fromarray(toy_pixels(9, 9)), "PNG")[:90])
    photos = Photos.of(open_files(folder), TOY)
    broken = photos.files.names.index("0a.png")
    for _ in range(3):
        np.testing.assert_array_equal(np.asarray(photos[broken]), np.asarray(photos[broken + 1]))
    assert capsys.readouterr().err.count("skipped: “0a.png”") == 1
    again = Crops(Photos.of(open_files(folder), TOY), TOY)  # another process meets them in another order
    crops = Crops(photos, TOY)
    assert torch.equal(again.batch(7), crops.batch(7))


def test_a_place_that_does_not_answer_makes_no_photo_unreadable(folder: Path) -> None:
    files = open_files(folder)
    down = [True]

    def read(name: str) -> bytes:
        if down[0] and name == files.names[2]:
            raise Unreachable("The place of the photos cannot be reached; try again.")
        return files.read(name)

    photos = Photos(replace(files, _read=read), shortest=None)
    for _ in range(2):
        with pytest.raises(Unreachable):
            photos[2]
    for measured in (
        lambda: open_pictures(photos.files, short_side=40, most=9, skipped=[]),
        lambda: sheet_pictures(photos.files),
    ):
        with pytest.raises(Unreachable):
            measured()
    down[0] = False
    held = in_memory(folder)
    assert not photos.unreadable
    np.testing.assert_array_equal(np.asarray(photos[2]), np.asarray(held[2]))


def test_the_last_photo_gives_way_to_the_first(folder: Path) -> None:
    (folder / "z.png").write_bytes(b"nonsense")
    photos = Photos(open_files(folder), shortest=None)
    np.testing.assert_array_equal(np.asarray(photos[len(photos) - 1]), np.asarray(photos[0]))


def test_a_set_without_a_sound_photo_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match="could be read") as refusal:
        Photos.of(open_files(tmp_path), TOY)
    assert_one_sentence(refusal)


def test_only_the_part_that_was_asked_for_is_seen(tmp_path: Path) -> None:
    write_toy_photos(tmp_path / "set" / "train", count=3)
    write_toy_photos(tmp_path / "set" / "val", count=2)
    assert len(Photos.of(open_files(tmp_path / "set", under="val"), TOY)) == 2


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("first", "last"), [(0, 30), (17, 19), (3, 3)])
def test_batches_made_by_several_threads_come_in_order(folder: Path, workers: int, first: int, last: int) -> None:
    photos = Photos.of(open_files(folder), TOY, kept_bytes=20_000)
    crops = Crops(photos, TOY)
    held = Crops(in_memory(folder), TOY)
    batches = list(prefetch(crops, first, last, workers=workers))
    assert len(batches) == last - first
    assert all(torch.equal(batch, held.batch(first + number)) for number, batch in enumerate(batches))


def test_two_threads_decode_at_once_and_the_warnings_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(toy_pixels(9, 9)), "PNG")
    both = threading.Barrier(2, timeout=30)
    real = images._read

    def read(*arguments: Any) -> images.Photo:
        both.wait()  # broken, if one thread waited for the other to end
        return real(*arguments)

    monkeypatch.setattr(images, "_read", read)
    before = list(warnings.filters)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(load_image, data, "a.png") for _ in range(2)]
        assert all(np.array_equal(np.asarray(one.result()), toy_pixels(9, 9)) for one in found)
    assert warnings.filters == before


def test_batches_that_nobody_takes_are_not_made(folder: Path) -> None:
    made: list[int] = []
    crops = Crops(in_memory(folder), TOY)
    real = crops.batch
    crops.batch = lambda step: made.append(step) or real(step)  # type: ignore[method-assign, func-returns-value]
    batches = prefetch(crops, 0, 1_000_000)
    next(batches)
    batches.close()
    assert max(made) < 10 and not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


MEASURE = """
import resource, sys
from pathlib import Path
from PIL import Image
import torch
from vqvae.dataset import ImageFiles
from vqvae.training.crops import Crops, Photos
from vqvae.training.settings import TrainingConfig
data = Path(sys.argv[1]).read_bytes()
names = tuple(f"photos/2019/part-{n // 1000:04}/IMG_{n:08}.jpg" for n in range(100_000))
files = ImageFiles(names, "", lambda name: data)
config = TrainingConfig(batch=64)
crops = Crops(Photos.of(files, config, kept_bytes=64 << 20), config)
for step in range(4):
    crops.batch(step)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
# A process is said to have held what the one that started it does, so a small one starts the one that is measured.
START = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', *sys.argv[1:]]).returncode)"


def test_crops_of_a_hundred_thousand_photos_take_under_1600_mebibytes_with_64_of_kept_photos(tmp_path: Path) -> None:
    """The set is one JPEG under 100,000 names. With 512 MiB kept, the default, that is 2 GiB; no model is there."""
    (tmp_path / "one.jpg").write_bytes(large_jpeg(width=1600, height=1200))
    measured = subprocess.run(
        [sys.executable, "-c", START, MEASURE, str(tmp_path / "one.jpg")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(measured.stdout) < 2048 - 448
