"""What a reliance test found: the verdict in two parts, the evidence for it, and the files that can be cited."""

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.images.pictures import Picture
from explorer.images.reconstruction import decibels
from explorer.inputs.reliance import charts, report
from explorer.inputs.reliance.ablations import INPUTS, WAYS, Ablation, Cost, Subject
from explorer.inputs.reliance.measure import ImageEvidence
from explorer.inputs.reliance.report import Report
from explorer.inputs.reliance.verdict import FIGURES, LINES, Finding, explain, ranged
from explorer.ui import cache, exports, widgets
from vqvae.images import to_png

STYLE = Path(__file__).parent / "reliance.css"
SIDE = 164  # CSS pixels of a picture behind a number
FOLLOWS_MEANING = (
    "Where a cell's embedding lies nearly as close to a second code, the code flips and the embedding hardly moves. "
    "There the code, the embedding, or both are moved across; the share says how much of the change that both make "
    "together each one makes by itself."
)
ONE_PICTURE = "One picture is no evidence: these are its figures, and no verdict on the model. "
ALONE_MEANING = "What the decoder draws when an input is missing, beside one of the same size that never had two."


def style() -> None:
    """The view's own looks."""
    st.html(STYLE)


def show(found: Report, *, gradient: float | None = None) -> None:
    """Verdict, charts, what the views say of each other, every figure, and the files.

    gradient: what the maps of the same picture say, as `explain` takes it.
    """
    show_verdict(found)
    summary, of = found.summary, named(found)
    with st.container(key="stack_reliance"):
        left, right = st.columns(2, gap="large")
    if summary.following:
        with left:
            widgets.heading("Whom it follows, at every blend", FOLLOWS_MEANING)
            exports.chart(
                charts.follow_curve(summary),
                key="follow-curve",
                label="Whom it follows",
                of=of,
                rows=lambda: report.following_rows(summary),
                config=exports.STILL,
            )
    with right if summary.following else left:
        widgets.heading("What each input draws alone", ALONE_MEANING)
        exports.chart(
            charts.drawn_bars(summary, twin=found.evidence.twin),
            key="drawn-bars",
            label="What each input draws alone",
            of=of,
            config=exports.STILL,
        )
    with st.container(key="stack_costs"):
        left, right = st.columns([1.35, 1], gap="large")
    with left:
        widgets.heading(
            "What it costs to replace an input",
            "Both inputs under the same replacements, one at a time, in dB of PSNR. A pale bar lies far from anything "
            "met in training, so that it measures disturbance as well as use.",
        )
        exports.chart(
            charts.cost_bars(summary),
            key="cost-bars",
            label="What it costs to replace an input",
            of=of,
            rows=lambda: report.cost_rows(summary),
            config=exports.STILL,
        )
    with right:
        if paragraph := explain(summary, gradient=gradient):
            widgets.heading("Where these agree, and where not", "Each sentence follows from the figures beside it.")
            st.html(f"<p class='reliance-why'>{html.escape(paragraph)}</p>")
    show_files(found)


def named(found: Report) -> tuple[str, str]:
    """What files of a test are of: the model, and the images."""
    return found.provenance.model, found.provenance.data


def show_verdict(found: Report) -> None:
    """Both parts side by side, then how many images they rest on."""
    labels = ("Whom does the decoder follow?", "What stands alone?")
    first, second = (_card(label, part) for label, part in zip(labels, found.judgement.parts, strict=True))
    cards = first + second.replace(ONE_PICTURE, "")  # what holds for both is said once
    partial = "" if found.evidence.finished else " <b>Partial: it was stopped.</b>"
    st.html(
        f"<section class='reliance-verdict' title='{html.escape(LINES)}'>{cards}</section>"
        f"<p class='reliance-basis'>{html.escape(report.counted(found.evidence))}{partial}</p>"
    )
    for name, reason in found.evidence.unreadable[:10]:
        st.caption(widgets.plain(f"Skipped {name}: {reason}"))
    for name, same in found.evidence.repeated[:10]:
        st.caption(widgets.plain(f"Skipped {name}: it has the pixels of {same}."))


def _card(label: str, part: Finding) -> str:
    return f"<article class='{html.escape(part.grade)}'><h3>{html.escape(label)}</h3>{as_html(part)}</article>"


