"""The doctor lists all faults, and tells a wrong setting by the photos."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vqvae
from explorer.cli import doctor as command
from explorer.cli import main as cli
from tests import toy_tokenizers
from tests.conftest import CHECKPOINTS, ROOT
from tests.toys import assert_one_sentence, toy_images, toy_model
from vqvae import checkpoint, contract, doctor
from vqvae.doctor import Finding, Report
from vqvae.images import pad_to_multiple
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import Encoding, Level, Sizes, Spec, TokenizerModule, cells


def told(report: Report, words: str) -> Finding:
    """The one finding that says so."""
    (found,) = [finding for finding in report.findings if words in finding.what]
    return found


def saved(folder: Path, *, without: str = "", **changes: Any) -> Path:
    """A folder with a toy model in it, with other tensors."""
    model = toy_model()
    state = {name: tensor for name, tensor in model.state_dict().items() if not without or without not in name}
    checkpoint.write(folder, {"family": "vqvae-two-input", "model": model.config.to_dict()}, {**state, **changes})
    return folder


def test_a_sound_checkpoint(tmp_path: Path) -> None:
    report = doctor.examine(saved(tmp_path / "toy"), photos=[toy_images(1, 40, 50), toy_images(1, 300, 33)])
    assert report.sound
    assert report.name == "toy"
    assert told(report, "own forward pass draws the same").severity == "note"
    assert told(report, "the nearest code to a code is itself")
    assert told(report, "codes have length 2, so that every metric chooses the same")
    assert told(report, "cells of 2 photos")
    assert told(report, "No other of 3 settings of metric does better")
    for finding in report.findings:
        assert_one_sentence(finding.what)


def test_all_faults_of_the_files_and_not_the_first(tmp_path: Path) -> None:
    state = toy_model().state_dict()
    names = [name for name in state if name.startswith("decoder")]
    folder = saved(
        tmp_path / "toy",
        without="encoder",
        **{
            "surplus": torch.zeros(3),
            names[0]: torch.zeros(7),
            names[1]: state[names[1]].to(torch.float64),
            names[2]: state[names[2]] * torch.nan,
        },
    )
    report = doctor.examine(folder)
    assert not report.sound
    missing = [name for name in state if "encoder" in name]
    for name in missing:
        assert told(report, f"lack the tensor {name!r}").severity == "fault"
    assert told(report, "hold a tensor 'surplus'")
    assert told(report, f"The tensor {names[0]!r} has shape [7]")
    assert told(report, f"The tensor {names[1]!r} is of type F64")
    assert told(report, f"The tensor {names[2]!r} has values that are not finite")
    assert told(report, "was not examined").severity == "note"
    assert len(report.findings) == len(missing) + 5
    for finding in report.findings:
        assert_one_sentence(finding.what)


def test_weights_are_looked_at_under_a_broken_config(tmp_path: Path) -> None:
    folder = saved(tmp_path / "toy", surplus=torch.full((2,), torch.inf))
    (folder / "config.json").write_text("{")
    report = doctor.examine(folder)
    assert told(report, "not valid JSON")
    assert told(report, "'surplus' has values that are not finite")
    (folder / "model.safetensors").write_bytes(b"cut")
    assert told(doctor.examine(folder), "cut off or not in the safetensors format")
    assert told(doctor.examine(tmp_path), "config.json is missing")


def test_a_file_of_a_great_many_faults_is_told_in_short(tmp_path: Path) -> None:
    folder = saved(tmp_path / "toy", **{f"surplus{number}": torch.zeros(1) for number in range(500)})
    report = doctor.examine(folder)
    assert len(report.findings) == doctor.MOST_FINDINGS + 1
    assert told(report, "There are 301 more findings.")


class OtherForward(VQVAE):
    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        return self.decode(self.encode(images).embedding)


class OddForward(VQVAE):
    def forward(self, images: Tensor) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize(("cls", "severity"), [(OtherForward, "fault"), (OddForward, "warning")])
def test_the_models_own_forward_pass(cls: type[VQVAE], severity: str) -> None:
    model = toy_model()
    model.__class__ = cls
    report = doctor.examine_tokenizer(model, name="toy")
    assert told(report, "own forward pass").severity == severity


def codes_changed(change: Callable[[Tensor], object]) -> VQVAE:
    model = toy_model()
    with torch.no_grad():
        change(model.codebook)
    return model


def test_codes_that_repeat_and_codes_that_are_too_close() -> None:
    report = doctor.examine_tokenizer(codes_changed(lambda codes: codes[5].copy_(codes[2])), name="toy")
    assert told(report, "1 code that is equal to an earlier one, such as 5 to 2").severity == "warning"
    assert report.sound

    def crowd(codes: Tensor) -> None:
        codes += 1000.0
        codes[3] = codes[2]
        codes[3, 0] += 1e-4

    report = doctor.examine_tokenizer(codes_changed(crowd), name="toy")
    assert told(report, "the nearest code is another").severity == "fault"
    assert told(report, "not normalised")


def test_a_collapsed_codebook() -> None:
    def far_but_one(codes: Tensor) -> None:
        codes[1:] += 1000.0

    report = doctor.examine_tokenizer(codes_changed(far_but_one), name="toy")
    finding = told(report, "1 of 8 codes is used")
    assert finding.severity == "fault"
    assert "collapsed" in finding.do


def test_broken_promises_are_faults() -> None:
    class NaN(toy_tokenizers.GlobalDecoder):
        def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
            return super().decode(quantized, embedding) * torch.nan

        def vectors(self, level: int, codes: Tensor) -> Tensor:
            raise RuntimeError("none")

    report = doctor.examine_tokenizer(NaN(toy_tokenizers.global_decoder().codes), name="toy")
    assert not report.sound
    assert told(report, "decode returns pixels that are not finite")
    assert [finding for finding in report.findings if "vectors raises RuntimeError" in finding.what]
    assert told(report, "codes are used")  # what else there is to say is said


def test_what_is_no_tokenizer_or_cannot_be_one() -> None:
    assert told(doctor.examine_tokenizer({}, name="toy"), "What came is a dict and no tokenizer")  # type: ignore[arg-type]
    sound = toy_tokenizers.SignBits
    impossible = type("Impossible", (sound,), {"spec": replace(sound.spec, levels=())})
    assert told(doctor.examine_tokenizer(impossible(), name="toy"), "one or more")


@pytest.mark.parametrize("name", toy_tokenizers.MAKERS)
def test_every_kind_of_tokenizer_can_be_examined(name: str) -> None:
    report = doctor.examine_tokenizer(getattr(toy_tokenizers, name)(), name=name)
    assert report.sound
    assert told(report, "Photos are reconstructed at")


# --- settings that are wrong ------------------------------------------------------------------------------------------


class Declaring(TokenizerModule):
    """A family whose metric and pixel range stand in config.json; made for "dot" and "-1..1"."""

    def __init__(self, *, metric: Any, pixels: tuple[float, float]) -> None:
        super().__init__()
        basis = toy_tokenizers.cosine_basis(4, 1)
        generator = torch.Generator().manual_seed(0)
        directions = torch.nn.functional.normalize(torch.randn(256, 9, generator=generator))
        self.codes = torch.nn.Parameter(directions * (0.5 + 2.5 * torch.rand(256, 1, generator=generator)))
        self.basis = torch.nn.Parameter(basis)
        self.pixels = pixels
        self.spec = Spec("declaring", (Level("grid", 256, 9, metric, 4),), 0, 1, Sizes(4))

    def encode(self, images: Tensor) -> Encoding:
        low, high = self.pixels
        images = pad_to_multiple(images, 4) * (high - low) + low
        embedding = toy_tokenizers.analysed(images, self.basis)
        grid = Codebook(self.codes, self.spec.grid.metric).nearest(cells(embedding))
        indices = (grid.view(len(images), *embedding.shape[2:]),)
        return Encoding(indices, embedding, self.lookup(indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return toy_tokenizers.looked_up(indices[0], self.codes)

    def vectors(self, level: int, codes: Tensor) -> Tensor:
        return self.codes[codes]

    def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
        low, high = self.pixels
        drawn = toy_tokenizers.drawn(quantized if embedding is None else embedding, self.basis)
        return ((drawn - low) / (high - low)).clamp(0, 1)


class DeclaringFamily:
    WEIGHTS_FILE = "model.safetensors"

    @staticmethod
    def build(settings: Any) -> Declaring:
        model = settings["model"]
        low, _, high = str(model["pixels"]).partition("..")
        return Declaring(metric=model["metric"], pixels=(float(low), float(high)))

    @staticmethod
    def renamed(name: str) -> str:
        return name


@pytest.fixture
def declaring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    for module in (checkpoint, doctor):
        monkeypatch.setattr(module, "family_of", lambda settings: DeclaringFamily)

    def make(metric: str, pixels: str) -> Path:
        config = {"family": "declaring", "model": {"metric": metric, "pixels": pixels}}
        checkpoint.write(tmp_path / "toy", config, Declaring(metric="euclidean", pixels=(-1, 1)).state_dict())
        return tmp_path / "toy"

    return make


def test_a_wrong_metric_and_a_wrong_pixel_range_are_told(declaring: Callable[[str, str], Path]) -> None:
    right = doctor.examine(declaring("euclidean", "-1..1"))
    assert right.sound
    assert told(right, "No other of 9 settings of metric and pixels does better")
    assert told(right, "not normalised")
    wrong = doctor.examine(declaring("dot", "-1..1"))
    finding = told(wrong, "With metric euclidean photos are reconstructed at")
    assert finding.severity == "warning"
    assert finding.do == "If the model's authors do not say otherwise, declare metric euclidean."


def test_what_was_adapted_is_tried_under_other_ranges() -> None:
    basis, codes = toy_tokenizers.cosine_basis(4, 1), toy_tokenizers.codebook(256, 9, scale=1.0)
    declared = {"metric": "euclidean", "stride": 4, "codebook": codes}
    tokenizer = vqvae.adapt(
        encode=lambda images: toy_tokenizers.analysed(images, basis),
        decode=lambda quantized: toy_tokenizers.drawn(quantized, basis),
        pixels=(0, 1),
        **declared,  # type: ignore[arg-type]
    )
    photos = [contract.photo_like(1, 64, 64)]
    finding = told(doctor.examine_tokenizer(tokenizer, name="toy", photos=photos), "With pixels")
    assert finding.severity == "warning"
    assert "pixels 0..1)" in finding.what


def test_a_metric_that_the_indices_do_not_follow_in_all_cells() -> None:
    class Rounding(toy_tokenizers.GlobalDecoder):
        def encode(self, images: Tensor) -> Encoding:
            encoding = super().encode(images)
            grid = encoding.grid.clone()
            grid[:, 0, 0] = (grid[:, 0, 0] + 1) % 128
            return replace(encoding, indices=(grid,), quantized=self.lookup((grid,)))

    report = doctor.examine_tokenizer(
        Rounding(toy_tokenizers.global_decoder().codes), name="toy", photos=[toy_images(1, 128, 128)]
    )
    assert told(report, "0.10% of the cells have another code than the nearest").severity == "warning"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "sample_photos", lambda: [toy_images(1, 64, 64)])


@pytest.mark.usefixtures("few_photos")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", str(saved(tmp_path / "toy"))]) == 0
    assert capsys.readouterr().out.startswith("toy: sound\n  note: ")
    assert cli.main(["doctor", str(saved(tmp_path / "toy", surplus=torch.zeros(1)))]) == 1
    printed = capsys.readouterr().out
    assert "toy: not sound\n  FAULT: The weights hold a tensor 'surplus'" in printed
    assert cli.main(["doctor", str(tmp_path / "toy"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["sound"] is False
    assert report["findings"][0]["severity"] == "fault"
    assert cli.main(["doctor", str(tmp_path / "nothing")]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert cli.main(["doctor", "--tokenizer", f"{ROOT / 'tests' / 'toy_tokenizers.py'}:two_levels"]) == 0
    assert "toy_tokenizers.py:two_levels: sound" in capsys.readouterr().out


@pytest.mark.usefixtures("few_photos")
def test_the_command_lists_all_faults_of_a_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        "from tests.toy_tokenizers import SignBits\n"
        "class Wrong(SignBits):\n"
        "    def vectors(self, level, codes): raise ValueError('none')\n"
        "    def lookup(self, indices): return super().lookup(indices)[:, :1]\n"
        "def load(): return Wrong()\n"
    )
    assert cli.main(["doctor", "--tokenizer", f"{tmp_path / 'mine.py'}:load"]) == 1
    assert "FAULT: " in capsys.readouterr().out


def test_the_photos_of_the_command_are_the_samples() -> None:
    photos = command.sample_photos()
    assert len(photos) >= 10
    assert all(photo.shape[:2] == (1, 3) for photo in photos)


@pytest.mark.parametrize("folder", sorted(CHECKPOINTS.glob("photos*")), ids=lambda path: path.name)
def test_shipped_checkpoints_are_sound(folder: Path) -> None:
    assert doctor.examine(folder, photos=[contract.photo_like(1, 64, 64)]).sound
