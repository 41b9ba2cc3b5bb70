"""Files and bytes to tensors in [0, 1] and back; the only place that knows Pillow."""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps, features
from torch import Tensor

from vqvae.errors import BadInput

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # a phone's MPO comes through JPEG
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 16_384

_STRIP_ROWS = 64
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_warning_filter_lock = threading.Lock()  # warnings.catch_warnings swaps a global list
_readers: list[None] = []  # one for each thread that is reading
_quiet = warnings.catch_warnings()


@dataclass(frozen=True)
class Photo:
    """A picture that was read, and what had to be done to it, in sentences for the person who gave it."""

    image: Image.Image  # RGB, 8 bit, upright
    notes: tuple[str, ...] = ()


def load_image(data: bytes, name: str, *, shortest: int | None = None) -> Image.Image:
    """Bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF file -> RGB image, upright, over white where it was transparent.

    `name` is only ever quoted in messages. A JPEG whose short side stays at `shortest` pixels or more at a half, a
    quarter or an eighth of its size is decoded at the smallest of them. Raises BadInput, with one sentence, for
    whatever cannot be shown.
    """
    return read_photo(data, name, shortest=shortest).image


def read_photo(data: bytes, name: str, *, shortest: int | None = None) -> Photo:
    """As `load_image`, with notes on what was done: first frame taken, transparency laid over white, depth scaled."""
    shown = display_name(name)
    if not data:
        raise BadInput(f"{shown} is empty; choose another file.")
    _check_size(*_webp_size(data), shown)
    with _quiet_pillow():
        return _read(data, shown, shortest)


# Below, `except Exception` means it: Pillow's parsers raise whatever damaged bytes lead them to (SyntaxError,
# IndexError, struct.error, …), and all of it is the file's fault.


def _read(data: bytes, shown: str, shortest: int | None) -> Photo:
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(_too_large(shown)) from None
    except Exception:
        raise BadInput(
            f"{shown} is not an image in PNG, JPEG, WebP, GIF, BMP or TIFF; save it as one of these."
        ) from None
    _check_size(*opened.size, shown)
    try:
        frames = getattr(opened, "n_frames", 1) if opened.format != "MPO" else 1
        if shortest is not None:
            opened.draft(None, (shortest, shortest))
        opened.load()
        ends_early = opened.format == "PNG" and _ends_early(opened, data)
    except Exception:
        ends_early = True
    if ends_early:
        raise BadInput(f"{shown} is cut off or damaged; save or download it again.")
    notes = [f"The first of its {frames} frames is shown."] if frames > 1 else []
    _turn_upright(opened)
    try:
        rgb, conversion = _to_rgb(opened, shown)
    except BadInput:
        raise
    except Exception:
        raise BadInput(f"{shown} has colours of a kind that cannot be read; save it as an RGB PNG.") from None
    return Photo(rgb, (*notes, *conversion))


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Pillow warns of metadata that it skips; nobody can act on that. Its bomb warning becomes an error."""
    global _quiet
    with _warning_filter_lock:
        if not _readers:
            _quiet = warnings.catch_warnings()
            _quiet.__enter__()
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
        _readers.append(None)
    try:
        yield  # several threads decode at once; the first one in puts the filter up, the last one out takes it down
    finally:
        with _warning_filter_lock:
            _readers.pop()
            if not _readers:
                _quiet.__exit__(None, None, None)


def display_name(name: str, *, longest: int = 60) -> str:
    """A file's name for showing in a sentence: the last part, printable, shortened in the middle, in quotes."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(letter for letter in last if letter.isprintable()).strip() or "the file"
    if len(printable) > longest:
        half = (longest - 1) // 2
        printable = f"{printable[:half]}…{printable[-half:]}"
    return f"“{printable}”"


def fit_within(image: Image.Image, longest: int) -> Image.Image:
    """Shrink an image, keeping its shape, until its longer side is `longest` pixels; a smaller one stays as it is."""
    return _shrink(image, longest / max(image.size))


def fit_to(image: Image.Image, longest: int, only: tuple[int, int] | None) -> Image.Image:
    """The image for a tokenizer: shrunk to fit within `longest` pixels; for one of a single size (height, width) its
    middle, scaled to exactly that."""
    if only is None:
        return fit_within(image, longest)
    height, width = only
    return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)


def shrink_short_side(image: Image.Image, shortest: int) -> Image.Image:
    """Shrink an image, keeping its shape, until its shorter side is `shortest` pixels; a smaller one stays as it is."""
    return _shrink(image, shortest / min(image.size))


def _shrink(image: Image.Image, scale: float) -> Image.Image:
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def to_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """RGB image, or uint8 [H, W, 3] -> [1, 3, H, W] float32 in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return (pixels.movedim(-1, 0)[None].float() / 255).contiguous(memory_format=torch.channels_last)


def to_pixels(images: Tensor) -> np.ndarray:
    """[B, 3, H, W] in [0, 1] -> uint8 array [B, H, W, 3], rounded to nearest."""
    return (images.clamp(0, 1) * 255).round().byte().movedim(1, -1).contiguous().cpu().numpy()


def to_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 3] -> RGB image."""
    return Image.fromarray(pixels)


def to_png(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 3], [H, W, 4] or [H, W] -> the bytes of a PNG file with exactly these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def can_write(form: str) -> bool:
    """Whether this Pillow writes a format, by Pillow's name of it; some are left out where it is built without them."""
    Image.init()
    return form in Image.SAVE


def writers() -> str:
    """What writes the files of `to_file`: Pillow and its libraries with their versions, on which their bytes depend."""
    found = ((name, features.version(name)) for name in ("pil", "libjpeg_turbo", "jpg", "webp", "avif"))
    return ", ".join(f"{name} {version}" for name, version in found)


