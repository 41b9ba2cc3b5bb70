"""What would break on macOS or Windows only, found on any system: in the code, and with their ways put in place."""

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.base import tidy
from explorer.base.job import Progress
from explorer.codebook import projection_worker
from explorer.codebook.projection import Projection, ProjectionSettings, load_projection, pca, projection_key
from explorer.codebook.projection_worker import CODEBOOK_FILE, PROGRESS_FILE, SETTINGS_FILE
from explorer.images.sets import open_set
from explorer.index.build import build
from tests.conftest import ROOT
from tests.toys import toy_model, write_toy_photos

CODE = [
    ROOT / "app.py",
    *(path for name in ("vqvae", "explorer", "pages") for path in sorted((ROOT / name).rglob("*.py"))),
]
NOT_ON_WINDOWS = {  # attributes of these two modules
    "os": {
        *("fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getsid", "getuid", "killpg"),
        *("initgroups", "mkfifo", "nice", "sched_getaffinity", "sched_setaffinity", "setpgid", "setsid", "statvfs"),
        *("sysconf", "uname", "wait", "waitid"),
    },
    "signal": {
        *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pause", "setitimer"),
    },
}
MODULES_NOT_ON_WINDOWS = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
TEXT = ("read_text", "write_text")


def nodes(path: Path) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Each node of a file's code, and those around it, the outermost first."""
    pending: list[tuple[ast.AST, list[ast.AST]]] = [(ast.parse(path.read_text(encoding="utf-8")), [])]
    while pending:
        node, around = pending.pop()
        yield node, around
        pending += [(child, [*around, node]) for child in ast.iter_child_nodes(node)]


def is_guarded(around: list[ast.AST]) -> bool:
    """Whether the code runs only where the system has what it needs."""
    asks = any(
        isinstance(node, ast.If) and ("hasattr" in ast.dump(node.test) or "platform" in ast.dump(node.test))
        for node in around
    )
    catches = any(isinstance(node, ast.Try) and "ImportError" in ast.dump(node) for node in around)
    return asks or catches


def faults(path: Path) -> Iterator[str]:
    for node, around in nodes(path):
        where = f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            named = {keyword.arg for keyword in node.keywords}
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            strings = [
                part.value
                for part in [*node.args, *(keyword.value for keyword in node.keywords)]
                if isinstance(part, ast.Constant)
            ]
            binary = any(isinstance(text, str) and "b" in text and len(text) <= 3 for text in strings)
            if "encoding" not in named and (called in TEXT or (called == "open" and strings and not binary)):
                yield f'{where}: say encoding="utf-8"; on Windows the default is another'
            if named & {"preexec_fn", "start_new_session", "shell"}:
                yield f"{where}: a process is started in a way that Windows does not know"
        if (
            isinstance(node, ast.Attribute)
            and node.attr in NOT_ON_WINDOWS.get(ast.unparse(node.value), ())
            and not is_guarded(around)
        ):
            yield f"{where}: {ast.unparse(node)} is not on Windows; ask hasattr before"
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if MODULES_NOT_ON_WINDOWS & set(imported) and not is_guarded(around):
            yield f"{where}: {imported[0]} is not on Windows; catch its ImportError"
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(("/proc", "/tmp", "/dev/", "/usr/"))
        ):
            yield f"{where}: {node.value} is a path of one system"


def test_the_app_needs_nothing_that_one_system_alone_has() -> None:
    assert [fault for path in CODE for fault in faults(path)] == []


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("import os\nos.nice(1)", 1),
        ("import os\nif hasattr(os, 'nice'):\n    os.nice(1)", 0),
        ("import fcntl", 1),
        ("try:\n    import fcntl\nexcept ImportError:\n    pass", 0),
        ("from resource import getrusage", 1),
        ("import signal\nsignal.alarm(signal.SIGALRM)", 2),
        ("path.read_text()\npath.write_text('text')\npath.open('w')\nopen('name')", 4),
        ("path.read_text(encoding='utf-8')\npath.open('rb')\npath.open()\nopen('name', 'wb')", 0),
        ("run('ls', shell=True)", 1),
        ("path = '/proc/self'", 1),
    ],
)
def test_the_search_finds_what_it_should(code: str, number: int, tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(code, encoding="utf-8")
    assert len([*faults(path)]) == number


def test_an_index_is_built_where_no_file_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a folder cannot be removed while a file in it is open."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    removed: list[list[str]] = []
    rmtree = tidy.shutil.rmtree

    def remove(folder: Path) -> None:
        removed.append([path.name for path in folder.iterdir() if path.name == "lock"])
        rmtree(folder)

    monkeypatch.setattr(tidy.shutil, "rmtree", remove)
    write_toy_photos(tmp_path / "photos", count=2)
    path = tmp_path / "an.index.safetensors"
    index = build(toy_model(), open_set(tmp_path / "photos"), checkpoint="0" * 64, working_size=32, path=path)
    assert index.images == 2
    assert removed == [[]]


def told_and_laid_out(codebook: np.ndarray, settings: ProjectionSettings, *, progress: Progress) -> Projection:
    """As `umap` does, in no time: it says how far it is, and lays the codes out."""
    for done in range(0, 101, 50):
        progress(done, 100, "Layout")
    return pca(codebook)


def test_a_map_is_made_though_its_progress_is_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a file that somebody has open is not replaced."""
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if Path(target).name == PROGRESS_FILE:
            raise PermissionError
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(projection_worker, "end_with_parent", lambda exchange: None)
    monkeypatch.setattr(projection_worker, "umap", told_and_laid_out)
    monkeypatch.setattr(projection_worker.os, "nice", lambda by: None, raising=False)
    codebook, settings = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), ProjectionSettings()
    np.save(tmp_path / CODEBOOK_FILE, codebook)
    (tmp_path / SETTINGS_FILE).write_text(json.dumps(settings.to_dict()), encoding="utf-8")
    projection_worker.serve(tmp_path)
    assert load_projection([tmp_path], projection_key(codebook, settings), codes=40)
