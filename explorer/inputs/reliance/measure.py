"""What is measured of each image of a set: the evidence, from which `verdict` draws its conclusions."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch

from explorer.base.job import Cancelled, Progress, unheard
from explorer.editing.edits import DecoderInputs
from explorer.engines import IN_PROCESS, Engine
from explorer.images.reading import Fit, Opened, each_image
from explorer.images.reconstruction import Quality
from explorer.images.sets import ImageSet, evenly
from explorer.inputs import manifold
from explorer.inputs.reliance import boundary
from explorer.inputs.reliance.ablations import (
    CODES_OF_ANOTHER,
    CODES_SHUFFLED,
    EMBEDDING_OFF,
    Ablation,
    Cost,
    Means,
    Met,
    Subject,
    Sums,
    ablations,
    cost_of,
    drawn,
    mean_of,
    means_of,
    quality_of,
    sums_of,
)
from explorer.inputs.reliance.boundary import BLENDS, BorderCell
from vqvae.errors import BadInput
from vqvae.images import to_tensor
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer, blend, offers_unclamped

T = TypeVar("T")
MOST_PARTNERS = 64
STRETCH = 8  # images that a worker of another engine is given at a time; their last ones' partners it opens besides
FLAT = 0.1  # an image of which a smaller share of the cells changes when the codes are shuffled is flat


@dataclass(frozen=True)
class Settings:
    """All that shapes a test but the model and the images; the same settings give the same figures."""

    seed: int = 0
    partners: int = 4  # other images, and random orders, that each image is measured with
    images: int | None = None  # at most so many, spread evenly over the set
    working_size: int = 256  # pixels on the long side
    blend: float = 1.0  # the blend at hand, at which the verdict says whom the decoder follows
    cells: int = boundary.CELLS  # at a border, of each image

    @property
    def blends(self) -> tuple[float, ...]:
        """Those of the curve and the one at hand, rising."""
        return tuple(sorted({*BLENDS, self.blend}))


@dataclass(frozen=True, eq=False)
class Twin:
    """A tokenizer of the same size whose decoder has one input: what codes alone can draw."""

    name: str
    tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """One image of a set, encoded."""

    name: str
    pixels: np.ndarray  # uint8 [H, W, 3]
    encoding: Encoding

    @property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, in hex."""
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True)
class ImageEvidence:
    """All that was measured of one image."""

    name: str
    digest: str  # SHA-256 of its pixels
    width: int  # pixels
    height: int
    grid: tuple[int, int]  # cells down and across
    whole: Quality  # with both inputs as they are
    codes_only: Quality
    twin: Quality | None  # of the twin on the same image
    costs: tuple[Cost, ...]  # for each ablation, one for each draw
    border: int  # how many of its cells lie at a border
    moved: tuple[BorderCell, ...]  # those that were moved across
    aside: str = ""  # why it counts for no verdict, in words that follow "it"; empty where it counts
    beyond: float | None = None  # share of its cells beyond training at the blend at hand; None where it is not known

    def costs_of(self, ablation: Ablation) -> list[Cost]:
        return [cost for cost in self.costs if cost.ablation == ablation]

    @property
    def partners(self) -> tuple[str, ...]:
        """The names of the other images that it was measured with."""
        return tuple(cost.partner for cost in self.costs_of(CODES_OF_ANOTHER))

    def subject(self, encoding: Encoding, partners: Sequence[Encoding], *, means: Means, inputs: int) -> Subject:
        """What it was measured as, to make its pictures again: with its own encoding and those of its partners."""
        seeds = tuple(cost.seed for cost in self.costs_of(CODES_SHUFFLED) if cost.seed is not None)
        return Subject(encoding, means, tuple(zip(self.partners, partners, strict=True)), inputs, seeds)


