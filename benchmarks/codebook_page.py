"""How fast the Codebook page answers in a real browser, at several sizes of the codebook.

python -m benchmarks.codebook_page [--codes 1024 16384 262144]

1,024 is the shipped `photos`, which the server has ready at its start; larger ones are made for this, with random
weights, one for the wall and another one for the map. Either is opened cold, in a tab of its own: of the larger ones
the server knows nothing, and the browser has the page's scripts. The wall is what a link opens; the map of a model is
gone to by a link within the page, from the map of another one. Tiles and dots are grey until they are decoded; wall and
map are there once none is. Times are of this machine and of whatever else it does, for whose end is waited before;
beside each stands the CPU time that the server took for it, which is not.

The goals, on two quiet cores: wall and map are there 2 s after the link at 16,384 codes, and 6 s at 262,144. From a
click on the wall to the code's dossier it takes 200 ms (p50) and 350 ms (p95) at 1,024 codes, 250 and 400 ms at 16,384.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.server import cpu_seconds
from explorer.codebook.tiles import CODES_PER_BATCH, FIELD, code_tiles
from explorer.images.samples import sample_photos
from tests.browser import launch, serve_app
from vqvae import checkpoint
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import prepare

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
SHIPPED, OTHER = 1024, "photos-classic"
CLICKS = 20
RESTING = '[data-test-script-state="notRunning"]'
QUIET, PATIENCE = 0.3, 120  # CPU seconds a second that the machine may be at work; seconds until it is measured anyway
MAP = ".st-key-codebook-map .map"
LEAVE = "({ dataset, map }) => { delete dataset.drawn; return map.message.remembered; }"
# As a link of the app's own is followed, without leaving the page:
GO = "(link) => { history.pushState({}, '', link); dispatchEvent(new PopStateEvent('popstate')); }"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codebook_page", description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, nargs="+", default=[SHIPPED, 16_384, 262_144], help="sizes of codebooks")
    sizes = parser.parse_args().codes
    _wall_cold()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["VQVAE_EXPLORER_CACHE"] = str(folder / "cache")
        os.environ["VQVAE_EXPLORER_DATA"] = str(folder / "data")
        checkpoints = folder / "checkpoints"
        checkpoints.mkdir()
        for name in ("photos", OTHER):
            (checkpoints / name).symlink_to(CHECKPOINTS / name)
        for codes in sizes:
            if codes != SHIPPED:
                about = {"summary": "Random weights, for measuring."}
                for seed, view in enumerate(("wall", "map")):
                    checkpoint.save(checkpoints / _name(codes, view), _made(codes, seed), about)
        with serve_app(checkpoints, folder / "log") as url, sync_playwright() as playwright:
            browser = launch(playwright)
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.set_default_timeout(300_000)
            page = context.new_page()
            expect.set_options(timeout=300_000)
            page.goto(f"{url}/codebook?checkpoint={OTHER}")  # loads and compiles the scripts of the page
            _wall_is_drawn(page)
            _rest(page)
            for codes in sizes:
                for view, measure in (("wall", _wall), ("map", _map)):
                    page.close()
                    page = context.new_page()
                    measure(page, url, _name(codes, view), codes)
            browser.close()


def _name(codes: int, view: str) -> str:
    """Of the checkpoint that a view is opened with."""
    return "photos" if codes == SHIPPED else f"random-{codes}-{view}"


def _until_quiet() -> None:
    """Wait until the machine is at rest, with what was begun for a page that is closed now; says where it never is."""
    for _ in range(PATIENCE):
        before = _at_work()
        time.sleep(1)
        if _at_work() - before < QUIET:
            return
    print("The machine is not quiet.", flush=True)


def _at_work() -> float:
    """CPU seconds that all cores of the machine together have been at work so far (Linux)."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


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


@dataclass(frozen=True)
class Taken:
    """What one thing took."""

    seconds: float
    cpu: float  # seconds of CPU of the server


class _Stopwatch:
    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), cpu_seconds()

    def read(self) -> Taken:
        return Taken(time.perf_counter() - self._started, cpu_seconds() - self._cpu)


