"""Recipes: an edit goes out as JSON and comes back to the same pixels; what is no recipe is refused in a sentence."""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.editing.bundle import pack
from explorer.editing.edits import RULES, Edit, LiveDecoder, Rule, inputs_of, unedited
from explorer.editing.recipe import (
    MOST_BYTES,
    MOST_LISTED,
    CellBlend,
    CellCode,
    Recipe,
    as_python,
    base_of,
    check_checkpoint,
    edit_of,
    find_checkpoint,
    parse,
    render,
)
from explorer.editing.starts import MASKS, Start, begin
from explorer.images.pictures import Picture, open_picture
from tests.toys import StandIn, assert_one_sentence, toy_model, toy_pixels
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_png
from vqvae.model import VQVAE
from vqvae.snapshots import keep
from vqvae.tokenizer import Encoding, Sizes

HASH = "0123456789abcdef" * 4
WORKING_SIZE = 128
STARTS = (
    Start(),
    Start("one code", code=5),
    *(Start("mix", mask=mask, other="coffee", seed=2) for mask in MASKS),
    Start("random", seed=4),
)


def toy_picture(height: int, width: int, *, seed: int = 0) -> Picture:
    return open_picture(to_png(toy_pixels(height, width, seed=seed)), "toy.png", working_size=WORKING_SIZE)


@dataclass(frozen=True, eq=False)
class Session:
    """What a person has in front of them."""

    model: VQVAE
    picture: Picture
    second: Picture
    start: Start
    base: Encoding

    @classmethod
    def new(
        cls, start: Start = STARTS[0], *, height: int = 30, width: int = 45, model: VQVAE | None = None, seed: int = 0
    ) -> "Session":
        model = model or toy_model(blocks=(1, 0))
        picture, second = toy_picture(height, width, seed=seed), toy_picture(23, 58, seed=seed + 1)
        base = begin(
            model,
            start,
            model.encode(picture.image),
            other=model.encode(second.image) if start.kind == "mix" else None,
            counts=np.arange(8) if start.kind == "random" else None,
        )
        return cls(model, picture, second, start, base)

    def recipe(self, edit: Edit, *, level: float) -> Recipe:
        return Recipe.of(
            checkpoint="toy",
            checkpoint_hash=HASH,
            picture=self.picture,
            working_size=WORKING_SIZE,
            start=self.start,
            other=self.second if self.start.kind == "mix" else None,
            base=self.base,
            edit=edit,
            level=level,
        )

    def decoded(self, edit: Edit) -> np.ndarray:
        """The whole of it, without any shortcut."""
        height, width = self.picture.pixels.shape[:2]
        fed = inputs_of(self.model, self.base, edit)
        return to_pixels(self.model.decode(fed.quantized, fed.embedding))[0, :height, :width]


def random_edit(base: Encoding, *, rule: Rule, level: float, seed: int) -> Edit:
    """Some cells changed, some painted, here and there both."""
    random = np.random.default_rng(seed)
    edit = unedited(base, weight=level, rule=rule)
    changed, painted = random.random((2, *edit.indices.shape)) < 0.2
    indices = np.where(changed, random.integers(0, 8, edit.indices.shape), edit.indices)
    weights = random.uniform(-0.5, 1.5, edit.weight.shape).astype(np.float32)
    return Edit(indices, np.where(painted, weights, edit.weight), rule)


# --- there and back


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.key)
@pytest.mark.parametrize("inputs", ["both", "quantized"])
def test_a_recipe_gives_the_pixels_that_were_on_the_screen(inputs: str, start: Start, rule: Rule) -> None:
    """The app decodes one edit after another, each a part of the last picture; the recipe has only the last edit."""
    model = toy_model(blocks=(1, 0), decoder_inputs=inputs)
    for seed, (height, width) in enumerate([(30, 45), (17, 128), (41, 40), (3, 2)]):
        session = Session.new(start, height=height, width=width, model=model, seed=seed)
        live = LiveDecoder(model, session.base)
        level = (0.35, 0.0, 1.0, -0.1)[seed]
        for step in range(3):
            edit = random_edit(session.base, rule=rule, level=level, seed=10 * seed + step)
            shown = to_pixels(live.decode(edit))[0, :height, :width]
        recipe = parse(session.recipe(edit, level=level).to_json())
        drawn = render(model, recipe, [session.second, session.picture])
        assert np.array_equal(drawn, shown)
        assert np.array_equal(drawn, session.decoded(edit))
        assert drawn.shape == session.picture.pixels.shape


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.key)
def test_an_edit_comes_back_as_it_was(start: Start) -> None:
    session = Session.new(start)
    for seed, rule in enumerate(RULES):
        edit = random_edit(session.base, rule=rule, level=0.35, seed=seed)
        recipe = session.recipe(edit, level=0.35)
        assert parse(recipe.to_json()) == recipe
        assert parse(recipe.to_json().encode()) == recipe
        base = base_of(session.model, recipe, [session.picture, session.second])
        again = edit_of(recipe, base, codes=8)
        assert base.grid.equal(session.base.grid)
        assert base.embedding.equal(session.base.embedding)
        assert np.array_equal(again.indices, edit.indices)
        assert np.array_equal(again.weight, edit.weight)
        assert again.rule == rule
        assert (again.indices.dtype, again.weight.dtype) == (edit.indices.dtype, edit.weight.dtype)


