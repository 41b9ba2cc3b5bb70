"""A recipe: an edit as data. With the checkpoint and the picture that it names, it rebuilds the same pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from explorer.editing.edits import RULES, Edit, LiveDecoder, Rule, edited_cells
from explorer.editing.probes import size_of_grid
from explorer.editing.starts import KINDS, LARGEST_SEED, MASKS, Kind, Start, begin, of_codes
from explorer.images.pictures import Picture
from explorer.images.reconstruction import encode_picture
from vqvae import checkpoint, places
from vqvae.errors import BadInput, shown
from vqvae.images import LONGEST_SIDE, to_pixels
from vqvae.tokenizer import Encoding, Tokenizer

FORMAT = "vqvae-explorer recipe"
VERSION = 1
MOST_BYTES = 8 << 20  # a grid of 256 × 256 cells with each changed, painted and random takes 3 MB
LOWEST_BLEND, HIGHEST_BLEND = -0.5, 1.5
MOST_LISTED = 200  # cells that a snippet of Python lists; with more it reads the recipe
_LARGEST_CODE = (1 << 31) - 1
_LONGEST_NAME = 200


class CellCode(NamedTuple):
    """A cell and the code that it was given."""

    row: int
    column: int
    code: int


class CellBlend(NamedTuple):
    """A cell and the blend that was painted there."""

    row: int
    column: int
    weight: float


@dataclass(frozen=True)
class Recipe:
    """An edit, and what it was made of."""

    checkpoint: str  # its name, which is that of its folder
    checkpoint_hash: str  # `vqvae.checkpoint.content_hash`
    image: str  # the picture's key
    working_size: int  # pixels on the long side, at most
    width: int  # of the picture, in pixels
    height: int
    start: Start  # of a mix, `other` is the second picture's key
    grid: tuple[tuple[int, ...], ...]  # the codes [h][w] that a random start drew; empty for the other kinds
    rule: Rule
    level: float  # the blend where none was painted; 0 is with the embedding off
    cells: tuple[CellCode, ...]  # those with another code than at the start
    blends: tuple[CellBlend, ...]  # those with another blend than the level

    @classmethod
    def of(
        cls,
        *,
        checkpoint: str,
        checkpoint_hash: str,
        picture: Picture,
        working_size: int,
        start: Start,
        other: Picture | None,
        base: Encoding,
        edit: Edit,
        level: float,
    ) -> Recipe:
        """The recipe of an edit whose base is what `begin` made of the start; `other` is the second picture of a mix.

        Numbers for the blend are the shortest that are the same in float32.
        """
        height, width = picture.pixels.shape[:2]
        changed = np.argwhere(edited_cells(base, edit)).tolist()
        painted = np.argwhere(edit.weight != np.float32(level)).tolist()
        return cls(
            checkpoint=checkpoint,
            checkpoint_hash=checkpoint_hash,
            image=picture.key,
            working_size=working_size,
            width=width,
            height=height,
            start=Start(start.kind, **_needed(replace(start, other=other.key if other else ""))),
            grid=tuple(map(tuple, base.grid[0].tolist())) if start.kind == "random" else (),
            rule=edit.rule,
            level=_shortest(level),
            cells=tuple(CellCode(row, column, int(edit.indices[row, column])) for row, column in changed),
            blends=tuple(CellBlend(row, column, _shortest(edit.weight[row, column])) for row, column in painted),
        )

    def to_json(self) -> str:
        """The text of a recipe file, a field to a line; `parse` reads it back."""
        start = {"kind": self.start.kind, **_needed(self.start)}
        fields = {"format": FORMAT, "version": VERSION, **{name: getattr(self, name) for name in _FIELDS}}
        lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in (fields | {"start": start}).items())
        return "{\n" + ",\n".join(lines) + "\n}\n"


_FIELDS = tuple(Recipe.__dataclass_fields__)
_START_NEEDS: dict[Kind, tuple[str, ...]] = {
    "picture": (),
    "one code": ("code",),
    "mix": ("mask", "other", "seed"),
    "random": ("seed",),
}


def _needed(start: Start) -> dict[str, Any]:
    """What a start says beside its kind, but for what its kind has no use for."""
    return {name: getattr(start, name) for name in _START_NEEDS[start.kind]}


# --- rebuilding


def check_checkpoint(recipe: Recipe, checkpoint_hash: str) -> None:
    """Raises BadInput when the recipe was made with another checkpoint."""
    if checkpoint_hash != recipe.checkpoint_hash:
        raise BadInput(f"This recipe was made with {_its_checkpoint(recipe)}, and this is another; open that one.")


def find_checkpoint(recipe: Recipe, roots: Sequence[Path]) -> Path:
    """The folder, directly below one of `roots`, of the checkpoint that it was made with: by its name, or under another
    one; or that of a run's snapshot, by its name.

    Raises BadInput when none has the same content.
    """
    found = [entry for root in roots for entry in checkpoint.find(root)]
    folders = [entry.folder for entry in found if isinstance(entry, checkpoint.CheckpointInfo)]
    folders.sort(key=lambda folder: folder.name != recipe.checkpoint)
    if places.is_snapshot(recipe.checkpoint):
        with suppress(BadInput):
            folders.insert(0, places.find_checkpoint(recipe.checkpoint, roots, by_path=False))
    for folder in folders:
        if checkpoint.content_hash(folder) == recipe.checkpoint_hash:
            return folder
    where = " or ".join(map(str, roots))
    raise BadInput(f"This recipe was made with {_its_checkpoint(recipe)}, which is not in {where}; put it there.")


def base_of(tokenizer: Tokenizer, recipe: Recipe, pictures: Sequence[Picture]) -> Encoding:
    """The grid that the recipe's edit starts from; raises BadInput when a picture is missing or nothing fits."""
    start = recipe.start
    encoded = encode_picture(tokenizer, _find_picture(recipe, pictures)).encoding
    if start.kind == "random":
        grid = np.array(recipe.grid, np.int64)
        rows, columns = encoded.grid.shape[-2:]
        if grid.shape != (rows, columns):
            raise BadInput(
                f"The recipe's grid has {' × '.join(map(str, grid.shape))} cells and this checkpoint makes "
                f"{rows} × {columns} of the picture; use the checkpoint that it was made with."
            )
        _check_codes(grid, codes=tokenizer.spec.grid.codes)
        return of_codes(tokenizer, grid)
    other = None
    if start.kind == "mix":
        other = encode_picture(tokenizer, _find_second(recipe, pictures)).encoding
    return begin(tokenizer, start, encoded, other=other, counts=None)


