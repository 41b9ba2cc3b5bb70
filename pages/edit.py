"""Edit: paint with codes and watch the decoder answer."""

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.editing.animation import side_by_side
from explorer.editing.edits import UNPAINTED
from explorer.editing.recipe import as_python
from explorer.ui import store, widgets
from explorer.ui.page import guarded, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen
from explorer.ui.views.edit import editing, opening
from explorer.ui.views.edit.editing import Editing, begin, choose_start, open_editing, palette_parts
from explorer.ui.views.edit.workbench import Workbench
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
    bench = begin(model, picture)
    with row:
        offer_saving(bench)
        show_python(bench)
    show_editor(bench)


@st.fragment
@guarded
def show_editor(bench: Workbench) -> None:
    """The editor; while painting only this part runs again."""
    now = open_editing(bench, key=EDITOR)
    editing.show(
        now,
        key=EDITOR,
        mode="edit",
        figures=[bench.figures()],
        sentence=describe(now),
        more=palette_parts(now),
    )


def describe(now: Editing) -> str:
    """What the decoder is given, in a sentence or two."""
    painted = int((now.sketch.draft.painted != UNPAINTED).sum())
    where = (
        f" {painted:,} cell{' has' if painted == 1 else 's have'} a blend of {'its' if painted == 1 else 'their'} own."
    )
    where = where if painted else ""
    if now.bench.model.inputs == 1:
        fed = "the codes" if now.level == 0 else f"the codes, moved {now.level:.0%} of the way to the embedding"
        return f"This decoder has one input: {fed}.{where}"
    if now.level == 0:
        return f"The decoder gets the codes alone: it draws what your grid says.{where}"
    return f"Where nothing was edited, the decoder also gets {now.level:.0%} of what quantization lost.{where}"


def choose_recipe(model: OpenModel) -> None:
    """The popover in which to open a recipe; its checkpoint and picture are opened with it."""
    opened = store.read().edit.recipes_opened  # the next one is opened in a popover of its own, which is closed
    with st.popover("Open a recipe", icon=":material/upload_file:", key=f"open-recipe-{opened}"):
        st.caption("A recipe is an edit as a small JSON file. Opening one is a step that can be undone.")
        file = st.file_uploader("Recipe", type="json", label_visibility="collapsed", key=f"recipe-file-{opened}")
        if file is None:
            return
        try:
            opening.open_recipe(file.getvalue(), model)
        except BadInput as refusal:
            widgets.refuse(str(refusal))
            return
    st.rerun()


def offer_saving(bench: Workbench) -> None:
    """Picture, pair of pictures and recipe; each file is made only when asked for, of what is seen then."""
    name = f"{bench.model.name}-{bench.picture.key[:8]}-edit"
    with st.popover("Save", icon=":material/download:"):
        st.download_button(
            "Picture (PNG)", lambda: to_png(bench.last().pixels), file_name=f"{name}.png", on_click="ignore"
        )
        st.download_button(
            "Before and after (PNG)",
            lambda: to_png(side_by_side([bench.unedited().value.pixels, bench.last().pixels], GAP)),
            file_name=f"{name}-pair.png",
            on_click="ignore",
        )
        st.download_button(
            "Recipe (JSON)",
            lambda: bench.recipe().to_json(),
            file_name=f"{name}.json",
            mime="application/json",
            on_click="ignore",
        )
        st.caption("The history as a GIF or WebP is saved from its own panel.")


@st.fragment
@guarded
def show_python(bench: Workbench) -> None:
    """The edit as a program, made when it is opened."""
    popover = st.popover("As Python", icon=":material/code:", on_change="rerun", key="as-python")
    if popover.open and bench.seen:
        with popover:
            st.caption("The same pixels, with this project as a library; as the edit was when this was opened.")
            st.code(as_python(bench.recipe()), language="python")


main()
