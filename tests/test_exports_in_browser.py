"""Any figure to PNG and SVG, any table to CSV: on every page, in a real browser.

The walk finds what is drawn by itself: a chart, a table or a component's picture that is not offered fails it.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, TimeoutError, expect

from explorer.learn.steps import NAMES as STEPS
from tests.browser import ROWS, STRIDE, at_rest, pixels, pixels_of, until
from tests.toy_runs import write_run

CHOICES = ("gallery", "learn-strip")  # keys of components that draw what is chosen among: no figures
LATE = 90_000  # ms; a page that is drawn anew keeps what it showed until that is done
MISSING = """(choices) => {
  const key = (name) => name.trim().replace(/[^a-zA-Z0-9_-]/g, "-");
  const offered = {};
  for (const row of document.querySelectorAll("[data-exports-of]")) {
    const of = key(row.dataset.exportsOf.split("#")[0]);
    offered[of] = `${offered[of] ?? ""} ${row.dataset.exports}`;
  }
  const found = [], missing = [];
  const add = (what, keys, forms) => {
    const has = keys.map((each) => offered[each] ?? "").join(" ");
    const lacks = forms.filter((form) => !has.split(" ").includes(form));
    found.push(what);
    if (lacks.length) missing.push(`${what} in ${keys.at(-1) ?? "no container with a key"}: no ${lacks.join(", ")}`);
  };
  const large = (element) => element.clientWidth >= 64 && element.clientHeight >= 48;
  const look = (root, keys, inside) => {
    for (const element of root.children) {
      const own = [...element.classList].filter((name) => name.startsWith("st-key-")).map((name) => name.slice(7));
      const all = [...keys, ...own];
      if (element.matches(".js-plotly-plot")) { add("chart", all, ["png", "svg", "csv"]); continue; }
      if (all.some((each) => choices.includes(each))) continue;
      if (element.matches("table, [role=table], [data-testid=stDataFrame]")) { add("table", all, ["csv"]); continue; }
      const draws = element.matches(inside ? "canvas, svg, img" : "canvas, figure img, [data-testid=stImage] img");
      if (draws && large(element)) add(element.tagName.toLowerCase(), all, ["png", "svg"]);
      look(element, all, inside);
      if (element.shadowRoot) look(element.shadowRoot, all, true);
    }
  };
  look(document.querySelector("[data-testid=stMainBlockContainer]"), [], false);
  return [found, missing];
}"""


def looked_through(page: Page) -> tuple[list[str], list[str]]:
    """What is drawn, and what of it is not offered; a row may come a moment after what it is of."""
    at_rest(page)
    choices, whole = list(CHOICES), f"choices => [({MISSING})(choices)].find(([, missing]) => !missing.length)"
    try:  # at one moment: a page that is drawn anew has, for another, tables without their buttons
        found, missing = page.wait_for_function(whole, arg=choices, timeout=LATE).json_value()
    except TimeoutError:
        found, missing = page.evaluate(MISSING, choices)
    return found, missing


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()


def views(*names: str, ready: str) -> Callable[[Page], Iterator[str]]:
    def walk(page: Page) -> Iterator[str]:
        for name in names:
            choose(page, name)
            at_rest(page)
            expect(page.locator(ready).first).to_be_visible()
            yield name

    return walk


def once(ready: str) -> Callable[[Page], Iterator[str]]:
    def walk(page: Page) -> Iterator[str]:
        expect(page.locator(ready).first).to_be_visible()
        yield ""

    return walk


def inputs(page: Page) -> Iterator[str]:
    expect(page.locator(".st-key-blend-curve .js-plotly-plot")).to_be_visible()
    yield "Blend"
    choose(page, "Two pictures")
    expect(page.locator(".st-key-swapped-second img")).to_be_visible()
    yield "swapped"
    choose(page, "From one to the other")
    expect(page.locator(".st-key-between canvas")).to_be_visible()
    yield "from one to the other"
    choose(page, "Reliance test")
    expect(page.locator(".st-key-cost-bars .js-plotly-plot")).to_be_visible()
    page.get_by_text("Every figure", exact=True).click()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(3)
    yield "Reliance test"


def edit(page: Page) -> Iterator[str]:
    expect(page.locator(".editor[data-sequence]")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[data-exports-of]")).to_have_count(1)
    yield "Save"


def learn(page: Page) -> Iterator[str]:
    for number, step in enumerate(STEPS):
        if number:
            page.get_by_role("tablist", name="Steps").get_by_role("tab").nth(number).click()
        expect(page.locator(".walk-step h2 span").first).to_have_text(str(number + 1))
        yield step


COMPARED = {  # views, and what is there once they are drawn
    "Pictures": ".comparison[data-sequence]",
    "Table": "table.compared",
    "Rate–distortion": ".st-key-rate-chart .js-plotly-plot",
    "Codebooks": ".st-key-compared-codebooks table",
    "Inputs": ".st-key-compared-inputs-table table",
}


def compare(page: Page) -> Iterator[str]:
    for name, ready in COMPARED.items():
        choose(page, name)
        expect(page.locator(ready).first).to_be_visible()
        yield name
    choose(page, "Codebooks")
    choose(page, "Which codes stand for the same")
    expect(page.locator('[class*="st-key-matches-"] canvas').first).to_be_visible()
    yield "matched"


WALKS: dict[str, tuple[str, Callable[[Page], Iterator[str]], int]] = {  # address, walk, least that is found
    "reconstruct": ("/", once(".canvas[data-sequence]"), 4),
    "codebook": ("/codebook?code=281", views("Wall", "Map", "Usage", ready=".js-plotly-plot"), 30),
    "edit": ("/edit", edit, 1),
    "inputs": ("/inputs", inputs, 20),
    "compare": ("/compare", compare, 12),
    "learn": ("/learn", learn, 12),
}


@pytest.mark.parametrize("name", WALKS)
def test_everything_that_is_drawn_can_be_saved(blank_page: Page, app_url: str, name: str) -> None:
    address, walk, least = WALKS[name]
    blank_page.goto(app_url + address)
    total, missing = 0, []
    for view in walk(blank_page):
        found, lacking = looked_through(blank_page)
        total += len(found)
        missing += [f"{view}: {each}" for each in lacking]
    assert not missing
    assert total >= least


@pytest.fixture
def run(blank_page: Page, app_url: str, tmp_path: Path) -> Page:
    """The Training page with a run of a hundred steps."""
    writer = write_run(tmp_path / "a run")
    writer.end("finished", 100)
    blank_page.goto(f"{app_url}/training?run={tmp_path / 'a run'}")
    expect(blank_page.locator(".curves figure").first).to_be_visible()
    at_rest(blank_page)
    return blank_page


def row(page: Page, of: str) -> Locator:
    """The row of buttons of what has a key."""
    return page.locator(f'[data-exports-of="{of}"]')


def saved(page: Page, of: str, form: str) -> tuple[str, bytes]:
    """What a press gives: the file's name, and what is in it."""
    with page.expect_download() as download:
        row(page, of).locator(f'[data-form="{form}"]').click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def picture(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def holds(whole: np.ndarray, part: np.ndarray) -> bool:
    """Whether a picture is somewhere in another, pixel for pixel."""
    height, width = part.shape[:2]
    return any(
        np.array_equal(whole[top : top + height, left : left + width], part)
        for top in range(whole.shape[0] - height + 1)
        for left in range(whole.shape[1] - width + 1)
    )


def texts(data: bytes) -> str:
    """All words of an SVG."""
    root = ElementTree.fromstring(data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return " ".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text"))


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_a_run_is_saved_as_it_is_drawn(run: Page) -> None:
    found, missing = looked_through(run)
    assert len(found) > 8 and not missing
    name, data = saved(run, "training-curves", "svg")
    assert name == "training-a-run-curves-of-the-training.svg"
    titles = run.locator(".curves figcaption b").all_inner_texts()
    assert titles and all(title in texts(data) for title in titles)
    lines = run.locator(".curves path").count()
    assert len(re.findall(rb'class="line"', data)) == lines
    rows = table(saved(run, "training-curves", "csv")[1])
    losses = [float(each["value"]) for each in rows if each["chart"] == "Loss"]
    assert losses == [1 / (1 + step) for step in range(10, 101, 10)]
    film = picture(saved(run, "training-film", "png")[1])
    assert holds(film, pixels_of(run.locator(".film canvas.off")))


def test_charts_are_saved_dark_on_white_with_the_numbers_of_the_screen(blank_page: Page, app_url: str) -> None:
    blank_page.emulate_media(color_scheme="dark")
    blank_page.goto(f"{app_url}/codebook?code=281")
    choose(blank_page, "Usage")
    chart = blank_page.locator(".st-key-usage-curve .js-plotly-plot")  # by WebGL
    expect(chart).to_be_visible()
    at_rest(blank_page)
    looks = "chart => JSON.stringify([chart.layout.font, chart._context.toImageButtonOptions])"
    before = chart.evaluate(looks)
    name, data = saved(blank_page, "usage-curve", "png")
    assert name == "codebook-photos-sample-photos-usage-by-rank.png"
    image = picture(data)
    assert image.shape[1] >= 1600
    assert (image[0] == 255).all() and (image[:, -1] == 255).all()  # a margin of paper
    assert image.min() < 64 and ((image == (26, 158, 149)).all(-1)).sum() > 1000  # ink, and the curve
    words = texts(saved(blank_page, "usage-curve", "svg")[1])
    assert "rank of the code" in words and "share of the cells" in words and "in training" in words
    assert chart.evaluate(looks) == before
    rows = table(saved(blank_page, "usage-curve", "csv")[1])
    drawn_shares = chart.evaluate("chart => [...chart._fullData[0].y]")
    assert [float(each["share of the cells"]) for each in rows if each["rank"]] == drawn_shares
    assert len(rows) == 1024
    blank_page.emulate_media(color_scheme="light")
    figures = {each["figure"]: each for each in table(saved(blank_page, "health", "csv")[1])}
    health = blank_page.get_by_role("table", name="Figures of the codebook")
    perplexity = float(figures["perplexity"]["the 991 training photos"])
    expect(health.get_by_role("row", name="Perplexity").get_by_role("cell").first).to_have_text(f"{perplexity:,.0f}")


def test_the_map_is_circles_and_the_wall_a_picture(blank_page: Page, app_url: str) -> None:
    blank_page.goto(f"{app_url}/codebook?code=281")
    expect(blank_page.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    at_rest(blank_page)
    wall = picture(saved(blank_page, "wall", "png")[1])
    assert wall.shape[1] >= 2 * blank_page.locator(".st-key-wall canvas").bounding_box()["width"] - 64
    assert b"<image" in saved(blank_page, "wall", "svg")[1]
    choose(blank_page, "Map")
    expect(blank_page.locator(".st-key-codebook-map .map[data-drawn]")).to_be_visible()
    at_rest(blank_page)
    data = saved(blank_page, "codebook-map", "svg")[1]
    circles = [each for each in ElementTree.fromstring(data).iter() if each.tag.endswith("}circle")]
    assert sorted(int(each.attrib["data-code"]) for each in circles) == list(range(1024))
    assert picture(saved(blank_page, "codebook-map", "png")[1]).std() > 10


DARKEST = """({ map }) => {
  const { colours, codes, counts, radii } = map.message;
  const of = (number) => colours.values.subarray(3 * number, 3 * number + 3);
  const light = (number) => counts.values[number] ? of(number).reduce((sum, channel) => sum + channel) : Infinity;
  const [number] = [...codes.values.keys()].sort((a, b) => light(a) - light(b));
  const reach = Math.ceil(radii.values[number] * map.growth + 1);
  const [x, y] = map.placeOf(codes.values[number]).map(Math.round);
  const { data } = map.dots.getContext("2d").getImageData(x - reach, y - reach, 2 * reach, 2 * reach);
  const greens = [...data].filter((_, place) => place % 4 === 1);
  return Math.max(...greens.map((green, place) => (green * data[4 * place + 3]) / 255));
}"""


def test_a_dark_dot_has_a_light_rim_on_the_dark_theme(blank_page: Page, app_url: str) -> None:
    blank_page.emulate_media(color_scheme="dark")
    blank_page.goto(f"{app_url}/codebook?code=281")
    choose(blank_page, "Map")
    dots = blank_page.locator(".st-key-codebook-map .map[data-drawn]")
    expect(dots).to_be_visible()
    at_rest(blank_page)
    dark = dots.evaluate(DARKEST)
    blank_page.emulate_media(color_scheme="light")
    until(blank_page, lambda: dots.evaluate(DARKEST) < 70)
    assert dark > 90


def test_the_error_map_and_the_grid_of_codes_are_exact(page: Page) -> None:
    at_rest(page)
    name, data = saved(page, "canvas#error", "png")
    assert name == "reconstruct-chelsea-photos-error-map.png"
    np.testing.assert_array_equal(picture(data), pixels(page, "error"))
    grid = picture(saved(page, "canvas#codes", "png")[1])
    np.testing.assert_array_equal(grid, np.kron(pixels(page, "codes"), np.ones((STRIDE, STRIDE, 1), np.uint8)))
    assert grid.shape[0] == ROWS * STRIDE
    words = texts(saved(page, "canvas#all", "svg")[1])
    assert "Original" in words and "Reconstruction" in words and "Error" in words
    rows = {each["figure"]: each["value"] for each in table(saved(page, "canvas", "csv")[1])}
    shown = page.locator(".figures dl > div", has_text="PSNR, codes only").locator("dd").inner_text()
    assert shown == f"{float(rows['PSNR in dB, codes only']):.2f} → {float(rows['PSNR in dB, now']):.2f} dB"


def test_the_row_is_reached_and_pressed_by_keyboard(page: Page) -> None:
    at_rest(page)
    page.get_by_role("button", name="Codes (JSON)").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="All pictures as PNG")).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "reconstruct-chelsea-photos-all-pictures.png"
