"""Previews where a decoder reaches everywhere: exact but for the norms' statistics, marked, and without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from explorer.editing import edits
from explorer.editing.edits import Edit, LiveDecoder, inputs_of, unedited
from tests.exactness import randomise_
from tests.toy_tokenizers import GlobalDecoder, global_decoder
from tests.toys import StandIn, assert_one_sentence, toy_images, toy_model
from vqvae.errors import BadInput
from vqvae.families import diffusers
from vqvae.families.maskgit import MaskGITConfig, MaskGITVQGAN
from vqvae.families.steps import StepwisePreviewer
from vqvae.families.vqgan import VQGAN, VQGANConfig
from vqvae.plugin import fingerprint
from vqvae.preview import Part, Previewer, Whole, previewer_of
from vqvae.served import Served
from vqvae.tokenizer import Encoding, prepare
from vqvae.window import Window

Model = VQGAN | MaskGITVQGAN
ROWS, COLUMNS = 24, 25  # cells: enough that a preview saves work
SMALL = (9, 10)
WINDOWS = [  # of it
    Window(0, 0, 1, 1),
    Window(4, 5, 6, 6),
    Window(7, 2, 9, 5),
    Window(0, 9, 9, 10),
    Window(0, 0, 9, 10),
]
PLAIN = VQGANConfig(
    codes=16,
    embedding_dim=4,
    latent_channels=6,
    stem=32,
    channels=(32, 64),
    blocks=1,
    encoder_attention=(),
    decoder_attention=(),
)
DIFFUSERS = {
    "_class_name": "VQModel",
    "block_out_channels": (32, 64),
    "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
    "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
    "latent_channels": 4,
    "num_vq_embeddings": 16,
}
MODELS: dict[str, Callable[[], Model]] = {
    "taming": lambda: VQGAN(PLAIN),
    "attention": lambda: VQGAN(replace(PLAIN, channels=(32, 32, 64), decoder_attention=(1, 2))),
    "LlamaGen": lambda: VQGAN(replace(PLAIN, metric="cosine", coarsest_first=True)),
    "narrow groups": lambda: VQGAN(replace(PLAIN, groups=8, middle_attention=False, pixels="0..1")),
    "MoVQ": lambda: VQGAN(replace(PLAIN, spatial_norm=True, channels=(32, 32, 64))),
    "diffusers": lambda: diffusers.build(DIFFUSERS),
    "diffusers, spatial": lambda: diffusers.build(DIFFUSERS | {"norm_type": "spatial", "vq_embed_dim": 4}),
    "MaskGIT": lambda: MaskGITVQGAN(MaskGITConfig(codes=16, embedding_dim=4, width=32, channels=(32, 64), blocks=1)),
}


def made(name: str) -> Model:
    model = prepare(MODELS[name]())
    randomise_(model)
    return model


def random_grid(rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
    return torch.randint(16, (1, rows, columns), generator=torch.Generator().manual_seed(seed))


def encoded(model: Model, rows: int = ROWS, columns: int = COLUMNS) -> Encoding:
    """A base of random codes, its embedding near them."""
    indices = (random_grid(rows, columns),)
    quantized = model.lookup(indices)
    noise = torch.randn(quantized.shape, generator=torch.Generator().manual_seed(1))
    return Encoding(indices, quantized + 0.1 * noise.to(quantized), quantized)


def with_cell(edit: Edit, row: int, column: int, code: int) -> Edit:
    indices = edit.indices.copy()
    indices[row, column] = code
    return replace(edit, indices=indices)


def fresh(model: Any, base: Encoding, edit: Edit) -> Tensor:
    """The definition of an exact picture."""
    fed = inputs_of(model, base, edit)
    with torch.inference_mode():
        return model.decode(fed.quantized, fed.embedding)


class GroupNorms:
    """`group_norm` computed by hand; from a place on with the means and variances of those heard before."""

    def __init__(self) -> None:
        self.heard: list[tuple[Tensor, Tensor]] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.own = 0  # so many, from the first on, measure what they are given

    def __call__(self, x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        parts = x.unflatten(1, (groups, -1))
        measured = parts.mean((2, 3, 4), keepdim=True), parts.var((2, 3, 4), correction=0, keepdim=True)
        mean, variance = self.kept[len(self.heard)] if self.kept and len(self.heard) >= self.own else measured
        self.heard.append(measured)
        return ((parts - mean) / (variance + eps).sqrt()).flatten(1, 2) * weight[:, None, None] + bias[:, None, None]


# --- exact but for the statistics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_whole_is_the_decode_to_the_bit(name: str) -> None:
    model = made(name)
    base = encoded(model)
    with torch.inference_mode():
        whole = model.previewer.whole(base.quantized, base.embedding)
        assert torch.equal(whole.pixels, model.decode(base.quantized, base.embedding))
        assert torch.equal(model.previewer.whole(base.quantized).pixels, model.decode(base.quantized))
    assert ((whole.pixels > 0) & (whole.pixels < 1)).float().mean() > 0.25  # or a clamp would hide much


@pytest.mark.parametrize("name", MODELS)
def test_a_preview_is_the_whole_decoded_with_the_statistics_of_before(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(name).double()
    previewer, base = model.previewer, encoded(model, *SMALL)
    after = model.lookup((random_grid(*SMALL, seed=2),))
    number = len(previewer.steps)
    least = 1 + max((place for place, step in enumerate(previewer.steps) if step.halo is None), default=-1)
    norms = GroupNorms()
    with torch.inference_mode():
        exact = model.decode(after)
        statistics: Any = previewer.whole(base.quantized, base.embedding).statistics
        monkeypatch.setattr(functional, "group_norm", norms)
        model.decode(base.quantized, base.embedding)
        norms.kept = norms.heard
        for at in {least, (least + number) // 2, number - 1, number}:
            norms.heard, norms.own = [], number**2
            trunk = previewer.trunk(after, at=at)
            norms.heard, norms.own = [], len(norms.heard)
            expected = model.decode(after)
            matter = float((expected - exact).abs().max()) > 1e-4
            assert matter == (at < number)  # statistics do, if there are any
            for window in WINDOWS:
                found = previewer.tail(trunk, after, at=at, window=window, statistics=statistics)
                error = (found - window.of(expected, scale=model.spec.stride)).abs().max().item()
                assert error < 1e-10, (at, window, error)


@pytest.mark.parametrize("name", MODELS)
def test_where_nothing_changed_a_preview_is_the_picture(name: str) -> None:
    model = made(name)
    base = encoded(model)
    with torch.inference_mode():
        whole = model.previewer.whole(base.quantized, base.embedding)
        changed = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
        changed[9, 17] = True
        part = model.previewer.part(base.quantized, base.embedding, statistics=whole.statistics, changed=changed)
    assert part is not None and part.window.top <= 8 and part.window.right >= 19
    there = part.window.of(whole.pixels, scale=model.spec.stride)
    torch.testing.assert_close(part.pixels, there, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_tail_has_no_attention_and_a_previewer_keeps_nothing_in_the_model(name: str) -> None:
    model = made(name)
    previewer, base, before = model.previewer, encoded(model), fingerprint(model)
    for rows, columns in ((1, 1), (4, 30), (ROWS, COLUMNS), (64, 64), (200, 100)):
        at = previewer.split(rows, columns)
        assert all(step.halo is not None for step in previewer.steps[at:])
    with torch.inference_mode():
        statistics = previewer.whole(base.quantized).statistics
        changed = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
        changed[9, 17] = True
        assert previewer.part(base.quantized, statistics=statistics, changed=changed) is not None
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    ("config", "cells", "least"),
    [
        (VQGANConfig(), 16, 4.9),
        (VQGANConfig(), 32, 8),
        (VQGANConfig(embedding_dim=4, channels=(128, 256, 256, 512), decoder_attention=(3,), spatial_norm=True), 32, 5),
        (VQGANConfig(channels=(128, 256, 512), decoder_attention=()), 64, 7),
        (MaskGITConfig(), 16, 6),
    ],
    ids=["f16 256 px", "f16 512 px", "MoVQ 256 px", "f4 256 px", "MaskGIT 256 px"],
)
def test_of_a_full_size_network_a_preview_of_one_cell_is_a_fraction_of_the_work(
    config: VQGANConfig | MaskGITConfig, cells: int, least: float
) -> None:
    with torch.device("meta"):
        previewer = (VQGAN(config) if isinstance(config, VQGANConfig) else MaskGITVQGAN(config)).previewer
    grid = {"at": previewer.split(cells, cells), "rows": cells, "columns": cells}
    cell = Window(cells // 2, cells // 3, cells // 2 + 1, cells // 3 + 1)
    assert 1 / previewer.share(previewer.shown(cell, **grid), **grid) > least
    assert previewer.share(Window(0, 0, cells, cells), **grid) == 1


@pytest.mark.parametrize("name", MODELS)
def test_a_preview_is_nearer_to_the_decode_than_a_crop_of_the_codes(name: str) -> None:
    """In its window it is off by a small part of what the edit changes; of a crop, norms measure something else."""
    model = made(name)
    base, scale = encoded(model), model.spec.stride
    plain = unedited(base)
    live = LiveDecoder(model, base)
    before = live.decode(plain)
    edit = with_cell(plain, 12, 11, (plain.indices[12, 11] + 5) % 16)
    answer = live.answer(edit, settled=False)
    assert answer.window is not None
    crop = answer.window.grown(2, rows=ROWS, columns=COLUMNS)
    with torch.inference_mode():
        alone = model.decode(crop.of(inputs_of(model, base, edit).quantized))
    exact = answer.window.of(fresh(model, base, edit), scale=scale)
    pictures = {
        "edit": answer.window.of(before, scale=scale),
        "preview": answer.window.of(answer.pixels, scale=scale),
        "crop": answer.window.relative_to(crop).of(alone, scale=scale),
    }
    off = {called: float((picture - exact).abs().mean()) for called, picture in pictures.items()}
    assert off["preview"] < min(off["edit"], off["crop"]) / 4, off


# --- the live decoder -------------------------------------------------------------------------------------------------


def next_edit(edit: Edit, random: np.random.Generator) -> Edit:
    """A stroke of a few cells, a blend painted, or now and then all blends."""
    indices, weight = edit.indices.copy(), edit.weight.copy()
    row, column = random.integers(edit.indices.shape)
    stroke = np.s_[row : row + random.integers(1, 3), column : column + random.integers(1, 3)]
    match random.integers(8):
        case 0:
            weight[stroke] = random.uniform(-0.5, 1.5)
        case 1:
            weight[:] = random.uniform(-0.5, 1.5)
        case _:
            indices[stroke] = random.integers(16)
    return replace(edit, indices=indices, weight=weight)


@pytest.mark.parametrize(("name", "fast"), [*((name, False) for name in MODELS), ("taming", True), ("MoVQ", True)])
def test_after_any_previews_a_decode_is_the_fresh_one_to_the_bit(
    name: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "has_fast_bf16", lambda: fast)
    model = made(name)
    base = encoded(model)
    live, edit, random = LiveDecoder(model, base), unedited(base, weight=0.5), np.random.default_rng(5)
    shown: list[tuple[Tensor, Tensor]] = []
    kinds = set()
    for _ in range(14):
        settled = random.random() < 0.3
        answer = live.answer(edit, settled=settled)
        kinds.add((settled, answer.exact, answer.window is None))
        exact = fresh(model, base, edit)
        assert answer.exact or not settled
        if answer.exact:
            assert torch.equal(answer.pixels, exact)
        if answer.window is not None and shown:
            outside = torch.ones(exact.shape[-2:], dtype=torch.bool)
            answer.window.of(outside, scale=model.spec.stride)[:] = False
            assert torch.equal(answer.pixels[..., outside], shown[-1][1][..., outside])
        shown.append((answer.pixels, answer.pixels.clone()))
        if random.random() < 0.8:
            edit = next_edit(edit, random)
    assert torch.equal(live.decode(edit), fresh(model, base, edit))
    assert {(True, True, True), (False, False, False)} <= kinds  # some of both
    for found, kept in shown:
        assert torch.equal(found, kept)  # no later answer writes into an earlier one


def test_a_preview_says_that_it_is_one_and_what_it_drew() -> None:
    model = made("MoVQ")
    base = encoded(model)
    live, plain = LiveDecoder(model, base), unedited(base)
    first = live.answer(plain, settled=False)
    assert first.exact and first.window is None  # nothing to build on
    edit = with_cell(plain, 3, 20, (plain.indices[3, 20] + 1) % 16)
    preview = live.answer(edit, settled=False)
    assert not preview.exact and preview.window is not None
    assert preview.window.top <= 2 and preview.window.bottom >= 5 and preview.window.right >= 22
    assert not torch.equal(preview.pixels, first.pixels)
    again = live.answer(edit, settled=False)
    assert again.pixels is preview.pixels and not again.exact and again.window is not None and not again.window.cells
    exact = live.answer(edit, settled=True)
    assert exact.exact and exact.window is None and not torch.equal(exact.pixels, preview.pixels)
    still = live.answer(edit, settled=False)
    assert still.exact and still.pixels is exact.pixels


def test_a_preview_of_what_is_settled_is_the_settled_picture() -> None:
    model = made("taming")
    base = encoded(model)
    live, plain = LiveDecoder(model, base), unedited(base)
    settled = live.decode(plain)
    live.preview(with_cell(plain, 3, 20, (plain.indices[3, 20] + 1) % 16))
    undone = live.answer(plain, settled=False)
    assert undone.exact and undone.pixels is settled and undone.window is None


def test_two_live_decoders_of_one_model_do_not_disturb_each_other() -> None:
    model = made("taming")
    base = encoded(model)
    plain, edit = unedited(base), with_cell(unedited(base), 8, 8, (base.grid[0, 8, 8].item() + 3) % 16)
    alone, beside = LiveDecoder(model, base), LiveDecoder(model, base)
    alone.decode(plain)
    expected = alone.preview(edit)
    beside.decode(plain)
    LiveDecoder(model, base).decode(replace(plain, indices=np.zeros_like(plain.indices)))
    assert torch.equal(beside.preview(edit), expected)


class MixingLookup:
    """A VQGAN whose lookup gives each cell the mean of the 3 × 3 codes around it."""

    def __init__(self, model: VQGAN) -> None:
        self.model, self.spec, self.previewer = model, model.spec, model.previewer
        self.vectors, self.decode = model.vectors, model.decode

    def encode(self, images: Tensor) -> Encoding:
        encoding = self.model.encode(images)
        return replace(encoding, quantized=self.lookup(encoding.indices))

    def lookup(self, indices: tuple[Tensor, ...]) -> Tensor:
        return functional.avg_pool2d(self.model.lookup(indices), 3, stride=1, padding=1, count_include_pad=False)


def test_where_a_lookup_mixes_neighbours_a_preview_draws_around_all_that_differ() -> None:
    model = VQGAN(PLAIN)
    randomise_(model)
    tokenizer = MixingLookup(prepare(model))
    indices = (random_grid(),)
    quantized = tokenizer.lookup(indices)
    base = Encoding(indices, quantized, quantized)
    live, plain = LiveDecoder(tokenizer, base), unedited(base)
    live.decode(plain)
    edit = with_cell(plain, 12, 11, (plain.indices[12, 11] + 1) % 16)
    answer, wide = live.answer(edit, settled=False), Window(11, 10, 14, 13).grown(1, rows=ROWS, columns=COLUMNS)
    assert not answer.exact and answer.window is not None
    assert answer.window.top <= wide.top and answer.window.bottom >= wide.bottom
    assert answer.window.left <= wide.left and answer.window.right >= wide.right
    assert torch.equal(live.decode(edit), fresh(tokenizer, base, edit))


@pytest.mark.parametrize("fast", [False, True])
def test_a_blend_of_all_cells_is_decoded_whole(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits, "has_fast_bf16", lambda: fast)
    model = made("taming")
    base = encoded(model)
    live = LiveDecoder(model, base)
    live.decode(unedited(base))
    moved = unedited(base, weight=0.7)
    answer = live.answer(moved, settled=False)
    assert answer.exact is not fast and answer.window is None
    assert torch.equal(answer.pixels, fresh(model, base, moved)) is not fast
    torch.testing.assert_close(answer.pixels, fresh(model, base, moved), rtol=0, atol=0.05)


def test_a_local_decoder_answers_exactly_with_the_window_that_it_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits, "has_fast_bf16", lambda: True)  # which a window needs not
    model = toy_model()
    with torch.inference_mode():
        base = model.encode(toy_images(1, 4 * 29, 4 * 31))
    live, edit = LiveDecoder(model, base), unedited(base, weight=1.0)
    live.decode(edit)
    assert model.spec.reach == 2
    for settled in (False, True, False):
        row, column = (14, 15) if settled else (3, 22)
        edit = with_cell(edit, row, column, (edit.indices[row, column] + 1) % 8)
        answer = live.answer(edit, settled=settled)
        assert answer.exact and answer.window == Window(row - 2, column - 2, row + 3, column + 3)
        torch.testing.assert_close(answer.pixels, fresh(model, base, edit), rtol=0, atol=1e-6)
    dragged = live.answer(edit.with_weight(0.2), settled=False)
    assert not dragged.exact and dragged.window is None
    exact = live.answer(edit.with_weight(0.2), settled=True)
    assert exact.exact and exact.window is None
    torch.testing.assert_close(exact.pixels, fresh(model, base, edit.with_weight(0.2)), rtol=0, atol=1e-6)


# --- who offers it ----------------------------------------------------------------------------------------------------


class Offering(GlobalDecoder):
    """A global decoder with something under the name of `previewer`."""

    previewer: Any = "the first of the month"


class WholeOnly:
    """A previewer of somebody else's, who draws zeros at the first cell, or what it is told to answer."""

    def __init__(self, decode: Callable[..., Tensor], answers: Any = None) -> None:
        self.decode, self.answers = decode, answers

    def whole(self, quantized: Tensor, embedding: Tensor | None = None) -> Whole:
        return Whole(self.decode(quantized, embedding), "kept")

    def part(self, quantized: Tensor, embedding: Any = None, *, statistics: object, changed: Tensor) -> Any:
        assert statistics == "kept"
        changed[:] = False
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers or Part(torch.zeros(1, 3, 4, 4), Window(0, 0, 1, 1))


