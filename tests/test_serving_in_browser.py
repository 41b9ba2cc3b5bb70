"""Two processes of the app behind its proxy, as deploy/ has them: forty paint at a time, and one process is killed."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, expect

from explorer.editing.edits import Edit, LiveDecoder
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import SAMPLES, find
from explorer.ui.transport import visitors
from tests.browser import draw, drawn, free_port, nobody_at, sample, stroke
from tests.conftest import CHECKPOINTS, ROOT
from tests.image import Process, can_be_alone, serve_image
from tests.proxy import COOKIE, serve_proxy
from tests.test_drafts_in_browser import steps
from tests.visitor import Painter, Tab
from vqvae import checkpoint
from vqvae.images import to_pixels

PAINTERS = 40
BEFORE, AFTER = 2, 2  # strokes of each, before a process is killed and after that
SIZE = 128
PICTURES = [sample.name for sample in SAMPLES[:4]]
PAGES = ["", *sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "reconstruct")]
PAUSE = 0.2  # seconds between two strokes of one of them


@dataclass(frozen=True)
class Served:
    url: str  # of the proxy
    processes: list[Process]

    def of(self, cookies: dict[str, str]) -> Process:
        """The process that somebody is with."""
        return self.processes[int(cookies[COOKIE].split(".")[1]) - 1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    ports = [free_port(), free_port()]
    room = {visitors.MOST_VISITORS: "100"}  # small pictures take little memory
    with serve_image(tmp_path_factory.mktemp("image"), ports, **room) as processes, serve_proxy(ports) as url:
        yield Served(url, processes)


def test_every_page_opens_where_nothing_but_the_cache_can_be_written(served: Served) -> None:
    async def look() -> None:
        for page in PAGES:
            tab = Tab(served.url)
            await tab.open(page)  # raises what the page shows of faults
            await tab.close()

    with ThreadPoolExecutor(1) as pool:  # in a thread without a loop: this one has Playwright's
        pool.submit(asyncio.run, look()).result()
    said = "".join(process.log.read_text() for process in served.processes)
    assert "Traceback" not in said and "Read-only" not in said
    if can_be_alone():  # else no file system can be made read-only here
        app = Path(served.processes[0].log).parent / "app"
        assert not [path for path in app.rglob("*") if path.name in ("__pycache__", "written")]


def test_forty_paint_and_one_process_is_killed(served: Served, context: BrowserContext) -> None:
    """Whoever was with the killed process is back within a time that goes with how quick this machine is just now.

    Half of the forty come back to one process; when they came to it, the other half came to the other. What that took,
    and what the browser took to open the page, is allowed three times, as the others paint on meanwhile and other tests
    come and go; and ten seconds, in which whatever waits for something that is gone has to give up.
    """
    page, began = context.new_page(), time.monotonic()
    page.goto(f"{served.url}/edit")
    drawn(page)
    opened_within = time.monotonic() - began
    stroke(page, (2, 4), (2, 8))
    killed = served.of({cookie["name"]: cookie["value"] for cookie in context.cookies()})
    show = Show(served.url)
    with ThreadPoolExecutor(1) as pool, ExitStack() as held:
        painting = pool.submit(asyncio.run, show.run())
        try:
            while not show.painting.wait(0.2):
                assert not painting.done(), painting.result()
            struck = {painter for painter in show.painters if served.of(painter.tab.cookies) is killed}
            killed.kill()
            held.enter_context(nobody_at(killed.port))  # no other test is given it
            began = time.monotonic()
        finally:
            show.killed.set()  # or they would paint for ever
        draw(page, (4, 4), (4, 8))
        expect(page.locator(".figures dl > div", has_text="Changed cells").locator("dd")).to_contain_text(
            f"{changed_by_strokes()} of"
        )
        expect(page.locator(".unconnected")).to_be_hidden()
        expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")
        back_after = [time.monotonic() - began]
        painting.result()
        expect(steps(page)).to_have_count(2)
        expect(page.locator(".way")).to_be_hidden()  # edits take the socket again
    assert 0 < len(struck) < PAINTERS
    for painter in show.painters:
        assert len(painter.back_after) == (painter in struck)
        assert len(painter.screens) >= BEFORE + AFTER
        assert served.of(painter.tab.cookies) is not killed
        back_after += painter.back_after
    assert wrong(show.painters) == 0
    assert max(back_after) < 10 + 3 * (opened_within + show.came_within)


def changed_by_strokes() -> int:
    """How many cells the two strokes in the browser change, with the code that is used most."""
    indices = encode_picture(checkpoint.load(CHECKPOINTS / "photos"), sample()).indices
    return int((indices[2:6:2, 4:9] != np.bincount(indices.ravel()).argmax()).sum())


class Show:
    """Forty who come and paint at the same time, until they are told that a process was killed, and a while longer."""

    def __init__(self, url: str) -> None:
        self.painters = [
            Painter(url, PICTURES[number % len(PICTURES)], SIZE, np.random.default_rng(number))
            for number in range(PAINTERS)
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
    model = checkpoint.load(CHECKPOINTS / "photos")
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
