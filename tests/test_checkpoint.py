"""What is saved comes back to the bit; what is broken is refused, in words, before anything is built."""

import json
import os
import pickle
import random
import shlex
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.toys import assert_one_sentence, toy_config, toy_images, toy_model
from vqvae import checkpoint, convert
from vqvae.checkpoint import BrokenCheckpoint, CheckpointInfo, content_hash, find, load, load_model, save
from vqvae.errors import BadInput
from vqvae.families import two_input
from vqvae.model import VQVAE, VQVAEConfig
from vqvae.tokenizer import reconstruct

CONFIG = {"schema_version": 1, "family": "vqvae-two-input", "model": toy_config().to_dict()}


def weights(**changes: Tensor | None) -> bytes:
    """The weights file of the toy model, with tensors replaced, added, or left out (None)."""
    tensors = toy_model().state_dict() | changes
    return safetensors.torch.save({name: t.contiguous() for name, t in tensors.items() if t is not None})


def with_model(**changes: Any) -> dict[str, Any]:
    """The toy's config with some of the model's settings changed."""
    return CONFIG | {"model": toy_config().to_dict() | changes}


def kind(value: object) -> str:
    """A test's name for a value that Python itself cannot print."""
    return type(value).__name__


def refused(data: bytes, config: Any) -> str:
    with pytest.raises(BadInput) as refusal:
        load_model(data, config)
    return assert_one_sentence(refusal)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "toy", toy_model(), {"summary": "A toy."})
    return tmp_path / "toy"


# Round trip


@pytest.mark.parametrize(
    "settings", [{"decoder_inputs": "both"}, {"decoder_inputs": "quantized"}, {"embedding_channels": 2}]
)
def test_a_checkpoint_comes_back_to_the_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    model = toy_model(**settings)
    save(tmp_path, model, {})
    loaded = load(tmp_path)
    assert isinstance(loaded, VQVAE) and loaded.config == model.config
    state = loaded.state_dict()
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    images = toy_images(2, 13, 9)
    assert torch.equal(reconstruct(loaded, images, weight=0.5), reconstruct(model, images, weight=0.5))
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_the_bytes_of_a_checkpoint_load_without_a_folder() -> None:
    model = load_model(weights(), CONFIG | {"summary": "and what else there is"})
    images = toy_images(1, 8, 8)
    assert torch.equal(reconstruct(model, images), reconstruct(toy_model(), images))


def test_saving_keeps_what_is_said_about_the_model(folder: Path) -> None:
    assert json.loads((folder / "config.json").read_text()) == CONFIG | {"summary": "A toy."}
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_saving_again_replaces_the_weights(folder: Path) -> None:
    save(folder, toy_model(seed=1), {})
    assert torch.equal(load(folder).codebook, toy_model(seed=1).codebook)


# The content hash


def test_a_copy_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").write_text("the card is not the model")
    assert content_hash(tmp_path / "elsewhere") == content_hash(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_one_changed_byte_changes_the_hash(name: str, folder: Path) -> None:
    before = content_hash(folder)
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1
    (folder / name).write_bytes(data)
    assert content_hash(folder) != before


def test_the_hash_knows_where_one_file_ends(folder: Path) -> None:
    before = content_hash(folder)
    config, tensors = folder / "config.json", folder / "model.safetensors"
    tensors.write_bytes(config.read_bytes()[-1:] + tensors.read_bytes())
    config.write_bytes(config.read_bytes()[:-1])
    assert content_hash(folder) != before


# Refused folders


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("what", ["missing", "a folder"])
def test_a_missing_file_is_named(name: str, what: str, folder: Path) -> None:
    (folder / name).unlink()
    if what == "a folder":
        (folder / name).mkdir()
    with pytest.raises(BadInput) as refusal:
        load(folder)
    message = assert_one_sentence(refusal)
    assert message.startswith(f"The file {name} is missing or unreadable")
    [found] = find(folder.parent)
    assert isinstance(found, BrokenCheckpoint) and found.reason.startswith(f"The file {name} is")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[1, 2]", "JSON object"),
        (b"null", "JSON object"),
        (b'"text"', "JSON object"),
        (b"{" + b" " * (1 << 20) + b"}", "over 1 MiB"),
    ],
    ids=range(9),
)
def test_a_config_that_is_no_json_object_is_refused(content: bytes, said: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BadInput, match=said) as refusal:
        load(folder)
    assert_one_sentence(refusal)
    [found] = find(folder.parent)
    assert isinstance(found, BrokenCheckpoint) and found.reason == str(refusal.value)


