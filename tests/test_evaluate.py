"""The figures of the model cards, against a slow plain computation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.toys import assert_one_sentence, encoded, toy_model, toy_pixels, write_toy_photos
from vqvae import checkpoint, evaluate, places
from vqvae.codecs import JPEG
from vqvae.errors import BadInput

SIZES = [(30, 44), (22, 21)]


@pytest.fixture
def images() -> list[tuple[str, bytes]]:
    return [
        (f"{n}.png", encoded(Image.fromarray(toy_pixels(height, width, seed=n)), "PNG"))
        for n, (height, width) in enumerate(SIZES)
    ]


def slow_quality(picture: np.ndarray, pixels: np.ndarray) -> tuple[float, float]:
    from skimage.metrics import structural_similarity

    similarity = structural_similarity(
        *(picture, pixels),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )
    return 10 * math.log10(1 / np.mean((picture - pixels) ** 2)), similarity


def test_the_figures_are_those_of_a_plain_computation(images: list[tuple[str, bytes]]) -> None:
    model = toy_model()
    result = evaluate.evaluate("toy", model, images, short_side=20)
    quality: dict[str, list[tuple[float, float]]] = {"off": [], "half": [], "on": [], "jpeg": []}
    used: list[int] = []
    rates, fits = [], []
    for number, (height, width) in enumerate([(20, 29), (21, 20)]):  # the short side brought to 20
        photo = Image.fromarray(toy_pixels(*SIZES[number], seed=number)).resize(
            (width, height), Image.Resampling.LANCZOS
        )
        pixels = np.asarray(photo).astype(np.float32) / 255
        encoding = model.encode(torch.from_numpy(pixels).movedim(-1, 0)[None])
        used += encoding.grid.flatten().tolist()
        cells = math.ceil(height / 4) * math.ceil(width / 4)
        rates.append(cells * 3 / (height * width))  # K = 8: three bits a cell
        for name, weight in (("off", 0.0), ("half", 0.5), ("on", 1.0)):
            embedding = (1 - weight) * encoding.quantized + weight * encoding.embedding
            picture = model.decode(encoding.quantized, embedding)[0, :, :height, :width].movedim(0, -1).numpy()
            quality[name].append(slow_quality(picture, pixels))
        jpeg = JPEG.of_size(np.asarray(photo), cells * 3 / 8)
        fits.append(len(jpeg) <= cells * 3 / 8)
        quality["jpeg"].append(slow_quality(JPEG.decode(jpeg).astype(np.float32) / 255, pixels))
    for name, figures in quality.items():
        found = getattr(result, name)
        assert found.psnr == pytest.approx(np.mean([psnr for psnr, _ in figures]), abs=1e-3), name
        assert found.ssim == pytest.approx(np.mean([ssim for _, ssim in figures]), abs=1e-4), name
    shares = np.bincount(used, minlength=8) / len(used)
    assert result.perplexity == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares if p > 0)))
    assert (result.codes, result.codes_used) == (8, len(set(used)))
    assert result.bits_per_pixel == pytest.approx(np.mean(rates))
    assert result.jpeg_fits == np.mean(fits)
    assert (result.checkpoint, result.images, result.short_side) == ("toy", 2, 20)
    assert result.encode_ms > 0 and result.decode_ms > 0


def test_shuffling_keeps_the_codes_and_changes_their_places(images: list[tuple[str, bytes]]) -> None:
    model = toy_model()
    encoding = model.encode(torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)))
    shuffled = evaluate._shuffled(model, encoding, torch.Generator().manual_seed(0))
    indices = model.quantizer.nearest(shuffled)
    assert not torch.equal(indices, encoding.grid)
    assert torch.equal(indices.flatten().sort().values, encoding.grid.flatten().sort().values)


def test_shuffled_codes_tell_which_input_the_decoder_reads(images: list[tuple[str, bytes]]) -> None:
    """With only the embedding wired, shuffling the codes changes nothing, so long as the embedding is there."""
    model = toy_model()
    stem = model.decoder.stem
    stem.from_quantized.weight.copy_(stem.from_embedding.weight)  # now the codes cancel: W q + W (e − q) = W e
    result = evaluate.evaluate("bypass", model, images, short_side=64)
    assert result.shuffled_on.psnr == pytest.approx(result.on.psnr, abs=1e-3)
    assert abs(result.shuffled_off.psnr - result.off.psnr) > 0.01


def test_two_evaluations_agree_on_all_but_time(images: list[tuple[str, bytes]]) -> None:
    first, second = (evaluate.evaluate("toy", toy_model(), images, short_side=64) for _ in range(2))
    timeless = {"encode_ms": 0.0, "decode_ms": 0.0}
    assert vars(first) | timeless == vars(second) | timeless


def test_an_image_too_small_to_measure_is_refused_by_name() -> None:
    tiny = encoded(Image.new("RGB", (10, 40)), "PNG")
    with pytest.raises(BadInput, match=r"“tiny\.png”.*11 pixels") as refusal:
        evaluate.evaluate("toy", toy_model(), [("tiny.png", tiny)], short_side=64)
    assert_one_sentence(refusal)


def test_main_prints_a_table_and_a_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    data = write_toy_photos(tmp_path / "set" / "val", count=2).parent
    write_toy_photos(tmp_path / "set" / "train", count=3)
    assert evaluate.main([str(tmp_path / "toy"), str(data), "--under", "val", "--short-side", "24"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert lines[0] == "toy: 2 images, short side 24 px"
    assert f"{figures['off']['psnr']:.2f} dB" in lines[1] and f"{figures['half']['ssim']:.3f}" in lines[2]
    assert any(f"{figures['codes_used']} of 8" in line for line in lines)
    assert figures["images"] == 2


def test_a_name_is_looked_up_in_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "checkpoints" / "toy", toy_model(), {})
    data = write_toy_photos(tmp_path / "set", count=1)
    monkeypatch.setattr(places, "checkpoints_folder", lambda: tmp_path / "checkpoints")
    assert evaluate.main(["toy", str(data)]) == 0
    assert capsys.readouterr().out.startswith("toy: 1 image,")


def test_the_line_of_json_is_json_even_where_a_picture_is_perfect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A white image survives JPEG, and its PSNR is infinite, which JSON cannot say."""
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "white.png").write_bytes(encoded(Image.new("RGB", (32, 32), "white"), "PNG"))
    assert evaluate.main([str(tmp_path / "toy"), str(tmp_path / "set")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    figures = json.loads(last, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert figures["jpeg"]["psnr"] is None


def test_main_refuses_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    data = write_toy_photos(tmp_path / "set", count=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("hello")
    for name, source, said in [
        (tmp_path / "nowhere", data, "no checkpoint"),
        (tmp_path / "toy", tmp_path / "nowhere", "not there"),
        (tmp_path / "toy", tmp_path / "broken", "Not one of the images"),
    ]:
        assert evaluate.main([str(name), str(source)]) == 2
        output = capsys.readouterr()
        assert output.out == "" and said in assert_one_sentence(output.err.strip().splitlines()[-1])


def test_what_cannot_be_measured_is_skipped_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    data = write_toy_photos(tmp_path / "set", count=3)
    assert evaluate.main([str(tmp_path / "toy"), str(data)]) == 0
    sound = json.loads(capsys.readouterr().out.splitlines()[-1])
    (data / "0a.png").write_text("hello")
    (data / "0b.png").write_bytes(encoded(Image.new("RGB", (10, 40)), "PNG"))
    (data / "zz.png").write_bytes((data / "0.png").read_bytes())
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "zz.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert evaluate.main([str(tmp_path / "toy"), str(data)]) == 0
    output = capsys.readouterr()
    *lines, last = output.out.splitlines()
    assert lines[0] == "toy: 3 images (3 more were skipped), short side 256 px"
    told = [line for line in output.err.splitlines() if line.startswith("skipped: ")]
    for name, line in zip(("0a", "0b", "zz"), told, strict=True):
        assert f"{name}.png" in line
    timeless = {"encode_ms": 0, "decode_ms": 0, "skipped": 3}
    assert json.loads(last) | timeless == sound | timeless
    assert sound["skipped"] == 0


def test_the_folder_of_checkpoints_is_the_one_that_the_variable_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "mine" / "toy", toy_model(), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()  # does not stand in its place
    assert evaluate.main(["toy", str(write_toy_photos(tmp_path / "set", count=1))]) == 0
    assert capsys.readouterr().out.startswith("toy: 1 image,")


@pytest.mark.parametrize("side", [0, -4, 10])
def test_a_short_side_that_cannot_be_measured_is_refused(
    side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    data = write_toy_photos(tmp_path / "set", count=1)
    assert evaluate.main([str(tmp_path / "toy"), str(data), f"--short-side={side}"]) == 2
    assert "--short-side" in assert_one_sentence(capsys.readouterr().err.strip())


def test_a_tokenizer_of_ones_own_is_measured_as_a_checkpoint_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "toy", toy_model(), {})
    photos = str(write_toy_photos(tmp_path / "set", count=2))
    (tmp_path / "mine.py").write_text(
        f"import vqvae\n\n\ndef load():\n    return vqvae.load({str(tmp_path / 'toy')!r})\n"
    )
    assert evaluate.main([str(tmp_path / "toy"), photos, "--device", "cpu"]) == 0
    own = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert evaluate.main([photos, "--tokenizer", f"{tmp_path / 'mine.py'}:load"]) == 0
    theirs = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert theirs["off"] == own["off"] and theirs["on"] == own["on"] and theirs["images"] == 2
    assert evaluate.main([photos, "--tokenizer", f"{tmp_path / 'gone.py'}:load"]) == 2
    assert "gone.py" in capsys.readouterr().err
