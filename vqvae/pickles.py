"""Weights out of a pickle, and nothing run on the way that is not named here.

A file is judged before torch sees it: by its first bytes and its zip directory, and then by walking its opcodes on a
machine whose values are placeholders. Only what calls nothing but the few functions that rebuild tensors, and what
claims no more memory than the file has bytes, is given to `torch.load(weights_only=True)`.
"""

import io
import mmap
import os
import pickletools
import re
import struct
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Self

import torch

from vqvae.errors import BadInput, shown
from vqvae.images import display_name

LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began a file before version 1.6
ZIP_MAGIC = b"PK\x03\x04"
MOST_PICKLE_BYTES = 16 << 20  # of opcodes; the weights lie elsewhere
MOST_STEPS = 300_000  # a tensor takes about 50, and what an optimizer keeps of it 150
MOST_LEGACY_BYTES = 4 << 30  # read into memory whole
MOST_ENTRIES = 50_000
_CALL_STEPS = 5  # what a call costs, in steps


class Inert:
    """Stands for an object that is no weight: takes whatever arguments and state, and keeps none of it."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class InertDict:
    """Stands for a subclass of dict: makes an ordinary one, which weights can be put into."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


def _named(modules: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for module in modules.split() for name in names.split())


INERT = (
    _named("pytorch_lightning.callbacks lightning.pytorch.callbacks", "model_checkpoint.ModelCheckpoint")
    | _named("pytorch_lightning.callbacks lightning.pytorch.callbacks", "early_stopping.EarlyStopping timer.Timer")
    | _named("omegaconf", "dictconfig.DictConfig listconfig.ListConfig base.ContainerMetadata base.Metadata")
    | _named("omegaconf.nodes", "AnyNode StringNode IntegerNode FloatNode BooleanNode EnumNode BytesNode PathNode")
    | _named("argparse", "Namespace")
    | _named("pathlib pathlib._local", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath")
    | _named("typing", "Any")
    | _named("builtins", "bool int float str bytes list tuple dict")  # as the type of something
    | _named("numpy.core.multiarray numpy._core.multiarray", "scalar _reconstruct")
    | _named("numpy", "dtype ndarray")
)
INERT_DICTS = (
    _named("pytorch_lightning.utilities.parsing lightning.pytorch.utilities.parsing", "AttributeDict")
    | _named("lightning_fabric.utilities.data lightning.fabric.utilities.data", "AttributeDict")
    | _named("collections", "defaultdict")
)
_STORAGE_BYTES = {
    f"torch.{name}Storage": size
    for size, names in {
        1: "Byte Char Bool",
        2: "Half BFloat16 Short",
        4: "Float Int",
        8: "Double Long ComplexFloat",
    }.items()
    for name in names.split()
}
_DTYPES = _named("torch", "float16 bfloat16 float32 float64 half float double uint8 int8 int16 int32 int64 long bool")
_REBUILDERS = _named("torch._utils", "_rebuild_tensor _rebuild_tensor_v2")
_DICTS = {"collections.OrderedDict", "collections.Counter", *INERT_DICTS}
_ALLOWED = (
    {*_STORAGE_BYTES, *_DTYPES, *_REBUILDERS, *_DICTS, *INERT, "builtins.set", "_codecs.encode"}
    | _named("torch", "Size device")
    | _named("torch._utils", "_rebuild_parameter")
)
_NO_WEIGHTS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_tensor_v3": "a tensor of a type with few bits",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor on the meta device, which has no numbers",
    "torch.jit._pickle.restore_type_tag": "TorchScript",
}


def load(path: Path) -> Any:
    """What a regular file of torch.save holds, mapped into memory where it can be; raises BadInput."""
    name = display_name(path.name)
    with path.open("rb") as file:
        start = file.read(len(LEGACY_MAGIC))
        if start.startswith(ZIP_MAGIC):
            contents = _walk_zip(file, name)
            return _torch_load(str(path), contents, name, mapped=True)
        if start == LEGACY_MAGIC:
            contents = _walk_legacy(file, name)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:  # not the file: torch tries tar on those
                return _torch_load(data, contents, name, mapped=False)
        file.seek(0)
        refuse_a_bare_pickle(file.read(MOST_PICKLE_BYTES), name)
        raise BadInput(f"{name} is no file of torch.save; name the one that holds the weights.")


def refuse_a_bare_pickle(data: bytes, name: str) -> None:
    """Raise BadInput, with what it would run, when the bytes are a pickle that torch.save did not write."""
    try:
        for count, _ in enumerate(pickletools.genops(data)):
            if count > MOST_STEPS:
                return
    except (ValueError, IndexError, struct.error):
        return
    _Walk(name).run(io.BytesIO(data))
    raise BadInput(f"{name} is a pickle, but not one of torch.save; save the weights with torch.save.")


