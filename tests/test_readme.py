"""The README's six blocks of "As a library" run as they stand there, and the notebook does what they do."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import explorer
import vqvae
from explorer.codebook.dossier import patch_pictures
from explorer.compare.report import as_html
from explorer.editing.edits import inputs_of
from explorer.images.samples import SAMPLES
from explorer.index.usage import summarise
from explorer.inputs.reliance.report import table
from tests.conftest import ROOT
from tests.toys import toy_images, toy_model
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.images import load_image, to_image, to_pixels, to_png, to_tensor

LIBRARY = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## As a library\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", LIBRARY, re.DOTALL)
RECONSTRUCT, USAGE, EDIT, RELIANCE, COMPARE, OWN = BLOCKS


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a photo and a folder PHOTOS of more, none larger than a block needs."""
    (tmp_path / "PHOTOS").mkdir()
    for sample in SAMPLES[:6]:
        small = load_image(sample.read(), sample.file).resize((76, 52))
        small.save(tmp_path / "PHOTOS" / f"{sample.name}.png")
    (tmp_path / "photo.png").write_bytes((tmp_path / "PHOTOS" / "chelsea.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VQVAE_EXPLORER_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(block: str) -> tuple[dict[str, object], str]:
    """Run a block; what it has named, and what it has printed."""
    names: dict[str, object] = {"__name__": "block"}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "README.md", "exec"), names)
    return names, printed.getvalue()


def test_each_block_is_five_lines_besides_its_imports_or_one_call() -> None:
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line and not line.startswith(("import ", "from "))]
        calls = re.sub(r"\n(    .*|\))", "", "\n".join(lines)).splitlines()
        assert len(calls) <= 5


def test_reconstruct(where: Path) -> None:
    names, printed = run(RECONSTRUCT)
    model, image = names["model"], to_tensor(load_image((where / "photo.png").read_bytes(), "photo.png"))
    encoding = model.encode(image)
    expected = model.decode(encoding.quantized, encoding.embedding)[..., :52, :76]
    assert torch.equal(names["drawn"], expected)
    assert np.array_equal(to_pixels(vqvae.read_image("drawn.png"))[0], to_pixels(expected)[0])
    assert float(printed.split()[0]) > 24


def test_usage_and_top_patches(where: Path) -> None:
    names, printed = run(USAGE)
    photos = names["photos"]
    model = vqvae.load("photos")
    images = [vqvae.read_image(file) for file in sorted((where / "PHOTOS").iterdir())]
    encoded = [model.encode(image) for image in images]
    counts = np.bincount(np.concatenate([one.grid.numpy().ravel() for one in encoded]), minlength=1024)
    assert photos.usage == summarise(counts, images=6)
    assert printed == f"{photos.usage.active} codes used, perplexity {photos.usage.perplexity}\n"
    code = int(counts.argmax())
    found = [
        (float((one.embedding - one.quantized)[0, :, row, column].norm()), number, row, column)
        for number, one in enumerate(encoded)
        for row, column in np.argwhere(one.grid[0].numpy() == code).tolist()
    ]
    _, number, row, column = min(found)
    nearest = patch_pictures([to_pixels(images[number])[0]], [(row, column)], stride=8)[0]
    assert np.array_equal(names["patches"][0], nearest)
    assert to_pixels(vqvae.read_image("patches.png"))[0].shape == (40, 40 * min(12, counts[code]), 3)


def test_edit_and_decode(where: Path) -> None:
    names, _ = run(EDIT)
    model, base, edit = names["model"], names["base"], names["edit"]
    fed = inputs_of(model, base, edit)
    assert np.array_equal(
        to_pixels(vqvae.read_image("edited.png"))[0],
        to_pixels(model.decode(fed.quantized, fed.embedding)[..., :52, :76])[0],
    )
    changed = np.argwhere(edit.indices != base.grid[0].numpy())
    assert (edit.indices[2:6, 3:9] == 417).all()
    assert changed.min(0).tolist() >= [2, 3]
    assert changed.max(0).tolist() <= [5, 8]


def test_reliance(where: Path) -> None:
    names, printed = run(RELIANCE)
    report = names["report"]
    assert printed.startswith(table(report))
    assert printed.endswith(" dB lost without the embedding\n")
    assert report.evidence.settings.images == 40
    assert len(report.evidence.images) == 6
    assert report.evidence.twin == "photos-classic"


