"""The report as one HTML file that asks for nothing from anywhere: charts, pictures and typeface are inside of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import explorer
from explorer.base.versions import versions
from explorer.compare import html_codebooks, html_inputs, html_rate
from explorer.compare.error_map import FULL, MEANING, STOPS, error_map
from explorer.compare.examples import Example
from explorer.compare.markup import chip, colour, data_uri, grid, small, text
from explorer.compare.records import Compared, Comparison, Seen
from explorer.compare.sentences import INTERVALS, coverage, digest, fed
from explorer.compare.table import Cell, Difference, Measure, Table, sentence
from explorer.images.reconstruction import decibels
from vqvae.images import to_file
from vqvae.words import counted

if TYPE_CHECKING:
    from explorer.compare.report import Report

_HERE, _STATIC = Path(__file__).parent, Path(explorer.__file__).parent / "ui" / "static"
PICTURE_BYTES = 3_000_000  # of all pictures together; with plotly's 4.8 MB a report stays below 9.5 MB
MAIN = ("psnr", "colour_difference", "bits_per_pixel")  # the figures that are put into words above all others
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
            f'<link rel="icon" href="{data_uri((_STATIC / "icon.png").read_bytes(), "image/png")}">\n',
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


def _style() -> str:
    font = data_uri((_STATIC / "inter.woff2").read_bytes(), "font/woff2")
    face = f'@font-face {{ font-family: "Inter"; font-weight: 100 900; src: url("{font}") format("woff2"); }}\n'
    return face + (_HERE / "report.css").read_text(encoding="utf-8")


def _scripts() -> str:
    from plotly.offline import get_plotlyjs  # here, so that pages without a report open sooner

    return (
        f"<script>{get_plotlyjs()}</script>\n<script>\n{(_HERE / 'report.js').read_text(encoding='utf-8')}</script>\n"
    )


# --- who was compared, on what ----------------------------------------------------------------------------------------


def _header(report: Report) -> str:
    comparison = report.comparison
    icon = data_uri((_STATIC / "icon.png").read_bytes(), "image/png")
    size = f"The long side is at most {comparison.settings.working_size} px{fed(comparison)}."
    found = _findings(report.tables[0])
    partial = "" if comparison.finished else f'<p class="partial">{text(coverage(comparison))}</p>'
    return (
        f'<header class="report">\n<p class="app"><img src="{icon}" alt="">VQ-VAE Explorer · Compare</p>\n'
        f"<h1>{_named(comparison)} <span>on {text(comparison.data)}</span></h1>\n"
        f"<p>{text(coverage(comparison))} {text(size)}</p>\n"
        f'<ul class="models">{"".join(map(_model, range(len(comparison.models)), comparison.models))}</ul>\n'
        f"{found}{partial}</header>\n"
    )


def _findings(found: Table) -> str:
    """How each model differs from the first, in its main figures."""
    items = []
    for place in range(1, len(found.models)):
        said = [
            f"<span>{text(line.measure.label)} <strong>{text(sentence(line.measure, difference))}</strong></span>"
            for line in map(found.line, MAIN)
            if (difference := line.differences[place]) is not None
        ]
        if said:
            items.append(f"<li><span>{chip(place)} against {chip(0)}</span>{''.join(said)}</li>")
    return f'<ul class="findings">{"".join(items)}</ul>\n' if items else ""


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
        f'<li style="{colour(place)}"><strong>{chip(place)}{text(model.name)}</strong>'
        f"<p>{text(model.spec.family)} · {text(' · '.join(facts))}</p></li>"
    )


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
        "figures",
        "Figures",
        f"Means over images, and how each model differs from the first. {INTERVALS}",
        _figures(report.tables),
    )
    if report.distortion is not None:
        yield Section("rate", "Rate–distortion", html_rate.ABOUT, html_rate.body(report.distortion))
    if report.codebooks is not None:
        names = [model.name for model in comparison.models]
        yield Section("codebooks", "Codebooks", html_codebooks.ABOUT, html_codebooks.body(report.codebooks, names))
    if report.sides:
        yield Section("inputs", "Inputs", html_inputs.ABOUT, html_inputs.body(report.sides, comparison.models))
    yield Section(
        "images",
        "Images",
        "Those on which the models differ most, by PSNR, the furthest apart first; below each picture is its error. "
        f"The pictures are shown as WebP of quality {QUALITY}; their figures and errors are of the exact pixels.",
        _examples(report.examples, comparison.models),
    )
    yield Section("skipped", "Not measured", "", _skipped(comparison))
    yield Section("made", "How it was made", "", _made(report))


def _figures(tables: Sequence[Table]) -> str:
    """The table against the first model; against each other one, where there are more than two, on request."""
    first, *others = tables
    body = _table(first, cells=True)
    for one in others if len(tables) > 2 else []:
        head = f"Differences from {text(one.models[one.reference])}"
        body += f"<details><summary>{head}</summary>{_table(one, cells=False)}</details>\n"
    meanings = "".join(
        f"<dt>{text(line.measure.label)}</dt><dd>{text(line.measure.meaning)}</dd>" for line in first.lines
    )
    return f'{body}<details><summary>What the figures mean</summary><dl class="meanings">{meanings}</dl></details>\n'


def _table(found: Table, *, cells: bool) -> str:
    """A line for each figure; how models differ from the reference, and, if `cells`, what each of them has."""
    places = range(len(found.models))
    others = [place for place in places if place != found.reference]
    named = [f"{chip(place)} {text(found.models[place])}" for place in places] if cells else []
    differ = [f"{chip(place)} − {chip(found.reference)}" for place in others]
    body = []
    for line in found.lines:
        unit = f" <small>{text(line.measure.unit)}</small>" if line.measure.unit else ""
        label = f'<span title="{text(line.measure.meaning)}">{text(line.measure.label)}</span>{unit}'
        own = [_cell(line.measure, cell) for cell in line.cells] if cells else []
        body.append([label, *own, *(_difference(line.measure, line.differences[place]) for place in others)])
    label = f"Figures, and differences from {found.models[found.reference]}"
    return grid(["Figure", *named, *differ], body, label=label)


def _cell(measure: Measure, cell: Cell) -> str:
    estimate = cell.estimate
    if estimate is None:
        return f"<td>{text(cell.text or '–')}</td>"
    number = " ".join(filter(None, (measure.shown(estimate.value), cell.text)))
    return f"<td>{text(number)}{small('' if cell.same else measure.interval(estimate))}</td>"


def _difference(measure: Measure, difference: Difference | None) -> str:
    if difference is None:
        return "<td>–</td>"
    estimate = difference.estimate
    told = text(f"{measure.label}: {sentence(measure, difference)}")
    if not estimate.value and (difference.same or measure.kind != "mean"):
        return f'<td title="{told}">the same</td>'
    number = text(measure.shown(estimate.value, plus=True))
    interval = "" if difference.same else measure.interval(estimate)
    if measure.kind == "mean" and estimate.images == 1:
        interval = "one picture: no interval"
    elif interval and not difference.clear:
        interval += ", not clear"
    return f'<td title="{told}">{number}{small(interval)}</td>'


def _examples(examples: Sequence[Example], models: Sequence[Compared]) -> str:
    parts: list[str] = []
    left = PICTURE_BYTES
    for example in examples:
        pictures = [example.original, *example.drawn]
        data = [
            to_file(one, "WEBP", quality=QUALITY, method=6) if isinstance(one, np.ndarray) else b"" for one in pictures
        ]
        errors = [_errors(example.original, one) if isinstance(one, np.ndarray) else b"" for one in example.drawn]
        left -= sum(map(len, [*data, *errors]))
        if left < 0 and parts:
            break
        parts.append(_example(example, data, errors, models))
    return "".join(parts)


def _errors(original: np.ndarray, drawn: np.ndarray) -> bytes:
    """The error map as a file that has its very colours."""
    return to_file(error_map(original, drawn), "WEBP", lossless=True, quality=80, method=6)


def _example(example: Example, data: Sequence[bytes], errors: Sequence[bytes], models: Sequence[Compared]) -> str:
    row = example.row
    height, width = row.size
    about = f"{width} × {height} px{_ramp() if any(errors) else ''}"
    figures = [_figure(_picture(data[0], f"{row.name} as it is"), "Original", about)]
    for place, (model, drawn, seen) in enumerate(zip(models, example.drawn, row.seen, strict=True)):
        name = f"{chip(place)} {text(model.name)}"
        if isinstance(drawn, str) or isinstance(seen, str):
            said = drawn if isinstance(drawn, str) else str(seen)
            figures.append(f'<figure><div class="failed">{text(said)}</div><figcaption>{name}</figcaption></figure>')
        else:
            shown = _picture(data[place + 1], f"{row.name} by {model.name}")
            shown += _picture(errors[place], f"Error of {row.name} by {model.name}")
            figures.append(_figure(shown, name, _quality(seen)))
    return (
        f'<article class="example"><h3>{text(row.name)}</h3>'
        f'<div class="pictures" style="--columns: {len(figures)}">{"".join(figures)}</div></article>\n'
    )


def _picture(data: bytes, alt: str) -> str:
    return f'<img src="{data_uri(data, "image/webp")}" alt="{text(alt)}" loading="lazy">'


def _figure(shown: str, caption: str, small: str) -> str:
    """shown, caption, small: HTML."""
    return f"<figure>{shown}<figcaption>{caption}<small>{small}</small></figcaption></figure>"


def _ramp() -> str:
    """What the colours of an error map mean."""
    colours = ", ".join(f"rgb({red}, {green}, {blue})" for red, green, blue in STOPS)
    bar = f'<span style="background: linear-gradient(90deg, {colours})"></span>'
    return f'<span class="ramp" title="{MEANING}">Error <i>0</i>{bar}<i>{FULL}+</i></span>'


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
    if not report.command:
        return f'<dl class="made">{items}</dl>\n'
    command = f"<h3>The command that gives the same figures</h3>\n<pre>{text(report.command)}</pre>\n"
    return f'<dl class="made">{items}</dl>\n{command}'
