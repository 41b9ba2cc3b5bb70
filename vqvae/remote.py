"""Files at an address such as s3://bucket/folder, through fsspec: images are listed and read in pieces, never copied.

What is written there is made in a file of this computer, which goes as soon as it is sent; object stores then have it
at once, whole. Which protocols there are is fsspec's business: memory:// and http:// come with it, s3:// with the
package s3fs, gs:// with gcsfs. Keys and endpoints are where those packages look for them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from fnmatch import fnmatch
from functools import cached_property, total_ordering
from pathlib import Path, PurePosixPath
from time import monotonic
from types import SimpleNamespace
from typing import Any, TypeGuard, cast
from uuid import uuid4

from vqvae.errors import BadInput, Unreachable, shown

INSTALL = "pip install .[scale]"
READ_AHEAD = 1 << 18  # bytes that are asked for at once: more than a header of a tar, less than most photos
LOOK_EVERY = 1.0  # seconds between two looks at whether a file that is being read is still the one that was opened
SPOOL = "vqvae-spool-"  # begins the name of the folder in which something is made that is sent elsewhere
_SECOND = 1_000_000_000  # nanoseconds
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
_HERE = "file://"
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")  # as file systems call it
_VERSIONS = ("ETag", "etag", "md5", "md5Hash", "generation")  # where they say no time


def is_address(text: str) -> bool:
    """Whether a text is an address and no path: s3://bucket/folder."""
    found = _ADDRESS.match(text)
    return found is not None and "://" in text[: found.end()]


def located(text: str) -> Path:
    """The path that a text means, or what stands for one where it is an address; nothing is looked up."""
    if text.startswith(_HERE):
        return Path(text.removeprefix(_HERE))
    if is_address(text):
        return cast(Path, RemotePath(text))  # formats ask of it what they ask of a path, and no more
    return Path(text)


def readable(path: Path) -> Any:
    """What a library opens: the path itself, or an open file at an address."""
    return path.open("rb") if isinstance(path, RemotePath) else path


def as_of_now(path: Path) -> Path:
    """That path, with nothing known of what was there before where it is at an address: others write there."""
    return cast(Path, path.anew()) if isinstance(path, RemotePath) else path


@contextmanager
def sent_to(path: Path) -> Iterator[Path]:
    """Where to write what is to lie at that path: there, or where it is an address into a file of this computer.

    That one is sent to the address at the end, where all went well, and goes. Raises BadInput where the address does
    not take it or the system's temporary files ($TMPDIR) have no room for it, and Unreachable.
    """
    if not isinstance(path, RemotePath):
        yield path
        return
    with spool() as folder:
        made = folder / path.name
        yield made
        path.put(made)


@contextmanager
def brought_here(path: Path) -> Iterator[Path]:
    """A file with what lies at that path: the path itself, or where it is an address a copy on this computer, which
    goes at the end; who has it open or mapped by then keeps it.

    Raises FileNotFoundError, BadInput where there is no room for a copy, and Unreachable.
    """
    if not isinstance(path, RemotePath):
        yield path
        return
    with spool() as folder:
        path.get(folder / path.name)
        yield folder / path.name


@contextmanager
def spool() -> Iterator[Path]:
    """A folder among the system's temporary files ($TMPDIR), which goes at the end.

    Raises BadInput where there is no room for what is written into it.
    """
    with tempfile.TemporaryDirectory(prefix=SPOOL, ignore_cleanup_errors=True) as folder:  # Windows keeps what is open
        try:
            yield Path(folder)
        except OSError as fault:
            if not _is_full(fault):
                raise
            raise BadInput(
                f"There is no room for temporary files in {tempfile.gettempdir()}; make some, or set TMPDIR to a "
                "folder that has it."
            ) from None


