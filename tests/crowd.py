"""A crowd that paints on several processes of the app behind their proxy, as deploy/ has them."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.editing.edits import Edit, LiveDecoder
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES, find
from tests.browser import ROOT, free_port
from tests.image import Process, serve_image
from tests.proxy import COOKIE, serve_proxy
from tests.visitor import Painter
from vqvae import checkpoint
from vqvae.images import to_pixels

BEFORE, AFTER = 2, 2  # strokes of each, before a process is killed and after that
SIZE = 128
PICTURES = [sample.name for sample in SAMPLES[:4]]
PAUSE = 0.2  # seconds between two strokes of one of them


@dataclass(frozen=True)
class Served:
    url: str  # of the proxy
    processes: list[Process]

    def of(self, cookies: dict[str, str]) -> Process:
        """The process that somebody is with."""
        return self.processes[int(cookies[COOKIE].split(".")[1]) - 1]


@contextmanager
def serve_processes(folder: Path, number: int, **settings: str) -> Iterator[Served]:
    """So many processes of the app, and their proxy; settings: of the environment of each process."""
    ports = [free_port() for _ in range(number)]
    with serve_image(folder, ports, **settings) as processes, serve_proxy(ports) as url:
        yield Served(url, processes)


class Show:
    """People who come and paint at the same time, until they are told that a process was killed, and a while longer."""

    def __init__(self, url: str, number: int) -> None:
        self.painters = [
            Painter(url, PICTURES[place % len(PICTURES)], SIZE, np.random.default_rng(place)) for place in range(number)
        ]
        self.painting = threading.Event()  # all are at it
        self.killed = threading.Event()
        self.came_within = 0.0  # seconds

    async def run(self) -> None:
        began, gate = time.monotonic(), asyncio.Semaphore(4)

        async def come(painter: Painter) -> None:
            async with gate:
                await painter.come()

        await asyncio.gather(*map(come, self.painters))
        self.came_within = time.monotonic() - began
        await asyncio.gather(*(paint(painter, BEFORE) for painter in self.painters))
        self.painting.set()
        await asyncio.gather(*map(self._go_on, self.painters))

    async def _go_on(self, painter: Painter) -> None:
        while not self.killed.is_set():
            await paint(painter, 1)
        await paint(painter, AFTER)
        await painter.leave()


async def paint(painter: Painter, strokes: int) -> None:
    for _ in range(strokes):
        await asyncio.sleep(painter.random.exponential(PAUSE))
        await painter.stroke()


def wrong(painters: Sequence[Painter]) -> int:
    """How many screens are not what their grid decodes to, here."""
    model = checkpoint.load(ROOT / "checkpoints" / "photos")
    found = 0
    for name in PICTURES:
        sample = find(name)
        assert sample is not None
        picture = open_picture(sample.read(), sample.file, working_size=SIZE)
        base = encode_picture(model, picture).encoding
        height, width = picture.pixels.shape[:2]
        for painter in painters:
            decoder = LiveDecoder(model, base)
            for grid, pixels in painter.screens if painter.picture == name else ():
                decoded = decoder.decode(Edit(grid, np.ones(grid.shape, np.float32)))
                expected = to_pixels(decoded[..., :height, :width])[0]
                found += bool(np.abs(expected.astype(int) - pixels).max() > 1)
    return found
