"""A tokenizer out of a Python file: what is loaded, what is refused, and what it is known by."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

import vqvae
from tests.conftest import ROOT
from tests.test_adapting import Net
from tests.toy_tokenizers import MAKERS
from tests.toys import assert_one_sentence, toy_images, toy_model
from vqvae import contract
from vqvae.errors import BadInput
from vqvae.plugin import Request, fingerprint, load_plugin, requested
from vqvae.served import Served

README_EXAMPLE = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]

MY_VQGAN = """\
from torch import nn

class VQGAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 4, stride=4)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.quantize = nn.Module()
        self.quantize.embedding = nn.Embedding(32, 8)
        self.post_quant_conv = nn.Conv2d(8, 8, 1)
        self.decoder = nn.Sequential(nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4), nn.Tanh())
"""


def write(folder: Path, text: str, name: str = "my_model.py") -> str:
    """A file of that text; returns what names its function `load`."""
    (folder / name).write_text(textwrap.dedent(text))
    return f"{folder / name}:load"


def test_the_readmes_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with a small model beside it."""
    (tmp_path / "my_vqgan.py").write_text(MY_VQGAN)
    spaces: dict[str, type[torch.nn.Module]] = {}
    exec(MY_VQGAN, spaces)
    torch.manual_seed(0)
    torch.save(spaces["VQGAN"]().state_dict(), tmp_path / "vqgan.pt")
    monkeypatch.chdir(tmp_path)
    path_before = list(sys.path)
    write(tmp_path, README_EXAMPLE)
    tokenizer = load_plugin("my_model.py:load")
    assert tokenizer.encode(toy_images(1, 30, 41)).grid.shape == (1, 8, 11)
    assert sys.path == path_before
    first = fingerprint(tokenizer)
    assert first == fingerprint(load_plugin("my_model.py:load"))
    torch.save(spaces["VQGAN"]().state_dict(), tmp_path / "vqgan.pt")
    assert fingerprint(load_plugin("my_model.py:load")) != first
    sys.modules.pop("my_vqgan")


@pytest.mark.parametrize("name", MAKERS)
def test_tokenizers_written_by_hand_are_loaded(name: str) -> None:
    tokenizer = load_plugin(f"{ROOT / 'tests' / 'toy_tokenizers.py'}:{name}", device="cpu")
    assert list(contract.faults(tokenizer)) == []
    assert len(fingerprint(tokenizer)) == 64


def test_a_module_can_be_the_tokenizer_and_take_a_device(tmp_path: Path) -> None:
    named = write(
        tmp_path,
        """
        from dataclasses import dataclass  # which looks its module up in sys.modules
        from tests.toys import toy_model

        @dataclass
        class Settings:
            seed: int = 3

        def load(device="nowhere"):
            assert str(device) == "cpu"
            return toy_model(Settings().seed)
        """,
    )
    tokenizer, images = load_plugin(named, device="cpu"), toy_images(1, 13, 18)
    expected = toy_model(3)
    with torch.no_grad():
        assert torch.equal(tokenizer.encode(images).grid, expected.encode(images).grid)
        assert torch.equal(
            tokenizer.decode(tokenizer.encode(images).quantized), expected.decode(expected.encode(images).quantized)
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "def load(): return {'spec': 1}",
            "my_model.py:load: What came is a dict and no tokenizer: it lacks 'spec', 'encode'",
        ),
        ("def load(): pass", "nothing (None)"),
        ("def load(): 1 / 0", "my_model.py:load raises ZeroDivisionError (“division by zero”)"),
        ("def load(a): pass", "my_model.py:load raises TypeError"),
        ("def lead(): pass", "my_model.py has no function 'load'"),
        ("load = 3", "my_model.py has no function 'load'"),
        ("import no_such_module", "my_model.py raises ModuleNotFoundError (“No module named 'no_such_module'”)"),
        ("def load(:", "my_model.py raises SyntaxError"),
        ("raise SystemExit(0)", "my_model.py raises SystemExit"),
        ("class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd", "my_model.py raises Odd;"),
        ("raise ValueError('one\\ntwo.' + '!' * 1000)", "raises ValueError (“one two.!!!"),
        ("\0", "my_model.py raises"),
        ("import vqvae\ndef load(): return vqvae.adapt(encode=1, decode=2, codebook=3, stride=4)", "encode is 1"),
    ],
)
def test_faults_are_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    started = time.process_time()
    with pytest.raises(BadInput) as refusal:
        load_plugin(write(tmp_path, text))
    assert time.process_time() - started < 2
    assert words in assert_one_sentence(refusal)


