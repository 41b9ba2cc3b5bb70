"""Pictures one after another as a moving one, and side by side as a single one."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from explorer.editing.edits import Edit, LiveDecoder
from vqvae.images import to_image, to_pixels
from vqvae.tokenizer import Encoding, Tokenizer

Form = Literal["gif", "webp"]
T = TypeVar("T")

MOST_FRAMES = 120
LAST_HELD = 4  # times as long as each of the others
_GIF_COLOURS = 255  # of the 256: one stands for "as before"
_WHITE = 255


def animate(frames: Iterable[np.ndarray], *, form: Form, milliseconds: int) -> bytes:
    """An animation that repeats for ever: frames uint8 [H, W, 3], one or more of one shape -> a file's bytes.

    Each is shown for so many milliseconds, in whole hundredths of a second for GIF, and the last four times as long.
    WebP keeps all pixels exactly. GIF has 255 colours for what changes from frame to frame, and what does not change
    stays exactly as it was. Of more than `MOST_FRAMES` frames so many are kept, as `thinned` does it.
    """
    if milliseconds < 20:
        raise ValueError("Browsers show no frame for less than 20 ms.")
    pictures = thinned(list(frames), MOST_FRAMES)
    if not pictures:
        raise ValueError("There are no frames.")
    images = _gif_images(pictures) if form == "gif" else (to_image(picture) for picture in pictures)
    durations = [milliseconds] * (len(pictures) - 1) + [LAST_HELD * milliseconds]
    options: dict[str, Any] = {"optimize": False} if form == "gif" else {"lossless": True, "method": 2, "quality": 30}
    buffer = io.BytesIO()
    next(images).save(buffer, form, save_all=True, append_images=images, duration=durations, loop=0, **options)
    return buffer.getvalue()


def edit_frames(
    tokenizer: Tokenizer, base: Encoding, edits: Iterable[Edit], *, size: tuple[int, int], most: int = MOST_FRAMES
) -> Iterator[np.ndarray]:
    """What each edit of a base decodes to, uint8 [H, W, 3], where size is H, W; of many, as `thinned` does it."""
    height, width = size
    decoder = LiveDecoder(tokenizer, base)
    for edit in thinned(list(edits), most):
        yield to_pixels(decoder.decode(edit)[..., :height, :width])[0]


def thinned(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them (2 or more), evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[number * (len(items) - 1) // (most - 1)] for number in range(most)]


def side_by_side(pictures: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """uint8 [H, W, 3] each, one or more -> one picture, uint8: from left to right, so many white pixels between.

    Lower ones than the highest stand at the top, white below them.
    """
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    whole = np.full((height, width, 3), _WHITE, np.uint8)
    left = 0
    for picture in pictures:
        whole[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return whole


def _gif_images(frames: Sequence[np.ndarray]) -> Iterator[Any]:
    """Images with a palette each, made of only those pixels that differ from the frame before; the others are clear.

    So what an edit does not reach keeps its very pixels in the file, too, and the colours go to what it does reach.
    """
    changed = np.ones(frames[0].shape[:2], bool)
    for number, frame in enumerate(frames):
        if number:
            changed = (frame != frames[number - 1]).any(-1)
        palette: list[int] = []
        indices = np.zeros(changed.shape, np.uint8)
        if changed.any():
            reduced = to_image(frame[changed][None]).quantize(_GIF_COLOURS, kmeans=1)
            palette = reduced.getpalette() or []
            indices[changed] = np.asarray(reduced)[0]
        clear = len(palette) // 3
        indices[~changed] = clear
        image = to_image(indices)
        image.putpalette([*palette, 0, 0, 0])
        if number:
            image.info["transparency"] = clear
        yield image
