"""The editor in a real browser: from a press on a cell to its new pixels, and how much of that the decoder is.

python -m benchmarks.edit_latency [--presses 40]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

from benchmarks.server import cpu_seconds
from explorer.editing.edits import LiveDecoder, unedited
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.images.samples import find
from tests.browser import launch, serve_app
from vqvae import checkpoint
from vqvae.tokenizer import Tokenizer

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
PICTURE = "astronaut"  # a square one: 32 × 32 cells at 256 px, 64 × 64 at 512
DRAG_SECONDS = 4
WATCH = """() => {
  const hosts = [...document.querySelectorAll('*')].filter((element) => element.shadowRoot);
  const editor = hosts.map((host) => host.shadowRoot.querySelector('.editor')).find(Boolean)
    ?? document.querySelector('.editor');
  const viewport = editor.querySelector('.stage .viewport');
  window.seen = [];
  viewport.addEventListener('pointerdown', () => (window.pressed = performance.now()), { capture: true });
  const answered = new MutationObserver((records) => {
    const news = records[0].oldValue !== editor.dataset.sequence; // else it was drawn for another reason
    if (news) window.seen.push(performance.now());
  });
  answered.observe(editor, { attributeFilter: ['data-sequence'], attributeOldValue: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edit_latency", description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=40)
    presses = parser.parse_args().presses
    model = checkpoint.load(CHECKPOINTS / "photos")
    window = {size: decodes(model, size) for size in (256, 512)}
    for size, (one_cell, whole) in window.items():
        print(
            f"{size} px: one cell's window {one_cell:.0f} ms, the whole {whole:.0f} ms: {whole / one_cell:.1f}× cheaper"
        )
    with tempfile.TemporaryDirectory() as made:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        with serve_app(CHECKPOINTS, Path(made) / "log") as url, sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            for size in window:
                _in_browser(page, url, size, presses, window[size][0])
            browser.close()


def decodes(model: Tokenizer, size: int) -> tuple[float, float]:
    """Milliseconds that one changed cell costs, and a decode of the whole picture; medians of turns."""
    sample = find(PICTURE)
    assert sample is not None
    picture = open_picture(sample.read(), sample.file, working_size=size)
    base = encode_picture(model, picture).encoding
    edit, live = unedited(base, weight=1), LiveDecoder(model, base)
    rows, columns = edit.indices.shape
    live.decode(edit)
    one_cell, whole = [], []
    for turn in range(12):
        indices = edit.indices.copy()
        indices[(turn * 7) % rows, (turn * 11) % columns] = turn
        changed = replace(edit, indices=indices)
        one_cell.append(_milliseconds(lambda changed=changed: live.decode(changed)))
        live.decode(edit)
        with torch.inference_mode():
            whole.append(_milliseconds(lambda: model.decode(base.quantized, base.embedding)))
    return statistics.median(one_cell), statistics.median(whole)


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def _in_browser(page: Page, url: str, size: int, presses: int, bare: float) -> None:
    page.goto(f"{url}/edit?picture={PICTURE}&size={size}")
    page.wait_for_selector(".editor[data-sequence]")
    page.wait_for_timeout(4000)
    page.evaluate(WATCH)
    box = page.locator(".stage .viewport").bounding_box()
    assert box is not None
    random = np.random.default_rng(0)
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in random.uniform(0.05, 0.95, (presses, 2))
    ]
    swatches = page.locator(".swatches button")
    swatches.nth(3).click()
    page.wait_for_timeout(1500)
    before = cpu_seconds()
    painted = [_press(page, place) for place in places]
    cpu = 1000 * (cpu_seconds() - before) / presses
    again = [_press(page, place) for place in places]  # the cells have that code already: nothing is decoded
    for name, taken in (("a press", painted), ("the same, nothing to decode", again)):
        middle, worst = np.quantile(taken, [0.5, 0.95])
        print(f"{size} px, {name}: p50 {middle:.0f} ms, p95 {worst:.0f} ms, {middle / bare:.2f}× the bare window")
    print(
        f"{size} px, over the bare window: {statistics.median(painted) - bare:+.0f} ms; server CPU {cpu:.0f} ms a press"
    )
    print(f"{size} px, while dragging: {_drag(page, box):.1f} pictures a second", flush=True)


def _press(page: Page, place: tuple[float, float]) -> float:
    """Milliseconds from the press to the first new pixels; a press and a release, as a person does it."""
    page.mouse.move(*place)
    page.evaluate("window.seen.length = 0")
    page.mouse.down()
    page.wait_for_function("window.seen.length > 0")
    page.mouse.up()
    taken = page.evaluate("window.seen[0] - window.pressed")
    page.wait_for_timeout(350)
    return float(taken)


def _drag(page: Page, box: dict[str, float]) -> float:
    """Pictures a second while a stroke is being drawn in circles."""
    page.locator(".swatches button").nth(8).click()
    page.wait_for_timeout(1000)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.evaluate("window.seen.length = 0")
    started, step = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < DRAG_SECONDS:
        angle, radius = step / 9, 0.42 * (0.3 + 0.7 * passed / DRAG_SECONDS)
        page.mouse.move(
            middle[0] + radius * box["width"] * np.cos(angle), middle[1] + radius * box["height"] * np.sin(angle)
        )
        page.wait_for_timeout(16)
        step += 1
    page.mouse.up()
    return float(page.evaluate("window.seen.length") / DRAG_SECONDS)


if __name__ == "__main__":
    main()
