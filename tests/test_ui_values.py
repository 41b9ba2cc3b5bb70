"""The session, and the wire to the canvas: pure values, tested without a screen."""

import json
import math

import numpy as np
import pytest

from explorer.editing.edits import Draft
from explorer.editing.starts import Start
from explorer.ui.components.canvas.message import Request
from explorer.ui.components.wire import pack
from explorer.ui.store import MOST_DRAFTS, Session, Sketch, keep_sketch, sketches
from explorer.ui.widgets import plain

MESSAGE = {
    "sequence": 3,
    "content": "abc",
    "settled": True,
    "complete": False,
    "blend": 0.25,
    "uses_embedding": True,
    "cell": [4, 7],
    "view": "side",
    "panel": "codes",
}


def test_transitions_return_a_new_session_and_leave_the_old_one():
    old = Session()
    new = old.with_blend(0.3, uses_embedding=False).with_cell((1, 2))
    assert (old.blend, old.cell) == (1.0, None)
    assert (new.blend, new.uses_embedding, new.cell) == (0.3, False, (1, 2))
    assert new.weight_for(2) == 0
    assert new.with_blend(0.3, uses_embedding=True).weight_for(2) == 0.3


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize(("asked", "kept"), [(7, 1.5), (-7, -0.5), (1.5, 1.5), (-0.5, -0.5), (0.3, 0.3), (1.2, 1.2)])
def test_the_blend_stays_within_its_bounds(asked, kept, inputs):
    assert Session().with_blend(asked, uses_embedding=True, inputs=inputs).blend == kept


@pytest.mark.parametrize(("blend", "kept"), [(-0.5, 0), (-0.1, 0), (0, 0), (0.3, 0.3), (1, 1), (1.5, 1)])
def test_a_slider_with_other_ends_moves_the_blend_to_the_nearer_one(blend, kept):
    session = Session().with_blend(blend, uses_embedding=False)
    assert session.with_blend_within(0, 1) == session.with_blend(kept, uses_embedding=False)
    assert session.with_blend_within(-0.5, 1.5) == session


def test_choosing_nothing_in_a_row_of_choices_leaves_what_was_chosen():
    chosen = Session(inputs_view="pair", curve="ssim", tested_on="set", pair_view="between")
    assert (
        Session().with_inputs_view("pair").with_curve("ssim").with_tested_on("set").with_pair_view("between") == chosen
    )
    assert chosen.with_inputs_view(None).with_curve(None).with_tested_on(None).with_pair_view(None) == chosen


def test_what_is_painted_with_is_the_checkpoints_and_the_rule_stays():
    session = Session().with_cell((1, 2)).with_painting(rule="keep", brush=5, overlay="cycle")
    assert session == Session(cell=(1, 2), rule="keep", brush=5, overlay="cycle")
    assert session.with_rule("carry") == Session(cell=(1, 2), rule="carry", brush=5, overlay="cycle")
    other = session.with_checkpoint("photos-fine")  # of which code 5 is another one
    assert (other.rule, other.brush, other.overlay) == ("keep", None, "cycle")
    assert session.with_picture("coffee").brush == 5


def test_another_start_is_another_grid_without_the_selected_cell():
    session = Session().with_cell((1, 2))
    started = session.with_start(Start("one code", code=3))
    assert (started.start, started.cell) == (Start("one code", code=3), None)
    assert session.with_start(Start()) is session
    painted = started.with_cell((0, 1))
    assert painted.with_start(Start("one code", code=3)) is painted
    assert painted.with_start(Start("one code", code=4)).cell is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.with_picture("coffee"),
        lambda s: s.with_checkpoint("photos-fine"),
        lambda s: s.with_working_size(128),
    ],
)
def test_a_selected_cell_does_not_outlive_its_grid(change):
    assert change(Session().with_cell((1, 2))).cell is None


def test_choosing_what_is_chosen_already_changes_nothing():
    session = Session().with_cell((1, 2))
    assert session.with_picture(session.picture) is session
    assert session.with_checkpoint(session.checkpoint) is session
    assert session.with_working_size(session.working_size) is session


@pytest.mark.parametrize("blend, uses_embedding", [(1.0, True), (0.25, True), (0.5, False), (-0.5, True), (1.5, True)])
def test_a_link_brings_back_what_matters(blend, uses_embedding):
    session = Session().with_checkpoint("photos-fine").with_picture("coffee").with_working_size(384)
    session = session.with_blend(blend, uses_embedding=uses_embedding)
    again = Session.from_query(session.to_query())
    assert again.weight_for(2) == session.weight_for(2)
    assert (again.checkpoint, again.picture, again.working_size) == ("photos-fine", "coffee", 384)


