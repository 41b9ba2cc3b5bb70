"""Two pictures: one's codes with the other's embedding, and all that lies between them."""

from dataclasses import replace
from functools import partial

import numpy as np
import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.base.verdict import Grade
from explorer.editing.animation import Form, animate
from explorer.editing.edits import DecoderInputs
from explorer.images.pictures import Picture
from explorer.images.reconstruction import compare, decibels
from explorer.inputs import blending
from explorer.inputs.blending import ORDERS, THROUGH, CellOrder, Through
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import flipbook
from explorer.ui.page import guarded
from explorer.ui.picture_choice import open_named, picture_titles
from explorer.ui.session import PairView
from explorer.ui.views.inputs import meter
from vqvae.images import to_png
from vqvae.tokenizer import Encoding

STEPS = 25  # frames from one picture to the other
FRAME_MS = 90
METERED = (0.5, 0.25, 0.75, 0.0, 1.0)  # places of the way; of those alike, the first is told of
WORSE: tuple[Grade, ...] = ("unsure", "good", "fair", "poor")
WIDEST, TALLEST = 540, 400  # CSS pixels of a swapped picture
WAYS: dict[Through, str] = {
    "embeddings": "Embeddings",
    "requantized": "Embeddings, re-quantized",
    "codes": "Codes",
}
FORMS: dict[Form, str] = {"gif": "GIF", "webp": "WebP"}
SAME = (
    "The two are the same picture, pixel by pixel, so there is nothing to swap and no way to go from one to the other. "
    "Choose another second picture."
)
CHOICES: dict[PairView, str] = {"swap": "Swap the embeddings", "between": "From one to the other"}


@st.fragment
@guarded
def show(model: OpenModel, picture: Picture) -> None:
    """Choose the second picture and what to do with the two."""
    session = store.read()
    titles = picture_titles()
    others = [name for name in titles if name != session.picture]
    view = session.inputs.pair_view
    second = session.inputs.second if session.inputs.second in others else others[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Second picture",
            others,
            format_func=titles.__getitem__,
            width=260,
            **widgets.bound("second-picture", second, lambda name: store.read().on("inputs", second=name)),
        )
        st.segmented_control(
            "What to do",
            list(CHOICES),
            format_func=CHOICES.__getitem__,
            label_visibility="collapsed",
            **widgets.bound("pair-view", view, lambda chosen: store.read().on("inputs", pair_view=chosen or view)),
        )
    other = open_named(second, session.working_size, model)
    if other.key == picture.key:
        st.info(SAME)
        return
    names = (titles.get(session.picture, "First picture"), titles[second])
    a = cache.encode(model, picture).encoding
    b = cache.encode(model, other).encoding
    if view == "swap":
        show_swap(model, picture, other, a, b, names)
    else:
        show_between(model, picture, other, a, b, names)


def show_swap(model: OpenModel, one: Picture, other: Picture, a: Encoding, b: Encoding, names: tuple[str, str]) -> None:
    """Each picture's codes with the other's embedding: whichever it looks like is the input that the decoder uses."""
    if model.inputs == 1:
        st.info(
            "This decoder has one input. The embedding is fed in its place, so the codes have no say: each picture is "
            "the one whose embedding it got."
        )
    swapped = blending.swap(model.tokenizer, a, b)
    with st.container(key="stack_swap"):
        left, right = st.columns(2, gap="medium")
    with left:
        show_mixture(model, swapped.a_with_b_pixels, names, one, a, b, key="swapped-first")
        show_meter(model, swapped.a_with_b)
    with right:
        show_mixture(model, swapped.b_with_a_pixels, names[::-1], other, b, a, key="swapped-second")
        show_meter(model, swapped.b_with_a)