# Refused configs


@pytest.mark.parametrize("config", [None, 3, "text", [], [1], True, 1.5, b"bytes", ()])
def test_a_config_that_is_no_object_is_refused(config: Any) -> None:
    assert "has to be a JSON object" in refused(weights(), config)


@pytest.mark.parametrize("version", [None, 0, 2, "1", 1.0, True, [1], {}, float("nan"), 10**5000, "\n" * 99], ids=kind)
def test_another_schema_version_is_refused(version: Any) -> None:
    assert "schema_version" in refused(weights(), CONFIG | {"schema_version": version})


@pytest.mark.parametrize("family", [None, "", "vqgan-2", 1, ["vqvae-two-input"], {}, "\n<b>" * 99])
def test_another_family_is_refused(family: Any) -> None:
    assert "family" in refused(weights(), CONFIG | {"family": family})


@pytest.mark.parametrize("model", [None, 3, "text", [], True])
def test_model_settings_that_are_no_object_are_refused(model: Any) -> None:
    assert '"model"' in refused(weights(), CONFIG | {"model": model})


def test_an_unknown_setting_is_named() -> None:
    assert "'width'" in refused(weights(), with_model(width=3))


@pytest.mark.parametrize("name", VQVAEConfig().to_dict())
def test_a_missing_setting_is_named(name: str) -> None:
    settings = toy_config().to_dict()
    del settings[name]
    assert f"'{name}'" in refused(weights(), CONFIG | {"model": settings})


def deep_list() -> list:
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    return deep


NO_WHOLE_NUMBERS = [None, True, "8", 8.0, float("nan"), float("inf"), -1, 10**30, 10**5000, [8], {}, deep_list()]


@pytest.mark.parametrize("value", [*NO_WHOLE_NUMBERS, 0], ids=kind)
@pytest.mark.parametrize("name", ["codes", "embedding_dim"])
def test_a_setting_that_is_no_whole_number_in_bounds_is_named(name: str, value: Any) -> None:
    assert f"'{name}'" in refused(weights(), with_model(**{name: value}))


@pytest.mark.parametrize("value", NO_WHOLE_NUMBERS, ids=kind)
@pytest.mark.parametrize("name", ["channels", "blocks"])
def test_a_level_that_is_no_whole_number_in_bounds_is_named(name: str, value: Any) -> None:
    assert f"'{name}'" in refused(weights(), with_model(**{name: [4, value]}))


@pytest.mark.parametrize("value", [None, 4, "48", {}, [], [1] * 7, True])
@pytest.mark.parametrize("name", ["channels", "blocks"])
def test_levels_that_are_no_list_of_one_to_six_are_refused(name: str, value: Any) -> None:
    assert f"'{name}'" in refused(weights(), with_model(**{name: value}))


def test_levels_that_do_not_match_are_refused() -> None:
    message = refused(weights(), with_model(channels=[4, 8, 8]))
    assert "'channels' lists 3" in message and "'blocks' 2" in message


@pytest.mark.parametrize("value", [None, "", "embedding", 2, ["both"], {}, True])
def test_another_kind_of_decoder_is_refused(value: Any) -> None:
    assert "'decoder_inputs'" in refused(weights(), with_model(decoder_inputs=value))


def test_absurd_sizes_are_refused_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "VQVAE", lambda _: pytest.fail("a model was built"))
    started = time.process_time()
    assert "parameters" in refused(weights(), with_model(channels=[1024] * 6, blocks=[32] * 6))
    assert time.process_time() - started < 1


def test_large_sizes_that_the_weights_do_not_have_are_refused_before_memory_is_taken() -> None:
    started = time.process_time()
    message = refused(weights(), with_model(codes=1 << 18, embedding_dim=1024, channels=[256] * 6, blocks=[6] * 6))
    assert "lack the tensor" in message or "has shape" in message
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "config",
    [
        VQVAEConfig(),
        toy_config(),
        toy_config(channels=(1,) * 6, blocks=(32,) * 6, codes=1, embedding_dim=1),
        toy_config(channels=(200, 1, 3), blocks=(0, 0, 2), embedding_dim=64),
        toy_config(channels=(64,), blocks=(0,), codes=3000, decoder_inputs="quantized"),
        toy_config(channels=(1,), blocks=(0,), embedding_dim=64, embedding_channels=64),
    ],
)
def test_the_bound_on_parameters_is_one(config: VQVAEConfig) -> None:
    with torch.device("meta"):
        parameters = sum(tensor.numel() for tensor in VQVAE(config).state_dict().values())
    assert two_input._most_parameters(config) >= parameters


