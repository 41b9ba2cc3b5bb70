"""Locks between processes: one that is killed holds none any more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, does the same with a folder; then keep them out meanwhile.

    Not on Windows, where a folder cannot be locked. Raises OSError where there is no such folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(file: Path) -> Iterator[bool]:
    """Whether no other process holds the lock that a file stands for; if so, this one holds it meanwhile.

    True as well where that cannot be told: there is no such file, or it cannot be locked, as on Windows. False of
    another person's file.
    """
    try:
        import fcntl

        descriptor = os.open(file, os.O_RDWR)  # NFS locks nothing that is open for reading alone
    except (ImportError, OSError) as fault:
        yield not isinstance(fault, PermissionError)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError as fault:
        free = not isinstance(fault, BlockingIOError)
    try:
        yield free
    finally:
        os.close(descriptor)
