"""The reliance test: each input replaced in turn, what that costs, a verdict, and the pictures behind each number."""

import os.path

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images import pictures
from explorer.images.pictures import Picture
from explorer.images.reconstruction import Quality, decibels
from explorer.images.sets import ImageSet
from explorer.inputs import charts, reliance
from explorer.inputs.reliance import INPUTS, THRESHOLDS, Diagnosis, Reliance, SetReliance, Subject
from explorer.ui import cache, jobs, store, widgets
from explorer.ui.image_set import WORKING_SIZE
from explorer.ui.page import guarded
from explorer.ui.picture_choice import open_named, picture_titles
from explorer.ui.session import TestedOn
from explorer.ui.views.inputs import sensitivity
from vqvae.errors import BadInput
from vqvae.images import to_png
from vqvae.tokenizer import Encoding

ON: dict[TestedOn, str] = {"picture": "This picture", "samples": "Sample photos", "set": "A folder, tar or zip"}
JOB = "reliance"
PATH = "reliance-path"
SIDE = 164  # CSS pixels of a picture behind a number


@st.fragment
@guarded
def show(model: OpenModel, picture: Picture) -> None:
    """Choose what to test on, then the verdict with what it rests on."""
    on = store.read().inputs.tested_on
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Test on",
            list(ON),
            format_func=ON.__getitem__,
            **widgets.bound("tested-on", on, lambda chosen: store.read().on("inputs", tested_on=chosen or on)),
        )
        images, key = choose_set(model, on)
    if on == "picture":
        test_picture(model, picture)
    elif images is not None:
        test_set(model, images, key)
    sensitivity.show(model, picture)


def choose_set(model: OpenModel, on: TestedOn) -> tuple[ImageSet | None, str]:
    """The set to test on and the name of the job that does it; none for a single picture, or until a path is given."""
    if on == "picture":
        return None, ""
    if on == "samples":
        images = cache.sample_set()
    else:
        path = store.read().inputs.tested_path
        st.text_input(
            "Images",
            placeholder="/path/to/images",
            help="A path on this computer.",
            **widgets.bound(PATH, path, lambda typed: store.read().on("inputs", tested_path=typed.strip())),
        )
        if not path:
            return None, ""
        try:
            images = cache.open_set(os.path.expanduser(path), "")  # it leaves a home that is no one's as it is
        except (BadInput, OSError, ValueError) as fault:
            widgets.refuse(str(fault))
            return None, ""
    return images, f"{JOB}-{model.fingerprint[:16]}-{images.identity[:16]}"


def test_picture(model: OpenModel, picture: Picture) -> None:
    """The test of the chosen picture, at once."""
    name, other = following(picture, model)
    subject = subject_of(model, picture, other)
    result = cache.reliance_of(model, picture, other, subject)
    show_result(result, where="on this picture", other=name)
    show_pictures(model, subject, result, picture, key=(picture.key, other.key))


def following(picture: Picture, model: OpenModel) -> tuple[str, Picture]:
    """The other image for the chosen picture: the next one of the gallery, and what it is called."""
    session = store.read()
    titles = picture_titles()
    names = list(titles)
    place = names.index(session.picture) if session.picture in names else -1
    name = names[(place + 1) % len(names)]
    return titles[name], open_named(name, session.working_size, model)


def subject_of(model: OpenModel, picture: Picture, other: Picture) -> Subject:
    """A picture as what is tested."""
    return Subject.alone(encoding_of(model, picture), partner=encoding_of(model, other), inputs=model.inputs)


def encoding_of(model: OpenModel, picture: Picture) -> Encoding:
    return cache.encode(model, picture).encoding


def test_set(model: OpenModel, images: ImageSet, key: str) -> None:
    """The test of a set, beside the page: started by the person, shown as it goes, and stopped when they like."""
    job = jobs.find(key)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = store.read().inputs.tested_most
        st.number_input(
            "Images at most",
            1,
            100_000,
            help="So many of the set, spread evenly over it.",
            width=160,
            **widgets.bound("reliance-most", limit, lambda most: store.read().on("inputs", tested_most=most)),
        )
        if st.button("Run the test" if job is None else "Run it again", type="primary"):
            tokenizer, inputs = model.tokenizer, model.inputs
            job = jobs.start(
                key,
                lambda progress: reliance.measure_set(
                    tokenizer, images, working_size=WORKING_SIZE, inputs=inputs, limit=limit, progress=progress
                ),
            )
        st.caption(f"{len(images.names):,} images in {widgets.plain(images.label)}")
    if job is None:
        return
    jobs.follow(job, "Passes of the model", key=key)
    if job.state == "failed":
        widgets.refuse(job.message)
    if job.state == "cancelled" and job.result is None:
        st.info("It was stopped before the first image was done.")
    if job.result is not None:
        show_set(model, images, job.result)