def offering(answers: Any = None) -> Offering:
    tokenizer = Offering(global_decoder().codes)
    tokenizer.__dict__["previewer"] = WholeOnly(tokenizer.decode, answers)
    return tokenizer


def test_a_family_offers_it_and_a_served_one_passes_it_through() -> None:
    model = made("taming")
    base = encoded(model)
    served = Served(model)
    assert isinstance(previewer_of(model), StepwisePreviewer) and isinstance(previewer_of(served), Previewer)
    live, through, plain = LiveDecoder(model, base), LiveDecoder(served, base), unedited(base)
    assert torch.equal(live.decode(plain), through.decode(plain))
    edit = with_cell(plain, 3, 20, (plain.indices[3, 20] + 1) % 16)
    preview = through.answer(edit, settled=False)
    assert not preview.exact and torch.equal(preview.pixels, live.preview(edit))
    assert torch.equal(through.decode(edit), fresh(model, base, edit))


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("make", [global_decoder, lambda: Offering(global_decoder().codes), toy_model])
def test_a_tokenizer_without_it_has_none(make: Callable[[], Any], wrapped: bool) -> None:
    tokenizer = Served(make()) if wrapped else make()
    assert previewer_of(tokenizer) is None
    with torch.inference_mode():
        base = tokenizer.encode(toy_images(1, 40, 56))
    live, plain = LiveDecoder(tokenizer, base), unedited(base)
    live.decode(plain)
    edit = with_cell(plain, 3, 5, (plain.indices[3, 5] + 1) % 8)
    torch.testing.assert_close(live.decode(edit), fresh(tokenizer, base, edit), rtol=0, atol=1e-6)


