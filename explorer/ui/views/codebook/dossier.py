"""A code's dossier on the screen: what it decodes to, and the real patches that use it."""

import random
from collections.abc import Callable

import numpy as np
import streamlit as st

from explorer.base.figure import Figure
from explorer.base.folders import user_data_folder
from explorer.base.open_model import OpenModel
from explorer.codebook import charts, dossier, geometry, notes
from explorer.codebook.health import DEAD_MEANS, NONE
from explorer.codebook.notes import Notes
from explorer.images.pictures import Picture
from explorer.index import usage
from explorer.index.read import Occurrences
from explorer.index.training_usage import TrainingUsage
from explorer.ui import cache, exports, picture_choice, store, widgets
from explorer.ui.components import open_code, tiles
from explorer.ui.image_set import UsedSet
from explorer.ui.page import guarded
from explorer.ui.session import PatchOrder
from vqvae.errors import BadInput
from vqvae.words import counted

MOST_PATCHES = 24
PATCH_SIDE = 64  # CSS pixels
FEWEST_SPREAD = 12  # cells whose distances are drawn as a distribution; of fewer, each is among the patches
PATCH_ORDERS: dict[PatchOrder, str] = {"nearest": "Nearest first", "spread": "Across all distances"}
EVERYWHERE = "This code in every cell"
ARROWS = {"left": "←", "right": "→", "above": "↑", "below": "↓"}


@st.fragment
@guarded
def show(model: OpenModel, used: UsedSet) -> None:
    """Everything about the session's code; it runs alone when another code is opened."""
    session = store.read()
    code = session.codebook.code or 0
    open_code.show(code, codes=model.codes, key="open-code", then=_open)
    picture = picture_choice.open_chosen(session, model)
    with st.container(key="answer"):  # where wall and dossier lie below one another it stays in sight
        _navigate(model, used, code)
        _appearance(model, picture, code)
        widgets.figure_row(_figures(model, used, code))
        exports.figure(
            "appearance",
            label=f"Code {code}",
            of=(model.name, used.label),
            rows=lambda: exports.figure_rows(_figures(model, used, code)),
        )
    if used.index.counts[code] == 0:
        _explain_unused(model, used, code)
    else:
        _patches(model, used, code, session.codebook.patch_order)
        _places(model, used, code)
    _relatives(model, used, code)
    _my_picture(model, picture, code)
    _notes_and_export(model, used, code)
    if store.read().codebook.stars_changed:
        store.keep(store.read().on("codebook", stars_changed=False))
        st.rerun()


def _open(code: int) -> None:
    store.write(store.read().on("codebook", code=code))


def _navigate(model: OpenModel, used: UsedSet, code: int) -> None:
    counts = used.index.counts
    last = len(counts) - 1
    alive = np.flatnonzero(counts)
    rarest = int(alive[counts[alive].argmin()]) if len(alive) else code
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.html("<h2 class='code'>Code</h2>")
        st.number_input(
            "Code",
            0,
            last,
            width=105,
            label_visibility="collapsed",
            **widgets.seeded("code-number", code, _open),
        )
        for label, target, icon in (
            ("Previous", max(0, code - 1), ":material/chevron_left:"),
            ("Next", min(last, code + 1), ":material/chevron_right:"),
        ):
            st.button(
                label,
                icon=icon,
                help=label,
                key=f"icon-{label}",
                on_click=_open,
                args=(target,),
                disabled=target == code,
            )
        for label, target, meaning in (
            ("Most used", int(counts.argmax()), None),
            ("Rarest", rarest, "The least used of the codes that are used."),
            ("Random", random.randint(0, last), None),
        ):
            st.button(label, help=meaning, type="tertiary", on_click=_open, args=(target,))


def _appearance(model: OpenModel, picture: Picture, code: int) -> None:
    """The code as a field of itself, and put into the middle of the current picture."""
    context = cache.in_context(model, picture, code)
    side = 118
    with st.container(horizontal=True, gap="small", key="appearance"):
        for pixels, caption, words in (
            (cache.tiles_of(model, [code])[0], EVERYWHERE, f"A cell of a field in which every cell has code {code}"),
            (
                context.before,
                f"Code {context.code_before} in your picture",
                "The picture's middle cell and its neighbours, decoded from their codes",
            ),
            (context.after, f"Code {code} in its place", f"The same cells with code {code} in the middle one"),
        ):
            st.image(pixels, caption=caption, alt=words, width=side, output_format="PNG")


