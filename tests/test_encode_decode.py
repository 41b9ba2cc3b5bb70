"""python -m explorer encode and decode: an image as a file of codes, and files of codes that are none."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.cli import main as cli
from tests.conftest import ROOT
from tests.toy_tokenizers import MAKERS, two_levels
from tests.toys import assert_one_sentence, toy_model, toy_pixels
from vqvae import checkpoint, code_file
from vqvae.errors import BadInput
from vqvae.images import to_pixels, to_tensor
from vqvae.tokenizer import reconstruct

TOYS = ROOT / "tests" / "toy_tokenizers.py"


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photo.png of 29 × 42 pixels and checkpoints/toy."""
    Image.fromarray(toy_pixels(29, 42)).save(tmp_path / "photo.png")
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_and_back(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["encode", "toy", "photo.png", "-o", "out/codes.npz"]) == 0
    assert cli.main(["decode", str(where / "checkpoints" / "toy"), "-o", "out/image.npy", "out/codes.npz"]) == 0
    assert cli.main(["decode", "toy", "out/codes.npz", "-o", "out/image.png"]) == 0
    printed = capsys.readouterr()
    assert "grid: 8 × 11 cells" in printed.out
    assert "written: out/codes.npz" in printed.out
    assert printed.err == ""
    model, image = toy_model(), to_tensor(toy_pixels(29, 42))
    with np.load("out/codes.npz", allow_pickle=False) as file:
        assert sorted(file) == ["level0", "size"]
        assert file["level0"].dtype == np.int64
        assert np.array_equal(file["level0"], model.encode(image).grid[0].numpy())
        assert file["size"].tolist() == [29, 42]
    expected = reconstruct(model, image)
    decoded = np.load("out/image.npy")
    assert decoded.dtype == np.float32
    assert decoded.shape == (29, 42, 3)
    np.testing.assert_allclose(decoded, expected[0].movedim(0, -1).numpy(), atol=1e-6)
    assert np.array_equal(np.asarray(Image.open("out/image.png")), to_pixels(expected)[0])


@pytest.mark.parametrize("name", MAKERS)
def test_any_number_of_levels_and_rows(name: str, where: Path) -> None:
    for only, size in (("row_of_tokens", (32, 32)), ("one_size", (48, 64))):
        if name == only:
            Image.fromarray(toy_pixels(*size)).save("photo.png")
    tokenizer = ["--tokenizer", f"{TOYS}:{name}"]
    assert cli.main(["encode", *tokenizer, "photo.png", "-o", "codes.npz"]) == 0
    assert cli.main(["decode", "codes.npz", f"--tokenizer={TOYS}:{name}", "-o", "image.npy", "--device", "cpu"]) == 0
    image = np.asarray(Image.open("photo.png"))
    assert np.load("image.npy").shape == image.shape
    assert np.abs(np.load("image.npy") - image / 255).mean() < 0.2
    with np.load("codes.npz") as file:
        assert len(file) == 3 if name == "two_levels" else 2


