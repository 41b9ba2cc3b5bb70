"""How fast the Codebook page answers in a real browser, beside what it cannot do without.

python -m benchmarks.codebook_page [--codes 262144]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, expect, sync_playwright

from explorer.codebook.tiles import CODES_PER_BATCH, FIELD, code_tiles
from tests.browser import launch, serve_app
from vqvae import checkpoint
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import prepare

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
CLICKS = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codebook_page", description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, default=262_144, help="size of the large codebook that is made for this")
    codes = parser.parse_args().codes
    _wall_cold()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["VQVAE_EXPLORER_CACHE"] = str(folder / "cache")
        (folder / "photos").symlink_to(CHECKPOINTS / "photos")
        torch.manual_seed(0)
        config = VQVAEConfig(codes=codes, embedding_dim=8, channels=(8, 16, 32), blocks=(1, 1, 1))
        checkpoint.save(folder / "many", prepare(VQVAE(config)), {"summary": "Random weights, for measuring."})
        with serve_app(folder, folder / "log") as url, sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(300_000)
            expect.set_options(timeout=300_000)
            for name in ("photos", "many"):
                _in_browser(page, url, name)
            browser.close()


def _wall_cold() -> None:
    """All tiles of a codebook of 1,024, against the bare decoding of the same fields."""
    model = checkpoint.load(CHECKPOINTS / "photos")
    field = torch.zeros(CODES_PER_BATCH, FIELD, FIELD, dtype=torch.int64)
    codes = model.spec.grid.codes
    batches = -(-codes // CODES_PER_BATCH)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                model.decode(model.lookup((field,)))

    tiles, decoding = _fastest(lambda: code_tiles(model)), _fastest(bare)
    print(f"wall of {codes:,} tiles: {tiles:.0f} ms, {tiles / decoding:.2f}× its bare decodes", flush=True)


def _in_browser(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/codebook?checkpoint={name}&code=0")
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    page.wait_for_timeout(3000)
    page.locator(".st-key-wall .rows").evaluate("rows => (rows.scrollTop = 0)")
    box = page.locator(".st-key-wall canvas").bounding_box()
    assert box is not None
    clicks = [_answered(page, box["x"] + 14 + 30 * n % 480, box["y"] + 14 + 30 * (n // 16)) for n in range(CLICKS)]
    print(f"{name}: click on the wall to dossier, p50 {statistics.median(clicks):.0f} ms, p95 {_p95(clicks):.0f} ms")
    started = time.perf_counter()
    page.get_by_text("Map", exact=True).click()
    expect(page.locator(".st-key-codebook-map .js-plotly-plot .gl-canvas").first).to_be_visible()
    page.wait_for_function(
        "() => document.querySelector('.st-key-codebook-map .js-plotly-plot')?._fullData?.[0]?.x?.length > 0"
    )
    print(f"{name}: map of its codes on the screen after {time.perf_counter() - started:.1f} s", flush=True)


def _answered(page: Page, x: float, y: float) -> float:
    """Milliseconds from a click to the number of another code in the dossier."""
    number = page.get_by_label("Code", exact=True)
    before = number.input_value()
    started = time.perf_counter()
    page.mouse.click(x, y)
    expect(number).not_to_have_value(before)
    return 1000 * (time.perf_counter() - started)


def _fastest(call: Callable[[], object]) -> float:
    """Milliseconds of the fastest of five."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


def _p95(values: list[float]) -> float:
    return float(np.quantile(values, 0.95))


if __name__ == "__main__":
    main()
