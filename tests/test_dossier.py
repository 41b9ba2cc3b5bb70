"""What one code means, against slow plain computations: patches, the code in a picture, near cells, the export."""

import base64
import math
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from explorer.base.figure import Figure
from explorer.codebook.dossier import (
    CONTEXT,
    REACH,
    PatchSample,
    as_html,
    closeness,
    colours_of_cells,
    in_context,
    mark_cells,
    nearest_cells,
    patch_frame,
    patch_pictures,
    sample_embeddings,
    some_cells,
)
from explorer.images.pictures import Picture, open_picture
from explorer.images.reconstruction import EncodedPicture, encode_picture
from explorer.ui.views.codebook.dossier import usage_figures
from tests.toys import toy_images, toy_model, toy_pixels
from vqvae.images import load_image, to_pixels, to_png
from vqvae.model import VQVAE
from vqvae.search import Codebook
from vqvae.tokenizer import cells

F = 4  # pixels along a cell of the toys


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3], every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def picture(height: int, width: int) -> Picture:
    return open_picture(to_png(toy_pixels(height, width)), "a.png", working_size=512)


def encoded(model: VQVAE, height: int, width: int) -> EncodedPicture:
    return encode_picture(model, picture(height, width))


# --- patches ----------------------------------------------------------------------------------------------------------