def edit_of(recipe: Recipe, base: Encoding, *, codes: int) -> Edit:
    """The edit of a base, with a codebook of so many codes; raises BadInput when a cell or a code is not there."""
    indices = base.grid[0].numpy().copy()
    weight = np.full(indices.shape, recipe.level, np.float32)
    for cells, grid in ((recipe.cells, indices), (recipe.blends, weight)):
        if not cells:
            continue
        row, column, values = map(np.array, zip(*cells, strict=True))
        outside = (row >= grid.shape[0]) | (column >= grid.shape[1])
        if outside.any():
            first = int(outside.argmax())
            raise BadInput(
                f"The recipe changes the cell in row {row[first]:,}, column {column[first]:,}, and the grid has "
                f"{size_of_grid(*grid.shape)}; use the checkpoint that it was made with."
            )
        grid[row, column] = values
    _check_codes(indices, codes=codes)
    return Edit(indices, weight, recipe.rule)


def render(tokenizer: Tokenizer, recipe: Recipe, pictures: Sequence[Picture]) -> np.ndarray:
    """The picture that the app showed, uint8 [H, W, 3]; raises BadInput when a picture is missing or nothing fits.

    pictures: those that the recipe names, in any order, at its working size.
    """
    base = base_of(tokenizer, recipe, pictures)
    edit = edit_of(recipe, base, codes=tokenizer.spec.grid.codes)
    decoded = LiveDecoder(tokenizer, base).decode(edit)
    return to_pixels(decoded[..., : recipe.height, : recipe.width])[0]


def _its_checkpoint(recipe: Recipe) -> str:
    return f"the checkpoint {shown(recipe.checkpoint)} (content {recipe.checkpoint_hash[:12]}…)"


def _find_picture(recipe: Recipe, pictures: Sequence[Picture]) -> Picture:
    for picture in pictures:
        if picture.key == recipe.image and picture.pixels.shape[:2] == (recipe.height, recipe.width):
            return picture
    raise BadInput(
        f"This recipe was made with another picture, of {recipe.width} × {recipe.height} px at the working size "
        f"{recipe.working_size} (pixels {recipe.image[:12]}…); open that one."
    )


