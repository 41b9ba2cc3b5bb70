"""Edit: paint with codes and watch the decoder answer."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.editing import bundle
from explorer.editing.animation import side_by_side
from explorer.editing.engine import EditEngine
from explorer.editing.recipe import as_python
from explorer.ui import exports, store, widgets
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, file_of, open_chosen
from explorer.ui.transport import uploads
from explorer.ui.views.edit import editing, opening
from explorer.ui.views.edit.editing import begin, choose_start
from vqvae.errors import BadInput
from vqvae.images import to_png

EDITOR = "editor"
GAP = 8  # pixels between two pictures side by side


@guarded
def main() -> None:
    model = open_page("Edit", "Paint with codes and watch the decoder answer.")
    row = st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="edit_row")
    session = store.write(choose_picture(store.read()))
    picture = open_chosen(session, model)
    with row:
        choose_start(model)
        choose_recipe(model)
    engine = begin(model, picture)
    with row:
        offer_saving(engine)
        show_python(engine)
    show_editor(engine)


@st.fragment
@guarded
def show_editor(engine: EditEngine) -> None:
    """The editor; while painting only this part runs again, and that only where no socket answers."""
    editing.show(editing.open_editing(engine, key=EDITOR, mode="edit"), key=EDITOR)


def choose_recipe(model: OpenModel) -> None:
    """The popover in which to open a recipe; its checkpoint and picture are opened with it."""
    opened = store.read().edit.recipes_opened  # the next one is opened in a popover of its own, which is closed
    with st.popover("Open a recipe", icon=":material/upload_file:", key=f"open-recipe-{opened}"):
        st.caption(
            "A recipe is an edit as a small JSON file, or a ZIP with its picture. Opening one is a step that can be "
            "undone."
        )
        file = st.file_uploader(
            "Recipe",
            type=["json", "zip"],
            label_visibility="collapsed",
            key=f"recipe-file-{opened}",
            max_upload_size=bundle.MOST_BYTES >> 20,
        )
        if file is None:
            return
        try:
            opening.open_recipe(uploads.content(file), model)
        except BadInput as refusal:
            widgets.refuse(str(refusal))
            return
        uploads.let_go(file)
    st.rerun()


def offer_saving(engine: EditEngine) -> None:
    """Picture, pair of pictures and recipe; each file is made only when asked for, of what is seen then."""
    name = f"{engine.saved_as}-edit"
    files = files_of(engine)  # now: what is called at the click runs outside of the session
    with st.popover("Save", icon=":material/download:"):
        st.download_button(
            "Picture (PNG)", lambda: to_png(engine.exact_pixels()), file_name=f"{name}.png", on_click="ignore"
        )
        st.download_button(
            "Before and after (PNG)",
            lambda: to_png(side_by_side([engine.unedited().value.pixels, engine.exact_pixels()], GAP)),
            file_name=f"{name}-pair.png",
            on_click="ignore",
        )
        st.download_button(
            "Recipe (JSON)",
            lambda: engine.recipe().to_json(),
            file_name=f"{name}.json",
            mime="application/json",
            on_click="ignore",
        )
        st.download_button(
            "Recipe and picture (ZIP)",
            lambda: bundle.pack(engine.recipe(), files),
            file_name=f"{name}.zip",
            mime="application/zip",
            on_click="ignore",
        )
        exports.figure(f"{EDITOR}#shown", label="As it is shown", of=(engine.saved_as,))
        st.caption("The history as a GIF or WebP is saved from its own panel.")


def files_of(engine: EditEngine) -> dict[str, bytes]:
    """The picture files that an edit is of, two for a mix; two of one name are told apart by a number."""
    names = [engine.picture_name, *([engine.start.other] if engine.other else [])]
    files = [file_of(name) for name in names]
    alike = len({file for file, _ in files}) < len(files)
    return {f"{number} {file}" if alike else file: data for number, (file, data) in enumerate(files, 1)}


@st.fragment
@guarded
def show_python(engine: EditEngine) -> None:
    """The edit as a program, made when it is opened."""
    popover = st.popover("As Python", icon=":material/code:", on_change="rerun", key="as-python")
    if popover.open and engine.seen:
        with popover:
            st.caption("The same pixels, with this project as a library; as the edit was when this was opened.")
            st.code(as_python(engine.recipe()), language="python", wrap_lines=True)


main()
