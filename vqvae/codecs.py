"""What others make of the same pixels: JPEG, WebP and AVIF files, and how many of their bytes are the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np

from vqvae.images import can_write, of_file, to_file


@dataclass(frozen=True, eq=False)
class Codec:
    """A way to write pixels into a file of their own, by quality."""

    name: str  # Pillow has it in capitals
    qualities: range  # the size grows with them, but for a few bytes here and there
    options: Mapping[str, int | bool | str]  # of Pillow's writer
    settings: str  # what these are, for people
    data_bytes: Callable[[bytes], int]  # of a file, without what `headers` names
    headers: str  # what is not counted then, for people

    @cached_property
    def available(self) -> bool:
        """Whether this Pillow writes it."""
        return can_write(self.name.upper())

    def encode(self, pixels: np.ndarray, quality: int) -> bytes:
        """uint8 [H, W, 3] -> the bytes of a file."""
        return to_file(pixels, self.name.upper(), quality=quality, **self.options)

    def decode(self, data: bytes) -> np.ndarray:
        """The bytes of a file of one's own making -> uint8 [H, W, 3]."""
        return of_file(data, self.name.upper())

    def of_size(self, pixels: np.ndarray, most_bytes: float, *, counted: Callable[[bytes], int] = len) -> bytes:
        """The file of the highest quality that is at most so large, else that of the lowest.

        counted: a file -> how many of its bytes count; `data_bytes` leaves headers out.
        """
        return self.encode(pixels, self.highest(lambda quality: counted(self.encode(pixels, quality)) <= most_bytes))

    def highest(self, fits: Callable[[int], bool]) -> int:
        """The highest quality that fits, else the lowest there is; where one fits, all below it do."""
        low, high = self.qualities[0], self.qualities[-1]
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return low


def jpeg_data_bytes(jpeg: bytes) -> int:
    """Bytes of the picture's data alone in a JPEG of one scan: without headers, tables and the mark of the end.

    These lie between the header of the scan (marker FFDA) and the mark of the end (FFD9). Source: ITU-T T.81, annex B.
    """
    place = 2  # behind the mark of the start
    while jpeg[place + 1] != 0xDA:
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    start = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return len(jpeg) - 2 - start


def webp_data_bytes(webp: bytes) -> int:
    """Bytes of the picture's data alone in a lossy WebP: what the chunk "VP8 " holds behind the frame's header.

    Left out are the heads of the file (12 bytes) and of each chunk (8), other chunks, the byte that pads to an even
    length, and the frame's own ten bytes of tag, start code, width and height. Sources: RFC 9649, section 2; RFC 6386,
    section 9.1.
    """
    return sum(len(content) - 10 for kind, content in _chunks(webp) if kind == b"VP8 ")


def _chunks(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF file: what each is called and holds."""
    place = 12  # behind RIFF, the length, and WEBP
    while place + 8 <= len(webp):
        length = int.from_bytes(webp[place + 4 : place + 8], "little")
        yield webp[place : place + 4], webp[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def avif_data_bytes(avif: bytes) -> int:
    """Bytes of the picture's data alone in an AVIF: what its boxes "mdat" hold.

    Left out are all other boxes, which say what the file is and how it is to be read, and the heads of these. The
    dozen bytes of AV1's own header of a sequence stand among the data and are counted; metadata such as EXIF would
    be, too, and files of pixels alone have none. Source: ISO/IEC 14496-12, section 4.2.
    """
    return sum(length for kind, length in _boxes(avif) if kind == b"mdat")


def _boxes(avif: bytes) -> Iterator[tuple[bytes, int]]:
    """The boxes of an ISO base media file: what each is called, and how many bytes it holds behind its head."""
    place = 0
    while place + 8 <= len(avif):
        length, head = int.from_bytes(avif[place : place + 4], "big"), 8
        if length == 1:  # it stands in the eight bytes behind the name
            length, head = int.from_bytes(avif[place + 8 : place + 16], "big"), 16
        elif length == 0:  # up to the end of the file
            length = len(avif) - place
        if length < head:
            raise ValueError("A box is shorter than its head.")
        yield avif[place + 4 : place + 8], length - head
        place += length


JPEG = Codec(
    "JPEG",
    range(1, 96),
    MappingProxyType({"optimize": True}),
    "4:2:0, optimised tables",
    jpeg_data_bytes,
    "all that stands before and behind the data of its scan: headers, and the tables too",
)
WEBP = Codec(
    "WebP",
    range(0, 101),
    MappingProxyType({"method": 6}),
    "lossy, method 6, the slowest",
    webp_data_bytes,
    "the heads of the file, its chunk and its frame, 30 bytes",
)
AVIF = Codec(
    "AVIF",
    range(0, 101),
    MappingProxyType({"speed": 6, "subsampling": "4:2:0", "max_threads": 1}),
    "4:2:0, speed 6, as Pillow has it",
    avif_data_bytes,
    "all boxes of the file but that of the data",
)
CODECS = (JPEG, WEBP, AVIF)
