"""A pickle is loaded when it is weights and nothing but; anything else is named, and nothing of it runs."""

import argparse
import collections
import io
import pathlib
import pickle
import random
import struct
import sys
import time
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.toys import assert_one_sentence
from vqvae import pickles
from vqvae.errors import BadInput

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2).bfloat16()}


def saved(path: Path, tree: Any, *, legacy: bool = False) -> Path:
    torch.save(tree, path, _use_new_zipfile_serialization=not legacy)
    return path


def archive(path: Path, data: bytes, *, records: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    """A zip like torch.save's whose pickle is written by hand."""
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in {"data.pkl": data, "byteorder": b"little", "version": b"3", **(records or {})}.items():
            target.writestr(f"model/{name}", content)
    return path


def refused(path: Path) -> str:
    """Loading is refused in one sentence and under two seconds of work, and torch is left as it was."""
    before, started = set(torch.serialization.get_safe_globals()), time.thread_time()
    with pytest.raises(BadInput) as refusal:
        pickles.load(path)
    assert time.thread_time() - started < 2
    assert set(torch.serialization.get_safe_globals()) == before
    return assert_one_sentence(refusal)


@contextmanager
def invented(*names: str) -> Iterator[list[type]]:
    """Classes under modules that are not installed, there only while something is pickled."""
    classes, modules = [], []
    for name in names:
        module_name, _, class_name = name.rpartition(".")
        bases = (dict,) if class_name == "AttributeDict" else ()
        made = type(class_name, bases, {"__module__": module_name})
        parts = module_name.split(".")
        for parent in (".".join(parts[: n + 1]) for n in range(len(parts))):
            if parent not in sys.modules:
                sys.modules[parent] = types.ModuleType(parent)
                modules.append(parent)
        setattr(sys.modules[module_name], class_name, made)
        classes.append(made)
    try:
        yield classes
    finally:
        for module in modules:
            del sys.modules[module]


# What is loaded


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_come_back_to_the_bit(legacy: bool, tmp_path: Path) -> None:
    loaded = pickles.load(saved(tmp_path / "m.pt", {"state_dict": WEIGHTS, "epoch": 3}, legacy=legacy))
    assert loaded["epoch"] == 3
    assert all(torch.equal(loaded["state_dict"][name], tensor) for name, tensor in WEIGHTS.items())
    assert loaded["state_dict"]["a.bias"].dtype == torch.bfloat16


@pytest.mark.parametrize("legacy", [False, True])
def test_what_lies_beside_weights_is_put_aside(legacy: bool, tmp_path: Path) -> None:
    tree = {
        "w": torch.nn.Parameter(torch.ones(2)),
        "conv": torch.nn.Conv2d(1, 1, 1).state_dict(),
        "args": argparse.Namespace(lr=1.0, out=pathlib.Path("x")),
        "score": np.float64(0.5),
        "array": np.ones(3),
        "milestones": collections.Counter([1, 2]),
        "default": collections.defaultdict(list, a=[1]),
        "sizes": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "kind": torch.float16,
        "set": {1, 2},
        "bytes": b"abc",
        "huge": 2**60,
    }
    loaded = pickles.load(saved(tmp_path / "m.pt", tree, legacy=legacy))
    assert torch.equal(loaded["w"], torch.ones(2)) and loaded["conv"].keys() == {"weight", "bias"}
    assert isinstance(loaded["args"], pickles.Inert) and isinstance(loaded["array"], pickles.Inert)
    assert not vars(loaded["args"])


def test_lightning_and_omegaconf_need_not_be_installed(tmp_path: Path) -> None:
    names = (
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "pytorch_lightning.utilities.parsing.AttributeDict",
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.nodes.AnyNode",
    )
    with invented(*names) as (checkpointing, attributes, config, node):
        made = config()
        made.__dict__.update(_content={"lr": node()}, _parent=None)
        tree = {
            "state_dict": WEIGHTS,
            "callbacks": {checkpointing: {"best": 1.0}},
            "hyper_parameters": attributes(lr=1e-4),
            "config": made,
        }
        path = saved(tmp_path / "m.ckpt", tree)
    assert "omegaconf" not in sys.modules
    loaded = pickles.load(path)
    assert torch.equal(loaded["state_dict"]["a.weight"], WEIGHTS["a.weight"])
    assert loaded["hyper_parameters"] == {"lr": 1e-4} and isinstance(loaded["config"], pickles.Inert)


def test_stand_ins_do_nothing() -> None:
    stand_in = pickles.Inert("a", 3)
    stand_in.__setstate__({"__class__": int, "x": 1})
    assert type(stand_in) is pickles.Inert and not vars(stand_in)
    assert pickles.InertDict(list) == {}


def test_only_weights_and_named_stand_ins_are_allowed() -> None:
    modules = {name.rpartition(".")[0] for name in pickles._ALLOWED}
    assert not modules & {"os", "posix", "sys", "subprocess", "importlib", "functools", "operator", "copyreg", "nt"}
    callable_builtins = {name for name in pickles._ALLOWED if name.startswith("builtins.")} - pickles.INERT
    assert callable_builtins == {"builtins.set"}


# What would run is named, and does not


def touch(path: Path, name: str = "posix\nsystem") -> dict[str, bytes]:
    """Pickles that would create a file, each in another of the machine's ways."""
    line, text = name.encode(), f"touch {path}".encode()
    string = b"X" + struct.pack("<I", len(text)) + text
    short = [b"\x8c" + bytes([len(part)]) + part for part in line.split(b"\n")]
    return {
        "reduce": b"\x80\x02c" + line + b"\n" + string + b"\x85R.",
        "protocol 0": b"c" + line + b"\n(S'" + text + b"'\ntR.",
        "inst": b"(S'" + text + b"'\ni" + line + b"\n.",
        "obj": b"\x80\x02(c" + line + b"\n" + string + b"o.",
        "newobj": b"\x80\x02c" + line + b"\n" + string + b"\x85\x81.",
        "newobj_ex": b"\x80\x04c" + line + b"\n" + string + b"\x85}\x92.",
        "build": b"\x80\x02c" + line + b"\n" + string + b"\x85R}b.",
        "stack_global": b"\x80\x04" + short[0] + short[1] + b"\x93" + string + b"\x85R.",
        "memo": b"\x80\x04" + short[0] + b"\x940" + short[1] + b"\x940h\x00h\x01\x93" + string + b"\x85R.",
    }


@pytest.mark.parametrize("way", touch(Path("x")))
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_call_is_named_and_not_made(way: str, wrapped: bool, tmp_path: Path) -> None:
    data = touch(tmp_path / "marker")[way]
    path = tmp_path / "m.pt"
    if wrapped:
        archive(path, data)
    else:
        path.write_bytes(data)
    assert "would run posix.system" in refused(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("way", touch(Path("x")))
def test_a_call_in_a_legacy_file_is_named_and_not_made(way: str, tmp_path: Path) -> None:
    start = pickles.LEGACY_MAGIC + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    (tmp_path / "m.pt").write_bytes(start + touch(tmp_path / "marker")[way] + pickle.dumps([], 2))
    assert "would run posix.system" in refused(tmp_path / "m.pt")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("os\nsystem", "subprocess\nPopen", "builtins\neval", "__builtin__\nexec", "builtins\ngetattr", "nt\nsystem"),
        *("torch\nload", "torch.hub\nload", "torch\nzeros", "torch.storage\n_load_from_bytes", "torch.nn\nLinear"),
        *("torch\nTensor", "torch\nFloatTensor", "torch._utils\n_rebuild_parameter_with_state", "builtins\nbytearray"),
        *("numpy\nload", "numpy\nzeros", "functools\npartial", "operator\nattrgetter", "copyreg\n_reconstructor"),
        *("torch.jit\nload", "torch.storage\nUntypedStorage", "torch._tensor\n_rebuild_from_type_v2", "\n", "a b\nc d"),
        *("collections.OrderedDict\nfromkeys", "pathlib\nPath.unlink", "torch._utils\n__builtins__", "é\n\x1b[31m"),
        *("pytorch_lightning.callbacks.model_checkpoint\nos", "taming.models.vqgan\nVQModel", "x" * 5000 + "\ny"),
    ],
)
def test_whatever_is_not_named_here_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    message = refused(archive(tmp_path / "m.pt", b"\x80\x02c" + name.encode() + b"\n)R."))
    assert "would run" in message or "damaged" in message
    if name.isascii() and name.replace("\n", "").replace(".", "").replace("_", "").isalpha() and len(name) < 80:
        assert name.split("\n")[1] in message


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\x01", b"\x84\x01\x00\x00\x00"])
def test_extension_codes_are_refused(code: bytes, tmp_path: Path) -> None:
    assert "extension code" in refused(archive(tmp_path / "m.pt", b"\x80\x02" + code + b".")), code


