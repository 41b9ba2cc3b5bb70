"""Every sentence that the Learn page says, held against the model it speaks of: each has a check that computes it.

A sentence that no check knows fails the test, so nothing can be added to the page that is not looked into. The checks
share nothing with what wrote the sentence but the tokenizer itself: numbers are computed again, the plain way.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import EncodedPicture, encode_picture
from explorer.images.samples import SAMPLES
from explorer.learn.answers import BYPASS, CLASSIC, TRAINED, Answer, Other, Run, answers, facts_of, listen
from explorer.learn.claims import Finding, Subject, offered
from explorer.learn.steps import source_of, steps, tell
from explorer.learn.walk import Walk, follow
from tests import toy_tokenizers
from tests.conftest import CHECKPOINTS
from tests.known_decoders import known
from tests.toys import StandIn, toy_model, toy_pixels
from vqvae import checkpoint
from vqvae.codecs import JPEG
from vqvae.images import to_png
from vqvae.model import FAMILY, VQVAE
from vqvae.search import Codebook
from vqvae.served import Served
from vqvae.tokenizer import METRICS, Tokenizer


class Detached(StandIn):
    """A decoder that leaves no trace for torch to follow."""

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        return super().decode(quantized, embedding).detach()


SHIPPED = ("photos", "photos-fine", "photos-classic", "photos-bypass", "photos-both")
TOYS: dict[str, Callable[[], Tokenizer]] = {
    "two inputs": toy_model,
    "one input": lambda: toy_model(decoder_inputs="quantized"),
    "narrow": lambda: toy_model(embedding_channels=2),
    "narrowest": lambda: toy_model(embedding_channels=1),
    "bypass": lambda: known("bypasses the codebook"),
    "ignores the embedding": lambda: known("ignores the embedding"),
    "draws one colour": lambda: known("cannot tell"),
    "one code": lambda: toy_model(codes=1),
    "no power of two": lambda: toy_model(codes=37, seed=3),
    "mixes neighbours": toy_tokenizers.mixed_neighbours,
    "sign bits": toy_tokenizers.sign_bits,
    "global": lambda: Served(toy_tokenizers.global_decoder()),
    "one size": toy_tokenizers.one_size,
    "served": lambda: Served(toy_model()),
    "not to be differentiated": lambda: Detached(toy_model(), family="leaves no trace"),
}
FLAT = np.full((16, 16, 3), 127, np.uint8)
PIXELS = {
    "odd": toy_pixels(19, 27),
    "flat": FLAT,
    "one pixel": toy_pixels(1, 1),
    "one row": toy_pixels(3, 30),
    "whole": toy_pixels(24, 32, seed=2),
}


# --- what a sentence speaks of ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Scene:
    """A model, a picture, and a cell at a blend, with what the checks compute of them."""

    tokenizer: Tokenizer
    picture: Picture
    cell: tuple[int, int] = (0, 0)
    weight: float = 0.0
    others: dict[str, Tokenizer] = field(default_factory=dict)
    runs: dict[str, Run | None] = field(default_factory=dict)
    finding: Finding | None = None

    @cached_property
    def encoded(self) -> EncodedPicture:
        return encode_picture(self.tokenizer, self.picture)

    @cached_property
    def z(self) -> Tensor:
        return self.tokenizer.encode(self.picture.image).embedding

    @cached_property
    def q(self) -> Tensor:
        return self.tokenizer.encode(self.picture.image).quantized

    @cached_property
    def grid(self) -> Tensor:
        return self.tokenizer.encode(self.picture.image).indices[0]

    @property
    def inputs(self) -> int:
        return self.tokenizer.spec.inputs

    @property
    def ours(self) -> VQVAE | None:
        model = self.tokenizer.tokenizer if isinstance(self.tokenizer, Served) else self.tokenizer
        return model if isinstance(model, VQVAE) else None

    @property
    def codes(self) -> int:
        return self.tokenizer.spec.levels[0].codes

    @property
    def vectors(self) -> np.ndarray:
        return self.tokenizer.vectors(0, torch.arange(self.codes)).double().numpy()

    @property
    def one(self) -> tuple[np.ndarray, np.ndarray]:
        """The cell's embedding and quantized vector."""
        row, column = self.cell
        return self.z[0, :, row, column].double().numpy(), self.q[0, :, row, column].double().numpy()

    @property
    def distances(self) -> np.ndarray:
        """[K], from the cell's embedding, as the metric measures it."""
        vector, codes = self.one[0], self.vectors
        if self.tokenizer.spec.levels[0].metric == "cosine":
            vector = vector / np.linalg.norm(vector)
            codes = codes / np.linalg.norm(codes, axis=1, keepdims=True)
        return np.sqrt(((codes - vector) ** 2).sum(1))

    def drawn(self, first: Tensor, second: Tensor | None = None) -> np.ndarray:
        """uint8 [H, W, 3], as far as the picture goes."""
        height, width = self.picture.pixels.shape[:2]
        decoded = self.tokenizer.decode(first) if second is None else self.tokenizer.decode(first, second)
        return (
            np.rint(255 * decoded[0].permute(1, 2, 0).double().numpy())[:height, :width].clip(0, 255).astype(np.uint8)
        )

    def at(self, weight: float) -> np.ndarray:
        return self.drawn(self.q) if weight == 0 else self.drawn(self.q, torch.lerp(self.q, self.z, weight))

    def psnr(self, pixels: np.ndarray) -> float:
        return plain_psnr(self.picture.pixels, pixels)

    @cached_property
    def off(self) -> float:
        return self.psnr(self.at(0.0))

    @cached_property
    def on(self) -> float:
        return self.psnr(self.at(1.0))

    @cached_property
    def shuffled(self) -> float:
        order = torch.randperm(self.grid.numel(), generator=torch.Generator().manual_seed(0))
        wrong = self.tokenizer.lookup((self.grid.flatten()[order].view_as(self.grid),))
        return self.psnr(self.drawn(wrong, self.z))

    @property
    def own(self) -> list[tuple[int, int]]:
        """The pixels that the cell stands for, as far as the picture has them."""
        height, width = self.picture.pixels.shape[:2]
        stride = self.tokenizer.spec.stride
        return [(y, x) for y in range(height) for x in range(width) if (y // stride, x // stride) == self.cell]

    def cell_psnr(self, weight: float) -> float:
        drawn = self.at(weight)
        return plain_psnr(
            np.array([self.picture.pixels[place] for place in self.own]), np.array([drawn[place] for place in self.own])
        )

    @property
    def passed_on(self) -> int:
        """Numbers a cell that the second input can tell the decoder: the rank of its matrix."""
        model = self.ours
        if model is None:
            return self.z.shape[1]
        path = model.decoder.stem.from_embedding
        matrix = (
            path.weight
            if isinstance(path, torch.nn.Conv2d)
            else path.up.weight.flatten(1) @ path.down.weight.flatten(1)
        )
        if not isinstance(path, torch.nn.Conv2d):
            return int(torch.linalg.matrix_rank(matrix.double(), rtol=1e-5))
        return matrix.shape[1]

    @cached_property
    def recovered(self) -> int:
        """Cells whose code the nearest vector gives."""
        flat = self.z[0].flatten(1).T.double().numpy()
        distances = ((flat[:, None] - self.vectors[None]) ** 2).sum(2)
        own = distances[np.arange(len(flat)), self.grid.flatten().numpy()]
        return int((own <= distances.min(1) * (1 + 1e-6) + 1e-9).sum())


def plain_psnr(one: np.ndarray, two: np.ndarray) -> float:
    error = np.mean((one.astype(float) - two.astype(float)) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def number(text: str) -> float:
    return math.inf if text == "∞" else float(text.replace(",", "").replace("−", "-").removesuffix("%"))


def same(text: str, value: float, *, within: float = 0.006) -> None:
    """A figure on the page is this value, to what it is rounded to."""
    found = number(text)
    assert found == value or abs(found - value) <= within, f"{text} is said, and it is {value}"


def close(text: str, value: float) -> None:
    """A figure of three digits is this value."""
    assert number(text) == pytest.approx(value, rel=6e-3, abs=1e-9), f"{text} is said, and it is {value}"


# --- what is said, and how it is looked into --------------------------------------------------------------------------

Check = Callable[..., None]
CHECKS: list[tuple[re.Pattern[str], Check]] = []
NUMBER = r"((?:−|-)?[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?|∞)"


def says(pattern: str) -> Callable[[Check], Check]:
    """Register what looks into a sentence; # stands for a number."""
    compiled = re.compile(pattern.replace("#", NUMBER))

    def register(check: Check) -> Check:
        CHECKS.append((compiled, check))
        return check

    return register


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) (?=[A-Z\d])", text)


ONE_OF_SEVERAL = re.compile(r"(?<![\d.,×] )(?<![\d.,])\b1 (cells|codes|numbers|vectors|images|levels|bytes)\b")


def look_into(scene: Scene, text: str) -> None:
    """Check each sentence of a text; one that no check knows is a failure."""
    assert text.endswith(".")
    assert not ONE_OF_SEVERAL.search(text), f"One is not several: {text}"
    for sentence in sentences(text):
        found = [(check, match) for pattern, check in CHECKS if (match := pattern.fullmatch(sentence))]
        assert len(found) == 1, f"{len(found)} checks know the sentence: {sentence}"
        check, match = found[0]
        check(scene, *match.groups())


# what holds of every model, by what the words mean
for definition in (
    r"What each number means the model does not say\.",
    r"Embedding minus quantized vector: what the code could not say\.",
    r"Open a checkpoint with two inputs to see what a second one adds\.",
    r"Fewer bits a number would cost less; what that does to the picture is not measured here\.",
    r"What an argument does only a test of it can say\.",
    r"What a larger codebook would give that was trained from the start, one model cannot say\.",
    r"It gives its decoder the codes and nothing else\.",
    r"With the embedding always there, nothing in training asks for a picture from the codes alone\.",
    r"The reliance test on the Inputs page asks that\.",
    r"That is what a pair costs that does not belong together; which of the two the decoder follows, it does not say\.",
    r"Here is one that takes it and does not\.",  # the sentences after it say which, and show it
):
    says(definition)(lambda scene: None)


@says(r"The grid over the picture has # × # cells\.")
def _(scene: Scene, rows: str, columns: str) -> None:
    height, width = scene.picture.pixels.shape[:2]
    stride = scene.tokenizer.spec.stride
    assert (int(rows), int(columns)) == (math.ceil(height / stride), math.ceil(width / stride))


@says(r"The one in row #, column # stands for # × # pixels: with red, green and blue that is # numbers?\.")
def _(scene: Scene, row: str, column: str, height: str, width: str, numbers: str) -> None:
    assert (int(row), int(column)) == scene.cell
    assert int(height) == len({y for y, _ in scene.own}) and int(width) == len({x for _, x in scene.own})
    assert number(numbers) == 3 * len(scene.own)


@says(
    r"A whole cell has # × #, but the picture ends here: for the encoder the rest is made up, and it counts in no "
    r"figure on this page\."
)
def _(scene: Scene, height: str, width: str) -> None:
    assert int(height) == int(width) == scene.tokenizer.spec.stride
    assert len(scene.own) < int(height) ** 2


@says(r"Each of the # cells? goes the way of this one\.")
def _(scene: Scene, count: str) -> None:
    assert number(count) == scene.grid.numel()


@says(r"The encoder turns the picture into # numbers? for each cell, the cell's embedding\.")
def _(scene: Scene, count: str) -> None:
    assert int(count) == scene.z.shape[1] and scene.z.shape[2:] == scene.grid.shape[1:]


@says(r"Here they run from # to #\.")
def _(scene: Scene, low: str, high: str) -> None:
    same(low, scene.one[0].min())
    same(high, scene.one[0].max())


def lengths(scene: Scene) -> np.ndarray:
    return np.sqrt((scene.z[0].double().numpy() ** 2).sum(0)).ravel()


@says(r"Its length, the root of the sum of their squares, is #\.")
def _(scene: Scene, length: str) -> None:
    assert scene.grid.numel() == 1
    same(length, lengths(scene)[0])


@says(
    r"Its length, the root of the sum of their squares, is #, the same in all # cells?: they differ in direction only\."
)
def _(scene: Scene, length: str, count: str) -> None:
    found = lengths(scene)
    assert number(count) == len(found) > 1
    assert np.ptp(found) <= 0.0011 * found.max()
    same(length, np.linalg.norm(scene.one[0]), within=0.006 + 0.001 * found.max())


@says(r"Its length, the root of the sum of their squares, is #; over all # cells? it goes from # to #\.")
def _(scene: Scene, length: str, count: str, low: str, high: str) -> None:
    found = lengths(scene)
    assert number(count) == len(found) > 1 and np.ptp(found) > 0.0009 * found.max()
    for text, value in ((length, np.linalg.norm(scene.one[0])), (low, found.min()), (high, found.max())):
        same(text, value)


@says(r"The codebook has a single code, # away from the embedding, so every cell takes it\.")
def _(scene: Scene, distance: str) -> None:
    assert scene.codes == 1 and not scene.grid.any()
    same(distance, scene.distances[0])


@says(r"The codebook holds # vectors? of # numbers? each, the codes\.")
def _(scene: Scene, codes: str, numbers: str) -> None:
    assert (number(codes), number(numbers)) == (scene.codes, scene.vectors.shape[1])


@says(r"A cell gets its code by this rule: (.+)\.")
def _(scene: Scene, rule: str) -> None:
    metric = scene.tokenizer.spec.levels[0].metric
    assert rule == METRICS[metric]
    if metric == "euclidean":
        assert scene.recovered == scene.grid.numel()


@says(r"Here the rule chose code #, # away; others are nearer\.")
def _(scene: Scene, code: str, distance: str) -> None:
    assert number(code) == int(scene.grid[0][scene.cell])
    same(distance, scene.distances[int(number(code))])
    assert scene.distances.min() < scene.distances[int(number(code))]


@says(r"Code # lies exactly there; code #, # away, is next\.")
def _(scene: Scene, code: str, second: str, distance: str) -> None:
    assert scene.distances[int(number(code))] < 1e-6
    same(distance, np.sort(scene.distances)[1])
    same(distance, scene.distances[int(number(second))])


@says(r"Code # is nearest, at #; code # would have come next, #% further away\.")
def _(scene: Scene, code: str, nearest: str, second: str, further: str) -> None:
    first, next_one = np.sort(scene.distances)[:2]
    assert number(code) == int(scene.grid[0][scene.cell])
    same(nearest, first)
    assert scene.distances[int(number(second))] == pytest.approx(next_one, rel=1e-4)
    same(further, 100 * (next_one - first) / first, within=0.06 + 0.02)


@says(r"The median of all distances is #\.")
def _(scene: Scene, median: str) -> None:
    ordered = np.sort(scene.distances)
    same(median, (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


@says(r"The cell is now one number, #: # bits in place of # for its pixels\.")
def _(scene: Scene, code: str, bits: str, pixels: str) -> None:
    assert number(code) == int(scene.grid[0][scene.cell])
    close(bits, math.log(scene.codes, 2))
    assert number(pixels) == 8 * 3 * len(scene.own)


@says(r"Looked up in the codebook, the number becomes # numbers? again, the quantized vector\.")
def _(scene: Scene, count: str) -> None:
    assert int(count) == scene.tokenizer.lookup((scene.grid,)).shape[1]


def alike(scene: Scene) -> list[list[float]]:
    code = int(scene.grid[0][scene.cell])
    return [scene.q[0, :, y, x].tolist() for y, x in (scene.grid[0] == code).nonzero().tolist()]


@says(r"No other cell of this picture took this code\.")
def _(scene: Scene) -> None:
    assert len(alike(scene)) == 1


@says(r"# cells? of this picture took this code, and have the very same vector\.")
def _(scene: Scene, count: str) -> None:
    assert number(count) == len(alike(scene)) > 1
    assert all(vector == alike(scene)[0] for vector in alike(scene))


@says(
    r"# cells? of this picture took this code; their vectors are not all the same, for this model's lookup heeds the "
    r"neighbours too\."
)
def _(scene: Scene, count: str) -> None:
    assert number(count) == len(alike(scene)) > 1
    assert any(vector != alike(scene)[0] for vector in alike(scene))


@says(r"This cell's embedding is zero, so there is nothing to hold it against\.")
def _(scene: Scene) -> None:
    assert not scene.one[0].any()


@says(r"Its sum of squares is #% of the embedding's; 0% would mean that the code says it all\.")
def _(scene: Scene, share: str) -> None:
    embedding, quantized = scene.one
    same(share, 100 * ((embedding - quantized) ** 2).sum() / (embedding**2).sum(), within=0.51)


@says(r"Its sum of squares is # times the embedding's; 0 would mean that the code says it all\.")
def _(scene: Scene, times: str) -> None:
    embedding, quantized = scene.one
    assert number(times) == pytest.approx(((embedding - quantized) ** 2).sum() / (embedding**2).sum(), rel=0.06)


@says(r"This decoder has no second input, so for it the residual is gone\.")
def _(scene: Scene) -> None:
    assert scene.inputs == 1


@says(r"The embedding is off, so the decoder gets nothing of it\.")
def _(scene: Scene) -> None:
    assert scene.inputs == 2 and scene.weight == 0


def share(text: str) -> float:
    return 1.0 if text == "all" else number(text) / 100


@says(r"The decoder's second input carries (all|[\d.]+%) of it\.")
def _(scene: Scene, part: str) -> None:
    assert scene.inputs == 2 and share(part) == pytest.approx(scene.weight, abs=0.006)
    assert scene.passed_on == scene.z.shape[1]


@says(r"The decoder's second input carries (all|[\d.]+%) of it, pressed into # numbers?\.")
def _(scene: Scene, part: str, count: str) -> None:
    assert scene.inputs == 2 and share(part) == pytest.approx(scene.weight, abs=0.006)
    assert int(count) == scene.passed_on < scene.z.shape[1]


@says(
    r"This decoder has one input, and gets the quantized vector of each cell: all it knows of the picture is which "
    r"codes the cells have\."
)
def _(scene: Scene) -> None:
    assert scene.inputs == 1
    np.testing.assert_array_equal(scene.drawn(scene.tokenizer.lookup((scene.grid,))), scene.at(0.0))


@says(r"In the line below that vector is called embedding, since one can be put in its place\.")
def _(scene: Scene) -> None:
    (function,) = steps(scene.tokenizer)[5].functions
    assert "self.from_quantized(embedding)" in source_of(function).text


@says(r"The decoder gets two vectors for the cell: quantized and, as far as it is blended in, embedding\.")
def _(scene: Scene) -> None:
    assert scene.inputs == 2
    assert list(inspect.signature(scene.tokenizer.decode).parameters) == ["quantized", "embedding"]


@says(r"At a blend of 0% the second is the same as the first, and brings nothing: the embedding is off\.")
def _(scene: Scene) -> None:
    assert scene.weight == 0
    np.testing.assert_array_equal(scene.drawn(scene.q, scene.q), scene.drawn(scene.q))


@says(r"At a blend of 100% the second is the encoder's own embedding\.")
def _(scene: Scene) -> None:
    assert scene.weight == 1


@says(r"At a blend of #% the second lies so far on the way from the first to the embedding\.")
def _(scene: Scene, percent: str) -> None:
    same(percent, 100 * scene.weight, within=0.51)


@says(r"What the decoder does with the two is its own business\.")
def _(scene: Scene) -> None:
    assert scene.tokenizer.spec.family != FAMILY


@says(r"The stem sends the first, and the difference of the two, each through a matrix of its own and adds them\.")
def _(scene: Scene) -> None:
    stem = scene.ours.decoder.stem
    first = torch.einsum("oi,bihw->bohw", stem.from_quantized.weight[..., 0, 0], scene.q)
    second = torch.einsum("oi,bihw->bohw", stem.from_embedding.weight[..., 0, 0], scene.z - scene.q)
    plain = first + stem.from_quantized.bias[:, None, None] + second
    torch.testing.assert_close(stem(scene.q, scene.z), plain, rtol=1e-3, atol=1e-4)


@says(
    r"The stem sends the first through a matrix of its own; the difference of the two it first presses into # numbers?"
    r"; then it adds them\."
)
def _(scene: Scene, count: str) -> None:
    stem = scene.ours.decoder.stem
    pressed = torch.einsum("oi,bihw->bohw", stem.from_embedding.down.weight[..., 0, 0], scene.z - scene.q)
    assert pressed.shape[1] == int(count) == scene.passed_on
    second = torch.einsum("oi,bihw->bohw", stem.from_embedding.up.weight[..., 0, 0], pressed)
    first = torch.einsum("oi,bihw->bohw", stem.from_quantized.weight[..., 0, 0], scene.q)
    plain = first + stem.from_quantized.bias[:, None, None] + second
    torch.testing.assert_close(stem(scene.q, scene.z), plain, rtol=1e-3, atol=1e-4)


@says(
    r"From the grid of cells the decoder draws pixels again, # of them in this cell; (any other cell can|no other cell "
    r"can|cells up to \d+ further can) change them(?: too)?\."
)
def _(scene: Scene, count: str, which: str) -> None:
    assert number(count) == len(scene.own)
    if which.startswith("any"):
        assert scene.tokenizer.spec.reach is None
        return
    within = 0 if which.startswith("no") else int(re.findall(r"\d+", which)[0])
    row, column = scene.cell
    rows, columns = scene.grid.shape[1:]
    away = torch.maximum((torch.arange(rows) - row).abs()[:, None], (torch.arange(columns) - column).abs()[None])
    far = away > within
    other = torch.where(far, (scene.grid + 1) % scene.codes, scene.grid)
    one, two = scene.at(0.0), scene.drawn(torch.where(far, scene.tokenizer.lookup((other,)), scene.q))
    assert max(np.abs(one[place].astype(int) - two[place]).max() for place in scene.own) <= 1


OUTPUT = r"With the codes alone they come out at # dB against the original"


@says(OUTPUT + r", and this decoder has nothing else to go by\.")
def _(scene: Scene, off: str) -> None:
    assert scene.inputs == 1
    same(off, scene.cell_psnr(0.0), within=0.05)


@says(OUTPUT + r", with the whole embedding at # dB(?:, at a blend of #% at # dB)?\.")
def _(scene: Scene, off: str, on: str, percent: str | None, now: str | None) -> None:
    same(off, scene.cell_psnr(0.0), within=0.05)  # a crop decoded alone may round a level another way
    same(on, scene.cell_psnr(1.0), within=0.05)
    assert (percent is None) == (scene.weight in (0, 1))
    if now is not None:
        same(percent, 100 * scene.weight, within=0.51)
        same(now, scene.cell_psnr(scene.weight), within=0.05)


@says(r"(?:More is closer; 3 dB halve the squared error|3 dB more is half the squared error)\.")
def _(scene: Scene) -> None:
    assert abs(10 ** (-3 / 10) - 0.5) < 0.005


# --- the answers


@says(r"A list of # vectors? of # numbers? each, (a vocabulary for pictures|which follow from their place in it)\.")
def _(scene: Scene, codes: str, numbers: str, kind: str) -> None:
    assert (number(codes), number(numbers)) == (scene.codes, scene.vectors.shape[1])
    assert (kind[0] == "w") == (scene.tokenizer.spec.levels[0].metric == "implicit")


@says(
    r"Each of this picture's # cells? names one of them and nothing else: # bits a cell, # bytes for the picture, "
    r"whose pixels take #\."
)
def _(scene: Scene, count: str, bits: str, size: str, raw: str) -> None:
    assert number(count) == scene.grid.numel() and number(raw) == len(scene.picture.pixels.tobytes())
    close(bits, math.log(scene.codes, 2))
    same(size, scene.grid.numel() * math.log2(scene.codes) / 8, within=0.51)


@says(r"This picture names # different codes?\.")
def _(scene: Scene, used: str) -> None:
    assert number(used) == len(set(scene.grid.flatten().tolist()))


@says(r"This one has not: it is given the codes alone, and draws this picture from them at # dB\.")
def _(scene: Scene, off: str) -> None:
    assert scene.inputs == 1
    same(off, scene.off)


@says(r"A code is one of #, and an embedding is # numbers?\.")
def _(scene: Scene, codes: str, numbers: str) -> None:
    assert (number(codes), number(numbers)) == (scene.codes, scene.z.shape[1])


@says(r"Of what the code leaves over, the second input brings # numbers? a cell\.")
def _(scene: Scene, count: str) -> None:
    assert int(count) == scene.passed_on < scene.z.shape[1]


@says(r"The second input brings what the code leaves over\.")
def _(scene: Scene) -> None:
    assert scene.inputs == 2 and scene.passed_on == scene.z.shape[1]


@says(
    r"On this picture the codes alone give # dB, and with the embedding beside them it is # dB: (the same|# dB "
    r"(more|less))\."
)
def _(scene: Scene, off: str, on: str, gain: str, by: str | None, way: str | None) -> None:
    same(off, scene.off)
    same(on, scene.on)
    if by is None or way is None:
        assert scene.on == scene.off or abs(scene.on - scene.off) < 0.006
    else:
        same(by, scene.on - scene.off if way == "more" else scene.off - scene.on)


@says(r"As float32 it takes # numbers? a cell: # bytes for this picture, beside # for the codes\.")
def _(scene: Scene, numbers: str, size: str, codes: str) -> None:
    assert int(numbers) == scene.passed_on
    kept = np.zeros((scene.passed_on, *scene.grid.shape[1:]), np.float32)
    assert number(size) == len(kept.tobytes())
    same(codes, scene.grid.numel() * math.log2(scene.codes) / 8, within=0.51)


@says(r"The raw pixels take # bytes, and as a PNG, without any loss, #\.")
def _(scene: Scene, raw: str, png: str) -> None:
    assert number(raw) == len(scene.picture.pixels.tobytes()) and number(png) == len(to_png(scene.picture.pixels))


def second_bytes(scene: Scene) -> int:
    return 4 * scene.passed_on * scene.grid.numel()


@says(r"So the second input takes more than (the raw pixels|the PNG): it shows what was lost, and compresses nothing\.")
def _(scene: Scene, what: str) -> None:
    raw, png = len(scene.picture.pixels.tobytes()), len(to_png(scene.picture.pixels))
    assert second_bytes(scene) >= (raw if what == "the raw pixels" else png)
    assert what == "the raw pixels" or second_bytes(scene) < raw


@says(r"Codes and second input together take #% of the raw pixels\.")
def _(scene: Scene, part: str) -> None:
    raw = len(scene.picture.pixels.tobytes())
    assert second_bytes(scene) < min(raw, len(to_png(scene.picture.pixels)))
    same(part, 100 * (second_bytes(scene) + scene.grid.numel() * math.log2(scene.codes) / 8) / raw, within=0.06)


@says(r"A cell's code follows from its embedding: worked out again, # of # cells? gets? the same code\.")
def _(scene: Scene, again: str, count: str) -> None:
    assert number(count) == scene.grid.numel() and number(again) == scene.recovered


@says(
    r"But this decoder is not told the whole embedding, only # numbers? made of #; what these leave out it can have "
    r"from the codes alone\."
)
def _(scene: Scene, told: str, whole: str) -> None:
    assert int(told) == scene.passed_on < int(whole) == scene.z.shape[1]


@says(
    r"So a decoder that has the whole embedding needs nothing else; training with the embedding dropped asks for one "
    r"that stands on the codes alone as well\."
)
def _(scene: Scene) -> None:
    assert scene.inputs == 2 and scene.passed_on == scene.z.shape[1]
    assert scene.recovered == scene.grid.numel()


@says(r"On the codes alone this one gives # dB\.")
def _(scene: Scene, off: str) -> None:
    same(off, scene.off)


@says(r"With the embedding on and the codes put into wrong cells it goes from # to # dB\.")
def _(scene: Scene, on: str, wrong: str) -> None:
    same(on, scene.on)
    same(wrong, scene.shuffled)


def of_other(scene: Scene, name: str) -> Scene:
    return Scene(scene.others[name], scene.picture)


@says(r"There is no checkpoint named ([\w-]+) here, (?:so what that means for this picture cannot be measured|"
      r"which was trained so, and nothing that could be measured)\.")  # fmt: skip
def _(scene: Scene, name: str) -> None:
    assert name not in scene.others


@says(r"Such a model, ([\w-]+), has # dB on this picture\.")
def _(scene: Scene, name: str, off: str) -> None:
    assert of_other(scene, name).inputs == 1
    same(off, of_other(scene, name).off)


@says(r"With its embedding off, ([\w-]+) has # dB \((the same|# dB (more|less))\), and with the embedding on # dB\.")
def _(scene: Scene, name: str, off: str, gain: str, by: str | None, way: str | None, on: str) -> None:
    ours, theirs = of_other(scene, name), of_other(scene, CLASSIC)
    same(off, ours.off)
    same(on, ours.on)
    apart = 0.0 if ours.off == theirs.off else ours.off - theirs.off
    same(by or "0", abs(apart))
    assert way is None or (way == "more") == (apart > 0)


@says(
    r"(?:In the training of ([\w-]+) it was (never left out|left out for a part of every batch)|"
    r"How ([\w-]+) was trained its settings do not say); without it, that has # dB here\."
)
def _(scene: Scene, name: str | None, dropped: str | None, unknown: str | None, off: str) -> None:
    run = scene.runs[name or unknown or ""]
    assert (run is None) == (name is None)
    if run is not None and dropped is not None:
        assert run.dropout == dropped.startswith("left")
    same(off, of_other(scene, name or unknown or "").off)


@says(r"With it on and the codes put into wrong cells, ([\w-]+) goes from # to # dB\.")
def _(scene: Scene, name: str, on: str, wrong: str) -> None:
    same(on, of_other(scene, name).on)
    same(wrong, of_other(scene, name).shuffled)


@says(
    r"Each is one training run(?:, ([\w-]+) of # steps and ([\w-]+) of #)?, so what caused the difference was not "
    r"measured\."
)
def _(scene: Scene, one: str | None, one_steps: str | None, two: str | None, two_steps: str | None) -> None:
    if one is None or two is None:
        assert any(run is None for run in scene.runs.values())
        return
    assert number(one_steps or "") == scene.runs[one].steps and number(two_steps or "") == scene.runs[two].steps


@says(r"They differ in the commitment loss as well, # and #\.")
def _(scene: Scene, one: str, two: str) -> None:
    assert number(one) == scene.runs[TRAINED].commitment and number(two) == scene.runs[BYPASS].commitment


# --- the claims


def judgement(scene: Scene) -> str:
    assert scene.finding is not None
    return scene.finding.judgement


def one_colour(scene: Scene) -> float:
    pixels = scene.picture.pixels.astype(float)
    return scene.psnr(np.broadcast_to(np.rint(pixels.mean((0, 1))), pixels.shape))


@says(r"The codes alone, # bytes, give # dB\.")
def _(scene: Scene, size: str, off: str) -> None:
    same(size, scene.grid.numel() * math.log2(scene.codes) / 8, within=0.51)
    same(off, scene.off)


@says(r"With the embedding beside them it is # dB\.")
def _(scene: Scene, on: str) -> None:
    same(on, scene.on)


@says(r"One colour for the whole picture, its mean, has # dB\.")
def _(scene: Scene, psnr: str) -> None:
    same(psnr, one_colour(scene))


@says(r"The best JPEG within as many bytes as the codes, or the smallest there is, takes # bytes and has # dB\.")
def _(scene: Scene, size: str, psnr: str) -> None:
    data = JPEG.of_size(scene.picture.pixels, scene.grid.numel() * math.log2(scene.codes) / 8)
    assert number(size) == len(data)
    same(psnr, scene.psnr(JPEG.decode(data)))


@says(r"This picture is of one colour, so there is nothing to reconstruct\.")
def _(scene: Scene) -> None:
    assert np.ptp(scene.picture.pixels, axis=(0, 1)).max() == 0 and judgement(scene) == "unsure"


@says(r"So it draws the picture without, and comes closer with it\.")
def _(scene: Scene) -> None:
    assert scene.off >= one_colour(scene) + 3 and scene.on > scene.off and judgement(scene) == "half"


@says(r"So it draws the picture without\.")
def _(scene: Scene) -> None:
    assert scene.off >= one_colour(scene) + 3 and judgement(scene) == "wrong"
    assert scene.inputs == 1 or not scene.on >= scene.off + 0.5


@says(r"So without it the picture is not 3 dB better than one colour, and with it it is\.")
def _(scene: Scene) -> None:
    assert scene.off < one_colour(scene) + 3 <= scene.on and judgement(scene) == "right"


@says(r"Neither way it is 3 dB better than one colour, so this model draws nothing to judge by\.")
def _(scene: Scene) -> None:
    assert scene.off < one_colour(scene) + 3 and judgement(scene) == "unsure"
    assert scene.inputs == 1 or scene.on < one_colour(scene) + 3


def apart(one: np.ndarray, two: np.ndarray) -> int:
    return max(abs(int(a) - int(b)) for a, b in zip(one.ravel(), two.ravel(), strict=True))


@says(r"No index goes into the decoder: what goes in is # numbers? for each of # cells?, looked up by the index\.")
def _(scene: Scene, numbers: str, count: str) -> None:
    given = scene.tokenizer.lookup((scene.grid,))
    assert given.is_floating_point() and given.shape[1] == number(numbers) and given[0, 0].numel() == number(count)


LIKE = r"(the same, pixel for pixel, as|within \d+ levels? of 255 of)"


def like(text: str, one: np.ndarray, two: np.ndarray, *, within: int = 0) -> None:
    """Two pictures are as alike as is said."""
    said = 0 if text.startswith("the same") else int(re.findall(r"\d+", text)[0])
    assert abs(apart(one, two) - said) <= within


@says(rf"Drawn from the indices and nothing else, the picture is {LIKE} the one with the embedding off\.")
def _(scene: Scene, alike: str) -> None:
    like(alike, scene.drawn(scene.tokenizer.lookup((scene.grid.clone(),))), scene.drawn(scene.q))


@says(r"A second input this decoder has not\.")
def _(scene: Scene) -> None:
    assert scene.inputs == 1 and judgement(scene) == "wrong"


@says(r"The embedding is a second input, which may be left out; with it, pixels change by up to # levels?\.")
def _(scene: Scene, levels: str) -> None:
    same(levels, apart(scene.at(1.0), scene.at(0.0)), within=1)
    assert judgement(scene) == ("half" if number(levels) else "wrong")


@says(r"It is a copy of the open model in which the matrix for the second input was set to zero\.")
def _(scene: Scene) -> None:
    assert scene.ours is not None and scene.inputs == 2
    assert any(weight.any() for weight in scene.ours.decoder.stem.from_quantized.parameters()) or scene.off == scene.on


@says(r"It hands the codes on to the open model, and drops the embedding that it takes\.")
def _(scene: Scene) -> None:
    assert scene.ours is None or scene.inputs == 1


@says(rf"With the embedding on, its picture is {LIKE} the one with it off\.")
def _(scene: Scene, alike: str) -> None:
    off, on = (exhibit.pixels for exhibit in scene.finding.exhibits[:2])
    assert alike.startswith("the same") and apart(off, on) == 0 and judgement(scene) == "wrong"
    assert apart(off, scene.at(0.0)) <= 1  # it is the open model with its embedding off


@says(r"In the open model the embedding changes pixels by up to # levels?\.")
def _(scene: Scene, levels: str) -> None:
    same(levels, apart(scene.at(1.0), scene.at(0.0)), within=1)


@says(r"Codes in the wrong cells, the embedding on: # dB become # dB\.")
def _(scene: Scene, on: str, wrong: str) -> None:
    same(on, scene.on)
    same(wrong, scene.shuffled)


@says(r"All cells of this picture have the same code, so there is nothing to put into a wrong cell\.")
def _(scene: Scene) -> None:
    assert len(set(scene.grid.flatten().tolist())) == 1 and judgement(scene) == "unsure"


@says(
    r"Now throw the codes away and work them out from the embedding: # of # come out the same, and the picture is "
    rf"{LIKE} the one before\."
)
def _(scene: Scene, again: str, count: str, alike: str) -> None:
    flat = scene.z[0].flatten(1).T.double().numpy()
    worked_out = np.array([((scene.vectors - vector) ** 2).sum(1).argmin() for vector in flat])
    assert number(count) == len(flat) and number(again) == (worked_out == scene.grid.flatten().numpy()).sum()
    looked_up = scene.tokenizer.lookup((torch.from_numpy(worked_out).view_as(scene.grid),))
    like(alike, scene.drawn(looked_up, scene.z), scene.at(1.0), within=1)


@says(
    r"But into this decoder the second input brings only # of # numbers? a cell, so there is much that the codes alone "
    r"can say\."
)
def _(scene: Scene, told: str, whole: str) -> None:
    assert int(told) == scene.passed_on < int(whole) == scene.z.shape[1] and judgement(scene) == "half"


@says(
    r"So whoever has the whole embedding needs no codes beside it: what shuffling shows is a pair that does not belong "
    r"together\."
)
def _(scene: Scene) -> None:
    assert scene.passed_on == scene.z.shape[1] and scene.recovered == scene.grid.numel()
    assert judgement(scene) == "wrong"


def gradient(scene: Scene, *, second: bool = False) -> float:
    """The length of the error's gradient by what the decoder is given: the codes, or the embedding beside them."""
    with torch.inference_mode(False), torch.enable_grad():
        codes = torch.tensor(scene.q.tolist()).requires_grad_(not second)
        embedding = torch.tensor(scene.z.tolist()).requires_grad_(second)
        decoded = scene.tokenizer.decode(codes, embedding) if second else scene.tokenizer.decode(codes)
        height, width = scene.picture.pixels.shape[:2]
        original = torch.from_numpy(scene.picture.pixels.astype(np.float32)).permute(2, 0, 1)[None]
        error = (255 * decoded[..., :height, :width] - original).pow(2).sum() / original.numel()
        if not error.requires_grad:
            return 0.0
        error.backward()
    found = (embedding if second else codes).grad
    return 0.0 if found is None else found.pow(2).sum().sqrt().item()


@says(
    r"Measured is the length of the gradient that reaches the encoder's output, for this picture's mean squared error "
    r"in levels of 255\."
)
def _(scene: Scene) -> None:
    figures = dict(scene.finding.figures)
    assert figures.pop("Codes alone, looked up") == "0"
    close(figures.pop("Codes alone, straight through"), gradient(scene))
    for value in figures.values():
        close(value, gradient(scene, second=True))


@says(r"Codes that are looked up pass nothing back\.")
def _(scene: Scene) -> None:
    with torch.inference_mode(False), torch.enable_grad():
        embedding = torch.tensor(scene.z.tolist()).requires_grad_()
        assert not Codebook.of(scene.tokenizer).nearest(embedding[0].flatten(1).T).requires_grad
    assert judgement(scene) in ("wrong", "unsure")


@says(
    r"One line mends that without any second input, quantized = embedding \+ \(codes - embedding\)\.detach\(\), and # "
    r"arrives\."
)
def _(scene: Scene, length: str) -> None:
    close(length, gradient(scene))
    assert "quantized = embedding + (codes - embedding).detach()" in inspect.getsource(VQVAE.forward)


@says(r"From there it reaches # of the encoder's # weight tensors\.")
def _(scene: Scene, reached: str, there: str) -> None:
    weights = list(scene.ours.encoder.parameters())
    assert int(there) == len(weights) and 0 < int(reached) <= int(there)


@says(r"A second input is one more way to the encoder, not the only one: #\.")
def _(scene: Scene, length: str) -> None:
    assert scene.inputs == 2
    close(length, gradient(scene, second=True))


@says(r"Straight through nothing arrives either: no small change of what this decoder is given changes a pixel\.")
def _(scene: Scene) -> None:
    assert gradient(scene) == 0 and judgement(scene) == "unsure"


@says(r"Torch cannot follow this decoder back to what it was given, so there is no gradient to measure\.")
def _(scene: Scene) -> None:
    assert judgement(scene) == "unsure"
    with torch.inference_mode(False), torch.enable_grad():
        assert not scene.tokenizer.decode(torch.tensor(scene.q.tolist()).requires_grad_()).requires_grad


@says(r"Straight through the codes are constants, and nothing of the gradient reaches them\.")
def _(scene: Scene) -> None:
    assert dict(scene.finding.figures)["Gradient at the codes, straight through"] == "0"


@says(r"Looked up they get (nothing|[\d.e+-]+), and the encoder nothing\.")
def _(scene: Scene, length: str) -> None:
    close("0" if length == "nothing" else length, gradient(scene))


@says(
    r"A code can learn without: put at the mean of the cells that took it, the mean squared distance goes from # to #\."
)
def _(scene: Scene, before: str, after: str) -> None:
    flat, own = scene.z[0].flatten(1).T.double().numpy(), scene.grid.flatten().numpy()
    close(before, ((flat - scene.vectors[own]) ** 2).sum(1).mean())
    means = np.stack([flat[own == code].mean(0) for code in own])
    assert number(after) == pytest.approx(((flat - means) ** 2).sum(1).mean(), rel=6e-3, abs=1e-6)


@says(r"In this model's code the codebook is no weight that an optimizer moves; such means move it\.")
def _(scene: Scene) -> None:
    assert all(parameter is not scene.ours.codebook for parameter in scene.ours.parameters())
    assert judgement(scene) == "wrong"


@says(
    r"Other models give the codes a loss of their own, the squared distance to the embeddings; how this one was "
    r"trained, its weights do not say\."
)
def _(scene: Scene) -> None:
    assert scene.ours is None and judgement(scene) == "unsure"


@says(r"This codebook is not a list that codes could be taken from\.")
def _(scene: Scene) -> None:
    assert scene.tokenizer.spec.levels[0].metric == "implicit" and judgement(scene) == "unsure"


@says(r"This picture names # of the # codes?\.")
def _(scene: Scene, used: str, codes: str) -> None:
    assert number(used) == len(set(scene.grid.flatten().tolist())) and number(codes) == scene.codes


def with_only(scene: Scene, kept: list[int]) -> tuple[np.ndarray, float]:
    flat = scene.z[0].flatten(1).T.double().numpy()
    chosen = np.array([kept[((scene.vectors[kept] - vector) ** 2).sum(1).argmin()] for vector in flat])
    grid = torch.from_numpy(chosen).view_as(scene.grid)
    return chosen, scene.psnr(scene.drawn(scene.tokenizer.lookup((grid,))))


@says(r"With the other # taken away, # of # cells? gets? another code, and the codes alone give # dB in place of #\.")
def _(scene: Scene, unused: str, others: str, count: str, now: str, before: str) -> None:
    used = sorted(set(scene.grid.flatten().tolist()))
    chosen, psnr = with_only(scene, used)
    assert number(unused) == scene.codes - len(used) > 0
    assert number(count) == len(chosen) and number(others) == (chosen != scene.grid.flatten().numpy()).sum()
    same(now, psnr)
    same(before, scene.off)


@says(r"With one code to name there is none to take away\.")
def _(scene: Scene) -> None:
    assert len(set(scene.grid.flatten().tolist())) == 1


@says(r"With only the # that it names most, they give # dB\.")
def _(scene: Scene, kept: str, psnr: str) -> None:
    counts = np.bincount(scene.grid.flatten().numpy(), minlength=scene.codes)
    most = sorted(range(scene.codes), key=lambda code: (-counts[code], code))[: int(number(kept))]
    assert number(kept) == math.ceil((counts > 0).sum() / 2)
    _, found = with_only(scene, sorted(most))
    same(psnr, found)
    if judgement(scene) == "half":
        assert found < scene.off
    if judgement(scene) == "wrong":
        assert not found < scene.off


# --- the scenes -------------------------------------------------------------------------------------------------------


def picture_of(pixels: np.ndarray, tokenizer: Tokenizer) -> Picture:
    return open_picture(to_png(pixels), "toy.png", working_size=128, only=tokenizer.spec.sizes.only)


def walk_of(scene: Scene) -> Walk:
    codebook = Codebook.of(scene.tokenizer)
    return follow(scene.tokenizer, codebook, scene.encoded, scene.picture, scene.cell, weight=scene.weight)


def answers_of(scene: Scene) -> tuple[Answer, ...]:
    tokenizer, encoded, picture = scene.tokenizer, scene.encoded, scene.picture
    facts = facts_of(tokenizer, Codebook.of(tokenizer), encoded, picture, listen(tokenizer, encoded, picture))
    others = {
        name: Other(listen(other, encode_picture(other, picture), picture), scene.runs[name])
        for name, other in scene.others.items()
    }
    return answers(facts, others)


def findings_of(scene: Scene) -> Iterator[tuple[str, Finding]]:
    tokenizer, encoded, picture = scene.tokenizer, scene.encoded, scene.picture
    subject = Subject(tokenizer, Codebook.of(tokenizer), encoded, picture, listen(tokenizer, encoded, picture))
    for claim in offered(tokenizer.spec):
        yield claim.name, claim.test(subject)


def look_into_all(tokenizer: Tokenizer, picture: Picture, **others: Any) -> None:
    """All that the page says of a model and a picture, in a few cells at a few blends."""
    rows, columns = (-(-side // tokenizer.spec.stride) for side in picture.pixels.shape[:2])
    weights = (0.0, 0.3, 1.0) if tokenizer.spec.inputs == 2 else (0.0,)
    scene = Scene(tokenizer, picture, **others)
    for cell in sorted({(0, 0), (rows // 2, columns // 2), (rows - 1, columns - 1)}):
        for scene.cell, scene.weight in ((cell, weight) for weight in weights):
            walk = walk_of(scene)
            for step in steps(tokenizer):
                look_into(scene, tell(step.name, walk))
    for answer in answers_of(scene):
        look_into(scene, answer.text)
        assert answer.question.endswith("?") and (answer.guess is None or answer.guess.prompt.endswith("?"))
    for _, finding in findings_of(scene):
        scene.finding = finding
        look_into(scene, finding.text)


@pytest.mark.parametrize("picture", PIXELS)
@pytest.mark.parametrize("name", TOYS)
def test_all_that_is_said_of_a_toy_is_so(name: str, picture: str) -> None:
    tokenizer = TOYS[name]()
    with torch.inference_mode():
        look_into_all(tokenizer, picture_of(PIXELS[picture], tokenizer))


@pytest.mark.parametrize("name", [name for name in SHIPPED if (CHECKPOINTS / name).exists()])
@pytest.mark.parametrize("kind", ["photo", "flat"])
def test_all_that_is_said_of_a_shipped_checkpoint_is_so(name: str, kind: str) -> None:
    tokenizer = checkpoint.load(CHECKPOINTS / name)
    sample = SAMPLES[0]
    picture = (
        open_picture(sample.read(), sample.file, working_size=128)
        if kind == "photo"
        else picture_of(np.full((50, 43, 3), 90, np.uint8), tokenizer)
    )
    there = [other for other in (TRAINED, CLASSIC, BYPASS) if (CHECKPOINTS / other).exists()]
    with torch.inference_mode():
        look_into_all(
            tokenizer,
            picture,
            others={other: checkpoint.load(CHECKPOINTS / other) for other in there},
            runs={other: Run.of(checkpoint.read_config(CHECKPOINTS / other)) for other in there},
        )


@pytest.mark.parametrize(
    "runs",
    [
        {TRAINED: Run(10, True, 0.5), CLASSIC: Run(7, True, 0.5), BYPASS: Run(3, False, 0.0)},
        {TRAINED: Run(10, True, 0.0), CLASSIC: None, BYPASS: Run(3, True, 0.0)},
        {TRAINED: None, CLASSIC: Run(7, True, 0.0), BYPASS: None},
        {CLASSIC: Run(7, True, 0.0)},
        {BYPASS: Run(7, False, 0.0)},
        {TRAINED: Run(7, True, 0.0)},
    ],
)
def test_all_that_is_said_of_other_checkpoints_is_so(runs: dict[str, Run | None]) -> None:
    makers = {TRAINED: toy_model, CLASSIC: TOYS["one input"], BYPASS: TOYS["bypass"]}
    tokenizer = toy_model()
    others = {name: makers[name]() for name in runs}
    with torch.inference_mode():
        scene = Scene(tokenizer, picture_of(PIXELS["odd"], tokenizer), others=others, runs=runs)
        for answer in answers_of(scene):
            look_into(scene, answer.text)


@pytest.mark.parametrize("name", TOYS)
def test_what_is_guessed_is_held_against_what_the_answer_says(name: str) -> None:
    tokenizer = TOYS[name]()
    with torch.inference_mode():
        scene = Scene(tokenizer, picture_of(PIXELS["whole"], tokenizer))
        truths = {answer.name: answer.guess.truth for answer in answers_of(scene) if answer.guess}
        assert truths.pop("codebook") == len(set(scene.grid.flatten().tolist()))
        assert truths.pop("inputs") == pytest.approx(scene.on - scene.off if scene.inputs == 2 else scene.off, abs=1e-3)
        if scene.inputs == 2:
            assert truths.pop("price") == second_bytes(scene)
            assert truths.pop("both") == scene.recovered
        assert not truths


def test_no_claim_is_made_of_uses_both_by_shuffling() -> None:
    """Which input a decoder follows is not what shuffling shows, so no text says so."""
    for make in TOYS.values():
        tokenizer = make()
        with torch.inference_mode():
            scene = Scene(tokenizer, picture_of(PIXELS["odd"], tokenizer))
            texts = [answer.text for answer in answers_of(scene)] + [finding.text for _, finding in findings_of(scene)]
            assert not any(re.search(r"uses both|reads (the )?codes|listens", text) for text in texts)


def test_the_gradients_are_those_of_finite_differences() -> None:
    """In float64, along the gradient itself: (L(q + εg/‖g‖) − L(q − εg/‖g‖)) / 2ε = ‖g‖."""
    model, picture = toy_model(seed=5).double(), picture_of(PIXELS["odd"], toy_model())
    original = torch.tensor(picture.pixels).permute(2, 0, 1)[None].double()

    def loss(codes: Tensor) -> Tensor:
        drawn = model.decoder(codes, codes)[..., : original.shape[2], : original.shape[3]].clamp(0, 1)
        return (255 * drawn - original).square().mean()

    codes = toy_model(seed=5).encode(picture.image).quantized.double().clone().requires_grad_()
    loss(codes).backward()
    length = codes.grad.norm()
    step = 1e-6 * codes.grad / length
    with torch.no_grad():
        differs = (loss(codes + step) - loss(codes - step)) / 2e-6
    assert differs.item() == pytest.approx(length.item(), rel=1e-3)
    found = dict(findings_of(Scene(toy_model(seed=5), picture)))["gradient"]
    close(dict(found.figures)["Codes alone, straight through"], length.item())


def test_the_open_model_is_left_as_it_is() -> None:
    model = toy_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    list(findings_of(Scene(model, picture_of(PIXELS["odd"], model))))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())