def as_html(part: Finding) -> str:
    """A part of the verdict as two paragraphs: its name, and what its sentence says beside that."""
    name, _, rest = part.sentence.partition(". " if part.sentence.startswith(_capital(part.name) + ".") else ": ")
    text = rest if _capital(part.name) == name else part.sentence
    return (
        f"<p class='verdict {html.escape(part.grade)}'><i></i>{html.escape(_capital(part.name))}</p>"
        f"<p>{html.escape(_capital(text))}</p>"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def show_files(found: Report) -> None:
    """Every figure in a table, the methods paragraph, and JSON and CSV with every measurement."""
    name = f"{found.provenance.model}-reliance"
    with st.container(horizontal=True, vertical_alignment="center"):
        for form, write in {"json": report.as_json, "csv": report.as_csv}.items():
            st.download_button(
                f"Every measurement ({form.upper()})",
                partial(_encoded, write, found),
                file_name=f"{name}.{form}",
                mime=f"{'application' if form == 'json' else 'text'}/{form}",
                on_click="ignore",
                icon=":material/download:",
            )
    with st.expander("Methods, to be cited"):
        st.code(report.methods(found), language=None, wrap_lines=True)
        if found.provenance.command:
            st.caption("The command that gives the same figures:")
            st.code(found.provenance.command, language="bash", wrap_lines=True)
    with st.expander("Every figure"):
        show_tables(found)


def _encoded(write: Callable[[Report], str], found: Report) -> bytes:
    return write(found).encode()


def show_tables(found: Report) -> None:
    summary, of = found.summary, named(found)
    if summary.following:
        exports.frame(
            {
                "Blend": [f"{one.blend:.0%}" for one in summary.following],
                "Follows the code": [ranged(one.code) for one in summary.following],
                "Follows the embedding": [ranged(one.embedding) for one in summary.following],
                "‖A‖ / ‖B‖": [ranged(one.code_size) for one in summary.following],
                "Not additive": [ranged(one.not_additive) for one in summary.following],
            },
            key="following-table",
            label="Whom it follows",
            of=of,
            rows=lambda: report.following_rows(summary),
        )
    exports.frame(
        {
            "Replaced": [INPUTS[one.input] for one in summary.costs],
            "By": [WAYS[one.way] for one in summary.costs],
            "Costs, dB": [ranged(cost) for cost in summary.costs.values()],
            "Beyond training": [
                f"{summary.beyond[one]:.0%} of the cells" if one in summary.beyond else "–" for one in summary.costs
            ],
        },
        key="cost-table",
        label="What it costs to replace an input",
        of=of,
        rows=lambda: report.cost_rows(summary),
    )
    exports.frame(
        {
            "Figure": [_capital(FIGURES[name]) for name in summary.figures],
            "Mean and 95 % interval": [ranged(figure) for figure in summary.figures.values()],
        },
        key="figures-table",
        label="Every figure",
        of=of,
        rows=lambda: report.figure_rows(summary),
    )


def show_pictures(
    model: OpenModel, found: ImageEvidence, subject: Subject, picture: Picture, *, key: tuple[str, ...]
) -> None:
    """What the decoder drew for each number, of the first draw: a row for each input."""
    height, width = picture.pixels.shape[:2]
    firsts: dict[Ablation, Cost] = {}
    for cost in found.costs:
        firsts.setdefault(cost.ablation, cost)
    whole, *drawn = cache.reliance_pictures(model, key, (height, width), tuple(firsts), subject)
    leading = {
        "quantized": (whole, f"Both whole: {decibels(found.whole.psnr)} dB"),
        "embedding": (to_png(picture.pixels), "The original"),
    }
    for name, (png, caption) in leading.items():
        if name == "embedding" and model.inputs == 1:
            continue
        st.html(f"<p class='label'>{INPUTS[name].capitalize()} replaced, and what that costs</p>")  # type: ignore[index]
        with st.container(horizontal=True, key=f"behind-{name}"):
            show_small(png, caption)
            for (ablation, cost), its_png in zip(firsts.items(), drawn, strict=True):
                if ablation.input == name or (name == "embedding" and ablation.input == "both"):
                    label = ablation.label if ablation.input == "both" else WAYS[ablation.way]
                    show_small(its_png, f"{_capital(label)}: {-cost.drop:+.1f} dB")
        exports.figure(f"behind-{name}", label=f"{INPUTS[name].capitalize()} replaced", of=(model.name, found.name))  # type: ignore[index]


def show_small(png: bytes, caption: str) -> None:
    """A picture that opens large."""
    caption = caption.replace("-", "−")
    with st.container(width=SIDE):  # with a width of its own, Streamlit would shrink the file
        st.image(png, caption=widgets.plain(caption), alt=caption, output_format="PNG", width="stretch")
