"""Several processes that train one model: what they learn is what one would, and what befalls one ends all."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from tests.browser import ROOT
from tests.test_train import TOY, run
from tests.toys import assert_one_sentence, toy_pixels, write_toy_photos
from vqvae import checkpoint
from vqvae.errors import BadInput
from vqvae.quantizer import CodebookLearner, VectorQuantizer
from vqvae.training.crops import Crops
from vqvae.training.distributed import Together
from vqvae.training.log import CSV, read_log
from vqvae.training.settings import TrainingConfig, training_settings
from vqvae.training.state import STATE_FILE, read_about, write_state

pytest.importorskip("lightning_fabric")


# Codes that crowd together, as those of TOY do, leave ties, which float noise of 1e-6 decides one way or the other.
EVEN = replace(TOY, dead_below=0.35, precision="float32")


def torchrun(*arguments: object, module: str) -> tuple[int, str]:
    """Two processes of a module: torchrun's exit status, and what all said."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        _, told = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.terminate()  # it ends those that it has started
        _, told = process.communicate()
    return process.returncode, told


def write_settings(path: Path, config: TrainingConfig) -> Path:
    path.write_text(json.dumps(training_settings(config)), encoding="utf-8")
    return path


def state(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load((folder / STATE_FILE).read_bytes())


def assert_close(one: Path, other: Path, *, atol: float) -> None:
    """Two runs have come to the same codebook, weights and averages, within float noise."""
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    for name in first:
        if not name.startswith("optimizer"):
            torch.testing.assert_close(
                first[name], second[name], atol=atol, rtol=atol, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_two_processes_learn_what_one_learns_from_the_doubled_batch(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 200
    config = replace(EVEN, steps=steps, restart_every=20)
    settings, one, two = write_settings(tmp_path / "settings.json", config), tmp_path / "one", tmp_path / "two"
    common = (photos, "--config", settings, "--val", photos, "--val-images", 2, "--log-every", 10)
    restarted, real = [], CodebookLearner.restart_dead_
    with monkeypatch.context() as patch:
        patch.setattr(CodebookLearner, "restart_dead_", lambda *these: restarted.append(real(*these)))
        assert run(*common, "--out", one, "--batch", 8) == 0
    assert sum(restarted) > 0  # so the draws are tried, too
    code, told = torchrun(*common, "--out", two, "--batch", 4, module="vqvae.train")
    assert code == 0, told

    codebooks = [checkpoint.load(folder).codebook for folder in (one, two)]
    torch.testing.assert_close(*codebooks, atol=1e-4, rtol=1e-4)
    assert_close(one, two, atol=1e-3)
    # It is kept as the run of one process, which may go on with it, and its log has the figures of the whole batch.
    assert read_about(two).config == read_about(one).config == replace(config, batch=8)
    logs = [read_log(folder) for folder in (one, two)]
    for name in ("loss", "psnr_off", "psnr_on", "perplexity", "used", "val_psnr_on"):
        (at, values), (at_two, values_two) = (log.column(name) for log in logs)
        assert (at == at_two).all()
        assert values == pytest.approx(values_two, abs=1e-2)
    # One process wrote all of it.
    assert sorted(path.name for path in two.rglob("*")) == sorted(path.name for path in one.rglob("*"))
    assert [line.split(",")[0] for line in (two / CSV).read_text().splitlines()[1:]] == [
        str(step) for step in range(0, steps + 1, 10)
    ]
    assert told.count(f"{steps}/{steps} [") == 1


def test_what_befalls_one_ends_all_and_is_said_once(photos: Path, tmp_path: Path) -> None:
    """And a run of one process goes on with two, and again with one."""
    settings = write_settings(tmp_path / "even.json", EVEN)
    write_toy_photos(photos.parent / "others", count=2)
    alone, resumed = tmp_path / "alone", tmp_path / "resumed"
    assert run(photos, "--out", resumed, "--config", settings) == 0
    shutil.copytree(resumed, alone)
    code, told = torchrun(photos, settings, tmp_path, module="tests.toy_ranks")
    assert code == 0, told
    for rank in (0, 1):  # a thread of the group that outlives the interpreter aborts the process, now and then
        threads = json.loads((tmp_path / f"threads-{rank}.json").read_text("utf-8"))
        assert not [name for name in threads if "gloo" in name]

    def ends(scene: str) -> tuple[int, str]:
        """The exit status of both, and the last line of what the first said; the second says nothing."""
        first, second = (json.loads((tmp_path / f"{scene}-{rank}.json").read_text("utf-8")) for rank in (0, 1))
        assert second["told"] == "" and first["code"] == second["code"]
        assert first["told"].count("error: ") <= 1
        return first["code"], first["told"].strip().splitlines()[-1]

    code, said = ends("unknown")
    assert code == 2 and "--steps" in said
    code, said = ends("refused")
    assert code == 2 and "multiple of the stride" in assert_one_sentence(said)
    code, said = ends("others")
    assert code == 2 and "see other images" in assert_one_sentence(said)
    code, said = ends("lost")
    assert code == 2 and "The disk with the images does not answer" in assert_one_sentence(said)
    assert read_about(tmp_path / "lost").step > 1  # what was learned by then is kept, by the first process
    code, said = ends("drifted")
    assert code == 1 and "do not hold the same model any more" in said
    code, said = ends("exploded")
    assert code == 1 and "The loss is nan at step 3" in said
    assert not any((tmp_path / scene / checkpoint.CONFIG_FILE).exists() for scene in ("drifted", "exploded"))
    assert ends("stopped") == (130, "Stopped at step 4; go on with --resume.")
    assert read_about(tmp_path / "stopped").step == 4

    assert ends("resumed")[0] == 0
    assert run(photos, "--out", alone, "--resume", "--steps", 12) == 0
    assert_close(alone, resumed, atol=1e-4)
    assert read_about(resumed).config == read_about(alone).config
    for folder in (alone, resumed):
        assert run(photos, "--out", folder, "--resume", "--steps", 15) == 0
    assert_close(alone, resumed, atol=1e-4)


# Its parts


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_shares_make_up_the_batch_and_each_reads_its_own_alone(processes: int) -> None:
    config = replace(TOY, batch=7)
    photos = Noting([Image.fromarray(toy_pixels(40, 60, seed=seed)) for seed in range(5)])
    whole = Crops(photos, config)
    for step in range(4):
        parts = []
        for rank in range(processes):
            photos.asked = 0
            share = one_of(processes, rank).share(config.batch)
            parts.append(Crops(photos, config, share=share).batch(step))
            assert photos.asked == len(share) == len(parts[-1])
        assert torch.equal(torch.cat(parts), whole.batch(step))


class Noting(list[Image.Image]):
    """Photos that count how often one is asked for."""

    asked = 0

    def __getitem__(self, number: Any) -> Any:
        self.asked += 1
        return super().__getitem__(number)


def one_of(processes: int, rank: int = 0) -> Together:
    """One of several processes, that has not met the others."""
    ranks = object.__new__(Together)
    ranks.rank, ranks.size = rank, processes
    return ranks


def test_a_batch_that_is_too_small_for_all_is_refused() -> None:
    with pytest.raises(BadInput) as refusal:
        one_of(5).share(4)
    assert_one_sentence(refusal)


def test_without_its_extra_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(BadInput) as refusal:
        one_of(2).device(None)
    assert "pip install .[scale]" in assert_one_sentence(refusal)


def test_a_codebook_learns_from_what_all_have_counted() -> None:
    vectors, indices = torch.randn(30, 4), torch.arange(30) % 7
    torch.manual_seed(0)
    quantizers = [VectorQuantizer(8, 4), VectorQuantizer(8, 4)]
    quantizers[1].load_state_dict(quantizers[0].state_dict())
    one = CodebookLearner(quantizers[0])
    one.update_(vectors.repeat(2, 1), indices.repeat(2))
    of_two = CodebookLearner(quantizers[1], total=lambda tensor: 2 * tensor)  # the other has the same vectors
    of_two.update_(vectors, indices)
    torch.testing.assert_close(of_two.counts, one.counts)
    torch.testing.assert_close(of_two.quantizer.codebook, one.quantizer.codebook)


def test_dead_codes_go_where_the_first_process_has_drawn() -> None:
    learner = CodebookLearner(VectorQuantizer(8, 4), sent=torch.zeros_like)
    learner.counts[[1, 4]] = 0
    assert learner.restart_dead_(torch.randn(30, 4)) == 2
    assert (learner.quantizer.codebook == 0).all(1).nonzero().flatten().tolist() == [1, 4]
    learner.start_(torch.randn(30, 4))
    assert (learner.quantizer.codebook == 0).all()


def test_a_batch_that_is_repeated_with_a_run_that_goes_on_is_the_one_it_had(
    photos: Path, settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it says that of each process or, as the run's own config.json does, that of all."""
    out = tmp_path / "out"
    assert run(photos, "--out", out, "--config", settings, "--batch", 4) == 0
    tensors = state(out)
    write_state(out, replace(read_about(out), processes=2), tensors)  # as two processes with --batch 2 leave it
    assert run(photos, "--out", out, "--resume", "--steps", 7, "--batch", 2) == 0
    assert run(photos, "--out", out, "--resume", "--steps", 8, "--batch", 4) == 0
    assert read_about(out).config.batch == 4
    capsys.readouterr()
    assert run(photos, "--out", out, "--resume", "--steps", 9, "--batch", 3) == 2
    assert "batch is 4 there and 3 here" in capsys.readouterr().err
