"""The Inputs page as a person meets it: the blend, two pictures, and the reliance test with its verdict."""

import base64
import io
import json
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from playwright.sync_api import Locator, Page, TimeoutError, expect

from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import compare, decibels, encode_picture
from explorer.images.samples import SAMPLES
from explorer.inputs import blending
from explorer.inputs.reliance import boundary
from tests.browser import (
    COLUMNS,
    ROWS,
    STRIDE,
    act_and_settle,
    act_and_wait,
    assert_same,
    at_rest,
    draw,
    drawn,
    figure,
    pixels_of,
    sample,
    shown,
)
from tests.conftest import CHECKPOINTS
from tests.toys import write_toy_photos
from vqvae import checkpoint
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Tokenizer

VIEWS = ("Blend", "Two pictures", "Reliance test")


@pytest.fixture
def inputs(blank_page: Page, app_url: str) -> Page:
    return open_inputs(blank_page, app_url)


def open_inputs(page: Page, url: str, query: str = "") -> Page:
    page.goto(f"{url}/inputs?{query}")
    drawn(page)
    expect(page.locator(".js-plotly-plot")).to_have_count(1)  # while it is drawn again there may be two
    at_rest(page)
    return page


def choose(page: Page, name: str) -> None:
    """Press one of several buttons in a row, and wait until what it opens is there."""
    page.get_by_role("radio", name=name, exact=True).click()
    at_rest(page)


def alerts(page: Page) -> Locator:
    """Those of the page itself; the sidebar has one of a broken checkpoint."""
    return page.get_by_test_id("stMain").get_by_test_id("stAlert")


def verdicts(page: Page) -> Locator:
    """The two parts of the reliance test's verdict: whom the decoder follows, and what stands alone."""
    return page.locator(".reliance-verdict p.verdict")


def residual_of(page: Page) -> float:
    """How far the embedding that is fed is from its code, as the meter says it."""
    return float(figure(page, "Residual").split(" ")[0])


def slider(page: Page) -> Locator:
    return page.locator(".amount input")


def quality(page: Page, measure: str) -> tuple[str, str]:
    """A measure for the codes alone, and for the picture on the screen, once it is there."""
    expect(page.locator(".figures")).to_have_class("figures")
    before, after = figure(page, f"{measure}, codes only → now").removesuffix(" dB").split(" → ")
    return before, after


def image_of(picture: Locator) -> np.ndarray:
    """What an <img> holds, exactly: uint8 [H, W, 3]."""
    source: str = picture.evaluate("image => image.src")
    inline = source.startswith("data:")
    data = base64.b64decode(source.partition(",")[2]) if inline else picture.page.request.get(source).body()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def reconstruction(model: Tokenizer, encoding: Encoding, weight: float, like: np.ndarray) -> np.ndarray:
    return blending.decoded(model, blending.fed_at(encoding, weight))[: like.shape[0], : like.shape[1]]


def second_sample() -> Picture:
    return open_picture(SAMPLES[1].read(), SAMPLES[1].file, working_size=256)


def pair() -> tuple[Tokenizer, Encoding, Encoding]:
    """The default checkpoint, and the first two samples encoded with it."""
    model = checkpoint.load(CHECKPOINTS / "photos")
    return model, *(encode_picture(model, picture).encoding for picture in (sample(), second_sample()))


# --- blend


def test_while_the_slider_is_dragged_picture_difference_figures_and_meter_move(inputs):
    picture, difference = shown(inputs), pixels_of(inputs.locator(".difference"))
    psnr, ssim = quality(inputs, "PSNR"), quality(inputs, "SSIM")
    residual = residual_of(inputs)
    for line in (0, 1):
        expect(inputs.locator(".verdict").nth(line)).to_have_class("verdict good")
    box = slider(inputs).bounding_box()
    across = [box["x"] + 8 + share * (box["width"] - 16) for share in (0.75, 0.6, 0.45)]
    inputs.mouse.move(across[0], box["y"] + box["height"] / 2)
    inputs.mouse.down()
    for x in across[1:]:
        act_and_wait(inputs, lambda x=x: inputs.mouse.move(x, box["y"] + box["height"] / 2))
    expect(inputs.locator(".amount output")).to_have_text("40 %")
    expect(inputs.locator(".figures")).not_to_contain_text(psnr[1])  # the hand still holds the slider
    assert (shown(inputs) != picture).any()
    assert (pixels_of(inputs.locator(".difference")) != difference).any()
    assert quality(inputs, "PSNR")[0] == psnr[0] and quality(inputs, "PSNR")[1] != psnr[1]
    assert quality(inputs, "SSIM")[0] == ssim[0] and quality(inputs, "SSIM")[1] != ssim[1]
    assert 0 < residual_of(inputs) < residual
    inputs.mouse.up()


