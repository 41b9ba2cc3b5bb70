"""What the app's server has taken so far: it is a child of the process that measures (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def cpu_seconds() -> float:
    """CPU time of the server."""
    return sum((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") for fields in _stats())


def memory() -> float:
    """What of its memory is resident, in MiB."""
    return sum(int(fields[21]) * os.sysconf("SC_PAGE_SIZE") for fields in _stats()) / (1 << 20)


def _stats() -> Iterator[list[str]]:
    """The fields of /proc/PID/stat from the state on, of each server that this process has started."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == os.getpid() and b"streamlit" in (folder / "cmdline").read_bytes():
                yield fields
        except OSError:  # it has just ended
            continue