def test_an_image_that_needs_conversion_is_read_as_the_app_reads_it(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save("clear.png")
    assert cli.main(["encode", "toy", "clear.png", "-o", "codes.npz"]) == 0
    assert "Transparent parts are laid over white." in capsys.readouterr().out


def test_encoding_again_writes_the_same_bytes(where: Path) -> None:
    for name in ("a.npz", "b.npz"):
        assert cli.main(["encode", "toy", "photo.png", "-o", name]) == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode", "nothing", "photo.png", "-o", "codes.npz"], "no checkpoint 'nothing'"),
        (["encode", "toy", "nothing.png", "-o", "codes.npz"], "nothing.png cannot be used (no such file or directory)"),
        (["encode", "toy", "checkpoints", "-o", "codes.npz"], "checkpoints cannot be used (is a directory)"),
        (["render", "a\nb.json", "-o", "image.png"], "a\\nb.json cannot be used"),
        (["encode", "toy", "checkpoints/toy/config.json", "-o", "codes.npz"], "not an image"),
        (["decode", "toy", "photo.png", "-o", "image.png"], "not in NumPy's .npz format"),
        (["decode", "toy", "nothing.npz", "-o", "image.png"], "nothing.npz"),
        (["encode", "--tokenizer", "no.py:load", "photo.png", "-o", "codes.npz"], "There is no file"),
        (["encode", "--tokenizer", f"{TOYS}:row_of_tokens", "photo.png", "-o", "codes.npz"], "32 × 32 pixels"),
        (["encode", "toy", "photo.png", "-o", "codes.npz", "--device", "abacus"], "There is no device 'abacus'"),
    ],
)
def test_faults_are_one_line(arguments: list[str], words: str, where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: ")
    assert words in printed.err
    assert_one_sentence(printed.err.removeprefix("error: ").removesuffix("\n"))
    assert not Path("codes.npz").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "toy", "photo.png", "-o", "codes.npy"],
        ["decode", "toy", "codes.npz", "-o", "image.jpg"],
        ["encode", "photo.png", "-o", "codes.npz"],
        ["encode", "toy", "photo.png", "--tokenizer", "a.py:b", "-o", "codes.npz"],
        ["index", "photos", "--checkpoint", "toy", "--tokenizer", "a.py:b"],
    ],
)
def test_a_command_line_that_cannot_be(arguments: list[str], where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.main(arguments)
    assert refusal.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_other_commands_take_a_tokenizer_too(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (where / "photos").mkdir()
    Image.fromarray(toy_pixels(29, 42)).save(where / "photos" / "a.png")
    tokenizer = ["--tokenizer", f"{TOYS}:global_decoder", "--size", "32"]
    assert cli.main(["index", "photos", *tokenizer, "--out", "indexes"]) == 0
    assert "codes used" in capsys.readouterr().out
    two = ["--tokenizer", f"{TOYS}:two_levels", "--size", "32"]
    assert cli.main(["index", "photos", *two, "--out", "indexes"]) == 2
    assert "2 levels" in capsys.readouterr().err


# --- files that are none ----------------------------------------------------------------------------------------------


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def array(value: object, *, pickled: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=pickled)
    return buffer.getvalue()


def header(shape: str, dtype: str = "<i8") -> bytes:
    """A .npy file of a header alone."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("went-off"),))


TOP, BOTTOM, SIZE = np.zeros((2, 3), np.int64), np.zeros((4, 6), np.int64), np.array([13, 22])
SOUND = {"level0": array(TOP), "level1": array(BOTTOM), "size": array(SIZE)}


def test_sound_files_come_in_several_forms() -> None:
    spec = two_levels().spec
    codes = code_file.from_bytes(archive(**SOUND), spec)
    assert codes.size == (13, 22)
    assert [list(grid.shape) for grid in codes.indices] == [[1, 2, 3], [1, 4, 6]]
    assert code_file.decode(two_levels(), codes).shape == (1, 3, 13, 22)
    without_size = {name: value for name, value in SOUND.items() if name != "size"}
    assert code_file.from_bytes(archive(**without_size), spec).size == (16, 24)
    small = array(np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(4, 6)))
    bottom = code_file.from_bytes(archive(**{**SOUND, "level1": small}), spec).indices[1]
    assert torch.equal(bottom, torch.arange(24).view(1, 4, 6))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level1": None}, "lacks the array 'level1'"),
        ({"level2": array(TOP)}, "an array 'level2' that this tokenizer does not know"),
        ({"level0": array(TOP.astype(np.float32))}, "holds float32"),
        ({"level0": array(np.array([Bomb()], object), pickled=True)}, "holds pickled objects"),
        ({"level0": array(TOP.astype(bool))}, "holds bool"),
        ({"level0": array(np.array("x"))}, "holds <U1"),
        ({"level0": array(TOP[0])}, "has the shape [3] and has to be a grid"),
        ({"level0": array(TOP[None])}, "has the shape [1, 2, 3]"),
        ({"level0": array(TOP[:0])}, "has the shape [0, 3]"),
        ({"level0": array(TOP - 1)}, "codes from -1 to -1"),
        ({"level0": array(TOP + 32)}, "codes from 32 to 32; they are 0 to 31"),
        ({"level0": array((TOP - 1).astype(np.uint64))}, "18,446,744,073,709,551,615"),
        ({"level0": array(np.zeros((2, 4), np.int64))}, "'level1' has the shape [4, 6] and has to be [4, 8]"),
        ({"size": array(np.array([13, 13]))}, "'size' does not fit grids of 16 × 24 pixels"),
        ({"size": array(np.array([17, 22]))}, "'size' does not fit"),
        ({"size": array(np.array([13, 22, 3]))}, "'size' does not fit"),
        ({"size": array(np.array(13))}, "'size' does not fit"),
        ({"level0": header("(10000000000, 10000000000)")}, "is cut off"),
        ({"level0": header("(-1, -6)") + bytes(48)}, "is cut off"),
        ({"level0": header("(2, 3)") + bytes(40)}, "is cut off"),
        ({"level0": header("(2, 3)", "O") + bytes(48)}, "pickled objects"),
        ({"level0": header("(2, __import__('os'))")}, "is no NumPy array"),
        ({"level0": b"\x93NUMPY\x09\x00"}, "is no NumPy array"),
        ({"level0": b"text"}, "is no NumPy array"),
        (
            {"level0": array(np.zeros((3000, 3000), np.uint8)), "level1": array(np.zeros((6000, 6000), np.uint8))},
            "large",
        ),
        ({f"level{number}": array(TOP) for number in range(70)}, "64 arrays"),
        ({"level0": array(np.zeros(140 << 20, np.uint8))}, "128 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_none(
    changes: dict[str, bytes | None], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members = {name: content for name, content in {**SOUND, **changes}.items() if content is not None}
    with pytest.raises(BadInput) as refusal:
        code_file.from_bytes(archive(**members), two_levels().spec)
    assert words in assert_one_sentence(refusal)
    assert not Path("went-off").exists()


def test_damaged_archives() -> None:
    sound = archive(**SOUND)
    spec = two_levels().spec
    generator = np.random.default_rng(0)
    for data in (b"", b"PK", sound[:-30], sound[: len(sound) // 2], b"\0" * 100):
        with pytest.raises(BadInput) as refusal:
            code_file.from_bytes(data, spec)
        assert_one_sentence(refusal)
    for _ in range(300):
        data = bytearray(sound)
        for place in generator.integers(0, len(data), 4):
            data[place] = generator.integers(0, 256)
        try:
            code_file.from_bytes(bytes(data), spec)
        except BadInput as refusal:
            assert_one_sentence(refusal)
