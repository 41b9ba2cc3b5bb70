"""Measure a checkpoint on a set of images: python -m vqvae.evaluate NAME DATA

Prints a table and the same as JSON; the figures in the model cards come from here.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vqvae import checkpoint
from vqvae.codecs import JPEG
from vqvae.dataset import ImageFiles, open_files
from vqvae.errors import BadInput, Unreachable
from vqvae.formats import KINDS
from vqvae.images import display_name, load_image, shrink_short_side, to_tensor
from vqvae.metrics import WINDOW, bits, perplexity, psnr, ssim
from vqvae.places import find_checkpoint, said_of
from vqvae.plugin import Request, on_device
from vqvae.remote import located
from vqvae.tokenizer import Encoding, Tokenizer, blend
from vqvae.words import counted


@dataclass(frozen=True)
class Quality:
    """Means over the images."""

    psnr: float  # dB
    ssim: float

    def __str__(self) -> str:
        return f"{self.psnr:6.2f} dB   SSIM {self.ssim:.3f}"


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` prints. Quality is a mean over images, in dB and as SSIM."""

    checkpoint: str
    images: int
    skipped: int  # of the set's images, which could not be read or measured
    short_side: int  # pixels
    off: Quality  # the codes alone
    half: Quality  # blend 0.5
    on: Quality  # the whole embedding
    shuffled_off: Quality  # the cells' codes permuted, the codes alone
    shuffled_on: Quality  # the cells' codes permuted, with the true embedding
    jpeg: Quality  # JPEG of at most the bytes that the indices take
    jpeg_fits: float  # share of images that a JPEG of so few bytes can hold at all
    bits_per_pixel: float
    codes: int  # K
    codes_used: int
    perplexity: float
    encode_ms: float  # per image
    decode_ms: float


@torch.inference_mode()
def evaluate(
    name: str,
    tokenizer: Tokenizer,
    images: Iterable[tuple[str, bytes]],
    *,
    short_side: int,
    skipped: list[str] | None = None,
) -> Evaluation:
    """Measure a tokenizer on image files, each shrunk to a short side of `short_side` pixels when it is larger.

    images: name and bytes of each, taken one after the other. One that cannot be read or measured is left out and its
    reason added to `skipped`, where there is such a list. Raises BadInput where there is none, or no image is left.
    """
    codes = tokenizer.spec.grid.codes
    counts = torch.zeros(codes, dtype=torch.int64)
    quality: dict[str, list[Quality]] = {}
    encode_s, decode_s, bits_per_pixel, fits = [], [], [], []
    generator = torch.Generator().manual_seed(0)
    for photo in _photos(images, short_side, skipped):
        pixels = to_tensor(photo)
        started = time.perf_counter()
        encoding = tokenizer.encode(pixels)
        encode_s.append(time.perf_counter() - started)
        counts += torch.bincount(encoding.grid.flatten(), minlength=codes)
        started = time.perf_counter()
        off = _decode(tokenizer, encoding.quantized, encoding.quantized, like=pixels)
        decode_s.append(time.perf_counter() - started)

        rows, columns = encoding.grid.shape[-2:]
        size = bits(rows, columns, codes)
        jpeg = JPEG.of_size(photo, size / 8)
        fits.append(len(jpeg) <= size / 8)
        bits_per_pixel.append(size / (photo.shape[0] * photo.shape[1]))
        pictures = {"off": off, "jpeg": to_tensor(JPEG.decode(jpeg))}
        pictures |= _variants(tokenizer, encoding, generator, like=pixels)
        for variant, picture in pictures.items():
            one = Quality(psnr(picture, pixels).item(), ssim(picture, pixels).item())
            quality.setdefault(variant, []).append(one)
    if not quality:
        raise BadInput("Not one of the images could be measured; name a set that holds some.")
    return Evaluation(
        checkpoint=name,
        images=len(fits),
        skipped=len(skipped or ()),
        short_side=short_side,
        **{variant: _mean(all_of_it) for variant, all_of_it in quality.items()},
        jpeg_fits=fmean(fits),
        bits_per_pixel=fmean(bits_per_pixel),
        codes=codes,
        codes_used=int((counts > 0).sum()),
        perplexity=perplexity(counts),
        encode_ms=1000 * fmean(encode_s),
        decode_ms=1000 * fmean(decode_s),
    )


def _photos(images: Iterable[tuple[str, bytes]], short_side: int, skipped: list[str] | None) -> Iterator[np.ndarray]:
    """The images that can be measured, uint8 [H, W, 3]; see `evaluate` for the others."""
    for name, data in images:
        try:
            photo = shrink_short_side(load_image(data, name), short_side)
            if min(photo.size) < WINDOW:
                raise BadInput(f"{display_name(name)} is under {WINDOW} pixels high or wide; leave it out.")
        except BadInput as refusal:
            if skipped is None:
                raise
            skipped.append(str(refusal))
        else:
            yield np.asarray(photo)


