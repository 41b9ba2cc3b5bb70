"""What a visitor's session holds of the server's memory, at first and after long editing: python -m benchmarks.sessions

Starts the app by itself for each number of visitors. Each of them opens `--pictures` pictures one after the other, in
one session, and paints `--strokes` strokes, evenly over them. Memory is read when nothing is at work. What all visitors
share, such as opened pictures, is the first visitor's: the last column is what one more takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.edit_latency import CHECKPOINTS
from benchmarks.server import memory
from explorer.images.samples import SAMPLES
from tests.browser import serve_app
from tests.visitor import Painter

HEADS = "visitors       idle, MiB   all have come   after editing  when they left   one more, MiB"
TURNS = 4  # visitors at work at a time: memory is asked for, not speed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[1, 10, 40])
    parser.add_argument("--strokes", type=int, default=200, help="of each visitor")
    parser.add_argument("--pictures", type=int, default=30, help="that each visitor opens")
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    print(HEADS)
    before = None
    for visitors in options.visitors:
        found = _measure(visitors, options)
        line = f"{visitors:>8}" + "".join(f"{value:>16.0f}" for value in found)
        if before is not None:
            line += f"{(found[2] - before[1][2]) / (visitors - before[0]):>16.1f}"
        print(line, flush=True)
        before = visitors, found


def _measure(visitors: int, options: argparse.Namespace) -> list[float]:
    """The server's memory when it is idle, when all have come, after all have edited, and when they have left, MiB."""
    with tempfile.TemporaryDirectory() as made:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        os.environ["STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL"] = "1"
        with serve_app(CHECKPOINTS, Path(made) / "log") as url:
            return asyncio.run(_visit(url, visitors, options))


async def _visit(url: str, visitors: int, options: argparse.Namespace) -> list[float]:
    while not await _is_ready(url):
        await asyncio.sleep(0.5)
    found = [memory()]
    random = [np.random.default_rng(number) for number in range(visitors)]
    painters = [Painter(url, SAMPLES[0].name, options.size, own) for own in random]
    gate = asyncio.Semaphore(TURNS)

    async def edit(painter: Painter, number: int) -> None:
        pictures = [(sample.name, options.size) for sample in SAMPLES]
        each = options.strokes // options.pictures
        for picture, size in islice(cycle(pictures), number, number + options.pictures):
            async with gate:
                await painter.choose(picture, size)
                for _ in range(each):
                    await painter.stroke()
                painter.screens.clear()

    for painter in painters:
        await painter.come()
    found.append(memory())
    await asyncio.gather(*(edit(painter, number) for number, painter in enumerate(painters)))
    found.append(memory())
    for painter in painters:
        await painter.leave()
    await asyncio.sleep(3)
    last = Painter(url, SAMPLES[0].name, options.size, np.random.default_rng(0))  # who comes has the others let go of
    await last.come()
    await last.leave()
    await asyncio.sleep(3)
    found.append(memory())
    return found


async def _is_ready(url: str) -> bool:
    try:
        await Painter(url, "", 0, np.random.default_rng(0)).tab.ask("/healthz")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
