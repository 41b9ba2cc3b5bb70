"""The boundary test on decoders whose shares are known, and against the same figures computed another way."""

import numpy as np
import pytest
import torch
from torch import Tensor

import vqvae
from explorer.base.cell import Cell
from explorer.images.samples import sample_photos
from explorer.inputs.reliance import boundary
from explorer.inputs.reliance.boundary import BORDER, Border, BorderCell, Change, border_of, flip, measure
from tests.conftest import CHECKPOINTS
from tests.known_decoders import DRAWS, Drawing, drawing, mixing, scene_codes, toy_scene
from tests.toy_tokenizers import global_decoder
from tests.toys import Mixing, StandIn, toy_images, toy_model
from vqvae import checkpoint
from vqvae.images import to_pixels, to_tensor
from vqvae.search import Codebook
from vqvae.served import Served
from vqvae.tokenizer import Encoding, Metric, Tokenizer, cells, offers_unclamped, pixels_of


def encode(tokenizer: Tokenizer, seed: int = 0, height: int = 80, width: int = 96) -> Encoding:
    with torch.inference_mode():
        return tokenizer.encode(to_tensor(toy_scene(seed, height, width)))


def moved(
    tokenizer: Tokenizer, encoding: Encoding | None = None, *, blends: tuple[float, ...] = (1.0,), most: int = 8
) -> tuple[BorderCell, ...]:
    encoding = encode(tokenizer) if encoding is None else encoding
    border = border_of(Codebook.of(tokenizer), encoding)
    return measure(tokenizer, encoding, border, blends=blends, most=most)


def at(border: Border, place: Cell) -> Border:
    """As if only this cell were at a border."""
    return Border((place,), border.runners_up, border.margins)


# --- known answers ----------------------------------------------------------------------------------------------------

BLENDS = (-0.25, 0.0, 0.25, 0.5, 1.0, 1.5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0, -1.0, 2.0])
def test_a_linear_decoder_has_the_shares_that_its_stem_takes_exactly(share: float) -> None:
    """Of (1 − a) of the code and a of the embedding, fed the blend w, 1 − a·w and a·w; in float64, cell by cell.

    a = 1 is the decoder of lerp(quantized, embedding, w), and a = −1 the one whose second path is negated.
    """
    found = moved(mixing(share, dtype=torch.float64), blends=BLENDS)
    assert len(found) == 8
    for cell in found:
        for blend, change in zip(BLENDS, cell.changes, strict=True):
            assert change.code_share == pytest.approx(1 - share * blend, abs=1e-9)
            assert change.embedding_share == pytest.approx(share * blend, abs=1e-9)
            assert change.code_size == pytest.approx(abs(1 - share * blend), abs=1e-9)
            assert change.not_additive == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_trained_decoder_behind_a_made_stem_has_its_shares_within_two_hundredths(share: float) -> None:
    model = checkpoint.load(CHECKPOINTS / "photos")
    stem = model.decoder.stem  # type: ignore[union-attr]
    with torch.no_grad():
        stem.from_embedding.weight.copy_(share * stem.from_quantized.weight)  # type: ignore[union-attr, operator, arg-type]
    photo = sample_photos()[0][..., 40:168, 100:260]
    with torch.inference_mode():
        encoding = model.encode(photo)
    changes = [cell.changes[0] for cell in moved(model, encoding)]
    assert len(changes) >= 4
    whole = Change.together(changes)
    assert whole.code_share == pytest.approx(1 - share, abs=0.02)
    assert whole.embedding_share == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("kind", "code", "embedding"), [("ignores the embedding", 1, 0), ("ignores the codes", 0, 1)])
def test_a_decoder_of_one_input_follows_that_one(kind: str, code: float, embedding: float) -> None:
    for cell in moved(drawing(kind)):
        assert cell.changes[0].code_share == pytest.approx(code, abs=1e-4)
        assert cell.changes[0].embedding_share == pytest.approx(embedding, abs=1e-4)
        assert cell.changes[0].code_size == pytest.approx(code, abs=1e-4)


def test_where_nothing_moves_the_picture_there_is_no_share() -> None:
    for cell in moved(drawing("ignores both")):
        (change,) = cell.changes
        assert change.both == change.code == 0
        assert np.isnan([change.code_share, change.embedding_share, change.code_size, change.not_additive]).all()