@pytest.mark.parametrize(
    ("key", "percent", "weight", "said"),
    [("Home", "−50", -0.5, "never met that in training"), ("End", "150", 1.5, "nothing was trained for")],
)
def test_beyond_both_ends_it_says_extrapolated_the_meter_turns_and_the_curve_follows(
    inputs, key, percent, weight, said
):
    model, encoding, _ = pair()
    act_and_settle(inputs, lambda: slider(inputs).press(key))
    expect(inputs.locator(".amount output")).to_have_text(f"{percent} %, extrapolated")
    expect(inputs.locator(".verdict").first).to_have_class("verdict poor")
    expect(inputs.locator(".verdict").first).to_contain_text("Off the manifold")
    expect(inputs.locator(".sentence")).to_contain_text(said)
    assert_same(shown(inputs), reconstruction(model, encoding, weight, shown(inputs)))
    found = compare(sample().pixels, shown(inputs))
    assert quality(inputs, "PSNR")[1] == decibels(found.psnr)
    assert quality(inputs, "SSIM")[1] == f"{found.ssim:.3f}"
    inputs.wait_for_function(
        "weight => document.querySelector('.js-plotly-plot')?.data.find(({ name }) => name === 'now')?.x[0] === weight",
        arg=weight,
    )


def test_without_the_embedding_it_is_the_codes_alone(inputs):
    model, encoding, _ = pair()
    act_and_settle(inputs, inputs.locator(".switch").click)
    assert_same(shown(inputs), reconstruction(model, encoding, 0, shown(inputs)))
    before, after = quality(inputs, "PSNR")
    assert before == after == decibels(compare(sample().pixels, shown(inputs)).psnr)
    difference = pixels_of(inputs.locator(".difference"))
    assert (difference == difference[0, 0]).all() and difference.max() < 32
    expect(inputs.locator(".sentence")).to_have_text("The decoder gets the codes alone.")


def test_the_blend_brush_changes_its_surroundings_and_undo_takes_that_back(inputs):
    before, psnr = shown(inputs), quality(inputs, "PSNR")
    act_and_settle(inputs, lambda: draw(inputs, (3, 4)))  # three cells each way, to a blend of 0
    after = shown(inputs)
    changed = (before != after).any(2)
    reach = checkpoint.load(CHECKPOINTS / "photos").spec.reach
    outside = np.ones_like(changed)
    outside[: (5 + reach) * STRIDE, : (6 + reach) * STRIDE] = False
    assert changed[2 * STRIDE : 5 * STRIDE, 3 * STRIDE : 6 * STRIDE].mean() > 0.5
    assert not changed[outside].any()
    assert quality(inputs, "PSNR")[1] == decibels(compare(sample().pixels, after).psnr) != psnr[1]
    act_and_settle(inputs, lambda: inputs.get_by_role("button", name="Undo").click())
    np.testing.assert_array_equal(shown(inputs), before)
    assert quality(inputs, "PSNR") == psnr


def test_the_curve_is_by_psnr_or_ssim_and_the_samples_lie_behind_it_as_a_band(inputs):
    traces = "document.querySelector('.js-plotly-plot')?.data.map(({ name }) => name).join()"
    inputs.wait_for_function(f"{traces} === 'this picture,now'")
    expect(inputs.locator(".ytitle", has_text="PSNR, dB")).to_be_visible()
    choose(inputs, "SSIM")
    expect(inputs.locator(".ytitle", has_text="SSIM")).to_be_visible()
    expect(inputs.locator(".ytitle")).to_have_count(1)  # the first chart has gone
    inputs.get_by_text("Sample photos as a band").click()
    expect(inputs.get_by_text(re.compile("Sample photos: [0-9]+ of 12"))).to_be_visible()
    inputs.wait_for_function(f"{traces} === 'half of the set,median of 12,this picture,now'")


