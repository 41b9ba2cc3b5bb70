"""Image files: what was drawn into one is what is read, and of any other bytes there are pixels or a sentence."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from PIL import Image

from tests.properties.law import Law, refusals
from tests.properties.strategies import ODD_TEXT, SEEDS, damaged
from tests.toys import encoded
from vqvae.images import (
    LONGEST_SIDE,
    MOST_PIXELS,
    fit_to,
    fit_within,
    load_image,
    pad_to_multiple,
    read_photo,
    shrink_short_side,
    to_pixels,
    to_png,
    to_tensor,
)

MODES = {  # that are kept as they are
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P"),
    "TIFF": ("1", "L", "RGB", "RGBA", "I;16", "F"),
    "WEBP": ("RGB", "RGBA"),
    "JPEG": (),
}
LOSSY = (("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("TIFF", "CMYK"))
TURNED = ("PNG", "JPEG", "WEBP", "TIFF")  # formats that say which way is up
_ORIENTATION = 0x0112
_HEADS = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"RIFF\x1a\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0",
    b"RIFF\xff\0\0\0WEBPVP8L",
    b"GIF89a",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8\xff\xe1",
    b"%!PS-Adobe",
    b"",
)


@dataclass(frozen=True)
class Drawn:
    """A picture, and the file that it is drawn into."""

    form: str
    mode: str
    size: tuple[int, int]  # height, width
    seed: int
    orientation: int  # as EXIF says it, 1…8; 0 where nothing is said
    lossless: bool = True

    @property
    def image(self) -> Image.Image:
        random = np.random.default_rng(self.seed)
        grey = random.integers(0, 256, self.size, np.uint8)
        if self.mode in ("LA", "RGB", "RGBA", "CMYK"):
            channels = {"LA": 2, "RGB": 3}.get(self.mode, 4)
            drawn = Image.fromarray(random.integers(0, 256, (*self.size, channels), np.uint8)[..., :4])
            return drawn.convert("CMYK") if self.mode == "CMYK" else drawn
        if self.mode == "P":
            drawn = Image.fromarray(grey)
            drawn.putpalette(random.integers(0, 256, 768, np.uint8).tobytes())
            return drawn
        if self.mode == "1":
            return Image.fromarray(grey > 127)
        if self.mode == "I;16":
            return Image.fromarray(random.integers(0, 1 << 16, self.size, np.uint16))
        if self.mode == "F":
            return Image.fromarray(random.random(self.size, np.float32))
        return Image.fromarray(grey)

    @property
    def file(self) -> bytes:
        options: dict[str, Any] = {}
        if self.orientation:
            options["exif"] = exif = Image.Exif()
            exif[_ORIENTATION] = self.orientation
        if self.form == "WEBP" and self.lossless:
            options |= {"lossless": True, "exact": True}
        return encoded(self.image, self.form, **options)

    @property
    def shown(self) -> np.ndarray:
        """What a person should see, float64 [H, W, 3] in 0…255, by the definition of each mode."""
        values = np.asarray(self.image)
        if self.mode == "P":
            palette = self.image.getpalette()
            assert palette
            values = np.array(palette).reshape(-1, 3)[values]
        scale = {"1": 255.0, "I;16": 255 / 65535, "F": 255.0}.get(self.mode, 1.0)
        values = values.astype(np.float64) * scale
        if self.mode in ("LA", "RGBA"):
            alpha = values[..., -1:] / 255
            values = values[..., :-1] * alpha + 255 * (1 - alpha)
        colours = np.broadcast_to(values.reshape(*self.size, -1), (*self.size, 3))
        return upright(colours, self.orientation)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as EXIF's orientation means them (CIPA DC-008, 4.6.5): what is the top of the file's rows and columns."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


@st.composite
def drawn(draw: DrawFn, lossless: bool = True) -> Drawn:
    pairs = [(form, mode) for form, modes in MODES.items() for mode in modes] if lossless else list(LOSSY)
    form, mode = draw(st.sampled_from(pairs))
    size = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    orientation = draw(st.integers(0, 8)) if form in TURNED else 0
    return Drawn(form, mode, size, draw(SEEDS), orientation, lossless)


def reads_what_was_drawn(case: Drawn) -> bool:
    photo = read_photo(case.file, "a photo")
    found, expected = np.asarray(photo.image).astype(np.float64), case.shown
    assert found.shape == expected.shape
    blended = case.mode in ("LA", "RGBA")
    assert np.abs(found - expected).max() <= (1 if blended else 0.5), case
    return True


def reads_as_pillow_does(case: Drawn) -> bool:
    found = np.asarray(load_image(case.file, "a photo"))
    as_it_is = np.asarray(Image.open(io.BytesIO(case.file)).convert("RGB"))
    turned = 0 if case.form == "TIFF" else case.orientation  # of a TIFF Pillow itself turns the pixels
    assert (found == upright(as_it_is, turned)).all()
    return True


@dataclass(frozen=True)
class Bytes:
    """A file of unknown worth."""

    data: bytes
    name: str
    shortest: int | None


@st.composite
def odd_files(draw: DrawFn) -> Bytes:
    """Bytes of every kind: made up, made up behind the first bytes of a format, and damaged files."""
    kind = draw(st.sampled_from(("any", "head", "damaged", "damaged", "damaged", "damaged")))
    if kind == "any":
        data = draw(st.binary(max_size=200))
    elif kind == "head":
        data = draw(st.sampled_from(_HEADS)) + draw(st.binary(max_size=200))
    else:
        data = draw(damaged(draw(st.one_of(drawn(), drawn(lossless=False))).file))
    return Bytes(data, draw(ODD_TEXT), draw(st.none() | st.integers(1, 64)))


def gives_pixels_or_a_sentence(case: Bytes) -> bool:
    with refusals() as said:
        photo = read_photo(case.data, case.name, shortest=case.shortest)
        width, height = photo.image.size
        assert photo.image.mode == "RGB" and min(width, height) >= 1
        assert max(width, height) <= LONGEST_SIDE and width * height <= MOST_PIXELS
        assert np.asarray(photo.image).shape == (height, width, 3)
        assert all(note.endswith(".") for note in photo.notes)
    return not said


@dataclass(frozen=True)
class Fitted:
    """A picture, and what it is to be brought to."""

    size: tuple[int, int]  # height, width
    seed: int
    longest: int
    only: tuple[int, int]
    multiple: int


def sizes_are_as_asked(case: Fitted) -> bool:
    pixels = np.random.default_rng(case.seed).integers(0, 256, (*case.size, 3), np.uint8)
    image = Image.fromarray(pixels)
    height, width = case.size
    assert (to_pixels(to_tensor(image))[0] == pixels).all()
    assert (np.asarray(load_image(to_png(pixels), "a photo")) == pixels).all()
    within = fit_within(image, case.longest)
    assert max(within.size) == min(case.longest, max(height, width))
    assert (within is image) == (max(height, width) <= case.longest)
    ratio = max(within.size) / max(height, width)
    assert all(abs(now - max(1, ratio * was)) <= 0.5 for now, was in zip(within.size, image.size, strict=True))
    assert min(shrink_short_side(image, case.longest).size) == min(case.longest, height, width)
    assert fit_to(image, case.longest, case.only).size == case.only[::-1]
    padded = pad_to_multiple(to_tensor(image), case.multiple)
    assert (to_pixels(padded)[0, :height, :width] == pixels).all()
    for side, was in zip(padded.shape[-2:], case.size, strict=True):
        assert side % case.multiple == 0 and 0 <= side - was < case.multiple
    return True


SIDES = st.integers(1, 40)
LAWS = (
    Law("a file is read as the picture that was drawn into it", drawn(), reads_what_was_drawn),
    Law("a lossy file is read as Pillow reads it, upright", drawn(lossless=False), reads_as_pillow_does),
    Law("any bytes are pixels or one sentence", odd_files(), gives_pixels_or_a_sentence),
    Law(
        "sizes are those that were asked for, and pixels stay",
        st.builds(Fitted, st.tuples(SIDES, SIDES), SEEDS, SIDES, st.tuples(SIDES, SIDES), st.integers(1, 9)),
        sizes_are_as_asked,
    ),
)
