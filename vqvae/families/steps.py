"""A decoder as steps, one after the other, of which the last ones can be run on a part of the picture alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqvae.preview import Part, Whole
from vqvae.window import WHOLE_FROM, Window

LEAST_MARGIN = 1  # cells around the changed ones that are drawn again, whatever it costs
CHEAP = 1 / 16  # of a whole decode's work: as long as the tail takes no more, cells further around are drawn again
NEARLY = 1.05  # times the least work is as good
Statistics = dict[nn.GroupNorm, tuple[Tensor, Tensor]]  # mean and 1 / deviation of each group, [B, groups] each


class Norms:
    """GroupNorms as they are: each takes mean and variance from what it is given."""

    def __call__(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        return functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


OWN_NORMS = Norms()


class RecordedNorms(Norms):
    """GroupNorms that give what they would, and leave behind what they measured."""

    def __init__(self) -> None:
        self.statistics: Statistics = {}

    def __call__(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if x.device.type != "cpu":  # whose kernel alone takes channels last
            x = x.contiguous()
        y, mean, inverse = torch.native_group_norm(
            x, norm.weight, norm.bias, batch, channels, height * width, norm.num_groups, norm.eps
        )
        self.statistics[norm] = mean, inverse
        return y


class KeptNorms(Norms):
    """GroupNorms with the means and variances of another time: each pixel is on its own, so a crop is enough."""

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics

    def __call__(self, norm: nn.GroupNorm, x: Tensor) -> Tensor:
        mean, inverse = (
            part.repeat_interleave(norm.num_channels // norm.num_groups, 1) for part in self.statistics[norm]
        )
        scale = inverse * norm.weight
        shift = norm.bias - mean * scale
        return torch.addcmul(shift[..., None, None], x, scale[..., None, None])


@dataclass(frozen=True, eq=False)
class Beside:
    """What a step is given beside its input."""

    codes: Tensor | None = None  # [B, D, h, w], the whole grid, for norms that read it
    norms: Norms = OWN_NORMS
    place: Window | None = None  # the pixels of its level that the input is; None: all
    scale: int = 1  # pixels a cell along each side, at its level

    def spread(self, values: Tensor, x: Tensor) -> Tensor:
        """One value a cell, [B, C, h, w], at each pixel of the step's input."""
        if self.place is None:
            return functional.interpolate(values, size=x.shape[-2:])
        cells = self.place.coarsened(self.scale)
        repeated = functional.interpolate(cells.of(values), scale_factor=float(self.scale))
        return self.place.relative_to(cells.scaled(self.scale)).of(repeated)


ALONE = Beside()


@dataclass(frozen=True, eq=False)
class Step:
    """One layer or block of a decoder."""

    run: Callable[[Tensor, Beside], Tensor]
    work: int  # multiplications for each pixel that comes out
    halo: int | None  # pixels further, of those that come out, that one that goes in is seen; None: everywhere
    scale: int = 1  # pixels that come out for each that goes in, along each side


def work_of(module: nn.Module) -> int:
    """Multiplications for each pixel that comes out of the convolutions of a module, all at one level."""
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Conv2d))


def run_all(steps: Sequence[Step], x: Tensor, beside: Beside) -> Tensor:
    """One after the other, on the whole."""
    for step in steps:
        x = step.run(x, beside)
    return x