@pytest.mark.parametrize("value", [0, 5, 1.0, True, "1"])
def test_a_second_input_is_no_wider_than_the_embedding(value: object) -> None:
    assert "'embedding_channels'" in refused(weights(), with_model(embedding_channels=value))


def test_a_decoder_without_a_second_input_has_none_to_narrow() -> None:
    assert "this one has none" in refused(weights(), with_model(decoder_inputs="quantized", embedding_channels=1))


# Refused weights

BIAS = "decoder.stem.from_quantized.bias"  # [8]


def test_a_missing_tensor_is_named() -> None:
    message = refused(weights(**{BIAS: None}), CONFIG)
    assert f"lack the tensor '{BIAS}'" in message


def test_an_extra_tensor_is_named() -> None:
    assert "'more'" in refused(weights(more=torch.zeros(1)), CONFIG)
    refused(weights(**{"\n<b>" * 500: torch.zeros(1)}), CONFIG)


def test_of_several_faults_everybody_names_the_same_one(folder: Path) -> None:
    odd = {f"odd{number}": torch.zeros(1) for number in range(9)}
    for data in (weights(**odd), weights(**{BIAS: torch.zeros(7), "quantizer.codebook": torch.zeros(3)})):
        (folder / "model.safetensors").write_bytes(data)
        message = refused(data, CONFIG)
        [found] = find(folder.parent)
        assert isinstance(found, BrokenCheckpoint) and found.reason == message
        assert checkpoint.faults(folder)[0] == message


@pytest.mark.parametrize("shape", [(), (1,), (7,), (8, 1), (0,), (1,) * 300])
def test_a_tensor_of_another_shape_is_named(shape: tuple[int, ...]) -> None:
    message = refused(weights(**{BIAS: torch.zeros(shape)}), CONFIG)
    assert BIAS in message and "calls for [8]" in message


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.bool])
def test_a_tensor_of_another_type_is_named(dtype: torch.dtype) -> None:
    message = refused(weights(**{BIAS: torch.zeros(8, dtype=dtype)}), CONFIG)
    assert BIAS in message and "F32" in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_float32(dtype: torch.dtype) -> None:
    bias = torch.randn(8).to(dtype)
    model = checkpoint.load_model(weights(**{BIAS: bias}), CONFIG)
    assert torch.equal(model.state_dict()[BIAS], bias.float())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [BIAS, "quantizer.codebook"])
def test_weights_that_are_not_finite_are_refused(name: str, value: float) -> None:
    broken = toy_model().state_dict()[name].clone()
    broken.view(-1)[3] = value
    message = refused(weights(**{name: broken}), CONFIG)
    assert name in message and "not finite" in message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_weights_that_are_cut_off_are_refused(share: float, folder: Path) -> None:
    data = weights()[: int(share * len(weights()))]
    assert "cut off" in refused(data, CONFIG)
    (folder / "model.safetensors").write_bytes(data)
    [found] = find(folder.parent)
    assert isinstance(found, BrokenCheckpoint) and "cut off" in found.reason


@pytest.mark.parametrize("data", [random.Random(0).randbytes(5000), b"PK\x03\x04", b"\xff" * 64, bytes(64)], ids=len)
def test_bytes_that_are_no_safetensors_are_refused(data: bytes) -> None:
    assert "safetensors" in refused(data, CONFIG)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "sprung",)

    refused(pickle.dumps(Trap()), CONFIG)
    torch.save(Trap(), tmp_path / "model.pt")
    refused((tmp_path / "model.pt").read_bytes(), CONFIG)
    assert not (tmp_path / "sprung").exists()