def _wall(page: Page, url: str, name: str, codes: int) -> None:
    title = f"{codes:,} codes"
    _until_quiet()
    watch = _Stopwatch()
    page.goto(f"{url}/codebook?checkpoint={name}&code=0")
    _wall_is_drawn(page)
    drawn = watch.read()
    _print_opened(f"{title}: link to wall", _whole(page, "Decoding the codes", watch, drawn), drawn, "tiles")
    _rest(page)
    page.wait_for_timeout(3000)
    page.locator(".st-key-wall .rows").evaluate("rows => (rows.scrollTop = 0)")
    box = page.locator(".st-key-wall canvas").bounding_box()
    assert box is not None
    before = cpu_seconds()
    places = [(box["x"] + 14 + 30 * n % 480, box["y"] + 14 + 30 * (n // 16)) for n in range(CLICKS)]
    clicks = [_answered(page, *place) for place in places]
    cpu = (cpu_seconds() - before) / CLICKS
    for what, times in (("dossier", [one for one, _ in clicks]), ("all of it", [whole for _, whole in clicks])):
        print(f"{title}: click on the wall to {what}, p50 {statistics.median(times):.0f} ms, p95 {_p95(times):.0f} ms")
    print(f"{title}: a click takes {1000 * cpu:.0f} CPU-ms of the server", flush=True)


def _map(page: Page, url: str, name: str, codes: int) -> None:
    title = f"{codes:,} codes"
    page.goto(f"{url}/codebook?checkpoint={OTHER}")
    page.get_by_text("Map", exact=True).click()
    _map_is_drawn(page)
    _rest(page)
    _until_quiet()
    before = page.locator(MAP).evaluate(LEAVE)
    watch = _Stopwatch()
    page.evaluate(GO, f"{url}/codebook?checkpoint={name}&code=0")
    _map_is_drawn(page, but=before)
    drawn = watch.read()
    _print_opened(f"{title}: link to map", _whole(page, "Decoding the colours", watch, drawn), drawn, "dots")
    _rest(page)
    every = page.get_by_role("button", name="Show all", exact=True)
    if every.count():
        watch = _Stopwatch()
        every.click()
        _map_is_drawn(page, codes)
        shown = watch.read()
        print(f"{title}: dots of all codes after {shown.seconds:.2f} s (server {shown.cpu:.2f} CPU-s)", flush=True)


def _print_opened(what: str, whole: Taken, drawn: Taken, parts: str) -> None:
    print(
        f"{what} {whole.seconds:.2f} s (server {whole.cpu:.2f} CPU-s); its {parts}, grey where they were not decoded "
        f"yet, after {drawn.seconds:.2f} s",
        flush=True,
    )


def _made(codes: int, seed: int) -> VQVAE:
    """A model of random weights whose codes lie where the sample photos are: as in a trained one, many are used."""
    torch.manual_seed(seed)
    model = prepare(VQVAE(VQVAEConfig(codes=codes, embedding_dim=8, channels=(8, 16, 32), blocks=(1, 1, 1))))
    with torch.inference_mode():
        rows = torch.cat([model.encode(photo).embedding[0].flatten(1).T for photo in sample_photos()])
        drawn = rows[torch.randint(len(rows), (codes,))]
        model.codebook.copy_(drawn + 0.1 * rows.std(0) * torch.randn(codes, rows.shape[1]))
    return model


def _map_is_drawn(page: Page, least: int = 1, *, but: str = "") -> None:
    """So many dots at least are on the screen, in colour or in grey, of any model but one."""
    page.wait_for_function(
        """([least, but]) => {
          const host = document.querySelector(".st-key-codebook-map [data-testid=stBidiComponentIsolated]");
          const holder = host?.shadowRoot?.querySelector(".map");
          return Number(holder?.dataset.drawn ?? 0) >= least && holder.map.message.remembered !== but;
        }""",
        arg=[least, but],
    )


def _wall_is_drawn(page: Page) -> None:
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()


def _whole(page: Page, work: str, watch: _Stopwatch, drawn: Taken) -> Taken:
    """What it took until all that was drawn has its colours: where it had not, the page says so, and runs once more."""
    if not page.get_by_text(work).count():
        return drawn
    page.wait_for_function(
        "([resting, work]) => document.querySelector(resting) && !document.body.textContent.includes(work)",
        arg=[f'[data-testid="stApp"]{RESTING}', work],
    )
    return watch.read()


def _rest(page: Page) -> None:
    page.wait_for_selector(f'[data-testid="stApp"]{RESTING}')


def _answered(page: Page, x: float, y: float) -> tuple[float, float]:
    """Milliseconds from a click to the number of another code in the dossier, and to the end of the server's run."""
    number = page.get_by_label("Code", exact=True)
    before = number.input_value()
    started = time.perf_counter()
    page.mouse.click(x, y)
    page.wait_for_function("([box, before]) => box.value !== before", arg=[number.element_handle(), before])
    answered = time.perf_counter()
    _rest(page)
    return 1000 * (answered - started), 1000 * (time.perf_counter() - started)


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