def _find_second(recipe: Recipe, pictures: Sequence[Picture]) -> Picture:
    for picture in pictures:
        if picture.key == recipe.start.other:
            return picture
    raise BadInput(
        f"This recipe mixes in a second picture (pixels {recipe.start.other[:12]}… at the working size "
        f"{recipe.working_size}), which is missing; give that one, too."
    )


def _check_codes(indices: np.ndarray, *, codes: int) -> None:
    if (largest := indices.max(initial=0)) >= codes:
        raise BadInput(
            f"The recipe uses the code {largest:,}, and the codebook has the codes 0 to {codes - 1:,}; "
            "use the checkpoint that it was made with."
        )


def _shortest(weight: float) -> float:
    return float(str(np.float32(weight)))


# --- as Python


def as_python(
    recipe: Recipe,
    *,
    image: str = "image.png",
    second: str = "second.png",
    file: str = "recipe.json",
    out: str = "edited.png",
    bundle: str | None = None,
) -> str:
    """A program that computes the same pixels with this library, and saves them.

    The arguments are the names of the files in it; `second` is the second picture of a mix. The changed cells stand in
    the program, unless there are very many or the start is random: then it reads the recipe. With a bundle, the zip of
    recipe and pictures, it reads that and no other file.
    """
    listed = recipe.start.kind != "random" and len(recipe.cells) + len(recipe.blends) <= MOST_LISTED
    pictures = {"picture": (image, recipe.image)}
    if recipe.start.kind == "mix":
        pictures["second"] = (second, recipe.start.other)
    own_part = _python_of_edit(recipe) if listed else _python_of_file(file, pictures, bundled=bundle is not None)
    paragraphs = [
        '"""An edit made in VQ-VAE Explorer, computed again; run it in the folder that the app is started from."""',
        "from pathlib import Path",
        "\n".join(_python_imports(recipe, listed=listed, bundled=bundle is not None)),
        f"folder = find_checkpoint({recipe.checkpoint!r})\n"
        f"assert checkpoint.content_hash(folder) == {recipe.checkpoint_hash!r}\n"
        "tokenizer = checkpoint.load(folder)",
        *(_python_of_pictures(recipe, pictures) if bundle is None else _python_of_bundle(bundle, pictures)),
        *own_part,
        f"Path({out!r}).write_bytes(to_png(pixels))",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _python_imports(recipe: Recipe, *, listed: bool, bundled: bool) -> Iterable[str]:
    if bundled:
        yield "from explorer.editing.bundle import pictures_of, unpack"
    if listed:
        yield "from explorer.editing.edits import Edit, LiveDecoder, unedited"
        if recipe.start.kind != "picture":
            yield "from explorer.editing.starts import Start, begin"
    else:
        yield f"from explorer.editing.recipe import {'render' if bundled else 'parse, render'}"
    if not bundled:
        yield "from explorer.images.pictures import open_picture"
    if listed:
        yield "from explorer.images.reconstruction import encode_picture"
    yield "from vqvae import checkpoint"
    yield "from vqvae.images import to_pixels, to_png" if listed else "from vqvae.images import to_png"
    yield "from vqvae.places import find_checkpoint"


def _python_of_pictures(recipe: Recipe, pictures: Mapping[str, tuple[str, str]]) -> Iterable[str]:
    """A paragraph for each picture: names in the program -> file, key."""
    for name, (path, key) in pictures.items():
        yield (
            f"{name} = open_picture(\n"
            f"    Path({path!r}).read_bytes(), {path!r}, "
            f"working_size={recipe.working_size}, only=tokenizer.spec.sizes.only\n"
            f")\n"
            f"assert {name}.key == {key!r}"
        )


def _python_of_bundle(bundle: str, pictures: Mapping[str, tuple[str, str]]) -> Iterable[str]:
    """The pictures out of a zip: names in the program -> file, key."""
    names = ", ".join(pictures) if len(pictures) > 1 else f"({next(iter(pictures))},)"
    checks = (f"assert {name}.key == {key!r}" for name, (_, key) in pictures.items())
    yield "\n".join(
        [
            f"bundle = unpack(Path({bundle!r}).read_bytes())  # the recipe, and its pictures as they were uploaded",
            f"{names} = (found.picture for found in pictures_of(bundle, only=tokenizer.spec.sizes.only))",
            *checks,
        ]
    )


def _python_of_file(file: str, pictures: Iterable[str], *, bundled: bool) -> Iterable[str]:
    read = "recipe = bundle.recipe" if bundled else f"recipe = parse(Path({file!r}).read_bytes())"
    yield (
        f"{read}  # its cells are too many to list here\n"
        f"pixels = render(tokenizer, recipe, [{', '.join(pictures)}])  # uint8 [H, W, 3]"
    )


def _python_of_edit(recipe: Recipe) -> Iterable[str]:
    """Paragraphs from the encoding to the pixels."""
    start = recipe.start
    if start.kind == "picture":
        yield "base = encode_picture(tokenizer, picture).encoding"
    else:
        needs = "".join(f", {name}={value!r}" for name, value in _needed(start).items() if name != "other")
        other = "encode_picture(tokenizer, second).encoding" if start.kind == "mix" else "None"
        yield (
            "encoded = encode_picture(tokenizer, picture).encoding\n"
            f"other = {other}\n"
            f"base = begin(tokenizer, Start({start.kind!r}{needs}), encoded, other=other, counts=None)"
        )
    yield (f"edit = unedited(base, weight={recipe.level!r})\nindices, weight = edit.indices.copy(), edit.weight")
    if recipe.cells:
        yield f"for row, column, code in {_python_list(recipe.cells)}:\n    indices[row, column] = code"
    if recipe.blends:
        yield f"for row, column, blend in {_python_list(recipe.blends)}:\n    weight[row, column] = blend"
    yield (
        f"decoded = LiveDecoder(tokenizer, base).decode(Edit(indices, weight, {recipe.rule!r}))\n"
        f"pixels = to_pixels(decoded)[0, :{recipe.height}, :{recipe.width}]  # uint8 [H, W, 3]"
    )


def _python_list(cells: Sequence[CellCode | CellBlend]) -> str:
    entries = [repr(tuple(cell)) for cell in cells]
    lines = (", ".join(entries[start : start + 6]) for start in range(0, len(entries), 6))
    return "[\n" + "".join(f"    {line},\n" for line in lines) + "]"


# --- reading


def parse(data: bytes | str) -> Recipe:
    """Read a recipe file's content; raises BadInput, with one sentence, at the first fault."""
    fields = _object(data)
    if fields.pop("format", None) != FORMAT:
        raise BadInput("This JSON file is not a recipe; choose one that was saved on the Edit page.")
    version = fields.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise BadInput(f"The recipe is of version {shown(version)}, and this app reads {VERSION}; save it again.")
    _check_names("The recipe", fields, _FIELDS)
    width, height = (_whole(name, fields[name], 1, LONGEST_SIDE) for name in ("width", "height"))
    start = _start(fields["start"])
    return Recipe(
        checkpoint=_folder_name(fields["checkpoint"]),
        checkpoint_hash=_digest("checkpoint_hash", fields["checkpoint_hash"]),
        image=_digest("image", fields["image"]),
        working_size=_whole("working_size", fields["working_size"], max(width, height), LONGEST_SIDE),
        width=width,
        height=height,
        start=start,
        grid=_grid(fields["grid"], width=width, height=height, wanted=start.kind == "random"),
        rule=_one_of("rule", fields["rule"], RULES),
        level=_blend("level", fields["level"]),
        cells=tuple(
            CellCode(row, column, _code("cells", code)) for row, column, code in _cells("cells", fields["cells"])
        ),
        blends=tuple(
            CellBlend(row, column, _blend("blends", weight))
            for row, column, weight in _cells("blends", fields["blends"])
        ),
    )


def _object(data: bytes | str) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise BadInput(f"The recipe is over {MOST_BYTES >> 20} MiB; no edit takes so much, so choose another file.")
    try:
        fields = json.loads(data, object_pairs_hook=_each_once, parse_constant=_refuse)
    except (ValueError, RecursionError):  # among them text that is not UTF-8, and integers of thousands of digits
        raise BadInput("The recipe is not valid JSON; save it on the Edit page again.") from None
    if not isinstance(fields, dict):
        raise BadInput("The recipe has to be a JSON object; choose one that was saved on the Edit page.")
    return fields


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("A name comes twice.")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON.")


def _check_names(whole: str, fields: dict[str, Any], wanted: Sequence[str]) -> None:
    for name in fields:
        if name not in wanted:
            raise BadInput(f"{whole} has an unknown field {shown(name)}; remove it.")
    for name in wanted:
        if name not in fields:
            raise BadInput(f"{whole} lacks the field {name!r}; save it on the Edit page again.")


def _start(value: Any) -> Start:
    if not isinstance(value, dict):
        raise BadInput(f"The recipe's 'start' has to be a JSON object, and is {shown(value)}.")
    fields = dict(value)
    kind = _one_of("kind", fields.pop("kind", None), KINDS)
    _check_names("The recipe's 'start'", fields, _START_NEEDS[kind])
    read: dict[str, Callable[[Any], Any]] = {
        "code": lambda code: _code("code", code),
        "mask": lambda mask: _one_of("mask", mask, MASKS),
        "other": lambda key: _digest("other", key),
        "seed": lambda seed: _whole("seed", seed, 0, LARGEST_SEED),
    }
    return Start(kind, **{name: read[name](entry) for name, entry in fields.items()})


def _grid(value: Any, *, width: int, height: int, wanted: bool) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list) or bool(value) != wanted:
        raise BadInput("The recipe's 'grid' has to list the rows of a random start, and be empty for any other.")
    if len(value) > height or not all(isinstance(row, list) and 1 <= len(row) <= width for row in value):
        raise BadInput("The recipe's 'grid' has to be a list of rows, each a list of codes, within the picture.")
    if len({len(row) for row in value}) > 1:
        raise BadInput("The rows of the recipe's 'grid' have to be of equal length.")
    return tuple(tuple(_code("grid", code) for code in row) for row in value)


