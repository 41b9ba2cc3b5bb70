"""What is wrong with a checkpoint or a tokenizer: everything, not the first thing.

Files first, then what the model does: the contract, its own forward pass, its codes, and whether other settings than
the declared ones (metric, pixel range) reconstruct photos better, for these cannot be told from the weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vqvae import checkpoint, contract
from vqvae.adapting import Adapted
from vqvae.errors import BadInput
from vqvae.families import family_of
from vqvae.images import pad_to_multiple
from vqvae.metrics import perplexity, psnr
from vqvae.plugin import on_device
from vqvae.search import Codebook
from vqvae.served import Served, call
from vqvae.tokenizer import Encoding, Level, Metric, Sizes, Tokenizer, TokenizerModule, cells, prepare, reconstruct
from vqvae.words import counted

Severity = Literal["fault", "warning", "note"]
Settings = dict[str, Any]  # what was declared, or could have been: metric, pixels

MOST_FINDINGS = 200
LONGEST_SIDE = 256  # pixels of the photos, from their middle
MOST_TRIED = 3  # photos that are reconstructed under all settings
BETTER_DB = 0.5  # so much more PSNR under other settings is worth a warning
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))
_MOST_CODES = 4096  # looked at one by one
_SAME = 1e-3  # pixels are the same up to this, whatever adds them up


@dataclass(frozen=True)
class Finding:
    """One thing that was found out, and what to do about it."""

    severity: Severity
    what: str  # a sentence
    do: str = ""  # a sentence, empty where there is nothing to do


@dataclass(frozen=True)
class Report:
    """All findings: faults first, then warnings, then notes."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """No fault; there may be warnings."""
        return not any(finding.severity == "fault" for finding in self.findings)


def examine(folder: Path, *, photos: Sequence[Tensor] = (), device: str | None = None) -> Report:
    """Examine a checkpoint's folder; `photos` are [1, 3, H, W] in [0, 1], made ones stand in for them.

    Raises BadInput for a device that is not there; all else is a finding.
    """
    found = [Finding("fault", fault) for fault in checkpoint.faults(folder)]
    if found:
        found.append(Finding("note", "What the model does was not examined, since it does not open."))
        return _report(folder.name, found)
    try:
        tokenizer, settings = checkpoint.load(folder), checkpoint.read_config(folder)
    except BadInput as refusal:
        return _report(folder.name, [Finding("fault", str(refusal))])
    declared, variants = _variants_of_folder(tokenizer, settings)
    placed = tokenizer if device is None else on_device(tokenizer, device)
    return _report(folder.name, _examined(placed, photos, declared, variants))


def examine_tokenizer(tokenizer: Tokenizer, *, name: str, photos: Sequence[Tensor] = ()) -> Report:
    """Examine a tokenizer that is open, such as a plug-in's."""
    try:
        served = tokenizer if isinstance(tokenizer, Served) else Served(tokenizer)
    except BadInput as refusal:
        return _report(name, [Finding("fault", str(refusal))])
    if impossible := [Finding("fault", fault) for fault in contract.spec_faults(served.spec)]:
        return _report(name, impossible)
    declared, variants = _variants_of_tokenizer(served)
    return _report(name, _examined(served, photos, declared, variants))


def with_warnings(report: Report, sentences: Sequence[str]) -> Report:
    """The report, and what others found out of what lies beside the model."""
    return _report(report.name, [*report.findings, *(Finding("warning", sentence) for sentence in sentences)])


def _report(name: str, found: list[Finding]) -> Report:
    ordered = sorted(found, key=lambda finding: get_args(Severity).index(finding.severity))
    more = len(ordered) - MOST_FINDINGS
    rest = f"There {'is' if more == 1 else 'are'} {counted(more, 'more finding')}."
    shown = ordered[:MOST_FINDINGS] + ([Finding("note", rest)] if more > 0 else [])
    return Report(name, tuple(shown))


@dataclass(frozen=True, eq=False)
class _Subject:
    """What is examined, and the photos with their encodings."""

    tokenizer: Served
    photos: list[Tensor]
    encodings: list[Encoding]