def _variants(
    tokenizer: Tokenizer, encoding: Encoding, generator: torch.Generator, *, like: Tensor
) -> dict[str, Tensor]:
    """What is decoded from an encoding that was tampered with, by the names of `Evaluation`."""
    shuffled = _shuffled(tokenizer, encoding, generator)
    return {
        "half": _decode(tokenizer, encoding.quantized, blend(encoding, 0.5), like=like),
        "on": _decode(tokenizer, encoding.quantized, encoding.embedding, like=like),
        "shuffled_off": _decode(tokenizer, shuffled, shuffled, like=like),
        "shuffled_on": _decode(tokenizer, shuffled, encoding.embedding, like=like),
    }


def _mean(of: Sequence[Quality]) -> Quality:
    return Quality(fmean(one.psnr for one in of), fmean(one.ssim for one in of))


def _decode(tokenizer: Tokenizer, quantized: Tensor, embedding: Tensor, *, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return tokenizer.decode(quantized, embedding)[..., :height, :width]


def _shuffled(tokenizer: Tokenizer, encoding: Encoding, generator: torch.Generator) -> Tensor:
    """Put the codes into random cells: quantized [B, D, h, w]."""
    indices = encoding.grid
    order = torch.randperm(indices[0].numel(), generator=generator)
    return tokenizer.lookup((indices.flatten(1)[:, order].view_as(indices),))


def table(result: Evaluation) -> str:
    """The result for reading, and for model cards."""
    rows = [
        ("codes only (embedding off)", str(result.off)),
        ("blend 0.5", str(result.half)),
        ("embedding on", str(result.on)),
        ("codes shuffled, embedding off", str(result.shuffled_off)),
        ("codes shuffled, embedding on", str(result.shuffled_on)),
        ("JPEG at equal bytes", f"{result.jpeg}   ({result.jpeg_fits:.0%} fit)"),
        ("bits per pixel", f"{result.bits_per_pixel:.4f}"),
        ("codes used", f"{result.codes_used:,} of {result.codes:,}"),
        ("perplexity", f"{result.perplexity:.0f}"),
        ("encode, decode", f"{result.encode_ms:.1f} ms, {result.decode_ms:.1f} ms per image"),
    ]
    skipped = f" ({counted(result.skipped, 'more was', 'more were')} skipped)" if result.skipped else ""
    images = f"{counted(result.images, 'image')}{skipped}"
    heading = f"{result.checkpoint}: {images}, short side {result.short_side} px"
    return "\n".join([heading, *(f"  {label:<32}{value}" for label, value in rows)])


def _named(options: argparse.Namespace) -> tuple[str, Tokenizer]:
    """The tokenizer that the command line names, and what to call it; raises BadInput."""
    if options.tokenizer:
        return options.tokenizer, Request(options.tokenizer, options.device).load()
    folder = find_checkpoint(options.checkpoint)
    tokenizer = checkpoint.load(folder)
    return folder.name, on_device(tokenizer, options.device) if options.device else tokenizer


def _readable(files: ImageFiles, skipped: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file that can be read, with how far it is on standard error; of the others the reasons."""
    quiet = not sys.stderr.isatty()  # a log file gets a line now and then, not a redrawn bar
    for name in tqdm(files.names, unit="image", mininterval=30 if quiet else 0.2, ascii=quiet):
        try:
            yield name, files.read(name)
        except BadInput as refusal:
            skipped.append(str(refusal))


def _list(skipped: list[str]) -> None:
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)


def _plain(value: Any) -> Any:
    """The result for JSON, which has no infinity: the PSNR of equal pictures becomes null."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: list[str] | None = None, *, prog: str = "python -m vqvae.evaluate") -> int:
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.splitlines()[0])
    if not any(word.partition("=")[0] == "--tokenizer" for word in words):
        parser.add_argument("checkpoint", help="a name in checkpoints/, or a checkpoint's folder")
    parser.add_argument(
        "--tokenizer", metavar="FILE.py:FUNCTION", help="in place of a checkpoint: run a file of your own"
    )
    parser.add_argument("--device", help="where to compute, for example cuda (default: the CPU)")
    parser.add_argument("data", type=located, help=KINDS)
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--short-side", type=int, default=256, help="pixels that larger images are shrunk to")
    options = parser.parse_args(words)
    skipped: list[str] = []
    try:
        if options.short_side < WINDOW:
            raise BadInput(f"--short-side is {options.short_side} and has to be {WINDOW} pixels or more.")
        name, tokenizer = _named(options)
        files = open_files(options.data, under=options.under)
        images = _readable(files, skipped)
        result = evaluate(name, tokenizer, images, short_side=options.short_side, skipped=skipped)
    except (BadInput, Unreachable, OSError) as refusal:
        _list(skipped)
        print(f"error: {said_of(refusal)}", file=sys.stderr)
        return 2
    _list(skipped)
    print(table(result))
    print(json.dumps(_plain(asdict(result)), allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
