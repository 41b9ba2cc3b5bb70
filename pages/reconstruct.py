"""Reconstruct: a picture, what its codes say of it, and what the decoder's second input adds."""

import hashlib
import io
import json

import numpy as np
import streamlit as st

from explorer import samples
from explorer.pictures import WORKING_SIZES, Picture
from explorer.reconstruction import explain, quality_figures, render, time_figures
from explorer.ui import cache, canvas, gallery, store, widgets
from explorer.ui.gallery import Thumbnail
from explorer.ui.page import Page, open_page
from explorer.ui.store import Session, Upload
from vqvae.errors import BadInput
from vqvae.images import to_png

CANVAS = "canvas"
MOST_UPLOADS = 24
SUFFIXES = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"]


def main() -> None:
    page = open_page("Reconstruct", "A picture, what its codes say of it, and what the decoder's second input adds.")
    session = store.write(choose_picture(page.session))
    picture = open_chosen(session)
    show_reconstruction(page, picture)


# --- which picture


def choose_picture(session: Session) -> Session:
    """Gallery, upload and working size; returns the session with what the person chose."""
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium", key="picture_row")
    thumbnails_place = row.container(width="stretch")
    with row.container(width=270):
        session = take_uploads(session)
    with row.container(width=130):
        size = st.selectbox(
            "Working size",
            WORKING_SIZES,
            index=WORKING_SIZES.index(session.working_size),
            format_func=lambda pixels: f"{pixels} px",
            help="Pictures are shrunk until their longer side has this many pixels. Larger takes longer.",
        )
        session = session.with_working_size(size)
    with thumbnails_place:
        st.html("<p class='label'>Pictures <span>· or paste one with Ctrl+V</span></p>")
        choice = gallery.show(thumbnails(), chosen=session.picture, key="gallery")
        if choice.picked:
            session = session.with_picture(choice.picked)
        if choice.pasted:
            session = take_file(session, Upload("pasted picture", choice.pasted))
    return session


def take_uploads(session: Session) -> Session:
    """The upload field: each new file joins the gallery, the last one is shown, and a bad one is refused in place."""
    files = st.file_uploader("Upload", type=SUFFIXES, accept_multiple_files=True, key="upload")
    known = st.session_state.setdefault("known_files", set())
    for file in files:
        upload = Upload(file.name, file.getvalue())
        if file.file_id not in known:
            known.add(file.file_id)
            session = take_file(session, upload)
        elif refusal := refusal_of(upload):
            widgets.refuse(refusal)  # for as long as the file is in the field
    return session


def take_file(session: Session, upload: Upload) -> Session:
    """Add a file to the gallery and show it; a file that cannot be shown is refused in one sentence."""
    if refusal := refusal_of(upload):
        widgets.refuse(refusal)
        return session
    digest = hashlib.sha256(upload.data).hexdigest()
    uploads = store.uploads()
    uploads[digest] = upload
    while len(uploads) > MOST_UPLOADS:
        uploads.pop(next(iter(uploads)))
    return session.with_picture(digest)


def refusal_of(upload: Upload) -> str | None:
    """Why a file cannot be shown, if it cannot."""
    try:
        cache.thumbnail(hashlib.sha256(upload.data).hexdigest(), upload.data, upload.name)
    except BadInput as refusal:
        return str(refusal)
    return None


def thumbnails() -> list[Thumbnail]:
    """The visitor's own pictures, newest first, then the samples."""
    own = [
        Thumbnail(digest, upload.name, cache.thumbnail(digest, upload.data, upload.name))
        for digest, upload in reversed(store.uploads().items())
    ]
    bundled = [
        Thumbnail(sample.name, sample.title, cache.thumbnail(sample.name, sample.read(), sample.file))
        for sample in samples.SAMPLES
    ]
    return own + bundled


def open_chosen(session: Session) -> Picture:
    """The chosen picture at the working size; a sample where a link names one that is not here."""
    upload = store.uploads().get(session.picture)
    if upload:
        return cache.open_picture(session.picture, session.working_size, upload.data, upload.name)
    sample = samples.find(session.picture)
    if sample is None:
        st.warning("The picture of this link is not here; a sample is shown in its place.")
        sample = samples.SAMPLES[0]
        store.write(session.with_picture(sample.name))
    return cache.open_picture(sample.name, session.working_size, sample.read(), sample.file)


# --- what becomes of it


@st.fragment
def show_reconstruction(page: Page, picture: Picture) -> None:
    """The canvas with its figures, and the downloads; while a control is moved only this part runs again."""
    content = f"{page.fingerprint[:16]}-{picture.key[:16]}"
    tokenizer, config = page.tokenizer, page.info.config
    encoded = cache.encode(page.fingerprint, picture.key, tokenizer, picture)
    rows, columns = encoded.indices.shape

    request = canvas.read_request(CANVAS)
    session = store.read()
    if request and request.content == content:
        session = session.with_blend(request.blend, uses_embedding=request.uses_embedding)
        session = session.with_layout(view=request.view, panel=request.panel)
        inside = request.cell and request.cell[0] < rows and request.cell[1] < columns
        session = session.with_cell(request.cell if inside else None)
        session = store.write(session) if request.settled else store.keep(session)

    codes_only = cache.codes_only(page.fingerprint, picture.key, tokenizer, encoded, picture)
    now = render(tokenizer, encoded, picture, weight=session.weight)
    canvas.show(
        session,
        request,
        key=CANVAS,
        content=content,
        inputs=page.inputs,
        stride=tokenizer.stride,
        original=picture.pixels,
        reconstruction=now.pixels,
        indices=encoded.indices,
        colours=cache.code_colours(page.fingerprint, tokenizer),
        figures=[
            quality_figures(codes_only, now.quality),
            cache.size_figures(page.fingerprint, picture.key, config.codes, picture, encoded),
            time_figures(encoded.milliseconds, now.milliseconds, device=str(tokenizer.codebook.device).upper()),
        ],
        sentence=explain(codes_only, now.quality, weight=session.weight, inputs=page.inputs),
    )
    offer_downloads(page, encoded.indices, now.pixels, picture)


def offer_downloads(page: Page, indices: np.ndarray, reconstruction: np.ndarray, picture: Picture) -> None:
    """Reconstruction as PNG, indices as .npy and JSON; made only when asked for. Notes on the picture stand beside."""
    with st.container(horizontal=True, vertical_alignment="center"):
        name = f"{page.info.name}-{picture.key[:8]}"
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
            lambda: to_npy(indices),
            file_name=f"{name}-codes.npy",
            mime="application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Codes (JSON)",
            lambda: to_json(page, indices),
            file_name=f"{name}-codes.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
        )
        if picture.notes:
            st.caption(widgets.plain(" ".join(picture.notes)))


def to_npy(indices: np.ndarray) -> bytes:
    """[h, w] int64 -> the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, indices, allow_pickle=False)
    return buffer.getvalue()


def to_json(page: Page, indices: np.ndarray) -> str:
    """The grid of indices, and the checkpoint that they belong to."""
    about = {"checkpoint": page.info.name, "checkpoint_sha256": page.fingerprint, "stride": page.tokenizer.stride}
    return json.dumps({**about, "codes": page.info.config.codes, "indices": indices.tolist()})


main()