def test_compare(where: Path) -> None:
    names, printed = run(COMPARE)
    found = names["found"]
    quality: dict[str, list[float]] = {"photos": [], "photos-fine": []}
    for name, values in quality.items():
        model = vqvae.load(name)
        for file in sorted((where / "PHOTOS").iterdir()):
            image = vqvae.read_image(file)
            drawn = to_tensor(to_pixels(vqvae.reconstruct(model, image))[0])
            values.append(vqvae.psnr(drawn, image).item())
    paired = np.subtract(quality["photos-fine"], quality["photos"])
    assert printed.startswith(f"{found}\n")
    assert printed.splitlines()[-1].startswith(f"{paired.mean():+.2f} dB, 95 % of [")
    assert printed.endswith("over 6 photos\n")
    assert (where / "report.html").read_text(encoding="utf-8") == as_html(found)


def test_a_tokenizer_of_ones_own(where: Path) -> None:
    names, printed = run(OWN)
    means = [
        functional.avg_pool2d(vqvae.read_image(file)[..., :48, :72], 8) for file in sorted((where / "PHOTOS").iterdir())
    ]
    nearest = torch.cat([(mean * 7).round().flatten(2)[0].T for mean in means]) @ torch.tensor([64.0, 8, 1])
    counts = torch.zeros(512).index_add(0, nearest.long(), torch.ones(len(nearest)))
    photos = explorer.index_images(names["tokenizer"], "PHOTOS")
    assert printed == f"{photos.usage}\n"
    inner = np.concatenate([photos.index.grid(image)[:6, :9].ravel() for image in range(6)])
    assert np.bincount(inner, minlength=512).tolist() == counts.tolist()


def test_the_notebook_runs_the_same_blocks_and_shows_what_they_give(where: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "docs.notebook", str(where / "done.ipynb")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    committed = json.loads((ROOT / "docs" / "library.ipynb").read_text(encoding="utf-8"))
    for notebook in (committed, json.loads((where / "done.ipynb").read_text(encoding="utf-8"))):
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) + "\n" for cell in cells]
        assert [source for source in sources if source in BLOCKS] == BLOCKS
        assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
        assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]


# What else the names promise


@pytest.fixture
def toy(where: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkpoint.save(where / "kept" / "toy", toy_model(codes=8, decoder_inputs="both"), {})
    monkeypatch.setenv("VQVAE_EXPLORER_CHECKPOINTS", str(where / "kept"))
    return where


def test_a_model_is_opened_by_name_by_folder_and_as_it_is(toy: Path) -> None:
    named = explorer.open_model("toy")
    assert named.fingerprint == explorer.open_model(toy / "kept" / "toy").fingerprint
    assert explorer.open_model(named) is named
    own = explorer.open_model(named.tokenizer)
    assert own.codes == 8
    assert explorer.open_model(named.tokenizer).fingerprint == own.fingerprint
    with pytest.raises(BadInput, match="There is no checkpoint"):
        explorer.open_model("nothing")
    with pytest.raises(BadInput):
        explorer.open_model(object())  # type: ignore[arg-type]


def test_a_set_is_encoded_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = explorer.open_model("toy")
    first = explorer.index_images(model, "PHOTOS", size=32)
    monkeypatch.setattr("explorer.library.build", lambda *_, **__: pytest.fail("it was built again"))
    again = explorer.index_images(model, Path("PHOTOS"), size=32)
    assert np.array_equal(first.counts, again.counts)
    for code in (-1, 8):
        with pytest.raises(BadInput, match="There is no code"):
            again.top_patches(code)


def test_an_edit_is_checked_before_it_is_drawn() -> None:
    model, image = toy_model(), toy_images(1, 17, 21)
    base = model.encode(image)
    edit = explorer.unedited(base)
    before = base.grid.clone()
    assert explorer.draw(model, base, edit).shape == (1, 3, 20, 24)
    assert explorer.draw(model, base, edit.with_code(3, 1, 2), like=image).shape == image.shape
    assert torch.equal(base.grid, before)
    with pytest.raises(BadInput, match="a code that is none"):
        explorer.draw(model, base, edit.with_code(8, 0, 0))
    with pytest.raises(BadInput, match="another size"):
        explorer.draw(model, model.encode(toy_images(1, 4, 4)), edit)


def test_arrays_are_written_as_they_are(tmp_path: Path) -> None:
    pixels = to_pixels(toy_images(1, 5, 7))[0]
    vqvae.write_image(tmp_path / "a.png", pixels)
    assert (tmp_path / "a.png").read_bytes() == to_png(pixels)
    assert to_image(pixels).size == (7, 5)


@pytest.mark.parametrize("package", [vqvae, explorer])
def test_every_name_that_a_package_offers_is_there_and_no_other(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name).__doc__
    look_up: Callable[[str], object] = package.__getattr__  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        look_up("nothing")
