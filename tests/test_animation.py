"""Animations: read back, they show what was put in; GIF nearly so, WebP exactly."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from explorer.editing.animation import MOST_FRAMES, Form, animate, edit_frames, side_by_side, thinned
from explorer.editing.edits import Edit, inputs_of, unedited
from tests.toys import toy_images, toy_model, toy_pixels
from vqvae.images import to_pixels


def read_back(data: bytes) -> tuple[list[np.ndarray], list[int]]:
    """The frames of a file, uint8 [H, W, 3], and for how many milliseconds each is shown."""
    with Image.open(io.BytesIO(data)) as animation:
        frames, durations = [], []
        for frame in ImageSequence.Iterator(animation):
            frames.append(np.asarray(frame.convert("RGB")))
            durations.append(animation.info["duration"])
        assert animation.info["loop"] == 0
    return frames, durations


def painted(number: int, height: int = 33, width: int = 46) -> list[np.ndarray]:
    """A picture into which one rectangle after another is painted, black ones and such as were there before."""
    random = np.random.default_rng(number)
    frames = [toy_pixels(height, width)]
    for step in range(number - 1):
        frame = frames[-1].copy()
        top, left = random.integers(0, height - 4), random.integers(0, width - 4)
        part = frame[top : top + 9, left : left + 13]
        part[:] = (0, random.integers(0, 256, part.shape), frames[0][top : top + 9, left : left + 13])[step % 3]
        frames.append(frame)
    return frames


@pytest.mark.parametrize("size", [(33, 46), (1, 1), (1, 40), (64, 3)])
def test_webp_shows_every_pixel_as_it_was(size: tuple[int, int]) -> None:
    frames = [np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8) for number in range(4)]
    shown, durations = read_back(animate(frames, form="webp", milliseconds=90))
    assert len(shown) == 4
    assert all(map(np.array_equal, shown, frames))
    assert durations == [90, 90, 90, 360]


def test_gif_shows_them_nearly_so_and_leaves_alone_what_does_not_change() -> None:
    frames = painted(30)
    shown, durations = read_back(animate(frames, form="gif", milliseconds=90))
    assert len(shown) == 30
    assert durations == [90] * 29 + [360]
    for before, after, was, now in zip(frames, frames[1:], shown, shown[1:], strict=False):
        unchanged = (before == after).all(-1)
        assert np.array_equal(was[unchanged], now[unchanged])
    for frame, picture in zip(frames, shown, strict=True):
        assert np.abs(frame.astype(int) - picture).max() < 24
        assert np.square(frame.astype(float) - picture).mean() < 25  # 34 dB


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_few_colours_are_exact_whatever_they_are(form: Form) -> None:
    """Black is what a palette is filled up with: it must not be taken for clear."""
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 1]], np.uint8)
    random = np.random.default_rng(0)
    frames = [colours[random.integers(0, 4, (6, 7))] for _ in range(12)]
    frames[3:6] = [np.zeros((6, 7, 3), np.uint8), np.full((6, 7, 3), 255, np.uint8), np.zeros((6, 7, 3), np.uint8)]
    shown, _ = read_back(animate(frames, form=form, milliseconds=50))
    assert len(shown) == 12
    assert all(map(np.array_equal, shown, frames))


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_frames_that_are_the_same_take_their_time(form: Form) -> None:
    one, two = painted(2)
    frames = [one, one, one, two, two, one, one, one]
    shown, durations = read_back(animate(frames, form=form, milliseconds=40))
    assert sum(durations) == 40 * (len(frames) + 3)
    at_each_moment = [
        picture for picture, duration in zip(shown, durations, strict=True) for _ in range(duration // 40)
    ]
    for picture, frame in zip(at_each_moment, frames, strict=False):
        assert np.abs(picture.astype(int) - frame).max() < (24 if form == "gif" else 1)


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_a_single_frame_is_a_picture(form: Form) -> None:
    frame = np.full((5, 9, 3), (10, 200, 30), np.uint8)
    with Image.open(io.BytesIO(animate([frame], form=form, milliseconds=100))) as picture:
        assert picture.format == form.upper()
        assert np.array_equal(np.asarray(picture.convert("RGB")), frame)


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_of_many_frames_some_are_shown_the_first_and_the_last_among_them(form: Form) -> None:
    frames = [np.full((2, 2, 3), number % 256, np.uint8) for number in range(MOST_FRAMES + 7)]
    shown, _ = read_back(animate(iter(frames), form=form, milliseconds=20))
    assert len(shown) == MOST_FRAMES
    assert np.array_equal(shown[0], frames[0])
    assert np.array_equal(shown[-1], frames[-1])


def test_no_frames_or_no_time_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no frames"):
        animate([], form="gif", milliseconds=100)
    with pytest.raises(ValueError, match="20 ms"):
        animate(painted(2), form="gif", milliseconds=19)


def test_thinning_is_even_and_keeps_both_ends() -> None:
    assert thinned([], 5) == []
    assert thinned(range(5), 5) == thinned(range(5), 9) == [0, 1, 2, 3, 4]
    assert thinned(range(9), 5) == [0, 2, 4, 6, 8]
    for number in range(3, 60):
        for most in range(2, number):
            kept = thinned(range(number), most)
            assert (kept[0], kept[-1], len(kept)) == (0, number - 1, most)
            steps = set(np.diff(kept).tolist())
            assert max(steps) - min(steps) <= 1
            assert min(steps) >= 1


def test_the_frames_of_edits_are_what_each_decodes_to() -> None:
    model = toy_model(blocks=(1, 0))
    height, width = 38, 61
    base = model.encode(toy_images(1, height, width))
    edits = [unedited(base, weight=0.4)]
    for cell in [(0, 0), (5, 9), (9, 15), (5, 9), (4, 2), (3, 3)]:
        indices = edits[-1].indices.copy()
        indices[cell] = (indices[cell] + 3) % 8
        edits.append(Edit(indices, edits[-1].weight, "carry"))
    whole = [inputs_of(model, base, edit) for edit in edits]
    expected = [to_pixels(model.decode(fed.quantized, fed.embedding)[..., :height, :width])[0] for fed in whole]
    assert len({frame.tobytes() for frame in expected}) > 4
    frames = list(edit_frames(model, base, iter(edits), size=(height, width)))
    assert all(map(np.array_equal, frames, expected))
    assert len(frames) == len(edits)
    some = list(edit_frames(model, base, edits, size=(height, width), most=3))
    assert len(some) == 3
    assert all(map(np.array_equal, some, expected[::3]))


def test_pictures_stand_side_by_side() -> None:
    one, two, three = (toy_pixels(*size, seed=number) for number, size in enumerate([(4, 3), (6, 5), (2, 2)]))
    whole = side_by_side([one, two, three], 2)
    assert whole.shape == (6, 3 + 2 + 5 + 2 + 2, 3)
    assert whole.dtype == np.uint8
    covered = np.zeros((6, 14), bool)
    for picture, left in ((one, 0), (two, 5), (three, 12)):
        height, width = picture.shape[:2]
        assert np.array_equal(whole[:height, left : left + width], picture)
        covered[:height, left : left + width] = True
    assert (whole[~covered] == 255).all()
    assert np.array_equal(side_by_side([two], 7), two)
    assert np.array_equal(side_by_side([one, one], 0), np.concatenate([one, one], 1))
