"""The Table view of Compare in a real browser: its files, its meanings by the keyboard alone, and for everybody."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import at_rest
from tests.test_accessibility_in_browser import AXE, looked_at


@pytest.fixture
def table(blank_page: Page, app_url: str) -> Page:
    """Two models on the sample photos, by the codes alone, measured."""
    blank_page.goto(f"{app_url}/compare?models=photos,photos-classic&blend=0")
    blank_page.get_by_role("radio", name="Table", exact=True).click()
    blank_page.get_by_role("radio", name="Sample photos", exact=True).click()
    expect(blank_page.locator(".compared-basis", has_text="12 of 12 images")).to_be_visible()
    at_rest(blank_page)
    return blank_page


def test_the_files_say_in_full_what_the_table_shows(table: Page) -> None:
    row = table.get_by_role("row", name=re.compile("^PSNR")).get_by_role("cell")
    shown = [float(text) for text in row.locator("b").all_inner_texts()]
    difference = row.locator("small").inner_text()
    found = {}
    for label in ("Figures of the models as CSV", "Every image (CSV)"):
        with table.expect_download() as download:
            table.get_by_role("button", name=label).click()
        with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
            found[label] = list(csv.DictReader(file))
    psnr = {line["model"]: line for line in found["Figures of the models as CSV"] if line["figure"] == "psnr"}
    assert [round(float(psnr[name]["value"]), 2) for name in ("photos", "photos-classic")] == shown
    classic = psnr["photos-classic"]
    assert f"{float(classic['difference']):.2f}"[1:] in difference and classic["reference"] == "photos"
    for name, value in zip(("photos", "photos-classic"), shown, strict=True):
        images = [float(line["psnr"]) for line in found["Every image (CSV)"] if line["model"] == name]
        assert len(images) == 12 and sum(images) / 12 == pytest.approx(value, abs=0.005)


def test_a_meaning_is_there_by_the_keyboard_and_nothing_is_in_the_way_of_anybody(table: Page) -> None:
    table.get_by_role("rowheader", name=re.compile("^PSNR")).focus()
    table.keyboard.press("Tab")
    meaning = "getComputedStyle(document.activeElement, '::after').content"
    assert "Structural similarity" in table.evaluate(f"() => {meaning}")
    table.evaluate(AXE)
    assert looked_at(table, "table") == []
    table.get_by_role("radio", name="The codes and the embedding").click()
    expect(table.locator(".compared-basis", has_text="at a blend of 100%")).to_be_visible()


def test_an_image_of_the_list_is_opened(table: Page) -> None:
    name = table.locator(".st-key-compared_apart").get_by_role("button").first
    name.click()
    expect(table.get_by_role("radio", name="Pictures", exact=True)).to_be_checked()
    at_rest(table)
    assert "picture=" in table.url
