"""What each code looks like: the codebook, decoded."""

import numpy as np
import torch

from vqvae.images import to_pixels
from vqvae.tokenizer import Tokenizer

FIELD = 3  # cells along a side of the field whose middle cell is shown
CODES_PER_BATCH = 256


@torch.inference_mode()
def code_tiles(tokenizer: Tokenizer) -> np.ndarray:
    """What each code decodes to, alone: the middle cell of a 3 × 3 field of it; uint8 [K, f, f, 3]."""
    codes, stride = len(tokenizer.codebook), tokenizer.stride
    tiles = np.empty((codes, stride, stride, 3), np.uint8)
    middle = slice(FIELD // 2 * stride, (FIELD // 2 + 1) * stride)
    for start in range(0, codes, CODES_PER_BATCH):
        part = torch.arange(start, min(start + CODES_PER_BATCH, codes))
        field = tokenizer.lookup(part[:, None, None].expand(-1, FIELD, FIELD))
        tiles[start : start + len(part)] = to_pixels(tokenizer.decode(field)[..., middle, middle])
    return tiles


def mean_colours(tiles: np.ndarray) -> np.ndarray:
    """The mean colour of each tile: uint8 [K, f, f, 3] -> uint8 [K, 3]."""
    return tiles.mean(axis=(1, 2)).round().astype(np.uint8)
