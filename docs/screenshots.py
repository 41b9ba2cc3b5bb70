"""Take the README's screenshots again: python -m docs.screenshots"""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

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
        take_edit(page, url)
        take_inputs(page, url)
        take_compare(page, url)


def take_edit(page: Page, url: str) -> None:
    """A few strokes on the flower."""
    page.goto(f"{url}/edit?checkpoint=photos&picture=flower")
    drawn(page)
    page.wait_for_timeout(2000)
    box = page.locator(".stage .viewport").bounding_box()
    assert box is not None
    page.locator(".stage .viewport").focus()
    page.keyboard.press("]")
    page.keyboard.press("]")
    for code, stroke in ((663, ((0.2, 0.25), (0.42, 0.2), (0.7, 0.3))), (417, ((0.15, 0.8), (0.5, 0.88), (0.8, 0.75)))):
        page.get_by_label("Search codes by number").fill(f"{code}-{code}")
        page.locator(f'.swatches button[data-code="{code}"]').click()
        page.wait_for_timeout(1000)
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=12)
        page.mouse.up()
        page.wait_for_timeout(1500)
    page.get_by_role("tab", name="Map").click()
    page.locator(".map").click(position={"x": 180, "y": 60})
    page.wait_for_timeout(2500)
    page.screenshot(path=FOLDER / "edit.png")


def take_inputs(page: Page, url: str) -> None:
    """The verdict on the checkpoint that was made to get a bad one."""
    page.set_viewport_size({"width": 1440, "height": 1150})
    page.goto(f"{url}/inputs?checkpoint=photos-bypass&picture=china")
    drawn(page)
    page.get_by_text("Reliance test", exact=True).click()
    page.get_by_text("Sample photos", exact=True).click()
    page.get_by_role("button", name="Run the test").click()
    expect(page.get_by_text("Bypasses the codebook").first).to_be_visible(timeout=600_000)
    page.wait_for_timeout(4000)
    page.screenshot(path=FOLDER / "inputs.png")


def take_compare(page: Page, url: str) -> None:
    """Three models on the same photo, with one cell marked in all of them."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{url}/compare?models=photos,photos-fine,photos-classic&picture=coffee")
    expect(page.locator(".comparison[data-sequence]")).to_be_visible()
    page.wait_for_timeout(4000)
    page.locator('.column[data-number="1"] .viewport').first.hover(position={"x": 150, "y": 80})
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / "compare.png")


if __name__ == "__main__":
    main()
