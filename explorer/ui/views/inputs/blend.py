"""The blend of one picture: slider and brush, what they change, how far that is from training, and the whole curve."""

from typing import Any

import streamlit as st

from explorer.base.open_model import OpenModel
from explorer.editing.answer import Numbered, Part
from explorer.editing.edits import edited_cells, inputs_of
from explorer.editing.engine import DecodedEdit, EditEngine, in_words
from explorer.editing.starts import Kind
from explorer.images.pictures import Picture
from explorer.images.reconstruction import Quality, compare, quality_figures
from explorer.ui import exports
from explorer.ui.page import guarded
from explorer.ui.views.edit import editing
from explorer.ui.views.edit.editing import begin, open_editing
from explorer.ui.views.inputs import curve, meter
from explorer.ui.views.inputs.meter import Lines
from vqvae.words import counted

EDITOR = "blend"
STARTS: dict[Kind, str] = {
    "picture": "",
    "one code": " The grid starts from one code, as chosen on the Edit page.",
    "mix": " The grid starts from two pictures, as chosen on the Edit page.",
    "random": " The grid starts from random codes, as chosen on the Edit page.",
}


def show(model: OpenModel, picture: Picture) -> None:
    """The editor with the tools that blend, and beside it what they change; then the curve over all blends."""
    engine = begin(model, picture)
    show_editor(engine)
    curve.show(engine)


@st.fragment
@guarded
def show_editor(engine: EditEngine) -> None:
    """The editor; once the hand rests, figures and meter are measured, and the curve follows."""
    engine.measure = measured
    now = open_editing(engine, key=EDITOR, mode="inputs")
    parts: list[Numbered[Part]] = [engine.codes_only()]
    if now.settled:  # a whole decode where there are edits: not while the blend is dragged
        parts.append(engine.unedited())
    editing.show(now, key=EDITOR, parts=parts)
    exports.figure(EDITOR, label="The picture as it is blended", of=(engine.saved_as,))
    curve.follow(now)


def measured(engine: EditEngine, seen: DecodedEdit) -> dict[str, Any]:
    """Figures, sentence and verdicts of an edit, as the editor's header has them."""
    before, after = engine.codes_only_quality(), compare(engine.picture.pixels, seen.pixels)
    lines = measure(engine, seen)
    return {
        "figures": [in_words(quality_figures(before, after)), in_words(list(lines.figures))],
        "sentence": describe(engine, seen, before, after),
        "verdicts": [[verdict.grade, verdict.sentence, verdict.details] for verdict in lines.verdicts],
    }


def measure(engine: EditEngine, seen: DecodedEdit) -> Lines:
    """How far what the decoder is fed lies from its training."""
    fed = inputs_of(engine.model.tokenizer, engine.base, seen.edit)
    return meter.read(engine.model, fed, weight=seen.edit.weight, edited=edited_cells(engine.base, seen.edit))


def describe(engine: EditEngine, seen: DecodedEdit, before: Quality, after: Quality) -> str:
    """What the decoder is given, and what became of the picture."""
    gain = after.psnr - before.psnr
    outcome = f"{abs(gain):.1f} dB {'closer to' if gain >= 0 else 'further from'} the original than the codes alone"
    edited = int(edited_cells(engine.base, seen.edit).sum())
    edits = STARTS[engine.start.kind]
    if edited:
        edits += f" {counted(edited, 'cell is', 'cells are')} edited, on the Edit page."
    if (seen.edit.weight == 0).all():
        return f"The decoder gets the codes alone.{edits}"
    if engine.model.inputs == 1:
        return (
            "This decoder has one input and never met an embedding: it is fed in place of the codes. The picture comes "
            f"out {outcome}.{edits}"
        )
    if seen.level < 0:
        return (
            "A blend below 0 subtracts what the code leaves out; the decoder never met that in training: "
            f"{outcome}.{edits}"
        )
    if seen.level > 1:
        return f"More than all of what quantization lost is added, which nothing was trained for: {outcome}.{edits}"
    return f"With the embedding, the picture comes out {outcome}.{edits}"