def test_a_recipe_says_what_was_changed_and_nothing_else() -> None:
    session = Session.new(height=12, width=20)
    edit = unedited(session.base, weight=0.35, rule="carry")
    assert session.recipe(edit, level=0.35).cells == ()
    assert session.recipe(edit, level=0.35).blends == ()
    indices, weight = edit.indices.copy(), edit.weight.copy()
    indices[2, 4] = (indices[2, 4] + 1) % 8
    weight[1, 3] = 0.7
    recipe = session.recipe(Edit(indices, weight, "carry"), level=0.35)
    assert recipe == Recipe(
        checkpoint="toy",
        checkpoint_hash=HASH,
        image=session.picture.key,
        working_size=128,
        width=20,
        height=12,
        start=Start(),
        grid=(),
        rule="carry",
        level=0.35,
        cells=(CellCode(2, 4, int(indices[2, 4])),),
        blends=(CellBlend(1, 3, 0.7),),
    )
    written = json.loads(recipe.to_json())
    assert (written["format"], written["version"]) == ("vqvae-explorer recipe", 1)
    assert written["cells"] == [[2, 4, indices[2, 4]]]
    assert written["blends"] == [[1, 3, 0.7]]
    assert written["start"] == {"kind": "picture"}
    assert not np.shares_memory(edit_of(recipe, session.base, codes=8).indices, session.base.grid.numpy())
    assert session.base.grid[0].numpy()[2, 4] != indices[2, 4]  # the base was not written to


def test_a_mix_names_the_second_picture_by_its_pixels() -> None:
    session = Session.new(STARTS[2])
    recipe = session.recipe(unedited(session.base), level=0.0)
    assert recipe.start == replace(STARTS[2], other=session.second.key)
    alone = Session.new()
    recipe = Recipe.of(
        checkpoint="toy",
        checkpoint_hash=HASH,
        picture=alone.picture,
        working_size=WORKING_SIZE,
        start=Start(other="coffee", seed=7),
        other=alone.second,
        base=alone.base,
        edit=unedited(alone.base),
        level=0.0,
    )
    assert recipe.start.other == ""
    assert parse(recipe.to_json()) == recipe


def test_the_largest_grid_that_the_app_has_fits_well_into_a_recipe() -> None:
    rows = range(256)
    recipe = replace(
        Session.new().recipe(unedited(Session.new().base), level=0.0),
        width=512,
        height=512,
        working_size=512,
        start=Start("random", seed=(1 << 32) - 1),
        grid=tuple((1023,) * 256 for _ in rows),
        cells=tuple(CellCode(row, column, 1023) for row in rows for column in rows),
        blends=tuple(CellBlend(row, column, 0.12345678) for row in rows for column in rows),
    )
    text = recipe.to_json()
    assert len(text) < MOST_BYTES / 2
    assert parse(text) == recipe


# --- what does not fit


def test_another_checkpoint_or_picture_is_refused_by_name() -> None:
    session = Session.new()
    recipe = session.recipe(unedited(session.base), level=0.0)
    check_checkpoint(recipe, HASH)
    base_of(session.model, recipe, [session.picture])
    with pytest.raises(BadInput) as refusal:
        check_checkpoint(recipe, HASH[::-1])
    assert "'toy'" in assert_one_sentence(refusal)
    assert HASH[:12] in str(refusal.value)
    with pytest.raises(BadInput) as refusal:
        base_of(session.model, recipe, [session.second])
    assert "45 × 30 px" in assert_one_sentence(refusal)
    assert session.picture.key[:12] in str(refusal.value)
    with pytest.raises(BadInput, match="another picture"):
        render(session.model, recipe, [session.second])
    with pytest.raises(BadInput, match="another picture"):
        render(session.model, recipe, [toy_picture(30, 45, seed=9)])
    with pytest.raises(BadInput, match="another picture, of 44 × 30 px"):  # its size was tampered with
        render(session.model, replace(recipe, width=44), [session.picture])


