"""Where checkpoints lie, which of them a name means, and whether an output can be written where it should be."""

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vqvae.errors import BadInput, Unreachable, in_short, printable, shown
from vqvae.remote import RemotePath, located

CHECKPOINTS_VARIABLE = "VQVAE_EXPLORER_CHECKPOINTS"
INSTALLED = "vqvae_explorer"  # what pip makes of the top level, see setup.py
_TRIAL_BYTES = 1 << 16  # a full disk still takes an empty file


def project_folder() -> Path:
    """Where app.py, pages/ and the checkpoints that come with it lie: the project's folder, or what pip made of it."""
    beside = Path(__file__).parents[1]
    installed = beside / INSTALLED
    return installed if (installed / "app.py").is_file() else beside


def checkpoints_folder() -> Path:
    """Where checkpoints are looked for: $VQVAE_EXPLORER_CHECKPOINTS, or the project's own."""
    if named := os.environ.get(CHECKPOINTS_VARIABLE):
        return Path(named).expanduser()
    return project_folder() / "checkpoints"


def checkpoints_folders() -> tuple[Path, ...]:
    """Where checkpoints are looked for, the first goes before the others: beside the project's own, where no other is
    named, the folder `checkpoints` of the working directory. That is how an installed app finds what was trained.
    """
    first, here = checkpoints_folder(), checkpoints_here()
    return (first, here) if here and here.is_dir() else (first,)


def checkpoints_here() -> Path | None:
    """The folder `checkpoints` of the working directory, which need not be there; None where it does not count beside
    the project's own: where it is that one, or another is named, or it cannot be looked at.
    """
    if os.environ.get(CHECKPOINTS_VARIABLE):
        return None
    first = checkpoints_folder()
    try:
        here = Path.cwd() / "checkpoints"
        return None if here.is_dir() and first.is_dir() and here.samefile(first) else here
    except OSError:  # the working directory is gone, or may not be read
        return None


def find_checkpoint(name: str, roots: Sequence[Path] = (), *, by_path: bool = True) -> Path:
    """The folder that a person means: of a bare name, the one among the checkpoints; else the path as it stands.

    A folder of that name in the working directory is taken only where there is no such checkpoint, so that it does not
    shadow one; `./NAME` says that it is meant. Where there is no folder, `RUN@STEP` is a snapshot of a run. Raises
    BadInput where there is none either.

    roots: where checkpoints lie, in place of `checkpoints_folders()`.
    by_path: whether a path is meant, too. Not where a link says the name, or a file: it may be anybody's, and is to
    lead to checkpoints and their snapshots alone, and not to tell what else there is.
    """
    roots = roots or checkpoints_folders()
    among = [folder / name for folder in roots]
    for folder in _in_order(name, among) if by_path else among if is_bare(name) else ():
        with suppress(OSError, ValueError):  # a name that no file system takes
            if folder.is_dir():
                return folder
    if is_snapshot(name):
        from vqvae import snapshots  # which needs torch: a command that is only to say how it is called does not

        run, _, step = name.rpartition("@")
        return snapshots.find(find_checkpoint(run, roots, by_path=by_path), int(step))
    where = " or ".join(map(str, roots))
    raise BadInput(f"There is no checkpoint {shown(name)} in {where}; name one, or its folder.")


def _in_order(name: str, among: Sequence[Path]) -> tuple[Path, ...]:
    as_path = Path(os.path.expanduser(name))  # it leaves a home that is no one's as it is
    return (*among, as_path) if is_bare(name) else (as_path, *among)


def is_snapshot(name: str) -> bool:
    """Whether a name is one of a snapshot, RUN@STEP."""
    run, _, step = name.rpartition("@")
    return bool(run) and step.isascii() and step.isdecimal() and len(step) < 13


def is_bare(name: str) -> bool:
    """Whether a name is that of a folder in another, and no path."""
    return name not in ("", ".", "..") and not name.startswith("~") and Path(name).name == name


def place_here(text: str) -> Path:
    """What a command's argument means that has to lie on this computer; refuses an address in argparse's way."""
    place = located(text)
    if isinstance(place, RemotePath):
        raise argparse.ArgumentTypeError(f"{shown(text)} is an address; name a place on this computer")
    return place


def check_file(path: Path) -> None:
    """Raise BadInput, before any work, where a command could not write its output to that file.

    Tried by writing beside it; what was made for the trial, missing folders too, is removed again. A device or a pipe
    is not tried.
    """
    if isinstance(path, RemotePath):
        path.check_writable()
        return
    with _refusing(path):
        if path.is_dir():
            raise BadInput(f"{shown(str(path))} is a folder; name a file in it.")
        if path.exists() and not path.is_file():
            return
        _try_writing(path.parent)


def check_folder(folder: Path) -> None:
    """Raise BadInput, before any work, where a command could not write files into that folder, made if need be.

    Tried by writing there; what was made for the trial, missing folders too, is removed again.
    """
    if isinstance(folder, RemotePath):
        (folder / "folder").check_writable()
        return
    with _refusing(folder):
        _try_writing(folder)


def _try_writing(folder: Path) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        for made in missing:  # the innermost first
            with suppress(OSError):
                made.rmdir()


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What the system says of a place, as BadInput in one sentence."""
    try:
        os.fsencode(path).decode()
        yield
    except UnicodeError:
        raise BadInput(f"The name {shown(str(path))} is not valid UTF-8; choose another.") from None
    except OSError as fault:
        raise BadInput(
            f"Nothing can be written to {shown(str(path), longest=120)} ({reason_of(fault)}); name another place."
        ) from None


def said_of(fault: BadInput | Unreachable | OSError) -> str:
    """What a command says of a fault, in one sentence, also of a file or folder that the system did not let it have."""
    if isinstance(fault, BadInput | Unreachable):
        return str(fault)
    if fault.filename is None:
        return printable(f"The system refused a file or a connection ({reason_of(fault)}); run it again.")
    return printable(f"{in_short(fault.filename)} cannot be used ({reason_of(fault)}); check the path.")


def reason_of(fault: OSError) -> str:
    """Why the system refused, in a few words: "no space left on device"."""
    words = fault.strerror or type(fault).__name__
    return words[:1].lower() + words[1:]