def test_a_stand_in_for_a_global_decoder_has_none_and_decodes_all() -> None:
    tokenizer = StandIn(toy_model(), reach=None)
    with torch.inference_mode():
        base = tokenizer.encode(toy_images(1, 40, 56))
    live, plain = LiveDecoder(tokenizer, base), unedited(base)
    live.decode(plain)
    edit = with_cell(plain, 3, 5, (plain.indices[3, 5] + 1) % 8)
    assert torch.equal(live.decode(edit), fresh(tokenizer, base, edit))
    assert tokenizer.decoded == [10 * 14] * 3


def test_somebody_elses_previewer_is_used_and_may_write_into_what_it_is_given() -> None:
    served = Served(offering())
    with torch.inference_mode():
        base = served.encode(toy_images(1, 40, 56))
    live, plain = LiveDecoder(served, base), unedited(base)
    before = live.decode(plain)
    edit = with_cell(plain, 3, 5, (plain.indices[3, 5] + 1) % 8)
    preview = live.answer(edit, settled=False)
    assert not preview.exact and preview.window == Window(0, 0, 1, 1)
    assert not preview.pixels[..., :4, :4].any() and torch.equal(preview.pixels[..., 4:], before[..., 4:])


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (RuntimeError("no such layer"), "part raises RuntimeError"),
        ("nearly", "part returns a str"),
        (Part(torch.zeros(1, 3, 4, 8), Window(0, 0, 1, 1)), "part returns pixels of shape"),
        (Part(torch.full((1, 3, 4, 4), torch.nan), Window(0, 0, 1, 1)), "not finite"),
    ],
)
def test_what_somebody_elses_previewer_does_wrong_is_said_in_a_sentence(answers: Any, says: str) -> None:
    served = Served(offering(answers))
    served.strict = True
    with torch.inference_mode():
        base = served.encode(toy_images(1, 40, 56))
    live, plain = LiveDecoder(served, base), unedited(base)
    live.decode(plain)
    with pytest.raises(BadInput) as refusal:
        live.preview(with_cell(plain, 3, 5, (plain.indices[3, 5] + 1) % 8))
    assert says in assert_one_sentence(refusal)