def test_pixels_are_compared_before_they_are_clamped() -> None:
    """A picture ten times too bright is white or black nearly everywhere, and its shares are what they were."""
    bright = Drawing(lambda quantized, embedding: 10 * quantized.lerp(embedding, 0.3), scene_codes(32))
    encoding = encode(bright)
    drawn = bright.decode(encoding.quantized, encoding.embedding)
    assert ((drawn == 0) | (drawn == 1)).float().mean() > 0.8
    for cell in moved(bright, encoding):
        assert cell.changes[0].code_share == pytest.approx(0.7, abs=1e-4)


def test_where_a_model_offers_nothing_else_they_are_compared_after() -> None:
    class Clamping(Drawing):
        pixels_of = None  # type: ignore[assignment]

        def decode(self, quantized: Tensor, embedding: Tensor | None = None) -> Tensor:
            return Drawing.pixels_of(self, quantized, embedding).clamp(0, 1)

    mild = Clamping(lambda quantized, embedding: 0.5 * quantized.lerp(embedding, 0.3), scene_codes(32))
    assert not offers_unclamped(mild)
    for cell in moved(mild):
        assert cell.changes[0].code_share == pytest.approx(0.7, abs=1e-4)


# --- the same figures, computed another way ---------------------------------------------------------------------------


def by_hand(tokenizer: Tokenizer, encoding: Encoding, cell: BorderCell, weight: float) -> tuple[float, float]:
    """Both shares from whole pictures, one cell alone; unclamped where that can be had."""
    grid = encoding.grid.clone()
    grid[(0, *cell.cell)] = cell.runner_up
    step = tokenizer.lookup((grid,)) - tokenizer.lookup((encoding.grid,))

    def picture(code: float, embedding: float) -> np.ndarray:
        quantized = encoding.quantized + code * step
        fed = quantized + weight * (encoding.embedding + embedding * step - quantized)
        draw = getattr(tokenizer, "decoder", tokenizer.decode)
        return draw(quantized, fed).double().numpy()

    with torch.inference_mode():
        nothing = picture(0, 0)
        a, e, b = (picture(*which) - nothing for which in ((1, 0), (0, 1), (1, 1)))
    return (a * b).sum() / (b * b).sum(), (e * b).sum() / (b * b).sum()


@pytest.mark.parametrize("kind", ["ours", "mixed neighbours", "reaches everywhere", "larger than the grid"])
def test_cells_that_share_their_decodes_have_the_figures_that_each_has_alone(kind: str) -> None:
    model = toy_model()
    assert model.spec.reach == 2
    tokenizer: Tokenizer = model
    if kind == "mixed neighbours":
        tokenizer = Mixing(model)
    elif kind == "reaches everywhere":
        tokenizer = StandIn(model, reach=None)
    elif kind == "larger than the grid":
        tokenizer = StandIn(model, reach=100)
    encoding = encode(tokenizer)
    found = moved(tokenizer, encoding, blends=(0.5, 1.0))
    assert len(found) == (3 if kind == "larger than the grid" else 8)
    assert len({cell.cell for cell in found}) == len(found)
    for cell in found:
        for weight, change in zip((0.5, 1.0), cell.changes, strict=True):
            assert (change.code_share, change.embedding_share) == pytest.approx(
                by_hand(tokenizer, encoding, cell, weight), rel=1e-3, abs=1e-3
            )


@pytest.mark.parametrize(("reach", "rounds"), [(2, 1), (None, 8), (100, 3)])
def test_far_cells_share_their_decodes(reach: int | None, rounds: int) -> None:
    stand_in = StandIn(toy_model(), reach=reach)
    encoding = encode(stand_in, height=400, width=400)
    found = moved(stand_in, encoding, blends=(0.5, 1.0))
    assert len(found) == (8 if reach != 100 else 3)
    assert len(stand_in.decoded) == 2 * (1 + 3 * rounds)  # at each blend: nothing moved, and three pictures a round


