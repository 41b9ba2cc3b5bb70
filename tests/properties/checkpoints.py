"""Checkpoints: a folder opens to the model that was saved, or is refused, and everything that looks at it agrees."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor

from tests.properties.law import Law, refusals
from tests.properties.strategies import JSON, as_json, changed_json, damaged, json_texts
from tests.test_every_model import CONFIGS
from tests.toys import toy_model
from vqvae import checkpoint, code_file
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo
from vqvae.code_file import Codes
from vqvae.foreign import read_tensors
from vqvae.images import display_name
from vqvae.model import VQVAE, VQVAEConfig

CONFIG = {
    "schema_version": 1,
    "family": "vqvae-two-input",
    "model": {
        "codes": 8,
        "embedding_dim": 4,
        "channels": [4],
        "blocks": [1],
        "decoder_inputs": "both",
        "embedding_channels": 2,
    },
    "summary": "A toy.",
}
_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)
_READ = (torch.float32, torch.float16, torch.bfloat16)


@cache
def model() -> VQVAE:
    return toy_model(channels=(4,), blocks=(1,), embedding_channels=2)


@cache
def weights() -> bytes:
    return safetensors.torch.save(_tensors())


def _tensors() -> dict[str, Tensor]:
    """The model's own, each in memory of its own."""
    return {name: tensor.contiguous().clone() for name, tensor in model().state_dict().items()}


def opened(config: bytes, data: bytes) -> bool:
    """Whether a folder opens; whatever looks at one says so, and it is the model that its config describes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "toy"
        folder.mkdir()
        (folder / checkpoint.CONFIG_FILE).write_bytes(config)
        (folder / checkpoint.WEIGHTS_FILE).write_bytes(data)
        (listed,) = checkpoint.find(Path(place))
        faults = checkpoint.faults(folder)
        loaded: Any = None
        with refusals() as said:
            loaded = checkpoint.load(folder)
        if said:
            assert said[0] in faults
            assert isinstance(listed, CheckpointInfo) or listed.reason == said[0]
            assert isinstance(listed, BrokenCheckpoint) or checkpoint.value_fault(folder) == said[0]
            return False
        assert not faults and isinstance(listed, CheckpointInfo) and not checkpoint.value_fault(folder)
        assert listed.spec == loaded.spec
        tensors = loaded.state_dict()
        assert listed.parameters == sum(tensor.numel() for tensor in tensors.values())
        assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in tensors.values())
        if isinstance(loaded, VQVAE):
            assert loaded.config == VQVAEConfig.from_dict(json.loads(config)["model"])
        checkpoint.content_hash(folder)
    return True


def config_describes_the_model(config: bytes) -> bool:
    return opened(config, weights())


def bytes_are_weights_or_not(data: bytes) -> bool:
    return opened(as_json(CONFIG), data)


@dataclass(frozen=True)
class Change:
    """What is done to one tensor."""

    number: int
    what: str
    dtype: torch.dtype
    value: float


@st.composite
def changes(draw: DrawFn) -> list[Change]:
    kinds = ("keep", "cast", "value", "rename", "leave out", "reshape", "longer", "square", "transpose", "share")
    one = st.builds(
        Change,
        st.integers(0, len(model().state_dict()) - 1),
        st.sampled_from(kinds),
        st.sampled_from(_TYPES),
        st.floats(width=32),
    )
    return draw(st.lists(one, max_size=3))


def tensors_are_the_models_own(case: list[Change]) -> bool:
    """A float of fewer bits, and a matrix for a 1 × 1 convolution, are taken for what they are; nothing else is."""
    tensors = _tensors()
    names, sound, expected = list(tensors), True, dict(tensors)
    for change in case:
        name = names[change.number]
        if name not in tensors:
            continue
        tensor = tensors[name]
        if change.what == "cast":
            tensor = tensor.to(change.dtype)
        elif change.what == "value" and tensor.is_floating_point():
            tensor = tensor.clone()
            tensor.view(-1)[-1] = change.value
        elif change.what == "rename":
            tensors[name + "é"] = tensors.pop(name)
            continue
        elif change.what == "leave out":
            del tensors[name]
            continue
        elif change.what == "reshape":
            tensor = tensor.flatten()
        elif change.what == "longer":
            tensor = torch.cat([tensor, tensor])
        elif change.what == "square" and tensor.shape[-2:] == (1, 1):
            tensor = tensor[..., 0, 0]
        elif change.what == "transpose":
            tensor = tensor.transpose(0, -1).contiguous()
        tensors[name] = tensor
    own = model().state_dict()
    sound = tensors.keys() == own.keys() and all(
        tensor.dtype in _READ
        and (tensor.shape == own[name].shape or (*tensor.shape, 1, 1) == own[name].shape)
        and bool(tensor.isfinite().all())
        for name, tensor in tensors.items()
    )
    assert opened(as_json(CONFIG), safetensors.torch.save(tensors)) == sound
    if sound:
        expected = {name: tensor.float().view(own[name].shape) for name, tensor in tensors.items()}
        loaded = checkpoint.load_model(safetensors.torch.save(tensors), CONFIG).state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    return sound


@st.composite
def weight_files(draw: DrawFn) -> bytes:
    """Damaged files, and files whose header says something else."""
    data = weights()
    if draw(st.booleans()):
        return draw(damaged(data))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = draw(st.one_of(changed_json(header).map(as_json), JSON.map(as_json), damaged(data[8 : 8 + length])))
    said = draw(st.sampled_from([len(text), len(text), len(text), 0, len(text) + 1, (1 << 63) - 1, 100_000_001]))
    return said.to_bytes(8, "little") + text + data[8 + length :]


def families_build_or_refuse(settings: Any) -> bool:
    """Whatever a config says, its model is known without memory, or it is said why not."""
    with refusals() as said:
        if not isinstance(settings, dict):
            return False
        skeleton = checkpoint._skeleton(checkpoint.family_of(settings), settings)
        assert all(tensor.is_meta for tensor in skeleton.state_dict().values())
        assert skeleton.spec.levels
    return not said


@cache
def pickles() -> tuple[bytes, ...]:
    made = []
    for legacy in (False, True):
        buffer = io.BytesIO()
        state = {"state_dict": {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2).bfloat16()}}
        torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
        made.append(buffer.getvalue())
    return tuple(made)


@dataclass(frozen=True)
class Foreign:
    """A file of weights of somebody else's, under a name."""

    name: str
    data: bytes


