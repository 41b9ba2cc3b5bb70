"""Rate–distortion, and what codes cost on Reconstruct, in a real browser: what a hover says; nobody is kept out."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import at_rest
from tests.test_accessibility_in_browser import AXE, looked_at


@pytest.fixture
def rate(blank_page: Page, app_url: str) -> Page:
    """Two models on one small picture, with the files of all codecs written."""
    blank_page.goto(f"{app_url}/compare?models=photos,photos-classic&size=128")
    blank_page.get_by_role("radio", name="Rate–distortion", exact=True).click()
    expect(blank_page.get_by_role("button", name="Table (CSV)")).to_be_visible(timeout=60_000)
    at_rest(blank_page)
    return blank_page


def test_one_hover_says_what_is_compared_with_what(rate: Page) -> None:
    points = rate.locator('.js-plotly-plot path.point[style*="rgb(15, 143, 134)"]')  # of the first model
    row = rate.get_by_role("row", name=re.compile("photos ")).first
    psnr, jpeg = (row.get_by_role("cell").nth(place).locator("b") for place in (3, 4))
    points.first.hover(force=True)  # its bits by log2 K
    expect(rate.locator(".hoverlayer")).to_contain_text("photos:")
    text = rate.locator(".hoverlayer").text_content() or ""
    assert re.search(r"codes only, [\d,]+ codes × 10 bits = 0\.\d+ bit/px → PSNR", text)
    assert psnr.inner_text() in text
    if jpeg.count():
        assert jpeg.inner_text() in text
    else:
        assert "no JPEG is this small" in text


def test_nobody_is_kept_out_and_all_is_in_sight(rate: Page) -> None:
    box = rate.get_by_role("table", name="Bits and closeness").bounding_box()
    assert box is not None and box["y"] + box["height"] < 900
    rate.evaluate(AXE)
    assert looked_at(rate, "rate–distortion") == []
    rate.set_viewport_size({"width": 800, "height": 900})
    assert rate.evaluate("() => document.querySelector('table.rates').scrollWidth <= innerWidth")


def test_what_the_codes_cost_stands_below_the_picture_once_it_is_known(page: Page) -> None:
    expect(page.locator(".figure-row")).to_contain_text("JPEG, equal bytes → without headers", timeout=60_000)
    codes = page.locator(".figure-row > div", has_text="Codes, fixed → entropy-coded")
    assert re.fullmatch(r"880 bytes → \d{3} bytes", codes.locator("dd").inner_text())
    meaning = codes.get_attribute("data-tip") or ""
    assert "704 cells × log2 1,024 bits = 7,040 bits" in meaning
    for codec in ("JPEG", "WebP", "AVIF"):
        assert page.locator(".figure-row > div", has_text=codec).locator("dd").inner_text()