def test_cells_in_one_round_are_out_of_each_others_reach() -> None:
    waiting = [(row, column) for row in range(9) for column in range(11)]
    for reach in (0, 1, 2, 5):
        taken = boundary._apart(waiting, reach, most=99)
        reached = [
            {(row + y, column + x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)}
            for row, column in taken
        ]
        assert sum(map(len, reached)) == len(set().union(*reached))
        blocked = [cell for cell in waiting if cell not in taken]
        assert all(any(max(abs(a - c), abs(b - d)) <= 2 * reach for c, d in taken) for a, b in blocked)
    assert boundary._apart(waiting, 0, most=4) == waiting[:4]
    assert boundary._apart(waiting, None, most=4) == waiting[:1]


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_the_border_by_all_distances(metric: Metric) -> None:
    tokenizer = drawing("mixes half and half", metric=metric)
    codebook, encoding = Codebook.of(tokenizer), encode(tokenizer)
    border = border_of(codebook, encoding)
    vectors, codes = cells(encoding.embedding).double().numpy(), tokenizer.codes.double().numpy()
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        codes = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    squares = ((vectors[:, None] - codes) ** 2).sum(-1)
    if metric == "dot":
        squares = squares - (codes**2).sum(1) + (codes**2).sum(1).max()  # ‖v‖² + M² − 2 v·e
    distances = np.sqrt(squares)
    order = np.argsort(distances, axis=1)
    own, second = (np.take_along_axis(distances, order[:, [place]], 1)[:, 0] for place in (0, 1))
    margins = (second - own) / own
    assert np.array_equal(encoding.grid.flatten().numpy(), order[:, 0])
    assert np.array_equal(border.runners_up.flatten().numpy(), order[:, 1])
    np.testing.assert_allclose(border.margins.ravel(), margins, rtol=1e-2, atol=1e-4)
    inside = np.abs(margins - BORDER) > 1e-3  # whatever rounding may decide is left out
    listed = np.zeros(border.margins.shape, bool)
    listed[tuple(zip(*border.cells, strict=True))] = True
    assert np.array_equal(listed.ravel()[inside], margins[inside] <= BORDER)
    at_border = [border.margins[place] for place in border.cells]
    assert at_border == sorted(at_border)
    found = moved(tokenizer, encoding)
    assert found
    for cell in found:
        assert cell.changes[0].code_share == pytest.approx(0.5, abs=1e-3)
        assert (cell.code, cell.runner_up) == tuple(order.reshape(*encoding.grid.shape[1:], -1)[cell.cell][:2])


def test_which_cells_are_drawn_is_up_to_the_seed() -> None:
    tokenizer = drawing("mixes half and half")
    encoding = encode(tokenizer, height=200, width=200)
    border = border_of(Codebook.of(tokenizer), encoding)
    assert len(border.cells) > 40
    drawn = [
        [cell.cell for cell in measure(tokenizer, encoding, border, blends=(1.0,), seed=seed)] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) <= set(border.cells)


# --- where there is little or nothing at a border ---------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_a_single_code_has_no_border(metric: Metric) -> None:
    tokenizer = drawing("mixes half and half", codes=1, metric=metric)
    encoding = encode(tokenizer)
    border = border_of(Codebook.of(tokenizer), encoding)
    assert border.cells == ()
    assert np.isinf(border.margins).all()
    assert measure(tokenizer, encoding, border, blends=(1.0,)) == ()
    with pytest.raises(ValueError, match="no other code"):
        flip(tokenizer, encoding, border, (0, 0), weight=1.0)


def test_nothing_is_decoded_where_there_is_no_border() -> None:
    tokenizer = drawing("mixes half and half", codes=1)
    moved(tokenizer)
    assert tokenizer.decoded == []


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_equal_codes_have_no_border_between_them(metric: Metric) -> None:
    """Of four codes each is there twice; to a metric of angles, twice as long is the same."""
    codes = scene_codes(4)
    twice = torch.cat([codes, 2 * codes if metric == "cosine" else codes])
    tokenizer = Drawing(DRAWS["mixes half and half"], twice, metric)
    border = border_of(Codebook.of(tokenizer), encode(tokenizer))
    assert border.cells == ()


def test_codes_of_a_rule_of_their_own_are_at_no_border_where_they_are_far_from_the_nearest() -> None:
    tokenizer = drawing("mixes half and half")
    encoding = encode(tokenizer)
    farthest = Codebook.of(tokenizer).distances_to(tokenizer.codes, 3).argmax()
    grid = torch.full_like(encoding.grid, int(farthest))
    ruled = Encoding((grid,), tokenizer.lookup((torch.full_like(grid, 3),)), tokenizer.lookup((grid,)))
    assert border_of(Codebook.of(tokenizer), ruled).cells == ()


def test_an_embedding_that_is_its_code_is_at_no_border() -> None:
    tokenizer = drawing("mixes half and half")
    found = encode(tokenizer)
    exact = Encoding(found.indices, found.quantized, found.quantized)
    border = border_of(Codebook.of(tokenizer), exact)
    assert border.cells == ()
    assert np.isfinite(border.margins).all()