IDENTITIES: list[tuple[Any, ...] | Any] = ["x", 3, (), ("module", 1, 2), ("storage",), ("storage", 1, "0", "cpu", 3)]


@pytest.mark.parametrize("identity", IDENTITIES, ids=range(len(IDENTITIES)))
def test_other_persistent_ids_are_refused(identity: Any, tmp_path: Path) -> None:
    data = pickle.dumps(identity, 2)[:-1] + b"Q."
    assert "persistent id" in refused(archive(tmp_path / "m.pt", data))
    assert "persistent id" in refused(archive(tmp_path / "m.pt", b"Pname\n."))


def test_a_pickled_model_is_code_and_is_refused(tmp_path: Path) -> None:
    message = refused(saved(tmp_path / "m.pt", torch.nn.Linear(2, 2)))
    assert "would run torch.nn.modules.linear.Linear" in message and "state_dict()" in message


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantized"),
        (lambda: torch.empty(2, device="meta"), "meta device"),
        (lambda: torch.ones(2).to(torch.float8_e4m3fn), "few bits"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_plain_weights_are_refused(
    make: Callable[[], torch.Tensor], said: str, tmp_path: Path
) -> None:
    assert said in refused(saved(tmp_path / "m.pt", {"w": make()}))


# What would take time or memory


def called(name: str, argument: bytes) -> bytes:
    return b"\x80\x02c" + name.encode() + b"\n" + argument + b"R."


def deep(levels: int) -> bytes:
    return b"\x80\x02)" + b"\x85" * levels


STORAGE = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"  # of 4 numbers
BOMBS: dict[str, bytes] = {
    "a tower of tuples": deep(600_000) + b".",
    "a tower as a key": b"\x80\x02}" + deep(100_000)[2:] + b"Ns.",
    "a tower in a set": called("__builtin__\nset", deep(100_000)[2:] + b"\x85"),
    "a set that repeats": called("__builtin__\nset", b"]q\0(" + b"K\1" * 90_000 + b"e\x85R0" + b"h\0\x85" * 1),
    "doubling": b"\x80\x02K\1" + b"q\0h\0\x86" * 60 + b".",
    "doubling as a name": b"\x80\x02}K\1" + b"q\0h\0\x86" * 60 + b"Ns.",
    "many steps": b"\x80\x02" + b"N0" * 400_000 + b"N.",
    "many empty lists": b"\x80\x02" + b"]" * 600_000 + b".",
    "a huge integer": b"\x80\x02\x8b" + struct.pack("<i", 5_000_000) + b"\x7f" * 5_000_000 + b".",
    "a long integer": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
    "digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a string that is not there": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes that are not there": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc.",
    "a memo far away": b"\x80\x02Nr\xff\xff\xff\xff.",
    "codecs": called("_codecs\nencode", b"X\x01\0\0\0aX\x03\0\0\0hex\x86"),
    "a counter": called("collections\nCounter", b"X\x01\0\0\0a\x85"),
    "nothing on the stack": b"\x80\x02R.",
    "no mark": b"\x80\x02t.",
    "no memo": b"\x80\x02h\x05.",
    "no end": b"\x80\x02N",
    "state for nothing": b"\x80\x02]}b.",
    "an attribute of a class": b"\x80\x02ccollections\nOrderedDict\n}b.",
    "a call of a result": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
    "a type of numbers called": called("torch\nfloat32", b")"),
    "an expanded tensor": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
    + STORAGE
    + b"K\x00J\xff\xff\xff\x7f\x85K\x01\x85\x89}tR.",
}


HARMLESS = ("doubling", "a memo far away")  # shared and not copied, a key of a dict; there are no weights in them


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_time(bomb: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", BOMBS[bomb], records={"data/0": bytes(16)})
    if bomb in HARMLESS:
        assert not isinstance(pickles.load(path), dict)
    else:
        refused(path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("numel", [5, 10**12, 2**62, -1])
def test_a_storage_larger_than_its_file_is_refused(numel: int, legacy: bool, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", {"w": torch.ones(4)}, legacy=legacy)
    wanted = pickle.dumps(numel, 2)[2:-1]
    pattern, replaced = b"cpuq\x06K\x04", b"cpuq\x06" + wanted
    if legacy:
        data = path.read_bytes()
        assert b"K\x04" in data
        path.write_bytes(data.replace(b"K\x04N", wanted + b"N"))
    else:
        with zipfile.ZipFile(path) as found:
            data = found.read("m/data.pkl")
        assert pattern in data
        archive(path, data.replace(pattern, replaced), records={"data/0": bytes(16)})
    refused(path)


def test_a_zip_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.bin", bytes(50 << 20), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "compressed" in refused(path)


def lied(data: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """The archive with every entry of its directory changed."""
    changed, at = bytearray(data), data.find(b"PK\x01\x02")
    while at >= 0:
        change(changed, at)
        at = data.find(b"PK\x01\x02", at + 1)
    return bytes(changed)


LIES: dict[str, Callable[[bytearray, int], None]] = {
    "huge": lambda data, at: struct.pack_into("<2L", data, at + 20, 0xFFFFFFF0, 0xFFFFFFF0),
    "two sizes": lambda data, at: struct.pack_into("<L", data, at + 24, 1 << 30),
    "encrypted": lambda data, at: struct.pack_into("<H", data, at + 8, 1),
    "method": lambda data, at: struct.pack_into("<H", data, at + 10, 8),
    "unknown method": lambda data, at: struct.pack_into("<H", data, at + 10, 77),
    "place": lambda data, at: struct.pack_into("<L", data, at + 42, 0xFFFFFFF0),
    "same place": lambda data, at: struct.pack_into("<L", data, at + 42, 0),
    "name": lambda data, at: data.__setitem__(at + 46, 0xFF),
    "long name": lambda data, at: struct.pack_into("<H", data, at + 28, 0xFFFF),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_directory_that_lies_is_refused(lie: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", pickle.dumps({}, 2))
    path.write_bytes(lied(path.read_bytes(), LIES[lie]))
    refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["model/data.pkl", "model/DATA.pkl", "other/data.pkl"])
def test_two_pickles_in_one_archive_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", pickle.dumps({}, 2))
    with zipfile.ZipFile(path, "a") as target:
        target.writestr(name, touch(tmp_path / "marker")["reduce"])
    refused(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.filterwarnings("ignore")
def test_other_zips_are_refused_with_their_reason(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.bin", "w") as target:
        target.writestr("photos/1.png", b"x")
    assert "not one of torch.save" in refused(tmp_path / "photos.bin")
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(2)), tmp_path / "script.pt")
    assert "TorchScript" in refused(tmp_path / "script.pt")
    with zipfile.ZipFile(tmp_path / "empty.bin", "w"):
        pass
    refused(tmp_path / "empty.bin")


# What is damaged


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_cut_off_anywhere_is_refused(legacy: bool, tmp_path: Path) -> None:
    data = saved(tmp_path / "m.pt", {"state_dict": WEIGHTS}, legacy=legacy).read_bytes()
    for cut in range(0, len(data), max(1, len(data) // 60)):
        (tmp_path / "cut.pt").write_bytes(data[:cut])
        refused(tmp_path / "cut.pt")


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_load_or_are_refused_and_nothing_else(legacy: bool, tmp_path: Path) -> None:
    data, chance = saved(tmp_path / "m.pt", {"state_dict": WEIGHTS}, legacy=legacy).read_bytes(), random.Random(0)
    refusals = 0
    for _ in range(200):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 9))):
            broken[chance.randrange(len(broken))] = chance.choice((0, 255, ord("c"), ord("R"), chance.randrange(256)))
        (tmp_path / "m.pt").write_bytes(broken)
        try:
            pickles.load(tmp_path / "m.pt")
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
    assert refusals > 0


def test_damaged_pickles_in_a_sound_archive_load_or_are_refused(tmp_path: Path) -> None:
    path, chance = saved(tmp_path / "m.pt", {"state_dict": WEIGHTS}), random.Random(1)
    with zipfile.ZipFile(path) as found:
        content = {name.removeprefix("m/"): found.read(name) for name in found.namelist()}
    opcodes = b"cR\x81b()]}tesuqhQ0.\x85\x86N\x88K\x8aX"
    for _ in range(250):
        broken = bytearray(content["data.pkl"])
        for _ in range(chance.choice((1, 2, 4))):
            broken[chance.randrange(len(broken))] = chance.choice((chance.choice(opcodes), chance.randrange(256)))
        archive(path, bytes(broken), records={name: data for name, data in content.items() if name != "data.pkl"})
        try:
            pickles.load(path)
        except BadInput as refusal:
            assert_one_sentence(refusal)


def test_random_bytes_are_no_weights(tmp_path: Path) -> None:
    chance = random.Random(2)
    for size in (0, 1, 3, 4, 15, 16, 22, 98, 1000, 100_000):
        for start in (b"", pickles.ZIP_MAGIC, pickles.LEGACY_MAGIC, b"\x80\x02", b"(dp0\n"):
            (tmp_path / "m.pt").write_bytes(start + chance.randbytes(size))
            refused(tmp_path / "m.pt")


def test_a_pickle_of_another_protocol_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt", pickle_protocol=4)
    message = refused(tmp_path / "m.pt")
    assert "protocol 4" in message and "torch.save" in message
    (tmp_path / "m.bin").write_bytes(pickle.dumps({"w": [1.0, 2.0]}))
    refused(tmp_path / "m.bin")
    buffer = io.BytesIO()
    pickle.dump({"w": [1.0, 2.0]}, buffer, 2)
    (tmp_path / "m.bin").write_bytes(buffer.getvalue())
    assert "not one of torch.save" in refused(tmp_path / "m.bin")
