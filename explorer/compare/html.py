"""The report as one HTML file that asks for nothing from anywhere: charts, pictures and typeface are inside of it."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import explorer
from explorer.base.tables import encodable
from explorer.base.versions import versions
from explorer.compare.colours import COLOURS
from explorer.compare.examples import Example
from explorer.compare.records import Compared, Comparison, Seen
from explorer.compare.sentences import coverage, digest, fed
from explorer.images.reconstruction import decibels
from vqvae.images import to_file
from vqvae.words import counted

if TYPE_CHECKING:
    from explorer.compare.report import Report

_HERE, _STATIC = Path(__file__).parent, Path(explorer.__file__).parent / "ui" / "static"
PICTURE_BYTES = 2_000_000  # of all pictures together; with plotly's 4.8 MB a report stays below 8 MB
QUALITY = 92  # of the pictures, as WebP
_POLICY = (  # what the browser may do with the file: nothing that leaves it
    "default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


@dataclass(frozen=True)
class Section:
    """A part of the page, with a link to it."""

    anchor: str
    title: str
    about: str  # what is seen in it, in plain words
    body: str  # HTML


def page(report: Report) -> str:
    """The whole file; the same report gives the same text."""
    comparison = report.comparison
    sections = [section for section in _sections(report) if section.body]
    names = ", ".join(model.name for model in comparison.models)
    title = f"{names} on {comparison.data} · VQ-VAE Explorer"
    charts = any('class="chart"' in section.body for section in sections)
    return "".join(
        [
            "<!doctype html>\n",
            '<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{text(title)}</title>\n",
            f'<link rel="icon" href="{_data_uri((_STATIC / "icon.png").read_bytes(), "image/png")}">\n',
            f"<style>\n{_style()}</style>\n</head>\n<body>\n",
            _header(report),
            _contents(sections),
            "<main>\n",
            *(_section(section) for section in sections),
            f"<footer>{_footer()}</footer>\n</main>\n",
            _scripts() if charts else "",
            "</body>\n</html>\n",
        ]
    )


def text(words: str) -> str:
    """Words as they are, whatever stands in them: a name may be markup, and need not even be Unicode."""
    return html.escape(encodable(words))


def _style() -> str:
    font = _data_uri((_STATIC / "inter.woff2").read_bytes(), "font/woff2")
    face = f'@font-face {{ font-family: "Inter"; font-weight: 100 900; src: url("{font}") format("woff2"); }}\n'
    return face + (_HERE / "report.css").read_text(encoding="utf-8")


def _scripts() -> str:
    from plotly.offline import get_plotlyjs  # here, so that pages without a report open sooner

    return (
        f"<script>{get_plotlyjs()}</script>\n<script>\n{(_HERE / 'report.js').read_text(encoding='utf-8')}</script>\n"
    )


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


# --- who was compared, on what ----------------------------------------------------------------------------------------


def _header(report: Report) -> str:
    comparison = report.comparison
    icon = _data_uri((_STATIC / "icon.png").read_bytes(), "image/png")
    size = f"The long side is at most {comparison.settings.working_size} px{fed(comparison)}."
    partial = "" if comparison.finished else f'<p class="partial">{text(coverage(comparison))}</p>'
    return (
        f'<header class="report">\n<p class="app"><img src="{icon}" alt="">VQ-VAE Explorer · Compare</p>\n'
        f"<h1>{_named(comparison)} <span>on {text(comparison.data)}</span></h1>\n"
        f"<p>{text(coverage(comparison))} {text(size)}</p>\n"
        f'<ul class="models">{"".join(map(_model, range(len(comparison.models)), comparison.models))}</ul>\n'
        f"{partial}</header>\n"
    )


def _named(comparison: Comparison) -> str:
    *before, last = (text(model.name) for model in comparison.models)
    return f"{', '.join(before)} and {last}"


def _model(place: int, model: Compared) -> str:
    levels = model.spec.levels
    stride = f"f = {levels[0].stride}" if len(levels) == 1 and levels[0].stride else counted(len(levels), "level")
    codes = " + ".join(f"{level.codes:,}" for level in levels)
    facts = [stride, f"K = {codes}", "two inputs" if model.spec.inputs == 2 else "one input"]
    if model.parameters is not None:
        facts.append(f"{model.parameters / 1e6:.2f} M parameters")
    return (
        f'<li style="{_colour(place)}"><strong>{chip(place)}{text(model.name)}</strong>'
        f"<p>{text(model.spec.family)} · {text(' · '.join(facts))}</p></li>"
    )


def chip(place: int) -> str:
    """A model's number in its colour: it stands for the model wherever there is no room for its name."""
    return f'<i class="number" style="{_colour(place)}">{place + 1}</i>'


def _colour(place: int) -> str:
    return f"--model: {COLOURS[place]}"


def _contents(sections: Sequence[Section]) -> str:
    links = "".join(f'<a href="#{section.anchor}">{text(section.title)}</a>' for section in sections)
    return f'<nav class="parts" aria-label="Parts of the report"><div>{links}</div></nav>\n'


def _section(section: Section) -> str:
    about = f"<p>{text(section.about)}</p>\n" if section.about else ""
    return f'<section id="{section.anchor}">\n<h2>{text(section.title)}</h2>\n{about}{section.body}\n</section>\n'