def show_set(model: OpenModel, images: ImageSet, result: SetReliance) -> None:
    """The verdict over the set, then each image by itself."""
    done = len(result.names)
    stopped = "" if result.finished else f" It was stopped after {done} of {result.asked}."
    where = f"on {done:,} image{'' if done == 1 else 's'}"
    show_result(result.pooled, where=where, other="the next one of the set, for each")
    verdicts = ", ".join(f"{name}: {count}" for name, count in reliance.verdict_counts(result).items())
    st.caption(widgets.plain(f"By themselves, the images say {verdicts}.{stopped}"))
    for name, reason in result.unreadable[:10]:
        st.caption(widgets.plain(f"Skipped {name}: {reason}"))
    number = st.selectbox(
        "The pictures behind the numbers, of", range(done), format_func=lambda at: result.names[at], width=320
    )
    subject, picture = subject_of_set(model, images, result, number)
    key = (images.identity, result.names[number], str(result.asked))
    show_pictures(model, subject, result.single[number], picture, key=key)


def subject_of_set(model: OpenModel, images: ImageSet, result: SetReliance, number: int) -> tuple[Subject, Picture]:
    """One image of a set with the very inputs that it was measured with."""

    def opened(name: str) -> Picture:
        return pictures.open_picture(images.read(name), name, working_size=WORKING_SIZE, only=model.spec.sizes.only)

    picture, partner = opened(result.names[number]), result.partners[number]
    subject = Subject(
        encoding_of(model, picture),
        result.statistics,
        encoding_of(model, opened(partner)) if partner else None,
        model.inputs,
        result.seeds[number],
    )
    return subject, picture


def show_result(result: Reliance, *, where: str, other: str) -> None:
    """The verdict, the bars and the table."""
    verdict: Diagnosis = reliance.judge(result)
    widgets.verdict(verdict.grade, f"{verdict.sentence} Measured {where}.")
    st.caption(f"{THRESHOLDS} The other image is {widgets.plain(other)}.")
    with st.container(key="stack_reliance"):
        bars, table = st.columns(2, gap="large")
    with bars:
        st.plotly_chart(charts.reliance_bars(result), key="reliance-bars", config=widgets.PLOT | {"scrollZoom": False})
    with table:
        show_table(result)


def show_table(result: Reliance) -> None:
    rows: list[tuple[str, str, Quality, float | None]] = [("Nothing", "", result.whole, None)]
    rows += [(INPUTS[e.ablation.input], e.ablation.label, e.quality, e.drop) for e in result.effects]
    st.dataframe(
        {
            "Replaced": [what.capitalize() for what, *_ in rows],
            "By": [by for _, by, *_ in rows],
            "PSNR, dB": [decibels(quality.psnr) for _, _, quality, _ in rows],
            "Costs, dB": ["" if drop is None else f"{drop:.2f}" for *_, drop in rows],
            "SSIM": ["–" if quality.ssim is None else f"{quality.ssim:.3f}" for _, _, quality, _ in rows],
        },
        hide_index=True,
        height="content",
        column_config={
            name: st.column_config.TextColumn(alignment="right") for name in ("PSNR, dB", "Costs, dB", "SSIM")
        },
    )


def show_pictures(
    model: OpenModel, subject: Subject, result: Reliance, picture: Picture, *, key: tuple[str, ...]
) -> None:
    """What the decoder drew for each number: a row for each input, beside the original or both inputs whole."""
    height, width = picture.pixels.shape[:2]
    whole, *drawn = cache.reliance_pictures(model, key, (height, width), subject)
    leading = {
        "quantized": (whole, f"Both whole: {decibels(result.whole.psnr)} dB"),
        "embedding": (to_png(picture.pixels), "The original"),
    }
    for name in list(INPUTS)[: model.inputs]:
        st.html(f"<p class='label'>{INPUTS[name].capitalize()} replaced, and what that costs</p>")
        with st.container(horizontal=True, key=f"behind-{name}"):
            show_small(*leading[name])
            for effect, png in zip(result.effects, drawn, strict=True):
                if effect.ablation.input == name:
                    show_small(png, f"{effect.ablation.label.capitalize()}: {-effect.drop:+.1f} dB")


def show_small(png: bytes, caption: str) -> None:
    """A picture that opens large."""
    with st.container(width=SIDE):  # with a width of its own, Streamlit would shrink the file
        st.image(png, caption=caption.replace("-", "−"), output_format="PNG", width="stretch")