def _torch_load(source: Any, walk: "_Walk", name: str, *, mapped: bool) -> Any:
    stubs = [(Inert, full) for full in walk.named & INERT] + [(InertDict, full) for full in walk.named & INERT_DICTS]
    try:
        with torch.serialization.safe_globals(stubs):  # type: ignore[arg-type]
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception:  # whatever torch makes of a file that only looked right: it has many words for it
        raise _damaged(name) from None


def _damaged(name: str) -> BadInput:
    return BadInput(f"{name} is damaged or cut off; copy it again.")


# Zip archives, torch 1.6 and later


def _walk_zip(file: BinaryIO, name: str) -> "_Walk":
    sizes = _zip_sizes(file, name)
    root = next(iter(sizes)).split("/")[0]
    with zipfile.ZipFile(file) as archive:
        try:
            data = archive.read(f"{root}/data.pkl")
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
            raise _damaged(name) from None
    walk = _Walk(name)
    walk.run(io.BytesIO(data))
    for key, size in walk.storages.items():
        if sizes.get(f"{root}/data/{key}", -1) < size:
            raise _damaged(name)
    return walk


def _zip_sizes(file: BinaryIO, name: str) -> dict[str, int]:
    """The entries of an archive that torch.save wrote and their sizes; nothing is inflated, raises BadInput."""
    size = file.seek(0, os.SEEK_END)
    entries, directory_bytes, directory_at = _zip_end(file, size, name)
    if entries > MOST_ENTRIES or directory_bytes > 512 * MOST_ENTRIES:
        raise BadInput(f"{name} is a zip of {entries:,} entries, more than any checkpoint has; name another file.")
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if archive.start_dir != directory_at or len(infos) != entries or not infos:
                raise _damaged(name)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        raise _damaged(name) from None
    root = infos[0].filename.split("/")[0]
    names = {info.filename.removeprefix(f"{root}/") for info in infos}
    if any(info.flag_bits & 1 for info in infos):
        raise BadInput(f"{name} is an encrypted zip; decrypt it first.")
    if "constants.pkl" in names or any(entry.startswith("code/") for entry in names):
        raise BadInput(
            f"{name} is a TorchScript archive, which is code; save the model's state_dict() with torch.save."
        )
    if "data.pkl" not in names:
        raise BadInput(f"{name} is a zip, but not one of torch.save; unpack it and name the file with the weights.")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise BadInput(f"{name} is a zip with compressed entries, which torch.save never writes; save it anew.")
    odd = (info.compress_size != info.file_size or not info.filename.startswith(f"{root}/") for info in infos)
    plain = {info.orig_filename.lower() for info in infos}  # torch looks entries up without regard to case
    if any(odd) or len(plain) < len(infos) or sum(info.file_size for info in infos) > size:
        raise _damaged(name)
    sizes = {info.filename: info.file_size for info in infos}
    if sizes[f"{root}/data.pkl"] > MOST_PICKLE_BYTES:
        raise BadInput(f"{name} has a pickle of over 16 MiB; save the model's state_dict() alone.")
    return sizes


def _zip_end(file: BinaryIO, size: int, name: str) -> tuple[int, int, int]:
    """Entries, bytes and place of the directory, from the records at the very end, where torch writes them."""
    tail_at = max(0, size - 98)  # zip64 record, its locator, and the end record
    file.seek(tail_at)
    tail = file.read(98)
    if len(tail) < 22 or tail[-22:-18] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        raise _damaged(name)
    entries, directory_bytes, directory_at = struct.unpack("<H2L", tail[-12:-2])
    if len(tail) == 98 and tail[56:60] == b"PK\x06\x07":
        (record_at,) = struct.unpack("<Q", tail[64:72])
        if record_at != tail_at or tail[:4] != b"PK\x06\x06":
            raise _damaged(name)
        entries, directory_bytes, directory_at = struct.unpack("<3Q", tail[32:56])
    return entries, directory_bytes, directory_at


# Files before torch 1.6: five pickles in a row, and then the numbers


def _walk_legacy(file: BinaryIO, name: str) -> "_Walk":
    size = file.seek(0, os.SEEK_END)
    if size > MOST_LEGACY_BYTES:
        raise BadInput(f"{name} is over 4 GiB in the format of before torch 1.6; save it again with torch.save.")
    file.seek(len(LEGACY_MAGIC))
    head = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    walk = _Walk(name)
    for _ in range(3):  # the protocol's version, facts about the system, what was saved
        walk.run(head)
    keys = walk.run(head)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _damaged(name)
    if sum(walk.storages.values()) > size:
        raise _damaged(name)
    return walk


# The walk


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    elements: int


