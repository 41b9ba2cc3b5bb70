"""The Learn page in a real browser, on the shipped checkpoints."""

import re

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from explorer.codebook.tiles import code_tiles, mean_colours
from explorer.images import samples
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import encode_picture
from explorer.index.training_usage import load_training_usage
from explorer.learn.answers import BYPASS, CLASSIC
from explorer.learn.claims import CLAIMS
from explorer.learn.steps import source_of, steps
from explorer.learn.tasks import draws_sky, edit_effect
from tests.conftest import CHECKPOINTS
from tests.toys import toy_model
from vqvae import checkpoint

MODELS = {1: toy_model(decoder_inputs="quantized"), 2: toy_model()}  # by the number of their decoder's inputs


@pytest.fixture
def learn(blank_page: Page, app_url: str) -> Page:
    """The Learn page, opened cold by its own address."""
    return open_learn(blank_page, app_url)


def open_learn(page: Page, app_url: str, query: str = "", *, tasks: int = 5) -> Page:
    page.goto(f"{app_url}/learn?{query}")
    expect(page.locator(".walk-tasks li")).to_have_count(tasks)
    return page


def card(page: Page, title: str) -> Locator:
    return page.get_by_role("tab").filter(has=page.locator(".title", has_text=re.compile(f"^{title}$")))


def open_step(page: Page, title: str) -> None:
    card(page, title).click()
    expect(page.locator(".walk-step h2")).to_contain_text(title)


def task(page: Page, name: str) -> Locator:
    return page.locator(f'[data-task="{name}"]')


def done(page: Page, name: str) -> None:
    expect(task(page, name)).to_have_class("done")


def test_a_click_and_the_arrow_keys_pick_the_cell_that_all_steps_follow(learn):
    picture = learn.locator(".picker")
    expect(picture).to_have_attribute("data-cell", "11,16")
    open_step(learn, "Patch")
    box = picture.bounding_box()
    learn.mouse.click(box["x"] + box["width"] * (3.5 * 8 / 256), box["y"] + box["height"] * (5.5 * 8 / 170))
    expect(learn.locator(".walk-step")).to_contain_text("row 5, column 3")
    learn.keyboard.press("ArrowDown")
    expect(learn.locator(".walk-step")).to_contain_text("row 6, column 3")
    expect(learn.get_by_label("Row", exact=True)).to_have_value("6")
    learn.get_by_label("Column", exact=True).fill("4")
    learn.keyboard.press("Enter")
    expect(learn.locator(".walk-step")).to_contain_text("row 6, column 4")
    expect(picture).to_have_attribute("data-cell", "6,4")


def test_each_step_opens_with_the_lines_of_the_model_that_do_it(learn):
    for step in steps(MODELS[2]):
        open_step(learn, step.title)
        for function in step.functions:
            source = source_of(function)
            place = learn.locator(".walk-source").filter(has_text=source.name)
            expect(place).to_contain_text(f"{source.file}, lines {source.first}–{source.last}")
            expect(learn.get_by_test_id("stCode").filter(has_text=source.text.splitlines()[-1].strip())).to_be_visible()
    expect(learn.locator(".walk-views img")).to_have_count(3)  # the last step: original, codes alone, embedding on


def answer(page: Page, question: str) -> Locator:
    return page.locator(".walk-answer").filter(has_text=question)


def test_just_show_me_answers_all_with_figures_of_the_other_checkpoints_and_tests_all_claims(learn):
    expect(learn.get_by_role("button", name="Show", exact=True)).to_have_count(6)
    learn.get_by_text("Just show me").click()
    expect(learn.locator(".walk-finding")).to_have_count(len(CLAIMS))
    expect(learn.get_by_role("button", name="Show", exact=True)).to_have_count(0)
    answers = learn.locator(".walk-answer")
    expect(answers).to_have_count(6)
    for name in (CLASSIC, BYPASS):
        expect(answers.filter(has_text=name).first).to_be_visible()
    expect(answers.filter(has_text="no checkpoint")).to_have_count(0)
    expect(answer(learn, "What does the second input cost?")).to_contain_text("180,224 bytes")
    assert len(answers.locator("b").all()) >= 8
    learn.get_by_text("Just show me").click()
    expect(learn.get_by_role("button", name="Show", exact=True)).to_have_count(6)


