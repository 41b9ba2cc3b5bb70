"""A picture that the person chose, at the size the app works with."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from explorer.images.sets import ImageSet
from vqvae.errors import BadInput, Unreachable
from vqvae.images import fit_to, read_photo, to_png, to_tensor

WORKING_SIZES = (128, 256, 384, 512)  # pixels on the long side


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file, read and shrunk to the working size."""

    key: str  # SHA-256 over the pixels and their shape: equal for equal pictures
    pixels: np.ndarray  # uint8 [H, W, 3]
    original_size: tuple[int, int]  # width, height in pixels, before shrinking
    notes: tuple[str, ...]  # what was done to it, a sentence each
    png_bytes: int  # size of these pixels as a PNG

    @property
    def image(self) -> Tensor:
        """[1, 3, H, W] in [0, 1]."""
        return to_tensor(self.pixels)


def file_stem(name: str) -> str:
    """What a file that is made of a picture can be called after it: letters, digits, - and _, at most 60 of them.

    name: any text, such as the name of a file that was uploaded, with or without folders and an ending.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = last.rsplit(".", 1)[0] if "." in last.lstrip(".") else last
    return file_part(stem) or "picture"


def file_part(text: str) -> str:
    """Any text as a part of a file's name: letters, digits, - and _, at most 60 of them; none where it has none."""
    return re.sub(r"[^\w-]+", "-", text).strip("-_")[:60].rstrip("-_")


def read_picture(images: ImageSet, name: str, *, working_size: int, only: tuple[int, int] | None = None) -> Picture:
    """An image of a set, as `open_picture` opens it, for who looks at it.

    Raises BadInput, also where its place does not answer.
    """
    try:
        data = images.read(name)
    except Unreachable as fault:
        raise BadInput(str(fault)) from None
    return open_picture(data, name, working_size=working_size, only=only)


def open_picture(data: bytes, name: str, *, working_size: int, only: tuple[int, int] | None = None) -> Picture:
    """An image file's bytes -> Picture with a long side of at most `working_size` pixels; raises BadInput.

    only: height and width, for a tokenizer that takes images of a single size: the middle is scaled to that.
    """
    photo = read_photo(data, name)
    image = fit_to(photo.image, working_size, only)
    notes = photo.notes
    if image.size != photo.image.size:
        (width, height), (full_width, full_height) = image.size, photo.image.size
        how = "Shrunk" if only is None else "Cut and scaled"
        notes = (*notes, f"{how} from {full_width:,} × {full_height:,} to {width} × {height} px.")
    pixels = np.asarray(image)
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return Picture(digest, pixels, photo.image.size, notes, len(to_png(pixels)))