def _examined(
    tokenizer: Tokenizer, photos: Sequence[Tensor], declared: Settings, variants: list[tuple[Settings, Tokenizer]]
) -> list[Finding]:
    """What the model does; each examination is on its own, so that one that fails does not hide the others."""
    served = tokenizer if isinstance(tokenizer, Served) else Served(tokenizer)
    found = [Finding("fault", fault) for fault in contract.faults(served)]
    try:
        fitting = [_fitting(photo, served.spec.sizes) for photo in photos or (contract.photo_like(1, 192, 256),)]
        subject = _Subject(served, fitting, [served.encode(photo) for photo in fitting])
    except BadInput as refusal:
        return found or [Finding("fault", str(refusal))]
    examinations: tuple[Callable[[_Subject], Iterator[Finding]], ...] = (_forward, _codes, _agreement, _usage)
    for examination in examinations:
        found += _findings(examination, subject)
    found += _findings(lambda it: _settings(it, declared, variants), subject)
    return found


def _findings(examination: Callable[[_Subject], Iterator[Finding]], subject: _Subject) -> list[Finding]:
    found = []
    try:
        for finding in examination(subject):
            found.append(finding)
    except BadInput as refusal:
        found.append(Finding("fault", str(refusal)))
    return found


def _fitting(photo: Tensor, sizes: Sizes) -> Tensor:
    """The middle of a photo, of at most `LONGEST_SIDE`, or the whole at the one size that a tokenizer takes."""
    if sizes.only:
        return functional.interpolate(photo, sizes.only, mode="bilinear", antialias=True).clamp(0, 1)
    top, left = (max(0, side - LONGEST_SIDE) // 2 for side in photo.shape[-2:])
    return photo[..., top : top + LONGEST_SIDE, left : left + LONGEST_SIDE]


# --- examinations -----------------------------------------------------------------------------------------------------


def _forward(subject: _Subject) -> Iterator[Finding]:
    """The model's own forward pass against encode and decode, where it has one."""
    forward = _own_forward(subject.tokenizer.tokenizer)
    if forward is None:
        return
    spec, images = subject.tokenizer.spec, subject.photos[0]
    with torch.inference_mode():
        drawn = call("forward", forward, pad_to_multiple(images, spec.sizes.multiple).to(subject.tokenizer.device))
    ours = subject.tokenizer.decode(subject.encodings[0].quantized)
    if not isinstance(drawn, Tensor) or drawn.shape != ours.shape:
        yield Finding("warning", "The model's own forward pass gives no images of the padded size to compare with.")
        return
    off = (drawn.float().cpu().clamp(0, 1) - ours).abs().max().item()
    if off > _SAME:
        yield Finding(
            "fault",
            f"The model's own forward pass draws other pixels than decode: they differ by up to {off:.2g}.",
            "Find out what the forward pass does between encoding and decoding.",
        )
    else:
        yield Finding("note", f"The model's own forward pass draws the same pixels, to {off:.1g}.")


def _own_forward(module: object) -> Callable[[Tensor], Any] | None:
    """Images to images from the codes alone: `forward(images)`, or our model's `forward(images, weight)`."""
    if not isinstance(module, TokenizerModule) or type(module).forward is nn.Module.forward:
        return None
    parameters = inspect.signature(module.forward).parameters.values()
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if required[1:] == ["weight"]:
        return lambda images: module(images, images.new_zeros(len(images), 1, 1, 1))[0]
    return module if len(required) == 1 else None


def _codes(subject: _Subject) -> Iterator[Finding]:
    for number, level in enumerate(subject.tokenizer.spec.levels):
        book = Codebook.of(subject.tokenizer, number)
        if not book.vectors.isfinite().all():
            yield Finding("fault", f"{_of(level)} has codes that are not finite.", "Train or save the model again.")
            continue
        yield from _repeats(level, book)
        yield from _lengths(level, book)


def _repeats(level: Level, book: Codebook) -> Iterator[Finding]:
    """`nearest(vectors(k)) == k`, but for codes that another one stands before."""
    points = book.code_points
    first = _first_equals(points.numpy())
    repeated = first != np.arange(len(first))
    if repeated.any():
        code, number = int(repeated.argmax()), int(repeated.sum())
        yield Finding(
            "warning",
            f"{_of(level)} has {counted(number, 'code that is', 'codes that are')} equal to an earlier one, "
            f"such as {code} to {first[code]}; by {level.metric!r} {'it is' if number == 1 else 'they are'} never "
            "chosen.",
        )
    if level.metric == "implicit":
        return
    codes = torch.linspace(0, level.codes - 1, min(_MOST_CODES, level.codes), dtype=torch.float64).long()
    found = book.nearest(book.vectors[codes])
    others = (points[found] != points[codes]).any(1)
    if not others.any():
        yield Finding("note", f"{_of(level)}: the nearest code to a code is itself.")
        return
    code = int(codes[others][0])
    count = f"{int(others.sum()):,} of {counted(len(codes), 'code')}"
    what = f"{_of(level)}: for {count}, such as {code}, the nearest code is another"
    if level.metric == "dot":
        yield Finding("note", f"{what}; by dot product a longer code can be nearer.")
    else:
        yield Finding("fault", f"{what}.", "Codes lie closer together than float32 can tell; train the model again.")


def _first_equals(rows: np.ndarray) -> np.ndarray:
    """For each row the number of the first one that is equal to it."""
    whole = np.ascontiguousarray(rows + 0.0).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    return first[inverse]


def _lengths(level: Level, book: Codebook) -> Iterator[Finding]:
    """Whether codes are normalised: then all metrics choose alike, and otherwise the declared one matters."""
    lengths = book.vectors.norm(dim=1)
    least, most = lengths.min().item(), lengths.max().item()
    if most - least <= 1e-3 * most:
        yield Finding("note", f"{_of(level)}: all codes have length {most:.3g}, so that every metric chooses the same.")
    elif level.metric == "implicit":
        yield Finding("note", f"{_of(level)}: the codes have lengths from {least:.3g} to {most:.3g}.")
    else:
        what = f"{_of(level)}: the codes are not normalised, with lengths from {least:.3g} to {most:.3g}"
        yield Finding("note", f"{what}, so that the metric matters; {level.metric!r} is declared.")


def _agreement(subject: _Subject) -> Iterator[Finding]:
    declared = subject.tokenizer.spec.levels[0].metric
    if declared == "implicit":
        return
    shares = [contract.agreement(subject.tokenizer, encoding).get(declared, 1.0) for encoding in subject.encodings]
    share = sum(shares) / len(shares)
    if share < 1:
        what = f"{1 - share:.2%} of the cells have another code than the nearest by {declared!r}."
        yield Finding("warning", what, "Rounding in the quantizer's own precision does that; a metric can, too.")


def _usage(subject: _Subject) -> Iterator[Finding]:
    """Codes that no cell of the photos takes: unused there, and for a photo that is not among them perhaps not."""
    for number, level in enumerate(subject.tokenizer.spec.levels):
        indices = torch.cat([encoding.indices[number].flatten() for encoding in subject.encodings])
        if indices.min() < 0 or indices.max() >= level.codes:
            continue  # the contract told it
        counts = indices.bincount(minlength=level.codes)
        used = int((counts > 0).sum())
        what = (
            f"{_of(level)}: {used:,} of {counted(level.codes, 'code')} {'is' if used == 1 else 'are'} used by the "
            f"{counted(len(indices), 'cell')} of {counted(len(subject.photos), 'photo')}, "
            f"perplexity {perplexity(counts):,.0f}."
        )
        if used == 1 < level.codes:
            yield Finding("fault", what, "The codebook has collapsed to one code, or the images come in a wrong range.")
        elif used < 0.05 * min(level.codes, len(indices)):
            yield Finding(
                "warning", what, "Most codes are unused here; check the pixel range, or restart such codes in training."
            )
        else:
            yield Finding("note", what)


def _settings(subject: _Subject, declared: Settings, variants: list[tuple[Settings, Tokenizer]]) -> Iterator[Finding]:
    """Photos reconstructed under every other metric and pixel range."""
    photos = subject.photos[:MOST_TRIED]
    own = _quality(subject.tokenizer, photos)
    said = ", ".join(f"{name} {_shown(value)}" for name, value in declared.items())
    found = [(_quality(variant, photos), settings) for settings, variant in variants]
    yield Finding("note", f"Photos are reconstructed at {own:.1f} dB{f' with {said}' if said else ''}.")
    if not found:
        return
    best, settings = max(found, key=lambda pair: pair[0])
    if best < own + BETTER_DB:
        yield Finding("note", f"No other of {len(found) + 1} settings of {' and '.join(declared)} does better.")
        return
    changed = ", ".join(f"{name} {_shown(value)}" for name, value in settings.items() if value != declared[name])
    yield Finding(
        "warning",
        f"With {changed} photos are reconstructed at {best:.1f} dB, with what is declared ({said}) at {own:.1f} dB.",
        f"If the model's authors do not say otherwise, declare {changed}.",
    )


def _quality(tokenizer: Tokenizer, photos: list[Tensor]) -> float:
    """Mean PSNR in dB of the codes alone; what cannot be run has none."""
    try:
        served = tokenizer if isinstance(tokenizer, Served) else Served(tokenizer)
        quality = torch.cat([psnr(reconstruct(served, photo), photo) for photo in photos]).mean().item()
    except BadInput:
        return -np.inf
    return quality if np.isfinite(quality) else -np.inf


def _of(level: Level) -> str:
    return f"The codebook of the level {level.name!r}"


def _shown(value: object) -> str:
    return f"{value[0]:g}..{value[1]:g}" if isinstance(value, tuple | list) else str(value)


# --- other settings ---------------------------------------------------------------------------------------------------


def _variants_of_folder(
    tokenizer: TokenizerModule, settings: Mapping[str, Any]
) -> tuple[Settings, list[tuple[Settings, Tokenizer]]]:
    """What config.json declares of metric and pixels, and the same weights under all that it could have declared."""
    model = settings.get("model")
    said = {name: model[name] for name in ("metric", "pixels") if name in model} if isinstance(model, dict) else {}
    if not said:
        return _variants_of_tokenizer(tokenizer)
    choices = {"metric": list(_metrics(tokenizer)), "pixels": _ranges_like(said.get("pixels"))}
    variants: list[tuple[Settings, Tokenizer]] = []
    for values in product(*(choices[name] for name in said)):
        changed = dict(zip(said, values, strict=True))
        if changed != said and (other := _rebuilt(tokenizer, settings, changed)) is not None:
            variants.append((changed, other))
    return said, variants


def _rebuilt(tokenizer: TokenizerModule, settings: Mapping[str, Any], changed: Settings) -> TokenizerModule | None:
    """Put the weights, sharing their memory, under other settings; None where the family does not take them."""
    try:
        with torch.device("meta"):
            other = family_of(settings).build({**settings, "model": {**settings["model"], **changed}})
        other.load_state_dict(tokenizer.state_dict(), assign=True)
    except (BadInput, RuntimeError):
        return None
    return prepare(other)


def _ranges_like(said: object) -> list[Any]:
    """The usual pixel ranges, written as the declared one is: "-1..1" or [-1, 1]."""
    if isinstance(said, str):
        return [_shown(pair) for pair in PIXEL_RANGES]
    return [[int(end) if end == int(end) else end for end in pair] for pair in PIXEL_RANGES]


def _variants_of_tokenizer(tokenizer: Tokenizer) -> tuple[Settings, list[tuple[Settings, Tokenizer]]]:
    """Other metrics for whatever can be searched again, and other pixel ranges for what was adapted."""
    inner = tokenizer.tokenizer if isinstance(tokenizer, Served) else tokenizer
    level = tokenizer.spec.levels[0]
    if isinstance(inner, Adapted):
        ranges = {*PIXEL_RANGES, inner.pixels}
        pairs = product(_metrics(inner) if inner.choose is None else [level.metric], sorted(ranges))
        said: Settings = {"metric": level.metric, "pixels": inner.pixels}
        variants: list[tuple[Settings, Tokenizer]] = [
            ({"metric": metric, "pixels": pixels}, _declared(inner, metric, pixels)) for metric, pixels in pairs
        ]
        return said, [(settings, variant) for settings, variant in variants if settings != said]
    if len(tokenizer.spec.levels) > 1 or level.metric == "implicit":
        return {}, []
    others = [metric for metric in _metrics(tokenizer) if metric != level.metric]
    return {"metric": level.metric}, [({"metric": metric}, _Searched(tokenizer, metric)) for metric in others]


def _metrics(tokenizer: Tokenizer) -> tuple[Metric, ...]:
    declared = tokenizer.spec.levels[0].metric
    return (declared,) if declared == "implicit" else ("euclidean", "cosine", "dot")


def _declared(adapted: Adapted, metric: Metric, pixels: tuple[float, float]) -> Adapted:
    level = replace(adapted.spec.grid, metric=metric)
    return replace(adapted, spec=replace(adapted.spec, levels=(level,)), pixels=pixels)


class _Searched:
    """A tokenizer whose embeddings are given the nearest codes by another metric."""

    def __init__(self, inner: Tokenizer, metric: Metric) -> None:
        self.inner, self.spec = inner, inner.spec
        self.vectors, self.lookup, self.decode = inner.vectors, inner.lookup, inner.decode
        self.metric = metric

    @cached_property
    def codebook(self) -> Codebook:
        return Codebook(Codebook.of(self.inner).vectors, self.metric)

    def encode(self, images: Tensor) -> Encoding:
        encoding = self.inner.encode(images)
        embedding, grid = encoding.embedding, encoding.grid
        if embedding.shape[1] != self.codebook.vectors.shape[1] or embedding.shape[2:] != grid.shape[1:]:
            raise BadInput("The embedding is not what codes are compared with.")
        indices = (self.codebook.nearest(cells(embedding).cpu()).view(grid.shape),)
        return Encoding(indices, embedding, self.inner.lookup(indices))