def test_a_mix_needs_both_pictures() -> None:
    session = Session.new(STARTS[2])
    recipe = session.recipe(unedited(session.base), level=0.0)
    with pytest.raises(BadInput) as refusal:
        render(session.model, recipe, [session.picture])
    assert session.second.key[:12] in assert_one_sentence(refusal)
    with pytest.raises(BadInput, match="another picture"):
        render(session.model, recipe, [session.second])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"cells": (CellCode(8, 0, 1),)}, "row 8, column 0"),
        ({"cells": (CellCode(0, 0, 1), CellCode(0, 12, 1))}, "row 0, column 12"),
        ({"blends": (CellBlend(29, 44, 0.5),)}, "row 29, column 44"),
        ({"cells": (CellCode(0, 0, 7), CellCode(0, 1, 8))}, "the code 8,"),
        ({"cells": (CellCode(0, 0, (1 << 31) - 1),)}, "2,147,483,647"),
        ({"start": Start("one code", code=8)}, "0 to 7"),
        ({"start": Start("random"), "grid": ((1,) * 12,) * 7}, "7 × 12"),
        ({"start": Start("random"), "grid": ((1,) * 11,) * 8}, "8 × 11"),
        ({"start": Start("random"), "grid": ((1,) * 11 + (8,),) * 8}, "the code 8,"),
    ],
)
def test_what_the_grid_or_the_codebook_does_not_have_is_refused(change: dict[str, Any], word: str) -> None:
    session = Session.new()  # 8 × 12 cells
    recipe = replace(session.recipe(unedited(session.base), level=0.0), **change)
    recipe = parse(recipe.to_json())
    with pytest.raises(BadInput) as refusal:
        render(session.model, recipe, [session.picture])
    assert word in assert_one_sentence(refusal)


@pytest.mark.parametrize("cell", [(8, 0), (29, 44), (0, 12), (16383, 16383)])
def test_a_cell_that_is_not_there_is_refused_with_the_limits_of_the_grid(cell: tuple[int, int]) -> None:
    session = Session.new()  # 8 × 12 cells, of 30 × 45 pixels
    recipe = session.recipe(unedited(session.base), level=0.0)
    for change in ({"cells": (CellCode(*cell, 1),)}, {"blends": (CellBlend(*cell, 0.5),)}):
        made = parse(replace(recipe, **change).to_json())
        with pytest.raises(BadInput) as refusal:
            render(session.model, made, [session.picture])
        said = assert_one_sentence(refusal)
        assert f"the cell in row {cell[0]:,}, column {cell[1]:,}" in said
        assert "the grid has 8 rows, 0 to 7, and 12 columns, 0 to 11;" in said