@dataclass(frozen=True, eq=False)
class StepwisePreviewer:
    """A `Previewer` of a decoder that is given as steps."""

    steps: tuple[Step, ...]
    enter: Callable[[Tensor], Tensor]  # what the decoder is given -> what the first step takes
    leave: Callable[[Tensor], Tensor]  # what the last step makes -> pixels in [0, 1]

    def whole(self, quantized: Tensor, embedding: Tensor | None = None) -> Whole:
        norms = RecordedNorms()
        x = run_all(self.steps, self._entered(quantized, embedding), Beside(quantized, norms))
        return Whole(self.leave(x), norms.statistics)

    def part(
        self, quantized: Tensor, embedding: Tensor | None = None, *, statistics: object, changed: Tensor
    ) -> Part | None:
        assert isinstance(statistics, dict)
        box = Window.around(changed)
        assert box is not None
        rows, columns = changed.shape
        at = self.split(rows, columns)
        window = self.shown(box, at=at, rows=rows, columns=columns)
        if self.share(window, at=at, rows=rows, columns=columns) > WHOLE_FROM:
            return None
        trunk = self.trunk(quantized, embedding, at=at)
        return Part(self.tail(trunk, quantized, at=at, window=window, statistics=statistics), window)

    def split(self, rows: int, columns: int) -> int:
        """How many steps are the trunk of a grid: to the last attention at least.

        Then as many as a preview of one cell can have, to be as exact as it is cheap.
        """
        first = 1 + max((number for number, step in enumerate(self.steps) if step.halo is None), default=-1)
        cell = Window(rows // 2, columns // 2, rows // 2 + 1, columns // 2 + 1)
        window = cell.grown(LEAST_MARGIN, rows=rows, columns=columns)
        shares = {at: self.share(window, at=at, rows=rows, columns=columns) for at in range(first, len(self.steps) + 1)}
        return max(at for at in shares if shares[at] <= NEARLY * min(shares.values()))

    def shown(self, changed: Window, *, at: int, rows: int, columns: int) -> Window:
        """The cells to draw again for those changed: as far around them as it stays cheap, by `LEAST_MARGIN` anyway."""
        window = changed.grown(LEAST_MARGIN, rows=rows, columns=columns)
        cheap = CHEAP * self._trunk_work(len(self.steps), rows * columns)
        while (wider := window.grown(1, rows=rows, columns=columns)) != window:
            if self._tail_work(wider, at, rows, columns) > cheap:
                break
            window = wider
        return window

    def share(self, window: Window, *, at: int, rows: int, columns: int) -> float:
        """How much of a whole decode's work a window is, with a trunk of so many steps."""
        work = self._trunk_work(at, rows * columns) + self._tail_work(window, at, rows, columns)
        return work / self._trunk_work(len(self.steps), rows * columns)

    def trunk(self, quantized: Tensor, embedding: Tensor | None = None, *, at: int) -> Tensor:
        """[B, D, h, w], as `decode` takes them -> what so many steps make of it, [B, C, h·s, w·s]."""
        return run_all(self.steps[:at], self._entered(quantized, embedding), Beside(quantized))

    def tail(self, trunk: Tensor, quantized: Tensor, *, at: int, window: Window, statistics: Statistics) -> Tensor:
        """The pixels of a window, [B, 3, rows·f, columns·f] in [0, 1], as the norms' statistics make them.

        They are those of the whole picture, since each step is run on as much as the later ones see of it, and what it
        makes of a crop's rim, where its zero padding stands for pixels that exist, is cut off again.
        """
        rows, columns = quantized.shape[-2:]
        places = self._places(window, at, rows, columns)
        x = places[0].of(trunk).contiguous(memory_format=torch.channels_last)
        beside = Beside(quantized, KeptNorms(statistics), scale=trunk.shape[-1] // columns)
        for step, place, wanted in zip(self.steps[at:], places[:-1], places[1:], strict=True):
            y = step.run(x, replace(beside, place=place))
            x = wanted.relative_to(place.scaled(step.scale)).of(y)
            beside = replace(beside, scale=beside.scale * step.scale)
        return self.leave(x)

    def _entered(self, quantized: Tensor, embedding: Tensor | None) -> Tensor:
        return self.enter(quantized if embedding is None else embedding)

    def _trunk_work(self, at: int, pixels: int) -> int:
        """Multiplications of so many steps, the first of them on so many pixels."""
        total = 0
        for step in self.steps[:at]:
            pixels *= step.scale**2
            total += step.work * pixels
        return total

    def _tail_work(self, window: Window, at: int, rows: int, columns: int) -> int:
        """Multiplications of the other steps for a window."""
        places = self._places(window, at, rows, columns)
        return sum(
            step.work * place.cells * step.scale**2 for step, place in zip(self.steps[at:], places[:-1], strict=True)
        )

    def _places(self, window: Window, at: int, rows: int, columns: int) -> list[Window]:
        """What each step behind the trunk is given, in pixels of its level, and at last the window's own pixels."""
        scale = math.prod(step.scale for step in self.steps)
        places = [window.scaled(scale)]
        for step in reversed(self.steps[at:]):
            assert step.halo is not None
            seen = places[-1].grown(step.halo, rows=rows * scale, columns=columns * scale)
            places.append(seen.coarsened(step.scale))
            scale //= step.scale
        return places[::-1]
