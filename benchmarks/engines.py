"""An index made in this process and by Ray's workers, side by side: python -m benchmarks.engines PHOTOS

Each way runs in a process of its own, on one thread a worker, once over a few photos and once over all: the difference
is what a photo costs, and the rest what there is to pay before the first one. CPU time is that of all processes that
were started; wall time says little on a machine that is busy with other things.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.base.open_model import open_folder
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import find_set
from explorer.index.parts import build_by
from vqvae.places import find_checkpoint

FEW = 4  # photos


@dataclass(frozen=True)
class Cost:
    """CPU or wall seconds."""

    start: float
    photo: float

    def of(self, photos: int) -> float:
        return self.start + self.photo * photos


def cpu_seconds() -> float:
    """Of this process, and of all that it started: those too that have ended and were waited for."""
    found = time.process_time()
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system + times.children_user + times.children_system
    return found


def one_way(options: argparse.Namespace) -> None:
    """Make the index of some photos with so many workers, 0 for this process, and print what it took, as JSON."""
    import torch

    torch.set_num_threads(1)
    began = time.perf_counter()
    engine: Engine = IN_PROCESS
    if options.only:
        from explorer.engines.on_ray import OnRay

        engine = OnRay(workers=options.only)
    model, photos = open_folder(find_checkpoint(options.checkpoint)), find_set(options.photos, options.under)
    photos = replace(photos, names=photos.names[: options.most])
    with tempfile.TemporaryDirectory() as folder:
        build_by(engine, model, photos, working_size=options.size, path=Path(folder) / "an.index")
    print(json.dumps({"cpu": cpu_seconds(), "wall": time.perf_counter() - began}))


def measured(options: argparse.Namespace, *, workers: int, photos: int) -> dict[str, float]:
    words = [options.photos, "--under", options.under, "--checkpoint", options.checkpoint, "--size", str(options.size)]
    words += ["--only", str(workers), "--most", str(photos)]
    command = [sys.executable, "-m", "benchmarks.engines", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def costs(options: argparse.Namespace, *, workers: int, photos: int) -> dict[str, Cost]:
    few, whole = (measured(options, workers=workers, photos=number) for number in (FEW, photos))
    found = {}
    for clock in ("cpu", "wall"):
        photo = (whole[clock] - few[clock]) / (photos - FEW)
        found[clock] = Cost(few[clock] - FEW * photo, photo)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("photos", help="a set of images, as for the command index")
    parser.add_argument("--under", default="", help="use only images below this folder of the set")
    parser.add_argument("--checkpoint", default="photos", help="a name in checkpoints/ (default: photos)")
    parser.add_argument("--size", type=int, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of Ray (default: 1 2)")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--most", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only is not None:
        one_way(options)
        return 0
    photos = len(find_set(options.photos, options.under).names)
    if photos <= 2 * FEW:
        parser.error(f"name a set of more than {2 * FEW} photos")
    here = costs(options, workers=0, photos=photos)
    print(f"{photos:,} photos at {options.size} px, {options.checkpoint}")
    print(f"  {'':<16}{'CPU s before':>14}{'a photo':>10}{'ratio':>8}{'wall s before':>16}{'a photo':>10}{'ratio':>8}")

    def row(name: str, found: dict[str, Cost]) -> None:
        columns = []
        for clock, width in (("cpu", 14), ("wall", 16)):
            cost = found[clock]
            columns.append(f"{cost.start:>{width}.1f}{cost.photo:>10.4f}{cost.photo / here[clock].photo:>7.2f}×")
        print(f"  {name:<16}{''.join(columns)}", flush=True)

    row("in process", here)
    for workers in options.workers:
        found = costs(options, workers=workers, photos=photos)
        row(f"Ray, {workers} worker{'s' * (workers > 1)}", found)
        more, saved = found["cpu"].start - here["cpu"].start, here["cpu"].photo * (1 - 1 / workers)
        if saved > 0:
            print(f"  {'':<16}what it pays before is won back after {more / saved:,.0f} photos, with a core a worker")
    return 0


if __name__ == "__main__":
    sys.exit(main())
