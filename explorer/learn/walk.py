"""One cell on its way through the model: what it is at each step, and how nearly it took another code."""

from dataclasses import dataclass

import numpy as np
import torch

from explorer.base.cell import Cell
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, compare
from vqvae.images import pad_to_multiple, to_pixels
from vqvae.search import Codebook
from vqvae.tokenizer import Metric, Tokenizer, blend, cells
from vqvae.window import Window, decode_window

NARROWEST = 0.1  # share of a picture's cells that count as having nearly taken another code
CONTEXT = 2  # cells around the one that is followed, on each side, which are shown with it


@dataclass(frozen=True, eq=False)
class Walk:
    """What becomes of one cell, from its pixels to the decoder's."""

    cell: Cell
    rows: int  # of the grid
    columns: int
    family: str
    metric: Metric
    inputs: int  # of the decoder
    weight: float  # the blend, in [0, 1]
    view: Window  # the cell with some around it, as far as there are any; the four pictures show it, uint8 [·f, ·f, 3]
    original: np.ndarray  # as the encoder sees it: at the border some of it may be padding
    off: np.ndarray  # decoded from the codes alone
    on: np.ndarray  # with the whole embedding
    now: np.ndarray  # at the blend
    embedding: np.ndarray  # float32 [D]
    order: np.ndarray  # int64 [K], all codes, the chosen one first and the others by distance
    distances: np.ndarray  # float32 [K], of `order` to the embedding, as the metric measures it
    quantized: np.ndarray  # float32 [D]
    alike: int  # cells of the picture that took the same code, this one included

    def patch(self, view: np.ndarray) -> np.ndarray:
        """The cell's own pixels out of one of the four pictures: uint8 [f, f, 3]."""
        stride = len(view) // (self.view.bottom - self.view.top)
        top, left = (self.cell[0] - self.view.top) * stride, (self.cell[1] - self.view.left) * stride
        return view[top : top + stride, left : left + stride]

    @property
    def numbers(self) -> int:
        """How many numbers the cell's pixels are: f · f · 3."""
        return self.patch(self.original).size

    def psnr(self, view: np.ndarray) -> float:
        """How close the cell's own pixels are to the original's, in dB."""
        return compare(self.patch(self.original), self.patch(view)).psnr

    @property
    def code(self) -> int:
        return int(self.order[0])

    @property
    def residual(self) -> np.ndarray:
        """float32 [D], what quantization lost."""
        return self.embedding - self.quantized

    @property
    def fed(self) -> np.ndarray:
        """float32 [D], the part of the residual that the second input carries."""
        return np.float32(self.weight) * self.residual

    @property
    def lost(self) -> float:
        """The residual's sum of squares over the embedding's."""
        return float(np.square(self.residual).sum() / max(np.square(self.embedding).sum(), 1e-12))

    @property
    def gap(self) -> float | None:
        """How much further away the second code is, over the distance of the first; None where there is no second."""
        if len(self.distances) < 2:
            return None
        return float(relative_gaps(self.distances[None, :2])[0])


def cell_inside(cell: Cell | None, *, rows: int, columns: int) -> Cell:
    """The cell, where the grid has it; else the one in the middle."""
    if cell is not None and 0 <= cell[0] < rows and 0 <= cell[1] < columns:
        return cell
    return rows // 2, columns // 2


@torch.inference_mode()
def follow(
    tokenizer: Tokenizer,
    codebook: Codebook,
    encoded: EncodedPicture,
    picture: Picture,
    cell: Cell,
    *,
    weight: float,
) -> Walk:
    """Follow a cell of the grid, at a blend of `weight` in [0, 1]."""
    encoding, stride = encoded.encoding, tokenizer.spec.stride
    row, column = cell
    rows, columns = encoding.grid.shape[1:]
    view = Window(row, column, row + 1, column + 1).grown(CONTEXT, rows=rows, columns=columns)
    padded = pad_to_multiple(picture.image, stride)
    embedding = encoding.embedding[0, :, row, column]
    code = int(encoding.grid[0, row, column])
    distances = codebook.distances_from(embedding)
    order = np.argsort(distances, kind="stable")
    order = np.concatenate([[code], order[order != code]])  # a near tie may have been decided by rounding

    def decoded(share: float) -> np.ndarray:
        return to_pixels(decode_window(tokenizer, encoding.quantized, blend(encoding, share), view))[0]

    return Walk(
        cell=cell,
        rows=rows,
        columns=columns,
        family=tokenizer.spec.family,
        metric=tokenizer.spec.grid.metric,
        inputs=tokenizer.spec.inputs,
        weight=weight,
        view=view,
        original=to_pixels(view.of(padded, scale=stride))[0],
        off=decoded(0.0),
        on=decoded(1.0),
        now=decoded(weight),
        embedding=embedding.numpy(),
        order=order,
        distances=distances[order],
        quantized=encoding.quantized[0, :, row, column].numpy(),
        alike=int((encoding.grid == code).sum()),
    )


def relative_gaps(nearest_two: np.ndarray) -> np.ndarray:
    """Distances of the nearest code and the next, [N, 2] -> [N]: the gap between them over the first."""
    first, second = nearest_two[:, 0], nearest_two[:, 1]
    return np.maximum(second - first, 0) / np.maximum(first, 1e-12)


@torch.inference_mode()
def all_gaps(codebook: Codebook, encoded: EncodedPicture) -> np.ndarray:
    """How nearly each cell took another code: float32 [h, w], as `Walk.gap`; inf where there is one code only."""
    shape = encoded.indices.shape
    if len(codebook) < 2:
        return np.full(shape, np.inf, np.float32)
    two = codebook.nearest_several(cells(encoded.encoding.embedding), 2).distances
    return relative_gaps(two.numpy()).reshape(shape)


def light_up(pixels: np.ndarray, gaps: np.ndarray, *, stride: int) -> np.ndarray:
    """A picture with all dimmed but the cells that nearly took another code: uint8 [H, W, 3], gaps [h, w] -> uint8."""
    return dimmed(pixels, gaps <= narrow(gaps), stride=stride)


def dimmed(pixels: np.ndarray, lit: np.ndarray, *, stride: int) -> np.ndarray:
    """A picture with all dimmed but the lit cells: uint8 [H, W, 3], lit [h, w] bool -> uint8."""
    lit = lit.repeat(stride, axis=0).repeat(stride, axis=1)
    height, width = pixels.shape[:2]
    return np.where(lit[:height, :width, None], pixels, pixels // 4)


def narrow(gaps: np.ndarray) -> float:
    """The gap that a tenth of a picture's cells do not exceed."""
    return float(np.quantile(gaps, NARROWEST, method="lower"))
