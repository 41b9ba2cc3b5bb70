"""The app's files under faults: python -m benchmarks.faults [--kills 1000] [--flips 500] [--seconds 5].

Of each kind of file that the app keeps: a process that writes one after another is killed with SIGKILL at random
moments, and what can be read after that is sorted into the one before, the one that was being written, none, and
anything else, which is wrong; bytes of a file are flipped, and what is read then has to be refused or right; four
processes write and two read at once; and the disk is full, or may only be read, when the app's function says so in one
sentence and goes on. On systems that can fork and, for the disks, as root of Linux.
"""

import argparse
import io
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.caches import KINDS, Kind, write_number
from explorer.base import tidy
from explorer.base.job import unheard
from explorer.base.open_model import OpenModel, open_folder
from explorer.cli.main import main as command
from explorer.codebook import notes
from explorer.codebook.projection import ProjectionSettings
from explorer.codebook.projection_job import make_map
from explorer.compare import rate
from explorer.compare.measure import measure
from explorer.compare.records import Settings
from explorer.images.sets import open_set
from explorer.index.made import find_or_build
from tests.disks import fill, make_read_only, small_disk
from tests.toys import toy_model, write_toy_photos
from vqvae import checkpoint
from vqvae.checkpoint import LEFT_BEHIND
from vqvae.errors import BadInput

KILLS, FLIPS, SECONDS = 1000, 500, 5.0
WRITERS, READERS = 4, 2
CLEARED_EVERY = 10  # kills after which a folder is emptied: so there are misses, and what is added to stays small
LONGEST = 0.4  # seconds until a kill, at most


class Shared:
    """What a process that was killed had done: the number that it began last, and the last that it finished."""

    def __init__(self) -> None:
        self._memory = np.frombuffer(mmap.mmap(-1, 16), np.int64)
        self._memory[:] = -1

    began = property(lambda self: int(self._memory[0]), lambda self, number: self._memory.__setitem__(0, number))
    ended = property(lambda self: int(self._memory[1]), lambda self, number: self._memory.__setitem__(1, number))


def forked(work: Callable[[], None]) -> int:
    """A process that does the work and ends; its id. What this one has loaded, it has."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def under_kills(kind: Kind, folder: Path, kills: int, draw: random.Random) -> Counter[str]:
    """Kill a writer so many times, and sort what can be read after each."""
    found: Counter[str] = Counter()
    right = cache(kind.right)
    shared = Shared()
    first, finished = 0, set[int]()
    moment = 0.05
    for kill in range(kills):
        if kill % CLEARED_EVERY == 0:
            empty(folder)
            finished = set()

        def write_on(first: int = first, parent: int = os.getpid()) -> None:
            for number in range(first, sys.maxsize):
                if os.getppid() != parent:  # it was stopped itself
                    return
                shared.began = number
                kind.write(folder, number)
                shared.ended = number

        shared.began = shared.ended = first - 1
        started = time.monotonic()
        child = forked(write_on)
        time.sleep(draw.uniform(0, moment))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"The writer of {kind.name} failed before it was killed.")
        made = shared.ended - first + 1
        # Time for three of them, about, so that each moment of one is as likely.
        moment = min(LONGEST, 3 * (time.monotonic() - started) / made if made else 1.5 * moment)
        finished |= set(range(first, shared.ended + 1))
        read = kind.read(folder)
        found[sorted_into(kind, read, right, finished, shared.began if shared.began > shared.ended else None)] += 1
        finished |= set(read)
        first = shared.ended + 1  # the one that was broken off is begun again, as a person does
    left = temporaries(folder)
    for path in left:
        os.utime(path, (time.time() - LEFT_BEHIND - 60,) * 2)
    tidied(folder)
    found["left"], found["after an hour"] = len(left), len(temporaries(folder))
    return found


def sorted_into(
    kind: Kind, read: dict[int, Any], right: Callable[[int], Any], finished: set[int], broken_off: int | None
) -> str:
    """Old, new, miss, lost (something was finished, and nothing, or not all that was added, is there), or WRONG."""
    if any(content != right(number) for number, content in read.items()):
        return "WRONG"
    if broken_off in read and broken_off not in finished:
        return "new" if not kind.adds or finished <= set(read) else "lost"
    if not finished or not read:
        return "lost" if finished else "WRONG" if read else "miss"
    if kind.adds:
        return "old" if finished <= set(read) else "lost"
    return "old" if set(read) == {max(finished)} else "WRONG"


def temporaries(folder: Path) -> list[Path]:
    """Files below a folder that were being written."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.name.startswith(".") or path.name.endswith(tidy.TEMPORARY)]


def tidied(folder: Path) -> None:
    """Tidy a folder up as the app does its own: as the cache, as the person's data and as a model's."""
    with environment(VQVAE_EXPLORER_CACHE=str(folder), VQVAE_EXPLORER_DATA=str(folder)):
        tidy.tidy()


