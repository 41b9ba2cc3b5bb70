"""The session, and the wire to the canvas: pure values, tested without a screen."""

import ast
import json
import math
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest

from explorer.base.wire import pack
from explorer.editing.edits import Painting
from explorer.editing.recipe import Recipe
from explorer.editing.starts import Start
from explorer.ui.components.canvas.message import Request
from explorer.ui.session import (
    MOST_SAVED_EDITS,
    MOST_UPLOADS,
    CodebookPage,
    ComparePage,
    EditPage,
    InputsPage,
    LearnPage,
    NamedSet,
    ReconstructPage,
    SavedEdit,
    Session,
    TrainingPage,
    Upload,
)
from explorer.ui.widgets import plain
from tests.browser import ROOT

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


PAGES = {
    "reconstruct": ReconstructPage,
    "codebook": CodebookPage,
    "edit": EditPage,
    "inputs": InputsPage,
    "compare": ComparePage,
    "training": TrainingPage,
    "learn": LearnPage,
}


def test_a_choice_on_a_page_is_changed_there_and_nowhere_else():
    old = Session().with_cell((1, 2)).on("inputs", view="pair")
    new = old.on("edit", rule="carry", brush=3)
    assert new.edit == EditPage(rule="carry", brush=3)
    assert old.edit == EditPage()
    assert new == Session(cell=(1, 2), inputs=InputsPage(view="pair"), edit=new.edit)
    assert new.on("edit", brush=None).edit == EditPage(rule="carry")
    assert new.on("learn", step="code").learn == LearnPage(step="code")


@pytest.mark.parametrize("page", ["gallery", "", "checkpoint", "cell", "on", "__class__"])
def test_there_is_nothing_to_change_on_a_page_that_there_is_not(page):
    with pytest.raises(TypeError, match="page"):
        Session().on(page, view="wall")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_does_not_have_cannot_be_changed_on_it(page):
    assert getattr(Session(), page) == PAGES[page]()
    with pytest.raises(TypeError):
        Session().on(page, blend=0.5)


def changes_on_pages() -> Iterator[tuple[str, str]]:
    """Every page and choice that the app's own code names in a call of `on`."""
    for path in [*(ROOT / "pages").glob("*.py"), *(ROOT / "explorer" / "ui").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "on":
                (page,) = node.args
                for change in node.keywords:
                    yield ast.literal_eval(page), str(change.arg)


def test_the_app_changes_only_what_there_is_and_leaves_no_choice_without_a_way_to_change_it():
    named = set(changes_on_pages())
    assert named == {(page, choice.name) for page, of_page in PAGES.items() for choice in fields(of_page)}


def test_a_session_is_all_values():
    session = Session().with_upload(Upload("mine.png", b"1")).with_named_set(NamedSet("/photos", "", "Photos"))
    session = session.with_saved_edit(SavedEdit("a grid", Painting(np.zeros((1, 1)), np.zeros((1, 1))))).with_tried(
        "sky"
    )
    assert hash(session) == hash(session.with_cell((1, 2)).with_cell(None))


def test_what_is_painted_with_is_the_checkpoints_and_the_rule_stays():
    session = Session().with_cell((1, 2)).on("edit", rule="keep", brush=5, overlay="cycle").on("codebook", code=7)
    other = session.with_checkpoint("photos-fine")  # of which codes 5 and 7 are other ones
    assert other.edit == EditPage(rule="keep", brush=None, overlay="cycle")
    assert other.codebook.code is None
    assert session.with_picture("coffee").edit.brush == 5
    assert session.with_picture("coffee").codebook.code == 7


def test_another_start_is_another_grid_without_the_selected_cell():
    session = Session().with_cell((1, 2))
    started = session.with_start(Start("one code", code=3))
    assert (started.edit.start, started.cell) == (Start("one code", code=3), None)
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
    waits = change(Session().on("learn", linked_cell=(1, 2)))
    assert ("cell" in waits.to_query()) == (waits.checkpoint != Session().checkpoint)  # the link's own may not be here


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
    "session",
    [
        Session(),
        Session(blend=0.25),
        Session(uses_embedding=False),
        Session(checkpoint="photos-fine", picture="coffee", working_size=384, codebook=CodebookPage(code=12)),
    ],
)
def test_a_session_that_its_address_says_all_of_comes_back_from_it(session):
    assert Session.from_query(session.to_query()) == session