def _cells(name: str, value: Any) -> Iterable[tuple[int, int, Any]]:
    """Row, column and what is said of that cell; whether the grid has it, `edit_of` knows."""
    if not isinstance(value, list):
        raise BadInput(f"The recipe's {name!r} has to be a list, and is {shown(value)}.")
    seen: set[tuple[int, int]] = set()
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 3:
            raise BadInput(f"Each entry of the recipe's {name!r} has to be [row, column, value], not {shown(entry)}.")
        row, column = _place(name, entry[0]), _place(name, entry[1])
        if (row, column) in seen:
            raise BadInput(f"The recipe's {name!r} has the cell in row {row}, column {column} twice; remove one.")
        seen.add((row, column))
        yield row, column, entry[2]


def _whole(name: str, value: Any, lower: int, upper: int) -> int:
    if type(value) is not int or not lower <= value <= upper:
        raise BadInput(f"The recipe's {name!r} needs whole numbers from {lower:,} to {upper:,}, not {shown(value)}.")
    return value


def _place(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise BadInput(f"The recipe's {name!r} needs rows and columns that are whole numbers, not {shown(value)}.")
    if value >= LONGEST_SIDE:
        raise BadInput(f"The recipe's {name!r} has a row or column {shown(value)}, and no picture is so large.")
    return value


def _code(name: str, value: Any) -> int:
    return _whole(name, value, 0, _LARGEST_CODE)


def _blend(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not LOWEST_BLEND <= value <= HIGHEST_BLEND:
        raise BadInput(
            f"The recipe's {name!r} needs numbers from {LOWEST_BLEND} to {HIGHEST_BLEND}, not {shown(value)}."
        )
    return float(value)


def _digest(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise BadInput(f"The recipe's {name!r} has to be a SHA-256 in hex, 64 digits, and is {shown(value)}.")
    return value


def _folder_name(value: Any) -> str:
    sound = isinstance(value, str) and value.isprintable() and 1 <= len(value) <= _LONGEST_NAME
    if not sound or value in (".", "..") or "/" in value or "\\" in value:
        raise BadInput(f"The recipe's 'checkpoint' has to be the name of a checkpoint, and is {shown(value)}.")
    return value


def _one_of(name: str, value: Any, choices: Iterable[Any]) -> Any:
    names = tuple(choices)
    if value not in names:
        raise BadInput(f"The recipe's {name!r} has to be one of {', '.join(names)}, and is {shown(value)}.")
    return value
