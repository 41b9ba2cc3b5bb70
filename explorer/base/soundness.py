"""Checkpoints whose weights are no numbers: found out before they are offered, once for each content of their files."""

import threading
from functools import partial
from pathlib import Path

from explorer.base.job import Job, Progress
from vqvae import checkpoint
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo

AT_ONCE = 1 << 28  # bytes of weights that are read before anything is offered: a second, from a disk that is not warm

Found = list[CheckpointInfo | BrokenCheckpoint]
_Stamp = tuple[str, int, int]  # of the weights: path, size, time of change


class Soundness:
    """What was found out about the weights of checkpoints.

    The smallest are read at once. What is more than `AT_ONCE` is read beside, and offered until it was: opening it
    finds the same fault.
    """

    def __init__(self) -> None:
        self._faults: dict[_Stamp, str] = {}
        self._lock = threading.Lock()
        self._beside: Job[None] | None = None

    def sort(self, found: Found) -> Found:
        """The entries, those whose weights are known not to be finite as broken ones."""
        stamps = {entry.folder: _stamp(entry.weights) for entry in found if isinstance(entry, CheckpointInfo)}
        with self._lock:
            self._look_at(stamps)
            faults = {folder: self._faults.get(stamp, "") for folder, stamp in stamps.items()}
        return [
            BrokenCheckpoint(entry.name, entry.folder, faults[entry.folder]) if faults.get(entry.folder) else entry
            for entry in found
        ]

    def wait(self) -> None:
        """Until what is read beside has been read."""
        if self._beside:
            self._beside.wait()

    def _look_at(self, stamps: dict[Path, _Stamp]) -> None:
        unknown = sorted((stamp[1], folder, stamp) for folder, stamp in stamps.items() if stamp not in self._faults)
        later: list[tuple[Path, _Stamp]] = []
        read = 0
        for size, folder, stamp in unknown:
            read += size
            if read > AT_ONCE:
                later.append((folder, stamp))
            else:
                self._faults[stamp] = checkpoint.value_fault(folder)
        if later and (self._beside is None or self._beside.state != "running"):
            self._beside = Job(lambda progress: self._read(later, progress))

    def _read(self, later: list[tuple[Path, _Stamp]], progress: Progress) -> None:
        for done, (folder, stamp) in enumerate(later):
            self._faults[stamp] = checkpoint.value_fault(folder, partial(progress, done, len(later)))


def _stamp(weights: Path) -> _Stamp:
    try:
        found = weights.stat()
    except OSError:  # gone since it was found; who opens it is told
        return str(weights), 0, 0
    return str(weights), found.st_size, found.st_mtime_ns
