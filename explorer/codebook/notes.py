"""What a person noted of codes: a star and a line of text each, kept per checkpoint in the user's data folder.

The file carries a checksum, so that a damaged star is not taken for one of another code; it may be taken out by hand.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from explorer.base.locked import locked
from explorer.base.sealed import CHECKSUM, sealed, unsealed
from vqvae.checkpoint import write_atomically
from vqvae.places import reason_of

LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True)
class Notes:
    """Stars and notes on the codes of one checkpoint."""

    starred: frozenset[int] = frozenset()
    texts: dict[int, str] = field(default_factory=dict)

    def with_star(self, code: int, starred: bool) -> Notes:
        return replace(self, starred=self.starred | {code} if starred else self.starred - {code})

    def with_text(self, code: int, text: str) -> Notes:
        """An empty text takes the note away."""
        others = {other: note for other, note in self.texts.items() if other != code}
        return replace(self, texts=others | {code: text[:LONGEST_NOTE]} if text.strip() else others)


@dataclass(frozen=True)
class _Changes:
    """What became of stars and texts, by code; an empty text was taken away."""

    starred: dict[int, bool] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)

    @classmethod
    def between(cls, before: Notes, after: Notes) -> _Changes:
        codes = before.texts.keys() | after.texts.keys()
        return cls(
            {code: code in after.starred for code in before.starred ^ after.starred},
            {code: after.texts.get(code, "") for code in codes if after.texts.get(code) != before.texts.get(code)},
        )

    def then(self, later: _Changes) -> _Changes:
        return _Changes(self.starred | later.starred, self.texts | later.texts)

    def of(self, notes: Notes) -> Notes:
        starred = {code for code, starred in self.starred.items() if starred}
        others = {code: text for code, text in notes.texts.items() if code not in self.texts}
        return Notes(
            (notes.starred - self.starred.keys()) | starred,
            others | {code: text for code, text in self.texts.items() if text},
        )


_one_at_a_time = threading.Lock()
_not_taken: dict[Path, _Changes] = {}  # by the disk, by the file where they would be


def load(folder: Path, checkpoint: str) -> Notes:
    """The notes on a checkpoint, by its content hash; none where there are none, or where they cannot be read."""
    path = _file(folder, checkpoint)
    return _not_taken.get(path, _Changes()).of(_read(path) or Notes())


def damage(folder: Path, checkpoint: str) -> str:
    """What to say of notes that are damaged, in one sentence; nothing of sound ones or of none."""
    path = _file(folder, checkpoint)
    if not path.exists() or _read(path) is not None:
        return ""
    return (
        f"The notes on this model, {path}, are damaged or were changed outside of the app, and are not used; restore "
        f'the file, or take the line "{CHECKSUM}" out of it to have it read as it is.'
    )


def refusal(folder: Path, fault: OSError) -> str:
    """What to say where `update` could not write, in one sentence."""
    return (
        f"Notes and stars could not be kept in {folder} ({reason_of(fault)}); they stay in memory until the app ends, "
        "or a later change can be written."
    )


def _read(path: Path) -> Notes | None:
    """What a file says; None where there is none, or it is damaged."""
    try:
        kept = unsealed(json.loads(path.read_bytes()))
        texts = {int(code): str(text)[:LONGEST_NOTE] for code, text in kept["texts"].items()}
        return Notes(frozenset(int(code) for code in kept["starred"]), texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def update(folder: Path, checkpoint: str, change: Callable[[Notes], Notes]) -> Notes:
    """Change the notes on a checkpoint as they are on disk now, so that two open pages do not undo each other.

    A file that cannot be read is put aside as `.bad` and not overwritten. Raises OSError where the folder cannot be
    written: the change is then kept in memory, until it can be written with a later one or the process ends.
    """
    path = _file(folder, checkpoint)
    with _one_at_a_time:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path.parent):
                changed = change(load(folder, checkpoint))
                if path.exists() and _read(path) is None:
                    path.replace(path.with_suffix(".bad"))
                save(folder, checkpoint, changed)
        except OSError:
            now = load(folder, checkpoint)
            kept = _not_taken.get(path, _Changes())
            _not_taken[path] = kept.then(_Changes.between(now, change(now)))
            raise
    return changed


def save(folder: Path, checkpoint: str, notes: Notes) -> None:
    """Keep the notes on a checkpoint; the file appears whole or not at all."""
    path = _file(folder, checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _content(notes))
    _not_taken.pop(path, None)


def _content(notes: Notes) -> bytes:
    texts = {str(code): text.encode(errors="replace").decode() for code, text in sorted(notes.texts.items())}
    kept = sealed({"starred": sorted(notes.starred), "texts": texts})
    return json.dumps(kept, ensure_ascii=False, indent=1).encode()


def _file(folder: Path, checkpoint: str) -> Path:
    return folder / "notes" / f"{checkpoint[:32]}.json"
