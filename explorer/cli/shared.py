"""What the commands share: how far the work is, how it is stopped, and which images and checkpoint are meant."""

import argparse
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from explorer.base.folders import checkpoints_folder
from explorer.base.job import Cancelled
from explorer.base.open_model import OpenModel, open_folder
from explorer.images.sets import SAMPLES, ImageSet, open_set, sample_set
from vqvae.errors import BadInput, shown

KEPT = "Stopped; what was done is kept. Go on with the same command."


class Stopped(Cancelled):
    """A signal stopped the work; the message says what became of it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def find_set(data: str, under: str) -> ImageSet:
    if data == SAMPLES and not Path(data).exists():
        return sample_set()
    return open_set(Path(data).expanduser(), under=under)


def find_checkpoint(name: str) -> Path:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = checkpoints_folder() / name
    if not folder.is_dir():
        raise BadInput(f"There is no checkpoint {shown(name)} in {checkpoints_folder()}; name one, or its folder.")
    return folder


def find_model(name: str) -> OpenModel:
    """Open a checkpoint by its name or its folder; raises BadInput."""
    return open_folder(find_checkpoint(name))


class Pace:
    """The progress of a command: a bar that says how far it is and how fast it goes, until a signal stops the work."""

    def __init__(self, total: int = 0, *, unit: str = "image", stopped: str = KEPT) -> None:
        quiet = not sys.stderr.isatty()  # a log file gets a line now and then, not a redrawn bar
        self.bar = tqdm(total=total, unit=unit, mininterval=30 if quiet else 0.2, ascii=quiet)
        self.stopped_by = 0  # a signal's number
        self.per_second = 0.0
        self._message = stopped
        self._begun = False
        self._started = time.monotonic()

    def __call__(self, done: int, total: int, stage: str = "") -> None:
        if not self._begun:
            self._begun, self.bar.total = True, total
            self.bar.initial = self.bar.n = done - 1  # done by runs before this one
        self.bar.update(done - self.bar.n)
        self.per_second = (done - self.bar.initial) / max(1e-9, time.monotonic() - self._started)
        if self.stopped_by:
            raise Stopped(self.stopped_by, self._message)


@contextmanager
def stoppable(pace: Pace) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the work after the image at hand; the second one stops it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        pace.stopped_by = number
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def working_size(text: str) -> int:
    if not text.isdecimal() or not 16 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError("it has to be a whole number of pixels from 16 to 4096")
    return int(text)


def add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str) -> ArgumentParser:
    """A command that encodes a set of images: what to encode with what is said in the same way to each."""
    parser: ArgumentParser = commands.add_parser(name, help=summary, description=run.__doc__)
    parser.set_defaults(run=run)
    parser.add_argument("data", help=f'a folder, tar or zip of images, or "{SAMPLES}" for the bundled ones')
    parser.add_argument("--checkpoint", required=True, help="a name in checkpoints/, or a checkpoint's folder")
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    return parser