@total_ordering
class RemotePath:
    """What is asked here of a pathlib.Path, of a file or folder at an address.

    What its folder's listing says of a file is taken as it is. All that looks raises BadInput where fsspec, or its
    package for the protocol, is not installed, and Unreachable where the place does not answer.
    """

    def __init__(self, address: str, *, info: Mapping[str, Any] | None = None) -> None:
        """info: what the listing of its folder says of it."""
        protocol, rest = _split(address)
        self._protocol, self._rest = protocol, rest
        if info is not None:
            self._info = info

    def __str__(self) -> str:
        return f"{self._protocol}://{self._rest}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __fspath__(self) -> str:
        return str(self)

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self}/{name}")

    def __reduce__(self) -> tuple[type[RemotePath], tuple[str]]:
        return RemotePath, (str(self),)

    # --- the name

    @property
    def name(self) -> str:
        return self._rest.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        return RemotePath(f"{self._protocol}://{self._rest.rpartition('/')[0] or self._rest}")

    def with_name(self, name: str) -> RemotePath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> RemotePath:
        return self.with_name(self.stem + suffix)

    def relative_to(self, other: Path | RemotePath) -> PurePosixPath:
        above = _split(str(other))[1]
        return PurePosixPath(self._rest).relative_to(above)

    def resolve(self) -> RemotePath:
        return self

    expanduser = absolute = resolve

    # --- what there is

    @cached_property
    def _files(self) -> Any:
        """fsspec's file system of the protocol."""
        try:
            import fsspec
        except ImportError:
            raise BadInput(
                f"{self} takes the package fsspec, which is not installed; install it ({INSTALL})."
            ) from None
        try:
            return fsspec.filesystem(self._protocol)
        except ImportError as fault:
            said = str(fault).split("\n")[0].rstrip(".")
            raise BadInput(f"{self._protocol}:// takes one more package: {said}.") from None
        except ValueError:
            raise BadInput(f"fsspec knows no {self._protocol}://; name a place that it knows, or a path.") from None
        except Exception as fault:
            raise _unreachable(self, fault) from None

    @cached_property
    def _path(self) -> str:
        """Where it is in its file system."""
        return str(self._files._strip_protocol(str(self)))

    @cached_property
    def _info(self) -> Mapping[str, Any] | None:
        """What the file system says of it; None where there is nothing."""
        files, path = self._files, self._path
        try:
            return cast(Mapping[str, Any], files.info(path))
        except FileNotFoundError as fault:
            if _is_of_the_network(fault.__cause__):  # http:// says of every fault that there is no such file
                raise _unreachable(self, fault.__cause__) from None
            return None
        except Exception as fault:
            raise _unreachable(self, fault) from None

    def anew(self) -> RemotePath:
        """The same place with nothing known of it: neither here nor in what fsspec keeps of listings."""
        self._files.invalidate_cache()
        return RemotePath(str(self))

    def exists(self) -> bool:
        return self._info is not None

    def is_file(self) -> bool:
        return self.exists() and not self.is_dir()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        info = self._info or {}
        listed = str(info.get("mimetype", "")).startswith("text/html")  # http:// has no folders but pages of links
        return info.get("type") == "directory" or listed

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> SimpleNamespace:
        """Its size in bytes and the time of its last change, or another number that changes with it.

        Raises FileNotFoundError.
        """
        info = self._info
        if info is None:
            raise FileNotFoundError(2, "No such file", str(self))
        if info.get("size") is None and not self.is_dir():  # as the pages of http:// do not say it
            self.__dict__.pop("_info")
            info = self._info or info
        return SimpleNamespace(st_size=int(info.get("size") or 0), st_mtime_ns=_changed(info), st_ino=0)

    def iterdir(self) -> Iterator[RemotePath]:
        files, path = self._files, self._path
        with _reaching(self):
            listed = files.ls(path, detail=True)
        yield from (found for info in listed if (found := self._below(info)) and found != self)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files in it whose names match, as of now: others may write there. None where there is no such folder."""
        yield from (path for _, path in self.anew()._all if fnmatch(path.name, pattern))

    def walk(self) -> Iterator[tuple[str, RemotePath]]:
        """The files in it and in its folders, each by its name relative to it."""
        yield from self._all

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """The files in it and in its folders whose names match."""
        yield from (path for _, path in self._all if fnmatch(path.name, pattern))

    @cached_property
    def _all(self) -> list[tuple[str, RemotePath]]:
        files, path = self._files, self._path
        with _reaching(self):
            listed = files.find(path, detail=True).values()
        found = [one for info in listed if (one := self._below(info)) and one != self]
        return [(one.relative_to(self).as_posix(), one) for one in found]

    def _below(self, info: Mapping[str, Any]) -> RemotePath | None:
        """A file or folder that was listed; None for a link of a page that is none, as for another order of it."""
        if "?" in info["name"] and "http" in self._protocol:
            return None
        return RemotePath(self._files.unstrip_protocol(info["name"]), info=info)

    # --- reading and writing

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """The file to be read from any place, in pieces."""
        if mode != "rb":
            raise ValueError(mode)
        return io.BufferedReader(_Pieces(self), READ_AHEAD)

    def read_bytes(self) -> bytes:
        files, path = self._files, self._path
        with _reaching(self):
            return bytes(files.cat_file(path))

    def piece(self, start: int, stop: int) -> bytes:
        """The bytes from one place up to another; raises BadInput where they are not what was asked for."""
        files, path = self._files, self._path
        with _reaching(self):
            data = bytes(files.cat_file(path, start=start, end=stop))
        if len(data) != stop - start:
            raise BadInput(f"{self} is not given in pieces, or has changed; copy it to this computer.")
        return data

    def write_bytes(self, data: bytes) -> int:
        files, path = self._files, self._path
        with _sending(self):
            files.pipe_file(path, data)
        self._forget()
        return len(data)

    def put(self, local: Path) -> None:
        """Write what is in a file on this computer, a block after another."""
        files, path = self._files, self._path
        with _sending(self):
            files.put_file(str(local), path)
        self._forget()

    def get(self, local: Path) -> None:
        """Write what is in it into a file on this computer, a block after another.

        Raises FileNotFoundError, OSError where this computer has no room, and Unreachable.
        """
        files, path = self._files, self._path
        try:
            files.get_file(path, str(local))
        except FileNotFoundError as fault:
            if _is_of_the_network(fault.__cause__):
                raise _unreachable(self, fault.__cause__) from None
            raise
        except PermissionError:
            raise Unreachable(f"{self} may not be read; check your keys for it.") from None
        except Exception as fault:
            if _is_full(fault):
                raise
            raise _unreachable(self, fault) from None

    def unlink(self) -> None:
        """Remove the file."""
        files, path = self._files, self._path
        with _sending(self):
            files.rm_file(path)
        self._forget()

    def remove(self) -> None:
        """Remove the files in it and in its folders, each of them that somebody else has not removed already."""
        files = self._files
        with _sending(self):
            for _, file in self.anew()._all:
                with suppress(FileNotFoundError):
                    files.rm_file(file._path)
            with suppress(FileNotFoundError):  # object stores have no folders that could be left
                files.rm(self._path, recursive=True)
        self._forget()

    def _forget(self) -> None:
        for known in ("_info", "_all"):
            self.__dict__.pop(known, None)

    def check_writable(self) -> None:
        """Raise BadInput where nothing can be written beside it; what is written for the trial is removed again."""
        files, path = self._files, self._path
        trial = f"{path}.{uuid4().hex[:8]}.trial"  # others may try at the same time
        with _writing(self):
            files.pipe_file(trial, b"trial")
            files.rm_file(trial)


class _Pieces(io.RawIOBase):
    """A file at an address, read by pieces."""

    def __init__(self, path: RemotePath) -> None:
        super().__init__()
        self._of, self._place = path, 0
        stat = path.stat()
        self._size, self._changed, self._looked_at = stat.st_size, stat.st_mtime_ns, monotonic()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if before + offset < 0:
            raise ValueError("negative seek")
        self._place = before + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        stop = min(self._place + len(room), self._size)
        if stop <= self._place:
            return 0
        self._look()
        data = self._of.piece(self._place, stop)
        room[: len(data)] = data
        self._place = stop
        return len(data)

    def _look(self) -> None:
        """Raise BadInput where another file lies there by now: unlike on this computer, its bytes are given then."""
        if monotonic() - self._looked_at < LOOK_EVERY:
            return
        try:
            same = is_still(self._of, size=self._size, changed=self._changed)
        except FileNotFoundError:
            raise Unreachable(f"{self._of} is not there any more; put it back, or open the set again.") from None
        if not same:
            raise BadInput(f"{self._of} has changed since it was opened; open the set again.")
        self._looked_at = monotonic()


def is_still(path: Path | RemotePath, *, size: int, changed: int) -> bool:
    """Whether the file there has that size in bytes and that time of its last change, in nanoseconds.

    An address is asked anew; some of them tell the time to the second, where their listings are more exact. Raises
    FileNotFoundError.
    """
    if not isinstance(path, RemotePath):
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (size, changed)
    now = path.anew().stat()
    same_second = now.st_mtime_ns // _SECOND == changed // _SECOND and 0 in (
        now.st_mtime_ns % _SECOND,
        changed % _SECOND,
    )
    return bool(now.st_size == size and (now.st_mtime_ns == changed or same_second))


def _changed(info: Mapping[str, Any]) -> int:
    """When a file was last changed, in nanoseconds since 1970; where that is not said, a number of its version."""
    for time in (info[name] for name in _TIMES if name in info):
        if isinstance(time, datetime):
            return int(time.timestamp() * 1e9)
        if isinstance(time, int | float):
            return int(time * 1e9)
    said = [str(info[name]) for name in _VERSIONS if name in info]
    return int.from_bytes(hashlib.sha256(repr(said).encode()).digest()[:7], "big") if said else 0


def _split(address: str) -> tuple[str, str]:
    """ "s3://bucket/a/" -> "s3", "bucket/a"; also of what lost a slash on its way through os.path."""
    found = _ADDRESS.match(address)
    if not found:
        raise ValueError(address)
    return found[1].lower(), address[found.end() :].rstrip("/")


@contextmanager
def _reaching(path: RemotePath) -> Iterator[None]:
    try:
        yield
    except (BadInput, Unreachable):
        raise
    except FileNotFoundError as fault:
        if _is_of_the_network(fault.__cause__):
            raise _unreachable(path, fault.__cause__) from None
        raise BadInput(f"{path} is not there; check the address.") from None
    except PermissionError:
        raise BadInput(f"{path} may not be read; check your keys for it.") from None
    except Exception as fault:
        raise _unreachable(path, fault) from None


@contextmanager
def _writing(path: RemotePath) -> Iterator[None]:
    try:
        yield
    except (BadInput, Unreachable):
        raise
    except Exception as fault:
        raise BadInput(f"Nothing can be written to {path} ({_said(fault)}); name another place.") from None


@contextmanager
def _sending(path: RemotePath) -> Iterator[None]:
    """What was tried before is written: that it fails now may pass."""
    try:
        yield
    except (BadInput, Unreachable):
        raise
    except PermissionError:
        raise BadInput(f"Nothing may be written to {path}; check your keys for it, or name another place.") from None
    except Exception as fault:
        raise Unreachable(f"{path} could not be written ({_said(fault)}); start the same again.") from None


def _is_full(fault: Exception) -> bool:
    """Whether a disk of this computer takes no more."""
    return isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def _is_of_the_network(fault: BaseException | None) -> TypeGuard[OSError]:
    return isinstance(fault, OSError) and not isinstance(fault, FileNotFoundError)


def _unreachable(path: RemotePath, fault: Exception) -> Unreachable:
    return Unreachable(
        f"{path} cannot be reached ({_said(fault)}); check the address, the network and your keys for it."
    )


def _said(fault: Exception) -> str:
    return shown(f"{type(fault).__name__}: {fault}".strip(": "), longest=120).strip("'\"")
