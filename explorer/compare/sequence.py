"""The snapshots of one run as a sequence: what each of them makes of the same picture, and what changed on the way.

One model is in memory at a time. The last and the first are measured first, then those half-way between, so that the
whole way is seen early and ever more finely.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from explorer.base.job import Progress, unheard
from explorer.codebook import tiles
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import BEST_PSNR, Quality, Rendering, encode_picture, render
from explorer.images.sets import ImageSet
from vqvae import checkpoint
from vqvae.errors import BadInput, Unreachable, shown
from vqvae.metrics import perplexity
from vqvae.places import find_checkpoint, reason_of
from vqvae.snapshots import Snapshot, snapshots_of
from vqvae.tokenizer import Spec, Tokenizer
from vqvae.training.validation import spread

MOST_PIXELS = 4_000_000  # of all frames together, so that a browser has them in one message; each is there twice
MOST_MEMBERS = 48  # that are shown
MOST_IMAGES = 200  # that figures are of
MOST_NUMBERS = 1 << 18  # of a codebook, that are remembered to say how far its codes moved
MOST_BYTES = 256 << 20  # of what is kept


# --- which they are ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One checkpoint of a sequence."""

    step: int
    folder: Path
    name: str  # what opens it: RUN@STEP, or the run's name
    stamp: checkpoint.Stamp  # of its files when it was found: what is in them later may be of another step


@dataclass(frozen=True)
class Run:
    """A run with its snapshots, by their step; the run's own checkpoint is the last where it is further."""

    name: str  # as a person named it: a checkpoint's name, or a path
    members: tuple[Member, ...]
    unit: str  # of the steps: "step" or "epoch"

    def member(self, step: int) -> Member | None:
        return next((member for member in self.members if member.step == step), None)


def runs_in(roots: Sequence[Path]) -> list[str]:
    """The names of the runs directly below some folders that have snapshots."""
    places = (place for root in roots if root.is_dir() for place in sorted(root.iterdir()))
    return list(dict.fromkeys(place.name for place in places if place.name[0] != "." and snapshots_of(place)))


def find(name: str, roots: Sequence[Path] = (), *, by_path: bool = True) -> Run:
    """The run that a person means, by its name or the path of its folder; raises BadInput where it has no snapshots.

    roots, by_path: as for `places.find_checkpoint`.
    """
    folder = find_checkpoint(name, roots, by_path=by_path)
    snapshots = snapshots_of(folder)
    if not snapshots:
        raise BadInput(
            f"{shown(name, longest=120)} has no snapshots: neither a folder of that name nor checkpoints below it "
            "whose names differ by a number."
        )
    members = [Member(one.step, one.folder, one.name_in(name), checkpoint.stamp(one.folder)) for one in snapshots]
    return Run(name, (*members, *_own(folder, name, snapshots[-1])), snapshots[-1].unit)


def _own(folder: Path, name: str, last: Snapshot) -> Iterator[Member]:
    """The run's own checkpoint, where it says that it is further than its last snapshot."""
    stamp = checkpoint.stamp(folder)
    try:
        training = checkpoint.read_config(folder).get("training")
    except BadInput:
        return
    step = training.get("step") if isinstance(training, dict) else None
    if type(step) is int and step > last.step and last.unit == "step":
        yield Member(step, folder, name, stamp)


