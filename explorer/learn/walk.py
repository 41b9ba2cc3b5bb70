"""One cell on its way through the model: what it is at each step, and how nearly it took another code."""

from dataclasses import dataclass

import numpy as np
import torch

from explorer.base.cell import Cell
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture, compare
from vqvae.decoder import NarrowProjection, Stem
from vqvae.images import to_pixels
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.served import Served
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
    stride: int
    family: str
    metric: Metric
    inputs: int  # of the decoder
    reach: int | None  # how many cells further a cell can change pixels; None: everywhere
    weight: float  # the blend, in [0, 1]
    view: Window  # the cell with some around it; the four pictures show as much of it as the picture has, uint8
    original: np.ndarray
    off: np.ndarray  # decoded from the codes alone
    on: np.ndarray  # with the whole embedding
    now: np.ndarray  # at the blend
    embedding: np.ndarray  # float32 [D]
    lengths: np.ndarray  # float32 [rows · columns], the Euclidean length of every cell's embedding
    order: np.ndarray  # int64 [K], all codes, the chosen one first and the others by distance
    distances: np.ndarray  # float32 [K], of `order` to the embedding, as the metric measures it
    quantized: np.ndarray  # float32 [D]
    second: np.ndarray  # float32 [D], the decoder's second input at the blend: lerp(quantized, embedding, weight)
    passed: np.ndarray | None  # float32 [r], what a narrow second input lets through of it; None: it is not narrow
    alike: int  # cells of the picture that took the same code, this one included
    alike_vectors: bool  # whether all of these have the same quantized vector

    def patch(self, view: np.ndarray) -> np.ndarray:
        """The cell's own pixels out of one of the four pictures, as far as the picture goes: uint8 [≤ f, ≤ f, 3]."""
        top, left = (self.cell[0] - self.view.top) * self.stride, (self.cell[1] - self.view.left) * self.stride
        return view[top : top + self.stride, left : left + self.stride]

    @property
    def numbers(self) -> int:
        """How many numbers the cell's pixels are: f · f · 3, or fewer at a border that cuts through the cell."""
        return self.patch(self.original).size

    @property
    def cut(self) -> bool:
        """Whether the picture ends within the cell; what is missing was made up by reflection for the encoder."""
        return self.numbers < 3 * self.stride**2

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
    def lost(self) -> float | None:
        """The residual's sum of squares over the embedding's; None where the embedding is zero."""
        whole = float(np.square(self.embedding).sum())
        return float(np.square(self.residual).sum()) / whole if whole else None

    @property
    def one_length(self) -> bool:
        """Whether all cells' embeddings have the same length, to a thousandth."""
        return bool(self.lengths.min() >= 0.999 * self.lengths.max())

    @property
    def nearest_first(self) -> bool:
        """Whether no code is nearer than the chosen one; a near tie, decided by rounding, counts as none."""
        return bool(self.distances[0] <= 1.0001 * self.distances.min())

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
    shown = picture.pixels[view.top * stride : view.bottom * stride, view.left * stride : view.right * stride]
    embedding, quantized = encoding.embedding[0, :, row, column], encoding.quantized[0, :, row, column]
    second = blend(encoding, weight)[0, :, row, column]
    code = int(encoding.grid[0, row, column])
    alike = encoding.grid[0] == code
    distances = codebook.distances_from(embedding)
    order = np.argsort(distances, kind="stable")
    order = np.concatenate([[code], order[order != code]])  # a near tie may have been decided by rounding

    def decoded(share: float) -> np.ndarray:
        pixels = to_pixels(decode_window(tokenizer, encoding.quantized, blend(encoding, share), view))[0]
        return pixels[: shown.shape[0], : shown.shape[1]]

    narrow = narrow_input(tokenizer)
    return Walk(
        cell=cell,
        rows=rows,
        columns=columns,
        stride=stride,
        family=tokenizer.spec.family,
        metric=tokenizer.spec.grid.metric,
        inputs=tokenizer.spec.inputs,
        reach=tokenizer.spec.reach,
        weight=weight,
        view=view,
        original=shown,
        off=decoded(0.0),
        on=decoded(1.0),
        now=decoded(weight),
        embedding=embedding.numpy(),
        lengths=torch.linalg.vector_norm(cells(encoding.embedding), dim=1).numpy(),
        order=order,
        distances=distances[order],
        quantized=quantized.numpy(),
        second=second.numpy(),
        passed=narrow.down((second - quantized)[None, :, None, None]).flatten().numpy() if narrow else None,
        alike=int(alike.sum()),
        alike_vectors=bool((encoding.quantized[0].movedim(0, -1)[alike] == quantized).all()),
    )


def inner(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer itself, where another one serves it."""
    return tokenizer.tokenizer if isinstance(tokenizer, Served) else tokenizer


def narrow_input(tokenizer: Tokenizer) -> NarrowProjection | None:
    """What the residual has to pass through on its way into the decoder, where that is less than the embedding."""
    model = inner(tokenizer)
    stem = model.decoder.stem if isinstance(model, VQVAE) else None
    path = stem.from_embedding if isinstance(stem, Stem) else None
    return path if isinstance(path, NarrowProjection) else None


def second_numbers(tokenizer: Tokenizer) -> int:
    """How many numbers a cell the decoder is told by its second input; 0 where it has none."""
    if tokenizer.spec.inputs == 1:
        return 0
    narrow = narrow_input(tokenizer)
    return narrow.down.out_channels if narrow else tokenizer.spec.grid.dim


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
