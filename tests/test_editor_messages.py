"""What the editor's browser side may send, each way it can be wrong, and the map of codes that it is sent."""

from __future__ import annotations

import base64
import math
from typing import Any, get_args

import numpy as np
import pytest

from explorer.base.untrusted import MOST_CELLS
from explorer.editing.animation import Form
from explorer.editing.answer import fitted
from explorer.editing.edits import UNPAINTED, Painting, Rule
from explorer.editing.requests import (
    LARGEST_PATCH,
    LONGEST_DOCUMENT,
    MOST_FRAMES,
    EditRequest,
    Mode,
    Overlay,
    PaletteChoice,
    PaletteKind,
)
from explorer.ui.components.canvas.message import Request
from tests.test_ui_values import MESSAGE as CANVAS_MESSAGE

CODES = 1000
HUGE = 10**400  # JSON has such numbers, and they are no float


def sent(*values: int, dtype: str = "<u2") -> str:
    """Numbers as the browser sends an array: base64 of little-endian words."""
    return base64.b64encode(np.array(values, dtype).tobytes()).decode()


def weights(*values: int) -> str:
    return sent(*values, dtype="<i2")


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def patch(side: int) -> str:
    """Pixels of a square piece of a picture, as the browser sends them."""
    return base64.b64encode(bytes(range(256)) * (3 * side * side // 256 + 1))[: 4 * side * side].decode()


FRAME = {"grid": sent(0, 1, 2), "weights": weights(UNPAINTED, -50, 150)}
ANIMATION = {"form": "gif", "frames": [FRAME, {"grid": sent(3, 4, 5), "weights": None}]}
PALETTE = {"kind": "map", "text": "blue", "place": [0, 0.5]}
MESSAGE: dict[str, Any] = {
    "sequence": 3,
    "content": "abc",
    "mode": "edit",
    "settled": True,
    "complete": False,
    "grid": sent(0, 7, CODES - 1),
    "weights": weights(-50, UNPAINTED, 150),
    "document": "{}",
    "loaded": 2,
    "blend": -0.25,
    "uses_embedding": True,
    "rule": "carry",
    "cell": [4, 7],
    "code": CODES - 1,
    "overlay": "margin",
    "palette": PALETTE,
    "animation": ANIMATION,
    "has": [5, 1, 5],
}


def parse(codes: int = CODES, **changes: object) -> EditRequest | None:
    return EditRequest.parse({**MESSAGE, **changes}, codes=codes)


def parsed(codes: int = CODES, **changes: object) -> EditRequest:
    request = parse(codes, **changes)
    assert request is not None
    return request


def assert_draft(draft: Painting | None, indices: list[int], painted: list[int]) -> None:
    assert draft is not None
    assert (draft.indices.dtype, draft.painted.dtype) == (np.int64, np.int16)
    np.testing.assert_array_equal(draft.indices, indices)
    np.testing.assert_array_equal(draft.painted, painted)


# --- what is sound ----------------------------------------------------------------------------------------------------


def test_a_sound_message_is_parsed_field_by_field() -> None:
    request = parsed()
    assert (request.sequence, request.content, request.loaded) == (3, "abc", 2)
    assert (request.settled, request.complete, request.uses_embedding) == (True, False, True)
    assert (request.blend, request.rule, request.cell, request.code) == (-0.25, "carry", (4, 7), CODES - 1)
    assert (request.document, request.overlay) == ("{}", "margin")
    assert request.palette == PaletteChoice("map", "blue", (0.0, 0.5))
    assert request.has == {1, 5}
    assert_draft(request.painting, [0, 7, CODES - 1], [-50, UNPAINTED, 150])
    assert request.animation is not None and request.animation.form == "gif"
    first, second = request.animation.frames
    assert_draft(first, [0, 1, 2], [UNPAINTED, -50, 150])
    assert_draft(second, [3, 4, 5], [UNPAINTED] * 3)


def test_what_may_be_left_open_may_be_none() -> None:
    request = parsed(
        grid=None, weights=None, document=None, cell=None, animation=None, palette={**PALETTE, "place": None}
    )
    assert (request.painting, request.document, request.cell, request.animation) == (None, None, None, None)
    assert request.palette.place is None


def test_a_grid_of_which_no_cell_is_painted_comes_without_weights() -> None:
    assert_draft(parsed(weights=None).painting, [0, 7, CODES - 1], [UNPAINTED] * 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("rule", rule) for rule in get_args(Rule)),
        *(("mode", mode) for mode in get_args(Mode)),
        *(("palette", {**PALETTE, "patch": patch(side)}) for side in (1, 7, LARGEST_PATCH)),
        *(("overlay", overlay) for overlay in get_args(Overlay)),
        *(("palette", {**PALETTE, "kind": kind}) for kind in get_args(PaletteKind)),
        *(("animation", {**ANIMATION, "form": form}) for form in get_args(Form)),
        *(("blend", blend) for blend in (-0.5, 0, 1, 1.5)),
        *(("palette", {**PALETTE, "place": place}) for place in ([0, 1], [1.0, 0.0])),
        ("sequence", 0),
        ("sequence", (1 << 53) - 1),
        ("code", 0),
        ("cell", [0, 65535]),
        ("has", []),
        ("has", list(range(16))),
        ("content", ""),
        ("document", "x" * LONGEST_DOCUMENT),
        ("animation", {"form": "gif", "frames": [FRAME] * MOST_FRAMES}),
    ],
)
def test_what_lies_at_a_bound_is_sound(field: str, value: object) -> None:
    assert parse(**{field: value}) is not None


