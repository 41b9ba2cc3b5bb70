"""The pieces of the Learn page: the small drawings of the steps, and its text and pictures in place."""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from explorer.learn.claims import Finding
from explorer.learn.steps import Source
from explorer.learn.tasks import Check, Task
from explorer.learn.walk import Walk
from explorer.ui import exports
from explorer.ui.components.sources import png_url
from vqvae.images import to_png

_STYLE = Path(__file__).parent / "learn.css"


def style() -> None:
    """The page's own looks."""
    st.html(_STYLE)


def drawing(step: str, walk: Walk, tile: np.ndarray) -> str:
    """What stands for a step on the strip; tile: uint8 [f, f, 3], what the chosen code decodes to."""
    largest = scale_of(walk)
    if step == "patch":
        return _image(walk.patch(walk.original))
    if step == "embedding":
        return _bars([walk.embedding], largest)
    if step == "distances":
        return _curve(walk.distances)
    if step == "code":
        return _image(tile)
    if step == "residual":
        return _bars([walk.residual], largest)
    if step == "inputs":
        return _bars([walk.quantized, walk.second] if walk.inputs == 2 else [walk.quantized], largest)
    shown = (walk.off, walk.now) if walk.inputs == 2 and walk.weight > 0 else (walk.off,)
    return "".join(_image(walk.patch(view)) for view in shown)


def scale_of(walk: Walk) -> float:
    """The end of the axis that all vectors of a cell are drawn on, so that they can be compared."""
    vectors = [walk.embedding, walk.quantized, walk.residual, *([] if walk.passed is None else [walk.passed])]
    return max(0.1, *(float(np.abs(vector).max()) for vector in vectors))


def _bars(vectors: Sequence[np.ndarray], largest: float) -> str:
    """Vectors as rows of bars, one under the other."""
    width, height = 64, 40
    rows = []
    for number, values in enumerate(vectors):
        middle = height * (number + 0.5) / len(vectors)
        pitch, most = width / len(values), 0.48 * height / len(vectors)
        bars = "".join(
            f"M{pitch * place:.2f} {middle:.2f}h{0.8 * pitch:.2f}v{-most * value / largest:.2f}h{-0.8 * pitch:.2f}z"
            for place, value in enumerate(values.tolist())
        )
        rows.append(f'<path class="axis" d="M0 {middle:.2f}h{width}"/><path class="bars" d="{bars}"/>')
    return _svg(width, height, "".join(rows))