@contextmanager
def environment(**changes: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def empty(folder: Path) -> None:
    """Remove what was kept, and leave what killed writers left."""
    left = set(temporaries(folder))
    for path in sorted(folder.rglob("*"), reverse=True):
        if path not in left:
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()


# --- flipped bytes ----------------------------------------------------------------------------------------------------


def under_flips(kind: Kind, folder: Path, flips: int, draw: random.Random) -> Counter[str]:
    """Flip a byte at a time, half of them in the first part, where a file says what it holds."""
    found: Counter[str] = Counter()
    kind.write(folder, 1)
    (path,) = folder.glob(kind.file)
    whole = path.read_bytes()
    first = min(len(whole), 8 + int.from_bytes(whole[:8], "little")) if whole[:1] != b"{" else len(whole)
    right = {1: kind.right(1)}
    if kind.read(folder) != right:
        raise RuntimeError(f"What is read of {kind.name} is wrong before anything is flipped.")
    for flip in range(flips):
        place = draw.randrange(len(whole) if flip % 2 else first)
        put(path, flipped(whole, place, draw))
        read = kind.read(folder)
        found["refused" if not read else "harmless" if read == right else "WRONG"] += 1
    return found


def shards_under_flips(folder: Path, flips: int, draw: random.Random) -> Counter[str]:
    """Flip bytes in what an index in the making has on disk, and go on with it: the index has to be right."""
    index = KINDS[0]
    write_number(folder, 1)
    (path,) = folder.glob(index.file)
    whole, right = path.read_bytes(), {1: index.right(1)}
    found: Counter[str] = Counter()
    for _ in range(flips):
        path.unlink()
        with suppress(Exception):
            write_number(folder, 1, stop_at=2)
        shards = sorted(folder.rglob("*.shard.safetensors"))
        shard = draw.choice(shards)
        content = shard.read_bytes()
        put(shard, flipped(content, draw.randrange(len(content)), draw))
        write_number(folder, 1)
        found["harmless" if path.read_bytes() == whole and index.read(folder) == right else "WRONG"] += 1
    return found


def flipped(whole: bytes, place: int, draw: random.Random) -> bytes:
    return whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]


def put(path: Path, data: bytes) -> None:
    """As another file of that name: no reader still has the one before."""
    other = path.with_name("other")
    other.write_bytes(data)
    other.replace(path)


# --- many at once -----------------------------------------------------------------------------------------------------


def in_a_crowd(kind: Kind, folder: Path, seconds: float) -> Counter[str]:
    """Four processes that write and two that read for so long: what the readers read, and what is there at the end.

    Each does so once at least, however late a busy machine lets it begin.
    """
    found: Counter[str] = Counter()
    end = time.monotonic() + seconds
    right = cache(kind.right)
    written = np.frombuffer(mmap.mmap(-1, 8 * WRITERS), np.int64)
    read = np.frombuffer(mmap.mmap(-1, 24 * READERS), np.int64).reshape(READERS, 3)  # right, none, wrong

    def write(place: int) -> None:
        for _ in until(end):
            with suppress(BadInput):  # another one makes the index: it is to be waited for
                kind.write(folder, int(written[place]) * WRITERS + place)
                written[place] += 1

    def look(place: int) -> None:
        for _ in until(end):
            held = kind.read(folder)
            wrong = any(content != right(number) for number, content in held.items())
            read[place, 2 if wrong else 0 if held else 1] += 1

    writers = [forked(lambda place=place: write(place)) for place in range(WRITERS)]  # type: ignore[misc]
    readers = [forked(lambda place=place: look(place)) for place in range(READERS)]  # type: ignore[misc]
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in (*writers, *readers))
    wanted = {count * WRITERS + place for place in range(WRITERS) for count in range(int(written[place]))}
    held = kind.read(folder)
    lost = len(wanted - set(held)) if kind.adds else int((bool(wanted) and not set(held) <= wanted) or not held)
    found.update(dict(zip(("right", "none", "WRONG"), read.sum(0).tolist(), strict=True)))
    found.update({"written": int(written.sum()), "lost": lost, "failed": failed})
    found["WRONG"] += sum(content != right(number) for number, content in held.items())
    return found


def until(end: float) -> Iterator[None]:
    """Again and again until a moment, and once at least."""
    yield
    while time.monotonic() < end:
        yield


# --- disks that take nothing ------------------------------------------------------------------------------------------


def on_disks(folder: Path) -> list[tuple[str, str, str]]:
    """Kind, disk and what the app says, for disks that are full or may only be read; raises where it says nothing."""
    said = []
    for name, spoil in (("full", fill), ("read-only", make_read_only)):
        with ExitStack() as stack:
            disk = stack.enter_context(small_disk(folder / name, "2M"))
            photos = write_toy_photos(folder / f"photos-{name}", count=3, height=64, width=64)
            checkpoint.save(disk / "toy", toy_model(), {})
            stack.enter_context(environment(VQVAE_EXPLORER_CACHE=f"{disk}/app", VQVAE_EXPLORER_DATA=f"{disk}/app"))
            spoil(disk)
            model = open_folder(disk / "toy")
            said += [(kind, name, say(model, photos, disk)) for kind, say in SAYING.items()]
    return said


