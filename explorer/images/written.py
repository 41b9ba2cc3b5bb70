"""A picture as files of JPEG, WebP and AVIF at any quality: how large each is, and how close it comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from vqvae.codecs import Codec

M = TypeVar("M")


class Size(NamedTuple):
    """Bytes of a file."""

    file: int
    data: int  # without its headers, by the codec's `data_bytes`

    def counted(self, *, headers: bool) -> int:
        return self.file if headers else self.data


class Written(Generic[M]):
    """A picture as files of its pixels alone; each is written once, and measured once where it is asked for.

    read: gives the pixels, uint8 [H, W, 3]; asked once, and only where a file has to be written. measure: original and
    what the file holds -> how close they are.
    """

    def __init__(self, read: Callable[[], np.ndarray], measure: Callable[[np.ndarray, np.ndarray], M]) -> None:
        self.sizes: dict[str, dict[int, Size]] = {}  # by codec and quality
        self.measured: dict[str, dict[int, M]] = {}
        self._read, self._measure = read, measure

    @cached_property
    def _pixels(self) -> np.ndarray:
        return self._read()

    def size(self, codec: Codec, quality: int) -> Size:
        """How large the file of a quality is."""
        sizes = self.sizes.setdefault(codec.name, {})
        if quality not in sizes:
            self._write(codec, quality)
        return sizes[quality]

    def closeness(self, codec: Codec, quality: int) -> M:
        """How close the file of a quality comes."""
        measured = self.measured.setdefault(codec.name, {})
        if quality not in measured:
            measured[quality] = self._measure(self._pixels, codec.decode(self._write(codec, quality)))
        return measured[quality]

    def best(self, codec: Codec, most_bytes: float, *, headers: bool) -> int | None:
        """The quality of the best file of at most so many bytes, its headers counted or not; None where none is."""
        quality = codec.highest(lambda one: self.size(codec, one).counted(headers=headers) <= most_bytes)
        return quality if self.size(codec, quality).counted(headers=headers) <= most_bytes else None

    def _write(self, codec: Codec, quality: int) -> bytes:
        data = codec.encode(self._pixels, quality)
        self.sizes.setdefault(codec.name, {})[quality] = Size(len(data), codec.data_bytes(data))
        return data
