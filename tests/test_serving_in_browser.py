"""Two processes of the app behind its proxy, as deploy/ has them: forty paint at a time, and one process is killed."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, expect

from explorer import __version__
from explorer.images.reconstruction import encode_picture
from explorer.ui.transport import health, visitors
from tests.browser import draw, drawn, nobody_at, sample, stroke
from tests.conftest import CHECKPOINTS, ROOT
from tests.crowd import AFTER, BEFORE, Served, Show, serve_processes, wrong
from tests.image import Process, can_be_alone
from tests.test_drafts_in_browser import steps
from tests.visitor import Tab
from vqvae import checkpoint

PAINTERS = 40
PAGES = ["", *sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "reconstruct")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {visitors.MOST_VISITORS: "100", health.SWITCH: "1"}  # small pictures take little memory
    with serve_processes(tmp_path_factory.mktemp("image"), 2, **settings) as served:
        yield served


def test_every_page_opens_where_nothing_but_the_cache_can_be_written_and_sessions_are_counted(served: Served) -> None:
    model = {"name": "photos", "sha256": checkpoint.content_hash(CHECKPOINTS / "photos")}

    async def told_by(process: Process) -> dict[str, Any]:
        return json.loads(await Tab(f"http://127.0.0.1:{process.port}").ask("/healthz"))

    async def look() -> None:
        processes = [process for process in served.processes if process.process.poll() is None]
        before = [(await told_by(process))["sessions"] for process in processes]  # another test's may be counted yet
        tabs = [Tab(served.url) for _ in PAGES]
        for tab, page in zip(tabs, PAGES, strict=True):
            await tab.open(page)  # raises what the page shows of faults
        for process, others in zip(processes, before, strict=True):
            own = sum(served.of(tab.cookies) is process for tab in tabs)
            told = await told_by(process)
            sessions = told.pop("sessions")
            assert told == {"status": "ok", "version": __version__, "model": model, "fault": None}
            assert own <= sessions <= own + others
            metrics = await Tab(f"http://127.0.0.1:{process.port}").ask("/metrics")
            assert f"vqvae_explorer_sessions {sessions}" in metrics.decode().splitlines()
        for tab in tabs:
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
    show = Show(served.url, PAINTERS)
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