@pytest.mark.parametrize(("codes", "dtype"), [(1, "<u2"), (1 << 16, "<u2"), ((1 << 16) + 1, "<u4"), (1 << 18, "<u4")])
def test_a_code_takes_four_bytes_where_two_are_not_enough(codes: int, dtype: str) -> None:
    grid = sent(codes - 1, 0, dtype=dtype)
    request = parsed(codes, grid=grid, weights=weights(7, 8), code=0, animation=None)
    assert_draft(request.painting, [codes - 1, 0], [7, 8])


def test_the_largest_grid_of_the_widest_codes_is_sound() -> None:
    grid = base64.b64encode(bytes(4 * MOST_CELLS)).decode()
    request = parsed(1 << 18, grid=grid, weights=None, animation=None)
    assert request.painting is not None and request.painting.indices.shape == (MOST_CELLS,)
    assert parse(1 << 18, grid="A" * (6 * MOST_CELLS + 16), weights=None, animation=None) is None


# --- what is not ------------------------------------------------------------------------------------------------------

NO_WHOLE_NUMBER = [-1, True, 1.0, 1.5, math.nan, math.inf, "1", None, [1], {}, 1 << 53, HUGE]
NO_NUMBER = [True, math.nan, math.inf, -math.inf, "1", None, [0.5], {}, HUGE, -HUGE]
NO_FLAG = [0, 1, "true", None, []]
NO_TEXT = [3, None, ["a"], {}, b"abc"]
NO_NAME = ["", "upside down", None, 0, True, ["follow"], {}, nested(50_000)]
NO_ARRAY = [
    3,
    True,
    [0, 7, 9],
    {},
    "*" * 8,
    sent(0, 7, 9)[:-1],  # cut within a group of four characters
    f" {sent(0, 7, 9)}",
    "ÿÿÿÿ",
    base64.b64encode(b"odd").decode(),  # bytes, of words of two
    "A" * (6 * MOST_CELLS + 4),
    nested(50_000),
]
FAULTS: dict[str, list[Any]] = {
    "sequence": NO_WHOLE_NUMBER,
    "content": [*NO_TEXT, "x" * 201],
    "mode": NO_NAME,
    "settled": NO_FLAG,
    "complete": NO_FLAG,
    "grid": [*NO_ARRAY, "", sent(0, 7), sent(0, 7, 9, 9), sent(0, 7, CODES), sent(0, 7, 65535)],
    "weights": [
        *NO_ARRAY,
        "",
        weights(1, 2),
        weights(1, 2, 3, 4),
        *(weights(0, percent, 0) for percent in (-51, 151, 32767, -32767)),
    ],
    "document": [3, ["{}"], {}, True, "x" * (LONGEST_DOCUMENT + 1)],
    "loaded": NO_WHOLE_NUMBER,
    "blend": [*NO_NUMBER, -0.51, 1.51],
    "uses_embedding": NO_FLAG,
    "rule": NO_NAME,
    "cell": [
        [],
        [1],
        [1, 2, 3],
        [[1], 2],
        "12",
        {"1": 2, "3": 4},
        7,
        *([1, part] for part in (-1, True, 2.0, None, "2", 1 << 16, HUGE)),
        nested(50_000),
    ],
    "code": [*NO_WHOLE_NUMBER, CODES],
    "overlay": NO_NAME,
    "palette": [
        None,
        [],
        "map",
        {},
        *({**PALETTE, "kind": kind} for kind in NO_NAME),
        *({**PALETTE, "text": text} for text in [*NO_TEXT, "x" * 201]),
        *({**PALETTE, "place": place} for place in (3, [], [0.5], [0.5] * 3, "ab", {"a": 1, "b": 2}, nested(50_000))),
        *({**PALETTE, "place": [0.5, part]} for part in [*NO_NUMBER, -0.01, 1.01]),
        *({**PALETTE, "place": [part, 0.5]} for part in [*NO_NUMBER, -0.01, 1.01]),
        *({name: PALETTE[name] for name in PALETTE if name != missing} for missing in PALETTE),
        *({**PALETTE, "patch": value} for value in ("", "AAAA" * 2, "*", 3, [1], patch(LARGEST_PATCH + 1))),
    ],
    "animation": [
        [],
        "gif",
        {},
        {"form": "gif"},
        {"frames": [FRAME]},
        *({**ANIMATION, "form": form} for form in NO_NAME),
        *({**ANIMATION, "frames": frames} for frames in (None, {}, "ab", [], [FRAME] * (MOST_FRAMES + 1))),
        *({**ANIMATION, "frames": [FRAME, frame]} for frame in (None, 3, "ab", [], {}, {"grid": sent(0)})),
        *({**ANIMATION, "frames": [{**FRAME, "grid": grid}]} for grid in (None, *NO_ARRAY, sent(0, 1, CODES))),
        *({**ANIMATION, "frames": [{**FRAME, "weights": weight}]} for weight in (*NO_ARRAY, weights(0, 151, 0))),
        nested(50_000),
    ],
    "has": [None, 3, {}, "12", (1, 2), [*range(17)], [0] * 100_000, *([1, number] for number in NO_WHOLE_NUMBER)],
}


