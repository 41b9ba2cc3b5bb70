"""The cells of one image as an index takes them in: each with its code, how far from it, and how near the next."""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from explorer.images.reading import Fit, Opened, each_image
from explorer.images.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.search import Codebook
from vqvae.tokenizer import Tokenizer
from vqvae.tokenizer import cells as rows_of


@dataclass(frozen=True, eq=False)
class ImageCells:
    """One image's cells, as the index takes them in."""

    codes: np.ndarray  # whole numbers [h, w]
    distances: np.ndarray  # float [h, w], from the embedding to its code, as the metric measures it
    margins: np.ndarray  # float [h, w], how much farther the runner-up is
    size: tuple[int, int]  # height and width in pixels


CellStream = Generator[ImageCells | BadInput, None, None]  # the cells of one image after another, or why one has none


class CellsFrom(Protocol):
    """Gives the cells of each image from one number on, or why there are none: up to another number if that is said."""

    def __call__(self, first: int, stop: int | None = None, /) -> CellStream: ...


@torch.inference_mode()
def measure(tokenizer: Tokenizer, codebook: Codebook, image: Tensor) -> ImageCells:
    """Encode one image, [1, 3, H, W] in [0, 1].

    Images go one by one: batches are no faster on a CPU, and would make the last bits depend on the neighbours.
    """
    encoding = tokenizer.encode(image)
    shape = encoding.grid.shape[-2:]
    vectors, indices = rows_of(encoding.embedding), encoding.grid.flatten()
    distances = codebook.distances(vectors, indices)
    margins = (codebook.runners_up(vectors, indices).distances - distances).clamp_(min=0)
    codes, away, spare = (part.view(shape).cpu().numpy() for part in (indices, distances, margins))
    height, width = image.shape[-2:]
    return ImageCells(codes, away, spare, size=(height, width))


def cells_of(
    tokenizer: Tokenizer,
    images: ImageSet,
    working_size: int,
    first: int,
    stop: int | None = None,
    *,
    codebook: Codebook | None = None,
) -> CellStream:
    """The cells of each image from number `first` on, up to `stop`, or why there are none; no others are read.

    codebook: the tokenizer's, where it is known.
    """
    work = partial(_cells_of_one, tokenizer, codebook or Codebook.of(tokenizer))
    return each_image(images, work, Fit(working_size, tokenizer.spec.sizes.only), names=images.names[first:stop])


def _cells_of_one(tokenizer: Tokenizer, codebook: Codebook, image: Opened) -> ImageCells:
    return measure(tokenizer, codebook, to_tensor(image.pixels))
