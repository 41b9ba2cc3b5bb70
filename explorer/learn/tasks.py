"""Five things to try, and whether each is done as things stand."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from explorer.base.cell import Cell
from explorer.editing.edits import Edit, Rule, inputs_of, unedited
from explorer.learn.answers import BYPASS, Listening
from explorer.learn.walk import narrow
from vqvae.tokenizer import Encoding, Tokenizer
from vqvae.window import Window, decode_window


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


def check_ignored(code: int | None, effect: EditEffect | None, *, inputs: int) -> Check:
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
