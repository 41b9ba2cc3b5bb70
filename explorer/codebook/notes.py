"""What a person noted of codes: a star and a line of text each, kept per checkpoint in the user's data folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqvae.checkpoint import write_atomically

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


_in_memory: dict[Path, Notes] = {}  # what the disk did not take, by the file where it would be


def load(folder: Path, checkpoint: str) -> Notes:
    """The notes on a checkpoint, by its content hash; none where there are none, or where they cannot be read."""
    if kept := _in_memory.get(_file(folder, checkpoint)):
        return kept
    return _on_disk(folder, checkpoint)


def _on_disk(folder: Path, checkpoint: str) -> Notes:
    try:
        kept = json.loads(_file(folder, checkpoint).read_bytes())
        texts = {int(code): str(text)[:LONGEST_NOTE] for code, text in kept["texts"].items()}
        return Notes(frozenset(int(code) for code in kept["starred"]), texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Notes()


def update(folder: Path, checkpoint: str, change: Callable[[Notes], Notes]) -> Notes:
    """Change the notes on a checkpoint as they are on disk now, so that two open pages do not undo each other.

    A file that cannot be read is put aside as `.bad` and not overwritten. Raises OSError where the folder cannot be
    written: the notes are then kept in memory, until a later change can be written or the process ends.
    """
    path = _file(folder, checkpoint)
    changed = change(load(folder, checkpoint))
    try:
        if path.exists() and _on_disk(folder, checkpoint) == Notes() and path.read_bytes() != _content(Notes()):
            path.replace(path.with_suffix(".bad"))
        save(folder, checkpoint, changed)
    except OSError:
        _in_memory[path] = changed
        raise
    return changed


def save(folder: Path, checkpoint: str, notes: Notes) -> None:
    """Keep the notes on a checkpoint; the file appears whole or not at all."""
    path = _file(folder, checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _content(notes))
    _in_memory.pop(path, None)


def _content(notes: Notes) -> bytes:
    kept = {"starred": sorted(notes.starred), "texts": {str(code): text for code, text in sorted(notes.texts.items())}}
    return json.dumps(kept, ensure_ascii=False, indent=1).encode(errors="replace")


def _file(folder: Path, checkpoint: str) -> Path:
    return folder / "notes" / f"{checkpoint[:32]}.json"