def test_one_cell_with_a_code_that_does_not_belong_turns_the_line_of_the_neighbours(blank_page, app_url):
    blank_page.goto(f"{app_url}/edit")
    drawn(blank_page)
    at_rest(blank_page)
    act_and_settle(blank_page, lambda: draw(blank_page, (8, 12)))  # the background, in the eye
    blank_page.get_by_role("link", name="Inputs").click()
    drawn(blank_page)
    lines = blank_page.locator(".verdict")
    expect(lines.nth(1)).to_contain_text("Neighbours unlike photos: 1 of 1 edited cell has a code")
    expect(lines.nth(1)).to_have_class("verdict poor")
    expect(lines.nth(0)).to_have_class("verdict good")  # each cell by itself is fed a code
    act_and_settle(blank_page, lambda: blank_page.get_by_role("button", name="Undo").click())
    expect(lines.nth(1)).to_have_class("verdict good")
    act_and_settle(blank_page, lambda: blank_page.locator("select.overlay").select_option("neighbours"))
    expect(blank_page.locator(".advice")).to_contain_text("cells (8%) are rare beside their neighbours")


def test_the_curve_is_of_what_is_painted_and_now_has_the_figure_that_the_editor_shows(inputs):
    act_and_settle(inputs, lambda: draw(inputs, (3, 4), (9, 20)))  # to a blend of 0
    psnr = quality(inputs, "PSNR")[1]
    inputs.wait_for_function(
        """psnr => {
            const traces = document.querySelector('.js-plotly-plot')?._fullData ?? []; // numbers, not their bytes
            const [curve, now] = ['this picture', 'now'].map((wanted) => traces.find(({ name }) => name === wanted));
            if (!curve || !now) return false;
            const place = [...curve.x].indexOf(now.x[0]);
            return curve.y[place] === now.y[0] && now.y[0].toFixed(2) === psnr;
        }""",
        arg=psnr,
    )
    expect(inputs.get_by_text("cells keep their painted blend")).to_be_visible()


# --- two pictures


def test_swapped_pictures_are_those_of_the_library_and_their_captions_say_what_decided(inputs):
    model, a, b = pair()
    swapped = blending.swap(model, a, b)
    choose(inputs, "Two pictures")
    images, captions = inputs.locator(".st-key-stack_swap img"), inputs.locator(".st-key-stack_swap p")
    expect(images).to_have_count(2)
    originals = [sample().pixels, second_sample().pixels]
    for number, pixels in enumerate([swapped.a_with_b_pixels, swapped.b_with_a_pixels]):
        own, other = ((a, b), (b, a))[number]
        height, width = originals[number].shape[:2]
        found = image_of(images.nth(number))
        assert_same(found, pixels[:height, :width])
        fitted = blending.fitted(model, other, *own.grid.shape[-2:])
        by_codes, by_embedding = (compare(reconstruction(model, one, 1, found), found).psnr for one in (own, fitted))
        assert by_codes < by_embedding
        title, text = captions.nth(2 * number), captions.nth(2 * number + 1)
        names = [SAMPLES[0].title, SAMPLES[1].title][:: -1 if number else 1]
        expect(title).to_have_text(f"Codes of {names[0]}, embedding of {names[1]}")
        said = [float(number) for number in re.findall(r"([\d.]+) dB", text.inner_text())]
        assert said == pytest.approx([by_codes, by_embedding], abs=0.02)  # another process rounds another way
        expect(text).to_contain_text(f"closer to {names[1]}, so here the embedding decided more")
    lines = inputs.locator(".st-key-stack_swap li.verdict")
    # An embedding that is not its codes', whole grids.
    expect(lines).to_have_class(["verdict poor", "verdict good"] * 2)
    offered = inputs.get_by_test_id("stMain").get_by_test_id("stSelectbox").last
    offered.locator("input").click()
    expect(inputs.get_by_role("option", name=SAMPLES[1].title)).to_be_visible()
    expect(inputs.get_by_role("option", name=SAMPLES[0].title)).to_have_count(0)  # nothing is swapped with itself


