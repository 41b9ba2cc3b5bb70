"""An index made in this process and by Ray's workers, side by side: python -m benchmarks.engines PHOTOS

Each way runs in a process of its own, on one thread a worker. Its CPU time counts all processes that it started.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from explorer.base.open_model import open_folder
from explorer.engines import IN_PROCESS, Engine
from explorer.images.sets import find_set
from explorer.index.parts import build_by
from vqvae.places import find_checkpoint

NOTHING = "nothing"  # no images: what there is to pay before the first one


def cpu_seconds() -> float:
    """Of this process and all that it started, those that have ended and were waited for among them."""
    import psutil
    import ray  # noqa: F401 - brings psutil with it

    here = psutil.Process()
    found = 0.0
    for process in (here, *here.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found += times.user + times.system + times.children_user + times.children_system
    return found


def one_way(options: argparse.Namespace) -> None:
    """Make the index with so many workers, 0 for this process, and print what it took, as JSON."""
    import torch

    torch.set_num_threads(1)
    began = time.monotonic()
    engine: Engine = IN_PROCESS
    if options.only:
        from explorer.engines.on_ray import OnRay

        engine = OnRay(workers=options.only)
    images = 0
    if options.photos == NOTHING:
        assert list(engine.each([1] * max(1, options.only), abs))
    else:
        model, photos = open_folder(find_checkpoint(options.checkpoint)), find_set(options.photos, options.under)
        with tempfile.TemporaryDirectory() as folder:
            index = build_by(engine, model, photos, working_size=options.size, path=Path(folder) / "an.index")
        images = index.images
    print(json.dumps({"wall": time.monotonic() - began, "cpu": cpu_seconds(), "images": images}))


def measured(words: list[str]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", *words], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("photos", help="a set of images, as for the command index")
    parser.add_argument("--under", default="", help="use only images below this folder of the set")
    parser.add_argument("--checkpoint", default="photos", help="a name in checkpoints/ (default: photos)")
    parser.add_argument("--size", type=int, default=256, help="pixels on the long side (default: 256)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only is not None:
        one_way(options)
        return 0
    rest = ["--under", options.under, "--checkpoint", options.checkpoint, "--size", str(options.size)]
    here = measured([options.photos, *rest, "--only", "0"])
    bare = measured([NOTHING, *rest, "--only", "0"])
    images = here["images"]
    a_photo = {"cpu": (here["cpu"] - bare["cpu"]) / images, "wall": (here["wall"] - bare["wall"]) / images}
    print(f"{images:,.0f} photos at {options.size} px; CPU and wall seconds, before the first photo and in all")
    print(
        f"  {'':<14}{'before':>9}{'in all':>9}{'a photo':>10}{'ratio':>8}{'wall before':>14}{'in all':>9}{'ratio':>8}"
    )

    def row(name: str, before: dict[str, float], whole: dict[str, float]) -> None:
        each = (whole["cpu"] - before["cpu"]) / images
        print(
            f"  {name:<14}{before['cpu']:>9.1f}{whole['cpu']:>9.1f}{each:>10.4f}{each / a_photo['cpu']:>7.2f}×"
            f"{before['wall']:>14.1f}{whole['wall']:>9.1f}{whole['wall'] / here['wall']:>7.2f}×",
            flush=True,
        )

    row("in process", bare, here)
    for workers in options.workers:
        before = measured([NOTHING, *rest, "--only", str(workers)])
        whole = measured([options.photos, *rest, "--only", str(workers)])
        row(f"Ray, {workers} worker{'s' * (workers > 1)}", before, whole)
        saved = a_photo["wall"] - (whole["wall"] - before["wall"]) / images
        if saved > 0:
            print(f"  {'':<14}faster from {(before['wall'] - bare['wall']) / saved:,.0f} photos on, at this pace")
    return 0


if __name__ == "__main__":
    sys.exit(main())