@dataclass(frozen=True)
class Evidence:
    """The reliance test of a set of images, whole or as far as it came."""

    inputs: int  # of the decoder
    settings: Settings
    images: tuple[ImageEvidence, ...]
    stride: int
    codes: int  # K
    asked: int  # how many images there were to measure, those that cannot be read and those that repeat included
    unreadable: tuple[tuple[str, str], ...] = ()  # name and reason
    repeated: tuple[tuple[str, str], ...] = ()  # name, and that of the image with the same pixels, which is measured
    twin: str = ""  # its name
    unclamped: bool = True  # whether pixels could be compared before they are clamped
    met: bool = True  # whether it is known what the decoder met in training
    means: Means | None = field(default=None, compare=False, repr=False)  # to make the pictures again

    @property
    def finished(self) -> bool:
        return len(self.images) + len(self.unreadable) + len(self.repeated) == self.asked

    @property
    def digest(self) -> str:
        """SHA-256 over the pixels of the images that were measured, in hex: the same wherever they lie."""
        return hashlib.sha256("".join(image.digest for image in self.images).encode()).hexdigest()

    @property
    def counted(self) -> tuple[ImageEvidence, ...]:
        """The images that a verdict rests on."""
        return tuple(image for image in self.images if not image.aside)


@dataclass(frozen=True, eq=False)
class Tested:
    """The model under test, with what its figures are held against."""

    tokenizer: Tokenizer
    codebook: Codebook
    met: Met | None = None
    twin: Twin | None = None
    again: Callable[[], Tested] | None = field(default=None, repr=False)  # how another process makes the same

    @property
    def inputs(self) -> int:
        return self.tokenizer.spec.inputs

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        return (self.again, ()) if self.again else super().__reduce_ex__(protocol)


def passes(settings: Settings, *, inputs: int) -> int:
    """How many steps `progress` counts for an image."""
    return 2 + sum(settings.partners if one.is_drawn else 1 for one in ablations(inputs=inputs))


def measure_image(
    tested: Tested,
    image: EncodedImage,
    partners: Sequence[EncodedImage],
    *,
    means: Means,
    settings: Settings,
    number: int = 0,
    progress: Progress = unheard,
) -> ImageEvidence:
    """All figures of one image; `partners` are the other images that it is measured with, `number` its place.

    `progress` counts passes of the model; raises Cancelled.
    """
    tokenizer, encoding, original = tested.tokenizer, image.encoding, image.pixels
    size, total = (original.shape[0], original.shape[1]), passes(settings, inputs=tested.inputs)
    seeds = tuple(1_000_000 * settings.seed + 100 * number + draw for draw in range(settings.partners))
    others = tuple((partner.name, partner.encoding) for partner in partners[: settings.partners])
    subject = Subject(encoding, means, others, tested.inputs, seeds)
    whole = drawn(tokenizer, subject.whole(), size=size)
    quality = quality_of(original, whole)
    twin = None if tested.twin is None else _alone(tested.twin.tokenizer, original)
    done = 1
    progress(done, total)

    costs: list[Cost] = []
    for ablation in ablations(inputs=tested.inputs):
        for place, (name, draw) in enumerate(subject.draws(ablation)):
            met = tested.met if place == 0 else None
            found = cost_of(
                tokenizer, subject, ablation, name, draw, original=original, whole=whole, quality=quality, met=met
            )
            costs.append(found)
            progress(done := min(done + 1, total - 1), total)
    border = boundary.border_of(tested.codebook, encoding)
    moved: tuple[BorderCell, ...] = ()
    if tested.inputs == 2:
        moved = boundary.measure(
            tokenizer, encoding, border, blends=settings.blends, most=settings.cells, seed=seeds[0]
        )
    progress(total, total)
    off = [cost.quality for cost in costs if cost.ablation == EMBEDDING_OFF]
    evidence = ImageEvidence(
        name=image.name,
        digest=image.digest,
        width=size[1],
        height=size[0],
        grid=(encoding.grid.shape[1], encoding.grid.shape[2]),
        whole=quality,
        codes_only=off[0] if off else quality,
        twin=twin,
        costs=tuple(costs),
        border=len(border.cells),
        moved=moved,
        beyond=_beyond(tested, encoding, settings.blend),
    )
    return replace(evidence, aside=_why_aside(evidence))


def _beyond(tested: Tested, encoding: Encoding, weight: float) -> float | None:
    """The share of the cells of an image that lie beyond training, as the decoder is fed them at a blend."""
    if tested.met is None:
        return None
    weight = weight if tested.inputs == 2 else 0.0
    fed = DecoderInputs(encoding.quantized, blend(encoding, weight))
    return manifold.measure(fed, tested.met.codebook, tested.met.reference, weight=weight).share