PLUGIN = """
import torch
from tests.toys import toy_model
from vqvae.model import VQVAE

class Wrong(VQVAE):
    {method}

def load():
    model = toy_model()
    model.__class__ = Wrong
    return model
"""


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("def decode(self, q, e=None): return super().decode(q, e) * torch.nan", "decode returns pixels that are not"),
        ("def decode(self, q, e=None): return super().decode(q, e)[:, :1]", "decode returns the shape"),
        ("def decode(self, q, e=None): return torch.rand_like(super().decode(q, e))", "decode answers otherwise"),
        ("def decode(self, q): return q", "decode raises TypeError"),
        ("def encode(self, images): raise KeyError('x')", "encode raises KeyError"),
        ("def encode(self, images): return super().encode(torch.rand_like(images))", "encode answers otherwise"),
        ("encode = None", "has to be a method"),
    ],
)
def test_a_plugin_that_breaks_a_promise(method: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        load_plugin(write(tmp_path, PLUGIN.format(method=method)))
    assert words in assert_one_sentence(refusal)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("", "names no tokenizer"),
        ("my_model", "names no tokenizer"),
        ("my_model.py", "names no tokenizer"),
        ("my_model:load", "names no tokenizer"),
        ("my_model.py:", "names no tokenizer"),
        ("my_model.py:a.b", "names no tokenizer"),
        ("my_model.py:load()", "names no tokenizer"),
        ("os:system", "names no tokenizer"),
        ("nowhere.py:load", "There is no file"),
        ("/dev/null.py:load", "There is no file"),
        ("a\0b.py:load", "There is no file"),
        (f"{'x' * 5000}.py:load", "There is no file"),
        ("folder.py:load", "There is no file"),
        ("pipe.py:load", "There is no file"),
    ],
)
def test_a_name_that_names_nothing(named: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(BadInput) as refusal:
        load_plugin(named)
    assert words in assert_one_sentence(refusal)


@pytest.mark.parametrize("device", ["cuda", "meta", "abacus", "", "cpu:x"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("There is one.")
    with pytest.raises(BadInput) as refusal:
        load_plugin(write(tmp_path, "def load(): raise AssertionError"), device=device)
    assert "device" in assert_one_sentence(refusal)


def test_who_asks_for_what() -> None:
    assert requested([], {}) is None
    assert requested(["--other", "x"], {}) is None
    assert requested([], {"VQVAE_EXPLORER_TOKENIZER": ""}) is None
    assert requested([], {"VQVAE_EXPLORER_TOKENIZER": "m.py:load"}) == Request("m.py:load")
    assert requested(["--tokenizer", "n.py:f"], {"VQVAE_EXPLORER_TOKENIZER": "m.py:load"}) == Request("n.py:f")
    assert requested(["--tokenizer=n.py:f", "--device", "cuda"], {}) == Request("n.py:f", "cuda")
    assert requested(["--tokenizer", "n.py:f", "x"], {"VQVAE_EXPLORER_DEVICE": "cuda"}) == Request("n.py:f", "cuda")
    with pytest.raises(BadInput) as refusal:
        requested(["--tokenizer"], {})
    assert_one_sentence(refusal)
    with pytest.raises(BadInput):
        Request("nowhere.py:load").load()


# --- fingerprints -----------------------------------------------------------------------------------------------------


def adapted(net: Net, **changes: object) -> Served:
    settings = {"encode": lambda x: net.encoder(x), "decode": net.decoder, "codebook": net.codebook, "stride": 4}
    return vqvae.adapt(**{**settings, "pixels": (-1, 1), **changes})  # type: ignore[arg-type]


def test_a_fingerprint_tells_weights_apart() -> None:
    """A changed number in any tensor of the model changes it, wherever that lies."""
    net = Net().eval()
    expected = fingerprint(adapted(net))
    assert fingerprint(adapted(Net().eval())) == expected
    seen = {expected}
    used = [name for name in net.state_dict() if not name.startswith("mix.")]
    for name in used:
        other = Net().eval()
        other.state_dict()[name].view(-1)[:1].add_(1)
        seen.add(fingerprint(adapted(other)))
    assert len(seen) == 1 + len(used)
    assert fingerprint(adapted(net, name="another")) not in seen
    assert fingerprint(adapted(net, reach=0)) not in seen


def test_a_fingerprint_sees_tensors_that_are_in_no_module() -> None:
    net = Net().eval()
    shift = torch.zeros(1)
    table = net.codebook.weight.detach().clone()
    before = fingerprint(adapted(net, encode=lambda x: net.encoder(x) + shift, codebook=table))
    assert fingerprint(adapted(net, encode=lambda x: net.encoder(x) + shift, codebook=table)) == before
    shift += 1
    after = fingerprint(adapted(net, encode=lambda x: net.encoder(x) + shift, codebook=table))
    table[0] += 1
    assert len({before, after, fingerprint(adapted(net, encode=lambda x: net.encoder(x) + shift, codebook=table))}) == 3


def test_a_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    named = f"{ROOT / 'tests' / 'toy_tokenizers.py'}:two_levels"
    program = f"from vqvae.plugin import *; print(fingerprint(load_plugin({named!r})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == fingerprint(load_plugin(named))
    copy = tmp_path / "copy.py"
    copy.write_text((ROOT / "tests" / "toy_tokenizers.py").read_text() + "\n# another file\n")
    assert fingerprint(load_plugin(f"{copy}:two_levels")) != done.stdout.strip()