def test_a_guess_by_keyboard_stands_beside_the_figure_and_goes_when_all_is_hidden_again(learn):
    question = "How many of the 1,024 codes does this picture name?"
    expect(answer(learn, "What is a codebook?")).not_to_contain_text("different codes")
    learn.get_by_label(question).focus()
    learn.keyboard.type("300")
    learn.keyboard.press("Enter")
    shown = answer(learn, "What is a codebook?")
    expect(shown).to_contain_text(re.compile(r"Your guess: 300 codes · measured: \d+ codes"))
    expect(shown).to_contain_text("different codes")
    expect(learn.get_by_role("button", name="Show", exact=True)).to_have_count(5)
    learn.get_by_role("button", name="Show", exact=True).first.click()  # skipped
    expect(answer(learn, "two inputs?")).to_contain_text("dB more")
    expect(answer(learn, "two inputs?")).not_to_contain_text("Your guess")
    learn.get_by_role("button", name="Hide them again").click()
    expect(learn.get_by_label(question)).to_have_value("")


def test_a_claim_is_judged_first_and_then_tested(learn):
    claim = learn.locator(".st-key-walk_claim_gradient")
    expect(claim.locator(".walk-finding")).to_have_count(0)
    claim.get_by_role("button", name="Half right").press("Enter")
    expect(claim).to_contain_text("Wrong here")
    expect(claim).to_contain_text("You said: Half right")
    claim.get_by_text("The lines").click()
    expect(claim.locator(".walk-source")).to_contain_text("VQVAE.forward")
    expect(learn.locator(".walk-finding")).to_have_count(1)


def test_the_worksheet_opens_without_the_app(learn, browser, tmp_path):
    with learn.expect_download() as download:
        learn.get_by_role("button", name="Worksheet (HTML)").click()
    file = tmp_path / "sheet.html"
    download.value.save_as(file)
    offline = browser.new_context(offline=True)
    sheet = offline.new_page()
    asked = []
    sheet.on("request", lambda request: asked.append(request.url))
    sheet.goto(file.as_uri())
    expect(sheet.get_by_role("heading", name="Answers")).to_be_visible()
    sheet.emulate_media(media="print")
    main = sheet.locator("main")
    assert main.nth(1).evaluate("part => getComputedStyle(part).breakBefore") == "page"
    assert main.nth(0).evaluate("part => getComputedStyle(part).boxShadow") == "none"
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    offline.close()


def test_a_link_brings_back_cell_step_and_what_was_done(blank_page, app_url):
    learn = open_learn(blank_page, app_url, "cell=5,3&step=code&tried=sky,rare,nonsense")
    expect(learn.locator(".picker")).to_have_attribute("data-cell", "5,3")
    expect(learn.locator(".walk-step h2")).to_contain_text("Code")
    for name in ("sky", "rare"):
        done(learn, name)
    expect(task(learn, "half")).to_have_class("open")
    expect(learn).to_have_url(re.compile(r"cell=5(,|%2C)3"))
    open_step(learn, "Residual")
    expect(learn).to_have_url(re.compile("step=residual"))


def test_a_blend_of_some_twelve_per_cent_brings_half_of_the_gain(blank_page, app_url):
    learn = open_learn(blank_page, app_url, "blend=0.15")
    expect(task(learn, "half")).to_have_class("open")
    slider = learn.get_by_role("slider")
    for percent in (14, 13, 12):
        slider.press("ArrowLeft")
        expect(card(learn, "Two inputs")).to_contain_text(f"blend {percent}%")
    done(learn, "half")
    slider.press("End")
    expect(task(learn, "half")).to_contain_text("A blend of 100% brings 100%")
    done(learn, "half")  # what was done stays done


