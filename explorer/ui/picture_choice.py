"""Choosing a picture: gallery, upload, paste and working size; the same on every page that shows one."""

from collections.abc import Sequence

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images import samples
from explorer.images.pictures import WORKING_SIZES, Picture, file_stem
from explorer.ui import cache, store, widgets
from explorer.ui.components import gallery
from explorer.ui.components.gallery import Choice, Restored, Thumbnail
from explorer.ui.session import MOST_UPLOAD_BYTES, MOST_UPLOADS, Session, Upload, is_upload
from explorer.ui.transport import uploads
from vqvae.errors import BadInput
from vqvae.images import display_name

GALLERY = "gallery"


def choose_picture(session: Session) -> Session:
    """Gallery, upload and working size; returns the session with what the person chose."""
    row = st.container(horizontal=True, vertical_alignment="center", gap="medium", key="picture_row")
    thumbnails_place = row.container(width="stretch")
    with row.container(width=240):
        offer_upload(session)
    with row.container(width=215):
        st.selectbox(
            "Working size",
            WORKING_SIZES,
            format_func=lambda pixels: f"{pixels} px",
            help="Pictures are shrunk until their longer side has this many pixels. Larger takes longer.",
            **widgets.bound("working-size", session.working_size, lambda size: store.read().with_working_size(size)),
        )
    with thumbnails_place:
        st.html("<p class='label'>Pictures <span>· or paste one with Ctrl+V</span></p>")
        choice = gallery.read_choice(GALLERY)
        session = stand_in(follow(session, choice))
        wanted = session.picture if is_upload(session.picture) and not session.upload(session.picture) else None
        gallery.show(
            thumbnails(session),
            chosen=session.picture,
            wanted=wanted,
            visit=store.visit(),
            restored=choice.restored.number if choice.restored else 0,
            files=[upload for upload in session.uploads if upload.digest in choice.lacking],
            key=GALLERY,
        )
    with st.container():  # always there, so that what stands below keeps its place on the page, and its zoom with it
        show_refused(session)
    if wanted:
        st.info("Your picture is brought back from this browser …")
        st.stop()  # it answers in a moment, with the picture or that it does not have it
    return session


def stand_in(session: Session) -> Session:
    """The session with a sample in place of a picture that there is nowhere; an upload may still come back."""
    if is_upload(session.picture) or samples.find(session.picture):
        return session
    return store.settle(session.without_picture())


def follow(session: Session, choice: Choice) -> Session:
    """The session after what was done in the gallery."""
    if choice.picked in picture_titles():
        session = session.with_picture(choice.picked)
    if choice.pasted:
        session = store.keep(with_files(session, [Upload("pasted picture", choice.pasted)]))
    if choice.forgotten and session.upload(choice.forgotten):
        session = store.keep(session.without_upload(choice.forgotten))
    if choice.restored:
        session = take_back(session, choice.restored)
    if choice.lost and choice.lost == session.picture and not session.upload(choice.lost):
        session = store.settle(session.without_picture())
    return session


def take_back(session: Session, restored: Restored) -> Session:
    """Pictures of an earlier visit join the gallery, and the one that was shown is shown; bad ones are passed over."""
    for upload in restored.uploads:
        if not refusal_of(upload) and uploads.room().admit(upload, len(upload.data)):
            session = session.having(upload)
    if restored.chosen and session.upload(restored.chosen):
        session = session.with_picture(restored.chosen)
    return store.settle(session)


def offer_upload(session: Session) -> None:
    """The upload field; what it is given joins the gallery at once, and an empty field takes its place."""
    key = f"upload-{session.fields_filled}"

    def take() -> None:
        files, refused = [], []
        if not (given := uploads.still_there(st.session_state[key])):
            return
        for file in given:
            try:
                files.append(Upload(file.name, uploads.content(file)))
            except BadInput as refusal:
                refused.append(str(refusal))
            uploads.let_go(file)
        store.write(with_files(store.read().with_field_emptied(), files, refused))

    # Of any type: what is no picture is refused with the others, in a sentence, where Streamlit would only mark it.
    st.file_uploader("Upload", accept_multiple_files=True, key=key, on_change=take)


