"""Take the README's screenshots again: python -m docs.screenshots"""

import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser import ROOT, drawn, launch, serve_app

FOLDER = Path(__file__).parent


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as made,
        serve_app(ROOT / "checkpoints", Path(made) / "log") as url,
        sync_playwright() as playwright,
    ):
        page = launch(playwright).new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
        page.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)
        page.goto(f"{url}/?checkpoint=photos&picture=coffee&blend=0")
        drawn(page)
        page.wait_for_timeout(2000)
        page.screenshot(path=FOLDER / "reconstruct.png")
        page.emulate_media(color_scheme="light")
        page.goto(f"{url}/codebook?checkpoint=photos&code=663")
        expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
        page.wait_for_timeout(4000)
        page.screenshot(path=FOLDER / "codebook.png")


if __name__ == "__main__":
    main()
