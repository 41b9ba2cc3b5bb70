"""What each code looks like: the codebook, decoded."""

import colorsys

import numpy as np
import torch

from vqvae.images import to_pixels
from vqvae.tokenizer import Tokenizer

FIELD = 3  # cells along a side of the field whose middle cell is shown
CODES_PER_BATCH = 256


@torch.inference_mode()
def code_tiles(tokenizer: Tokenizer, codes: np.ndarray | None = None) -> np.ndarray:
    """What codes decode to, alone: the middle cell of a 3 × 3 field of each; uint8 [N, f, f, 3].

    codes: [N] int64, or None for all of them in order. A tokenizer of a single size gets a whole grid of each.
    """
    wanted = torch.arange(tokenizer.spec.grid.codes) if codes is None else torch.tensor(codes, dtype=torch.int64)
    stride = tokenizer.spec.stride
    tiles = np.empty((len(wanted), stride, stride, 3), np.uint8)
    only = tokenizer.spec.sizes.only
    rows, columns = (side // stride for side in only) if only else (FIELD, FIELD)
    down, across = (slice(side // 2 * stride, (side // 2 + 1) * stride) for side in (rows, columns))
    batch = max(1, CODES_PER_BATCH * FIELD**2 // (rows * columns))
    for start in range(0, len(wanted), batch):
        part = wanted[start : start + batch]
        field = tokenizer.lookup((part[:, None, None].expand(-1, rows, columns),))
        tiles[start : start + len(part)] = to_pixels(tokenizer.decode(field)[..., down, across])
    return tiles


def mean_colours(tiles: np.ndarray) -> np.ndarray:
    """The mean colour of each tile: uint8 [K, f, f, 3] -> uint8 [K, 3]."""
    return tiles.mean(axis=(1, 2)).round().astype(np.uint8)


def order_by(measure: str, codebook: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The codes sorted by hue (greys first), brightness, norm or number; codebook [K, D], colours uint8 [K, 3]."""
    if measure == "number":
        return np.arange(len(codebook))
    if measure == "norm":
        return np.argsort(np.linalg.norm(codebook, axis=1), kind="stable")
    if measure == "brightness":
        return np.argsort(colours @ (0.299, 0.587, 0.114), kind="stable")
    if measure == "hue":
        hues = np.array([_hue(*colour) for colour in (colours / 255).tolist()])
        return np.argsort(hues, kind="stable")
    raise ValueError(f"There is no order by {measure!r}.")


def _hue(red: float, green: float, blue: float) -> float:
    """Hue in 0…1; greys have none to speak of and come before all, by brightness."""
    hue, lightness, _ = colorsys.rgb_to_hls(red, green, blue)
    grey = max(red, green, blue) - min(red, green, blue) < 0.08
    return lightness - 2 if grey else hue  # −2…−1: white, too, comes before red, which is 0