def test_a_single_cell() -> None:
    tokenizer = toy_model()
    for seed in range(40):
        with torch.inference_mode():
            encoding = tokenizer.encode(toy_images(1, 3, 4, seed=seed))
        border = border_of(Codebook.of(tokenizer), encoding)
        found = measure(tokenizer, encoding, border, blends=(1.0,))
        assert [cell.cell for cell in found] == list(border.cells)
        if found:
            wanted = by_hand(tokenizer, encoding, found[0], 1.0)
            assert (found[0].changes[0].code_share, found[0].changes[0].embedding_share) == pytest.approx(
                wanted, abs=1e-3
            )
            return
    raise AssertionError("None of forty cells is at a border.")


# --- sums, and the flip by hand ---------------------------------------------------------------------------------------


def test_cells_count_by_how_much_they_move() -> None:
    loud, quiet = Change(8, 2, 8, 10, 1), Change(0, 1, 0, 1, 0)
    both = Change.together([loud, quiet])
    assert both == Change(8, 3, 8, 11, 1)
    assert both.code_share == pytest.approx(8 / 11)
    assert np.isnan(Change.together([]).code_share)


def test_a_change_is_of_four_pictures() -> None:
    nothing, code, embedding, both = (
        torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(n)) for n in range(4)
    )
    found = Change.between(nothing, code, embedding, both)
    a, e, b = (np.ravel((one - nothing).double()) for one in (code, embedding, both))
    assert found.code_share == pytest.approx(a @ b / (b @ b))
    assert found.embedding_share == pytest.approx(e @ b / (b @ b))
    assert found.code_size == pytest.approx(np.linalg.norm(a) / np.linalg.norm(b))
    assert found.not_additive == pytest.approx(np.linalg.norm(a + e - b) / np.linalg.norm(b))


@pytest.mark.parametrize("place", [0, -1])
def test_a_flip_by_hand_shows_the_four_pictures_and_the_same_figures(place: int) -> None:
    model = toy_model()
    encoding = encode(model)
    border = border_of(Codebook.of(model), encoding)
    cell = border.cells[place]
    shown = flip(model, encoding, border, cell, weight=0.75, context=3)
    (alone,) = measure(model, encoding, at(border, cell), blends=(0.75,))
    assert shown.moved == alone
    grid = encoding.grid.clone()
    grid[(0, *cell)] = alone.runner_up
    step = model.lookup((grid,)) - encoding.quantized
    for picture, code, embedding in (
        (shown.before, 0, 0),
        (shown.code, 1, 0),
        (shown.embedding, 0, 1),
        (shown.both, 1, 1),
    ):
        quantized = encoding.quantized + code * step
        fed = quantized.lerp(encoding.embedding + embedding * step, 0.75)
        whole = model.decode(quantized, fed)
        np.testing.assert_array_equal(picture, to_pixels(shown.window.of(whole, scale=4))[0])
    assert (shown.before != shown.both).any()
    row, column = cell
    assert shown.window.top <= row < shown.window.bottom and shown.window.left <= column < shown.window.right


# --- pixels before they are clamped -----------------------------------------------------------------------------------


def test_what_is_drawn_before_clamping_is_what_decode_clamps() -> None:
    model = toy_model()
    adapted = vqvae.adapt(
        encode=lambda images: model.encoder((images + 1) / 2),
        decode=lambda quantized: model.decoder(quantized, quantized) * 0.2 - 0.1,
        codebook=model.codebook,
        stride=4,
        reach=2,
        pixels=(-1, 1),
    )
    encoding = encode(model)
    second = 30 * encoding.embedding
    for tokenizer in (model, Served(model), adapted, Served(adapted.tokenizer)):
        assert offers_unclamped(tokenizer)
        for fed in ((encoding.quantized, second), (encoding.quantized,)):
            drawn = pixels_of(tokenizer, *fed)
            assert torch.allclose(drawn.clamp(0, 1), tokenizer.decode(*fed), atol=1e-6)
        assert pixels_of(tokenizer, encoding.quantized, second).max() > 1


def test_a_tokenizer_that_does_not_offer_it_decodes() -> None:
    for tokenizer in (StandIn(toy_model()), Served(StandIn(toy_model())), global_decoder()):
        assert not offers_unclamped(tokenizer)
        with torch.inference_mode():
            encoding = tokenizer.encode(toy_images(1, 16, 16))
            wanted = tokenizer.decode(encoding.quantized, encoding.embedding)
            assert torch.equal(pixels_of(tokenizer, encoding.quantized, encoding.embedding), wanted)