def test_scrubbing_is_live_and_the_ends_are_the_two_reconstructions(inputs):
    model, a, b = pair()
    choose(inputs, "Two pictures")
    choose(inputs, "From one to the other")
    book, scrub = inputs.locator(".flipbook"), inputs.get_by_label("Place between the two pictures")
    expect(book).to_have_attribute("data-frame", "12")
    for way in ("Embeddings, re-quantized", "Codes", "Embeddings"):
        inputs.get_by_text(way, exact=True).click()
        at_rest(inputs)
        seen = []
        for key, encoding in (("Home", a), ("End", blending.fitted(model, b, ROWS, COLUMNS))):
            scrub.press(key)
            seen.append(pixels_of(book.locator("canvas")))
            assert_same(seen[-1], reconstruction(model, encoding, 1, seen[-1]))
        scrub.press("ArrowLeft")
        assert book.get_attribute("data-frame") == "23"  # at once: nothing is asked of the server
        assert (pixels_of(book.locator("canvas")) != seen[1]).any()
        assert book.locator("p").inner_text() == "96 % of the way"
    expect(inputs.locator("li.verdict").first).to_contain_text("of the way: ")
    inputs.get_by_role("button", name="Play").click()
    expect(book).not_to_have_attribute("data-frame", "23")
    inputs.get_by_role("button", name="Pause").click()


@pytest.mark.parametrize("form", ["GIF", "WebP"])
def test_the_way_there_and_back_is_saved_as_an_animation(inputs, form):
    choose(inputs, "Two pictures")
    choose(inputs, "From one to the other")
    with inputs.expect_download() as waiting:
        inputs.get_by_role("button", name=f"Animation ({form})").click()
    saved = waiting.value
    assert saved.suggested_filename == f"photos-embeddings.{form.lower()}"
    with Image.open(saved.path()) as animation:
        assert animation.format == form.upper()
        assert animation.size == (256, 170)
        assert 40 < len(list(ImageSequence.Iterator(animation))) <= 48


# --- the reliance test


@pytest.mark.parametrize("name", ["photos", "photos-classic"])
def test_one_picture_has_its_figures_and_no_verdict_on_the_model(blank_page, app_url, name):
    inputs = open_inputs(blank_page, app_url, f"checkpoint={name}")
    choose(inputs, "Reliance test")
    one_input = name == "photos-classic"
    expect(verdicts(inputs)).to_have_text(["One input" if one_input else "One picture", "One picture"], timeout=60_000)
    expect(inputs.locator(".reliance-basis")).to_have_text("1 of 1 image counts.")
    if not one_input:
        expect(inputs.locator(".reliance-verdict")).to_contain_text("One picture is no evidence")
        expect(inputs.locator(".reliance-why")).to_contain_text("At the borders, on known ground, the embedding leads")
    check_pictures(inputs, sample().pixels, inputs=1 if one_input else 2)
    inputs.get_by_role("button", name="Test on the sample photos").click()
    expect(inputs.locator(".reliance-empty")).to_contain_text("The test takes 12 images of Sample photos.")


QUANTIZED = ["Mean", "Shuffled", "Another image's"]
EMBEDDING = ["Off", "Mean", "Shuffled", "Another image's", "Another cell's of the same code", "Both: shuffled"]


def check_pictures(page: Page, original: np.ndarray, *, inputs: int) -> None:
    """The pictures behind the numbers have the figures that stand under them."""
    at_rest(page)
    rows = [page.locator(f".st-key-behind-{name}") for name in ("quantized", "embedding")]
    expect(rows[0].locator("img")).to_have_count(4)
    expect(rows[1].locator("img")).to_have_count(7 if inputs == 2 else 0)
    whole = compare(original, image_of(rows[0].locator("img").first)).psnr
    expect(rows[0]).to_contain_text(f"Both whole: {decibels(whole)} dB")
    if inputs == 2:
        np.testing.assert_array_equal(image_of(rows[1].locator("img").first), original)
    for row, ways in list(zip(rows, (QUANTIZED, EMBEDDING), strict=True))[:inputs]:
        captions = row.get_by_test_id("stImageCaption").all_inner_texts()
        assert [caption.rsplit(":", 1)[0] for caption in captions[1:]] == ways
        for place, caption in list(enumerate(captions))[1:]:
            psnr = compare(original, image_of(row.locator("img").nth(place))).psnr
            assert caption.endswith(f"{psnr - whole:+.1f} dB".replace("-", "−"))


