"""Which codes of two models stand for the same: counts, the matches as tiles of both, and both dossiers of one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.base.figure import Figure
from explorer.base.tables import as_csv
from explorer.codebook.matching import KINDS, Compared, Kind, Match, Rules, Side
from explorer.compare import codes
from explorer.compare.measure import only_size
from explorer.compare.records import Comparison
from explorer.images.sets import ImageSet
from explorer.ui import exports, jobs, store, widgets
from explorer.ui.components import tiles
from explorer.ui.page import guarded
from explorer.ui.session import MatchOrder
from explorer.ui.views.compare import code_card
from explorer.ui.views.compare.code_card import Subject
from explorer.ui.views.compare.columns import Column, models_of
from vqvae.words import counted

MATCHING = "matching"
AT_ONCE = 1.0  # seconds that the page waits for a matching before it shows how far it is
PAGE = 240  # matches
SIDE = 44  # CSS pixels of each half of a match
MOST_PARTS = 4  # of a code that is split, in its tile
ORDERS: dict[MatchOrder, str] = {"overlap": "Sorted by overlap", "use": "Sorted by use"}
PALE = 0.75  # how much of the grey there is in what is only the closest


def show(columns: Sequence[Column], comparison: Comparison, images: ImageSet, bar: DeltaGenerator) -> None:
    """The matches of two of the models that are open; which two is chosen in the bar."""
    able = [
        (place, column)
        for place, column in enumerate(column for column in columns if column.model is not None)
        if codes.first_grid(comparison.models[place].spec) is not None
    ]
    for column in columns:
        if column.model is None:
            widgets.warn(f"{column.number} {column.name} cannot be opened: {column.refusal}")
        elif (sentence := codes.which_level(column.name, column.model.spec)) != "":
            st.caption(widgets.plain(sentence))
    if len(able) < 2:
        st.info("Codes are matched between two models with a grid of cells; choose another model in the sidebar.")
        return
    pairs = list(combinations(able, 2))
    (here, one), (there, other) = _choose_pair(pairs, bar)
    found = _matched(comparison, here, there)
    if found is not None:
        both = codes.on_both(comparison, here, there)
        only, size = only_size(models_of(columns)), comparison.settings.working_size
        cells = found.matching.overlap.cells
        subjects = (
            Subject(one, comparison.models[here], both.rows, both.here, cells[0], images, size, only),
            Subject(other, comparison.models[there], both.rows, both.there, cells[1], images, size, only),
        )
        _show_matching(found, subjects, comparison)


def _choose_pair(
    pairs: Sequence[tuple[tuple[int, Column], tuple[int, Column]]], bar: DeltaGenerator
) -> tuple[tuple[int, Column], tuple[int, Column]]:
    """The two models, with their places in the comparison."""
    by_number = {(one[1].number, other[1].number): (one, other) for one, other in pairs}
    chosen = store.read().compare.matched_pair
    numbers = chosen if chosen in by_number else next(iter(by_number))
    if len(by_number) > 1:
        bar.selectbox(
            "Of which two models",
            list(by_number),
            format_func=lambda pair: " and ".join(f"{one.number} {one.name}" for _, one in by_number[pair]),
            label_visibility="collapsed",
            width=320,
            **widgets.bound(
                "matched-pair",
                numbers,
                lambda pair: store.read().on(
                    "compare", matched_pair=pair, matched_page=1, matched_kind=None, matched_open=None
                ),
            ),
        )
    return by_number[numbers]


def _matched(comparison: Comparison, here: int, there: int) -> Compared | None:
    """The matching of two models; None while it is made, or was stopped, which is said. Kept while the server runs."""
    models = comparison.models[here], comparison.models[there]
    rows = [row for row in comparison.rows if not any(isinstance(row.seen[place], str) for place in (here, there))]
    content = hashlib.sha256("".join(row.digest for row in rows).encode()).hexdigest()
    key = f"{MATCHING}-{'-'.join(model.fingerprint[:16] for model in models)}-{content[:16]}"
    return jobs.made(
        MATCHING,
        key,
        lambda progress: codes.match(comparison, here, there, progress=progress),
        what="Matching the codes",
        stopped=lambda found: "Matching was stopped.",
        wait=AT_ONCE,
    )


# --- one matching -----------------------------------------------------------------------------------------------------


@st.fragment
@guarded
def _show_matching(found: Compared, subjects: tuple[Subject, Subject], comparison: Comparison) -> None:
    """Counts that filter, the matches as tiles, and the dossiers of the one that is open; it runs alone."""
    matching = found.matching
    if not matching.matches:
        few = matching.rules.fewest_cells
        st.info(
            f"On {_amount(found, subjects)}, no code has {few} cells, and with fewer two codes agree by chance: there "
            "is nothing to match. Choose more images under “Compare on”."
        )
        return
    kind = store.read().compare.matched_kind
    if kind is not None and not matching.counts[kind]:
        kind = None
    _show_kinds(found, subjects, kind)
    if caution := _caution(found):
        widgets.warn(caution)
    with st.container(key="stack_matched"):
        left, right = st.columns([1, 1.25], gap="large")
    with left:
        opened = _show_matches(found, subjects, kind)
    with right:
        _show_match(found, subjects, opened, comparison)


def _show_kinds(found: Compared, subjects: tuple[Subject, Subject], chosen: Kind | None) -> None:
    """How many there are of each kind, with what that means on hover; a click shows these alone."""
    matching = found.matching
    here, there = (subject.name for subject in subjects)
    words: dict[Kind, str] = {
        "common": "common",
        "split": "split",
        "merged": "merged",
        "only here": f"only in {subjects[0].column.number}",
        "only there": f"only in {subjects[1].column.number}",
    }
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="match_kinds"):
        everything = "Every code that enough cells have, with what stands for it in the other model."
        _offer_kind(None, f"**{len(matching.matches):,}** in all", everything, chosen)
        for kind in KINDS:
            one, other = matching.share(kind)
            covered = [f"{share:.0%} of the pixels of {who}" for share, who in ((one, here), (other, there)) if share]
            meaning = matching.rules.meaning(kind, here=here, there=there)
            meaning += f" They cover {' and '.join(covered)}." if covered else ""
            meaning += f" By chance there would be {found.chance.counts[kind]:.1f}." if kind in KINDS[:3] else ""
            _offer_kind(kind, f"**{matching.counts[kind]:,}** {words[kind]}", meaning, chosen)
        widgets.figure_row(_basis(found, subjects))


def _offer_kind(kind: Kind | None, label: str, meaning: str, chosen: Kind | None) -> None:
    st.button(
        label,
        key=f"kind-{kind or 'all'}",
        help=widgets.plain(meaning),
        type="primary" if kind == chosen else "secondary",
        on_click=_choose_kind,
        args=(kind,),
    )


def _choose_kind(kind: Kind | None) -> None:
    store.write(store.read().on("compare", matched_kind=kind, matched_page=1, matched_open=None))


def _show_matches(found: Compared, subjects: tuple[Subject, Subject], kind: Kind | None) -> Match:
    """The matches of a kind, or all, page by page, with what both decode to; returns the one that is open."""
    matching, chosen = found.matching, store.read().compare
    listed = list(matching.matches) if kind is None else matching.of(kind)
    if chosen.matched_order == "use":
        listed.sort(key=lambda match: -sum(match.cells))
    elif kind in ("only here", "only there"):
        listed.sort(key=lambda match: match.agreement)  # first what is farthest from all there is
    else:
        listed.sort(key=lambda match: -match.agreement)
    pages = -(-len(listed) // PAGE)
    page = min(chosen.matched_page, pages)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.selectbox(
            "Sorted by",
            list(ORDERS),
            format_func=ORDERS.__getitem__,
            label_visibility="collapsed",
            width=190,
            **widgets.bound(
                "matched-order",
                chosen.matched_order,
                lambda order: store.read().on("compare", matched_order=order, matched_page=1),
            ),
        )
        if pages > 1:
            st.number_input(
                f"Page of {pages}",
                1,
                pages,
                width=140,
                label_visibility="collapsed",
                help=f"Of {pages} pages.",
                **widgets.bound("matched-page", page, lambda number: store.read().on("compare", matched_page=number)),
            )
            st.caption(f"of {pages}", width="content")
        st.download_button(
            "CSV",
            lambda: as_csv(codes.COLUMNS, codes.rows(matching)).encode(),
            file_name=f"{exports.saved_as('Matched codes', *(subject.name for subject in subjects))}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            type="tertiary",
            help=f"All matches: codes_1 are those of {widgets.plain(subjects[0].name)}, codes_2 of "
            f"{widgets.plain(subjects[1].name)}.",
        )
    part = listed[(page - 1) * PAGE : page * PAGE]
    opened = _opened(found, part)
    numbers = {id(match): number for number, match in enumerate(matching.matches)}
    picked = tiles.show(
        _tiles(part, subjects, st.empty()),
        ids=[numbers[id(match)] for match in part],
        key=f"matches-{subjects[0].column.number}-{subjects[1].column.number}",
        label=f"Codes of {subjects[0].name} beside those of {subjects[1].name}",
        titles=[_title(match, subjects) for match in part],
        captions=[f"{match.agreement:.2f}" for match in part],
        selected=numbers[id(opened)],
        side=SIDE,
        height=430,
        halves=True,
        rows=lambda: codes.rows(matching),
    )
    if picked is not None and 0 <= picked < len(matching.matches) and matching.matches[picked] in part:
        opened = matching.matches[picked]
        store.write(store.read().on("compare", matched_open=_place_of(opened)))
    return opened


def _place_of(match: Match) -> tuple[Side, int]:
    """A code that is in this match and in no other."""
    return ("here", match.here[0]) if match.is_of_here else ("there", match.there[0])


def _opened(found: Compared, part: Sequence[Match]) -> Match:
    """The match that was opened, else the first one of the page."""
    place = store.read().compare.matched_open
    return (place and found.matching.match_of(*place)) or part[0]


def _title(match: Match, subjects: tuple[Subject, Subject]) -> str:
    """What is said of a match that is pointed at."""
    sides = [
        f"{subject.column.number}: {_listed(own)}, {counted(cells, 'cell')}"
        for subject, own, cells in zip(subjects, (match.here, match.there), match.cells, strict=True)
    ]
    closest = " with its closest" if match.kind in ("only here", "only there") else ""
    number = subjects[0 if match.is_of_here else 1].column.number
    kind = f"Only in {number}{closest}" if closest else match.kind.capitalize()
    return f"{kind} · overlap {match.agreement:.2f}\n" + "\n".join(sides)


def _listed(own: Sequence[int]) -> str:
    shown = ", ".join(map(str, own[:6])) + (" …" if len(own) > 6 else "")
    return f"{'code' if len(own) == 1 else 'codes'} {shown}" if own else "no code"


def _tiles(part: Sequence[Match], subjects: tuple[Subject, Subject], slot: DeltaGenerator) -> np.ndarray:
    """What both sides of matches decode to, beside each other: uint8 [N, S, 2S, 3]."""
    side = max(subject.grids.stride for subject in subjects)
    halves = []
    for subject, of_match in zip(subjects, ([m.here for m in part], [m.there for m in part]), strict=True):
        wanted = np.array([code for own in of_match for code in own[:MOST_PARTS]], np.int64)
        known = subject.known_tiles(wanted, side, slot)
        half = np.full((len(part), side, side, 3), code_card.GREY, np.uint8)
        first = 0
        for number, own in enumerate(of_match):
            own = own[:MOST_PARTS]
            strips = np.array_split(np.arange(side), max(1, len(own)))
            for place, columns in zip(range(len(own)), strips, strict=False):
                half[number][:, columns] = known[first + place][:, columns]
            first += len(own)
        halves.append(half)
    for number, match in enumerate(part):  # what is only the closest is pale
        for half, is_own in zip(halves, (match.is_of_here, match.is_of_there), strict=True):
            if not is_own:
                half[number] = ((1 - PALE) * half[number] + PALE * code_card.GREY).astype(np.uint8)
    return np.concatenate(halves, axis=2)


def _basis(found: Compared, subjects: tuple[Subject, Subject]) -> list[Figure]:
    """How well codes overlap at all, what chance gives, and on how much that rests."""
    matching, chance = found.matching, found.chance
    few = matching.rules.fewest_cells
    left_out = " and ".join(
        f"{counted(number, 'code')} of {subject.name}"
        for number, subject in zip(matching.with_few_cells, subjects, strict=True)
    )
    return [
        Figure(
            "Usual overlap",
            f"{np.median(matching.best):.2f}",
            "Intersection over union (Jaccard) of a code's pixels with those of the code of the other model that "
            f"overlaps it best: the median over all codes. From {_amount(found, subjects)}.",
        ),
        Figure(
            "By chance",
            f"{chance.usual:.2f}",
            f"The same with the second model's grids of other images, or shifted where there is but one: the median of "
            f"{chance.draws} draws. 99 % of the codes stay below {chance.most:.2f}.",
        ),
        Figure(
            "Left out",
            f"{sum(matching.with_few_cells):,}",
            f"Codes of fewer than {few} cells, of which chance alone can make pairs: {left_out}. More images have more "
            "cells.",
        ),
    ]


def _caution(found: Compared) -> str:
    """What to say where the images are few."""
    rules = found.matching.rules
    if not found.raised:
        return ""
    return (
        f"On so few images chance alone overlaps well: {rules.enough:.2f} is asked of common codes here, where it is "
        f"{Rules().enough:.2f} otherwise."
    )


def _amount(found: Compared, subjects: tuple[Subject, Subject]) -> str:
    cells = [int(own.sum()) for own in found.matching.overlap.cells]
    images = counted(found.matching.overlap.images, "image")
    if cells[0] == cells[1]:
        return f"{images}, {counted(cells[0], 'cell')} each"
    of_each = " and ".join(f"{number:,} of {one.column.number}" for number, one in zip(cells, subjects, strict=True))
    return f"{images}, {of_each} cells"


# --- the match that is open -------------------------------------------------------------------------------------------


def _show_match(found: Compared, subjects: tuple[Subject, Subject], match: Match, comparison: Comparison) -> None:
    """What the match is, and the dossiers of both of its codes."""
    here, there = (subject.name for subject in subjects)
    meaning = widgets.escaped(found.matching.rules.meaning(match.kind, here=here, there=there))
    st.html(f'<p class="match" title="{meaning}"><b>{_kind(match, subjects)}</b><span>{_said(match)}</span></p>')
    with st.container(key="stack_cards"):
        places = st.columns(2, gap="medium")
    sides: tuple[tuple[Side, tuple[int, ...], bool], ...] = (
        ("here", match.here, match.is_of_here),
        ("there", match.there, match.is_of_there),
    )
    for number, (place, (side, own, is_own)) in enumerate(zip(places, sides, strict=True)):
        subject, other = subjects[number], subjects[1 - number]
        with place.container(key=f"card_{side}"):
            if not own:
                st.caption(widgets.plain(f"No code of {subject.name} that enough cells have lies there."))
                continue
            code = code_card.choose_part(subject, own, side=side)
            code_card.show(
                subject,
                code,
                beside=found.matching.beside(side, code, code_card.MOST_BESIDE),
                other=other,
                closest=not is_own,
                data=comparison.data,
                side=side,
            )


def _kind(match: Match, subjects: tuple[Subject, Subject]) -> str:
    if match.kind in ("only here", "only there"):
        return f"Only in {subjects[0 if match.is_of_here else 1].column.number}"
    return match.kind.capitalize()


def _said(match: Match) -> str:
    if match.kind in ("only here", "only there"):
        return f"the closest code overlaps by {match.agreement:.2f}"
    if match.kind == "common":
        return f"they overlap by {match.agreement:.2f}"
    parts = max(len(match.here), len(match.there))
    return f"one code overlaps by {match.agreement:.2f} with {parts} together"
