"""A tokenizer is found in a file of others' making, whatever wraps it; what is none is refused with its reason."""

import json
import os
import random
import shutil
import struct
import sys
import time
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.test_pickles import archive, touch
from tests.toys import assert_one_sentence, toy_images, toy_model
from vqvae import checkpoint, convert, families, places
from vqvae.convert import Hints
from vqvae.errors import BadInput
from vqvae.families import two_input
from vqvae.foreign import _flat, checked, find_source, read_settings, read_tensors, section
from vqvae.tokenizer import reconstruct

WEIGHTS = toy_model().state_dict()


def prefixed(prefix: str, weights: Mapping[str, Tensor] = WEIGHTS) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def run(source: Path, out: Path, *options: str) -> int:
    return convert.main([str(source), str(out), *options])


def refused(capsys: pytest.CaptureFixture[str], source: Path, *options: str) -> str:
    """The command ends with 2 and one sentence, in under two seconds of work, and leaves no folder."""
    capsys.readouterr()
    out, started = source.parent / "out", time.thread_time()
    assert run(source, out, *options) == 2
    assert time.thread_time() - started < 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert not out.exists()
    return assert_one_sentence(printed.err.removeprefix("error: ").rstrip("\n"))


def assert_is_the_toy(folder: Path) -> dict[str, Any]:
    """The folder opens as the toy model; returns its config."""
    images = toy_images(1, 12, 8)
    assert torch.equal(reconstruct(checkpoint.load(folder), images), reconstruct(toy_model(), images))
    [found] = checkpoint.find(folder.parent)
    assert isinstance(found, checkpoint.CheckpointInfo)
    return json.loads((folder / "config.json").read_text())