def test_a_set_that_is_stopped_keeps_what_was_done_and_says_that_it_is_partial(inputs):
    choose(inputs, "Reliance test")
    choose(inputs, "Sample photos")
    inputs.get_by_role("button", name="Run the test").click()
    progress = re.compile(r"Passes of the model: (5\d|[6-9]\d|[1-3]\d\d) of 360")
    expect(inputs.get_by_text(progress)).to_be_visible(timeout=60_000)
    inputs.locator("[class*='st-key-stop-reliance-'] button").click()
    basis = inputs.locator(".reliance-basis")
    expect(basis).to_contain_text("stopped before the others, so these figures are partial", timeout=60_000)
    expect(verdicts(inputs)).to_have_count(2)
    check_pictures(inputs, sample().pixels, inputs=2)


def test_a_folder_is_tested_and_a_bad_path_is_refused_in_place(inputs, tmp_path: Path):
    choose(inputs, "Reliance test")
    choose(inputs, "A set by its path")
    field = inputs.get_by_role("textbox", name="Images")
    for bad in ("/nowhere/at all", str(tmp_path), "~nobody-of-this-name/x"):
        field.fill(bad)
        field.press("Enter")
        expect(alerts(inputs)).to_have_count(1)
        at_rest(inputs)
        expect(inputs.get_by_role("button", name="Run the test")).to_have_count(0)
    folder = write_toy_photos(tmp_path / "toys", count=3)
    (folder / "again.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.png").write_bytes(b"nonsense")
    field.fill(str(folder))
    field.press("Enter")
    inputs.get_by_role("button", name="Run the test").click()
    expect(verdicts(inputs)).to_have_text(["Undecided", "Undecided"], timeout=60_000)
    expect(inputs.locator(".reliance-basis")).to_contain_text("3 of 5 images count")
    expect(inputs.get_by_text("Skipped broken.png")).to_be_visible()
    expect(inputs.get_by_text("Skipped again.png: it has the pixels of 0.png.")).to_be_visible()
    expect(alerts(inputs)).to_have_count(0)
    choose(inputs, "Blend")
    choose(inputs, "Reliance test")
    expect(field).to_have_value(str(folder))
    expect(verdicts(inputs)).to_have_text(["Undecided", "Undecided"])


def test_what_was_measured_can_be_cited_and_has_the_figures_of_the_screen(inputs, tmp_path: Path):
    choose(inputs, "Reliance test")
    choose(inputs, "A set by its path")
    folder = write_toy_photos(tmp_path / "toys", count=6)
    field = inputs.get_by_role("textbox", name="Images")
    field.fill(str(folder))
    field.press("Enter")
    inputs.get_by_role("button", name="Run the test").click()
    expect(verdicts(inputs)).to_have_count(2, timeout=90_000)
    at_rest(inputs)
    files = {}
    for form in ("JSON", "CSV"):
        with inputs.expect_download() as download:
            inputs.get_by_role("button", name=f"Every measurement ({form})").click()
        files[form] = download.value.path().read_text()
    stored = json.loads(files["JSON"])
    assert stored["finished"] and stored["images"] == 6
    named = [stored["verdict"][part]["name"].capitalize() for part in ("follows", "stands_alone")]
    expect(verdicts(inputs)).to_have_text(named)
    assert len(files["CSV"].splitlines()) == 1 + len(stored["rows"])
    inputs.get_by_text("Methods, to be cited").click()
    expect(inputs.get_by_text(stored["methods"][:80])).to_be_visible()
    expect(inputs.get_by_text(stored["command"])).to_be_visible()


