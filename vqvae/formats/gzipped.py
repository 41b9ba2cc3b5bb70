"""Read a gzip file from any place in it, without unpacking it and without starting over each time."""

import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_READ = 1 << 16  # bytes
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way of saying: with gzip's header and checksum


@dataclass(frozen=True, eq=False)
class _Mark:
    """A place to start reading from."""

    position: int  # in the content
    offset: int  # in the file
    state: Any  # zlib's decompressor there, never advanced itself; None between two members


class GzipReader(io.RawIOBase):
    """The content of a gzip file, seekable: zlib's state is kept every few MiB, so going back costs one such step.

    Python's own reader starts from the beginning whenever it is sent back. A state takes some 50 kB; when there are
    `most_marks`, every second one is dropped and the step doubles. Raises EOFError where the file is cut off, and
    zlib.error where it is damaged.
    """

    def __init__(self, path: Path, *, step: int = 4 << 20, most_marks: int = 1024) -> None:
        self._file = path.open("rb")
        self._step, self._most_marks = step, most_marks
        self._marks = [_Mark(0, 0, None)]
        self._now = self._marks[0]
        self._wanted = 0  # where the next read starts; reached by the read, not by the seek

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._wanted

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("The length of the content is not known before it is read.")
        self._wanted = max(0, offset + (self._wanted if whence == os.SEEK_CUR else 0))
        return self._wanted

    def readinto(self, buffer: Any) -> int:
        start = max((mark for mark in self._marks if mark.position <= self._wanted), key=lambda mark: mark.position)
        if not start.position <= self._now.position <= self._wanted:
            self._now = _Mark(start.position, start.offset, start.state and start.state.copy())
        while self._now.position < self._wanted:
            if not self._advance(min(_READ, self._wanted - self._now.position)):
                return 0
        data = self._advance(len(buffer))
        buffer[: len(data)] = data
        self._wanted = self._now.position
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _advance(self, most: int) -> bytes:
        """The next bytes of the content, at most so many; b"" at its end only."""
        content = b""
        while not content:
            position, offset, state = self._now.position, self._now.offset, self._now.state
            self._file.seek(offset)
            data = self._file.read(_READ)
            if state is None:
                padding = len(data) - len(data.lstrip(b"\0"))  # gzip allows zeros after a member, tar writers add them
                if padding == len(data):
                    if not data:
                        return b""
                    self._now = _Mark(position, offset + padding, None)
                    continue
                offset, data, state = offset + padding, data[padding:], zlib.decompressobj(_GZIP)
            elif not data:
                raise EOFError("The file ends within a gzip member.")
            content = state.decompress(data, most)
            offset += len(data) - len(state.unused_data if state.eof else state.unconsumed_tail)
            self._now = _Mark(position + len(content), offset, None if state.eof else state)
        if self._now.position >= self._marks[-1].position + self._step:
            self._mark()
        return content

    def _mark(self) -> None:
        now = self._now
        self._marks.append(_Mark(now.position, now.offset, now.state and now.state.copy()))
        if len(self._marks) >= self._most_marks:
            self._marks = self._marks[::2]
            self._step *= 2