def _index_says(model: OpenModel, photos: Path, disk: Path) -> str:
    images, path = open_set(photos), disk / "app" / "index"
    index = find_or_build(model.tokenizer, images, checkpoint=model.fingerprint, working_size=64, path=path)
    return index.remark if index.images == 3 else ""


def _map_says(model: OpenModel, photos: Path, disk: Path) -> str:
    made = make_map(model.codebook.array, ProjectionSettings(method="pca"), disk / "app", progress=unheard)
    return made.remark


def _command_says(name: str) -> Callable[[OpenModel, Path, Path], str]:
    def says(model: OpenModel, photos: Path, disk: Path) -> str:
        told = io.StringIO()
        with redirect_stderr(told), redirect_stdout(io.StringIO()):
            status = command([name, str(model.folder), str(photos), "--size", "64"])
        return told.getvalue().strip() if status == 2 else ""

    return says


def _compared_says(model: OpenModel, photos: Path, disk: Path) -> str:
    found = measure([model], open_set(photos), Settings(working_size=64), kept=disk / "app" / tidy.COMPARED)
    return found.remark if len(found.rows) == 3 else ""


def _codecs_say(model: OpenModel, photos: Path, disk: Path) -> str:
    images = open_set(photos)
    rates = rate.rates_of(measure([model], images, Settings(working_size=64)))
    curves = rate.curves(rates, images, None, kept=rate.kept_folder())
    return rate.remark() if curves else ""


def _notes_say(model: OpenModel, photos: Path, disk: Path) -> str:
    try:
        notes.update(disk / "app", model.fingerprint, lambda now: now.with_star(1, True))
    except OSError as fault:
        kept = notes.load(disk / "app", model.fingerprint).starred == {1}
        return f"{notes.refusal(disk / 'app', fault)}" if kept else ""
    return ""


SAYING: dict[str, Callable[[OpenModel, Path, Path], str]] = {
    "index": _index_says,
    "projection": _map_says,
    "usage": _command_says("usage"),
    "fed": _command_says("fed"),
    "compared": _compared_says,
    "codecs": _codecs_say,
    "notes": _notes_say,
}


# --- the table --------------------------------------------------------------------------------------------------------


def table(heading: str, columns: list[str], rows: Iterable[tuple[str, Counter[str]]], bad: Sequence[str]) -> int:
    """Print rows as they come; the sum of the columns that should be zero."""
    print(f"{heading:<22}" + "".join(f"{column:>15}" for column in columns), flush=True)
    faults = 0
    for name, counts in rows:
        print(f"  {name:<20}" + "".join(f"{counts[column]:>15,}" for column in columns), flush=True)
        faults += sum(counts[column] for column in bad)
    print(flush=True)
    return faults


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help=f"of each kind (default: {KILLS:,})")
    parser.add_argument("--flips", type=int, default=FLIPS, help=f"of each kind (default: {FLIPS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"many at once, each (default: {SECONDS:g})")
    parser.add_argument("--no-disks", action="store_true", help="leave the disks out that are full or read-only")
    parser.add_argument("--kind", action="append", choices=[kind.name for kind in KINDS], help="only this; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not hasattr(os, "fork"):
        print("Nothing can be killed here: this system does not fork.")
        return 0
    draw = random.Random(options.seed)
    kinds = [kind for kind in KINDS if kind.name in (options.kind or [one.name for one in KINDS])]
    with tempfile.TemporaryDirectory(prefix="vqvae-faults-") as root:

        def folder(*parts: object) -> Path:
            made = Path(root, *map(str, parts))
            made.mkdir(parents=True)
            return made

        bad = table(
            f"{options.kills:,} × kill -9",
            ["old", "new", "miss", "lost", "WRONG", "left", "after an hour"],
            ((kind.name, under_kills(kind, folder("kills", kind.name), options.kills, draw)) for kind in kinds),
            ["lost", "WRONG", "after an hour"],
        )
        flips = [(kind.name, partial(under_flips, kind)) for kind in kinds]
        if KINDS[0] in kinds:
            flips.append(("index in the making", shards_under_flips))
        bad += table(
            f"{options.flips:,} flipped bytes",
            ["refused", "harmless", "WRONG"],
            ((name, flip(folder("flips", name), options.flips, draw)) for name, flip in flips),
            ["WRONG"],
        )
        bad += table(
            f"{WRITERS} write, {READERS} read",
            ["written", "right", "none", "lost", "WRONG", "failed"],
            ((kind.name, in_a_crowd(kind, folder("crowd", kind.name), options.seconds)) for kind in kinds),
            ["lost", "WRONG", "failed"],
        )
        if not options.no_disks:
            print("a disk that takes nothing")
            try:
                for kind, disk, said in on_disks(folder("disks")):
                    bad += not said
                    print(f"  {kind:<12}{disk:<11}{said or 'SAYS NOTHING'}".replace(root, "…"))
            except pytest.skip.Exception as reason:
                print(f"  not tried: {reason}")
    print(f"\n{'all as it should be' if not bad else f'{bad} FAULTS'}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