def with_files(session: Session, files: Sequence[Upload], refused: Sequence[str] = ()) -> Session:
    """Add files to the gallery and show the last one that can be shown; of each other one it is said why not.

    refused: what is to be said of files that did not come this far.
    """
    given = {upload.digest for upload in session.uploads}
    reasons = list(refused)
    for upload in files:
        if reason := refusal_of(upload):
            reasons.append(reason)
        elif not uploads.room().admit(upload, len(upload.data)):
            reasons.append(str(uploads.no_room(upload.name)))
        else:
            given.add(upload.digest)
            session = session.with_upload(upload)
    return session.with_refused(reasons, made_room=len(given) - len(session.uploads))


def show_refused(session: Session) -> None:
    """Why files were refused: a sentence, or one line that unfolds to as many as there are."""
    reasons = session.refused
    if session.made_room:
        most = f"At most {MOST_UPLOADS} of your pictures are kept, {MOST_UPLOAD_BYTES >> 20} MB in all"
        gone = "oldest was" if session.made_room == 1 else f"{session.made_room} oldest were"
        st.caption(f"{most}; the {gone} removed to make room.")
    if len(reasons) == 1:
        widgets.refuse(reasons[0])
    elif reasons:
        with st.expander(f"{len(reasons)} files could not be opened", icon=":material/error:"):
            st.markdown("\n".join(f"- {widgets.plain(reason)}" for reason in reasons))


def refusal_of(upload: Upload) -> str | None:
    """Why a file cannot be shown, if it cannot."""
    try:
        cache.thumbnail(upload.digest, upload.data, upload.name)
    except BadInput as refusal:
        return str(refusal)
    return None


def thumbnails(session: Session) -> list[Thumbnail]:
    """The visitor's own pictures, newest first, then the samples."""
    own = [
        Thumbnail(upload.digest, upload.name, cache.thumbnail(upload.digest, upload.data, upload.name), own=True)
        for upload in reversed(session.uploads)
    ]
    bundled = [
        Thumbnail(sample.name, sample.title, cache.thumbnail(sample.name, sample.read(), sample.file))
        for sample in samples.SAMPLES
    ]
    return own + bundled


def picture_titles() -> dict[str, str]:
    """The pictures that can be chosen, by name: the visitor's own, newest first, then the samples."""
    own = {upload.digest: display_name(upload.name) for upload in reversed(store.read().uploads)}
    return own | {sample.name: sample.title for sample in samples.SAMPLES}


def file_of(name: str) -> tuple[str, bytes]:
    """A picture's file by the picture's name: what it is called, and its bytes; raises BadInput."""
    if upload := store.read().upload(name):
        return upload.name, upload.data
    if sample := samples.find(name):
        return sample.file, sample.read()
    raise BadInput("This picture is not here; choose another.")


def saved_as(name: str, model: OpenModel) -> str:
    """What files that the model makes of a picture are called, without an ending: the picture's name comes first."""
    return f"{named(name)}-{model.name}"


def named(name: str) -> str:
    """A picture by its name as a part of a file's: of an upload, what its file was called."""
    upload = store.read().upload(name)
    return file_stem(upload.name if upload else name)


def open_named(name: str, working_size: int, model: OpenModel) -> Picture:
    """A picture by its name, as the model takes it: an upload's SHA-256, or a sample's; raises BadInput."""
    return open_at(name, working_size, model.spec.sizes.only)


def open_at(name: str, working_size: int, only: tuple[int, int] | None) -> Picture:
    """A picture by its name, at a working size, or at the height and width that are the only ones; raises BadInput."""
    file, data = file_of(name)
    return cache.open_picture(name, working_size, only, data, file)


def open_chosen(session: Session, model: OpenModel) -> Picture:
    """The chosen picture as the model takes it; where it is not here, a sample that stands in for it, which is said."""
    return open_chosen_at(session, model.spec.sizes.only)


def open_chosen_at(session: Session, only: tuple[int, int] | None) -> Picture:
    """The chosen picture at the working size, or at the only one; a sample may stand in for it, which is said."""
    try:
        picture = open_at(session.picture, session.working_size, only)
    except BadInput:
        if is_upload(session.picture):  # on a page that cannot ask the browser for it
            st.warning(
                "Your own picture is not open yet: open Reconstruct to bring it back. A sample is shown in its place."
            )
            return open_at(samples.SAMPLES[0].name, session.working_size, only)
        session = store.settle(session.without_picture())
        picture = open_at(session.picture, session.working_size, only)
    if session.missing:
        st.warning(
            "That picture was uploaded, and this browser has not kept it: upload it again. A sample stands in for it."
            if is_upload(session.missing)
            else "The picture of this link is not here; a sample is shown in its place."
        )
    return picture