@pytest.fixture(autouse=True)
def no_photo(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The photo takes a while and says nothing about a toy."""
    if "photo" not in request.node.name:
        monkeypatch.setattr(convert, "photo_psnr", lambda _: None)


# What is found


def within(part: str) -> dict[str, Tensor]:
    """The weights of one part of the model, under their names there."""
    return {name.removeprefix(f"{part}."): tensor for name, tensor in WEIGHTS.items() if name.startswith(part)}


TRAINING = {"loss.discriminator.main.0.weight": torch.ones(2), "loss.perceptual_loss.lin0.weight": torch.ones(2)}
WRAPPED: dict[str, Any] = {
    "plain": WEIGHTS,
    "state_dict": {"state_dict": WEIGHTS, "epoch": 3, "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}]},
    "model": {"model": WEIGHTS, "optimizer": {"x": torch.ones(2)}, "discriminator": {"w": torch.ones(2)}},
    "ema": {"model": {name: tensor + 1 for name, tensor in WEIGHTS.items()}, "ema": WEIGHTS},
    "generator": {"generator": prefixed("module."), "scheduler": {"last": torch.ones(1)}},
    "ddp, compiled": prefixed("module._orig_mod."),
    "compiled inside": {name.replace("encoder.", "encoder._orig_mod."): tensor for name, tensor in WEIGHTS.items()},
    "lightning": {"state_dict": prefixed("vqgan.") | TRAINING, "pytorch-lightning_version": "1.0"},
    "losses below": {"state_dict": prefixed("model.") | prefixed("model.", TRAINING)},
    "shadow": {"state_dict": WEIGHTS | {"model_ema.decay": torch.ones(1), "model_ema.encoderweight": torch.ones(1)}},
    "latent diffusion": {
        "state_dict": prefixed("first_stage_model.")
        | prefixed("cond_stage_model.", toy_model(seed=1).state_dict())
        | {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(3), "betas": torch.ones(3)}
    },
    "parts": {part: within(part) for part in ("encoder", "quantizer", "decoder")},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_model_is_found_below_its_wrappers(wrapping: str, legacy: bool, tmp_path: Path) -> None:
    source = tmp_path / "last.ckpt"
    torch.save(WRAPPED[wrapping], source, _use_new_zipfile_serialization=not legacy)
    assert run(source, tmp_path / "found" / "toy") == 0
    config = assert_is_the_toy(tmp_path / "found" / "toy")
    assert config["family"] == "vqvae-two-input" and config["model"] == toy_model().config.to_dict()
    assert config["converted"]["from"] == "last.ckpt" and config["converted"]["tensors_kept"] == len(WEIGHTS)
    assert config["converted"]["bytes"] == source.stat().st_size and len(config["converted"]["sha256"]) == 64


def test_foreign_safetensors_are_read(tmp_path: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in (prefixed("vqgan.") | TRAINING).items()}
    safetensors.torch.save_file(tensors, tmp_path / "m.bin")  # known by its content, not its name
    assert run(tmp_path / "m.bin", tmp_path / "found" / "toy") == 0
    assert assert_is_the_toy(tmp_path / "found" / "toy")["converted"]["tensors_left_out"] == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({name: tensor.to(dtype) for name, tensor in WEIGHTS.items()}, tmp_path / "m.pt")
    assert run(tmp_path / "m.pt", tmp_path / "toy") == 0
    state = checkpoint.load(tmp_path / "toy").state_dict()
    assert all(torch.equal(state[name], tensor.to(dtype).float()) for name, tensor in WEIGHTS.items())


def test_tied_and_strided_weights_get_memory_of_their_own(tmp_path: Path) -> None:
    giant = torch.zeros(1000, 8)
    giant[:8, :4] = WEIGHTS["quantizer.codebook"]
    torch.save(WEIGHTS | {"quantizer.codebook": giant[:8, :4]}, tmp_path / "m.pt")
    assert run(tmp_path / "m.pt", tmp_path / "found" / "toy") == 0
    assert_is_the_toy(tmp_path / "found" / "toy")


def test_the_report_says_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(WRAPPED["lightning"], tmp_path / "m.ckpt")
    run(tmp_path / "m.ckpt", tmp_path / "toy")
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.count("\n") <= 7
    for said in ("vqvae-two-input", "state_dict.vqgan", "8 codes of 4", f"{len(WEIGHTS)} tensors", "loss (2)", "toy"):
        assert said in printed.out


def test_a_bundled_photo_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(WEIGHTS, tmp_path / "photo.pt")
    run(tmp_path / "photo.pt", tmp_path / "toy")
    assert " dB from its codes alone; that is poor" in capsys.readouterr().out


def test_a_folder_is_a_source_with_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    torch.save(WEIGHTS, folder / "diffusion_pytorch_model.bin")
    torch.save({}, folder / "scheduler.bin")
    (folder / "config.json").write_text('{"_class_name": "VQModel"}')
    source = find_source(folder)
    assert source.weights.name == "diffusion_pytorch_model.bin" and source.config == folder / "config.json"
    assert run(folder, tmp_path / "found" / "toy") == 0
    assert_is_the_toy(tmp_path / "found" / "toy")


def test_a_hub_s_links_to_its_blobs_are_followed(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    torch.save(WEIGHTS, blobs / "0123")
    (snapshot / "model.bin").symlink_to("../../blobs/0123")
    assert run(snapshot, tmp_path / "found" / "toy") == 0
    (snapshot / "model.bin").unlink()
    (snapshot / "model.bin").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="link out of its folder") as refusal:
        find_source(snapshot)
    assert_one_sentence(refusal)


# Families


class Fake:
    """A family whose model is ours under other names, and which has to be told its metric."""

    @staticmethod
    def recognises(shapes: Mapping[str, torch.Size]) -> bool:
        return "their.codebook" in shapes

    @staticmethod
    def settings_of(shapes: Mapping[str, torch.Size], *, config: Any, metric: str | None, pixels: Any) -> Any:
        if (metric or (config or {}).get("metric")) is None:
            raise BadInput("The metric is not in the weights; say it with --metric.")
        ours = {Fake.canonical(name) or "": shape for name, shape in shapes.items()}
        return two_input.settings_of(ours, config=None, metric=None, pixels=None)

    @staticmethod
    def canonical(name: str) -> str | None:
        if name == "their.used":
            return None
        return name.replace("their.", "quantizer.")

    @staticmethod
    def adjusted(name: str, tensor: Tensor) -> Tensor:
        return tensor.squeeze(-1) if name == "quantizer.codebook" else tensor

    build = staticmethod(two_input.build)
    renamed = staticmethod(two_input.renamed)
    WEIGHTS_FILE = two_input.WEIGHTS_FILE


THEIRS = {name.replace("quantizer.", "their."): tensor for name, tensor in WEIGHTS.items()} | {
    "their.used": torch.zeros(8, dtype=torch.int64)
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fake", "other"):
        module = types.ModuleType(f"vqvae.families.{name}")
        module.__dict__.update({key: getattr(Fake, key) for key in dir(Fake) if not key.startswith("__")})
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(families.FAMILIES, "fake", "fake")


@pytest.mark.usefixtures("fake")
def test_what_weights_do_not_tell_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(THEIRS, tmp_path / "m.pt")
    assert "--metric" in refused(capsys, tmp_path / "m.pt")
    assert run(tmp_path / "m.pt", tmp_path / "found" / "one", "--metric", "dot") == 0
    assert "their (1)" in capsys.readouterr().out
    (tmp_path / "c.yaml").write_text("model:\n  target: os.system\n  params: {metric: euclidean}\n")
    assert run(tmp_path / "m.pt", tmp_path / "two", "--config", str(tmp_path / "c.yaml")) == 0
    assert assert_is_the_toy(tmp_path / "found" / "one")["family"] == "fake"


@pytest.mark.usefixtures("fake")
def test_what_several_families_could_read_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.FAMILIES, "other", "other")
    with pytest.raises(BadInput, match="--family") as refusal:
        convert.convert(THEIRS, Hints(metric="dot"))
    assert "'fake' and 'other'" in assert_one_sentence(refusal)
    assert convert.convert(THEIRS, Hints(metric="dot", family="other")).found.family == "other"


def test_a_family_can_be_forced_and_has_to_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(prefixed("a.b."), tmp_path / "m.pt")
    assert "'nonsense'" in refused(capsys, tmp_path / "m.pt", "--family", "nonsense")
    assert run(tmp_path / "m.pt", tmp_path / "toy", "--family", "vqvae-two-input") == 0
    torch.save({"x.y": torch.ones(2)}, tmp_path / "m.pt")
    refused(capsys, tmp_path / "m.pt", "--family", "vqvae-two-input")
    assert "metric" in refused_weights(WEIGHTS, Hints(metric="cosine"))
    assert "--pixels" in refused_weights(WEIGHTS, Hints(pixels="0..1"))


def refused_weights(tensors: Mapping[str, Tensor], hints: Hints | None = None) -> str:
    with pytest.raises(BadInput) as refusal:
        convert.convert(tensors, hints or Hints())
    return assert_one_sentence(refusal)


CONV = torch.ones(4, 4, 1, 1)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "no named tensors"),
        ({"optimizer.state.0.exp_avg": CONV, "loss.w": CONV}, "only an optimizer"),
        (
            {
                "quant_conv.weight": torch.ones(8, 8, 1, 1),
                "post_quant_conv.weight": CONV,
                "decoder.conv_in.weight": CONV,
            },
            "KL autoencoder is continuous",
        ),
        ({"encoder.conv_out.weight": torch.ones(8, 4, 3, 3), "decoder.conv_in.weight": CONV}, "has no codebook"),
        ({"model.layers.0.self_attn.q_proj.weight": CONV, "lm_head.weight": CONV}, "transformer"),
        ({"encoder.conv_in.weight": CONV, "quantize.embedding.weight": torch.ones(8, 4)}, "no decoder"),
        ({"layer\n1.weight": CONV, "x" * 5000: CONV}, "No known family"),
        ({"stem.conv.weight": CONV}, "'stem.conv.weight'"),
        ({f"{a}.{b}": CONV for a in "abc" for b in range(3)}, "'vqvae-two-input'"),
    ],
)
def test_what_is_no_tokenizer_is_refused_with_its_reason(tensors: dict[str, Tensor], said: str) -> None:
    assert said in refused_weights(tensors)


def test_code_of_its_own_is_not_run() -> None:
    hints = Hints(config={"auto_map": {"AutoModel": "modeling_x.Model"}})
    assert "auto_map" in refused_weights({"stem.weight": CONV}, hints)


def test_two_models_in_one_file_are_asked_about() -> None:
    message = refused_weights(prefixed("first.") | prefixed("second."))
    assert "'first' and 'second'" in message
    assert "compiled" in refused_weights(WEIGHTS | prefixed("_orig_mod."))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "codebook"])
def test_weights_that_do_not_fit_are_named(change: str) -> None:
    bias = "decoder.stem.from_quantized.bias"
    changes: dict[str, dict[str, Tensor]] = {
        "missing": {name: tensor for name, tensor in WEIGHTS.items() if name != bias},
        "extra": WEIGHTS | {"decoder.more": CONV},
        "shape": WEIGHTS | {bias: torch.ones(3)},
        "codebook": WEIGHTS | {"quantizer.codebook": torch.ones(3)},
    }
    named = {"extra": "decoder.more", "codebook": "quantizer.codebook"}.get(change, bias)
    assert named in refused_weights(changes[change])


# Tensors


@pytest.mark.filterwarnings("ignore:Sparse|Complex|torch.quantize")
@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.ones(2, dtype=torch.int64), "int64"),
        (torch.ones(2, dtype=torch.bool), "bool"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (torch.ones(2).to(torch.float8_e4m3fn), "float8"),
        (torch.tensor([1.0, float("nan")]), "not finite"),
        (torch.tensor([1e300], dtype=torch.float64), "not finite"),
        (torch.ones(1).expand(10**12), "expanded"),
        (torch.ones(1, 3).expand(5, 3), "expanded"),
        (torch.ones(8).as_strided((4, 4), (1, 1)), "expanded"),
        (torch.empty(3, device="meta"), "without numbers"),
        (torch.eye(3).to_sparse(), "sparse"),
    ],
    ids=range(11),
)
def test_a_tensor_that_is_no_weight_is_refused_by_its_name(tensor: Tensor, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refusal:
        checked("a\nname", tensor)
    assert r"a\nname" in assert_one_sentence(refusal)


def test_a_negated_view_is_resolved() -> None:
    tensor = torch.ones(3, dtype=torch.complex64).conj().imag + 0
    negated = torch._neg_view(tensor + 2)
    assert torch.equal(checked("w", negated), torch.full((3,), -2.0)) and not checked("w", negated).is_neg()


def test_too_many_parameters_are_refused_before_they_are_copied(tmp_path: Path) -> None:
    giant = torch.empty(600_000_000, 1, device="meta")
    assert "600,002,916 parameters" in refused_weights(WEIGHTS | {"quantizer.codebook": giant})


def test_names_that_cannot_be_shown_are_refused() -> None:
    assert "not printable" in refused_weights(WEIGHTS | {"decoder.\x1b[31m": CONV})


# Files


NO_WEIGHTS = {
    "empty": (b"", "empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n", "Git LFS pointer of 68 bytes"),
    "html": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "gzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "text": (b"hello world, this is no model", "no file of torch.save"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "tar archive"),
    "safetensors": (b"\x20\0\0\0\0\0\0\0{" + b" " * 40, "safetensors"),
    "zeros": (bytes(5000), "no file of torch.save"),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".safetensors"])
def test_a_file_that_is_something_else_is_refused(
    kind: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, said = NO_WEIGHTS[kind]
    (tmp_path / f"m{suffix}").write_bytes(data)
    assert said in refused(capsys, tmp_path / f"m{suffix}")


@pytest.mark.parametrize("way", ["reduce", "stack_global", "inst"])
def test_a_pickle_that_calls_is_refused_by_the_command(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(tmp_path / "m.ckpt", touch(tmp_path / "marker")[way])
    assert "posix.system" in refused(capsys, tmp_path / "m.ckpt")
    assert not (tmp_path / "marker").exists()


def test_what_is_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.ckpt")
    assert "no regular file" in refused(capsys, tmp_path / "pipe.ckpt")
    assert "missing" in refused(capsys, tmp_path / "none.ckpt")
    assert "missing" in refused(capsys, tmp_path / "a\n\x1b[31m.ckpt")
    (tmp_path / "loop.ckpt").symlink_to("loop.ckpt")
    assert "missing" in refused(capsys, tmp_path / "loop.ckpt")
    assert (
        "no regular file" in refused(capsys, Path("/dev/null").parent / "null", *()) if os.access("/dev", 2) else True
    )


def test_names_of_any_bytes_are_refused_or_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"m\xff\xfe.pt")
    torch.save(WEIGHTS, tmp_path / "m.pt")
    shutil.copy(tmp_path / "m.pt", tmp_path / name)
    assert "UTF-8" in refused(capsys, tmp_path / name)
    assert run(tmp_path / "m.pt", tmp_path / name) == 2
    assert "UTF-8" in capsys.readouterr().err
    shutil.copy(tmp_path / "m.pt", tmp_path / "é 模型\n.pt")
    assert run(tmp_path / "é 模型\n.pt", tmp_path / "toy") == 0


def test_a_file_without_permission_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(WEIGHTS, tmp_path / "m.pt")

    def closed(self: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", closed)
    assert "Permission denied" in refused(capsys, tmp_path / "m.pt")


def test_a_folder_without_one_clear_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "holds no file of weights" in refused(capsys, folder)
    for name in ("a.ckpt", "b.ckpt", os.fsdecode(b"\xff.ckpt")):
        (folder / name).write_bytes(b"")
    assert "several" in refused(capsys, folder)
    for number in range(10_001):
        (folder / f"{number}.txt").touch()
    assert "over 10,000 entries" in refused(capsys, folder)


def test_files_cut_off_or_damaged_convert_or_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": WEIGHTS}, tmp_path / "m.pt")
    data, chance = (tmp_path / "m.pt").read_bytes(), random.Random(3)
    for cut in range(1, len(data), len(data) // 25):
        (tmp_path / "cut.pt").write_bytes(data[:cut])
        refused(capsys, tmp_path / "cut.pt")
    for _ in range(100):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 3, 9))):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        (tmp_path / "m.pt").write_bytes(broken)
        try:
            convert.convert(read_tensors(tmp_path / "m.pt"), Hints())
        except BadInput as refusal:
            assert_one_sentence(refusal)


def test_a_nest_of_dicts_without_end_is_walked_once() -> None:
    tree: dict[str, Any] = {"w": CONV}
    for _ in range(60):
        tree = {"a": tree, "b": tree, 3: tree, None: tree}
    tree["self"] = tree
    assert list(_flat(tree, "m")) == []  # too deep, and each dict only once


def test_a_method_that_a_file_shadows_is_not_called() -> None:
    shadowed = OrderedDict(WEIGHTS)
    shadowed.__dict__.update(items=3, keys=3)  # as the pickle of an OrderedDict can have it
    assert dict(_flat({"a": shadowed}, "m")).keys() == prefixed("a.").keys()


def test_safetensors_of_absurd_headers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"dtype": "F32", "shape": [1]}
    header = {f"t{n}": one | {"data_offsets": [4 * n, 4 * n + 4]} for n in range(30_000)}
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(120_000))
    assert "30,000 tensors" in refused(capsys, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", 20 << 20) + b"{" + b" " * (21 << 20))
    assert "header" in refused(capsys, tmp_path / "m.safetensors")


# The place of the output


def test_a_checkpoint_is_not_written_over_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(WEIGHTS, tmp_path / "m.pt")
    checkpoint.save(tmp_path / "toy", toy_model(seed=1), {})
    before = (tmp_path / "toy" / "model.safetensors").read_bytes()
    assert run(tmp_path / "m.pt", tmp_path / "toy") == 2
    assert "--overwrite" in assert_one_sentence(capsys.readouterr().err.strip())
    assert (tmp_path / "toy" / "model.safetensors").read_bytes() == before
    assert run(tmp_path / "m.pt", tmp_path / "toy", "--overwrite") == 0
    assert (tmp_path / "toy" / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize("place", ["file", "file/below", "dangling", "closed"])
def test_the_place_is_tried_before_any_work(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    monkeypatch.setattr(convert, "find_source", lambda _: pytest.fail("work was begun"))
    if place == "closed":
        monkeypatch.setattr(places.tempfile, "TemporaryFile", lambda **_: (_ for _ in ()).throw(PermissionError()))
    assert run(tmp_path / "m.pt", tmp_path / place) == 2
    assert "Nothing can be written" in assert_one_sentence(capsys.readouterr().err.strip())


# Settings


def settings_refused(path: Path) -> str:
    started = time.thread_time()
    with pytest.raises(BadInput) as refusal:
        read_settings(path)
    assert time.thread_time() - started < 2
    return assert_one_sentence(refusal)


LAUGHS = b"a: &a [x,x,x]\n" + b"".join(
    b"%c: &%c [%b]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 108)
)
YAMLS: dict[str, tuple[bytes, str]] = {
    "tag": (b"a: !!python/object/apply:os.system ['touch marker']", "python/object/apply:os.system"),
    "tag of a name": (b"a: !!python/name:os.system", "python/name"),
    "own tag": (b"a: !ruby/object x", "!ruby/object"),
    "tag of a set": (b"a: !!set {x}", "!!set"),
    "laughs": (LAUGHS, "aliases"),
    "merge": (b"a: &a {x: 1}\nb: {<<: *a}", "aliases"),
    "itself": (b"&a [*a]", "aliases"),
    "deep": (b"[" * 100_000, "nested too deep"),
    "deep blocks": (b"- " * 50_000, "nested too deep"),
    "long": (b"[" + b"x," * 60_000 + b"]", "too long"),
    "a long value": (b"a: " + b"9" * 100_000, "100,000 characters"),
    "sixties": (b"a: 1" + b":1" * 50_000, "characters"),
    "lines": (b"\n" * 131_000 + b"[", "not valid YAML"),
    "large": (b"a: 1\n" * 100_000, "over 128 KiB"),
    "nothing": (b"", "settings by name"),
    "a list": (b"[1, 2]", "settings by name"),
    "bytes": (bytes(range(256)), "not valid YAML"),
    "two documents": (b"a: 1\n---\nb: 1\n", "not valid YAML"),
    "no key": (b"? [a]\n: 1\n", "not valid YAML"),
    "date": (b"a: 2020-99-99\n", "not valid YAML"),
}


@pytest.mark.parametrize("case", YAMLS)
def test_hostile_yaml_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, said = YAMLS[case]
    (tmp_path / "c.yaml").write_bytes(data)
    assert said in settings_refused(tmp_path / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"{" + b" " * (1 << 20) + b"}", b"3"], ids=len
)
def test_settings_that_are_no_json_object_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(data)
    settings_refused(tmp_path / "c.json")


def test_settings_that_are_no_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    settings_refused(tmp_path / "c.yaml")
    settings_refused(tmp_path)
    settings_refused(tmp_path / "none.yaml")


LATENT = """
model:
  base_learning_rate: 4.5e-6
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    timesteps: 1000
    first_stage_config:
      target: ldm.models.autoencoder.VQModelInterface
      params: {embed_dim: 3, n_embed: 8192, ddconfig: {ch: 128, ch_mult: [1, 2, 4]}}
"""


def test_the_tokenizer_s_section_is_found(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(LATENT)
    found = section(read_settings(tmp_path / "c.yaml"))
    assert found["embed_dim"] == 3 and found["target"] == "ldm.models.autoencoder.VQModelInterface"
    assert section({"_class_name": "VQModel", "norm_type": "spatial"}) == {
        "_class_name": "VQModel",
        "norm_type": "spatial",
    }
    assert section({"model": {"target": "x", "params": {"a": 1}}}) == {"a": 1, "target": "x"}
    for odd in ({"model": 3}, {"model": {"params": 3}}, {"model": {"params": {"first_stage_config": 3}}}):
        assert isinstance(section(odd), dict)


def test_a_zip_bomb_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive(tmp_path / "m.bin", bytes(20 << 20), compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(capsys, tmp_path / "m.bin")


@pytest.mark.parametrize("said", [["--pixels", "-1..1"], ["--pixels=-1..1"]])
def test_a_range_that_begins_with_a_minus_can_be_typed(said: list[str]) -> None:
    assert convert._arguments(["weights.pt", "out", *said]).pixels == "-1..1"