def test_a_hundred_thousand_tiny_tensors_are_refused_quickly(folder: Path) -> None:
    header = {f"t{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n in range(100_000)}
    data = safetensors_file(header, bytes(400_000))
    started = time.process_time()
    assert "lack the tensor" in refused(data, CONFIG)
    (folder / "model.safetensors").write_bytes(data)
    [found] = find(folder.parent)
    assert isinstance(found, BrokenCheckpoint)
    assert time.process_time() - started < 10


def safetensors_file(header: dict[str, Any], content: bytes) -> bytes:
    """A weights file by hand, so that its header can lie."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


@pytest.mark.parametrize("size", [2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**70, -1])
def test_a_header_with_absurd_shapes_is_refused(size: int, folder: Path) -> None:
    for shape in ([size], [0, size], [size, size]):
        data = safetensors_file({BIAS: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}, b"")
        refused(data, CONFIG)
        (folder / "model.safetensors").write_bytes(data)
        [found] = find(folder.parent)
        assert isinstance(found, BrokenCheckpoint)


def test_damaged_weights_load_or_are_refused_and_nothing_else() -> None:
    data, chance = weights(), random.Random(0)
    header = 8 + struct.unpack("<Q", data[:8])[0]
    refusals = 0
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 9))):
            place = chance.randrange(8 if chance.random() < 0.1 else header if chance.random() < 0.7 else len(data))
            broken[place % len(broken)] = chance.choice((0, 255, ord("9"), ord('"'), chance.randrange(256)))
        if chance.random() < 0.1:
            del broken[chance.randrange(len(broken)) :]
        try:
            load_model(bytes(broken), CONFIG)
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
    assert refusals > 0


def test_damaged_configs_load_or_are_refused_and_nothing_else() -> None:
    data, chance = weights(), random.Random(0)
    odd = [None, True, 0, 1, -1, 8, 2.5, 10**40, float("nan"), "", "both", "x" * 999, [], [4, 8], [1, 1], {}, "\ud800"]
    keys = [*CONFIG, *toy_config().to_dict(), "", "x", "\ud800", 3, None]
    refusals = 0
    for _ in range(300):
        config = json.loads(json.dumps(CONFIG))
        for _ in range(chance.choice((1, 1, 2, 3))):
            target = config["model"] if chance.random() < 0.7 and isinstance(config.get("model"), dict) else config
            key = chance.choice(keys)
            if chance.random() < 0.2:
                target.pop(key, None)
            else:
                target[key] = chance.choice(odd)
        try:
            load_model(data, config)
        except BadInput as refusal:
            assert_one_sentence(refusal)
            refusals += 1
    assert 0 < refusals < 300


# Finding


def test_find_lists_sound_and_broken_folders_by_name(folder: Path) -> None:
    root = folder.parent
    save(root / "a b", toy_model(), {"summary": "First\n of all. " + "x" * 999})
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{}")
    (root / "weights only").mkdir()
    (root / "weights only" / "model.safetensors").write_bytes(weights())
    (root / "other").mkdir()
    (root / "a file").write_text("")
    first, broken, toy, only = find(root)
    assert isinstance(first, CheckpointInfo) and isinstance(toy, CheckpointInfo)
    assert first.name == "a b" and first.summary.startswith("First of all. x") and len(first.summary) == 200
    weights_file = folder / "model.safetensors"
    assert toy == CheckpointInfo("toy", folder, weights_file, toy_model().spec, "A toy.", toy.parameters)
    assert toy.parameters == sum(tensor.numel() for tensor in toy_model().state_dict().values())
    assert isinstance(broken, BrokenCheckpoint) and broken.name == "broken"
    assert isinstance(only, BrokenCheckpoint) and "config.json" in only.reason
    for entry in (broken, only):
        assert_one_sentence(entry.reason)


def test_odd_folders_are_said_in_a_sentence_and_never_waited_for(folder: Path) -> None:
    root, config = folder.parent, json.dumps(CONFIG)
    for name in ("config is a pipe", "weights are a pipe", "config is a folder", "config is a device", "half written"):
        (root / name).mkdir()
    os.mkfifo(root / "config is a pipe" / "config.json")
    (root / "config is a folder" / "config.json").mkdir()
    (root / "config is a device" / "config.json").symlink_to("/dev/zero")
    (root / "weights are a pipe" / "config.json").write_text(config)
    os.mkfifo(root / "weights are a pipe" / "model.safetensors")
    (root / "half written" / "config.json").write_text(config)
    (root / "half written" / "model.safetensors").write_bytes(weights()[:700])
    odd = os.fsencode(root) + b"/\xff\xfe"
    os.mkdir(odd)
    Path(os.fsdecode(odd + b"/config.json")).write_text("{}")
    for number in range(500):
        (root / f"empty {number}").mkdir()
    started = time.process_time()
    found = find(root)
    assert time.process_time() - started < 10
    assert len(found) == 7
    for entry in found:
        if entry.folder == folder:
            assert isinstance(entry, CheckpointInfo)
            continue
        assert isinstance(entry, BrokenCheckpoint)
        assert_one_sentence(entry.reason)
        with pytest.raises(BadInput):
            load(entry.folder)
        for fault in checkpoint.faults(entry.folder):
            assert_one_sentence(fault)


def test_find_reads_the_header_of_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(weights(**{BIAS: torch.zeros(7)}))
    [found] = find(folder.parent)
    assert isinstance(found, BrokenCheckpoint) and BIAS in assert_one_sentence(found.reason)


@pytest.mark.parametrize(
    ("files", "entry", "source", "out"),
    [
        (["a.ckpt"], "a.ckpt", "a.ckpt", "a"),
        (["my model.PT"], "my model.PT", "my model.PT", "my model"),
        (["b.pth", "b/config.json"], "b.pth", "b.pth", "b-converted"),
        (["c.safetensors"], "c.safetensors", "c.safetensors", "c"),
        (["d/d.ckpt"], "d", "d", "d-converted"),
        (["e/e.bin", "e/config.json"], "e", "e", "e-converted"),
        (["f/one.ckpt", "f/two.ckpt"], "f", "f/one.ckpt", "f-converted"),
    ],
)
def test_weights_that_are_not_converted_name_the_command_that_does_it(
    files: list[str], entry: str, source: str, out: str, tmp_path: Path
) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"{}")
    found = next(found for found in find(tmp_path) if found.name == entry)
    assert isinstance(found, BrokenCheckpoint)
    assert_one_sentence(found.reason)
    command = ["python", "-m", "vqvae.convert", str(tmp_path / source), str(tmp_path / out)]
    assert shlex.split(found.command) == command


def test_the_command_that_is_named_makes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": toy_model().state_dict()}, tmp_path / "a toy.ckpt")
    [found] = find(tmp_path)
    assert isinstance(found, BrokenCheckpoint)
    assert convert.main(shlex.split(found.command)[3:]) == 0
    _, converted = sorted(find(tmp_path), key=lambda entry: entry.name == "a toy")
    assert isinstance(converted, CheckpointInfo) and converted.name == "a toy"


def test_hidden_files_and_those_of_other_kinds_are_no_checkpoints(tmp_path: Path) -> None:
    for name in (".hidden.ckpt", "README.md", "photo.png", "notes"):
        (tmp_path / name).write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "training.safetensors").write_bytes(b"x")
    assert find(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("place", [0, 500, -1])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(
    place: int, dtype: torch.dtype, value: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_BYTES_AT_ONCE", 256)
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in toy_model().state_dict().items()}
    file = folder / "model.safetensors"
    file.write_bytes(safetensors.torch.save(tensors))
    assert checkpoint.value_fault(folder) == ""
    name = max(tensors, key=lambda name: tensors[name].numel())
    assert tensors[name].numel() > 500
    tensors[name].view(-1)[place] = value
    file.write_bytes(safetensors.torch.save(tensors))
    assert repr(name) in assert_one_sentence(checkpoint.value_fault(folder))


def test_values_whose_sum_is_not_finite_are(folder: Path) -> None:
    tensors = {name: torch.full(tensor.shape, 3e38) for name, tensor in toy_model().state_dict().items()}
    (folder / "model.safetensors").write_bytes(safetensors.torch.save(tensors))
    assert checkpoint.value_fault(folder) == ""


def test_weights_that_are_cut_off_while_they_are_read_are_damaged(folder: Path) -> None:
    file = folder / "model.safetensors"

    def cut() -> None:
        os.truncate(file, 1000)

    assert "cut off" in assert_one_sentence(checkpoint.value_fault(folder, cut))


def test_where_there_is_no_folder_there_are_no_checkpoints(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere") == []
    assert find(tmp_path) == []
    (tmp_path / "file").write_text("")
    assert find(tmp_path / "file") == []


# Writing


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "os.chmod"])
@pytest.mark.parametrize("fault", [OSError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_content(
    step: str, fault: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    checkpoint.write_atomically(path, b"old")

    def fail(*_: Any) -> None:
        raise fault("no space left")

    monkeypatch.setattr(step, fail)
    with pytest.raises(fault):
        checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]  # and nothing lies about


def test_a_write_replaces_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    checkpoint.write_atomically(path, b"a long old content")
    checkpoint.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]