def test_its_checkpoint_is_found_by_name_or_under_another(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        checkpoint.save(tmp_path / name, toy_model(seed), {})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    session = Session.new()
    recipe = session.recipe(unedited(session.base), level=0.0)
    first, second = (replace(recipe, checkpoint_hash=checkpoint.content_hash(tmp_path / name)) for name in "ac")
    assert find_checkpoint(replace(first, checkpoint="a"), [tmp_path]) == tmp_path / "a"
    assert find_checkpoint(replace(first, checkpoint="b"), [tmp_path]) == tmp_path / "b"
    assert find_checkpoint(replace(first, checkpoint="c"), [tmp_path]) == tmp_path / "a"
    assert find_checkpoint(replace(second, checkpoint="broken"), [tmp_path]) == tmp_path / "c"
    snapshot = keep(tmp_path / "a", 20, toy_model(seed=7), {})
    of_run = replace(recipe, checkpoint_hash=checkpoint.content_hash(snapshot), checkpoint="a@20")
    assert find_checkpoint(of_run, [tmp_path]) == snapshot
    assert find_checkpoint(replace(first, checkpoint="a@20"), [tmp_path]) == tmp_path / "a"
    checkpoint.save(tmp_path / "more" / "a", toy_model(seed=2), {})
    own = keep(tmp_path / "more" / "mine", 20, toy_model(seed=3), {})
    both = [tmp_path, tmp_path / "more"]
    for name, folder in (("a", tmp_path / "more" / "a"), ("mine@20", own), ("a", tmp_path / "a")):
        made = replace(recipe, checkpoint_hash=checkpoint.content_hash(folder), checkpoint=name)
        assert find_checkpoint(made, both) == folder
    for roots in ([tmp_path], [tmp_path / "nowhere"], both):
        with pytest.raises(BadInput) as refusal:
            find_checkpoint(replace(recipe, checkpoint="a"), roots)
        assert "'a'" in assert_one_sentence(refusal)
        assert f"not in {' or '.join(map(str, roots))};" in str(refusal.value)


# --- what is no recipe


def written(**changes: Any) -> dict[str, Any]:
    """The content of a sound recipe file, with some fields put in the place of its own."""
    session = Session.new(STARTS[2])
    edit = random_edit(session.base, rule="follow", level=0.5, seed=0)
    return json.loads(session.recipe(edit, level=0.5).to_json()) | changes


def test_a_sound_recipe_is_read() -> None:
    assert parse(json.dumps(written())).start.mask == "left half"
    assert parse(json.dumps(written(level=0))).level == 0.0
    for level in (-0.5, 1.5):
        assert parse(json.dumps(written(level=level))).level == level


@pytest.mark.parametrize("name", list(written()))
def test_a_missing_field_is_named(name: str) -> None:
    fields = written()
    del fields[name]
    with pytest.raises(BadInput) as refusal:
        parse(json.dumps(fields))
    assert (name if name != "format" else "not a recipe") in assert_one_sentence(refusal)


ANYTHING = [
    None,
    True,
    10**4000,
    -1,
    0.5,
    "text",
    "",
    [],
    [[]],
    [1],
    {},
    {"a": 1},
    [[0, 0]],
    [[0, 0, 0, 0]],
    [[0, 0, None]],
]
SOUND = {
    "width": [],
    "level": [0.5],
    "blends": [[]],
    "cells": [[]],
    "grid": [[]],
    "checkpoint": ["text"],
}


@pytest.mark.parametrize("name", list(written()))
def test_a_field_of_the_wrong_type_is_refused_by_name(name: str) -> None:
    for value in ANYTHING:
        if any(type(value) is type(sound) and value == sound for sound in SOUND.get(name, [])):
            continue
        with pytest.raises(BadInput) as refusal:
            parse(json.dumps(written(**{name: value})))
        named = {"format": "not a recipe", "start": "'kind'" if isinstance(value, dict) else "'start'"}.get(name, name)
        assert named in assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"extra": 1}, "'extra'"),
        ({"format": "another"}, "not a recipe"),
        ({"version": 2}, "version 2"),
        ({"version": True}, "version True"),
        ({"width": 129}, "working_size"),
        ({"height": 129}, "working_size"),
        ({"width": 16385, "working_size": 16385}, "width"),
        ({"height": 0}, "height"),
        ({"working_size": 1 << 40}, "working_size"),
        ({"checkpoint": "../toy"}, "checkpoint"),
        ({"checkpoint": ".."}, "checkpoint"),
        ({"checkpoint": "a\\b"}, "checkpoint"),
        ({"checkpoint": "toy\n"}, "checkpoint"),
        ({"checkpoint": "\ud800"}, "checkpoint"),
        ({"checkpoint": "x" * 201}, "checkpoint"),
        ({"image": HASH.upper()}, "image"),
        ({"image": HASH + "\n"}, "image"),
        ({"checkpoint_hash": HASH[1:]}, "checkpoint_hash"),
        ({"rule": "Follow"}, "follow, carry, keep"),
        ({"level": -0.51}, "level"),
        ({"level": 1.51}, "level"),
        ({"level": 10**400}, "level"),
        ({"cells": [[16384, 0, 0]]}, "no picture is so large"),
        ({"cells": [[0, 10**30, 0]]}, "no picture is so large"),
        ({"blends": [[0, 16384, 0.5]]}, "no picture is so large"),
        ({"cells": [[-1, 0, 0]]}, "cells"),
        ({"cells": [[0, -1, 0]]}, "cells"),
        ({"cells": [[0, 0, -1]]}, "cells"),
        ({"cells": [[0, 0, 1 << 31]]}, "cells"),
        ({"cells": [[0, 0, 1.0]]}, "cells"),
        ({"cells": [[0, True, 1]]}, "cells"),
        ({"cells": [[0, 1, 2], [1, 1, 2], [0, 1, 2]]}, "twice"),
        ({"blends": [[0, 1, 0.5], [0, 1, 0.7]]}, "twice"),
        ({"blends": [[0, 0, 1.6]]}, "blends"),
        ({"blends": [[0, 0, True]]}, "blends"),
        ({"blends": [[0.0, 0, 1]]}, "blends"),
        ({"start": {"kind": "none"}}, "picture, one code, mix, random"),
        ({"start": {"kind": ["mix"]}}, "kind"),
        ({"start": {}}, "kind"),
        ({"start": {"kind": "picture", "code": 1}}, "'code'"),
        ({"start": {"kind": "one code"}}, "'code'"),
        ({"start": {"kind": "one code", "code": -1}}, "'code'"),
        ({"start": {"kind": "mix", "mask": "left half", "other": "coffee", "seed": 0}}, "'other'"),
        ({"start": {"kind": "mix", "mask": "left", "other": HASH, "seed": 0}}, "'mask'"),
        ({"start": {"kind": "mix", "mask": [], "other": HASH, "seed": 0}}, "'mask'"),
        ({"start": {"kind": "random", "seed": -1}, "grid": [[0]]}, "'seed'"),
        ({"start": {"kind": "random", "seed": 1 << 32}, "grid": [[0]]}, "'seed'"),
        ({"start": {"kind": "random", "seed": 0}}, "grid"),
        ({"start": {"kind": "picture"}, "grid": [[0]]}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[0], [0, 0]]}, "equal length"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[0]] * 31}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[0] * 46]}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[]]}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [0]}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[-1]]}, "grid"),
        ({"start": {"kind": "random", "seed": 0}, "grid": [[0.0]]}, "grid"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse(json.dumps(written(**changes)))
    assert word in assert_one_sentence(refusal)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-3],
        lambda text: b"\xff\xfe\x00",
        lambda text: b"\x89PNG\r\n\x1a\n",
        lambda text: "null",
        lambda text: "[" * 200_000,
        lambda text: '{"cells": ' * 100_000,
        lambda text: text.replace('"level": 0.5', '"level": NaN'),
        lambda text: text.replace('"level": 0.5', '"level": Infinity'),
        lambda text: text.replace('"level": 0.5', '"level": 1e999'),
        lambda text: text.replace('"level": 0.5', '"level": ' + "9" * 5000),
        lambda text: text.replace('"level": 0.5', '"level": 0.5, "level": 0.6'),
        lambda text: text.encode().replace(b'"toy"', b'"\xff"'),
        lambda text: text + " " * MOST_BYTES,
        lambda text: text.encode() + b" " * MOST_BYTES,
    ],
)
def test_what_is_no_json_is_refused(spoil: Callable[[str], bytes | str]) -> None:
    text = json.dumps(written())
    assert spoil(text) != text
    with pytest.raises(BadInput) as refusal:
        parse(spoil(text))
    assert_one_sentence(refusal)