def test_what_is_chosen_on_the_pages_but_for_the_code_is_not_in_the_address():
    session = Session().on("edit", brush=3).on("inputs", view="pair").on("codebook", view="map", code=5)
    assert session.to_query() == Session().to_query() | {"code": "5"}


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


def test_an_upload_is_named_in_the_address_which_only_the_browser_that_has_it_can_follow():
    session = Session().with_upload(Upload("mine.png", b"1"))
    again = Session.from_query(session.to_query())
    assert again.picture == session.picture and not again.uploads


def test_what_is_not_here_is_said_until_another_picture_is_chosen():
    session = Session().with_picture("gone").without_picture()
    assert (session.picture, session.missing) == (Session().picture, "gone")
    assert session.with_picture("coffee").missing == ""


def test_going_back_brings_what_the_address_says_and_leaves_the_rest():
    kept = Session().with_upload(Upload("mine.png", b"1")).on("edit", rule="keep").on("codebook", view="map")
    now = kept.with_checkpoint("photos-fine").with_cell((1, 2)).with_tried("sky").on("codebook", code=3, view="map")
    query = {"picture": "coffee", "code": "5", "blend": "0.25", "cell": "4,6", "step": "code", "size": "128"}
    there = now.following(query)
    assert there.to_query() == Session.from_query(query).to_query() | {"tried": "sky"}  # what was done stays done
    assert (there.uploads, there.edit.rule, there.codebook.view) == (kept.uploads, "keep", "map")
    assert now.following({}).to_query() == Session().to_query() | {"tried": "sky"}


@pytest.mark.parametrize(("linked", "cell"), [((4, 6), (4, 6)), ((5, 0), None), ((0, 7), None), (None, (1, 1))])
def test_a_linked_cell_is_selected_where_the_grid_has_it(linked, cell):
    session = Session(cell=(1, 1) if linked is None else None).on("learn", linked_cell=linked)
    arrived = session.with_linked_cell(rows=5, columns=7)
    assert (arrived.cell, arrived.learn.linked_cell) == (cell, None)


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


def test_the_newest_sketches_are_kept_and_no_more():
    draft = Painting(np.array([[0]]), np.array([[0]], np.int16))
    first = tuple(SavedEdit(str(number), draft) for number in range(MOST_SAVED_EDITS))
    session = Session()
    for sketch in first:
        session = session.with_saved_edit(sketch)
    assert session.edit.saved_edits == first
    again, new = SavedEdit("0", draft, document="more"), SavedEdit("new", draft)
    session = session.with_saved_edit(again).with_saved_edit(new)  # touched again, one is the newest
    assert session.edit.saved_edits == (*first[2:], again, new)
    assert session.edit.saved_edit_of("0") is again
    assert session.edit.saved_edit_of("1") is None


def test_the_newest_uploads_are_kept_and_the_last_one_is_shown():
    first = tuple(Upload(f"{number}.png", bytes([number])) for number in range(MOST_UPLOADS))
    session = Session(cell=(1, 2))
    for upload in first:
        session = session.with_upload(upload)
    assert session.uploads == first
    assert (session.picture, session.cell) == (first[-1].digest, None)
    renamed = Upload("again.png", first[1].data)  # the same picture, which stays where it stands
    session = session.with_upload(renamed)
    assert session.uploads == (first[0], renamed, *first[2:])
    assert session.picture == first[1].digest
    session = session.with_upload(Upload("new.png", b"new"))
    assert session.upload(first[0].digest) is None
    assert session.upload(first[1].digest) is renamed
    assert len(session.uploads) == MOST_UPLOADS


def test_a_set_that_is_added_is_chosen_and_stands_there_once():
    one, other = NamedSet("/one", "", "One"), NamedSet("/one", "inner", "Other")
    session = Session().with_named_set(one).with_named_set(other).with_named_set(one)
    assert session.codebook.named_sets == (one, other)
    assert session.codebook.image_set == one.place


def test_a_recipe_waits_for_its_grid_and_brings_its_rule():
    recipe = Recipe("photos", "", "", 256, 8, 8, Start(), (), "keep", 1.0, (), ())
    opened = Session().with_recipe(recipe)
    assert opened.edit == EditPage(rule="keep", recipe=recipe, recipes_opened=1)
    assert opened.on("edit", recipe=None).with_recipe(recipe).edit.recipes_opened == 2


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
