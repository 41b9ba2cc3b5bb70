"""The reliance test: on what it is run, and what came out; the evidence itself is drawn by `evidence`."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import streamlit as st

from explorer.base import beside
from explorer.base.job import Progress
from explorer.base.open_model import OpenModel
from explorer.images import pictures
from explorer.images.pictures import Picture
from explorer.images.sets import ImageSet
from explorer.inputs.reliance.ablations import means_of
from explorer.inputs.reliance.measure import (
    MOST_PARTNERS,
    EncodedImage,
    Settings,
    evidence_of,
    measure_image,
    measure_set,
)
from explorer.inputs.reliance.report import Provenance, Report
from explorer.inputs.reliance.subject import find_twin, named, provenance_of, tested
from explorer.ui import cache, image_set, jobs, store, widgets
from explorer.ui.image_set import WORKING_SIZE
from explorer.ui.page import guarded
from explorer.ui.picture_choice import open_at, picture_titles
from explorer.ui.session import Session, TestedOn
from explorer.ui.views.inputs import border, evidence, sensitivity, width
from vqvae.errors import BadInput

JOB = "reliance"
PATH = "reliance-path"


@st.fragment
@guarded
def show(model: OpenModel, picture: Picture) -> None:
    """Choose what to test on, then the verdict with what it rests on."""
    evidence.style()
    on, offered = store.read().inputs.tested_on, image_set.to_measure_on()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Test on",
            list(offered),
            format_func=offered.__getitem__,
            **widgets.bound("tested-on", on, lambda chosen: store.read().on("inputs", tested_on=chosen or on)),
        )
        images = choose_set(on)
        choose_settings()
        place = st.container(width="content")
    if images is not None:
        image_set.say_what_is_read(images)
    if said := cache.damage(model, beside.FED):
        widgets.warn(said)
    if on == "picture":
        with place:
            offer_samples()
        test_picture(model, picture)
    elif images is not None:
        test_set(model, images, place)
    border.show(model, picture)
    sensitivity.show(model, picture)
    width.show()


def choose_set(on: TestedOn) -> ImageSet | None:
    """The set to test on; none for a single picture, or until a path is given."""
    if on == "picture":
        return None
    if on == "samples":
        return cache.sample_set()
    path = store.read().inputs.tested_path
    image_set.field_for_set(path, key=PATH, take=lambda typed: store.read().on("inputs", tested_path=typed))
    if not path:
        return None
    try:
        return image_set.open_typed(path)
    except (BadInput, OSError, ValueError) as fault:
        widgets.refuse(str(fault))
        return None


def choose_settings() -> None:
    """What shapes a test beside its images."""
    chosen = store.read().inputs
    with st.popover("Settings", icon=":material/tune:"):
        st.number_input(
            "Images at most",
            1,
            100_000,
            help="So many of the set, spread evenly over it.",
            width=200,
            **widgets.bound(
                "reliance-most", chosen.tested_most, lambda most: store.read().on("inputs", tested_most=most)
            ),
        )
        choose_draws()


def choose_draws() -> None:
    """What is drawn at random in a test: with how many others, and from which seed."""
    chosen = store.read().inputs
    st.number_input(
        "Partners",
        1,
        MOST_PARTNERS,
        help="With so many other images, and in so many random orders, each image is measured.",
        width=200,
        **widgets.bound(
            "reliance-partners", chosen.tested_partners, lambda few: store.read().on("inputs", tested_partners=few)
        ),
    )
    st.number_input(
        "Seed",
        0,
        10**9,
        help="Of all that is drawn at random: the same seed gives the same figures.",
        width=200,
        **widgets.bound("reliance-seed", chosen.tested_seed, lambda seed: store.read().on("inputs", tested_seed=seed)),
    )


def settings_of(model: OpenModel, *, working_size: int, images: int | None) -> Settings:
    """As the person chose them, at the blend that the slider is at."""
    session = store.read()
    return Settings(
        seed=session.inputs.tested_seed,
        partners=session.inputs.tested_partners,
        images=images,
        working_size=working_size,
        blend=blend_at_hand(session, inputs=model.inputs),
    )


def blend_at_hand(session: Session, *, inputs: Literal[1, 2]) -> float:
    """The blend that the slider is at, and all of the embedding where it is off: of none there is nothing to follow."""
    return round(session.weight_for(inputs), 4) or 1.0


# --- one picture ------------------------------------------------------------------------------------------------------


def test_picture(model: OpenModel, picture: Picture) -> None:
    """The test of the chosen picture, begun at once beside the page; one picture is no evidence, and that is said."""
    session = store.read()
    settings = settings_of(model, working_size=session.working_size, images=None)
    partners = following(picture, model.spec.sizes.only, settings.partners)
    names = [name for name, _ in partners]
    shared = (settings, picture.key, *(partner.key for _, partner in partners))
    key = f"{JOB}-{model.fingerprint[:16]}-{hash(shared):x}"
    jobs.forget_others(key, prefix=f"{JOB}-{model.fingerprint[:16]}-")
    job = jobs.find(key) or jobs.start(key, work_on(model, picture, partners, settings))
    jobs.follow(job, "Replacing one input after the other", key=key)
    jobs.offer_again(job, key, stopped="It was stopped before it was done.")
    if job.result is not None:
        evidence.show(job.result, gradient=sensitivity.median_ratio(model, picture))
        show_pictures(model, job.result, picture, [one for _, one in partners], names)


def work_on(
    model: OpenModel, picture: Picture, partners: Sequence[tuple[str, Picture]], settings: Settings
) -> Callable[[Progress], Report]:
    """The test of the chosen picture with the other images, by their titles, as a job does it."""
    title = picture_titles().get(store.read().picture, "the picture")
    source = Provenance(model.name, model.fingerprint, title, picture.key, command="")
    twin = twin_of(model)

    def work(progress: Progress) -> Report:
        opened = [opened_of(model, one, name) for name, one in [(title, picture), *partners]]
        under_test = tested(model, twin)
        means = means_of([one.encoding for one in opened])
        one = measure_image(under_test, opened[0], opened[1:], means=means, settings=settings, progress=progress)
        return Report.of(evidence_of(under_test, settings, [one], means=means), source)

    return work


def offer_samples() -> None:
    """One picture is no evidence: what is."""
    st.button(
        "Test on the sample photos",
        icon=":material/science:",
        on_click=_choose_samples,
    )


def _choose_samples() -> None:
    store.write(store.read().on("inputs", tested_on="samples"))


def following(picture: Picture, only: tuple[int, int] | None, most: int) -> list[tuple[str, Picture]]:
    """The other images for the chosen picture: the next ones of the gallery whose pixels differ, and their titles.

    only: the height and width that all have, where models take no others.
    """
    session = store.read()
    titles = picture_titles()
    names = list(titles)
    place = names.index(session.picture) if session.picture in names else -1
    found: list[tuple[str, Picture]] = []
    for name in [*names[place + 1 :], *names[: max(place, 0)]]:
        if len(found) == most:
            break
        try:
            other = open_at(name, session.working_size, only)
        except BadInput:
            continue
        if not any(np.array_equal(other.pixels, one.pixels) for one in (picture, *(one for _, one in found))):
            found.append((titles[name], other))
    return found


def opened_of(model: OpenModel, picture: Picture, name: str) -> EncodedImage:
    return EncodedImage(name, picture.pixels, cache.encode(model, picture).encoding)


def twin_of(model: OpenModel) -> OpenModel | None:
    """The checkpoint of the same size with one input, where there is one that opens."""
    folder = find_twin(model, cache.ROOT)
    try:
        return None if folder is None else cache.open_model(folder)
    except (BadInput, OSError):
        return None


# --- a set ------------------------------------------------------------------------------------------------------------


def test_set(model: OpenModel, images: ImageSet, place: st.delta_generator.DeltaGenerator) -> None:
    """The test of a set, beside the page: started by the person, shown as it goes, and stopped when they like."""
    settings = settings_of(model, working_size=WORKING_SIZE, images=store.read().inputs.tested_most)
    key = f"{JOB}-{model.fingerprint[:16]}-{images.identity[:16]}-{hash(settings):x}"
    job = jobs.find(key)
    with place:
        if st.button("Run the test" if job is None else "Run it again", type="primary"):
            jobs.forget_others(key, prefix=f"{JOB}-{model.fingerprint[:16]}-{images.identity[:16]}")
            twin = twin_of(model)
            data = "samples" if images is cache.sample_set() else images.source
            source = provenance_of(
                model, images, settings, named=named(model), data=data, under=images.under, twin=twin
            )

            def work(progress: Progress) -> Report:
                return Report.of(measure_set(tested(model, twin), images, settings, progress=progress), source)

            job = jobs.start(key, work)
    if job is None:
        first_time(images, settings)
        return
    jobs.follow(job, "Passes of the model", key=key)
    if job.state == "failed":
        widgets.refuse(job.message)
    if job.state == "cancelled" and job.result is None:
        st.info("It was stopped before the first image was done.")
    if job.result is not None:
        evidence.show(job.result)
        show_one_of_set(model, images, job.result)


def first_time(images: ImageSet, settings: Settings) -> None:
    """What a test will do, before it was run."""
    number = min(len(images.names), settings.images or len(images.names))
    st.html(
        f"<p class='reliance-empty'>The test takes <b>{number:,}</b> {'image' if number == 1 else 'images'} of "
        f"{widgets.escaped(images.label)}. On each it moves cells across the border between two codes, to see which "
        "input the decoder follows, and replaces each input in turn, to see what that costs. A few seconds an image; "
        "it can be stopped, and keeps what it has.</p>"
    )


def show_one_of_set(model: OpenModel, images: ImageSet, report: Report) -> None:
    """The pictures behind the numbers, of one image of the set."""
    measured = report.evidence.images
    number = st.selectbox(
        "The pictures behind the numbers, of",
        range(len(measured)),
        format_func=lambda at: widgets.shown(measured[at].name),
        width=320,
    )

    def opened(name: str) -> Picture:
        return pictures.read_picture(images, name, working_size=WORKING_SIZE, only=model.spec.sizes.only)

    names = measured[number].partners
    show_pictures(
        model, report, opened(measured[number].name), [opened(name) for name in names], list(names), number=number
    )


def show_pictures(
    model: OpenModel,
    report: Report,
    picture: Picture,
    partners: list[Picture],
    names: list[str],
    *,
    number: int = 0,
) -> None:
    """What the decoder drew for each number."""
    found, means = report.evidence.images[number], report.evidence.means
    if means is None:
        return
    subject = found.subject(
        cache.encode(model, picture).encoding,
        [cache.encode(model, partner).encoding for partner in partners[: len(found.partners)]],
        means=means,
        inputs=model.inputs,
    )
    key = (picture.key, report.evidence.settings, *(partner.key for partner in partners), found.digest)
    evidence.show_pictures(model, found, subject, picture, key=tuple(map(str, key)))
