"""One cell on its way through the model, step by step, in figures and in plain words; and five things to try."""

import inspect
import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.edits import Edit, Rule, feed, unedited
from explorer.pictures import Picture
from explorer.reconstruction import EncodedPicture, compare, decibels, render
from vqvae.decoder import Decoder, OneInputStem, Stem
from vqvae.encoder import Encoder
from vqvae.images import pad_to_multiple, to_pixels
from vqvae.model import VQVAE
from vqvae.quantizer import VectorQuantizer, nearest
from vqvae.tokenizer import Encoding, Tokenizer, blend
from vqvae.window import Window, decode_window

Cell = tuple[int, int]  # row, column

NARROWEST = 0.1  # share of a picture's cells that count as having nearly taken another code
CONTEXT = 2  # cells around the one that is followed, on each side, which are shown with it
_PROJECT = Path(__file__).parents[1]


# --- one cell ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Walk:
    """What becomes of one cell, from its pixels to the decoder's."""

    cell: Cell
    rows: int  # of the grid
    columns: int
    inputs: int  # of the decoder
    weight: float  # the blend, in [0, 1]
    view: Window  # the cell with some around it, as far as there are any; the four pictures show it, uint8 [·f, ·f, 3]
    original: np.ndarray  # as the encoder sees it: at the border some of it may be padding
    off: np.ndarray  # decoded from the codes alone
    on: np.ndarray  # with the whole embedding
    now: np.ndarray  # at the blend
    embedding: np.ndarray  # float32 [D]
    order: np.ndarray  # int64 [K], all codes, the chosen one first and the others by distance
    distances: np.ndarray  # float64 [K], Euclidean, of `order` to the embedding
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
    tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture, cell: Cell, *, inputs: int, weight: float
) -> Walk:
    """Follow a cell of the grid, at a blend of `weight` in [0, 1]."""
    encoding, stride = encoded.encoding, tokenizer.stride
    row, column = cell
    rows, columns = encoding.indices.shape[1:]
    view = Window(row, column, row + 1, column + 1).grown(CONTEXT, rows=rows, columns=columns)
    padded = pad_to_multiple(picture.image, stride)
    embedding = encoding.embedding[0, :, row, column]
    code = int(encoding.indices[0, row, column])
    distances = (tokenizer.codebook.double() - embedding.double()).square().sum(1).sqrt().numpy()
    order = np.argsort(distances, kind="stable")
    order = np.concatenate([[code], order[order != code]])  # a near tie may have been decided by rounding

    def decoded(share: float) -> np.ndarray:
        return to_pixels(decode_window(tokenizer, encoding.quantized, blend(encoding, share), view))[0]

    return Walk(
        cell=cell,
        rows=rows,
        columns=columns,
        inputs=inputs,
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
        alike=int((encoding.indices == code).sum()),
    )


def relative_gaps(nearest_two: np.ndarray) -> np.ndarray:
    """Distances of the nearest code and the next, [N, 2] -> [N]: the gap between them over the first."""
    first, second = nearest_two[:, 0], nearest_two[:, 1]
    return np.maximum(second - first, 0) / np.maximum(first, 1e-12)


