"""What pip makes of the project: a wheel with all that the app needs, which works from any folder."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest

import explorer
from tests.browser import free_port
from tests.conftest import ROOT
from tests.toys import toy_pixels
from vqvae.images import to_png

TOP = ("app.py", "pages/", "checkpoints/", ".streamlit/")


def tracked() -> list[str]:
    """The project's files, with those that are not committed yet."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return [name for name in listed if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy of the project: setuptools writes into the folder that it builds from."""
    copy, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    for mine in ("checkpoints/photos/training.safetensors", "checkpoints/mine/config.json", "scratch.py"):
        (copy / mine).parent.mkdir(exist_ok=True)
        (copy / mine).write_text("mine")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--quiet", "--wheel-dir", out, copy], check=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it was installed into; its dependencies are those of the tests."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--quiet"]
    subprocess.run([*pip, "--target", target, wheel], check=True)
    return target


def command(installed: Path, *arguments: object) -> tuple[list[str], dict[str, str]]:
    """How the installed command is called, and in what environment."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    environment.pop("VQVAE_EXPLORER_CHECKPOINTS", None)
    folder = installed / ("Scripts" if (installed / "Scripts").is_dir() else "bin")
    return [str(folder / "vqvae-explorer"), *map(str, arguments)], environment


def run(installed: Path, folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    words, environment = command(installed, *arguments)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_every_file_that_the_app_has_is_in_the_wheel_and_nothing_else_is(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {name for name in tracked() if name.startswith(("explorer/", "vqvae/"))}
    expected |= {f"vqvae_explorer/{name}" for name in tracked() if name.startswith(TOP)}
    assert inside == expected


def test_its_metadata_says_each_thing_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    requirements, more = (
        [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
        for file in ("requirements.txt", "requirements-scale.txt")
    )
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")] == [
        *(f"Requires-Dist: {line}" for line in requirements),
        *(f'Requires-Dist: {line}; extra == "scale"' for line in more),
    ]
    assert "torch==2.13.0" in requirements
    assert f"\nVersion: {explorer.__version__}\n" in metadata
    assert not {"version", "dependencies"} & set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def test_the_command_works_from_any_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(to_png(toy_pixels(40, 56)))
    assert run(installed, tmp_path, "--version").stdout == f"vqvae-explorer {explorer.__version__}\n"
    encoded = run(installed, tmp_path, "encode", "photos", "photo.png", "-o", "codes.npz")
    assert (encoded.returncode, encoded.stderr) == (0, "")
    assert "5 × 7 cells" in encoded.stdout
    decoded = run(installed, tmp_path, "decode", "photos", "codes.npz", "-o", "out.png")
    assert decoded.returncode == 0
    assert (tmp_path / "out.png").exists()
    refused = run(installed, tmp_path, "evaluate", "photos", "nowhere")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")


def test_both_packages_can_be_imported_from_any_folder(installed: Path, tmp_path: Path) -> None:
    _, environment = command(installed)
    program = (
        "import explorer, vqvae; from vqvae.places import checkpoints_folder; from explorer.ui import navigation; "
        "print(explorer.__file__, vqvae.__file__, navigation._FOLDER / 'edit.py', sep='\\n'); "
        "print(sorted(folder.name for folder in checkpoints_folder().iterdir()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert all(Path(file).is_relative_to(installed) and Path(file).exists() for file in printed[:3])
    shipped = {name.split("/")[1] for name in tracked() if name.startswith("checkpoints/")}
    assert printed[3] == str(sorted(shipped))


def test_without_a_command_the_app_opens_on_the_models_that_come_with_it(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    words, environment = command(installed, "--port", port, "--no-browser")
    folder = tmp_path / "empty"
    folder.mkdir()
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        fetch(f"http://localhost:{port}/_stcore/health", server, log)
        assert len(fetch(f"http://localhost:{port}/app/static/inter.woff2", server, log)) > 10_000
        second = run(installed, folder, "--port", port)
        assert second.returncode == 2
        assert f"port {port}" in second.stderr
        if sys.platform != "win32":  # where a process cannot be sent one alone
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 130
    finally:
        server.kill()
        server.wait()
    assert list(folder.iterdir()) == []


def fetch(url: str, server: "subprocess.Popen[bytes]", log: Path) -> bytes:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            try:
                server.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
            break
    raise AssertionError(log.read_text())
