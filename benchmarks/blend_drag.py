"""How many pictures a second the Inputs page shows while its blend slider is dragged, in a real browser.

Starts the app by itself. Each turn drags the slider from end to end and back, as fast as a hand does, and counts the
answers that are drawn; beside it stands what the server spends on one, and what a bare decode takes, which is the most
of it. A busy machine gives fewer: compare the times of one run with each other.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.edit_latency import CHECKPOINTS, PICTURE, WATCH, decodes
from benchmarks.server import cpu_seconds
from tests.browser import launch, serve_app
from vqvae import checkpoint

SWEEP_SECONDS = 1.6  # from one end of the slider to the other


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blend_drag", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6, help="of dragging, for each size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    options = parser.parse_args()
    model = checkpoint.load(CHECKPOINTS / "photos")
    with tempfile.TemporaryDirectory() as made:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        with serve_app(CHECKPOINTS, Path(made) / "log") as url, sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            for size in options.sizes:
                _in_browser(page, url, size, options.seconds, decodes(model, size)[1])
            browser.close()


def _in_browser(page: Page, url: str, size: int, seconds: float, bare: float) -> None:
    page.goto(f"{url}/inputs?picture={PICTURE}&size={size}")
    page.wait_for_selector(".editor[data-sequence]")
    page.wait_for_timeout(6000)  # the curve below is computed
    page.evaluate(WATCH)
    _drag(page, 1)
    page.wait_for_timeout(1500)
    page.evaluate("window.seen.length = 0")
    before = cpu_seconds()
    answers = _drag(page, seconds)
    cpu = 1000 * (cpu_seconds() - before) / max(1, len(answers))
    gaps = np.diff(answers)
    print(
        f"{size} px, slider dragged: {len(answers) / seconds:.1f} pictures a second; between two p50 "
        f"{np.median(gaps):.0f} ms, p95 {np.quantile(gaps, 0.95):.0f} ms; server CPU {cpu:.0f} ms a picture; "
        f"a bare decode {bare:.0f} ms",
        flush=True,
    )


def _drag(page: Page, seconds: float) -> list[float]:
    """When each picture came, in milliseconds, while the slider went to and fro."""
    box = page.locator(".amount input").bounding_box()
    assert box is not None
    left, width, middle = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(left + width / 2, middle)
    page.mouse.down()
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        place = 0.5 + 0.5 * np.sin(np.pi * passed / SWEEP_SECONDS)
        page.mouse.move(left + width * place, middle)
        page.wait_for_timeout(16)
    seen: list[float] = page.evaluate("window.seen")
    page.mouse.up()
    return seen


if __name__ == "__main__":
    main()