def _footer() -> str:
    return (
        f"Made by VQ-VAE Explorer {text(explorer.__version__)}. This file holds all that it shows, and asks for "
        "nothing from the network. Charts are drawn by plotly.js (MIT); Inter is under the SIL Open Font License 1.1."
    )


# --- parts ------------------------------------------------------------------------------------------------------------


def _sections(report: Report) -> Iterable[Section]:
    comparison = report.comparison
    yield Section(
        "images",
        "Images",
        "Those on which the models differ most, by PSNR, the furthest apart first. The pictures are shown as WebP of "
        f"quality {QUALITY}; their figures are of the exact pixels.",
        _examples(report.examples, comparison.models),
    )
    yield Section("skipped", "Not measured", "", _skipped(comparison))
    yield Section("made", "How it was made", "", _made(report))


def grid(head: Sequence[str], body: Iterable[Sequence[str]], *, label: str) -> str:
    """A table of HTML cells; the first of each row names it."""
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    rows = "".join(f'<tr><th scope="row">{row[0]}</th>{"".join(row[1:])}</tr>\n' for row in body)
    return (
        f'<div class="scroll" role="region" aria-label="{text(label)}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
    )


def chart(figure: Any, *, label: str, height: int = 460) -> str:
    """A figure of plotly's, drawn when the page is opened."""
    drawing = json.dumps(json.loads(figure.to_json()), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="chart" role="img" aria-label="{text(label)}" style="height: {height}px">'
        f'<script type="application/json">{drawing}</script></div>\n'
    )


def _examples(examples: Sequence[Example], models: Sequence[Compared]) -> str:
    parts: list[str] = []
    left = PICTURE_BYTES
    for example in examples:
        pictures = [example.original, *example.drawn]
        data = [
            to_file(one, "WEBP", quality=QUALITY, method=6) if isinstance(one, np.ndarray) else b"" for one in pictures
        ]
        left -= sum(map(len, data))
        if left < 0 and parts:
            break
        parts.append(_example(example, data, models))
    return "".join(parts)


def _example(example: Example, data: Sequence[bytes], models: Sequence[Compared]) -> str:
    row = example.row
    height, width = row.size
    figures = [_picture(data[0], f"{row.name} as it is", "Original", f"{width} × {height} px")]
    for place, (model, drawn, seen) in enumerate(zip(models, example.drawn, row.seen, strict=True)):
        name = f"{chip(place)} {text(model.name)}"
        if isinstance(drawn, str) or isinstance(seen, str):
            said = drawn if isinstance(drawn, str) else str(seen)
            figures.append(f'<figure><div class="failed">{text(said)}</div><figcaption>{name}</figcaption></figure>')
        else:
            figures.append(_picture(data[place + 1], f"{row.name} by {model.name}", name, _quality(seen)))
    return (
        f'<article class="example"><h3>{text(row.name)}</h3>'
        f'<div class="pictures" style="--columns: {len(figures)}">{"".join(figures)}</div></article>\n'
    )


def _picture(data: bytes, alt: str, caption: str, small: str) -> str:
    """caption, small: HTML."""
    return (
        f'<figure><img src="{_data_uri(data, "image/webp")}" alt="{text(alt)}" loading="lazy">'
        f"<figcaption>{caption}<small>{small}</small></figcaption></figure>"
    )


def _quality(seen: Seen) -> str:
    ssim = "" if seen.ssim is None else f" · SSIM {seen.ssim:.3f}"
    return f"{decibels(seen.psnr)} dB{ssim}"


def _skipped(comparison: Comparison) -> str:
    """What could not be measured, and why: files first, then what one of the models could not do."""
    said = [(name, reason) for name, reason in comparison.unreadable]
    said += [(name, f"it has the pixels of {same}, and is measured once.") for name, same in comparison.repeated]
    for row in comparison.rows:
        for place, seen in enumerate(row.seen):
            if isinstance(seen, str):
                said.append((f"{row.name}, by {comparison.models[place].name}", seen))
    if not said:
        return ""
    items = "".join(f"<li><strong>{text(name)}</strong>: {text(reason)}</li>" for name, reason in said)
    return f'<ul class="reasons">{items}</ul>\n'


def _made(report: Report) -> str:
    comparison = report.comparison
    settings = comparison.settings
    facts = [
        *(
            (
                f"{chip(place)} {text(model.name)}",
                f"SHA-256 <code>{text(model.fingerprint)}</code>, on {text(model.device)}",
            )
            for place, model in enumerate(comparison.models)
        ),
        ("Images", f"{text(comparison.data)}, SHA-256 of the set <code>{text(comparison.identity)}</code>"),
        ("Pixels measured", f"SHA-256 <code>{digest(comparison)}</code>"),
        (
            "Settings",
            f"at most {settings.most:,} images, spread evenly over the set; long side at most "
            f"{settings.working_size} px, "
            f"blend {settings.weight:g} where a decoder has two inputs; seed {settings.seed}",
        ),
        ("Versions", text(", ".join(f"{name} {number}" for name, number in versions().items()))),
        (
            "Times",
            "of encoding and decoding were taken when an image was first measured, and are kept: for as long as they "
            "are, the same command gives the same file, to the byte. They are of one machine at one moment.",
        ),
    ]
    items = "".join(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in facts)
    command = f"<h3>The command that gives the same figures</h3>\n<pre>{text(report.command)}</pre>\n"
    return f'<dl class="made">{items}</dl>\n{command}'