def described(value: object) -> str:
    """A fault's name in the list of tests, however large it is."""
    try:
        return repr(value)[:30]
    except RecursionError:
        return "nested deep"
    except ValueError:
        return "huge"


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in FAULTS for value in FAULTS[field]], ids=described
)
def test_a_message_with_a_fault_is_no_request(field: str, value: object) -> None:
    assert parse() is not None
    assert parse(**{field: value}) is None


@pytest.mark.parametrize("field", MESSAGE)
def test_a_message_that_lacks_a_field_is_no_request(field: str) -> None:
    assert EditRequest.parse({name: MESSAGE[name] for name in MESSAGE if name != field}, codes=CODES) is None


def test_every_field_has_its_faults() -> None:
    assert FAULTS.keys() == MESSAGE.keys()


@pytest.mark.parametrize("message", [None, [], "x", 3, True, [MESSAGE], {}], ids=described)
def test_what_is_not_a_message_is_no_request(message: object) -> None:
    assert EditRequest.parse(message, codes=CODES) is None


def test_four_bytes_a_code_are_half_as_many_codes_of_a_large_codebook() -> None:
    grid, blends = sent(1, 0, 2, 0), weights(5, 6)
    assert_draft(parsed((1 << 16) + 1, grid=grid, weights=blends, animation=None).painting, [1, 2], [5, 6])
    assert parse(1 << 16, grid=grid, weights=blends, animation=None) is None


@pytest.mark.parametrize("number", [HUGE, -HUGE])
def test_a_canvas_that_sends_a_number_too_large_for_a_float_is_not_heard(number: int) -> None:
    assert Request.parse({**CANVAS_MESSAGE, "blend": number}) is None


# --- the map of codes -------------------------------------------------------------------------------------------------

NEAR, FAR = round(0.04 * 65535), round(0.96 * 65535)  # the margins


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [-3.0, 0.0, 1000.0])
def test_points_are_fitted_to_their_own_range_with_a_margin(scale: float, offset: float) -> None:
    points = np.array([[0, 1], [1, 0], [0.25, 0.5], [0.5, 0.75]])
    found = fitted(scale * (points + offset) * [1, 7])
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found, NEAR + points * (FAR - NEAR), rtol=0, atol=1)


def test_points_that_are_all_at_one_coordinate_come_to_its_middle() -> None:
    found = fitted(np.array([[3, 5], [3, 9], [3, 7]], np.float32))
    np.testing.assert_array_equal(found, [[32768, NEAR], [32768, FAR], [32768, 32768]])
    np.testing.assert_array_equal(fitted(np.array([[-2.5, 0]], np.float32)), [[32768, 32768]])
