"""Edit: paint with codes and watch the decoder answer."""

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from explorer import starts
from explorer.animation import side_by_side
from explorer.edits import UNPAINTED, Draft, fresh_draft
from explorer.pictures import Picture
from explorer.recipe import Recipe, as_python
from explorer.starts import KINDS, LARGEST_SEED, MASKS, Kind, Start
from explorer.ui import cache, opening, store, widgets
from explorer.ui.canvas import editor
from explorer.ui.canvas.editor import Numbered, Part
from explorer.ui.canvas.message import EditRequest, PaletteChoice
from explorer.ui.page import Page, open_page
from explorer.ui.picture_choice import choose_picture, open_chosen, open_named, picture_titles
from explorer.ui.store import Session, Sketch
from explorer.ui.workbench import Workbench
from vqvae.errors import BadInput
from vqvae.images import to_png
from vqvae.tokenizer import Encoding

EDITOR = "editor"
GAP = 8  # pixels between two pictures side by side


def main() -> None:
    page = open_page("Edit", "Paint with codes and watch the decoder answer.")
    session = store.write(choose_picture(page.session))
    picture = open_chosen(session)
    show_editor(page, picture)


@st.fragment
def show_editor(page: Page, picture: Picture) -> None:
    """What the edit starts from, the editor, and what can be saved of it; while painting only this part runs again."""
    tools = st.container(horizontal=True, vertical_alignment="center")
    with tools:
        choose_start(page)
        choose_recipe(page)
    start, base = begin(page, picture)
    content = f"{page.fingerprint[:16]}-{picture.key[:16]}-{start.key}"
    bench = Workbench.of(content, page, picture, base)
    request = editor.read_request(EDITOR, codes=len(page.tokenizer.codebook))
    if request and request.content != content:
        request = None
    sketch = current_sketch(page, content, base, request)
    session = current_session(page, base, request)

    level = session.weight_for(page.inputs)
    seen = bench.look(sketch.draft, level=level, rule=session.rule)
    settled = request is None or request.settled
    code = session.brush if session.brush is not None else int(np.bincount(sketch.draft.indices.ravel()).argmax())
    choice = request.palette if request else PaletteChoice()
    numbered: list[Numbered[Part]] = [
        seen.unedited,
        bench.palette(choice, code=code, cell=session.cell, settled=settled),
    ]
    if choice.kind == "map":
        numbered.append(bench.code_map())
    if marks := bench.marks(session.overlay, session.cell, settled=settled):
        numbered.append(marks)
    animation = request.animation if request else None
    editor.show(
        session,
        request,
        key=EDITOR,
        content=content,
        inputs=page.inputs,
        stride=page.tokenizer.stride,
        codes=len(page.tokenizer.codebook),
        code=code,
        grid=bench.grid,
        sketch=sketch,
        decoded=seen.pixels,
        numbered=numbered,
        figures=[bench.figures()],
        sentence=describe_level(page, sketch.draft, level),
        animation=bench.animate(animation, level=level, rule=session.rule) if animation else None,
    )
    with tools:
        offer_saving(page, picture, start, base, bench)


def current_sketch(page: Page, content: str, base: Encoding, request: EditRequest | None) -> Sketch:
    """The grid as the browser sent it, as it was left, or untouched."""
    sketch = store.sketches().get(content) or Sketch(fresh_draft(base))
    shape = base.indices.shape[1:]
    if request and request.draft and request.draft.indices.size == np.prod(shape) and request.loaded >= sketch.load:
        draft = Draft(request.draft.indices.reshape(shape), request.draft.painted.reshape(shape))
        sketch = replace(sketch, draft=draft, document=request.document or sketch.document)
        store.keep_sketch(content, sketch)
    try:
        return opening.apply_pending(page, content, base, sketch)
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        return sketch


def current_session(page: Page, base: Encoding, request: EditRequest | None) -> Session:
    """The session with what the editor asks for."""
    session = store.read()
    if request is None:
        return session
    rows, columns = base.indices.shape[1:]
    inside = request.cell and request.cell[0] < rows and request.cell[1] < columns
    session = session.with_blend(request.blend, uses_embedding=request.uses_embedding, inputs=page.inputs)
    session = session.with_painting(rule=request.rule, brush=request.code, overlay=request.overlay)
    session = session.with_cell(request.cell if inside else None)
    return store.write(session) if request.settled else store.keep(session)


def begin(page: Page, picture: Picture) -> tuple[Start, Encoding]:
    """What the person chose to start from, and its grid; the picture's own where that cannot be had."""
    session = store.read()
    encoded = cache.encode(page.fingerprint, picture.key, page.tokenizer, picture).encoding
    start = session.start
    try:
        other = None
        if start.kind == "mix":
            second = open_named(start.other, session.working_size)
            other = cache.encode(page.fingerprint, second.key, page.tokenizer, second).encoding
        counts = cache.usual_counts(page.info.folder, page.fingerprint, len(page.tokenizer.codebook))
        return start, starts.begin(page.tokenizer, start, encoded, other=other, counts=counts)
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        return store.FROM_PICTURE, encoded


