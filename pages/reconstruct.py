"""Reconstruct: a picture, what its codes say of it, and what the decoder's second input adds."""

import json
from itertools import chain

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.open_model import OpenModel
from explorer.compare.one_picture import price_figures
from explorer.images.pictures import Picture
from explorer.images.reconstruction import Quality, explain, quality_figures, quality_rows, render, time_figures
from explorer.ui import cache, exports, store, widgets
from explorer.ui.components import canvas
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen, saved_as
from vqvae.images import to_png

CANVAS = "canvas"
FIGURES = {"all": "All pictures", "error": "Error map", "codes": "Grid of codes"}
LESS = 0.85  # of the embedding, which some pictures are closer with than with all of it


@guarded
def main() -> None:
    model = open_page("Reconstruct", "A picture, what its codes say of it, and what the decoder's second input adds.")
    session = store.write(choose_picture(store.read()))
    picture = open_chosen(session, model)
    show_reconstruction(model, picture)


@st.fragment
@guarded
def show_reconstruction(model: OpenModel, picture: Picture) -> None:
    """The canvas with its figures, and the downloads; while a control is moved only this part runs again."""
    content = f"{model.fingerprint[:16]}-{picture.key[:16]}"
    encoded = cache.encode(model, picture)
    rows, columns = encoded.indices.shape

    request = canvas.read_request(CANVAS)
    session = store.keep(store.read().with_linked_cell(rows=rows, columns=columns)).with_blend_within(0, 1)
    if request and request.content == content:
        session = session.with_blend(request.blend, uses_embedding=request.uses_embedding, inputs=model.inputs)
        session = session.on("reconstruct", view=request.view, panel=request.panel)
        inside = request.cell and request.cell[0] < rows and request.cell[1] < columns
        session = session.with_cell(request.cell if inside else None)
        session = store.write(session) if request.settled else store.keep(session)

    weight = session.weight_for(model.inputs)
    codes_only = cache.quality_at(model, picture, 0)
    now = render(model.tokenizer, encoded, picture, weight=weight)
    other = LESS if weight == 1 else 1
    figures = [
        quality_figures(codes_only, now.quality),
        cache.size_figures(model, picture),
        time_figures(encoded.milliseconds, now.milliseconds, device=model.device.upper()),
    ]
    canvas.show(
        session,
        request,
        key=CANVAS,
        content=content,
        inputs=model.inputs,
        stride=model.stride,
        original=picture.pixels,
        reconstruction=now.pixels,
        indices=encoded.indices,
        colours=cache.colours_of(model, encoded.indices),
        codes=model.codes,
        figures=figures,
        sentence=explain(
            codes_only,
            now.quality,
            weight=weight,
            inputs=model.inputs,
            other=(other, cache.quality_at(model, picture, other)) if weight and model.inputs == 2 else None,
        ),
    )
    cost = st.container()
    offer_downloads(model, encoded.indices, now.pixels, picture)
    with cost:  # last: files of other formats have to be written for it, once for each picture
        widgets.figure_row(priced := price_figures(cache.price(model, picture)))
    offer_figures(model, codes_only, now.quality, [*chain(*figures), *priced])


def offer_downloads(model: OpenModel, indices: np.ndarray, reconstruction: np.ndarray, picture: Picture) -> None:
    """Reconstruction as PNG, indices as .npy and JSON; made only when asked for. Notes on the picture stand beside."""
    with st.container(horizontal=True, vertical_alignment="center"):
        name = saved_as(store.read().picture, model)
        st.download_button(
            "Reconstruction (PNG)",
            lambda: to_png(reconstruction),
            file_name=f"{name}.png",
            mime="image/png",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Codes (.npy)",
            lambda: widgets.npy(indices),
            file_name=f"{name}-codes.npy",
            mime="application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Codes (JSON)",
            lambda: to_json(model, indices),
            file_name=f"{name}-codes.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
        )
        if picture.notes:
            st.caption(widgets.plain(" ".join(picture.notes)))


def offer_figures(model: OpenModel, codes_only: Quality, now: Quality, figures: list[Figure]) -> None:
    """The pictures side by side, the error map, the grid of codes, and the figures as a table."""
    of = (saved_as(store.read().picture, model),)
    with st.container(horizontal=True, gap="medium", key="reconstruct_exports"):
        for part, label in FIGURES.items():
            exports.figure(f"{CANVAS}#{part}", label=label, of=of)
        exports.table(
            lambda: [*quality_rows(codes_only, now), *exports.figure_rows(figures)],
            key=CANVAS,
            label="Figures",
            of=of,
            named=True,
        )


def to_json(model: OpenModel, indices: np.ndarray) -> str:
    """The grid of indices, and the checkpoint that they belong to."""
    about = {"checkpoint": model.name, "checkpoint_sha256": model.fingerprint, "stride": model.stride}
    return json.dumps({**about, "codes": model.codes, "indices": indices.tolist()})


main()
