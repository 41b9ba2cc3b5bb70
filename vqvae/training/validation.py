"""How good a model is by now: figures over photos that it never learns from, and a sheet of samples to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from vqvae.dataset import ImageFiles
from vqvae.errors import BadInput
from vqvae.images import fit_to, load_image, shrink_short_side, to_pixels, to_tensor
from vqvae.metrics import WINDOW, perplexity, psnr, ssim
from vqvae.model import VQVAE
from vqvae.tokenizer import Encoding

SHEET_SIDE = 128  # pixels along a side of a sample
SHEET_PICTURES = 6  # side by side


@dataclass(frozen=True)
class Validation:
    """Means over the photos, each at its own size, as `vqvae.evaluate` measures them."""

    psnr_off: float  # dB, the codes alone
    psnr_on: float  # dB, the whole embedding
    ssim_off: float
    ssim_on: float
    perplexity: float  # of the codes of all their cells
    used: int  # codes that at least one of their cells took


def open_pictures(files: ImageFiles, *, short_side: int, most: int, skipped: list[str]) -> list[np.ndarray]:
    """Up to `most` photos, evenly over a set, with a short side of at most so many pixels: uint8 [H, W, 3] each.

    What cannot be read, or is too small to measure, is left out and its reason added to `skipped`. Raises BadInput
    where nothing is left.
    """
    pictures = []
    for name in spread(files.names, most):
        try:
            photo = shrink_short_side(load_image(files.read(name), name, shortest=2 * short_side), short_side)
            if min(photo.size) < WINDOW:
                raise BadInput(f"{name} is under {WINDOW} pixels high or wide; leave it out.")
        except BadInput as refusal:
            skipped.append(str(refusal))
            continue
        pictures.append(np.asarray(photo))
    if not pictures:
        raise BadInput("No validation image could be read; name a set that holds some.")
    return pictures


def spread(names: Sequence[str], most: int) -> list[str]:
    """Up to `most` of the names, in order, evenly over them."""
    number = min(most, len(names))
    return [names[place * len(names) // number] for place in range(number)]


@torch.inference_mode()
def validate(model: VQVAE, pictures: Sequence[np.ndarray]) -> Validation:
    """Measure a model on pictures, uint8 [H, W, 3], one after the other, in float32."""
    counts = torch.zeros(model.config.codes, dtype=torch.int64)
    rows: list[list[float]] = []
    for picture in pictures:
        images = to_tensor(picture).to(model.codebook.device)
        encoding = model.encode(images)
        counts += torch.bincount(encoding.grid.flatten().cpu(), minlength=len(counts))
        both = list(_drawn(model, encoding, images.shape[-2:]))
        rows.append([measure(drawn, images).item() for measure in (psnr, ssim) for drawn in both])
    psnr_off, psnr_on, ssim_off, ssim_on = (fmean(column) for column in zip(*rows, strict=True))
    used = int((counts > 0).sum())
    return Validation(psnr_off, psnr_on, ssim_off, ssim_on, perplexity(counts), used)


def _drawn(model: VQVAE, encoding: Encoding, size: torch.Size) -> Iterator[Tensor]:
    """What is drawn from the codes alone, and with the whole embedding: [B, 3, H, W] each."""
    height, width = size
    for embedding in (encoding.quantized, encoding.embedding):
        yield model.decode(encoding.quantized, embedding)[..., :height, :width]


def sheet_pictures(files: ImageFiles) -> np.ndarray:
    """The middles of the first few photos of a set that can be read, evenly over it: uint8 [N, 128, 128, 3]."""
    found: list[np.ndarray] = []
    for name in spread(files.names, 4 * SHEET_PICTURES):
        try:
            photo = load_image(files.read(name), name, shortest=2 * SHEET_SIDE)
        except BadInput:
            continue  # it is named where it is met in training or measured
        found.append(np.asarray(fit_to(photo, SHEET_SIDE, (SHEET_SIDE, SHEET_SIDE))))
    if not found:
        raise BadInput("No image of the set could be read; name a set that holds some.")
    number = min(SHEET_PICTURES, len(found))
    return np.stack([found[place * len(found) // number] for place in range(number)])


@torch.inference_mode()
def sheet(model: VQVAE, pictures: np.ndarray) -> np.ndarray:
    """Samples as one picture: uint8 [N, S, S, 3] -> [3·S, N·S, 3], originals, codes only, embedding on."""
    images = torch.cat([to_tensor(picture) for picture in pictures]).to(model.codebook.device)
    drawn = [to_pixels(one) for one in _drawn(model, model.encode(images), images.shape[-2:])]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (pictures, *drawn)])
