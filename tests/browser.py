"""What browser tests and benchmarks share: the app in a server of its own, Chromium, and small steps in it."""

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

ROOT = Path(__file__).parents[1]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DEEP_LINK_NOISE = "404 (Not Found)"  # Streamlit looks for its server below the page's own path first


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serve_app(checkpoints: Path, log: Path, *, port: int | None = None) -> Iterator[str]:
    """Run the app over a folder of checkpoints, and give its address once it answers."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    environment = {**os.environ, "VQVAE_EXPLORER_CHECKPOINTS": str(checkpoints)}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--server.fileWatcherType=none"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.25)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(20)


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium; Playwright's own cannot be downloaded everywhere."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)


def drawn(page: Page) -> None:
    """The canvas is on the screen, with its pictures."""
    expect(page.locator(".canvas[data-sequence]")).to_be_visible()


def pixels_of(canvas: Locator) -> np.ndarray:
    """What a <canvas> holds, exactly: uint8 [H, W, 3]."""
    url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def pixels(page: Page, panel: str) -> np.ndarray:
    """What a panel's picture holds, exactly: uint8 [H, W, 3]."""
    return pixels_of(page.locator(f'[data-panel="{panel}"] .pixels'))


def act_and_wait(page: Page, action: Callable[[], object]) -> None:
    """Do something that asks the server for new pixels, and wait until they are there."""
    before = page.locator(".canvas").get_attribute("data-sequence")
    action()
    expect(page.locator(".canvas")).not_to_have_attribute("data-sequence", before or "")


def act_and_settle(page: Page, action: Callable[[], object]) -> None:
    """Do something in the editor, and wait until the answer to the last of what it asks for is drawn."""
    act_and_wait(page, action)
    expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")


def at_rest(page: Page) -> None:
    """The server has run the page to its end: what a click asks for now is not replaced under it."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
