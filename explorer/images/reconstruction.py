"""A picture through a tokenizer and back, with the figures that say how well it went."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from explorer.base.figure import Figure
from explorer.images.pictures import Picture
from vqvae.images import jpeg_data_bytes, jpeg_of_size, load_image, to_image, to_pixels, to_tensor
from vqvae.metrics import WINDOW, bits, psnr, ssim
from vqvae.tokenizer import Encoding, Tokenizer, blend

LEAST_GAIN = 0.05  # dB that are spoken of


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture's encoding, and how long it took."""

    encoding: Encoding
    milliseconds: float

    @property
    def indices(self) -> np.ndarray:
        """[h, w] int64."""
        return self.encoding.grid[0].numpy()


@dataclass(frozen=True)
class Quality:
    """How close a picture is to the original."""

    psnr: float  # dB; inf when they are equal
    ssim: float | None  # None when the picture is smaller than the measure's window


@dataclass(frozen=True, eq=False)
class Rendering:
    """What the decoder made at one place of the slider."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    quality: Quality
    milliseconds: float  # of the decoding alone


@torch.inference_mode()
def encode_picture(tokenizer: Tokenizer, picture: Picture) -> EncodedPicture:
    """Encode one picture."""
    image = picture.image
    started = time.perf_counter()
    encoding = tokenizer.encode(image)
    return EncodedPicture(encoding, 1000 * (time.perf_counter() - started))


@torch.inference_mode()
def render(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture, *, weight: float) -> Rendering:
    """Decode at a blend of `weight` in [0, 1], cropped to the picture's own size."""
    height, width = picture.pixels.shape[:2]
    encoding = encoded.encoding
    started = time.perf_counter()
    decoded = tokenizer.decode(encoding.quantized, blend(encoding, weight))
    milliseconds = 1000 * (time.perf_counter() - started)
    pixels = to_pixels(decoded[..., :height, :width])[0]
    return Rendering(pixels, compare(picture.pixels, pixels), milliseconds)


def compare(original: np.ndarray, other: np.ndarray) -> Quality:
    """PSNR and SSIM of two uint8 pictures [H, W, 3]: of what is on the screen, after rounding."""
    one, two = to_tensor(original), to_tensor(other)
    measurable = min(original.shape[:2]) >= WINDOW
    return Quality(psnr(one, two).item(), ssim(one, two).item() if measurable else None)


def jpeg_quality(picture: Picture, most_bytes: float, *, counted: Callable[[bytes], int] = len) -> tuple[Quality, int]:
    """The quality of the best JPEG of at most so many bytes, and its size; it may be larger when none is so small.

    counted: a file -> how many of its bytes count, also in the size.
    """
    data = jpeg_of_size(to_image(picture.pixels), most_bytes, counted=counted)
    return compare(picture.pixels, np.asarray(load_image(data, "the JPEG"))), counted(data)


def size_figures(picture: Picture, encoded: EncodedPicture, *, codes: int) -> list[Figure]:
    """What the grid of codes costs, and what others pay for the same picture."""
    indices = encoded.indices
    rows, columns = indices.shape
    height, width = picture.pixels.shape[:2]
    size = bits(rows, columns, codes)
    return [
        Figure("Grid", f"{columns} × {rows}", "Cells across and down. Each cell is one code from the codebook."),
        Figure(
            "Distinct codes",
            f"{len(np.unique(indices)):,} of {codes:,}",
            "How many different codes this picture uses, of all the codes in the codebook.",
        ),
        Figure(
            "Size",
            amount(size / 8),
            f"{rows * columns:,} cells × log2 {codes:,} bits = {size:,.0f} bits, when every code costs the same.",
        ),
        Figure(
            "Bits per pixel",
            f"{size / (height * width):.3f}",
            "The size of the codes over the number of pixels; the raw picture has 24.",
        ),
        Figure(
            "As PNG",
            f"{times(picture.png_bytes * 8 / size)} as large" if size else "–",
            f"The same pixels without loss, as a PNG, take {amount(picture.png_bytes)}.",
        ),
        *jpeg_figures(picture, size / 8),
    ]


def jpeg_figures(picture: Picture, most_bytes: float) -> list[Figure]:
    """How good a JPEG of as many bytes as the codes is: as the file is, and with the picture's data alone counted."""
    file, file_bytes = jpeg_quality(picture, most_bytes)
    data, data_bytes = jpeg_quality(picture, most_bytes, counted=jpeg_data_bytes)
    fits, data_fits = file_bytes <= most_bytes, data_bytes <= most_bytes
    none_fits = f"No JPEG is as small as {amount(most_bytes)}: this is the one of quality 1."
    return [
        Figure(
            "JPEG, equal bytes" if fits else f"Smallest JPEG, {amount(file_bytes)}",
            f"{decibels(file.psnr)} dB",
            f"PSNR of the best JPEG of at most {amount(most_bytes)}, to compare with the codes alone: "
            f"it takes {amount(file_bytes)}."
            if fits
            else f"PSNR, to compare with the codes alone. {none_fits}",
        ),
        Figure(
            "JPEG, headers not counted" if data_fits else f"Smallest, {amount(data_bytes)} without headers",
            f"{decibels(data.psnr)} dB",
            "As the codes come without a header: PSNR of the best JPEG of at most so many bytes between the header of "
            "its scan and the mark of its end, so that what stands before them, tables too, costs nothing. "
            + (f"These are {amount(data_bytes)}." if data_fits else none_fits),
        ),
    ]