def _figures(model: OpenModel, used: UsedSet, code: int) -> list[Figure]:
    training = cache.training_usage(model)
    return usage_figures(used.index.counts, code, label=used.label, images=used.index.images, training=training)


def usage_figures(
    counts: np.ndarray, code: int, *, label: str, images: int, training: TrainingUsage | None
) -> list[Figure]:
    """How much a code is used over some images, counts [K], and in training where that is known."""
    cells, own = int(counts.sum()), int(counts[code])
    over = f"Over {label}: {counted(images, 'image')}, {counted(cells, 'cell')}."
    active = int(np.count_nonzero(counts))
    rank, ranked = NONE, "A code that no cell has is unused here, and has no rank."
    if own:
        rank = f"{int((counts > own).sum()) + 1:,} of {active:,}"
        ranked = f"1 is the most used code; {counted(active, 'code is', 'codes are')} used."
        if alike := int((counts == own).sum()) - 1:
            several = "other codes have as many cells, and share"
            ranked += f" {counted(alike, 'other code has as many cells, and shares', several)} this rank."
    shown = [
        Figure("Cells", f"{own:,}", f"How many cells have this code. {over}"),
        Figure("Rank", rank, f"{ranked} {over}"),
        Figure("Share", f"{own / max(1, cells):.2%}", f"Equal use would be {1 / len(counts):.2%}. {over}"),
    ]
    if training is not None:
        taken = int(training.counts[code])
        photos = f"the {counted(training.images, 'photo')} that the model was trained on"
        value = f"{taken / max(1, training.counts.sum()):.2%}" if taken else "dead"
        meaning = f"Share of the cells of {photos}: {counted(taken, 'cell')}."
        shown.append(Figure("In training", value, meaning if taken else f"{DEAD_MEANS} It is one of them."))
    return shown


def _explain_unused(model: OpenModel, used: UsedSet, code: int) -> None:
    counts = used.index.counts
    active = np.flatnonzero(counts)
    if not len(active):
        st.info(f"No cell of {widgets.plain(used.label)} was counted.")
        return
    nearest = int(active[model.codebook.distances_between(code)[active].argmin()])
    training = cache.training_usage(model)
    said = f"Code {code} is unused here: no cell of {used.label} has it"
    if training is not None:
        taken = int(training.counts[code])
        said += f"; in training {counted(taken, 'cell')} had it" if taken else ", and dead: none had it in training"
    st.info(widgets.plain(f"{said}. The nearest code that is used here is {nearest}."))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(cache.tiles_of(model, [nearest])[0], alt=f"Code {nearest}", width=56, output_format="PNG")
        st.button(f"Open code {nearest}", on_click=_open, args=(nearest,))


def _patches(model: OpenModel, used: UsedSet, code: int, order: PatchOrder) -> None:
    """Real patches: the nearest ones, and some from every part of the range, which is the fairer picture."""
    index = used.index
    st.segmented_control(
        "Patches",
        list(PATCH_ORDERS),
        format_func=PATCH_ORDERS.__getitem__,
        help="The nearest alone flatter a code; across all distances shows what it has to stand for.",
        **widgets.bound(
            "patch-order", order, lambda chosen: store.read().on("codebook", patch_order=chosen or "nearest")
        ),
    )
    found = index.spread(code, MOST_PATCHES) if order == "spread" else index.top(code, MOST_PATCHES)
    try:
        pictures = cache.patch_pictures(model, used.key, code, order, used.images, index, found)
    except BadInput as refusal:
        widgets.refuse(f"The patches cannot be shown. {refusal}")
        return
    picked = tiles.show(
        pictures,
        ids=found.image.tolist(),
        key="patches",
        label="Patches that use this code",
        titles=_patch_titles(used, found),
        frame=dossier.patch_frame(),
        side=PATCH_SIDE,
        scaling="smooth",
        of=(model.name, used.label, f"code {code}", order),
        rows=lambda: _patch_rows(used, found),
    )
    if picked is not None and picked < used.index.images:
        _show_image(model, used, code, picked)


def _patch_titles(used: UsedSet, found: Occurrences) -> list[str]:
    return [
        f"{used.index.names[image]} · row {row}, column {column} · distance {distance:.3f}"
        for image, row, column, distance in zip(found.image, found.row, found.column, found.distance, strict=True)
    ]


def _patch_rows(used: UsedSet, found: Occurrences) -> list[dict[str, float | str]]:
    return [
        {"image": used.index.names[image], "row": row, "column": column, "distance": distance}
        for image, row, column, distance in zip(
            found.image.tolist(), found.row.tolist(), found.column.tolist(), found.distance.tolist(), strict=True
        )
    ]