def describe_level(page: Page, draft: Draft, level: float) -> str:
    painted = int((draft.painted != UNPAINTED).sum())
    where = f" {painted:,} cells have a blend of their own." if painted else ""
    if page.inputs == 1:
        return f"This decoder has one input: the codes{'' if level == 0 else ', replaced by the embedding'}.{where}"
    if level == 0:
        return f"The decoder gets the codes alone: it draws what your grid says.{where}"
    return f"The decoder also gets {level:.0%} of what quantization lost, at cells that were not edited.{where}"


# --- what an edit starts from


def choose_start(page: Page) -> None:
    """The popover in which to choose what to start from."""
    start = store.read().start
    titles = picture_titles()
    if start.kind == "mix" and start.other not in titles:
        start = replace(start, other=next(name for name in titles if name != store.read().picture))
        store.write(store.read().with_start(start))
    with st.popover(f"Start from: {label_of(start)}", icon=":material/grid_view:"):

        def setting(name: str) -> dict[str, Any]:
            return widgets.bound(
                f"start-{name}",
                getattr(start, name),
                lambda value: store.read().with_start(replace(store.read().start, **{name: value})),
            )

        st.radio(
            "Start from",
            list(KINDS.keys()),
            format_func=LABELS.__getitem__,
            captions=list(KINDS.values()),
            **setting("kind"),
        )
        if start.kind == "one code":
            st.number_input("Code", 0, len(page.tokenizer.codebook) - 1, **setting("code"))
        if start.kind == "mix":
            st.selectbox("Second picture", list(titles.keys()), format_func=titles.__getitem__, **setting("other"))
            st.selectbox("Cells from the second picture", MASKS, format_func=str.capitalize, **setting("mask"))
        if start.kind == "random" or (start.kind == "mix" and start.mask == "random"):
            st.number_input("Seed", 0, LARGEST_SEED, help="The same seed gives the same draw.", **setting("seed"))


LABELS: dict[Kind, str] = {
    "picture": "The picture",
    "one code": "One code",
    "mix": "Two pictures",
    "random": "Random codes",
}


def label_of(start: Start) -> str:
    return LABELS[start.kind].lower() if start.kind != "one code" else f"code {start.code}"


# --- recipes and saving


def choose_recipe(page: Page) -> None:
    """The popover in which to open a recipe; its checkpoint and picture are opened with it."""
    with st.popover("Open a recipe", icon=":material/upload_file:"):
        st.caption("A recipe is an edit as a small JSON file. Opening one is a step that can be undone.")
        file = st.file_uploader("Recipe", type="json", label_visibility="collapsed", key="recipe-file")
        if file is None or st.session_state.get("recipe-opened") == file.file_id:
            return
        try:
            opening.open_recipe(file.getvalue(), page)
        except BadInput as refusal:
            widgets.refuse(str(refusal))
            return
        st.session_state["recipe-opened"] = file.file_id
    st.rerun(scope="app")


def offer_saving(page: Page, picture: Picture, start: Start, base: Encoding, bench: Workbench) -> None:
    """Picture, pair of pictures, recipe and code; each is made only when asked for, of what is seen then."""
    name = f"{page.info.name}-{picture.key[:8]}-edit"

    def recipe() -> Recipe:
        session = store.read()
        seen = bench.last()
        second = open_named(start.other, session.working_size) if start.kind == "mix" else None
        return Recipe.of(
            checkpoint=page.info.name,
            checkpoint_hash=page.fingerprint,
            picture=picture,
            working_size=session.working_size,
            start=start,
            other=second,
            base=base,
            edit=seen.edit,
            level=seen.level,
        )

    made = recipe()
    with st.popover("Save", icon=":material/download:"):
        st.download_button(
            "Picture (PNG)", lambda: to_png(bench.last().pixels), file_name=f"{name}.png", on_click="ignore"
        )
        st.download_button(
            "Before and after (PNG)",
            lambda: to_png(side_by_side([bench.last().unedited.value.pixels, bench.last().pixels], GAP)),
            file_name=f"{name}-pair.png",
            on_click="ignore",
        )
        st.download_button(
            "Recipe (JSON)", made.to_json, file_name=f"{name}.json", mime="application/json", on_click="ignore"
        )
        st.caption("The history as a GIF or WebP is saved from its own panel.")
    with st.popover("As Python", icon=":material/code:"):
        st.caption("The same pixels, with this project as a library.")
        st.code(as_python(made), language="python")


main()