def test_a_click_on_the_wall_finds_a_code_that_draws_sky(learn):
    folder = CHECKPOINTS / "photos"
    wall = learn.locator(".st-key-learn-wall")
    expect(wall.locator("[data-drawn]")).to_be_visible()
    usage = load_training_usage(folder, checkpoint=checkpoint.content_hash(folder), codes=1024)
    assert usage is not None
    order = np.argsort(-usage.counts, kind="stable")
    shown_first = code_tiles(checkpoint.load(folder), order[:150])
    sky = draws_sky(mean_colours(shown_first))
    place = int(np.flatnonzero(sky)[0])
    across = int((wall.locator(".rows").evaluate("rows => rows.clientWidth") + 2) // 24)
    position = {"x": place % across * 24 + 11, "y": place // across * 24 + 11}
    wall.locator("canvas").click(position=position)
    expect(task(learn, "sky")).to_contain_text(f"Code {order[place]:,} decodes to")
    done(learn, "sky")
    expect(learn).to_have_url(re.compile(f"code={order[place]}(&|$)"))
    expect(learn.get_by_text("1 of 5 done")).to_be_visible()


def most_ignored_code(name: str) -> int:
    """The code that the decoder ignores most in the middle cell of the first picture, the embedding kept."""
    tokenizer = checkpoint.load(CHECKPOINTS / name)
    sample = samples.SAMPLES[0]
    encoded = encode_picture(tokenizer, open_picture(sample.read(), sample.file, working_size=256))
    shares = {
        code: effect.now / effect.alone
        for code in range(0, 1024, 64)
        if (effect := edit_effect(tokenizer, encoded.encoding, (11, 16), code, rule="keep", weight=1.0))
    }
    return min(shares, key=lambda code: shares[code])


def test_the_bypass_ignores_an_edit_once_the_embedding_is_kept_and_that_is_remembered(blank_page, app_url):
    code = most_ignored_code("photos-bypass")
    learn = open_learn(blank_page, app_url, f"checkpoint=photos-bypass&code={code}")
    expect(task(learn, "ignore")).to_have_class("open")
    learn.get_by_text("Keep", exact=True).click()
    done(learn, "ignore")
    learn.get_by_role("link", name="Codebook").click()
    expect(learn.locator(".st-key-wall .wall[data-drawn]")).to_be_visible()
    learn.get_by_role("link", name="Learn").click()
    done(learn, "ignore")


def test_lit_cells_lead_to_one_that_nearly_took_another_code(learn):
    picture = learn.locator(".picker img")
    lit = """async (image) => {
        await image.decode();
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
        const brush = canvas.getContext("2d");
        brush.drawImage(image, 0, 0);
        const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
        const bright = [];
        for (let row = 0; row < 21; row += 1) for (let column = 0; column < 32; column += 1) {
            let most = 0;
            for (let y = 0; y < 8; y += 1) for (let x = 0; x < 8; x += 1) {
                most = Math.max(most, data[4 * ((row * 8 + y) * canvas.width + column * 8 + x)]);
            }
            if (most > 64) bright.push([row, column]);
        }
        return bright;
    }"""
    plain = picture.get_attribute("src")
    learn.get_by_text("Light up cells").click()
    expect(picture).not_to_have_attribute("src", plain or "")
    bright = picture.evaluate(lit)
    assert 20 < len(bright) < 100
    row, column = bright[0]
    box = picture.bounding_box()
    learn.mouse.click(
        box["x"] + box["width"] * (column + 0.5) * 8 / 256, box["y"] + box["height"] * (row + 0.5) * 8 / 170
    )
    expect(learn.locator(".picker")).to_have_attribute("data-cell", f"{row},{column}")
    done(learn, "margin")


def test_with_one_input_the_page_says_what_is_different(blank_page, app_url):
    learn = open_learn(blank_page, app_url, "checkpoint=photos-classic", tasks=3)
    expect(learn.get_by_text("This decoder has one input")).to_be_visible()
    expect(learn.get_by_role("slider")).to_have_count(0)
    for step in steps(MODELS[1]):
        open_step(learn, step.title)
    expect(learn.locator(".walk-views img")).to_have_count(2)
    open_step(learn, "One input")
    expect(learn.locator(".walk-source").filter(has_text="OneInputStem.forward")).to_be_visible()
    expect(learn.locator(".walk-source")).to_have_count(1)  # those of the step before are gone
    expect(learn.locator('[data-left-out="ignore"]')).to_contain_text("no second input")