def test_a_cell_at_a_border_is_flipped_by_hand(inputs):
    choose(inputs, "Reliance test")
    flips = inputs.locator(".reliance-flips figure")
    expect(flips).to_have_count(5, timeout=60_000)
    titles = ["As it is", "The code alone", "The embedding alone", "Both", "What both change"]
    expect(flips.locator("figcaption b")).to_have_text(titles)  # again and again: the end of the test draws them anew
    at_rest(inputs)
    model = checkpoint.load(CHECKPOINTS / "photos")
    encoding = encode_picture(model, sample()).encoding
    border = boundary.border_of(Codebook.of(model), encoding)
    wanted = boundary.flip(model, encoding, border, border.cells[0], weight=1.0)
    for place, pixels in enumerate((wanted.before, wanted.code, wanted.embedding, wanted.both)):
        assert_same(image_of(flips.nth(place).locator("img")), pixels)
    expect(flips.nth(1)).to_contain_text(f"{wanted.moved.changes[0].code_share:.2f} of the change".replace("-", "−"))


def test_cell_by_cell_there_are_two_maps_and_their_ratio_and_how_sure_they_are(blank_page, app_url):
    inputs = open_inputs(blank_page, app_url, "size=128")
    choose(inputs, "Reliance test")
    inputs.get_by_text("Show the maps").click()
    enough = re.compile(r"through the decoder: ([6-9]\d\d|\d,\d{3}) probes")  # two rounds of each input are 512
    sure = inputs.get_by_text(re.compile(r"A typical cell is sure to ± [\d.]+ % and ± [\d.]+ %"))
    expect(inputs.get_by_text(enough).or_(sure).first).to_be_visible()
    with suppress(TimeoutError):  # it may be done by now, which takes four times as long
        inputs.locator("[class*='st-key-stop-maps-'] button").click(timeout=10_000)
    expect(sure).to_be_visible()
    for title in ("Codes", "Embedding", "Codes over embedding, log2"):
        expect(inputs.locator(".gtitle").filter(has_text=re.compile(f"^{title}$"))).to_be_visible()


# --- one input, and a narrow screen


def test_with_one_input_each_view_says_what_that_means(blank_page, app_url):
    inputs = open_inputs(blank_page, app_url, "checkpoint=photos-classic&size=128")
    expect(inputs.locator(".sentence")).to_have_text("The decoder gets the codes alone.")
    expect(inputs.locator(".switch")).to_have_text("Feed the embedding in place of the codes")
    act_and_settle(inputs, inputs.locator(".switch").click)
    expect(inputs.locator(".sentence")).to_contain_text("This decoder has one input and never met an embedding")
    choose(inputs, "Two pictures")
    expect(alerts(inputs)).to_contain_text("This decoder has one input")
    expect(inputs.locator(".st-key-stack_swap img")).to_have_count(2)
    choose(inputs, "From one to the other")
    expect(inputs.locator(".flipbook[data-frame]")).to_be_visible()
    choose(inputs, "Reliance test")
    expect(verdicts(inputs).first).to_have_text("One input", timeout=60_000)
    inputs.get_by_text("Show the maps").click()
    expect(alerts(inputs)).to_contain_text("nothing to compare it with")
    expect(inputs.locator(".gtitle")).to_have_text(["Codes"])


def test_at_800_pixels_nothing_is_wider_than_the_page(blank_page, app_url):
    blank_page.set_viewport_size({"width": 800, "height": 900})
    inputs = open_inputs(blank_page, app_url)
    for view in VIEWS:
        choose(inputs, view)
        for way in ("Swap the embeddings", "From one to the other") if view == "Two pictures" else ("",):
            if way:
                choose(inputs, way)
            right = inputs.evaluate("""() => {
                const inside = (root) => [...root.querySelectorAll('*')].flatMap((element) =>
                    [element, ...(element.shadowRoot ? inside(element.shadowRoot) : [])]);
                const parts = inside(document.querySelector('[data-testid="stMainBlockContainer"]'));
                const seen = parts.filter((element) =>
                    element.matches('.editor, .history, .controls, .flipbook, p, [data-testid="stImage"] img'));
                return Math.max(...seen.map((element) => element.getBoundingClientRect().right));
            }""")
            assert right <= 800