def _why_aside(image: ImageEvidence) -> str:
    """Why an image is no evidence, where the replacements hardly differ from what they replace."""
    rows, columns = image.grid
    if rows * columns == 1:
        return "has a single cell, whose codes no order can change"
    shuffled = [
        cost.moved for cost in image.costs if cost.ablation.way == "shuffle" and cost.ablation.input != "embedding"
    ]
    if shuffled and max(shuffled) < FLAT:
        return f"is flat to this model: with its codes in another order, {max(shuffled):.0%} of its cells change"
    return ""


def _alone(tokenizer: Tokenizer, original: np.ndarray) -> Quality:
    """How well a tokenizer draws an image from its codes alone."""
    with torch.inference_mode():
        encoding = tokenizer.encode(to_tensor(original))
        subject = Subject(encoding, means_of([encoding]), inputs=1)
    return quality_of(original, drawn(tokenizer, subject.whole(), size=(original.shape[0], original.shape[1])))


@dataclass(frozen=True)
class _Found:
    """What a first look at a set says."""

    means: Means
    names: tuple[str, ...]  # to be measured
    unreadable: dict[str, str]
    repeated: dict[str, str]


def measure_set(
    tested: Tested,
    images: ImageSet,
    settings: Settings,
    *,
    only: tuple[int, int] | None = None,
    progress: Progress = unheard,
    engine: Engine = IN_PROCESS,
) -> Evidence:
    """The test on each image of a set, or on some of them spread evenly over it.

    Each image is measured with the means of the whole set, and with the images that follow it as the others, the last
    ones with the first; so images are encoded twice, and few are kept. Images with equal pixels are measured once:
    they are no two pieces of evidence. only: height and width that all are brought to, to be the same for models of
    which one takes no others. `progress` counts passes of the model; when it stops the work, the result is of
    the images measured so far. The figures are the same whatever the engine. Raises Cancelled when there are none yet,
    and BadInput when no image can be read.
    """
    names = evenly(images.names, settings.images)
    each = passes(settings, inputs=tested.inputs)
    total = len(names) * (1 + each)  # each image is encoded once more, for the means
    fit = Fit(settings.working_size, only or tested.tokenizer.spec.sizes.only)
    first = _look(tested, images, names, fit, _Within(progress, 0, total), engine)
    within = _Within(progress, len(names), total)
    work = _Measuring(tested, images, first.names, fit, first.means, settings, each, within)
    measured: list[ImageEvidence] = []
    unreadable = dict(first.unreadable)
    try:
        with closing(_measured(work, engine)) as results:
            for name, result in zip(first.names, results, strict=True):
                if isinstance(result, BadInput):
                    unreadable[name] = str(result)
                else:
                    measured.append(result)
    except Cancelled:
        if not measured:
            raise
    if not measured:
        raise BadInput(f"None of the images can be read any more; the first: {unreadable[first.names[0]]}")
    return evidence_of(
        tested,
        settings,
        measured,
        asked=len(names),
        unreadable=tuple(unreadable.items()),
        repeated=tuple(first.repeated.items()),
        means=first.means,
    )


def evidence_of(
    tested: Tested,
    settings: Settings,
    images: Sequence[ImageEvidence],
    *,
    asked: int | None = None,
    unreadable: tuple[tuple[str, str], ...] = (),
    repeated: tuple[tuple[str, str], ...] = (),
    means: Means | None = None,
) -> Evidence:
    """What was measured of some images, with what a verdict on them has to know."""
    return Evidence(
        inputs=tested.inputs,
        settings=settings,
        images=tuple(images),
        stride=tested.tokenizer.spec.stride,
        codes=len(tested.codebook),
        asked=len(images) if asked is None else asked,
        unreadable=unreadable,
        repeated=repeated,
        twin=tested.twin.name if tested.twin else "",
        unclamped=offers_unclamped(tested.tokenizer),
        met=tested.met is not None,
        means=means,
    )


@dataclass(frozen=True, eq=False)
class _Glimpse:
    """What the first look takes of an image."""

    digest: str
    sums: Sums