def show_mixture(
    model: OpenModel,
    pixels: np.ndarray,
    names: tuple[str, str],
    picture: Picture,
    own: Encoding,
    other: Encoding,
    *,
    key: str,
) -> None:
    """A picture's codes with another's embedding, and which of the two reconstructions that is closer to."""
    height, width = picture.pixels.shape[:2]
    other = blending.fitted(model.tokenizer, other, *own.grid.shape[-2:])
    alone = (blending.decoded(model.tokenizer, blending.fed_at(whole, 1))[:height, :width] for whole in (own, other))
    pixels = pixels[:height, :width]
    by_codes, by_embedding = (compare(reconstruction, pixels).psnr for reconstruction in alone)
    codes_name, embedding_name = (widgets.plain(name) for name in names)
    more, closer = ("codes", codes_name) if by_codes >= by_embedding else ("embedding", embedding_name)
    with st.container(key=key):
        st.image(
            to_png(pixels),
            alt=f"Codes of {widgets.shown(names[0])}, embedding of {widgets.shown(names[1])}",
            output_format="PNG",
            width=min(WIDEST, TALLEST * width // height),
        )
    exports.figure(key, label=f"Codes of {names[0]}, embedding of {names[1]}", of=(model.name,))
    st.markdown(f"**Codes of {codes_name}, embedding of {embedding_name}**")
    st.caption(
        f"Against the reconstruction of {codes_name} it has a PSNR of {decibels(by_codes)} dB, against that of "
        f"{embedding_name} {decibels(by_embedding)} dB: it is closer to {closer}, so here the {more} decided more."
    )


def show_meter(model: OpenModel, fed: DecoderInputs) -> None:
    """How far what the decoder is fed there lies from its training."""
    widgets.verdicts(meter.read(model, fed).verdicts)


def show_meter_along(
    model: OpenModel, a: Encoding, b: Encoding, through: Through, order: CellOrder, weight: float
) -> None:
    """The meter at the places of the way where what is fed lies furthest from training, cells and neighbours each."""
    if cache.fed_reference(model) is None:
        return widgets.verdicts(meter.unknown(model).verdicts)
    read = [
        meter.read(
            model,
            blending.interpolate(
                model.tokenizer, model.codebook, a, b, place, through=through, order=order, weight=weight
            ),
        ).verdicts
        for place in METERED
    ]
    worst = []
    for verdicts in zip(*read, strict=True):
        place, verdict = max(zip(METERED, verdicts, strict=True), key=lambda found: WORSE.index(found[1].grade))
        sentence = verdict.sentence if verdict.grade == "unsure" else f"At {place:.0%} of the way: {verdict.sentence}"
        worst.append(replace(verdict, sentence=sentence))
    widgets.verdicts(worst)


def show_between(
    model: OpenModel, picture: Picture, other: Picture, a: Encoding, b: Encoding, names: tuple[str, str]
) -> None:
    """A scrubber from one picture to the other, and the animation to save."""
    session = store.read()
    with st.container(key="stack_between"):
        controls, place = st.columns([1, 2], gap="large")
    with controls:
        through: Through = st.radio(
            "Through",
            list(THROUGH),
            format_func=WAYS.__getitem__,
            captions=list(THROUGH.values()),
            **widgets.bound("through", session.inputs.through, lambda way: store.read().on("inputs", through=way)),
        )
        order = session.inputs.cell_order
        if through == "codes":
            st.selectbox(
                "Cells are switched",
                list(ORDERS),
                format_func=lambda name: ORDERS[name].rstrip("."),
                **widgets.bound("cell-order", order, lambda chosen: store.read().on("inputs", cell_order=chosen)),
            )
        weight = session.weight_for(model.inputs)
        st.caption(blended_in(weight))
        show_meter_along(model, a, b, through, order, weight)
    frames = cache.frames_between(model, picture, other, through, order, weight, STEPS)
    captions = [f"{100 * step / (STEPS - 1):.0f} % of the way" for step in range(STEPS)]
    with place:
        flipbook.show(frames, captions=captions, ends=names, key="between")
        exports.figure("between", label=f"From {names[0]} to {names[1]}, {WAYS[through]}", of=(model.name,))
        with st.container(horizontal=True):
            for form, form_name in FORMS.items():
                st.download_button(
                    f"Animation ({form_name})",
                    partial(animate, [*frames, *frames[-2:0:-1]], form=form, milliseconds=FRAME_MS),
                    file_name=f"{model.name}-{through}.{form}",
                    mime=f"image/{form}",
                    on_click="ignore",
                    icon=":material/download:",
                )


def blended_in(weight: float) -> str:
    """Which blend the pictures on the way have, and what sets it."""
    amount = f"{weight:.0%}".replace("-", "−")
    beyond = "" if 0 <= weight <= 1 else " That is extrapolated: nothing was trained for it."
    return f"With {amount} of the embedding blended in; the slider of the view Blend sets it.{beyond}"
