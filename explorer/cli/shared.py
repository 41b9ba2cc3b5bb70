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
from typing import Any, TextIO

from tqdm import tqdm

from explorer.base.job import Cancelled
from explorer.base.open_model import (
    OpenModel,
    for_workers_on,
    on_another_device,
    open_folder,
    open_plugin,
    with_grid,
)
from explorer.base.tables import encodable
from explorer.images.sets import DATA
from explorer.images.sets import find_set as find_set
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.places import find_checkpoint
from vqvae.plugin import Request, on_device
from vqvae.remote import RemotePath
from vqvae.tokenizer import Tokenizer

HERE = "here"  # the engine that is this process
KEPT = "Stopped; what was done is kept. Go on with the same command."


class Stopped(Cancelled):
    """A signal stopped the work; the message says what became of it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def find_model(options: argparse.Namespace) -> OpenModel:
    """Open what `--tokenizer` names, or else the checkpoint; raises BadInput, also for several levels.

    `--device` is where it computes: here, or with the workers of another engine, and then it need not be here.
    """
    name = _only_name(options)
    elsewhere = getattr(options, "engine", HERE) != HERE
    device = None if elsewhere else options.device
    opened = open_plugin(Request(options.tokenizer, device)) if options.tokenizer else open_checkpoint(name, device)
    return with_grid(for_workers_on(opened, options.device) if elsewhere and options.device else opened)


def open_checkpoint(name: str, device: str | None) -> OpenModel:
    """Open a checkpoint by its name or folder, on a device where one is named; raises BadInput."""
    model = open_folder(find_checkpoint(name))
    return on_another_device(model, device) if device else model


def _only_name(options: argparse.Namespace) -> str:
    """The checkpoint, wherever it was named, or "" for a tokenizer; raises BadInput unless just one was named."""
    names = [name for place in ("before_data", "checkpoint") if (name := getattr(options, place, None))]
    if len(names) + bool(options.tokenizer) != 1:
        raise BadInput("Name one model: a checkpoint before the images, or --tokenizer in its place.")
    return names[0] if names else ""


def find_tokenizer(options: argparse.Namespace) -> Tokenizer:
    """What `--tokenizer` names, or else the checkpoint's, of any number of levels; raises BadInput."""
    if options.tokenizer:
        return Request(options.tokenizer, options.device).load()
    tokenizer = checkpoint.load(find_checkpoint(options.checkpoint))
    return on_device(tokenizer, options.device) if options.device else tokenizer


class CommandParser(ArgumentParser):
    """The parser of one command."""

    plugged = False  # whether a tokenizer is named in place of a checkpoint


class PluggedParser(CommandParser):
    """The parser of one command with `--tokenizer`."""

    plugged = True


def add_model(parser: CommandParser) -> None:
    """Which model: a checkpoint as the next argument, or `--tokenizer` without it."""
    if not parser.plugged:
        parser.add_argument("checkpoint", help="a name in checkpoints/, or a checkpoint's folder")
    _add_tokenizer(parser, parser)


def add_model_option(parser: CommandParser, *, otherwise: str = "") -> None:
    """Which model: `--checkpoint` or `--tokenizer`."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--checkpoint", help=f"a name in checkpoints/, or a checkpoint's folder{otherwise}")
    _add_tokenizer(parser, either)


def _add_tokenizer(parser: ArgumentParser, group: Any) -> None:
    group.add_argument(
        "--tokenizer", metavar="FILE.py:FUNCTION", help="in place of a checkpoint: run a file of your own"
    )
    parser.add_argument("--device", help="where to compute, for example cuda (default: the CPU)")


def written(path: Path, data: bytes, *, said_to: TextIO | None = None) -> None:
    """Write a file, whole or not at all, and say so, on standard output unless that is for something else."""
    if isinstance(path, RemotePath) or (path.exists() and not path.is_file()):  # elsewhere, or into a pipe
        path.write_bytes(data)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write_atomically(path, data)
    print(encodable(f"written: {path}"), file=said_to)


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
            self.bar.initial = self.bar.n = max(0, done - 1)  # done by runs before this one
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


def images_at_most(text: str) -> int:
    """How many images, for an option; raises what argparse says as an error."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("it has to be a whole number of images from 1")
    return int(text)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Reads an option's whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"it has to be a whole number from {low} to {high:,}")
        return int(text)

    return read


def blend_within(low: float, high: float) -> Callable[[str], float]:
    """Reads an option's blend within bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"it has to be a number from {low:g} to {high:g}")
        return value

    return read


def working_size(text: str) -> int:
    if not text.isdecimal() or not 16 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError("it has to be a whole number of pixels from 16 to 4096")
    return int(text)


def add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str) -> ArgumentParser:
    """A command that encodes a set of images: what to encode with what is said in the same way to each.

    The checkpoint comes first, as it does for all commands, or else as `--checkpoint`.
    """
    parser: CommandParser = commands.add_parser(name, help=summary, description=run.__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "before_data", nargs="?", metavar="checkpoint", help="a name in checkpoints/, or a checkpoint's folder"
    )
    parser.add_argument("data", help=DATA)
    add_model_option(parser, otherwise=", in place of the argument")
    parser.add_argument("--under", default="", help="use only images below this folder of the set, for example val")
    parser.add_argument("--size", type=working_size, default=256, help="pixels on the long side (default: 256)")
    return parser