def _look(
    tested: Tested, images: ImageSet, names: Sequence[str], fit: Fit, progress: Progress, engine: Engine
) -> _Found:
    """The means over a set, what of it cannot be read, and what is there twice. Raises BadInput if nothing is left."""
    unreadable: dict[str, str] = {}
    repeated: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    done = 0
    glimpses = each_image(
        images,
        partial(_glimpse, tested),
        fit,
        names=names,
        engine=engine,
        waiting=lambda: progress(done, len(names)),
    )

    def sums() -> Iterator[Sums]:
        nonlocal done
        for name, found in zip(names, glimpses, strict=True):
            if isinstance(found, BadInput):
                unreadable[name] = str(found)
            elif (same := by_digest.setdefault(found.digest, name)) == name:
                yield found.sums
            else:
                repeated[name] = same
            progress(done := done + 1, len(names))

    with closing(glimpses):
        means = mean_of(sums())
    if not by_digest:
        reason = f"; the first: {unreadable[names[0]]}" if names else "."
        raise BadInput(f"None of the images can be read{reason}")
    return _Found(means, tuple(by_digest.values()), unreadable, repeated)


def _glimpse(tested: Tested, image: Opened) -> _Glimpse:
    one = _encoded(tested.tokenizer, image)
    return _Glimpse(one.digest, sums_of(one.encoding))


def _encoded(tokenizer: Tokenizer, image: Opened) -> EncodedImage:
    with torch.inference_mode():
        return EncodedImage(image.name, image.pixels, tokenizer.encode(to_tensor(image.pixels)))


@dataclass(frozen=True)
class _Measuring:
    """What is done with a run of the images, by whoever does it."""

    tested: Tested
    images: ImageSet
    names: tuple[str, ...]
    fit: Fit
    means: Means
    settings: Settings
    passes: int  # of each image, which progress counts
    progress: _Within

    def __call__(self, run: range) -> Generator[ImageEvidence | BadInput, None, None]:
        """What is measured of each image, or why one is gone."""
        work, partners = partial(_encoded, self.tested.tokenizer), min(self.settings.partners, len(self.names) - 1)
        after: tuple[str, ...] = ()  # the images behind them, which are only partners; none where those are the first
        if len(run) < len(self.names):
            after = (*self.names, *self.names[:partners])[run.stop : run.stop + partners]
        names = (*self.names[run.start : run.stop], *after)
        with closing(each_image(self.images, work, self.fit, names=names)) as opened:
            windows = islice(with_following(opened, partners), len(run))
            for number, (one, *following) in zip(run, windows, strict=True):
                if isinstance(one, BadInput):
                    yield one
                    continue
                yield measure_image(
                    self.tested,
                    one,
                    [other for other in following if not isinstance(other, BadInput)],
                    means=self.means,
                    settings=self.settings,
                    number=number,
                    progress=self.progress.after(number * self.passes),
                )


def _measured(work: _Measuring, engine: Engine) -> Generator[ImageEvidence | BadInput, None, None]:
    """What is measured of each image, by an engine."""
    done = 0

    def tell() -> None:
        work.progress(done * work.passes, 0)

    with closing(engine.each([range(len(work.names))], work, at_once=STRETCH, waiting=tell)) as results:
        for result in results:
            yield result
            done += 1
            tell()


@dataclass(frozen=True)
class _Within:
    """Progress of a part of the work, told as that of the whole; of a copy in another process nobody hears."""

    progress: Progress
    before: int  # steps
    total: int

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        self.progress(self.before + done, self.total, stage)

    def after(self, steps: int) -> _Within:
        """Progress of a part that begins so many steps later."""
        return replace(self, before=self.before + steps)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Within, (unheard, self.before, self.total)


def with_following(items: Iterable[T], most: int) -> Iterator[tuple[T, ...]]:
    """Each with the `most` after it, the last ones with the first; there have to be more than that. Few are kept."""
    iterator = iter(items)
    window = deque(islice(iterator, most + 1))
    first = tuple(window)
    for item in iterator:
        yield tuple(window)
        window.popleft()
        window.append(item)
    for item in first:
        yield tuple(window)
        window.popleft()
        window.append(item)
