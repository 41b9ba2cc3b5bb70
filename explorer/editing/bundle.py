"""A bundle: a recipe and the picture files that it was made with, in one zip.

A bundle may come from anywhere. Nothing in it is unpacked to disk, and nothing is read before its size is known.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from explorer.editing import recipe as recipes
from explorer.editing.recipe import Recipe
from explorer.images.pictures import Picture, open_picture
from vqvae.errors import BadInput, shown

RECIPE = "recipe.json"
MOST_FILES = 2  # pictures: the second one of a mix
MOST_FILE_BYTES = 64 << 20
MOST_BYTES = recipes.MOST_BYTES + MOST_FILES * MOST_FILE_BYTES + (1 << 20)
_LONGEST_NAME = 200
_LARGEST_DIRECTORY = 16 << 10  # bytes: three names of 200 letters, with whatever a zip says of a file beside
_LEAST_BYTES = 22  # a zip without a file is its end record alone
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: equal bundles are equal bytes


@dataclass(frozen=True, eq=False)
class Bundle:
    """A recipe, and picture files as they were uploaded."""

    recipe: Recipe
    files: dict[str, bytes]  # by name; empty for a recipe alone


@dataclass(frozen=True, eq=False)
class BundledPicture:
    """A file of a bundle, read as the picture that its recipe names."""

    name: str
    data: bytes
    picture: Picture


# --- writing


def pack(recipe: Recipe, pictures: Mapping[str, bytes]) -> bytes:
    """A zip with the recipe and the files of its pictures, one or for a mix two, by name, as they were uploaded.

    The same bytes for the same bundle. Names are kept but for what a zip's reader may refuse; see `safe_name`. Raises
    BadInput for a file that is too large for `unpack`.
    """
    if len(pictures) != len(set(_keys(recipe))):
        raise ValueError(f"The recipe has {len(set(_keys(recipe)))} pictures, not {len(pictures)}.")
    members = {RECIPE: recipe.to_json().encode()}
    for name, data in pictures.items():
        if len(data) > MOST_FILE_BYTES:
            raise BadInput(f"The picture is over {MOST_FILE_BYTES >> 20} MiB; save the recipe without it.")
        members[_unlike(members, safe_name(name))] = data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            about = zipfile.ZipInfo(name, _DATE)
            about.create_system, about.external_attr = 3, 0o644 << 16  # also where it is packed on another system
            archive.writestr(about, data)
    return buffer.getvalue()


def safe_name(name: str) -> str:
    """A file's name in a bundle: the last part of a path, its printable letters, at most 100 of them."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(letter for letter in last if letter.isprintable() and letter != ":").strip(" .")
    return printable[-100:] or "picture"


def _unlike(members: Mapping[str, bytes], name: str) -> str:
    """The name, or one made of it that no member has, also where capitals make no difference."""
    taken, number, free = {member.lower() for member in members}, 1, name
    while free.lower() in taken:
        number += 1
        free = f"{number} {name}"
    return free


# --- reading


def unpack(data: bytes) -> Bundle:
    """Read a bundle, or a recipe alone; raises BadInput, with one sentence, at the first fault."""
    if not data.startswith(b"PK"):
        return Bundle(recipes.parse(data), {})
    if len(data) > MOST_BYTES:
        raise BadInput(f"The zip is over {MOST_BYTES >> 20} MiB; no recipe and its picture take so much.")
    entries = _entries(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != entries:
                raise _damaged()
            _check_members(members)
            contents = {member.filename: _content(archive, member) for member in members}
    except BadInput:
        raise
    except Exception:  # zipfile and zlib raise whatever damaged bytes lead them to
        raise _damaged() from None
    return Bundle(recipes.parse(contents.pop(RECIPE)), contents)


def _entries(data: bytes) -> int:
    """How many files the zip's end record counts, once its directory is known to be short; raises BadInput."""
    end = len(data) - _LEAST_BYTES
    if end < 0 or data[end : end + 4] != b"PK\5\6":
        raise _damaged()
    *disks, here, entries, directory_bytes, directory_at, comment = struct.unpack("<4H2LH", data[end + 4 :])
    if any(disks) or comment or here != entries or directory_at + directory_bytes != end:
        raise _damaged()  # several disks, a comment, zip64, or something before or behind it
    if data[end - 20 : end - 16] == b"PK\6\7":
        raise _damaged()  # zip64, whose numbers would be taken in place of these
    if not 1 <= entries <= 1 + MOST_FILES:
        raise BadInput(f"The zip holds {entries:,} files, and a recipe's has {RECIPE} and one or two pictures.")
    if directory_bytes > _LARGEST_DIRECTORY:
        raise _damaged()
    return entries


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names: set[str] = set()
    for member in members:
        name = member.orig_filename  # as it stands there: `filename` ends at a zero byte
        if not _is_plain(name):
            raise BadInput(f"The zip holds {shown(name)}; a recipe's has only files, in no folder, with plain names.")
        if name.lower() in names:
            raise BadInput(f"The zip holds {shown(name)} twice; save it on the Edit page again.")
        names.add(name.lower())
        if member.flag_bits & 1:
            raise BadInput("The zip is encrypted; save it without a password.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
            raise BadInput(f"The zip packs {shown(name)} in a way that is not read; save it on the Edit page again.")
        most = recipes.MOST_BYTES if name == RECIPE else MOST_FILE_BYTES
        if member.file_size > most:
            raise BadInput(f"The zip's {shown(name)} unpacks to over {most >> 20} MiB; choose another file.")
    if RECIPE not in {member.filename for member in members}:
        raise BadInput(f"The zip lacks {RECIPE}; choose one that was saved on the Edit page.")


def _is_plain(name: str) -> bool:
    """Whether it names a file in the zip's own folder, on every system."""
    sound = 1 <= len(name) <= _LONGEST_NAME and name.isprintable() and not set(name) & set("/\\:")
    return sound and name not in (".", "..")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, as many as the directory says of it: no more is ever unpacked."""
    with archive.open(member) as file:
        content = file.read(member.file_size)
    if len(content) != member.file_size:
        raise _damaged()
    return content


def _damaged() -> BadInput:
    return BadInput("The zip is damaged, or of a kind that is not read; save it on the Edit page again.")


# --- which file is which picture


def pictures_of(bundle: Bundle, *, only: tuple[int, int] | None = None) -> tuple[BundledPicture, ...]:
    """The recipe's picture, and the second one of a mix, found by their pixels among the files; raises BadInput.

    only: height and width, for a tokenizer that takes images of a single size.
    """
    recipe = bundle.recipe
    if not bundle.files:
        raise BadInput("This recipe comes without its picture; give that one, too.")
    opened = [
        BundledPicture(name, data, open_picture(data, name, working_size=recipe.working_size, only=only))
        for name, data in bundle.files.items()
    ]
    return tuple(_of_key(opened, key) for key in _keys(recipe))


def _keys(recipe: Recipe) -> list[str]:
    """Of its picture, and the second one of a mix."""
    return [recipe.image, recipe.start.other] if recipe.start.kind == "mix" else [recipe.image]


def _of_key(opened: list[BundledPicture], key: str) -> BundledPicture:
    for found in opened:
        if found.picture.key == key:
            return found
    names = " and ".join(shown(found.name) for found in opened)
    raise BadInput(f"The recipe was made with another picture (pixels {key[:12]}…) than {names}, which came with it.")
