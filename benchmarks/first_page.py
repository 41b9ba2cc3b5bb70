"""How long the first visit after the server's start takes, and the next one, beside a Streamlit script of one line.

python -m benchmarks.first_page [--rounds 3]

Each visit is a browser of its own, with nothing kept from the last, and the clock runs from the address to the pictures
on the screen.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

from benchmarks.edit_latency import CHECKPOINTS
from tests.browser import launch, serve_app

PAGES = {"": ".canvas[data-sequence]", "edit": ".canvas[data-sequence]"}
REST = 5  # seconds from the server's start to the first visit: a person has to get there


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_page", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        os.environ["VQVAE_EXPLORER_CACHE"] = made
        bare = Path(made) / "bare.py"
        bare.write_text("import streamlit as st\nst.write('One line.')\n")
        plain = [_two_visits(playwright, Path(made), "", "[data-testid=stMarkdown]", str(bare)) for _ in range(rounds)]
        _print("a script of one line", plain)
        for page, drawn in PAGES.items():
            visits = [_two_visits(playwright, Path(made), page, drawn, "app.py") for _ in range(rounds)]
            _print(f"/{page}", visits)


def _print(what: str, visits: list[tuple[float, float]]) -> None:
    first, again = (statistics.median(times) for times in zip(*visits, strict=True))
    print(f"{what}: first visit {first:.2f} s, the next {again:.2f} s", flush=True)


def _two_visits(playwright: Playwright, folder: Path, page: str, drawn: str, script: str) -> tuple[float, float]:
    """Seconds until the page is drawn: after the server's start, and in another browser."""
    with serve_app(CHECKPOINTS, folder / "log", script=script) as url:
        time.sleep(REST)
        return _visit(playwright, f"{url}/{page}", drawn), _visit(playwright, f"{url}/{page}", drawn)


def _visit(playwright: Playwright, url: str, drawn: str) -> float:
    browser = launch(playwright)
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    started = time.perf_counter()
    tab.goto(url)
    tab.wait_for_selector(drawn, timeout=120_000)
    taken = time.perf_counter() - started
    browser.close()
    return taken


if __name__ == "__main__":
    main()
