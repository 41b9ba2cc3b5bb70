"""The one pass over images that measures what each of several models makes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from explorer.base.folders import cache_folder
from explorer.base.job import Cancelled, Progress, unheard
from explorer.base.memory import peak_bytes
from explorer.base.open_model import OpenModel
from explorer.base.tidy import COMPARED
from explorer.base.versions import versions
from explorer.compare.kept import Kept, Known
from explorer.compare.records import Compared, Comparison, Row, Seen, Settings
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import compare
from explorer.images.sets import PICTURE, ImageSet, evenly
from vqvae.errors import BadInput
from vqvae.images import to_pixels
from vqvae.served import quoted
from vqvae.tokenizer import Encoding, Tokenizer, blend


def kept_folder() -> Path:
    """Where what was measured is kept."""
    return cache_folder() / COMPARED


def only_size(models: Sequence[OpenModel]) -> tuple[int, int] | None:
    """The height and width that all are shown an image at, where one of them takes no other."""
    return next((only for model in models if (only := model.spec.sizes.only)), None)


def measure(
    models: Sequence[OpenModel],
    images: ImageSet,
    settings: Settings,
    *,
    progress: Progress = unheard,
    kept: Path | None = None,
) -> Comparison:
    """What each model makes of each image of a set, or of some of them spread evenly over it.

    An image is read and shrunk once, and all models are given the same pixels. Where a model cannot do one, the reason
    takes the place of its figures, and the others go on. Images with equal pixels are measured once: they are no two
    pieces of evidence.

    kept: the folder where what was measured is looked for and kept as it comes (see `kept_folder`): of each model by
    itself, so that another one beside it costs no more than its own passes. A picture that lies nowhere is not kept:
    nobody would ask for it again, and it may be a visitor's. `progress` counts images times models, the
    kept ones included; when it stops the work, the result is of the images that all models were given by then. Raises
    Cancelled when there are none yet, and BadInput when no image can be read.
    """
    names, only = evenly(images.names, settings.most), only_size(models)
    kept = None if images.source == PICTURE else kept
    subjects = [_Subject(model, images, settings, only=only, kept=kept) for model in models]
    rows: list[Row] = []
    unreadable: list[tuple[str, str]] = []
    repeated: dict[str, str] = {}
    by_digest: dict[str, str] = {}
    try:
        for number, name in enumerate(names):
            known = [subject.kept.images.get(name) for subject in subjects]
            picture: Picture | None = None
            if None in known or len({one.digest for one in known if one}) > 1:
                try:
                    picture = open_picture(images.read(name), name, working_size=settings.working_size, only=only)
                except BadInput as reason:
                    unreadable.append((name, str(reason)))
                    progress((number + 1) * len(models), len(names) * len(models))
                    continue
            digest, size = _of_pixels(picture, known)
            if (same := by_digest.setdefault(digest, name)) != name:
                repeated[name] = same
                progress((number + 1) * len(models), len(names) * len(models))
                continue
            seen: list[Seen | str] = []
            for subject in subjects:
                seen.append(subject.see(name, digest, picture))
                progress(number * len(models) + len(seen), len(names) * len(models))
            rows.append(Row(name, digest, size, tuple(seen)))
    except Cancelled:
        if not rows:
            raise
    finally:
        for subject in subjects:
            subject.kept.flush()
    if not rows:
        first = f"; the first: {unreadable[0][1]}" if unreadable else "."
        raise BadInput(f"None of the images can be read{first}")
    return Comparison(
        models=tuple(subject.compared for subject in subjects),
        data=images.label,
        identity=images.identity,
        settings=settings,
        rows=tuple(rows),
        unreadable=tuple(unreadable),
        asked=len(names),
        repeated=tuple(repeated.items()),
        remark=_remark(subjects, kept),
    )


def _of_pixels(picture: Picture | None, known: Sequence[Known | None]) -> tuple[str, tuple[int, int]]:
    """Digest and size (H, W) of the pixels that the models are given."""
    if picture is not None:
        height, width = picture.pixels.shape[:2]
        return picture.key, (height, width)
    one = known[0]
    assert one is not None
    return one.digest, one.size


def _remark(subjects: Sequence[_Subject], kept: Path | None) -> str:
    """Why something could not be kept, in a sentence."""
    fault = next((subject.kept.fault for subject in subjects if subject.kept.fault), "")
    return f"What was measured could not be kept in {kept} ({fault}); next time it is measured again." if fault else ""


class _Subject:
    """One of the models, with what is known of it."""

    def __init__(
        self,
        model: OpenModel,
        images: ImageSet,
        settings: Settings,
        *,
        only: tuple[int, int] | None,
        kept: Path | None,
    ) -> None:
        self.compared = Compared(model.name, model.fingerprint, model.spec, model.parameters, model.device)
        self._tokenizer = model.tokenizer
        self._weight = settings.weight if model.inputs == 2 else 0.0
        self._warm = False  # a first pass takes longer than all others
        self.kept = Kept(
            kept,
            {
                "fingerprint": model.fingerprint,
                "device": model.device,
                "versions": versions(),
                "images": images.identity,
                "working_size": settings.working_size,
                "only": only,
                "weight": self._weight,
            },
        )
        self._peaks: dict[tuple[int, int], int | None] = {  # by the size of the image, which they depend on
            one.size: one.seen.peak_bytes for one in self.kept.images.values() if one.seen.peak_bytes is not None
        }

    def see(self, name: str, digest: str, picture: Picture | None) -> Seen | str:
        """The figures of an image, or why there are none; there is a picture where they are not known."""
        known = self.kept.images.get(name)
        if known is not None and known.digest == digest:
            return known.seen
        assert picture is not None
        height, width = picture.pixels.shape[:2]
        try:
            seen = self._measured(picture)
        except BadInput as refusal:
            return str(refusal)
        except Exception as fault:
            return f"The model could not do this image: it raises {quoted(fault)}."
        self.kept.add(name, Known(digest, (height, width), seen))
        return seen

    def _measured(self, picture: Picture) -> Seen:
        only, size = self._tokenizer.spec.sizes.only, (picture.pixels.shape[0], picture.pixels.shape[1])
        if only is not None and only != size:
            raise BadInput(
                f"This model takes images of {only[1]} × {only[0]} pixels alone, and all are given one of "
                f"{size[1]} × {size[0]}; compare it without the model that asks for those."
            )
        self._prepare(picture, size)
        seen = measure_picture(self._tokenizer, picture, weight=self._weight)
        return replace(seen, peak_bytes=self._peaks.get(size))

    def _prepare(self, picture: Picture, size: tuple[int, int]) -> None:
        """Have a pass before the first one that is timed, and measure the memory of images larger than any before."""
        largest = max((height * width for height, width in self._peaks), default=0)
        if size[0] * size[1] > largest:
            self._peaks[size] = peak_bytes(
                lambda: _passed(self._tokenizer, picture, self._weight), self.compared.device
            )
        elif not self._warm:
            _passed(self._tokenizer, picture, self._weight)
        self._warm = True


def measure_picture(tokenizer: Tokenizer, picture: Picture, *, weight: float) -> Seen:
    """The figures of one picture, all but the memory; raises BadInput for what is no picture of the same size."""
    encoding, decoded, encode_ms, decode_ms = _passed(tokenizer, picture, weight)
    if not decoded.isfinite().all():
        raise BadInput("The model draws pixels that are not finite (NaN or infinite) of this image; correct it.")
    pixels = to_pixels(decoded)[0]
    quality = compare(picture.pixels, pixels)
    return Seen(
        psnr=quality.psnr,
        ssim=quality.ssim,
        colour_difference=colour_difference(picture.pixels, pixels),
        encode_ms=encode_ms,
        decode_ms=decode_ms,
        peak_bytes=None,
        indices=tuple(
            _smallest(indices, level.codes)
            for indices, level in zip(encoding.indices, tokenizer.spec.levels, strict=True)
        ),
    )


@torch.inference_mode()
def _passed(tokenizer: Tokenizer, picture: Picture, weight: float) -> tuple[Encoding, torch.Tensor, float, float]:
    """A picture through the model: encoding, what is drawn at the picture's size, and the time of both in ms."""
    height, width = picture.pixels.shape[:2]
    image = picture.image
    started = time.perf_counter()
    encoding = tokenizer.encode(image)
    encoded = time.perf_counter()
    decoded = tokenizer.decode(encoding.quantized, blend(encoding, weight))
    ended = time.perf_counter()
    return encoding, decoded[..., :height, :width], 1000 * (encoded - started), 1000 * (ended - encoded)


def _smallest(indices: torch.Tensor, codes: int) -> np.ndarray:
    """The indices of one image [1, h, w], in the smallest unsigned type that holds all of so many codes: [h, w]."""
    found = indices[0].cpu().numpy()
    if found.size and not 0 <= found.min() <= found.max() < codes:
        raise BadInput(f"The model gives indices beyond its {codes:,} codes; correct it.")
    return found.astype(np.min_scalar_type(codes - 1))


def colour_difference(original: np.ndarray, other: np.ndarray) -> float:
    """How far apart the colours of two pictures look, uint8 [H, W, 3] each: the mean of CIEDE2000 over their pixels.

    Sharma, Wu and Dalal 2005, "The CIEDE2000 color-difference formula", as scikit-image has it, of sRGB under D65; a
    difference of about 1 is just visible. It looks at each pixel by itself, and knows nothing of structure.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab  # here, so that pages without a comparison open sooner

    one, two = (rgb2lab(pixels.astype(np.float32) / 255) for pixels in (original, other))
    return float(deltaE_ciede2000(one, two).mean(dtype=np.float64))
