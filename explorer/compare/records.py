"""What was measured of each model on each image: the one thing that tables, charts and reports are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vqvae.tokenizer import Spec


@dataclass(frozen=True)
class Settings:
    """How models are compared."""

    working_size: int = 256  # pixels on the long side
    weight: float = 0.0  # the blend of those decoders that have two inputs; 0 is the codes alone
    most: int = 100  # images of the set, spread evenly over it
    seed: int = 0  # of the bootstrap


@dataclass(frozen=True)
class Compared:
    """One of the models."""

    name: str
    fingerprint: str  # SHA-256 in hex
    spec: Spec
    parameters: int | None
    device: str


@dataclass(frozen=True, eq=False)
class Seen:
    """One model on one image."""

    psnr: float  # dB; inf where the pictures are equal
    ssim: float | None  # None where the image is smaller than the measure's window
    colour_difference: float  # mean CIEDE2000 over the pixels (Sharma et al. 2005); about 1 is just visible
    encode_ms: float
    decode_ms: float
    peak_bytes: int | None  # all tensors at once, at most, above the weights; None where it was not measured
    indices: tuple[np.ndarray, ...]  # of each level: [h, w], or [1, n] for a row of tokens; the smallest unsigned type

    @property
    def tokens(self) -> int:
        """How many indices the image takes, over all levels."""
        return sum(level.size for level in self.indices)


@dataclass(frozen=True, eq=False)
class Row:
    """One image: what each model made of it, in the order of the models."""

    name: str
    digest: str  # SHA-256 in hex over the pixels that the models were given
    size: tuple[int, int]  # H, W in pixels
    seen: tuple[Seen | str, ...]  # or why that model could not, in a sentence


@dataclass(frozen=True, eq=False)
class Comparison:
    """All that was measured."""

    models: tuple[Compared, ...]
    data: str  # the set, for people
    identity: str  # the set's SHA-256
    settings: Settings
    rows: tuple[Row, ...]  # in the set's order
    unreadable: tuple[tuple[str, str], ...]  # names, and why, in a sentence
    asked: int  # images that were to be measured
    repeated: tuple[tuple[str, str], ...] = ()  # name, and that of the image with the same pixels, which is measured
    remark: str = ""  # a sentence on why it could not be kept on disk, where that is so

    @property
    def failed(self) -> bool:
        """Whether there is an image that one of the models could not do."""
        return any(isinstance(one, str) for row in self.rows for one in row.seen)

    @property
    def finished(self) -> bool:
        return len(self.rows) + len(self.unreadable) + len(self.repeated) == self.asked
