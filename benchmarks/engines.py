"""An index made in this process and by Ray's workers, side by side: python -m benchmarks.engines PHOTOS

Each way runs in a process of its own, on one thread a worker, once over a few photos and once over all: the difference
is what a photo costs, and the rest what there is to pay before the first one. CPU time is that of all processes that
were started; wall time says little on a machine that is busy with other things. Where each worker has a core of its own
the photos are shared out among them, each at what one costs by Ray, and what there is to pay before is waited for.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.timing import print_columns
from explorer.base.open_model import open_folder
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import find_set
from explorer.index.parts import build_by
from vqvae.places import find_checkpoint
from vqvae.words import counted

FEW = 4  # photos
CORES = (2, 4, 8, 16)  # that workers would have, one each


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


def pays_from(here: Cost, there: Cost, *, share: int = 1) -> float | None:
    """From how many photos on it takes less time there, where so many share the photos; None for never."""
    saved = here.photo - there.photo / share
    return max(0.0, (there.start - here.start) / saved) if saved > 0 else None


def said(photos: float | None) -> str:
    return "never quicker" if photos is None else f"quicker from {photos:,.0f} photos on"


def name_of(workers: int) -> str:
    return f"Ray, {counted(workers, 'worker')}" if workers else "in process"


def row_of(name: str, found: dict[str, Cost], here: dict[str, Cost], photos: int) -> tuple[str, ...]:
    cpu, wall = found["cpu"], found["wall"]
    return (
        name,
        f"{cpu.start:.1f}",
        f"{cpu.photo:.4f}",
        f"{cpu.photo / here['cpu'].photo:.2f}",
        f"{wall.start:.1f}",
        f"{wall.photo:.4f}",
        f"{wall.of(photos):.0f}",
    )


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
    print(f"{photos:,} photos at {options.size} px, {options.checkpoint}\n", flush=True)
    heads = ("", "CPU s before", "CPU s a photo", "ratio", "s before", "s a photo", "s in all")
    ways = {workers: costs(options, workers=workers, photos=photos) for workers in options.workers}
    print_columns(
        heads, [row_of(name_of(workers), found, here, photos) for workers, found in {0: here, **ways}.items()]
    )
    print()
    for workers, found in ways.items():
        print(f"{name_of(workers)}, on this machine: {said(pays_from(here['wall'], found['wall']))}")
    last = ways[options.workers[-1]]["cpu"]
    for cores in CORES:
        print(f"{name_of(cores)}, each on a core of its own: {said(pays_from(here['cpu'], last, share=cores))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