# --- as Python


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside a folder with the checkpoint “to'y”."""
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    checkpoint.save(tmp_path / "checkpoints" / "to'y", toy_model(blocks=(1, 0)), {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.key)
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("bundled", [False, True])
def test_the_python_of_a_recipe_computes_the_same_pixels(start: Start, many: bool, bundled: bool, where: Path) -> None:
    height, width = (67, 126) if many else (30, 45)
    session = Session.new(start, height=height, width=width)
    edit = random_edit(session.base, rule="carry", level=0.35, seed=0)
    recipe = replace(
        session.recipe(edit, level=0.35),
        checkpoint="to'y",
        checkpoint_hash=checkpoint.content_hash(where / "checkpoints" / "to'y"),
    )
    assert (len(recipe.cells) + len(recipe.blends) > MOST_LISTED) == many
    files = {"a 'picture'.png": to_png(session.picture.pixels), "second.png": to_png(session.second.pixels)}
    listed = not many and start.kind != "random"
    if bundled:
        Path("all of 'it'.zip").write_bytes(pack(recipe, dict(list(files.items())[: 2 if start.kind == "mix" else 1])))
    else:
        for name, data in files.items():
            Path(name).write_bytes(data)
    if not listed and not bundled:
        Path("its recipe.json").write_text(recipe.to_json())
    program = as_python(
        recipe,
        image="a 'picture'.png",
        file="its recipe.json",
        out="drawn.png",
        bundle="all of 'it'.zip" if bundled else None,
    )
    values: dict[str, Any] = {}
    exec(compile(program, "the program", "exec"), values)
    assert np.array_equal(values["pixels"], session.decoded(edit))
    assert Path("drawn.png").read_bytes() == to_png(session.decoded(edit))
    assert ("for row, column, code in" in program) == listed
    assert ("second.png" in program) == (start.kind == "mix" and not bundled)
    imported = {
        name.asname or name.name
        for statement in ast.walk(ast.parse(program))
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }
    used = {node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)}
    assert imported <= used
    assert max(map(len, program.splitlines())) < 130