def quality_figures(codes_only: Quality, now: Quality) -> list[Figure]:
    """What the second input buys: each measure for the codes alone, and for the picture on the screen."""
    what = "Against the original: first for the codes alone, then for the picture shown."
    measurable = codes_only.ssim is not None and now.ssim is not None
    ssim_values = f"{codes_only.ssim:.3f} → {now.ssim:.3f}" if measurable else "–"
    return [
        Figure(
            "PSNR, codes only → now",
            f"{decibels(codes_only.psnr)} → {decibels(now.psnr)} dB",
            f"Peak signal-to-noise ratio in decibels; 3 dB more is half the squared error. {what}",
        ),
        Figure("SSIM, codes only → now", ssim_values, f"Structural similarity; 1 is the same, 0 unrelated. {what}"),
    ]


def quality_rows(codes_only: Quality, now: Quality) -> list[dict[str, float | str | None]]:
    """The measures in full, for a table."""
    shown = {"codes only": codes_only, "now": now}
    return [
        {"figure": f"{measure}, {what}", "value": getattr(quality, name)}
        for name, measure in (("psnr", "PSNR in dB"), ("ssim", "SSIM"))
        for what, quality in shown.items()
    ]


def time_figures(encode_ms: float, decode_ms: float, *, device: str) -> list[Figure]:
    """How long the model took."""
    return [
        Figure(f"Encode, {device}", f"{encode_ms:.0f} ms", "Time for picture to codes when this one was encoded."),
        Figure(f"Decode, {device}", f"{decode_ms:.0f} ms", "Time for codes to picture for the picture shown."),
    ]


def explain(
    codes_only: Quality, now: Quality, *, weight: float, inputs: int, other: tuple[float, Quality] | None = None
) -> str:
    """One sentence on what the decoder gets and what that changes.

    other: another blend above 0, and the quality there; it is spoken of where the smaller one of the two is better.
    """
    gain = now.psnr - codes_only.psnr
    if weight == 0:
        return "The decoder gets the codes alone: this picture is all that the grid of codes says."
    gain_text = f"{abs(gain):.1f} dB {'closer to' if gain >= 0 else 'further from'} the original than the codes alone"
    if inputs == 1:
        return (
            f"This decoder has one input and learned from codes alone; fed {weight:.0%} of the way to the embedding, "
            f"it comes out {gain_text}."
        )
    share = "all" if weight == 1 else f"{weight:.0%}"
    if abs(gain) < LEAST_GAIN:
        return f"The decoder also gets {share} of what quantization lost, and hardly listens: the picture is as good."
    sentence = f"The decoder also gets {share} of what quantization lost: the picture comes out {gain_text}"
    return f"{sentence}{_less_is_more(now, weight, other)}."


def _less_is_more(now: Quality, weight: float, other: tuple[float, Quality] | None) -> str:
    """What to add where less of the embedding comes closer to the original than more of it."""
    if other is None or weight == other[0]:
        return ""
    there, quality = other
    ahead = now.psnr - quality.psnr
    if weight < there and ahead >= LEAST_GAIN:
        return f", and {ahead:.1f} dB closer than with {'all' if there == 1 else f'{there:.0%}'} of it"
    if there < weight and -ahead >= LEAST_GAIN:
        return f"; with {there:.0%} of it, it would be {-ahead:.1f} dB closer"
    return ""


def decibels(value: float) -> str:
    return "∞" if value == float("inf") else f"{value:.2f}"


def times(ratio: float) -> str:
    """How many times, for reading: 94 ×, 1.2 ×, 0.83 ×."""
    return f"{ratio:,.0f} ×" if ratio >= 10 else f"{ratio:.2g} ×"


def amount(number_of_bytes: float) -> str:
    """Bytes for reading: 1.25 bytes, 850 bytes, 1.25 KiB, 3.1 MiB."""
    if number_of_bytes < 1024:
        return f"{number_of_bytes:.4g} byte{'' if number_of_bytes == 1 else 's'}"
    if number_of_bytes < 1 << 20:
        return f"{number_of_bytes / 1024:.2f} KiB"
    return f"{number_of_bytes / (1 << 20):.1f} MiB"