def plain_patch(pixels: np.ndarray, row: int, column: int, stride: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    side = 5 * stride
    patch = np.empty((side, side, 3), np.uint8)
    for y in range(side):
        for x in range(side):
            from_y = min(max((row - 2) * stride + y, 0), height - 1)
            from_x = min(max((column - 2) * stride + x, 0), width - 1)
            patch[y, x] = pixels[from_y, from_x]
    return patch


@pytest.mark.parametrize("stride", [1, 4])
def test_patches_are_the_cells_with_their_surroundings(stride: int) -> None:
    sizes = [(7 * stride, 9 * stride), (7 * stride - min(1, stride - 1), 9 * stride), (stride, 6 * stride), (1, 1)]
    pictures, places = [], []
    for seed, (height, width) in enumerate(sizes):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                pictures.append(noise(height, width, seed))
                places.append((row, column))
    patches = patch_pictures(pictures, places, stride=stride)
    assert patches.shape == (len(places), 5 * stride, 5 * stride, 3)
    for patch, pixels, (row, column) in zip(patches, pictures, places, strict=True):
        np.testing.assert_array_equal(patch, plain_patch(pixels, row, column, stride))


def test_no_patches_are_an_empty_strip() -> None:
    assert patch_pictures([], [], stride=F).shape == (0, 5 * F, 5 * F, 3)


def test_each_patch_needs_a_place() -> None:
    with pytest.raises(ValueError):
        patch_pictures([noise(8, 8)], [], stride=F)


def test_the_frame_is_around_the_cell_and_nothing_else() -> None:
    pixels = np.zeros((9 * F, 9 * F, 3), np.uint8)
    pixels[4 * F : 5 * F, 3 * F : 4 * F] = 255  # the cell (4, 3)
    (patch,) = patch_pictures([pixels], [(4, 3)], stride=F)
    side = len(patch)
    top, left, height, width = (round(part * side, 9) for part in patch_frame())
    framed = np.zeros_like(patch)
    framed[int(top) : int(top + height), int(left) : int(left + width)] = 255
    np.testing.assert_array_equal(patch, framed)
    assert all(part == int(part) for part in (top, left, height, width))
    assert height == width == F
    assert side == (2 * CONTEXT + 1) * F


# --- in context -------------------------------------------------------------------------------------------------------


def reached(model: VQVAE, rows: int, columns: int, row: int, column: int) -> np.ndarray:
    """Which pixels depend on a cell: bool [H, W]. What is not a number spreads as far as the convolutions reach."""
    with torch.inference_mode():
        field = model.lookup((torch.zeros(1, rows, columns, dtype=torch.int64),)).clone()
        field[0, :, row, column] = math.nan
        found: np.ndarray = model.decode(field)[0].isnan().any(0).numpy()
    return found


def test_a_code_put_into_a_picture_changes_it_within_the_decoder_s_reach_only() -> None:
    model = toy_model()
    found = encoded(model, 13 * F, 17 * F)
    row, column = 13 // 2, 17 // 2
    reach = reached(model, 13, 17, row, column)
    assert reach.sum() == (5 * F) ** 2  # two cells each way, so there is something beyond
    window = np.s_[(row - REACH) * F : (row + REACH + 1) * F, (column - REACH) * F : (column + REACH + 1) * F]
    changed = 0
    for code in range(8):
        context = in_context(model, found, code)
        assert context.before.shape == context.after.shape == ((2 * REACH + 1) * F, (2 * REACH + 1) * F, 3)
        assert context.code_before == found.indices[row, column]
        differs = (context.before != context.after).any(-1)
        assert not differs[~reach[window]].any()
        assert differs.any() == (code != context.code_before)
        changed += int(differs.any())
    assert changed == 7


@pytest.mark.parametrize("decoder_inputs", ["both", "quantized"])
@pytest.mark.parametrize(("rows", "columns"), [(13, 17), (3, 12), (1, 1), (2, 1)])
def test_before_and_after_are_the_decoded_grids(rows: int, columns: int, decoder_inputs: str) -> None:
    model = toy_model(decoder_inputs=decoder_inputs)
    found = encoded(model, rows * F, columns * F)
    grid = found.indices.copy()
    row, column = rows // 2, columns // 2
    for code in (0, 5):
        context = in_context(model, found, code)
        edited = grid.copy()
        edited[row, column] = code
        for shown, wanted in ((context.before, grid), (context.after, edited)):
            with torch.inference_mode():
                whole = to_pixels(model.decode(model.lookup((torch.from_numpy(wanted)[None],))))[0]
            down = [y for y in range(rows * F) if abs(y // F - row) <= REACH]
            across = [x for x in range(columns * F) if abs(x // F - column) <= REACH]
            part = whole[down][:, across]
            assert shown.shape == part.shape
            np.testing.assert_allclose(shown.astype(int), part, atol=1)  # of two at once the last bit may differ
    np.testing.assert_array_equal(found.indices, grid)


def test_the_only_code_changes_nothing() -> None:
    model = toy_model(codes=1)
    context = in_context(model, encoded(model, 9, 21), 0)
    assert context.code_before == 0
    np.testing.assert_array_equal(context.before, context.after)


# --- closeness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [1, 8])
def test_the_closest_cells_against_a_plain_loop(codes: int) -> None:
    model = toy_model(codes=codes)
    found = encoded(model, 5 * F, 7 * F)
    embedding, codebook = found.encoding.embedding[0].double().numpy(), model.codebook.double().numpy()
    assert len(np.unique(found.indices)) > 1 or codes == 1
    for code in range(codes):
        plain = []
        for row in range(5):
            for column in range(7):
                distance = math.dist(embedding[:, row, column], codebook[code])
                plain.append((distance, row, column, found.indices[row, column] == code))
        plain.sort()
        for most in (1, 6, 35, 1000):
            close = closeness(Codebook.of(model), found, code, most=most)
            assert list(zip(close.row.tolist(), close.column.tolist(), close.uses.tolist(), strict=True)) == [
                one[1:] for one in plain[:most]
            ]
            np.testing.assert_allclose(close.distance, [one[0] for one in plain[:most]], rtol=1e-5)


# --- a sample of patches ----------------------------------------------------------------------------------------------


def sizes_of(sample: PatchSample, model: VQVAE, images: list[torch.Tensor]) -> list[int]:
    """How many cells of each image are in a sample; checks that each is one of them, with its code, and none twice."""
    places = {}
    for number, image in enumerate(images):
        encoding = model.encode(image)
        vectors = cells(encoding.embedding)
        for vector, code in zip(vectors.numpy(), encoding.grid.flatten().tolist(), strict=True):
            places[vector.tobytes()] = (number, code)
    drawn = [0] * len(images)
    for vector, code in zip(sample.vectors, sample.codes.tolist(), strict=True):
        number, own = places.pop(vector.tobytes())
        assert code == own
        drawn[number] += 1
    return drawn


@pytest.mark.parametrize(
    ("most", "wanted"),
    [
        (1, [1, 0, 0, 0]),
        (2, [1, 0, 0, 1]),
        (4, [1, 1, 1, 1]),
        (7, [1, 1, 1, 1]),
        (8, [2, 2, 2, 2]),
        (30, [7, 7, 6, 7]),  # the third image has no more
        (1000, [16, 16, 6, 16]),
    ],
)
def test_the_sample_is_even_over_the_images_and_no_larger_than_asked(most: int, wanted: list[int]) -> None:
    model = toy_model()
    images = [toy_images(1, 16, 16, seed=seed) for seed in range(4)]
    images[2] = toy_images(1, 8, 12, seed=9)
    sample = sample_embeddings(model, iter(images), images=4, most=most)
    assert sizes_of(sample, model, images) == wanted
    assert len(sample.codes) <= most
    assert sample.vectors.dtype == np.float32
    again = sample_embeddings(model, iter(images), images=4, most=most)
    np.testing.assert_array_equal(again.vectors, sample.vectors)
    np.testing.assert_array_equal(again.codes, sample.codes)


def test_of_more_images_than_cells_wanted_it_takes_some_of_all_parts() -> None:
    model = toy_model()
    images = [toy_images(1, 8, 8, seed=seed) for seed in range(11)]
    drawn = sizes_of(sample_embeddings(model, images, images=11, most=3), model, images)
    assert drawn == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def test_the_cells_of_an_image_are_drawn_from_all_over_it() -> None:
    model = toy_model()
    image = toy_images(1, 64, 64)
    sample = sample_embeddings(model, [image], images=1, most=64)
    vectors = cells(model.encode(image).embedding).numpy()
    rows = [int((vectors == vector).all(1).argmax()) // 16 for vector in sample.vectors]
    assert len(set(rows)) >= 12


# --- marked cells -----------------------------------------------------------------------------------------------------


def plain_marks(pixels: np.ndarray, marked: np.ndarray, stride: int, scale: int) -> np.ndarray:
    height, width = pixels.shape[0] * scale, pixels.shape[1] * scale
    side = stride * scale
    result = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            result[y, x] = pixels[y // scale, x // scale]
            row, column = y // side, x // side
            if marked[row, column]:
                bottom, right = min((row + 1) * side, height) - 1, min((column + 1) * side, width) - 1
                edge = min(y - row * side, x - column * side, bottom - y, right - x)
                if edge < 2:
                    result[y, x] = 255 if edge == 0 else 0
    return result


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(16, 20), (14, 17), (1, 1)])
def test_marked_cells_have_a_frame_and_nothing_else_changes(height: int, width: int, scale: int) -> None:
    pixels = noise(height, width)
    before = pixels.copy()
    random = np.random.default_rng(1)
    shape = (math.ceil(height / F), math.ceil(width / F))
    for share in (0.0, 0.3, 1.0):
        marked = random.random(shape) < share
        found = mark_cells(pixels, marked, stride=F, scale=scale)
        np.testing.assert_array_equal(found, plain_marks(pixels, marked, F, scale))
    np.testing.assert_array_equal(pixels, before)


def test_a_picture_without_marks_is_a_picture_of_its_own() -> None:
    pixels = noise(8, 8)
    found = mark_cells(pixels, np.zeros((2, 2), bool), stride=F, scale=1)
    found[:] = 0
    np.testing.assert_array_equal(pixels, noise(8, 8))


# --- how much it is used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([5, 9], "2 codes are used. Over"),
        ([5, 5, 9], "3 codes are used. 1 other code has as many cells, and shares this rank. Over"),
        ([5, 5, 9, 5], "4 codes are used. 2 other codes have as many cells, and share this rank. Over"),
    ],
)
def test_codes_of_as_many_cells_share_a_rank(counts: list[int], said: str) -> None:
    rank = usage_figures(np.array(counts), 0, label="toys", images=1, training=None)[1]
    assert rank.value == f"2 of {len(counts)}"
    assert said in rank.meaning


# --- as a file --------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a browser would find in a file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


NASTY = "<script>alert(1)</script> & 'single' \"double\" </title></style> <img src=http://x/y>"


def test_the_file_holds_the_very_pixels_and_needs_nothing_else() -> None:
    strips = [
        ("Nearest", np.stack([noise(20, 20, 1), noise(20, 20, 2)]), 90),
        ("Alone", noise(4, 6, 3)[None], 40),
        ("None", np.empty((0, 4, 4, 3), np.uint8), 40),
    ]
    text = as_html("Code 417", [Figure("Cells", "1,234", "How many.")], strips, "a żółw note")
    reader = Reader(text)
    images = reader.having("img")
    assert len(images) == 3
    tiles = [tile for _, strip, _ in strips for tile in strip]
    for attributes, tile, side in zip(images, tiles, (90, 90, 40), strict=True):
        kind, _, data = str(attributes["src"]).partition(",")
        assert kind == "data:image/png;base64"
        np.testing.assert_array_equal(np.asarray(load_image(base64.b64decode(data), "tile")), tile)
        assert attributes["width"] == attributes["height"] == str(side)
    assert {name for name, _ in reader.tags} <= {*("meta", "title", "style", "h1", "h2", "p", "div", "img")} | {
        *("table", "tr", "th", "td")
    }
    assert "http" not in text
    assert "url(" not in text
    assert text.startswith("<!doctype html>")
    assert reader.having("meta") == [{"charset": "utf-8"}]
    for word in ("Code 417", "Cells", "1,234", "Nearest", "Alone", "a żółw note"):
        assert word in reader.text
    assert "None" not in reader.text
    assert reader.having("tr") == [{"title": "How many."}]


def test_markup_in_texts_is_shown_as_it_is() -> None:
    tiles = noise(4, 4)[None]
    nasty = [NASTY + str(number) for number in range(6)]
    title, label, value, meaning, heading, note = nasty
    text = as_html(title, [Figure(label, value, meaning)], [(heading, tiles, 10)], note)
    reader = Reader(text)
    plain = Reader(as_html("t", [Figure("l", "v", "m")], [("h", tiles, 10)], "n"))
    assert [name for name, _ in reader.tags] == [name for name, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in reader.tags] == [sorted(own) for _, own in plain.tags]
    joined = "".join(reader.text)
    assert joined.count(title) == 2  # as title and as heading
    for shown in (label, value, heading, note):
        assert joined.count(shown) == 1
    assert reader.having("tr") == [{"title": meaning}]


def test_without_a_note_there_is_no_heading_for_it() -> None:
    assert "Note" in Reader(as_html("t", [], [], "n")).text
    assert "Note" not in Reader(as_html("t", [], [], "")).text


# --- cells of several pictures ----------------------------------------------------------------------------------------


def test_the_nearest_cells_are_those_of_the_code_over_all_pictures() -> None:
    model = toy_model()
    codebook = Codebook.of(model)
    shown = [encoded(model, 24, 40), encoded(model, 33, 17)]
    for code in range(8):
        plain = sorted(
            (float((cells(one.encoding.embedding)[place] - model.codebook[code]).norm()), number, row, column)
            for number, one in enumerate(shown)
            for place, (row, column) in enumerate(np.ndindex(one.indices.shape))
            if one.indices[row, column] == code
        )[:5]
        found = nearest_cells(codebook, shown, code, most=5)
        assert found.distance == pytest.approx([distance for distance, *_ in plain], rel=1e-5)
        assert list(zip(found.image, found.row, found.column, strict=True)) == [tuple(place) for _, *place in plain]
    assert len(nearest_cells(codebook, [], 0, most=5)) == 0


def test_some_cells_are_spread_over_all_that_have_the_code() -> None:
    grids = [np.array([[0, 1], [1, 1]]), np.array([[2, 2]]), np.array([[1, 0, 1]])]
    every = some_cells(grids, 1, most=9)
    places = list(zip(every.image.tolist(), every.row.tolist(), every.column.tolist(), strict=True))
    assert places == [(0, 0, 1), (0, 1, 0), (0, 1, 1), (2, 0, 0), (2, 0, 2)]
    few = some_cells(grids, 1, most=2)
    assert few.image.tolist() == [0, 2] and few.column.tolist() == [1, 2]
    assert np.isnan(every.distance).all() and len(some_cells(grids, 7, most=3)) == len(some_cells([], 0, most=3)) == 0


def test_the_colour_of_a_code_is_that_of_the_pixels_that_it_covers() -> None:
    pictures = [noise(10, 14), noise(8, 8, seed=1)]  # the grid reaches beyond the first
    random = np.random.default_rng(0)
    grids = [random.integers(0, 3, (3, 4)), random.integers(0, 3, (2, 2))]
    found = colours_of_cells(pictures, grids, codes=4, stride=4)
    for code in range(3):
        pixels = [
            shown[row, column]
            for shown, grid in zip(pictures, grids, strict=True)
            for row, column in np.ndindex(shown.shape[:2])
            if grid[row // 4, column // 4] == code
        ]
        assert found[code] == pytest.approx(np.mean(pixels, axis=0))
    assert np.isnan(found[3]).all()
