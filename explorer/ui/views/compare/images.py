"""On which images models are compared: the chosen picture, the samples, or a set of one's own."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.images import sets
from explorer.images.sets import ImageSet
from explorer.ui import cache, image_set, store, widgets
from explorer.ui.picture_choice import file_of, picture_titles
from vqvae.errors import BadInput
from vqvae.formats import KINDS


def choose_images(place: DeltaGenerator) -> ImageSet | None:
    """Draw the choice into a place, and below it what else is asked; None until there is a set."""
    session = store.read()
    on, offered = session.compare.measured_on, image_set.to_measure_on()
    place.segmented_control(
        "Compare on",
        list(offered),
        format_func=offered.__getitem__,
        label_visibility="collapsed",
        **widgets.bound("compared-on", on, lambda chosen: store.read().on("compare", measured_on=chosen or on)),
    )
    if on == "set":
        with st.container(horizontal=True, vertical_alignment="bottom"):
            _choose_path()
        if not session.compare.measured_path:
            st.caption(widgets.plain(f"Name the images to compare the models on: {KINDS}."))
    try:
        if on == "picture":
            return sets.one_picture(picture_titles().get(session.picture, "Picture"), file_of(session.picture)[1])
        if on == "samples":
            return cache.sample_set()
        path = session.compare.measured_path
        if not path:
            return None
        images = image_set.open_typed(path)
        image_set.say_what_is_read(images)
        return images
    except (BadInput, OSError, ValueError) as fault:
        widgets.refuse(str(fault))
        return None


def _choose_path() -> None:
    chosen = store.read().compare
    image_set.field_for_set(
        chosen.measured_path,
        key="compared-path",
        take=lambda typed: store.read().on("compare", measured_path=typed),
    )
    st.number_input(
        "Images at most",
        1,
        100_000,
        help="So many of the set, spread evenly over it.",
        width=160,
        **widgets.bound(
            "compared-most", chosen.measured_most, lambda most: store.read().on("compare", measured_most=most)
        ),
    )