@st.composite
def foreign_files(draw: DrawFn) -> Foreign:
    name = draw(st.sampled_from(["model.ckpt", "model.pt", "model.bin", "model.safetensors", "modèl <b>.pth"]))
    whole = draw(st.sampled_from([*pickles(), weights()]))
    return Foreign(name, draw(st.one_of(damaged(whole), st.binary(max_size=60))))


def foreign_weights_are_read_or_refused(case: Foreign) -> bool:
    with tempfile.TemporaryDirectory() as place, refusals() as said:
        path = Path(place) / case.name
        path.write_bytes(case.data)
        tensors = read_tensors(path)
        assert all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items())
        for tensor in tensors.values():
            assert tensor.untyped_storage().nbytes() <= len(case.data)
    assert display_name(case.name)
    return not said


@dataclass(frozen=True)
class Grid:
    """An image as codes."""

    rows: int
    columns: int
    cut: tuple[int, int]  # pixels of the last cells that are no part of the image
    seed: int


def codes_come_back(case: Grid) -> bool:
    stride = model().spec.stride
    indices = np.random.default_rng(case.seed).integers(0, 8, (1, case.rows, case.columns))
    size = case.rows * stride - case.cut[0], case.columns * stride - case.cut[1]
    found = code_file.from_bytes(code_file.to_bytes(Codes((torch.from_numpy(indices),), size)), model().spec)
    assert found.size == size and (found.indices[0].numpy() == indices).all()
    return True


@cache
def codes() -> bytes:
    return code_file.to_bytes(Codes((torch.arange(6).view(1, 2, 3) % 8,), (3, 5)))


def code_files_are_read_or_refused(data: bytes) -> bool:
    """What is in the file is under the checksum of its zip, so nothing else is ever read out of it."""
    with refusals() as said:
        found = code_file.from_bytes(data, model().spec)
        assert (found.indices[0] == torch.arange(6).view(1, 2, 3) % 8).all()
        assert found.size in ((3, 5), (4, 6))  # the second where the array of the size is not in it
    return not said


LAWS = (
    Law("a config describes its model or is refused", json_texts(CONFIG), config_describes_the_model),
    Law("weights are the model's own or are refused", changes(), tensors_are_the_models_own),
    Law("damaged weights are weights or are refused", weight_files(), bytes_are_weights_or_not),
    Law(
        "a config of any family is built without memory or refused",
        st.sampled_from([CONFIG, *CONFIGS.values()]).flatmap(changed_json),
        families_build_or_refuse,
    ),
    Law("somebody else's weights are read or refused", foreign_files(), foreign_weights_are_read_or_refused),
    Law(
        "codes come back out of their file",
        st.builds(
            Grid, st.integers(1, 9), st.integers(1, 9), st.tuples(st.integers(0, 1), st.integers(0, 1)), st.integers(0)
        ),
        codes_come_back,
    ),
    Law(
        "a damaged file of codes is refused",
        st.deferred(lambda: damaged(codes())) | st.binary(max_size=60),
        code_files_are_read_or_refused,
    ),
)