@st.dialog("Where the code is used", width="large")
def _show_image(model: OpenModel, used: UsedSet, code: int, image: int) -> None:
    grid = used.index.grid(image)
    cells = grid == code
    try:
        pixels = cache.set_picture(used.key, image, model.spec.sizes.only, used.images, used.index).pixels
    except BadInput as refusal:
        widgets.refuse(str(refusal))
        return
    marked = dossier.mark_cells(pixels, cells, stride=model.stride)
    name = widgets.plain(used.index.names[image])
    st.image(
        marked,
        alt=f"{widgets.shown(used.index.names[image])}, with the cells of code {code} marked",
        output_format="PNG",
    )
    have = "has" if cells.sum() == 1 else "have"
    st.caption(f"{name}: {cells.sum():,} of its {counted(cells.size, 'cell')} {have} code {code}.")


def _places(model: OpenModel, used: UsedSet, code: int) -> None:
    """How far its cells are from it, where in the image they sit, and in which images.

    Of a few cells no distribution is drawn: each of them is among the patches, with its place and distance.
    """
    index = used.index
    distances = np.asarray(index.distances[index.span(code)], np.float32)
    where = usage.places(index, code)
    of = (model.name, used.label, f"code {code}")
    if len(distances) < FEWEST_SPREAD:
        few = counted(len(distances), "cell has", "cells have")
        st.caption(f"{few} this code here: too few for a chart of distances and places.")
    else:
        left, right = st.columns([1.4, 1])
        with left:
            st.html(f"<p class='label'>Distance of its {counted(len(distances), 'cell')} to it</p>")
            exports.chart(
                charts.histogram(distances, title="distance"), key="distances", label="Distances of its cells", of=of
            )
        with right:
            st.html("<p class='label'>Where in the image</p>")
            if where:
                exports.chart(charts.position_heat(where), key="places", label="Where in the image", of=of)
            else:
                st.caption(f"{counted(len(distances), 'cell')} are too few to say.")
    images, cells = index.images_with(code)
    listed = ", ".join(f"{index.names[image]} ({count:,})" for image, count in zip(images[:6], cells, strict=False))
    more = " …" if len(images) > 6 else ""
    st.caption(f"In {len(images):,} of {counted(index.images, 'image')}: {widgets.plain(listed)}{more}")
    labels = cache.counts_by_label(used.key, index)
    if len(labels) > 1:
        by_label = sorted(((int(counts[code]), name) for name, counts in labels.items()), reverse=True)[:6]
        st.caption("By label: " + widgets.plain(", ".join(f"{name or 'none'} {count:,}" for count, name in by_label)))


def _relatives(model: OpenModel, used: UsedSet, code: int) -> None:
    """Codes that lie near it in the codebook, and codes that stand next to it in pictures."""
    codebook = model.codebook
    if len(codebook) < 2:
        return
    by_distance = geometry.nearest_codes(codebook, code, measure="distance")
    by_cosine = geometry.nearest_codes(codebook, code, measure="cosine")
    for near, title in ((by_distance, "Nearest codes, by distance"), (by_cosine, "Nearest codes, by cosine")):
        strip(model, [n.code for n in near], [f"{n.value:.2f}" for n in near], title, key=title)
    around = [
        (ARROWS[direction], neighbour)
        for direction, found in usage.neighbours(used.index, code, most=4).items()
        for neighbour in found
        if neighbour.low > 1
    ]
    strip(
        model,
        [neighbour.code for _, neighbour in around],
        [f"{arrow} ≥{neighbour.low:.{0 if neighbour.low >= 10 else 1}f}×" for arrow, neighbour in around],
        "Stands beside it more often than chance, at least so many times",
        key="neighbours",
        details=[
            f"{arrow} in {neighbour.count:,} of {counted(neighbour.of, 'cell')}: {neighbour.lift:.1f} × chance, "
            f"95 % interval {neighbour.low:.1f} to {neighbour.high:.1f}"
            for arrow, neighbour in around
        ],
    )


def strip(
    model: OpenModel,
    codes: list[int],
    captions: list[str],
    title: str,
    *,
    key: str,
    details: list[str] | None = None,
) -> None:
    """Codes in a row, each with a caption; where it is pointed at, the details are said in its place."""
    if not codes:
        return
    st.html(f"<p class='label'>{title}</p>")
    titles = [f"Code {code} · {said}" for code, said in zip(codes, details or captions, strict=True)]
    tiles.show(
        cache.tiles_of(model, codes),
        ids=codes,
        key=key,
        label=title,
        titles=titles,
        captions=captions,
        side=40,
        opens=True,
        of=(model.name, f"code {store.read().codebook.code}"),
    )


