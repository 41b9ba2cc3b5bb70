"""The session, and the wire to the canvas: pure values, tested without a screen."""

import json
import math

import numpy as np
import pytest

from explorer.ui.canvas.message import Request
from explorer.ui.store import Session
from explorer.ui.widgets import plain
from explorer.ui.wire import pack

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


def test_the_blend_stays_within_its_bounds():
    assert Session().with_blend(7, uses_embedding=True).blend == 1
    assert Session().with_blend(-7, uses_embedding=True).blend == 0


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


@pytest.mark.parametrize("blend, uses_embedding", [(1.0, True), (0.25, True), (0.5, False)])
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
