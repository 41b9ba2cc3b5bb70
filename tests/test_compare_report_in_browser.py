"""The report as a file in a real browser that has no network: it is whole, asks for nothing, and is for everybody."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from explorer.compare import whole
from explorer.compare.records import Settings
from explorer.compare.report import Report
from explorer.images.sets import open_set
from tests.test_accessibility_in_browser import SERIOUS
from tests.test_compare_measure import opened
from tests.test_compare_report import ODD
from tests.toys import toy_model, write_toy_photos

AXE = Path(__file__).parent / "axe" / "axe.min.js"
WIDTHS = """images => Promise.all(images.map(async (image) => {
  image.loading = "eager";
  await image.decode();
  return image.naturalWidth;
}))"""
BACKGROUND = {"light": "rgb(252, 252, 251)", "dark": "rgb(19, 21, 22)"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = write_toy_photos(tmp_path_factory.mktemp("toys") / "photos", count=3)
    (folder / "broken.png").write_bytes(b"no picture")
    models = [
        opened(toy_model(0), ODD),
        opened(toy_model(1), "a-name-that-is-" + "very-" * 12 + "long"),
        opened(toy_model(2), "three"),
    ]
    return whole.compare(models, whole.Source(open_set(folder), str(folder)), Settings(working_size=48))


@pytest.fixture
def opened_file(context: BrowserContext, report: Report, tmp_path: Path) -> Iterator[Page]:
    """The file, in a browser without a network; whatever it asks for, and whatever is complained of, fails the test."""
    report.save(tmp_path / "report.html")
    context.set_offline(True)
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    file = (tmp_path / "report.html").as_uri()
    page.goto(file)
    yield page
    assert {url.partition("#")[0] for url in asked if not url.startswith(("data:", "blob:"))} == {file}
    assert not faults


def test_it_is_whole_without_a_network(opened_file: Page, report: Report) -> None:
    page = opened_file
    expect(page.get_by_role("heading", level=1)).to_contain_text(ODD)
    assert page.evaluate("() => document.fonts.check('16px Inter')")
    widths = page.locator("img").evaluate_all(WIDTHS)
    assert len(widths) >= 1 + 3 * 4 and all(widths)
    charts = page.locator(".chart")
    expect(charts).to_have_count(4)
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    page.locator(".chart .scatterlayer .points path").last.hover(force=True)
    expect(page.locator(".chart .hoverlayer")).to_contain_text("codes only")
    for folded in page.locator("#rate summary").all():  # what is folded away is drawn when it is unfolded
        folded.click()
    expect(page.locator("#rate .chart .xtick").first).to_be_visible()
    for number in range(4):
        box = charts.nth(number).locator(".main-svg").first.bounding_box()
        assert box and box["width"] > 900
    page.emulate_media(reduced_motion="reduce")  # a mouse that aims at a link while the page glides misses it
    for link in page.locator("nav.parts a").all():
        place = str(link.get_attribute("href"))
        link.click()
        expect(page).to_have_url(re.compile(f"{place}$"))
        expect(page.locator(place)).to_be_in_viewport()


def test_it_is_for_everybody_in_both_themes_and_at_any_width(opened_file: Page) -> None:
    page = opened_file
    page.add_script_tag(content=AXE.read_text())
    for scheme, background in BACKGROUND.items():
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.locator("body")).to_have_css("background-color", background)
        for width in (1440, 800, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate(SERIOUS, ["body", None]) == []
