"""A worksheet to print: one HTML file with the picture, questions and blanks, and the answers on pages of their own."""

from __future__ import annotations

import html
import math
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.base.cell import Cell
from explorer.images.pictures import Picture
from explorer.images.reconstruction import EncodedPicture
from explorer.learn.answers import Answer, Facts
from explorer.learn.claims import JUDGEMENTS, Claim, Finding
from explorer.learn.tasks import Task
from vqvae.images import to_png

_STYLE = (Path(__file__).parent / "worksheet.css").read_text(encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a worksheet is made of."""

    model: str  # its name
    title: str  # of the picture
    link: str  # the query of the page that shows the same
    picture: Picture
    encoded: EncodedPicture
    cell: Cell
    facts: Facts
    answers: Sequence[Answer]
    findings: Sequence[tuple[Claim, Finding]]
    tasks: Sequence[tuple[Task, str]]  # those that can be done here, and how


@dataclass(frozen=True)
class Sum:
    """Something to work out by hand."""

    question: str
    answer: str


def sums(facts: Facts, picture: Picture, *, rows: int, columns: int) -> tuple[Sum, ...]:
    """What can be worked out from the sizes alone."""
    grid, (height, width) = facts.spec.grid, picture.pixels.shape[:2]
    bits = math.log2(grid.codes)
    smaller = f"{facts.price.raw / facts.price.codes:,.1f} times" if facts.price.codes else "there are no bits to keep"
    return (
        Sum(
            f"The picture has {height} × {width} pixels, and a cell {facts.spec.stride} × {facts.spec.stride}. "
            "How many rows and columns of cells are there?",
            f"{rows} × {columns} = {rows * columns:,} cells; what does not fit is filled up.",
        ),
        Sum(
            f"There are {grid.codes:,} codes. How many bits say which one a cell has?",
            f"log2 {grid.codes:,} = {bits:.3g} bits.",
        ),
        Sum("How many bytes are that for all cells?", f"{facts.price.codes:,.0f} bytes."),
        Sum(
            "And how many times smaller than the raw pixels, of 3 bytes each?",
            f"{facts.price.raw:,} bytes raw: {smaller}.",
        ),
    )


def worksheet(sheet: Sheet) -> str:
    """A page of HTML that needs nothing else, neither a server nor the network."""
    rows, columns = sheet.encoded.indices.shape
    worked_out = sums(sheet.facts, sheet.picture, rows=rows, columns=columns)
    asked = [answer.guess for answer in sheet.answers if answer.guess]
    grid = sheet.facts.spec.grid
    questions = (
        _part("Work it out", _numbered(f"<p>{_text(one.question)}</p>{_blank()}" for one in worked_out))
        + _part(
            "Predict first",
            _numbered(f"<p>{_text(guess.prompt)}</p>{_blank(guess.unit)}" for guess in asked),
            "Write your guess before you look.",
        )
        + _part(
            "Claims you may have read",
            _numbered(
                f"<p>“{_text(claim.saying)}”</p>"
                f"<p class='ticks'><i></i> right <i></i> half right <i></i> wrong, because</p>{_blank()}"
                for claim, _ in sheet.findings
            ),
        )
        + _part(
            "Try this",
            _numbered(
                f"<p class='ticks'><i></i> {_text(task.title)}. <small>{_text(task.advice)}</small></p>{_blank()}"
                for task, _ in sheet.tasks
            ),
            "On the Learn page, with this picture and this model.",
        )
    )
    answers = (
        _part("Work it out", _numbered(f"<p>{_text(one.answer)}</p>" for one in worked_out))
        + _part(
            "Predict first",
            _numbered(
                f"<p><b>{_text(answer.guess.shown(answer.guess.truth))}</b> {_text(answer.text)}</p>"
                for answer in sheet.answers
                if answer.guess
            ),
        )
        + _part(
            "Claims you may have read",
            _numbered(
                f"<p><b>{_text(JUDGEMENTS[found.judgement])}.</b> {_text(found.text)}</p>"
                for _, found in sheet.findings
            ),
        )
        + _part("Try this", _numbered(f"<p>{_text(way)}</p>" for _, way in sheet.tasks))
        + _part(
            "Also asked",
            "".join(
                f"<p><b>{_text(answer.question)}</b> {_text(answer.text)}</p>"
                for answer in sheet.answers
                if not answer.guess
            ),
        )
    )
    link = f"<p class='link'>On the Learn page: {_text(f'/learn?{sheet.link}')}</p>"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{_text(f'Worksheet: {sheet.title}, {sheet.model}')}</title><style>{_STYLE}</style></head><body>"
        "<main><header><h1>A picture in codes</h1><p class='who'>Name <u></u> Date <u></u></p></header>"
        f"<div class='top'>{_drawing(sheet)}<dl>"
        + "".join(
            f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>"
            for label, value in (
                ("Picture", sheet.title),
                ("Model", sheet.model),
                ("Codes", f"{grid.codes:,}"),
                ("Numbers in a code", f"{grid.dim}"),
                ("Decoder inputs", f"{sheet.facts.spec.inputs}"),
                ("Framed cell", f"row {sheet.cell[0]}, column {sheet.cell[1]}"),
            )
        )
        + f"</dl></div>{link}{questions}</main><main class='answers'><header><h1>Answers</h1>"
        f"<p>{_text(sheet.title)}, {_text(sheet.model)}</p></header>{answers}</main></body></html>\n"
    )


def _part(title: str, content: str, aside: str = "") -> str:
    if not content:
        return ""
    said = f" <small>{_text(aside)}</small>" if aside else ""
    return f"<section><h2>{_text(title)}{said}</h2>{content}</section>"


def _numbered(items: Iterable[str]) -> str:
    entries = "".join(f"<li>{item}</li>" for item in items)
    return f"<ol>{entries}</ol>" if entries else ""


def _blank(unit: str = "") -> str:
    return f"<p class='blank'><u></u> {_text(unit)}</p>"


def _text(text: str) -> str:
    """Text as it is; a file's name need not even be Unicode."""
    return html.escape(text.encode(errors="backslashreplace").decode())


def _drawing(sheet: Sheet) -> str:
    """The picture under its grid, every fourth row and column numbered, the cell framed."""
    height, width = sheet.picture.pixels.shape[:2]
    stride = sheet.facts.spec.stride
    source = "data:image/png;base64," + b64encode(to_png(sheet.picture.pixels)).decode()
    across = "".join(f"M{x} 0V{height}" for x in range(stride, width, stride))
    down = "".join(f"M0 {y}H{width}" for y in range(stride, height, stride))
    room, size = 0.07 * max(height, width), 0.032 * max(height, width)
    every = 4 * stride
    numbers = "".join(
        f"<text x='{x + stride / 2:g}' y='{-0.3 * room:g}' text-anchor='middle'>{x // stride}</text>"
        for x in range(0, width, every)
    ) + "".join(
        f"<text x='{-0.3 * room:g}' y='{y + stride / 2 + size / 3:g}' text-anchor='end'>{y // stride}</text>"
        for y in range(0, height, every)
    )
    row, column = sheet.cell
    top, left = row * stride, column * stride
    frame = f"x='{left}' y='{top}' width='{min(stride, width - left)}' height='{min(stride, height - top)}' fill='none'"
    return (
        f"<svg viewBox='{-room:g} {-room:g} {width + 1.2 * room:g} {height + 1.2 * room:g}' role='img' "
        f"aria-label='The picture with its grid'><image href='{source}' width='{width}' height='{height}' "
        f"style='image-rendering:pixelated'/><path class='grid' d='{across}{down}'/>"
        f"<rect class='under' {frame}/><rect class='frame' {frame}/><g font-size='{size:g}'>{numbers}</g></svg>"
    )
