"""What every tokenizer promises, put to the test on made pictures: the check of adapted models and plug-ins.

`faults` lists all that is wrong; `check` raises the first. Each is one sentence that names the method at fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqvae.errors import BadInput, shown
from vqvae.search import Codebook
from vqvae.served import Served, modules, tensors
from vqvae.tokenizer import METRICS, Encoding, Level, Metric, Sizes, Spec, Tokenizer, cells
from vqvae.words import counted

ROUNDING_SHARE = 0.01  # of the cells may have another index than the nearest code's: a quantizer in lower precision
_LEAST_SIDE, _MOST_SIDE = 48, 256  # pixels of the pictures
_MOST_CODES = 64  # asked of `vectors`
_CLOSE = 1e-4  # of the pixel range, and of embeddings' size: what another order of additions can change
_MODAL_LAYERS = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def check(tokenizer: Tokenizer) -> None:
    """Raise BadInput with the first promise that a tokenizer breaks, in one sentence."""
    for fault in faults(tokenizer):
        raise BadInput(fault)


def faults(tokenizer: Tokenizer) -> Iterator[str]:
    """Every promise of the contract that a tokenizer breaks, a sentence each; tried on one or two made pictures."""
    try:
        served = tokenizer if isinstance(tokenizer, Served) else Served(tokenizer)
    except BadInput as refusal:
        yield str(refusal)
        return
    found = list(spec_faults(served.spec)) or [*mode_faults(served)]
    if not found:
        before = _state(served)
        for number, (height, width) in enumerate(trial_sizes(served.spec)):
            try:
                found += _faults_at(served, photo_like(2 - number, height, width))
            except BadInput as refusal:
                found.append(str(refusal))
            if found:
                break
        found += _changes(before, _state(served))
    yield from found


def photo_like(batch: int, height: int, width: int) -> Tensor:
    """[B, 3, H, W] in [0, 1]: made pictures with the statistics of photos, much at large scales and little at small."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(batch, 3, height, width)
    for side in (2, 4, 8, 16, 32):
        noise = torch.randn(batch, 3, side, side, generator=generator)
        layer = functional.interpolate(noise, (height, width), mode="bilinear", align_corners=True)
        image += (0.3 * layer[:, :1] + layer) * 1.5 / side**0.7  # the channels go together, as light does
    image[..., : height // 2, : width // 3] += 1.0  # and an edge
    return image.sigmoid()


def trial_sizes(spec: Spec) -> tuple[tuple[int, int], ...]:
    """Heights and widths that a tokenizer is tried on: two, the second of no multiple, or the one that it takes."""
    if spec.sizes.only:
        return (spec.sizes.only,)
    multiple = spec.sizes.multiple
    coarsest = max((level.stride or 0 for level in spec.levels), default=0)
    beyond_reach = min(_MOST_SIDE, ((spec.reach or 0) + 3) * coarsest)
    side = multiple * math.ceil(max(_LEAST_SIDE, beyond_reach) / multiple)
    return (side, side + multiple), (side + 1, side + 3)


def padded(side: int, sizes: Sizes) -> int:
    """Pixels on a side once it is padded to the multiple."""
    return -(-side // sizes.multiple) * sizes.multiple


def spec_faults(spec: Spec) -> Iterator[str]:
    """What is impossible in a spec."""
    if not isinstance(spec.levels, tuple) or not spec.levels or not all(isinstance(x, Level) for x in spec.levels):
        yield "spec.levels has to be a tuple of one or more vqvae.tokenizer.Level."
        return
    if not isinstance(spec.sizes, Sizes) or not _whole(spec.sizes.multiple, 1):
        yield "spec.sizes has to be a vqvae.tokenizer.Sizes with a multiple of 1 pixel or more."
        return
    for level in spec.levels:
        name = f"The level {shown(level.name)}"
        if not _whole(level.codes, 1) or not _whole(level.dim, 1):
            yield f"{name} has {shown(level.codes)} codes of {shown(level.dim)} numbers; both have to be 1 or more."
        if level.metric not in METRICS:
            yield f"{name} has the metric {shown(level.metric)}; it is one of {', '.join(METRICS)}."
        if level.stride is not None and (not _whole(level.stride, 1) or spec.sizes.multiple % level.stride):
            yield f"{name} has a stride of {shown(level.stride)}, which has to divide spec.sizes.multiple."
    if spec.reach is not None and not _whole(spec.reach, 0):
        yield f"spec.reach is {shown(spec.reach)}, and has to be None or a number of cells."
    if spec.inputs not in (1, 2):
        yield f"spec.inputs is {shown(spec.inputs)}, and has to be 1 or 2."
    if spec.sizes.only is not None:
        only = spec.sizes.only
        sides = only if isinstance(only, tuple) and len(only) == 2 else (0,)
        if not all(_whole(side, 1) and not side % spec.sizes.multiple for side in sides):
            yield f"spec.sizes.only is {shown(only)}, and has to be a height and a width that the multiple divides."


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def mode_faults(tokenizer: Tokenizer) -> Iterator[str]:
    """Layers that still behave as in training."""
    for module in modules(tokenizer):
        for name, layer in module.named_modules():
            if layer.training and isinstance(layer, _MODAL_LAYERS):
                where = f"{type(module).__name__}.{name}" if name else type(module).__name__
                yield f"The model is in training mode (see the {type(layer).__name__} at {where}); call .eval() first."
                return


def _faults_at(served: Served, images: Tensor) -> Iterator[str]:
    """The faults on a batch of pictures; each kind stands on those before it, so that the first ends the list."""
    spec, encoding = served.spec, served.encode(images)
    found = [*_shape_faults(spec, encoding, images), *_value_faults(spec, encoding)]
    if not found:
        found += _told(_encoding_faults(served, encoding, images))
        found += _told(_code_faults(served, encoding))
        found += _told(_decode_faults(served, encoding, images))
    if not found:
        found += _told(_second_input_faults(served, encoding))
        found += _told(_reach_faults(served, encoding))
    yield from found


def _told(faults: Iterator[str]) -> Iterator[str]:
    """The faults, and what was raised while they were looked for."""
    try:
        yield from faults
    except BadInput as refusal:
        yield str(refusal)


def _shape_faults(spec: Spec, encoding: Encoding, images: Tensor) -> Iterator[str]:
    batch, _, height, width = images.shape
    if len(encoding.indices) != len(spec.levels):
        yield f"encode returns indices of {len(encoding.indices)} levels, and spec names {len(spec.levels)}."
        return
    for level, grid in zip(spec.levels, encoding.indices, strict=True):
        if level.stride is None:
            fits, wanted = grid.ndim == 3 and grid.shape[:2] == (batch, 1), f"[{batch}, 1, n]"
        else:
            sides = [padded(side, spec.sizes) // level.stride for side in (height, width)]
            fits, wanted = list(grid.shape) == [batch, *sides], str([batch, *sides])
        if not fits:
            yield _wrong_shape(f"encode's indices of the level {shown(level.name)}", grid, wanted, images)
    if encoding.embedding.ndim != 4 or len(encoding.embedding) != batch:
        yield _wrong_shape("encode's embedding", encoding.embedding, f"[{batch}, D, h, w]", images)
    elif encoding.quantized.shape != encoding.embedding.shape:
        wanted = f"{list(encoding.embedding.shape)} like the embedding"
        yield _wrong_shape("encode's quantized", encoding.quantized, wanted, images)


def _wrong_shape(name: str, tensor: Tensor, wanted: str, images: Tensor) -> str:
    return f"{name}: the shape is {list(tensor.shape)} and has to be {wanted}, for images of {list(images.shape)}."


def _value_faults(spec: Spec, encoding: Encoding) -> Iterator[str]:
    for level, grid in zip(spec.levels, encoding.indices, strict=False):
        least, most = (int(grid.min()), int(grid.max())) if grid.numel() else (0, 0)
        if least < 0 or most >= level.codes:
            yield (
                f"encode's indices of the level {shown(level.name)} go from {least:,} to {most:,}, "
                f"and have to lie in 0 to {level.codes - 1:,}."
            )
    for name, tensor in (("embedding", encoding.embedding), ("quantized", encoding.quantized)):
        if not tensor.isfinite().all():
            yield f"encode's {name} has values that are not finite (NaN or infinite)."


def _encoding_faults(served: Served, encoding: Encoding, images: Tensor) -> Iterator[str]:
    again = served.encode(images)
    if not _same(encoding, again):
        yield "encode answers otherwise the second time it is given the same images; take the randomness out of it."
    quantized = served.lookup(encoding.indices)
    if quantized.shape != encoding.quantized.shape:
        yield (
            f"lookup returns the shape {list(quantized.shape)}, and encode's quantized is "
            f"{list(encoding.quantized.shape)}; both have to be what decode is given."
        )
    elif not _close(quantized, encoding.quantized):
        off = (quantized - encoding.quantized).abs().max().item()
        yield f"lookup(indices) differs from encode's quantized by up to {off:.2g}; return the one as the other."


def _same(encoding: Encoding, other: Encoding) -> bool:
    same_indices = all(torch.equal(mine, yours) for mine, yours in zip(encoding.indices, other.indices, strict=True))
    return same_indices and _close(encoding.embedding, other.embedding) and _close(encoding.quantized, other.quantized)


def _close(tensor: Tensor, other: Tensor) -> bool:
    size = tensor.abs().max().item() if tensor.numel() else 0.0
    return tensor.shape == other.shape and torch.allclose(tensor, other, rtol=0, atol=_CLOSE * max(size, 1e-6))


def _code_faults(served: Served, encoding: Encoding) -> Iterator[str]:
    for number, level in enumerate(served.spec.levels):
        codes = torch.linspace(0, level.codes - 1, min(_MOST_CODES, level.codes), dtype=torch.float64).long()
        rows = served.vectors(number, codes)
        if list(rows.shape) != [len(codes), level.dim]:
            yield f"vectors returns the shape {list(rows.shape)} and has to return {[len(codes), level.dim]}."
        elif not rows.isfinite().all():
            yield f"vectors returns codes of the level {shown(level.name)} that are not finite (NaN or infinite)."
        elif not _close(rows[:1], served.vectors(number, codes[:1])):
            yield "vectors returns another code when it is asked for it alone; each has to depend on its number only."
        else:
            yield from _metric_faults(served, encoding) if len(served.spec.levels) == 1 else ()


def _metric_faults(served: Served, encoding: Encoding) -> Iterator[str]:
    """Indices that are not the nearest codes by the declared metric."""
    declared = served.spec.levels[0].metric
    shares = {} if declared == "implicit" else agreement(served, encoding)
    if not shares or shares[declared] >= 1 - ROUNDING_SHARE:
        return
    best = max(shares, key=shares.__getitem__)
    if best != declared and shares[best] >= 1 - ROUNDING_SHARE:
        advice = f"{best!r} agrees in {shares[best]:.0%}: declare that"
    else:
        advice = "no metric agrees: declare 'implicit'"
    yield (
        f"encode's indices are not the nearest codes by {declared!r} in {1 - shares[declared]:.0%} of the cells; "
        f"{advice}."
    )


def agreement(tokenizer: Tokenizer, encoding: Encoding) -> dict[Metric, float]:
    """The share of cells whose index is the nearest code, by each metric; empty where the embedding tells nothing.

    That is so where there are several levels, or where the embedding is not a code's width in each cell.
    """
    level, embedding = tokenizer.spec.levels[0], encoding.embedding
    grid = encoding.indices[0]
    if len(encoding.indices) != 1 or embedding.shape[1] != level.dim or embedding.shape[2:] != grid.shape[1:]:
        return {}
    vectors = Codebook.of(tokenizer).vectors
    metrics: tuple[Metric, ...] = ("euclidean", "cosine", "dot")
    found = {metric: Codebook(vectors, metric).nearest(cells(embedding)) for metric in metrics}
    return {metric: (indices == grid.flatten()).float().mean().item() for metric, indices in found.items()}


def _decode_faults(served: Served, encoding: Encoding, images: Tensor) -> Iterator[str]:
    decoded, again = served.decode(encoding.quantized), served.decode(encoding.quantized)
    height, width = (padded(side, served.spec.sizes) for side in images.shape[2:])
    wanted = [len(images), 3, height, width]
    if list(decoded.shape) != wanted:
        yield f"decode returns the shape {list(decoded.shape)} and has to return {wanted}."
    elif not decoded.isfinite().all():
        yield "decode returns pixels that are not finite (NaN or infinite)."
    elif decoded.min() < -_CLOSE or decoded.max() > 1 + _CLOSE:
        least, most = decoded.min().item(), decoded.max().item()
        yield f"decode returns pixels from {least:.3g} to {most:.3g}; scale and clamp them to [0, 1]."
    elif not _close(decoded, again):
        yield "decode answers otherwise the second time it is given the same; take the randomness out of it."
    elif len(images) > 1 and (decoded[1:] - served.decode(encoding.quantized[1:])).abs().max() > 10 * _CLOSE:
        yield "decode draws an image otherwise when it is alone than in a batch; images have to be independent."


def _second_input_faults(served: Served, encoding: Encoding) -> Iterator[str]:
    alone = served.decode(encoding.quantized)
    if (alone - served.decode(encoding.quantized, encoding.quantized)).abs().max() > 10 * _CLOSE:
        yield "decode(quantized, quantized) is not decode(quantized); without an embedding the codes stand for it."
    beside = served.decode(encoding.quantized, encoding.embedding)
    if beside.shape != alone.shape or not beside.isfinite().all():
        yield "decode(quantized, embedding) returns another shape than decode(quantized), or no finite pixels."


def _reach_faults(served: Served, encoding: Encoding) -> Iterator[str]:
    """Pixels that change further away from a changed cell than `reach` says, counted in cells of the coarsest level."""
    spec = served.spec
    strides = [level.stride for level in spec.levels if level.stride is not None]
    if spec.reach is None or len(strides) < len(spec.levels):
        return
    whole = served.decode(encoding.quantized)
    for number, level in enumerate(spec.levels):
        grid = encoding.indices[number].clone()
        grid[:, 0, 0] = (grid[:, 0, 0] + max(1, level.codes // 2)) % level.codes
        changed = served.decode(served.lookup((*encoding.indices[:number], grid, *encoding.indices[number + 1 :])))
        moved = (changed - whole).abs().amax((0, 1)) > _CLOSE / 10
        moved[: (spec.reach + 1) * max(strides), : (spec.reach + 1) * max(strides)] = False
        if moved.any():
            yield (
                f"spec.reach says that a change goes {counted(spec.reach, 'cell')} far, and a cell of the level "
                f"{shown(level.name)} changes pixels beyond; say None, or more cells."
            )


_State = dict[str, float]


def _state(served: Served) -> _State:
    """A number for each tensor and each training flag, to see whether one changes."""
    sums = {f"the tensor {name}": tensor.sum(dtype=torch.float64).item() for name, tensor in tensors(served)}
    flags = {
        f"the training flag of {name or 'the model'}": float(layer.training)
        for module in modules(served)
        for name, layer in module.named_modules()
    }
    return {**sums, **flags}


def _changes(before: _State, after: _State) -> Iterator[str]:
    for name, value in before.items():
        if name in after and after[name] != value and not (math.isnan(value) and math.isnan(after[name])):
            yield f"The model changes while it is used (see {name}); call .eval(), and take out what writes to it."
            return
