"""Things to try: which of them a model and a picture offer, and whether each is done as things stand."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from explorer.base.cell import Cell
from explorer.editing.edits import Edit, Rule, inputs_of, unedited
from explorer.learn.answers import Listening
from explorer.learn.walk import narrow
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.window import Window, decode_window
from vqvae.words import counted


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

NAMES = frozenset(task.name for task in TASKS)

SKY_BLUE_OVER_RED, SKY_BRIGHTNESS = 20, 100  # levels of 255
RAREST = 0.01  # share of the codes
HALF_WITHIN = 0.05  # of the gain
IGNORED = 0.1  # of what the same edit does to the codes alone
LEAST_EDIT = 1.0  # levels of 255: an edit that does less to the codes alone says nothing
LEAST_GAIN = 0.5  # dB: less is not worth halving
EDITS_TRIED, ROUNDS_TRIED = 24, 4  # before an edit that is ignored counts as not to be had


# --- what is offered --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ground:
    """What the tasks can be done with: the codes that can be picked, the picture's cells, and what the search found."""

    inputs: int  # of the decoder
    codes: np.ndarray  # int64 [N], those that can be picked
    colours: np.ndarray  # uint8 [N, 3], the mean colour of what each decodes to
    counts: np.ndarray  # int64 [K], how often each code is used
    gaps: np.ndarray  # float32 [h, w], how nearly each cell took another code
    half: int | None  # percent, a blend that brings half of the gain
    ignored: tuple[Cell, int] | None  # a cell and a code that the decoder ignores there


def why_not(task: str, ground: Ground) -> str | None:
    """Why a task cannot be done with what there is, in one sentence; None: it can, and is offered."""
    if task == "sky" and not draws_sky(ground.colours).any():
        return "No code of this model draws the colour of a sky."
    if task == "rare":
        rare = ground.counts <= most_of_rare(ground.counts)
        if rare.all():
            return "All codes are equally rare."
    if task == "margin":
        if np.isinf(ground.gaps).all():
            return "The codebook has a single code, so there is no other to take."
        if (ground.gaps <= narrow(ground.gaps)).all():
            return "In all cells of this picture the next code is equally near."
    if task in ("half", "ignore") and ground.inputs == 1:
        return "This decoder has no second input."
    if task == "half" and ground.half is None:
        return "No blend was found that brings half of what the embedding adds."
    if task == "ignore" and ground.ignored is None:
        return "No edit was found that this decoder ignores."
    return None


SHOWN = 5  # ways to do a task that a teacher is told of


def way(task: str, ground: Ground) -> str:
    """How an offered task can be done, in one sentence: for whoever teaches it."""
    if task == "sky":
        return f"Codes that draw sky: {_listed(ground.codes[draws_sky(ground.colours)])}."
    if task == "rare":
        rare = ground.codes[ground.counts[ground.codes] <= most_of_rare(ground.counts)]
        return f"Codes among the rarest: {_listed(rare[::-1])}."
    if task == "margin":
        nearest = np.argsort(ground.gaps, axis=None, kind="stable")[:SHOWN]
        places = (np.unravel_index(place, ground.gaps.shape) for place in nearest.tolist())
        cells = "; ".join(f"{row}, {column}" for row, column in places)
        return f"Cells (row, column) that nearly took another code: {cells}."
    if task == "half":
        return f"A blend of {ground.half}%."
    assert ground.ignored is not None
    (row, column), code = ground.ignored
    return f"Code {code} in row {row}, column {column}, the embedding kept, a blend of 100%."


def _listed(codes: np.ndarray) -> str:
    return ", ".join(map(str, codes[:SHOWN].tolist()))


def half_way(psnr_at: Callable[[int], float], here: Listening) -> int | None:
    """A blend in percent that brings half of the gain in dB, found by halving; None where there is none to be found."""
    if here.on is None or here.gain < LEAST_GAIN or math.isinf(here.gain):
        return None
    low, high = 0, 100
    while high - low > 1:
        middle = (low + high) // 2
        share = (psnr_at(middle) - here.off) / here.gain
        if abs(share - 0.5) <= HALF_WITHIN:
            return middle
        low, high = (middle, high) if share < 0.5 else (low, middle)
    return None


@torch.inference_mode()
def ignored_edit(
    tokenizer: Tokenizer, base: Encoding, codes: np.ndarray, colours: np.ndarray
) -> tuple[Cell, int] | None:
    """A cell and a code that the decoder ignores there while all of the embedding is kept; None where none was found.

    codes: int64 [N], those that can be picked, with the mean colours that they decode to, uint8 [N, 3]. Those come
    first that differ most from the code of the cell: of these the decoder ignores the larger share.
    """
    if tokenizer.spec.inputs == 1:
        return None
    before = unedited(base, weight=1.0, rule="keep")
    tried = _unlike(base.grid[0].numpy(), codes, colours)
    for edits in _rounds(tried, reach=tokenizer.spec.reach)[:ROUNDS_TRIED]:
        indices = before.indices.copy()
        for cell, code in edits:
            indices[cell] = code
        now, alone = (
            _change(tokenizer, base, one, replace(one, indices=indices)) for one in (before, before.with_weight(0.0))
        )
        for cell, code in edits:
            if now[cell] > IGNORED * alone[cell]:
                continue
            effect = edit_effect(tokenizer, base, cell, code, rule="keep", weight=1.0)
            if check_ignored(code, effect).done:
                return cell, code
    return None