def test_the_python_of_an_untouched_picture_is_short(where: Path) -> None:
    session = Session.new()
    program = as_python(session.recipe(unedited(session.base, weight=0.5), level=0.5))
    assert "for " not in program
    assert "unedited(base, weight=0.5)" in program
    assert "'toy'" in program
    with pytest.raises(BadInput, match="There is no checkpoint 'toy'"):
        exec(compile(program, "the program", "exec"), {})


def test_the_python_finds_a_snapshot_and_what_lies_where_the_app_is_started(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session.new()
    run = where / "checkpoints" / "to'y"
    other = toy_model(seed=7, blocks=(1, 0))
    snapshot = keep(run, 20, other, {})
    monkeypatch.delenv("VQVAE_EXPLORER_CHECKPOINTS")  # the project's own go before
    Path("image.png").write_bytes(to_png(session.picture.pixels))
    for name, folder, model in (("to'y", run, session.model), ("to'y@20", snapshot, other)):
        made = Session.new(model=model)
        recipe = made.recipe(unedited(made.base), level=0.0)
        recipe = replace(recipe, checkpoint=name, checkpoint_hash=checkpoint.content_hash(folder))
        values: dict[str, Any] = {}
        exec(compile(as_python(recipe), "the program", "exec"), values)
        assert np.array_equal(values["pixels"], made.decoded(unedited(made.base)))


def test_the_python_of_a_bundle_refuses_another_one(where: Path) -> None:
    session = Session.new()
    own_hash = checkpoint.content_hash(where / "checkpoints" / "to'y")
    recipe = replace(session.recipe(unedited(session.base), level=0.0), checkpoint="to'y", checkpoint_hash=own_hash)
    program = as_python(recipe, bundle="it.zip")
    other = replace(recipe, image=session.second.key)
    Path("it.zip").write_bytes(pack(other, {"second.png": to_png(session.second.pixels)}))
    with pytest.raises(AssertionError):
        exec(compile(program, "the program", "exec"), {})
    Path("it.zip").write_bytes(pack(recipe, {"picture.png": to_png(session.picture.pixels)}))
    exec(compile(program, "the program", "exec"), {})


def test_the_python_opens_the_picture_as_a_tokenizer_of_a_single_size_wants_it(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session.new()
    data = to_png(toy_pixels(70, 90))
    picture = open_picture(data, "toy.png", working_size=WORKING_SIZE, only=(30, 45))
    base = session.model.encode(picture.image)
    session = replace(session, picture=picture, base=base)
    own_hash = checkpoint.content_hash(where / "checkpoints" / "to'y")
    recipe = replace(session.recipe(unedited(base), level=0.0), checkpoint="to'y", checkpoint_hash=own_hash)
    single = StandIn(session.model, sizes=Sizes(4, (30, 45)))
    monkeypatch.setattr(checkpoint, "load", lambda folder: single)
    Path("image.png").write_bytes(data)
    Path("it.zip").write_bytes(pack(recipe, {"image.png": data}))
    for bundle in (None, "it.zip"):
        values: dict[str, Any] = {}
        exec(compile(as_python(recipe, bundle=bundle), "the program", "exec"), values)
        assert np.array_equal(values["pixels"], session.decoded(unedited(base)))


def test_the_python_refuses_another_checkpoint_and_another_picture(where: Path) -> None:
    session = Session.new()
    Path("image.png").write_bytes(to_png(session.second.pixels))
    recipe = replace(session.recipe(unedited(session.base), level=0.0), checkpoint="to'y")
    own_hash = checkpoint.content_hash(where / "checkpoints" / "to'y")
    for made_with in (HASH, own_hash):  # with its own, the picture is still another
        program = as_python(replace(recipe, checkpoint_hash=made_with))
        with pytest.raises(AssertionError):
            exec(compile(program, "the program", "exec"), {})
    Path("image.png").write_bytes(to_png(session.picture.pixels))
    exec(compile(program, "the program", "exec"), {})
