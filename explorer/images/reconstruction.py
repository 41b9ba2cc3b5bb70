"""A picture through a tokenizer and back, with the figures that say how well it went."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from explorer.base.figure import Figure
from explorer.images.pictures import Picture
from vqvae.codecs import JPEG
from vqvae.images import to_pixels, to_tensor
from vqvae.metrics import WINDOW, bits, psnr, ssim
from vqvae.tokenizer import Encoding, Tokenizer, blend
from vqvae.words import amount as amount
from vqvae.words import counted

BEST_PSNR = 60.0  # dB; pictures that are closer than this, or equal, count as this, so that means stay finite
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


def jpeg_quality(picture: Picture, most_bytes: float) -> tuple[Quality, int]:
    """The quality of the best JPEG of at most so many bytes, and its size; it may be larger when none is so small."""
    data = JPEG.of_size(picture.pixels, most_bytes)
    return compare(picture.pixels, JPEG.decode(data)), len(data)


def size_figures(picture: Picture, encoded: EncodedPicture, *, codes: int) -> list[Figure]:
    """What the grid of codes costs, and what others pay for the same picture."""
    indices = encoded.indices
    rows, columns = indices.shape
    height, width = picture.pixels.shape[:2]
    size = bits(rows, columns, codes)
    cells = counted(rows * columns, "cell")
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
            f"{cells} × log2 {codes:,} bits = {size:,.0f} bits, when every code costs the same.",
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
