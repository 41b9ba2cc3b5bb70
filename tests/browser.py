"""What browser tests and benchmarks share: the app in a server of its own, Chromium, and small steps in it."""

import base64
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from explorer.base.cell import Cell
from explorer.images.pictures import Picture, open_picture
from explorer.images.samples import SAMPLES
from tests.get_browser import installed_browser

ROOT = Path(__file__).parents[1]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
CHROMIUM: dict[str, Any] = {"executable_path": installed_browser(), "args": FLAGS}  # None: Playwright's own
PATIENCE = 180_000  # ms; the machines that run this are small and shared
WINDOW = {"width": 1440, "height": 900}
ROWS, COLUMNS, STRIDE = 22, 32, 8  # of the first sample at 256 px
DEEP_LINK_NOISE = "404 (Not Found)"  # Streamlit looks for its server below the page's own path first


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def nobody_at(port: int = 0) -> Iterator[int]:
    """A port at which nobody answers, and that nobody is given meanwhile; 0: any that is free."""
    with socket.socket() as taken:
        if port and sys.platform != "win32":  # what was said there a moment ago lingers
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        yield int(taken.getsockname()[1])


@contextmanager
def serve_app(
    checkpoints: Path,
    log: Path,
    *,
    port: int | None = None,
    arguments: tuple[str, ...] = (),
    below: str = "",
    script: str = "app.py",
) -> Iterator[str]:
    """Run the app over a folder of checkpoints, and give its address once it answers.

    arguments: of the app; below: a path like "/tools/vq" that its address ends with.
    """
    port = port or free_port()
    url = f"http://localhost:{port}{below}"
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless=true", f"--server.port={port}"]
    environment = {**os.environ, "VQVAE_EXPLORER_CHECKPOINTS": str(checkpoints)}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--server.fileWatcherType=none", f"--server.baseUrlPath={below}", "--", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        for _ in range(720):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                time.sleep(0.25)
        else:
            raise TimeoutError(log.read_text())
        yield url
    finally:
        server.terminate()
        server.wait(20)


def is_at_home(url: str) -> bool:
    """Whether what a page asks for lies in it, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about", "file") or parts.hostname in ("localhost", "127.0.0.1")


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(**CHROMIUM)


def drawn(page: Page) -> None:
    """The canvas is on the screen, with its pictures."""
    expect(page.locator(".canvas[data-sequence]")).to_be_visible()


def pixels_of(canvas: Locator) -> np.ndarray:
    """What a <canvas> holds, exactly: uint8 [H, W, 3]."""
    return _of_url(canvas.evaluate("canvas => canvas.toDataURL('image/png')"))


def _of_url(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def pixels(page: Page, panel: str) -> np.ndarray:
    """What a panel's picture holds, exactly: uint8 [H, W, 3]."""
    return pixels_of(page.locator(f'[data-panel="{panel}"] .pixels'))


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until something holds that no locator tells; what happens in the page goes on meanwhile."""
    patience = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < patience, "It never came to that."
        page.wait_for_timeout(50)


def shows(page: Page, panel: str, picture: np.ndarray) -> None:
    """Wait until a panel's picture is this one, to the pixel: uint8 [H, W, 3]."""
    panels = page.locator(f'[data-panel="{panel}"] .pixels')

    def is_shown() -> bool:
        urls = panels.evaluate_all("all => all.map((canvas) => canvas.toDataURL('image/png'))")
        return len(urls) == 1 and np.array_equal(_of_url(urls[0]), picture)  # while a page is drawn anew there are two

    until(page, is_shown)


def act_and_wait(page: Page, action: Callable[[], object]) -> None:
    """Do something that asks the server for new pixels, and wait until they are there."""
    before = page.locator(".canvas").get_attribute("data-sequence")
    action()
    expect(page.locator(".canvas")).not_to_have_attribute("data-sequence", before or "")


def act_and_settle(page: Page, action: Callable[[], object]) -> None:
    """Do something in the editor, and wait until the answer to the last of what it asks for is drawn."""
    act_and_wait(page, action)
    expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")


def drop(place: Locator, *files: tuple[str, bytes]) -> None:
    """Drag files, each a name and its bytes, onto something and let go; fails if the browser would open them instead.

    As the browser's own, the events cross the border of a component.
    """
    place.evaluate(
        """(place, files) => {
            const dragged = new DataTransfer();
            for (const [name, text] of files) {
                const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
                dragged.items.add(new File([bytes], name, { type: 'image/png' }));
            }
            for (const type of ['dragover', 'drop']) {
                const does = { dataTransfer: dragged, bubbles: true, cancelable: true, composed: true };
                if (place.dispatchEvent(new DragEvent(type, does))) throw new Error(`the browser would leave: ${type}`);
            }
        }""",
        [(name, base64.b64encode(data).decode()) for name, data in files],
    )


def at_rest(page: Page) -> None:
    """The server has run the page to its end: what a click asks for now is not replaced under it."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


# --- the editor, with the first sample in it


def sample() -> Picture:
    return open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=256)


def shown(page: Page) -> np.ndarray:
    return pixels_of(page.locator(".stage .pixels"))


def place(page: Page, cell: Cell) -> tuple[float, float]:
    """Where the middle of a cell is on the screen, as long as nothing is zoomed."""
    box = page.locator(".stage .viewport").bounding_box()
    return (
        box["x"] + (cell[1] + 0.5) * STRIDE / 256 * box["width"],
        box["y"] + (cell[0] + 0.5) * STRIDE / 170 * box["height"],
    )


def draw(page: Page, *cells: Cell) -> None:
    """Press on the first cell, drag over the others, let go."""
    page.mouse.move(*place(page, cells[0]))
    page.mouse.down()
    for cell in cells[1:]:
        page.mouse.move(*place(page, cell), steps=3)
    page.mouse.up()


def stroke(page: Page, *cells: Cell) -> None:
    act_and_settle(page, lambda: draw(page, *cells))


def figure(page: Page, label: str) -> str:
    return page.locator(".figures dl > div", has_text=label).locator("dd").inner_text()


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    """Equal, but for a last bit that another process rounds another way."""
    assert np.abs(one.astype(int) - other).max() <= 1