def _my_picture(model: OpenModel, picture: Picture, code: int) -> None:
    """The cells of the current picture that come closest to the code."""
    encoded = cache.encode(model, picture)
    close = dossier.closeness(model.codebook, encoded, code, most=12)
    use = counted(int((encoded.indices == code).sum()), "cell of it uses", "of its cells use")
    st.html(f"<p class='label'>My picture on this code <span>· {use} it; the closest:</span></p>")
    cells = list(zip(close.row.tolist(), close.column.tolist(), strict=True))
    tiles.show(
        dossier.patch_pictures([picture.pixels] * len(cells), cells, stride=model.stride),
        ids=range(len(cells)),
        key="mine",
        label="Closest cells of my picture",
        titles=[
            f"Row {row}, column {column} · distance {distance:.3f} · {'uses it' if uses else 'has another code'}"
            for (row, column), distance, uses in zip(cells, close.distance, close.uses, strict=True)
        ],
        captions=[
            f"{distance:.2f}{' ✓' if uses else ''}" for distance, uses in zip(close.distance, close.uses, strict=True)
        ],
        frame=dossier.patch_frame(),
        side=PATCH_SIDE,
        scaling="smooth",
        of=(picture_choice.saved_as(store.read().picture, model), f"code {code}"),
    )


def _notes_and_export(model: OpenModel, used: UsedSet, code: int) -> None:
    fingerprint = model.fingerprint  # what a widget does holds no model: Streamlit keeps it after the widget is gone
    kept = notes.load(user_data_folder(), fingerprint)
    of_code = f"{fingerprint[:16]}-{code}"
    st.toggle(
        "Star",
        help="Starred codes are kept together.",
        **widgets.seeded(
            f"star-{of_code}",
            code in kept.starred,
            lambda starred: _star(fingerprint, code, starred),
        ),
    )
    text = st.text_area(
        "Note",
        max_chars=notes.LONGEST_NOTE,
        height=68,
        **widgets.seeded(
            f"note-{of_code}",
            kept.texts.get(code, ""),
            lambda typed: _keep(fingerprint, lambda now: now.with_text(code, typed)),
        ),
    )
    if damaged := notes.damage(user_data_folder(), fingerprint):
        widgets.warn(damaged)
    if refusal := store.read().codebook.note_refusal:
        widgets.refuse(refusal)
        store.keep(store.read().on("codebook", note_refusal=""))
    with st.container(horizontal=True):
        st.download_button(
            "Dossier (HTML)",
            lambda: _html(model, used, code, text),
            file_name=f"{model.name}-code-{code}.html",
            mime="text/html",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Vector (.npy)",
            lambda: widgets.npy(model.codebook.array[code]),
            file_name=f"{model.name}-code-{code}.npy",
            mime="application/octet-stream",
            on_click="ignore",
            icon=":material/download:",
        )
    if kept.starred:
        stars = sorted(kept.starred & set(range(model.codes)))
        strip(model, stars, [str(star) for star in stars], "Starred codes", key="starred")


def _star(fingerprint: str, code: int, starred: bool) -> None:
    """Star a code or take its star away; the wall and the map may show starred codes only."""
    _keep(fingerprint, lambda now: now.with_star(code, starred))
    store.keep(store.read().on("codebook", stars_changed=True))


def _keep(fingerprint: str, change: Callable[[Notes], Notes]) -> None:
    """Write down what was changed, and nothing else."""
    try:
        notes.update(user_data_folder(), fingerprint, change)
    except OSError as fault:
        refusal = notes.refusal(user_data_folder(), fault)
        store.keep(store.read().on("codebook", note_refusal=refusal))


def _html(model: OpenModel, used: UsedSet, code: int, note: str) -> str:
    index = used.index
    strips = [(EVERYWHERE, cache.tiles_of(model, [code]), 128)]
    for title, found, kind in (
        ("Nearest patches", index.top(code, MOST_PATCHES), "nearest"),
        ("Patches across all distances", index.spread(code, MOST_PATCHES), "spread"),
    ):
        strips.append((title, cache.patch_pictures(model, used.key, code, kind, used.images, index, found), 80))
    title = f"Code {code} of {model.name}"
    return dossier.as_html(title, _figures(model, used, code), strips, note)