def _curve(distances: np.ndarray) -> str:
    """Sorted distances as a line, the first one marked."""
    width, height = 64, 40
    chosen = np.unique(np.linspace(0, len(distances) - 1, 64).round().astype(int))
    scale = max(float(distances.max()), 1e-12)
    points = [
        (4 + (width - 8) * place / max(1, len(distances) - 1), height - 4 - (height - 8) * distances[place] / scale)
        for place in chosen.tolist()
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    x, y = points[0]
    return _svg(
        width, height, f'<path class="line" d="{line}"/><circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    )


def _svg(width: int, height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{content}</svg>'


def _image(pixels: np.ndarray) -> str:
    return f'<img src="{png_url(to_png(pixels))}" alt=""/>'


# --- text and pictures in place ---------------------------------------------------------------------------------------


def heading(number: int, title: str, text: str) -> None:
    """A step's number, its title and what happens there."""
    st.html(
        f"<div class='walk-step'><h2><span>{number}</span>{html.escape(title)}</h2><p>{html.escape(text)}</p></div>"
    )


def views(
    walk: Walk,
    entries: Sequence[tuple[np.ndarray, str, str]],
    *,
    of: Sequence[str],
    alone: np.ndarray | None = None,
) -> None:
    """Pictures of a walk's view in a row, the cell framed in each: (pixels, title, figure); first the cell alone."""
    height, width = walk.original.shape[:2]
    tall, wide = walk.patch(walk.original).shape[:2]
    top, left = (
        (place - start) * walk.stride for place, start in zip(walk.cell, (walk.view.top, walk.view.left), strict=True)
    )
    frame = (
        f"left:{100 * left / width:.3f}%;top:{100 * top / height:.3f}%;"
        f"width:{100 * wide / width:.3f}%;height:{100 * tall / height:.3f}%"
    )
    shown = [(pixels, title, figure, f"<i style='{frame}'></i>") for pixels, title, figure in entries]
    if alone is not None:
        shown.insert(0, (alone, "The cell", "", ""))
    figures = "".join(
        f"<figure><div><img src='{png_url(to_png(pixels))}' alt='{html.escape(title)}'>{mark}</div>"
        f"<figcaption>{html.escape(title)}<b>{html.escape(figure)}</b></figcaption></figure>"
        for pixels, title, figure, mark in shown
    )
    with st.container(key="learn-views"):
        st.html(f"<div class='walk-views'>{figures}</div>")
    exports.figure("learn-views", label="The cell's pictures", of=of)


def label(text: str) -> None:
    """A heading over a small chart."""
    st.html(f"<p class='label'>{html.escape(text)}</p>")


def source(shown: Source | None) -> None:
    """Some of the model's own lines, and where they stand."""
    if shown is None:
        st.caption("The lines that did this cannot be shown: they do not stand in a file of Python.")
        return
    st.html(
        f"<p class='walk-source'><b>{html.escape(shown.name)}</b> "
        f"{html.escape(shown.file)}, lines {shown.first}–{shown.last}</p>"
    )
    st.code(shown.text, language="python", wrap_lines=True)


_MEASURED = re.compile(r"(?:(?:\d+\.\d+|∞) to )?(?:\d+\.\d+|∞) dB|[\d,]+ bytes")


def chapter(title: str, aside: str = "") -> None:
    """The heading of a part of the page."""
    st.html(f"<h2 class='walk'>{html.escape(title)} <span>{html.escape(aside)}</span></h2>")


def told(question: str, text: str | None, *, guessed: str = "") -> None:
    """A question with its answer, in which what was measured stands out, and what was guessed; None: not yet."""
    answer = "" if text is None else f"<p>{_standing_out(text)}</p>"
    guess = f"<p class='guessed'>{html.escape(guessed)}</p>" if guessed else ""
    st.html(f"<article class='walk-answer'><h3>{html.escape(question)}</h3>{guess}{answer}</article>")


def _standing_out(text: str) -> str:
    return _MEASURED.sub(lambda found: f"<b>{found[0]}</b>", html.escape(text))


def claim(saying: str, verdict: str | None, judgement: str = "", *, guessed: str = "") -> None:
    """A statement as somebody might make it, and the verdict; None: not yet."""
    chip = f"<span class='judgement {judgement}'>{html.escape(verdict)}</span>" if verdict else ""
    guess = f"<span class='guessed'>{html.escape(guessed)}</span>" if guessed else ""
    st.html(f"<div class='walk-claim'><h3>“{html.escape(saying)}”</h3>{chip}{guess}</div>")


def finding(found: Finding) -> None:
    """What the test of a claim gave: text, figures, pictures."""
    rows = "".join(
        f"<div><dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd></div>" for label, value in found.figures
    )
    pictures = "".join(
        f"<figure><div><img src='{png_url(to_png(exhibit.pixels))}' alt='{html.escape(exhibit.title)}'></div>"
        f"<figcaption>{html.escape(exhibit.title)}<b>{html.escape(exhibit.figure)}</b></figcaption></figure>"
        for exhibit in found.exhibits
    )
    st.html(
        f"<div class='walk-finding'><p>{_standing_out(found.text)}</p><div>"
        + (f"<dl>{rows}</dl>" if rows else "")
        + (f"<div class='walk-views'>{pictures}</div>" if pictures else "")
        + "</div></div>"
    )


def tasks(entries: Sequence[tuple[Task, Check, bool]]) -> None:
    """Things to try: each with how it stands now, and a tick if it was ever done."""
    items = "".join(
        f"<li class='{'done' if done else 'open'}' data-task='{html.escape(task.name)}'>"
        f"<i role='img' aria-label='{'done' if done else 'not done'}'>{'✓' if done else ''}</i>"
        f"<div><h3>{html.escape(task.title)}</h3><p>{html.escape(task.advice)}</p>"
        f"<p class='now'>{html.escape(check.sentence)}</p></div></li>"
        for task, check, done in entries
    )
    st.html(f"<ol class='walk-tasks'>{items}</ol>")


def list_not_offered(entries: Sequence[tuple[Task, str]]) -> None:
    """Tasks that are not offered, each with the reason."""
    items = "".join(
        f"<li data-left-out='{html.escape(task.name)}'>{html.escape(task.title)}: "
        f"<span>{html.escape(reason)}</span></li>"
        for task, reason in entries
    )
    if items:
        st.html(f"<p class='label'>Left out here</p><ul class='walk-left-out'>{items}</ul>")