def to_file(pixels: np.ndarray, form: str, **options: int | bool | str) -> bytes:
    """uint8 [H, W, 3] or [H, W] -> a file in a format, by Pillow's names of both; nothing but the pixels is in it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def of_file(data: bytes, form: str) -> np.ndarray:
    """The bytes of a file that `to_file` made -> uint8 [H, W, 3]. For what others give there is `load_image`."""
    return np.asarray(Image.open(io.BytesIO(data), formats=[form]).convert("RGB"))


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad [..., H, W] at the bottom and the right by reflection until `multiple` divides both; any H, W ≥ 1.

    Reflection goes back and forth where the image is smaller than the padding, so even a single pixel can be padded.
    """
    for dim in (-2, -1):
        size = images.shape[dim]
        padded = -(-size // multiple) * multiple
        if padded != size:
            images = images.index_select(dim, _reflected(size, padded).to(images.device))
    return images


def _reflected(size: int, padded: int) -> Tensor:
    """0, 1, …, size−1, size−2, …, 1, 0, 1, …: the first `padded` of them."""
    period = max(1, 2 * (size - 1))
    position = torch.arange(padded) % period
    return torch.minimum(position, period - position)


def _too_large(shown: str) -> str:
    return (
        f"{shown} is over {MOST_PIXELS // 10**6} megapixels or {LONGEST_SIDE:,} pixels on a side; scale it down first."
    )


def _check_size(width: int, height: int, shown: str) -> None:
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        raise BadInput(_too_large(shown))


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that an extended WebP's header claims, else (0, 0).

    Pillow allocates that canvas while it opens the file, so 34 bytes can cost a gigabyte unless this is read first.
    """
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return 0, 0


def _ends_early(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG holds fewer pixels than its size calls for: Pillow leaves the rest black, without a word.

    The last row is then black; only where it is, or where rows come interlaced, is everything inflated to be counted.
    """
    width, height = image.size
    last_row = np.asarray(image.crop((0, height - 1, width, height)))
    header = _png_header(data)
    return (header.interlaced or not last_row.any()) and _inflated_bytes(data, header.bytes) < header.bytes


@dataclass(frozen=True)
class _PngHeader:
    """What the IHDR chunk of a PNG says, as far as it tells how many bytes its pixels take."""

    width: int
    height: int
    bits: int  # a pixel
    interlaced: bool

    @property
    def bytes(self) -> int:
        """Of all rows, each with the byte that names its filter (PNG specification, 7.3 and 8.2)."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            total += rows * (1 + -(-columns * self.bits // 8)) if columns > 0 and rows > 0 else 0
        return total


_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel, by colour type


def _png_header(data: bytes) -> _PngHeader:
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    return _PngHeader(width, height, depth * _PNG_SAMPLES[colour], interlace != 0)


def _inflated_bytes(data: bytes, most: int) -> int:
    """How many bytes the compressed data of a PNG hold; counted up to `most`, in little memory."""
    inflate, total, place = zlib.decompressobj(), 0, 8
    while place + 8 <= len(data) and total < most and not inflate.eof:
        length, kind = struct.unpack_from(">I4s", data, place)
        rest = data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        while rest and total < most:
            total += len(inflate.decompress(rest, _INFLATED_AT_ONCE))
            rest = inflate.unconsumed_tail
        place += 12 + length
    return total


_INFLATED_AT_ONCE = 1 << 16


def _turn_upright(image: Image.Image) -> None:
    """Turn the image as its EXIF block says, in place: a copy of a large one would take as much memory again."""
    with suppress(Exception):  # an unreadable block says nothing of the orientation; the pixels are sound
        ImageOps.exif_transpose(image, in_place=True)


def _to_rgb(image: Image.Image, shown: str) -> tuple[Image.Image, tuple[str, ...]]:
    """Any mode -> RGB over white, and notes."""
    if image.mode in ("F", "I", *_SIXTEEN_BIT):
        return _deep_grey_to_rgb(image, shown)
    if image.has_transparency_data:
        rgb, opaque = _over_white(image)
        return rgb, () if opaque else ("Transparent parts are laid over white.",)
    return image if image.mode == "RGB" else image.convert("RGB"), ()


def _over_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """An image with transparency -> RGB over white, and whether nothing was transparent.

    In strips: in between there are three more images, of four bytes a pixel each.
    """
    rgb, opaque = Image.new("RGB", image.size), True
    for top in range(0, image.height, _STRIP_ROWS):
        box = (0, top, image.width, min(image.height, top + _STRIP_ROWS))
        with_alpha = image.crop(box).convert("RGBA")
        opaque = opaque and with_alpha.getchannel("A").getextrema()[0] == 255
        white = Image.new("RGBA", with_alpha.size, "white")
        rgb.paste(Image.alpha_composite(white, with_alpha).convert("RGB"), box)
    return rgb, opaque


def _deep_grey_to_rgb(image: Image.Image, shown: str) -> tuple[Image.Image, tuple[str, ...]]:
    """16-bit, 32-bit and float grey; Pillow's own conversion clips these to white."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise BadInput(f"{shown} has pixels that are not numbers (NaN or infinite); clean it and save it again.")
    largest = values.max()
    if image.mode == "F":
        whole = next((whole for whole in (1, 255, 65535) if largest <= whole), None)
    else:
        whole = 65535 if image.mode in _SIXTEEN_BIT or largest <= 65535 else None
    if whole is None or values.min() < 0:
        raise BadInput(f"{shown} has values outside 0 to 65,535; scale them to 0 to 1 and save it again.")
    grey = Image.fromarray(np.rint(values * (255 / whole)).astype(np.uint8))
    return grey.convert("RGB"), (f"Values from 0 to {whole:,} are scaled to 8 bits.",)
