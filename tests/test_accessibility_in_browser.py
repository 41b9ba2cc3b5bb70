"""Accessible to everybody: axe-core on every page, the keyboard alone, and reduced motion, in a real browser.

axe-core is a copy, with its licence, in tests/axe: the tests need no network.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import at_rest, drawn

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
WIDTHS = (1440, 800)
SCHEMES = {"light": "rgb(252, 252, 251)", "dark": "rgb(19, 21, 22)"}  # the page's background in each
WHOLE, POPOVER, DIALOG = "body", '[data-testid="stPopoverBody"]', '[role="dialog"]'
COLOUR_RULES = ["color-contrast", "link-in-text-block"]  # all that the second scheme can add to what the first found
SERIOUS = """async ([part, rules]) => {
  const { violations } = await axe.run(part, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return serious.flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) =>
    [id, target.flat().at(-1), html.slice(0, 120), failureSummary.replace(/\\s+/g, " ").slice(0, 240)]));
}"""
Screen = tuple[str, str]  # its name, and the part of the page that is looked at
Walk = Callable[[Page], Iterator[Screen]]


def looked_at(page: Page, screen: str, part: str = WHOLE) -> list[str]:
    """What axe-core finds in a part of a screen, light and dark, wide and narrow: rule, place and reason of each."""
    found = {}
    for scheme, background in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        for width in WIDTHS if scheme == "light" else reversed(WIDTHS):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 60)))")
            for rule, place, markup, reason in page.evaluate(
                SERIOUS, [part, COLOUR_RULES if scheme == "dark" else None]
            ):
                found.setdefault(
                    (rule, place), f"{screen}, {scheme}, {width}: {rule} {place}\n    {markup}\n    {reason}"
                )
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return list(found.values())


# --- the screens of each page: each walk goes through them and stops at each


def choose_view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
    settled(page)


def settled(page: Page) -> None:
    """The page has been drawn to its end: nothing of a run before it is left, greyed out."""
    at_rest(page)
    expect(page.locator('[data-stale="true"]')).to_have_count(0)


def reconstruct(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "side by side", WHOLE
    page.locator('[data-view="slider"]').click()
    page.locator('[data-panel-choice="codes"]').click()
    page.locator('[data-panel="reconstruction"] .viewport').press("ArrowLeft")
    yield "before and after, a cell chosen", WHOLE
    page.locator("input[type=file]").first.set_input_files(
        [{"name": "letter.png", "mimeType": "image/png", "buffer": b"no picture"}]
    )
    expect(page.get_by_test_id("stAlert").first).to_be_visible()
    yield "an upload refused", WHOLE


def one_input(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "one input", WHOLE


def codebook(page: Page) -> Iterator[Screen]:
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    at_rest(page)
    yield "wall and dossier", WHOLE
    page.get_by_role("button", name="Sample photos").click()
    expect(page.get_by_role("textbox", name="Add a folder, tar or zip")).to_be_visible()
    yield "choosing a set", POPOVER
    page.keyboard.press("Escape")
    choose_view(page, "Map")
    expect(page.locator(".st-key-codebook-map .js-plotly-plot")).to_be_visible()
    yield "map", WHOLE
    choose_view(page, "Usage")
    expect(page.locator(".st-key-usage-curve .js-plotly-plot")).to_be_visible()
    yield "usage", WHOLE
    page.locator(".st-key-patches canvas").click(position={"x": 30, "y": 30})
    expect(page.get_by_role("dialog").locator("img")).to_be_visible()
    yield "a patch's image", DIALOG


def unused_code(page: Page) -> Iterator[Screen]:
    expect(page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    expect(page.get_by_text("The nearest code in use is")).to_be_visible()
    yield "an unused code", WHOLE


def edit(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "nothing painted", WHOLE
    stage = page.locator(".stage .viewport")
    stage.press("ArrowRight")
    stage.press("Enter")
    stage.press("M")
    stage.press("Control+a")
    expect(page.locator('[data-act="undo"]')).to_be_enabled()
    yield "a stroke and a selection", WHOLE
    for palette in page.locator("[data-palette]").all():
        palette.click()
        expect(page.locator(".canvas")).to_have_attribute("data-settled", "true")
    page.get_by_role("tab", name="Look").click()
    yield "colour palette", WHOLE
    stage.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    yield "keys", WHOLE
    page.keyboard.press("Escape")
    for name in ("Start", "Open a recipe", "Save", "As Python"):
        page.get_by_role("button", name=name).first.click()
        expect(page.get_by_test_id("stPopoverBody")).to_be_visible()
        at_rest(page)
        yield name, POPOVER
        page.keyboard.press("Escape")


def inputs(page: Page) -> Iterator[Screen]:
    drawn(page)
    yield "blend", WHOLE
    choose_view(page, "Two pictures")
    expect(page.get_by_text("Codes of").first).to_be_visible()
    settled(page)
    yield "two pictures", WHOLE
    choose_view(page, "Reliance test")
    expect(page.locator(".st-key-behind-embedding img").first).to_be_visible()
    settled(page)
    yield "reliance test", WHOLE


def learn(page: Page) -> Iterator[Screen]:
    strip = page.locator(".st-key-learn-strip [role=tab]")
    expect(strip.first).to_be_visible()
    at_rest(page)
    yield "as it opens", WHOLE
    for number in (2, 5):  # distances and inputs: the ones that show most
        strip.nth(number).click()
        expect(page.locator(".walk-step h2 span")).to_have_text(str(number + 1))
        settled(page)
        yield f"step {number + 1}", ".st-key-walk"
    page.get_by_role("button", name="Just show me").click()
    expect(page.locator(".walk-finding").first).to_be_visible()
    settled(page)
    yield "all answered", WHOLE


def training(page: Page) -> Iterator[Screen]:
    expect(page.get_by_role("tab").first).to_be_visible()
    at_rest(page)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".film")).to_be_visible()
    yield "a training runs", WHOLE
    page.get_by_role("button", name="Stop").click()


WALKS: dict[str, tuple[str, Walk]] = {
    "reconstruct": ("/", reconstruct),
    "one input": ("/?checkpoint=photos-classic", one_input),
    "codebook": ("/codebook?code=417", codebook),
    "unused code": ("/codebook?code=16", unused_code),
    "edit": ("/edit", edit),
    "inputs": ("/inputs", inputs),
    "learn": ("/learn", learn),
    "training": ("/learn", training),
}


@pytest.mark.parametrize("name", WALKS)
def test_axe_finds_nothing_serious_or_critical(blank_page, app_url, name):
    address, walk = WALKS[name]
    blank_page.emulate_media(color_scheme="light", reduced_motion="reduce")
    blank_page.goto(f"{app_url}{address}")
    blank_page.evaluate(AXE)
    found = []
    for screen, part in walk(blank_page):
        found += looked_at(blank_page, f"{name}, {screen}", part)
        blank_page.set_viewport_size({"width": 1440, "height": 900})
    assert not found, "\n" + "\n".join(found)
