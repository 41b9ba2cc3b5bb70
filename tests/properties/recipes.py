"""Recipes, bundles and starts: an edit goes out as data and comes back as the same edit, or is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from explorer.editing import bundle, recipe
from explorer.editing.edits import RULES, Edit, Painting
from explorer.editing.recipe import HIGHEST_BLEND, LOWEST_BLEND, CellBlend, CellCode, Recipe
from explorer.editing.starts import KINDS, LARGEST_SEED, MASKS, Start, begin
from tests.properties.law import Law, refusals
from tests.properties.strategies import ODD_TEXT, SEEDS, damaged, json_texts
from tests.test_recipe import HASH, Session, random_edit
from tests.toys import toy_model
from vqvae.images import LONGEST_SIDE, to_png
from vqvae.tokenizer import Encoding

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
BLENDS = st.floats(LOWEST_BLEND, HIGHEST_BLEND) | st.integers(0, 1).map(float)
CODES = st.integers(0, 12) | st.integers(0, (1 << 31) - 1)
PLACES = st.integers(0, 12) | st.integers(0, LONGEST_SIDE - 1)
NAMES = st.text(
    st.characters(exclude_characters="/\\", categories=("L", "N", "P", "Zs")), min_size=1, max_size=20
).filter(lambda name: name.isprintable() and name not in (".", ".."))


@st.composite
def starts(draw: DrawFn) -> Start:
    """A start with what its kind has use for, and nothing else."""
    kind = draw(st.sampled_from(list(KINDS)))
    if kind == "one code":
        return Start(kind, code=draw(CODES))
    if kind == "mix":
        mask = draw(st.sampled_from(MASKS))
        return Start(kind, mask=mask, other=draw(DIGESTS), seed=draw(st.integers(0, LARGEST_SEED)))
    return Start(kind, seed=draw(st.integers(0, LARGEST_SEED))) if kind == "random" else Start()


@st.composite
def recipes(draw: DrawFn) -> Recipe:
    """Any recipe that there can be."""
    width, height = (draw(st.integers(1, 40) | st.integers(1, LONGEST_SIDE)) for _ in range(2))
    start = draw(starts())
    rows, columns = draw(st.integers(1, min(4, height))), draw(st.integers(1, min(4, width)))
    grid = st.tuples(*[st.tuples(*[CODES] * columns)] * rows)
    cells = st.dictionaries(st.tuples(PLACES, PLACES), st.tuples(CODES, BLENDS), max_size=5)
    changed, painted = draw(cells), draw(cells)
    return Recipe(
        checkpoint=draw(NAMES),
        checkpoint_hash=draw(DIGESTS),
        image=draw(DIGESTS),
        working_size=draw(st.integers(max(width, height), LONGEST_SIDE)),
        width=width,
        height=height,
        start=start,
        grid=draw(grid) if start.kind == "random" else (),
        rule=draw(st.sampled_from(list(RULES))),
        level=draw(BLENDS),
        cells=tuple(CellCode(*place, code) for place, (code, _) in changed.items()),
        blends=tuple(CellBlend(*place, weight) for place, (_, weight) in painted.items()),
    )


def comes_back(case: Recipe) -> bool:
    text = case.to_json()
    assert recipe.parse(text) == case and recipe.parse(text.encode()) == case
    assert recipe.parse(text).to_json() == text
    compile(recipe.as_python(case), "a snippet", "exec")
    return True


@cache
def documents() -> tuple[dict[str, Any], ...]:
    """Two recipes as JSON: of a picture, and of a random start."""
    made = []
    for start in (Start(), Start("mix", mask="random", other=HASH, seed=3), Start("random", seed=4)):
        session = Session.new(start, height=9, width=13)
        edit = random_edit(session.base, rule="carry", level=0.25, seed=1)
        made.append(json.loads(session.recipe(edit, level=0.25).to_json()))
        made[-1]["start"] |= {"other": HASH} if start.kind == "mix" else {}
    return tuple(made)


def is_a_recipe_or_refused(data: bytes) -> bool:
    with refusals() as said:
        found = recipe.parse(data)
        assert recipe.parse(found.to_json()) == found
    return not said


@dataclass(frozen=True)
class Made:
    """An edit of a picture, and with what its recipe is rendered."""

    start: Start
    size: tuple[int, int]
    rule: Any
    level: float
    seed: int
    codes: int  # of the codebook that it is rendered with; the edit is of one of 8
    stride: int


@st.composite
def edits(draw: DrawFn) -> Made:
    start = draw(starts())
    if start.kind == "one code":
        start = Start("one code", code=start.code % 8)
    size = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    level = float(np.float32(draw(st.sampled_from([0, 0.25, 0.35, 1, -0.5, 1.5]))))
    rule = draw(st.sampled_from(list(RULES)))
    return Made(
        start, size, rule, level, draw(SEEDS), draw(st.sampled_from([8, 8, 3, 9])), draw(st.sampled_from([2, 2, 4]))
    )


@cache
def _model(codes: int, stride: int) -> Any:
    return toy_model(codes=codes, channels=(4,) if stride == 2 else (4, 4), blocks=(0,) if stride == 2 else (0, 0))


def renders_what_was_shown(case: Made) -> bool:
    """With its own model to the very pixels; with one of other codes or cells to a picture of its size, or refused."""
    session = Session.new(case.start, height=case.size[0], width=case.size[1], model=_model(8, 2), seed=case.seed)
    edit = random_edit(session.base, rule=case.rule, level=case.level, seed=case.seed)
    made = recipe.parse(session.recipe(edit, level=case.level).to_json())
    pictures = [session.second, session.picture]
    with refusals() as said:
        pixels = recipe.render(_model(case.codes, case.stride), made, pictures)
        assert pixels.shape == (*case.size, 3) and pixels.dtype == np.uint8
        if (case.codes, case.stride) == (8, 2):
            assert (pixels == session.decoded(edit)).all()
    assert not said or (case.codes, case.stride) != (8, 2)
    return not said


@dataclass(frozen=True)
class Packed:
    """A recipe with the files of its pictures."""

    recipe: Recipe
    names: tuple[str, str]
    seed: int

    @property
    def files(self) -> dict[str, bytes]:
        pixels = np.random.default_rng(self.seed).integers(0, 256, (2, 3, 4, 3), np.uint8)
        wanted = 2 if self.recipe.start.kind == "mix" and self.recipe.start.other != self.recipe.image else 1
        return dict(zip(self.names[:wanted], map(to_png, pixels), strict=False))


def bundles() -> st.SearchStrategy[Packed]:
    names = st.tuples(ODD_TEXT, ODD_TEXT).filter(lambda pair: pair[0] != pair[1])
    return st.builds(Packed, recipes(), names, SEEDS)


def unpacks_as_packed(case: Packed) -> bool:
    data = bundle.pack(case.recipe, case.files)
    found = bundle.unpack(data)
    assert found.recipe == case.recipe and list(found.files.values()) == list(case.files.values())
    assert all(name.isprintable() and not set(name) & set("/\\:") for name in found.files)
    assert bundle.pack(case.recipe, case.files) == data
    return True


@cache
def packed() -> tuple[bytes, Any]:
    made = recipe.parse(json.dumps(documents()[1]))
    files = {"a.png": to_png(np.zeros((3, 4, 3), np.uint8)), "é.png": to_png(np.ones((2, 2, 3), np.uint8))}
    return bundle.pack(made, files), (made, files)


def damaged_bundles_are_whole_or_refused(data: bytes) -> bool:
    """Checksums guard what is in the zip: of a damaged one no other recipe and no other file is read."""
    made, files = packed()[1]
    with refusals() as said:
        found = bundle.unpack(data)
        assert found.recipe == made
        assert sorted(found.files.values()) == sorted(files.values())
    return not said


@dataclass(frozen=True)
class Begun:
    """A start over two grids."""

    start: Start
    grids: tuple[tuple[int, int], tuple[int, int]]
    seed: int
    other: Start


@st.composite
def beginnings(draw: DrawFn) -> Begun:
    sides = st.tuples(st.integers(1, 6), st.integers(1, 6))
    start = draw(starts())
    if start.kind == "one code" and draw(st.booleans()):
        start = Start("one code", code=start.code % 8)
    return Begun(start, (draw(sides), draw(sides)), draw(SEEDS), draw(starts()))


def starts_begin_as_they_say(case: Begun) -> bool:
    random, model = np.random.default_rng(case.seed), _model(8, 2)
    first, second = (_encoding(model, random.integers(0, 8, grid), random) for grid in case.grids)
    counts = random.integers(0, 3, 8)
    with refusals() as said:
        begun = begin(model, case.start, first, other=second, counts=counts)
        grid, own = begun.grid[0].numpy(), first.grid[0].numpy()
        assert grid.shape == own.shape and grid.min() >= 0 and grid.max() < 8
        assert torch.equal(begun.quantized, model.lookup((begun.grid,)))
        if case.start.kind == "picture":
            assert begun is first
        elif case.start.kind == "one code":
            assert (grid == case.start.code).all()
        elif case.start.kind == "random":
            assert not counts.any() or counts[grid].all()
        else:
            theirs = np.full(own.shape, -1)
            rows, columns = (min(sides) for sides in zip(*case.grids, strict=True))
            theirs[:rows, :columns] = second.grid[0].numpy()[:rows, :columns]
            assert ((grid == own) | (grid == theirs)).all()
        again = begin(model, case.start, first, other=second, counts=counts)
        assert torch.equal(again.grid, begun.grid) and torch.equal(again.embedding, begun.embedding)
    assert bool(said) == (case.start.kind == "one code" and case.start.code >= 8)
    assert (case.start.key == case.other.key) <= (
        case.start == case.other or case.start.mask == case.other.mask != "random"
    )
    return not said


def _encoding(model: Any, grid: np.ndarray, random: np.random.Generator) -> Encoding:
    indices = torch.from_numpy(grid)[None]
    quantized = model.lookup((indices,))
    return Encoding((indices,), quantized + torch.from_numpy(random.random(quantized.shape, np.float32)), quantized)


@dataclass(frozen=True)
class Painted:
    """An edit on a grid whose blends are whole percents, or none."""

    size: tuple[int, int]
    seed: int
    level: int  # percent
    rule: Any


def paintings_come_back(case: Painted) -> bool:
    """What is painted is kept as it is, and what is not has the level that it is opened at."""
    random = np.random.default_rng(case.seed)
    indices = random.integers(0, 8, case.size)
    weight = (random.integers(-50, 151, case.size) / 100).astype(np.float32)
    level = float(np.float32(case.level / 100))
    weight[random.random(case.size) < 0.5] = level
    painting = Painting.of(Edit(indices, weight, case.rule), level=level)
    again = painting.edit(level=level, rule=case.rule)
    assert (again.indices == indices).all() and np.abs(again.weight - weight).max() < 1e-6
    moved = painting.edit(level=0.75, rule=case.rule).weight
    assert (moved[~painting.has_own_blend] == np.float32(0.75)).all()
    assert (moved[painting.has_own_blend] == again.weight[painting.has_own_blend]).all()
    return True


LAWS = (
    Law("a recipe comes back as it was written", recipes(), comes_back),
    Law(
        "any document is a recipe or is refused",
        st.deferred(lambda: st.sampled_from(documents()).flatmap(json_texts)),
        is_a_recipe_or_refused,
    ),
    Law("a recipe renders what was shown, or says what it needs", edits(), renders_what_was_shown),
    Law("a bundle unpacks as it was packed", bundles(), unpacks_as_packed),
    Law(
        "a damaged bundle is whole or refused",
        st.deferred(lambda: damaged(packed()[0])),
        damaged_bundles_are_whole_or_refused,
    ),
    Law("a start begins with what it says", beginnings(), starts_begin_as_they_say),
    Law(
        "what was painted is kept",
        st.builds(
            Painted,
            st.tuples(st.integers(1, 9), st.integers(1, 9)),
            SEEDS,
            st.integers(-50, 150),
            st.sampled_from(list(RULES)),
        ),
        paintings_come_back,
    ),
)