@torch.inference_mode()
def all_gaps(tokenizer: Tokenizer, encoded: EncodedPicture) -> np.ndarray:
    """How nearly each cell took another code: float64 [h, w], as `Walk.gap`; inf where there is one code only."""
    embedding = encoded.encoding.embedding[0].flatten(1).T.double()
    shape = encoded.indices.shape
    codebook = tokenizer.codebook.double()
    if len(codebook) < 2:
        return np.full(shape, np.inf)
    rows_at_once = max(1, (1 << 22) // len(codebook))
    two = [torch.cdist(part, codebook).topk(2, largest=False).values for part in embedding.split(rows_at_once)]
    return relative_gaps(torch.cat(two).numpy()).reshape(shape)


def light_up(pixels: np.ndarray, gaps: np.ndarray, *, stride: int) -> np.ndarray:
    """A picture with all dimmed but the cells that nearly took another code: uint8 [H, W, 3], gaps [h, w] -> uint8."""
    lit = (gaps <= narrow(gaps)).repeat(stride, axis=0).repeat(stride, axis=1)
    height, width = pixels.shape[:2]
    return np.where(lit[:height, :width, None], pixels, pixels // 4)


def narrow(gaps: np.ndarray) -> float:
    """The gap that a tenth of a picture's cells do not exceed."""
    return float(np.quantile(gaps, NARROWEST, method="lower"))


# --- the steps --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Some lines of the model's own code."""

    name: str  # of the function
    file: str  # below the project's folder
    first: int  # line, from 1
    last: int
    text: str


@dataclass(frozen=True)
class Step:
    """A station on a cell's way: what it is called, and what does it."""

    name: str  # short, stable
    title: str
    functions: tuple[Callable[..., Any], ...]


def steps(inputs: int) -> tuple[Step, ...]:
    """The stations of a model whose decoder has so many inputs, in their order."""
    stem = Stem if inputs == 2 else OneInputStem
    return (
        Step("patch", "Patch", (VQVAE.encode, pad_to_multiple)),
        Step("embedding", "Embedding", (Encoder.forward,)),
        Step("distances", "Distances", (nearest,)),
        Step("code", "Code", (VectorQuantizer.lookup,)),
        Step("residual", "Residual", (blend,)),
        Step("inputs", "Two inputs" if inputs == 2 else "One input", (stem.forward,)),
        Step("output", "Output", (VQVAE.decode, Decoder.forward)),
    )


def source_of(function: Callable[..., Any]) -> Source:
    """The lines that define a function, as they are in its file."""
    lines, first = inspect.getsourcelines(function)
    path = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
    text = textwrap.dedent("".join(lines)).rstrip("\n")
    file = path.relative_to(_PROJECT) if path.is_relative_to(_PROJECT) else path
    return Source(function.__qualname__, file.as_posix(), first, first + len(lines) - 1, text)


def fact(step: str, walk: Walk) -> str:
    """The one figure that stands under a step."""
    side = len(walk.patch(walk.original))
    facts = {
        "patch": f"{side} × {side} pixels",
        "embedding": f"{len(walk.embedding)} numbers",
        "distances": f"nearest {walk.distances[0]:.2f}",
        "code": f"code {walk.code:,}",
        "residual": f"{walk.lost:.0%} lost",
        "inputs": f"blend {walk.weight:.0%}" if walk.inputs == 2 else "codes alone",
        "output": f"{decibels(walk.psnr(walk.now))} dB",
    }
    return facts[step]


def tell(step: str, walk: Walk) -> str:
    """What happens at a step, in plain words with this cell's own figures."""
    return _TOLD[step](walk)


def _tell_patch(walk: Walk) -> str:
    row, column = walk.cell
    side = len(walk.patch(walk.original))
    return (
        f"The picture is divided into {walk.rows} × {walk.columns} cells. The one in row {row}, column {column} stands "
        f"for {side} × {side} pixels: with red, green and blue that is {walk.numbers:,} numbers. Each of the "
        f"{walk.rows * walk.columns:,} cells goes the way of this one."
    )


def _tell_embedding(walk: Walk) -> str:
    low, high = walk.embedding.min(), walk.embedding.max()
    return (
        f"From these pixels and those around them the encoder makes {len(walk.embedding)} numbers, the cell's "
        f"embedding. They can take any value; here they run from {_signed(low)} to {_signed(high)}. What each of them "
        f"means nobody has said: encoder and decoder found a language of their own in training."
    )


def _tell_distances(walk: Walk) -> str:
    count = len(walk.order)
    if count < 2:
        return (
            f"The codebook has a single code, {walk.distances[0]:.2f} away from the embedding, so every cell takes it."
        )
    middle = float(np.median(walk.distances))
    return (
        f"The codebook holds {count:,} vectors of the same kind, the codes. How far is each from this embedding? Code "
        f"{walk.code:,} is nearest, at {walk.distances[0]:.2f}; code {walk.order[1]:,} would have come next, "
        f"{walk.gap:.1%} further away. Half of all codes are further than {middle:.2f}."
    )


def _tell_code(walk: Walk) -> str:
    count, size = len(walk.order), len(walk.embedding)
    if walk.alike == 1:
        company = "No other cell of this picture took this code."
    else:
        company = f"{walk.alike:,} cells of this picture took this code, and have the very same vector."
    return (
        f"The cell is now one number, {walk.code:,}: {math.log2(count):.3g} bits in place of {8 * walk.numbers:,} "
        f"for its pixels. Looked up in the codebook, the number becomes {size} numbers again, the quantized vector. "
        f"{company}"
    )


def _tell_residual(walk: Walk) -> str:
    told = (
        f"Embedding minus quantized vector: what the code could not say. It holds {walk.lost:.0%} of the embedding's "
        f"sum of squares; 0% would mean that the code says it all. "
    )
    if walk.inputs == 1:
        return told + "This decoder has no second input, so for it the residual is gone."
    if walk.weight == 0:
        return told + "The embedding is off, so the decoder gets nothing of it."
    return told + f"The decoder's second input carries {_share(walk)} of it."


def _tell_inputs(walk: Walk) -> str:
    if walk.inputs == 1:
        return (
            "A decoder with two inputs would now get the embedding too. This one has a single input, and gets the "
            "quantized vector of each cell: all it knows of the picture is which codes the cells have."
        )
    if walk.weight == 0:
        second = "the second brings nothing: the embedding is off"
    else:
        second = f"the second brings {_share(walk)} of the residual"
    return (
        f"The decoder gets two vectors for the cell. The first is the code's own; {second}. The stem sends each "
        f"through its own matrix and adds the results, so a residual of zero leaves exactly what the codes say."
    )


def _tell_output(walk: Walk) -> str:
    off, on, now = map(walk.psnr, (walk.off, walk.on, walk.now))
    pixels = walk.numbers // 3
    told = (
        f"From the grid of cells the decoder draws pixels again, these {pixels} from this cell and those around it. "
        f"With the codes alone they come out at {decibels(off)} dB against the original"
    )
    if walk.inputs == 1:
        return told + ", and this decoder has nothing else to go by."
    between = "" if walk.weight in (0, 1) else f", at a blend of {walk.weight:.0%} at {decibels(now)} dB"
    return (
        told
        + f", with the whole embedding at {decibels(on)} dB{between}. More is closer; 3 dB halve the squared error."
    )


_TOLD: dict[str, Callable[[Walk], str]] = {
    "patch": _tell_patch,
    "embedding": _tell_embedding,
    "distances": _tell_distances,
    "code": _tell_code,
    "residual": _tell_residual,
    "inputs": _tell_inputs,
    "output": _tell_output,
}


def _share(walk: Walk) -> str:
    return "all" if walk.weight == 1 else f"{walk.weight:.0%}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


# --- the whole picture ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listening:
    """How well a decoder does on a picture with its inputs on, off and wrong; PSNR in dB."""

    inputs: int
    off: float  # the codes alone
    on: float | None  # with the whole embedding; None where there is no second input
    shuffled: float | None  # the codes put into wrong cells, the embedding right; None likewise

    @property
    def gain(self) -> float:
        """What the embedding is worth, in dB."""
        return 0.0 if self.on is None or self.on == self.off else self.on - self.off


@torch.inference_mode()
def listen(tokenizer: Tokenizer, encoded: EncodedPicture, picture: Picture, *, inputs: int) -> Listening:
    """Measure what a decoder makes of a picture, after rounding to 8 bits as on the screen."""
    off = render(tokenizer, encoded, picture, weight=0).quality.psnr
    if inputs == 1:
        return Listening(1, off, None, None)
    on = render(tokenizer, encoded, picture, weight=1).quality.psnr
    encoding = encoded.encoding
    pixels = to_pixels(tokenizer.decode(tokenizer.lookup(_shuffled(encoding.indices)), encoding.embedding))[0]
    height, width = picture.pixels.shape[:2]
    return Listening(2, off, on, compare(picture.pixels, pixels[:height, :width]).psnr)


def _shuffled(indices: Tensor) -> Tensor:
    """The same indices [1, h, w] in another order of cells, the same order every time."""
    order = torch.randperm(indices.numel(), generator=torch.Generator().manual_seed(0))
    return indices.flatten()[order].view_as(indices)


@dataclass(frozen=True)
class Answer:
    """A question that a person new to this asks, answered with the figures of their picture."""

    question: str
    text: str


HARDLY = 1.0  # dB: a decoder that loses less by wrong codes hardly reads them
TRAINED, CLASSIC, BYPASS = "photos", "photos-classic", "photos-bypass"  # shipped checkpoints that answers compare


def answers(
    walk: Walk, indices: np.ndarray, *, pixels: np.ndarray, here: Listening, others: Mapping[str, Listening]
) -> tuple[Answer, ...]:
    """Four answers about a picture, uint8 [H, W, 3], and its indices [h, w].

    here: of the open checkpoint; others: of the shipped ones that are there.
    """
    return (
        Answer("What is a codebook?", _answer_codebook(walk, indices, pixels)),
        Answer("Why does the decoder have two inputs?", _answer_two_inputs(walk, here)),
        Answer("What does a classic VQ-VAE do instead?", _answer_classic(others)),
        Answer("Why is the embedding dropped now and then in training?", _answer_dropout(others)),
    )


def _answer_codebook(walk: Walk, indices: np.ndarray, pixels: np.ndarray) -> str:
    codes, used = len(walk.order), len(np.unique(indices))
    bits = math.log2(codes)
    return (
        f"A list of {codes:,} vectors that was learned in training, a shared vocabulary. Each of this picture's "
        f"{indices.size:,} cells may name one of them and nothing else: {bits:.3g} bits a cell, "
        f"{indices.size * bits / 8:,.0f} bytes for the picture, whose pixels take {pixels.size:,}. "
        f"This picture names {used:,} different codes."
    )


def _answer_two_inputs(walk: Walk, here: Listening) -> str:
    if here.on is None:
        return (
            f"This one has not: it is given the codes alone, and draws this picture from them at {decibels(here.off)} "
            "dB. Open a checkpoint with two inputs to see what a second one adds."
        )
    kept = f"{len(walk.embedding)} numbers of any value in place of one of {len(walk.order):,} codes"
    if here.gain < 0.05:
        return (
            f"Here the second one adds nothing: {decibels(here.off)} dB without the embedding, {decibels(here.on)} dB "
            "with it."
        )
    return (
        f"A code is short and cannot say everything. The embedding says what is left, at a price: {kept}. On this "
        f"picture the codes alone give {decibels(here.off)} dB, and with the embedding beside them it is "
        f"{decibels(here.on)} dB (3 dB more is half the squared error). So one decoder serves both: a small grid of "
        "codes, or a close copy."
    )


def _answer_classic(others: Mapping[str, Listening]) -> str:
    if CLASSIC not in others:
        return (
            f"It gives its decoder the codes and nothing else. There is no checkpoint named {CLASSIC} here, so what "
            "that means for this picture cannot be measured."
        )
    classic = others[CLASSIC].off
    told = (
        f"It gives its decoder the codes and nothing else. {CLASSIC} is such a model: {decibels(classic)} dB on this "
        "picture."
    )
    if TRAINED not in others:
        return told
    trained = others[TRAINED]
    return (
        f"{told} With its embedding off, {TRAINED} has {_compared(trained.off, classic)}. With the embedding on it has "
        f"{_on(trained)} dB, and the classic one has nothing to switch on."
    )


def _compared(ours: float, theirs: float) -> str:
    """How a PSNR in dB compares with another, in words that follow "has"."""
    if ours == theirs or abs(ours - theirs) < 0.005:
        return "as much"
    if ours < theirs:
        return f"{decibels(theirs - ours)} dB less: it had two ways of listening to learn"
    return f"{decibels(ours - theirs)} dB more"


def _answer_dropout(others: Mapping[str, Listening]) -> str:
    if BYPASS not in others:
        return (
            f"So that the decoder learns to read the codes too. There is no checkpoint named {BYPASS} here, which was "
            "trained without, so the difference cannot be measured."
        )
    bypass = others[BYPASS]
    told = (
        f"So that the decoder learns to read the codes too. In the training of {BYPASS} the embedding was always "
        f"there. Put its codes into the wrong cells, and on this picture it goes from {_on(bypass)} to "
        f"{_with_wrong_codes(bypass)} dB{': it hardly reads them' if _drop(bypass) < HARDLY else ''}."
    )
    if TRAINED not in others:
        return f"{told} With the embedding off it is left with {decibels(bypass.off)} dB."
    trained = others[TRAINED]
    return (
        f"{told} {TRAINED}, which had to do without the embedding for half of its training pictures, goes from "
        f"{_on(trained)} to {_with_wrong_codes(trained)} dB. With the embedding off, {BYPASS} is left with "
        f"{decibels(bypass.off)} dB and {TRAINED} with {decibels(trained.off)} dB."
    )


def _on(listening: Listening) -> str:
    return decibels(listening.off if listening.on is None else listening.on)


def _with_wrong_codes(listening: Listening) -> str:
    return decibels(listening.off if listening.shuffled is None else listening.shuffled)


def _drop(listening: Listening) -> float:
    """What wrong codes cost while the embedding is on, in dB."""
    if listening.on is None or listening.shuffled is None or listening.on == listening.shuffled:
        return 0.0
    return listening.on - listening.shuffled


# --- things to try ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Something to try: what, and how one could go about it."""

    name: str  # short, stable
    title: str
    advice: str


@dataclass(frozen=True)
class Check:
    """Whether a task is done as things stand, and how they stand."""

    done: bool
    sentence: str


TASKS = (
    Task(
        "sky", "Find a code that draws sky", "Pick one on the wall: light, more blue than green, more green than red."
    ),
    Task("rare", "Find one of the rarest codes", "The wall goes from the most used code to the least used."),
    Task("margin", "Find a cell that nearly took another code", "Click through the picture and watch the distances."),
    Task(
        "half",
        "Find the blend that brings half of the gain in dB",
        "Move the blend. Half of the way is not half of it.",
    ),
    Task("ignore", "Make the decoder ignore an edit", "Pick a code, keep the embedding, and blend all of it in."),
)

SKY_BLUE_OVER_RED, SKY_BRIGHTNESS = 20, 100  # levels of 255
RAREST = 0.01  # share of the codes
HALF_WITHIN = 0.05  # of the gain
IGNORED = 0.1  # of what the same edit does to the codes alone
LEAST_EDIT = 1.0  # levels of 255: an edit that does less to the codes alone says nothing


def draws_sky(colours: np.ndarray) -> np.ndarray:
    """Whether mean colours, uint8 [N, 3], are those of a sky: light, blue ≥ green ≥ red, clearly bluer than red."""
    red, green, blue = np.moveaxis(colours.astype(int), -1, 0)
    brightness = colours @ (0.299, 0.587, 0.114)
    return (blue >= green) & (green >= red) & (blue - red >= SKY_BLUE_OVER_RED) & (brightness >= SKY_BRIGHTNESS)


def check_sky(code: int | None, colour: np.ndarray | None) -> Check:
    """colour: uint8 [3], the mean of what the code decodes to."""
    if code is None or colour is None:
        return Check(False, "No code is picked yet.")
    red, green, blue = colour.tolist()
    done = bool(draws_sky(colour[None])[0])
    says = "sky" if done else "not sky"
    return Check(done, f"Code {code:,} decodes to red {red}, green {green}, blue {blue}: {says}.")


def check_rare(code: int | None, counts: np.ndarray, *, sample: str) -> Check:
    """counts: [K], usage over the sample; the rarest hundredth of the codes counts, and all that are as rare."""
    if code is None:
        return Check(False, "No code is picked yet.")
    most = np.sort(counts)[max(0, math.ceil(RAREST * len(counts)) - 1)]
    cells = f"{counts[code]:,} cell{'' if counts[code] == 1 else 's'}"
    return Check(
        bool(counts[code] <= most),
        f"Code {code:,} has {cells} of {sample}; the rarest {RAREST:.0%} of the codes have at most {most:,}.",
    )


def check_margin(gap: float | None, gaps: np.ndarray, *, chosen: bool) -> Check:
    """gaps: [h, w], of all cells of the picture; chosen: the person picked the cell, rather than the page."""
    if gap is None:
        return Check(False, "The codebook has a single code, so there is no other to take.")
    most = narrow(gaps)
    return Check(
        chosen and gap <= most,
        f"Here the next code is {gap:.1%} further away; for a tenth of the cells it is at most {most:.1%}.",
    )


def check_half(now: float, here: Listening, *, weight: float) -> Check:
    """now: PSNR in dB of the picture at this blend."""
    if here.on is None:
        return Check(False, "This decoder has no second input to blend in; open a checkpoint with two.")
    if here.gain < 0.5:
        return Check(False, "The embedding brings less than 0.5 dB here, too little to halve; try another picture.")
    if math.isinf(here.gain):
        return Check(
            False, "With the embedding this picture comes out exactly, so there is no half; try another picture."
        )
    share = (now - here.off) / here.gain
    return Check(
        abs(share - 0.5) <= HALF_WITHIN,
        f"A blend of {weight:.0%} brings {max(share, 0.0):.0%} of the {here.gain:.2f} dB.",
    )


@dataclass(frozen=True)
class Effect:
    """What an edit of one cell does to its pixels: root mean square of the change, in levels of 255."""

    now: float  # as the decoder is fed
    alone: float  # with the embedding off


@torch.inference_mode()
def edit_effect(
    tokenizer: Tokenizer, base: Encoding, cell: Cell, code: int, *, rule: Rule, weight: float
) -> Effect | None:
    """Put a code into a cell, at one blend for all cells; None where the cell has that code already."""
    row, column = cell
    window = Window(row, column, row + 1, column + 1)
    before = unedited(base, weight=weight, rule=rule)
    if before.indices[row, column] == code:
        return None
    indices = before.indices.copy()
    indices[row, column] = code

    def decoded(edit: Edit) -> Tensor:
        fed = feed(tokenizer, base, edit)
        return decode_window(tokenizer, fed.quantized, fed.embedding, window)

    def change(share: float) -> float:
        one = before.with_weight(share)
        return 255 * (decoded(one) - decoded(replace(one, indices=indices))).square().mean().sqrt().item()

    return Effect(now=change(weight), alone=change(0.0))


def check_ignored(code: int | None, effect: Effect | None, *, inputs: int) -> Check:
    """Done when the edit moves the pixels by a tenth of what it would with the codes alone, or less."""
    if inputs == 1:
        return Check(
            False, f"This decoder has nothing but the codes to listen to; open one with two, such as {BYPASS}."
        )
    if code is None:
        return Check(False, "No code is picked yet.")
    if effect is None:
        return Check(False, f"The cell has code {code:,} already; pick another.")
    if effect.alone < LEAST_EDIT:
        return Check(False, f"Code {code:,} looks the same here even to the codes alone; pick one that differs more.")
    share = effect.now / effect.alone
    told = (
        f"Code {code:,} in this cell moves its pixels by {effect.now:.1f} levels of 255, and by {effect.alone:.1f} "
        f"with the codes alone: {share:.1%}."
    )
    done = share <= IGNORED
    return Check(
        done, told if done else f"{told} From {IGNORED:.0%} down it counts as ignored; {BYPASS} gets there soonest."
    )