@pytest.mark.parametrize(
    "query",
    [
        {"blend": "nan"},
        {"blend": "2"},
        {"blend": "1.51"},
        {"blend": "-0.51"},
        {"blend": "-inf"},
        {"blend": ""},
        {"blend": "x"},
        {"size": "257"},
        {"size": "-1"},
        {"size": "1" * 5000},
        {"code": "9" * 5000},
        {},
    ],
)
def test_a_link_that_makes_no_sense_leaves_the_default(query):
    assert Session.from_query(query) == Session()


@pytest.mark.parametrize("text", ["0", "0.0", "-0"])
def test_a_link_to_a_blend_of_nothing_turns_the_embedding_off_and_leaves_the_slider(text):
    assert Session.from_query({"blend": text}) == Session(uses_embedding=False)


def test_an_upload_is_not_put_into_the_link():
    assert "picture" not in Session().with_picture("a" * 64).to_query()


def test_a_sound_request_is_parsed():
    request = Request.parse(MESSAGE)
    assert request == Request(3, "abc", True, False, 0.25, True, (4, 7), "side", "codes")
    assert Request.parse({**MESSAGE, "cell": None}).cell is None


@pytest.mark.parametrize(
    "fault",
    [
        {"sequence": -1},
        {"sequence": True},
        {"sequence": 1.5},
        {"sequence": 1 << 60},
        {"content": 3},
        {"content": "x" * 1000},
        {"settled": 1},
        {"complete": "yes"},
        {"blend": math.nan},
        {"blend": 1.01},
        {"blend": True},
        {"blend": "1"},
        {"uses_embedding": None},
        {"cell": [1]},
        {"cell": [1, 2, 3]},
        {"cell": [-1, 2]},
        {"cell": "12"},
        {"cell": [1, 2.5]},
        {"view": "upside down"},
        {"panel": ["codes"]},
    ],
)
def test_a_request_with_a_fault_is_no_request(fault):
    assert Request.parse(MESSAGE) is not None
    assert Request.parse({**MESSAGE, **fault}) is None


@pytest.mark.parametrize("message", [None, [], "x", 3, {}])
def test_what_is_not_a_request_is_no_request(message):
    assert Request.parse(message) is None


def test_the_newest_sketches_are_kept_and_no_more(monkeypatch):
    monkeypatch.setattr("streamlit.session_state", {})
    grids = [Sketch(Draft(np.array([[number]]), np.array([[0]], np.int16))) for number in range(MOST_DRAFTS + 2)]
    for number, sketch in enumerate(grids[:MOST_DRAFTS]):
        keep_sketch(str(number), sketch)
    assert list(sketches().values()) == grids[:MOST_DRAFTS]
    keep_sketch("0", grids[-2])  # touched again, it is the newest
    keep_sketch("new", grids[-1])
    assert list(sketches()) == [*map(str, range(2, MOST_DRAFTS)), "0", "new"]
    assert list(sketches().values()) == [*grids[2:MOST_DRAFTS], *grids[-2:]]


def test_a_packed_message_reads_back():
    arrays = {
        "one": np.arange(7, dtype=np.uint8),
        "two": np.arange(6, dtype=np.uint16).reshape(2, 3)[:, ::-1],
        "three": np.array([[1 << 20]], np.uint32),
    }
    data = pack({"sentence": "±0,5 “ü”"}, arrays)
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    assert length % 4 == 0
    assert header["sentence"] == "±0,5 “ü”"
    for entry in header["arrays"]:
        assert entry["offset"] % 4 == 0  # typed arrays in the browser need it
        count = math.prod(entry["shape"])
        found = np.frombuffer(data, entry["dtype"], count, 4 + length + entry["offset"]).reshape(entry["shape"])
        np.testing.assert_array_equal(found, arrays[entry["name"]])


def test_plain_text_has_no_markdown_left_in_it():
    assert plain("a_b*c* [x](y) `z` <b> $1$ :red[x]") == r"a\_b\*c\* \[x\]\(y\) \`z\` \<b\> \$1\$ \:red\[x\]"


def test_a_one_input_decoder_is_fed_the_embedding_only_when_asked():
    session = Session()
    assert (session.weight_for(2), session.weight_for(1)) == (1, 0)
    fed = session.with_blend(0.4, uses_embedding=True, inputs=1)
    assert (fed.weight_for(2), fed.weight_for(1)) == (0.4, 0.4)
    off = fed.with_blend(0.4, uses_embedding=False, inputs=2)
    assert (off.weight_for(2), off.weight_for(1)) == (0, 0.4)