def shown_of(run: Run, picture: Picture) -> tuple[Member, ...]:
    """Those that are shown: all, or as many as a browser can be given at once, evenly, with the first and the last."""
    height, width = picture.pixels.shape[:2]
    most = max(2, min(MOST_MEMBERS, MOST_PIXELS // (height * width)))
    if len(run.members) <= most:
        return run.members
    return tuple(run.members[place] for place in np.linspace(0, len(run.members) - 1, most).round().astype(int))


def coarse_to_fine(number: int) -> list[int]:
    """0…n − 1 in an order that shows the whole early: the last, the first, then what is half-way between two."""
    order = [number - 1, 0] if number > 1 else list(range(number))
    gaps = [(0, number - 1)]
    while gaps:
        first, last = gaps.pop(0)
        middle = (first + last) // 2
        if first < middle < last:
            order.append(middle)
            gaps += [(first, middle), (middle, last)]
    return order


# --- what is measured of each -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Asked:
    """What each snapshot is measured on, and how."""

    picture: Picture
    weight: float  # of the blend; 0 is the codes alone
    images: ImageSet | None = None  # what figures are of; None: the picture
    most: int = MOST_IMAGES  # images of the set, evenly over it
    working_size: int = 256  # pixels on their long side

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for what gives equal results."""
        return self.picture.key, self.weight, self.images.identity if self.images else "", self.most, self.working_size


@dataclass(frozen=True, eq=False)
class Moment:
    """What a snapshot makes of the picture, and its figures."""

    spec: Spec
    off: np.ndarray  # uint8 [H, W, 3], from the codes alone
    on: np.ndarray | None  # at the blend; None of a decoder with one input
    picture_off: Quality  # of the first
    picture_on: Quality | None
    indices: np.ndarray  # [h, w] of the picture's finest grid, or [1, n] of a row of tokens
    colours: np.ndarray | None  # uint8 [h, w, 3], what the codes decode to alone; None without one grid
    off_quality: Quality  # means over the images
    on_quality: Quality | None
    codes: int  # K of that grid's codebook
    used: int  # of these codes, those that any cell of the images took
    perplexity: float
    cells: int  # of that grid, over the images
    vectors: np.ndarray  # float32 [N, D], its codes, or as many evenly over them as are remembered
    unreadable: tuple[tuple[str, str], ...] = ()  # name and reason of each of the images that was left out

    @property
    def size(self) -> int:
        """Bytes."""
        arrays = (self.off, self.on, self.indices, self.colours, self.vectors)
        return sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True)
class Gap:
    """A snapshot that cannot be shown, and why, in a sentence."""

    reason: str
    passing: bool = False  # it may be gone the next time: another try is worth it
    size: int = 1000


@dataclass(frozen=True)
class Change:
    """What changed from one moment to the next."""

    cells: float  # share of the picture's cells that took another code, in 0…1
    moved: float  # how far the middle one of the codes moved, as a share of how long codes are


@dataclass(eq=False)
class Kept:
    """What was measured, by what it is of, for as long as the server runs; the least recently used goes first."""

    most_bytes: int = MOST_BYTES
    _found: OrderedDict[object, Moment | Gap] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, member: Member, asked: Asked) -> Moment | Gap | None:
        key = _key(member, asked)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, member: Member, asked: Asked, made: Moment | Gap) -> None:
        with self._lock:
            self._found[_key(member, asked)] = made
            while len(self._found) > 1 and sum(one.size for one in self._found.values()) > self.most_bytes:
                self._found.popitem(last=False)


def _key(member: Member, asked: Asked) -> object:
    return str(member.folder), member.stamp, asked.key


def left_of(members: Sequence[Member], asked: Asked, kept: Kept) -> list[Member]:
    """Those that are still to be measured: not looked at yet, or kept from it by what may have passed."""

    def is_left(found: Moment | Gap | None) -> bool:
        return found is None or (isinstance(found, Gap) and found.passing)

    return [member for member in members if is_left(kept.of(member, asked))]


def measure_all(members: Sequence[Member], asked: Asked, kept: Kept, progress: Progress = unheard) -> None:
    """Measure those that were not yet, coarse to fine, and keep what comes out; raises Cancelled.

    What one of them cannot do is a gap with its reason, and costs none of the others. What was overwritten since it was
    found is not kept: its step is another one now, and it has to be found again.
    """
    left = left_of([members[place] for place in coarse_to_fine(len(members))], asked, kept)
    opened = ReadOnce(asked)
    for done, member in enumerate(left, len(members) - len(left)):

        def listen(done: int = done, member: Member = member) -> None:
            progress(done, len(members), f"{member.step:,}")

        listen()
        made = _measured(member, opened, listen)
        if checkpoint.stamp(member.folder) == member.stamp:
            kept.put(member, asked, made)
    progress(len(members), len(members))


def _measured(member: Member, opened: ReadOnce, listen: Callable[[], None]) -> Moment | Gap:
    """What comes out of one of them; its model is let go before the next one is loaded."""
    try:
        return measure(checkpoint.load(member.folder), opened, listen)
    except BadInput as refusal:
        return Gap(str(refusal))
    except Unreachable as fault:
        return Gap(str(fault), passing=True)
    except OSError as fault:
        return Gap(f"It cannot be read ({reason_of(fault)}).", passing=True)
    except MemoryError:
        return Gap("There is not enough memory for it; choose a smaller working size.", passing=True)
    except (RuntimeError, ValueError) as fault:
        said = f"It cannot draw this picture ({shown(str(fault), longest=120)})."
        return Gap(said, passing=isinstance(fault, RuntimeError))  # which out of memory is, too


@dataclass(eq=False)
class ReadOnce:
    """The images that figures are of, read once for all snapshots, as far as they take little memory."""

    asked: Asked
    _pictures: dict[str, Picture | BadInput] = field(default_factory=dict)  # by name, or why it cannot be read

    def each(self, only: tuple[int, int] | None, listen: Callable[[], None]) -> Iterator[Picture]:
        """One after the other; `listen` is called before each, and may raise to end it."""
        images, picture = self.asked.images, self.asked.picture
        if images is None:
            yield picture
            return
        for name in spread(images.names, min(self.asked.most, MOST_IMAGES)):
            listen()
            if name not in self._pictures:
                self._pictures[name] = self._open(images, name, only)
            if not isinstance(found := self._pictures[name], BadInput):
                yield found

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Name and reason of each that could not be read by now."""
        return tuple((name, str(found)) for name, found in self._pictures.items() if isinstance(found, BadInput))

    def _open(self, images: ImageSet, name: str, only: tuple[int, int] | None) -> Picture | BadInput:
        try:
            return open_picture(images.read(name), name, working_size=self.asked.working_size, only=only)
        except BadInput as refusal:
            return refusal


def measure(tokenizer: Tokenizer, opened: ReadOnce, listen: Callable[[], None] = lambda: None) -> Moment:
    """What a tokenizer makes of the picture and of the images; raises BadInput where no image can be read."""
    spec, asked = tokenizer.spec, opened.asked
    weight = asked.weight if spec.inputs == 2 else 0.0
    here = _drawn(tokenizer, asked.picture, weight)
    counts = torch.zeros(spec.levels[here.level].codes, dtype=torch.int64)
    drawn = []
    for picture in opened.each(spec.sizes.only, listen):
        one = here if picture is asked.picture else _drawn(tokenizer, picture, weight)
        counts += torch.bincount(torch.from_numpy(one.indices.ravel()), minlength=len(counts))
        drawn.append(one)
    if not drawn:
        (_, reason), *_ = opened.unreadable
        raise BadInput(f"None of the images can be read; the first: {reason}")
    return Moment(
        spec,
        here.off.pixels,
        here.on.pixels if here.on else None,
        here.off.quality,
        here.on.quality if here.on else None,
        here.indices,
        _colours(tokenizer, here.indices),
        mean_of([one.off.quality for one in drawn]),
        mean_of([one.on.quality for one in drawn if one.on]) if weight else None,
        len(counts),
        int((counts > 0).sum()),
        perplexity(counts),
        int(counts.sum()),
        _vectors(tokenizer, here.level),
        opened.unreadable,
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    level: int  # whose grid is the finest
    indices: np.ndarray
    off: Rendering
    on: Rendering | None


def _drawn(tokenizer: Tokenizer, picture: Picture, weight: float) -> _Drawn:
    encoded = encode_picture(tokenizer, picture)
    grids = [grid[0].cpu().numpy() for grid in encoded.encoding.indices]
    level = max(range(len(grids)), key=lambda number: grids[number].size)
    off = render(tokenizer, encoded, picture, weight=0)
    on = render(tokenizer, encoded, picture, weight=weight) if weight else None
    return _Drawn(level, grids[level], off, on)


def mean_of(qualities: Sequence[Quality]) -> Quality:
    """The means: of PSNR with at most BEST_PSNR an image, of SSIM over those images that are large enough for it."""
    similar = [one.ssim for one in qualities if one.ssim is not None]
    return Quality(fmean(min(one.psnr, BEST_PSNR) for one in qualities), fmean(similar) if similar else None)


@torch.inference_mode()
def _colours(tokenizer: Tokenizer, indices: np.ndarray) -> np.ndarray | None:
    """What the codes of a grid decode to alone, in the mean: [h, w] -> uint8 [h, w, 3]; None where there is no grid."""
    if len(tokenizer.spec.levels) > 1 or tokenizer.spec.levels[0].stride is None:
        return None
    distinct, place = np.unique(indices, return_inverse=True)
    return tiles.mean_colours(tiles.code_tiles(tokenizer, distinct))[place].reshape(*indices.shape, 3)


@torch.inference_mode()
def _vectors(tokenizer: Tokenizer, level: int) -> np.ndarray:
    """The codes, float32 [N, D]; of a large codebook as many as are remembered, evenly over it."""
    about = tokenizer.spec.levels[level]
    number = min(about.codes, max(1, MOST_NUMBERS // about.dim))
    codes = torch.linspace(0, about.codes - 1, number, dtype=torch.float64).round().long()
    return tokenizer.vectors(level, codes).float().cpu().numpy()


# --- the whole way ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Way:
    """What is known so far of a sequence, by its steps."""

    moments: tuple[tuple[Member, Moment], ...]
    gaps: tuple[tuple[Member, Gap], ...]
    changes: tuple[Change | None, ...]  # of each moment against the one before; of the first there is none


def way_of(members: Sequence[Member], asked: Asked, kept: Kept) -> Way:
    """What is known so far; a checkpoint of another kind than the newest one that is known is a gap."""
    found = [(member, made) for member in members if (made := kept.of(member, asked)) is not None]
    gaps = [(member, made) for member, made in found if isinstance(made, Gap)]
    moments = [(member, made) for member, made in found if isinstance(made, Moment)]
    if moments:
        spec = moments[-1][1].spec
        gaps += [(member, Gap(_another(made.spec, spec))) for member, made in moments if made.spec != spec]
        moments = [(member, made) for member, made in moments if made.spec == spec]
    changes = [None, *(change(before, after) for (_, before), (_, after) in pairwise(moments))][: len(moments)]
    return Way(tuple(moments), tuple(sorted(gaps, key=lambda gap: gap[0].step)), tuple(changes))


def change(before: Moment, after: Moment) -> Change:
    """How far the cells' codes and the codes themselves changed; both are of one kind of model.

    Codes that hardly any cell takes are put elsewhere in training, far away: the median does not notice these.
    """
    moved = np.linalg.norm(after.vectors - before.vectors, axis=1)
    length = np.sqrt(np.square(before.vectors).sum(1).mean())
    share = float(np.median(moved) / length) if length else 0.0
    return Change(float((before.indices != after.indices).mean()), share)


def _another(spec: Spec, newest: Spec) -> str:
    ours, theirs = (
        f"{one.family}, {' + '.join(str(level.codes) for level in one.levels)} codes" for one in (spec, newest)
    )
    return f"It is of another kind ({ours}) than the newest one ({theirs}), so they are no sequence."