def _change(tokenizer: Tokenizer, base: Encoding, before: Edit, after: Edit) -> np.ndarray:
    """How much each cell's pixels change, as a root mean square: [h, w]."""
    one, two = (
        tokenizer.decode(fed.quantized, fed.embedding)
        for fed in (inputs_of(tokenizer, base, edit) for edit in (before, after))
    )
    return avg_pool2d((one - two).square().mean(1), tokenizer.spec.stride)[0].sqrt().numpy()


def _rounds(edits: list[tuple[Cell, int]], *, reach: int | None) -> list[list[tuple[Cell, int]]]:
    """Edits that can be made at once, none of them within the reach of another."""
    rounds: list[list[tuple[Cell, int]]] = []
    for (row, column), code in edits:
        for others in rounds:
            apart = (max(abs(row - there[0]), abs(column - there[1])) for there, _ in others)
            if reach is not None and min(apart) > reach:
                others.append(((row, column), code))
                break
        else:
            rounds.append([((row, column), code)])
    return rounds


def _unlike(grid: np.ndarray, codes: np.ndarray, colours: np.ndarray) -> list[tuple[Cell, int]]:
    """Cells of different codes, each with the code whose colour is furthest from its own; the furthest first."""
    place_of = {int(code): place for place, code in enumerate(codes)}
    used = [int(code) for code in np.unique(grid) if int(code) in place_of]
    found = []
    for code in used:
        distances = np.linalg.norm(colours.astype(float) - colours[place_of[code]], axis=1)
        furthest = int(distances.argmax())
        row, column = np.argwhere(grid == code)[0].tolist()
        found.append((float(distances[furthest]), (row, column), int(codes[furthest])))
    found.sort(key=lambda entry: -entry[0])
    return [(cell, code) for _, cell, code in found[:EDITS_TRIED]]


# --- how things stand -------------------------------------------------------------------------------------------------


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


def most_of_rare(counts: np.ndarray) -> int:
    """How many cells the rarest hundredth of the codes has at most, of counts [K]."""
    return int(np.sort(counts)[max(0, math.ceil(RAREST * len(counts)) - 1)])


def check_rare(code: int | None, counts: np.ndarray, *, sample: str) -> Check:
    """counts: [K], usage over the sample; the rarest hundredth of the codes counts, and all that are as rare."""
    if code is None:
        return Check(False, "No code is picked yet.")
    most = most_of_rare(counts)
    cells = counted(int(counts[code]), "cell")
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
    if here.gain < LEAST_GAIN:
        return Check(
            False, f"The embedding brings less than {LEAST_GAIN} dB here, too little to halve; try another picture."
        )
    if math.isinf(here.gain):
        return Check(
            False, "With the embedding this picture comes out exactly, so there is no half; try another picture."
        )
    share = (now - here.off) / here.gain
    return Check(
        abs(share - 0.5) <= HALF_WITHIN,
        f"A blend of {weight:.0%} brings {max(share, 0.0):.0%} of what the whole embedding adds.",
    )


@dataclass(frozen=True)
class EditEffect:
    """What an edit of one cell does to its pixels: root mean square of the change, in levels of 255."""

    now: float  # as the decoder is fed
    alone: float  # with the embedding off


@torch.inference_mode()
def edit_effect(
    tokenizer: Tokenizer, base: Encoding, cell: Cell, code: int, *, rule: Rule, weight: float
) -> EditEffect | None:
    """Put a code into a cell, at one blend for all cells; None where the cell has that code already."""
    row, column = cell
    window = Window(row, column, row + 1, column + 1)
    before = unedited(base, weight=weight, rule=rule)
    if before.indices[row, column] == code:
        return None
    indices = before.indices.copy()
    indices[row, column] = code

    def decoded(edit: Edit) -> Tensor:
        fed = inputs_of(tokenizer, base, edit)
        return decode_window(tokenizer, fed.quantized, fed.embedding, window)

    def change(share: float) -> float:
        one = before.with_weight(share)
        return 255 * (decoded(one) - decoded(replace(one, indices=indices))).square().mean().sqrt().item()

    return EditEffect(now=change(weight), alone=change(0.0))


def check_ignored(code: int | None, effect: EditEffect | None) -> Check:
    """Done when the edit moves the pixels by a tenth of what it would with the codes alone, or less."""
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
    return Check(done, told if done else f"{told} From {IGNORED:.0%} down it counts as ignored.")
