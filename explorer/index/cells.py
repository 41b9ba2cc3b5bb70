"""The cells of one image as an index takes them in: each with its code, how far from it, and how near the next."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from explorer.images.sets import ImageSet
from vqvae.errors import BadInput
from vqvae.images import fit_within, load_image, to_tensor
from vqvae.quantizer import cells as rows_of
from vqvae.tokenizer import Tokenizer

SCORES_PER_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class ImageCells:
    """One image's cells, as the index takes them in."""

    codes: np.ndarray  # whole numbers [h, w]
    distances: np.ndarray  # float [h, w], Euclidean, from the embedding to its code
    margins: np.ndarray  # float [h, w], how much farther the runner-up is
    size: tuple[int, int]  # height and width in pixels


CellStream = Generator[ImageCells | BadInput, None, None]  # the cells of one image after another, or why one has none


@torch.inference_mode()
def measure(tokenizer: Tokenizer, image: Tensor) -> ImageCells:
    """Encode one image, [1, 3, H, W] in [0, 1].

    Images go one by one: batches are no faster on a CPU, and would make the last bits depend on the neighbours.
    """
    encoding = tokenizer.encode(image)
    shape = encoding.indices.shape[-2:]
    vectors, indices = rows_of(encoding.embedding).float(), encoding.indices.flatten()
    codebook = tokenizer.codebook.float()
    distances = (vectors - codebook[indices]).square_().sum(1).sqrt_()
    margins = (runners_up(vectors, codebook, indices)[1] - distances).clamp_(min=0)
    codes, away, spare = (part.view(shape).cpu().numpy() for part in (indices, distances, margins))
    height, width = image.shape[-2:]
    return ImageCells(codes, away, spare, size=(height, width))


def runners_up(vectors: Tensor, codebook: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest code but for the own, and its Euclidean distance: [N, D], [K, D], [N] -> int64 [N], float32 [N].

    With K = 1 there is none: the distance is infinite, and the index the own.
    """
    if len(codebook) == 1:
        return own.clone(), torch.full_like(vectors[:, 0], torch.inf)
    offsets, transposed = -0.5 * codebook.square().sum(1), codebook.T
    chunk = max(1, SCORES_PER_CHUNK // len(codebook))
    buffer = vectors.new_empty(min(chunk, len(vectors)), len(codebook))
    indices, distances = torch.empty_like(own), torch.empty_like(vectors[:, 0])
    for start in range(0, len(vectors), chunk):
        part = slice(start, min(start + chunk, len(vectors)))
        scores = torch.addmm(offsets, vectors[part], transposed, out=buffer[: part.stop - start])
        scores.scatter_(1, own[part, None], -torch.inf)
        indices[part] = torch.from_numpy(np.argmax(scores.cpu().numpy(), axis=1))  # on a CPU faster than torch's
        distances[part] = (vectors[part] - codebook[indices[part]]).square_().sum(1).sqrt_()
    return indices, distances


def cells_of(tokenizer: Tokenizer, images: ImageSet, working_size: int, first: int) -> CellStream:
    """The cells of each image from number `first` on, or why there are none; reading runs ahead in other threads."""

    def opened(name: str) -> Tensor | BadInput:
        try:  # the pixels of `open_picture`, without the PNG that it makes to know its size
            return to_tensor(fit_within(load_image(images.read(name), name), working_size))
        except BadInput as refusal:
            return refusal

    pool = ThreadPoolExecutor(2, "reading")
    try:
        submitted = (pool.submit(opened, name) for name in images.names[first:])
        waiting: deque[Future[Tensor | BadInput]] = deque(islice(submitted, 8))
        while waiting:
            image = waiting.popleft().result()
            waiting.extend(islice(submitted, 1))
            yield image if isinstance(image, BadInput) else measure(tokenizer, image)
    finally:
        pool.shutdown(cancel_futures=True)