@dataclass
class _Made:
    """What a call, or an empty container, stands for on the walk's stack."""

    by: str
    size: int = 0  # entries put into it


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NUMBERS_AND_TEXT = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OF_OTHER_PROTOCOLS = {  # torch does not load them; the walk knows them to name what such a pickle would run
    *("INT", "LONG", "LONG4", "STRING", "BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "FLOAT"),
}


@dataclass
class _Walk:
    """A pickle's machine on which nothing happens: what it would call and how much memory its tensors would claim.

    Raises BadInput at the first step that is not one of an ordinary checkpoint.
    """

    file: str  # as sentences call it
    named: set[str] = field(default_factory=set)  # every global
    storages: dict[str, int] = field(default_factory=dict)  # key -> bytes
    steps: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    foreign: str = ""  # an opcode that torch does not load

    def run(self, stream: BinaryIO) -> Any:
        """Walk one pickle to its end and return the placeholder of what it makes."""
        self.stack, self.marks, self.memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self.spend(1)
                if opcode.name == "STOP":
                    break
                self.step(opcode.name, argument)
            if self.foreign:
                raise self.not_loaded(self.foreign)
            return self.stack.pop()
        except BadInput:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error):
            raise _damaged(self.file) from None

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise BadInput(f"{self.file} takes over {MOST_STEPS:,} steps to unpickle; save the state_dict() alone.")

    def step(self, opcode: str, argument: Any) -> None:
        push = self.stack.append
        if opcode in _NUMBERS_AND_TEXT:
            if isinstance(argument, int) and not -(2**63) <= argument < 2**64:
                raise _damaged(self.file)
            push(argument)
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            push(self.memo[argument])
        elif opcode in _CONSTANTS:
            push(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            push(tuple(self.pop() for _ in range(_TUPLES[opcode]))[::-1])
        elif opcode == "MARK":
            self.marks.append(self.stack)
            self.stack = []
        elif opcode == "TUPLE":
            entries = tuple(self.pop_mark())
            self.stack.append(entries)
        elif opcode == "EMPTY_LIST":
            push([])
        elif opcode in ("EMPTY_DICT", "EMPTY_SET"):
            push(_Made("dict" if opcode == "EMPTY_DICT" else "set"))
        elif opcode in ("APPEND", "APPENDS"):
            items = self.pop_mark() if opcode == "APPENDS" else [self.pop()]
            self.list_on_top().extend(items)
        elif opcode in ("SETITEM", "SETITEMS"):
            items = self.pop_mark() if opcode == "SETITEMS" else [self.pop(), self.pop()][::-1]
            self.put(items[::2], len(items))
        elif opcode == "GLOBAL":
            push(self.found(*argument.split(" ", 1)))
        elif opcode == "REDUCE":
            arguments, function = self.pop(), self.pop()
            self.stack.append(self.called(function, arguments))
        elif opcode == "NEWOBJ":
            _, made = self.pop(), self.pop()
            self.stack.append(self.new(made))
        elif opcode == "BUILD":
            self.pop()
            self.build()
        elif opcode == "BINPERSID":
            push(self.storage(self.pop()))
        elif opcode == "PROTO":
            self.foreign = self.foreign or ("" if argument == 2 else f"protocol {argument}")
        else:
            self.foreign_step(opcode, argument)

    def foreign_step(self, opcode: str, argument: Any) -> None:
        """A step that torch would refuse, walked to find the name of what the pickle is after."""
        self.foreign = self.foreign or opcode
        if opcode in _OF_OTHER_PROTOCOLS:
            self.stack.append(argument)
        elif opcode == "FRAME":
            pass
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in ("PUT", "GET"):
            if opcode == "PUT":
                self.memo[argument] = self.stack[-1]
            else:
                self.stack.append(self.memo[argument])
        elif opcode in ("LIST", "DICT", "FROZENSET"):
            self.pop_mark()
            self.stack.append([] if opcode == "LIST" else _Made("dict"))
        elif opcode == "ADDITEMS":
            self.pop_mark()
        elif opcode in ("POP", "POP_MARK"):
            self.pop_mark() if opcode == "POP_MARK" else self.pop()
        elif opcode == "DUP":
            self.stack.append(self.stack[-1])
        elif opcode == "STACK_GLOBAL":
            name, module = self.pop(), self.pop()
            if not isinstance(name, str) or not isinstance(module, str):
                raise self.refused("something whose name it makes up")
            self.stack.append(self.found(module, name))
        elif opcode == "INST":
            self.pop_mark()
            self.stack.append(_Made(self.found(*argument.split(" ", 1)).name))
        elif opcode in ("EXT1", "EXT2", "EXT4"):
            raise self.refused(f"extension code {argument}")
        elif opcode == "PERSID":
            raise self.refused(f"persistent id {shown(argument)}")
        else:  # OBJ, NEWOBJ_EX and what is yet to be invented
            raise self.not_loaded(opcode)

    def pop(self) -> Any:
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def list_on_top(self) -> list[Any]:
        if not isinstance(self.stack[-1], list):
            raise _damaged(self.file)
        return self.stack[-1]

    def refused(self, what: str) -> BadInput:
        return BadInput(
            f"{self.file} would run {what} when it is opened, and only weights are read; "
            "save the model's state_dict() with torch.save."
        )

    def not_loaded(self, how: str) -> BadInput:
        return BadInput(
            f"{self.file} is pickled in a way that torch does not load as weights ({how}); "
            "save it again with torch.save and its own pickle protocol."
        )

    def found(self, module: str, name: str) -> _Global:
        if (module, name) in NAME_MAPPING:  # Python 2's names, which protocol 2 is written with
            module, name = NAME_MAPPING[module, name]
        full = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        if full in _NO_WEIGHTS:
            raise BadInput(f"{self.file} holds {_NO_WEIGHTS[full]}; save its weights as dense floats.")
        if full not in _ALLOWED:
            raise self.refused(full if re.fullmatch(r"[\w.]{1,80}", full) else shown(full, longest=80))
        self.named.add(full)
        return _Global(full)

    def put(self, keys: Collection[Any], entries: int) -> None:
        """Entries into the dict on top; a key is hashed, so it must not be a tower of tuples."""
        target = self.stack[-1]
        simple = all(key is None or isinstance(key, str | int | float | _Global) for key in keys)
        if entries % 2 or not simple or not isinstance(target, _Made) or target.by not in {"dict", *_DICTS}:
            raise _damaged(self.file)
        target.size += entries

    def called(self, function: Any, arguments: Any) -> _Made:
        self.spend(_CALL_STEPS)
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise _damaged(self.file)
        name = function.name
        if name in _REBUILDERS:
            fits = len(arguments) >= 4 and self.is_inside_its_storage(*arguments[:4])
        elif name == "torch._utils._rebuild_parameter":
            fits = len(arguments) == 3 and isinstance(arguments[0], _Made) and arguments[0].by in _REBUILDERS
        elif name == "collections.OrderedDict":
            fits = not arguments
        elif name == "collections.Counter":
            fits = len(arguments) == 1 and isinstance(arguments[0], _Made) and arguments[0].by == "dict"
            self.spend(arguments[0].size if fits else 0)
        elif name in ("builtins.set", "torch.Size"):
            fits = len(arguments) == 1 and isinstance(arguments[0], list | tuple)
            fits = fits and all(isinstance(item, str | int | float) for item in arguments[0])
            self.spend(len(arguments[0]) if fits else 0)
        elif name == "torch.device":
            fits = len(arguments) <= 2 and all(isinstance(item, str | int) for item in arguments)
        elif name == "_codecs.encode":
            fits = len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1"
            self.spend(len(arguments[0]) >> 6 if fits else 0)
        else:
            fits = name in INERT or name in INERT_DICTS
        if not fits:
            raise BadInput(f"{self.file} calls {name} in a way that torch.save never does; save the state_dict() anew.")
        return _Made(name)

    def new(self, made: Any) -> _Made:
        self.spend(_CALL_STEPS)
        if not isinstance(made, _Global) or made.name not in INERT | {"collections.OrderedDict"} | INERT_DICTS:
            raise _damaged(self.file)
        return _Made(made.name)

    def build(self) -> None:
        """State for the object on top: stand-ins drop it, and nothing of an OrderedDict's attributes is used later."""
        self.spend(_CALL_STEPS)
        target = self.stack[-1]
        if not isinstance(target, _Made) or target.by not in INERT | {"collections.OrderedDict"} | INERT_DICTS:
            raise _damaged(self.file)

    def storage(self, identity: Any) -> _Storage:
        self.spend(_CALL_STEPS)
        match identity:
            case ("storage", _Global(name), str(key), str(), int(elements), *view) if (
                name in _STORAGE_BYTES and elements >= 0 and len(view) <= 1
            ):
                if view and view[0] is not None and not _is_view(view[0]):
                    raise _damaged(self.file)
                size = elements * _STORAGE_BYTES[name]
                self.storages[key] = max(size, self.storages.get(key, 0))
                return _Storage(view[0][2] if view and view[0] else elements)
        raise self.refused("a persistent id")

    @staticmethod
    def is_inside_its_storage(storage: Any, offset: Any, shape: Any, strides: Any) -> bool:
        numbers = [offset, *shape, *strides] if isinstance(shape, tuple) and isinstance(strides, tuple) else [None]
        if not isinstance(storage, _Storage) or not all(isinstance(n, int) and 0 <= n < 2**62 for n in numbers):
            return False
        if len(shape) != len(strides) or len(shape) > 16:
            return False
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        return not prod(shape) or last < storage.elements


def _is_view(view: Any) -> bool:
    match view:
        case (str(), int(offset), int(size)):
            return offset >= 0 and size >= 0
    return False
