"""The Inputs page through Streamlit's own harness: the curve is of what the editor holds, maps say how sure they are,
and two pictures that are the same are no pair."""

import base64
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest
import torch
from streamlit.testing.v1 import AppTest

from explorer.editing import starts
from explorer.editing.edits import Painting, inputs_of, unpainted
from explorer.editing.starts import Start
from explorer.images.pictures import open_picture
from explorer.images.reconstruction import compare, encode_picture
from explorer.images.samples import SAMPLES
from explorer.inputs import blending, sensitivity
from explorer.inputs.reliance.boundary import Change
from explorer.ui import cache, jobs
from explorer.ui.session import SavedEdit, Session, Upload
from explorer.ui.store import SESSION_KEY
from explorer.ui.views.inputs import border
from tests.browser import ROOT
from tests.harness import at_rest, jobs_of
from tests.toys import toy_model, until
from vqvae import checkpoint
from vqvae.images import to_png
from vqvae.model import VQVAE

SIZE = 128
ROUND = 32  # probes of a toy's


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VQVAE:
    """A toy named photos, and nothing else."""
    model = toy_model()
    checkpoint.save(tmp_path / "photos", model, {})
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    jobs.shelf.clear()
    return checkpoint.load(tmp_path / "photos")


def on_inputs(session: Session) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "inputs.py"), default_timeout=120)
    app.session_state[SESSION_KEY] = session
    return app.run()


def figures(app: AppTest) -> list[go.Figure]:
    return [plotly.io.from_json(chart.proto.spec) for chart in app.get("plotly_chart")]


def numbers(values: object) -> np.ndarray:
    """What a trace holds, which goes to the browser as bytes."""
    if isinstance(values, dict):
        flat = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        shape = tuple(int(side) for side in str(values.get("shape", flat.size)).split(","))
        return flat.reshape(shape)
    return np.array(values, float)


def traces(app: AppTest) -> dict[str, dict[float, float]]:
    """Of the curve: the points of each trace by its name."""
    return {
        one.name: dict(zip(numbers(one.x).tolist(), numbers(one.y).tolist(), strict=True))
        for one in figures(app)[0].data
    }


def button(app: AppTest, label: str):
    return next(button for button in app.button if button.label == label)


def captions(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption).replace("\\", "")


# --- the curve


def painted_session(model: VQVAE, start: Start, *, blend: float, rule: str) -> tuple[Session, Painting, object]:
    """A session whose editor holds a grid with three cells edited and one with a blend of its own."""
    picture = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=SIZE)
    other = open_picture(SAMPLES[1].read(), SAMPLES[1].file, working_size=SIZE)
    encoded, second = (encode_picture(model, one).encoding for one in (picture, other))
    base = starts.begin(model, start, encoded, other=second, counts=None)
    painting = Painting(unpainted(base).indices.copy(), unpainted(base).painted.copy())
    painting.indices[2, 3:6] = (painting.indices[2, 3:6] + 1) % 8
    painting.painted[4, 4] = 150
    [found] = checkpoint.find(cache.ROOT)
    content = f"{cache.fingerprint(found.folder)[:16]}-{picture.key[:16]}-{start.key}"
    session = Session(working_size=SIZE, picture=SAMPLES[0].name, blend=blend).with_start(start)
    session = session.on("edit", rule=rule).with_saved_edit(SavedEdit(content, painting))
    return session, painting, base


def psnr_of(model: VQVAE, base, painting: Painting, level: float, rule: str) -> float:
    original = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=SIZE).pixels
    with torch.inference_mode():
        fed = inputs_of(model, base, painting.edit(level=level, rule=rule))  # type: ignore[arg-type]
        pixels = blending.decoded(model, fed)[: original.shape[0], : original.shape[1]]
    return compare(original, pixels).psnr


@pytest.mark.parametrize(
    ("start", "rule", "said"),
    [
        (Start(), "follow", "3 of"),
        (Start("random", seed=3), "keep", "made from no picture"),
        (Start("one code", code=2), "follow", "made from no picture"),
        (Start("mix", mask="left half", other=SAMPLES[1].name), "carry", "from two pictures"),
    ],
    ids=lambda value: value.kind if isinstance(value, Start) else None,
)
def test_the_curve_is_of_what_the_editor_holds_and_now_lies_on_it(toy, start, rule, said):
    session, painting, base = painted_session(toy, start, blend=0.35, rule=rule)
    app = at_rest(on_inputs(session))
    assert not app.exception and not app.error
    found = traces(app)
    shown = psnr_of(toy, base, painting, 0.35, rule)
    assert found["now"] == {0.35: pytest.approx(shown, abs=0.01)}
    assert found["this picture"][0.35] == found["now"][0.35]
    for level in (-0.5, 0.0, 1.0, 1.5):
        assert found["this picture"][level] == pytest.approx(psnr_of(toy, base, painting, level, rule), abs=0.01)
    assert said in captions(app)
    assert "3 of 704 cells are edited. 1 cell keeps its painted blend" in captions(app)


def test_of_codes_that_no_picture_stands_behind_the_curve_is_flat(toy):
    app = at_rest(on_inputs(Session(working_size=SIZE, picture=SAMPLES[0].name).with_start(Start("random", seed=3))))
    assert np.ptp(list(traces(app)["this picture"].values())) < 1e-6


def test_while_it_is_drawn_again_the_curve_before_stands_there_and_it_is_made_once(toy, monkeypatch):
    drawn, steps = [], threading.Semaphore(0)

    def slow(*arguments, painting, rule, progress):
        drawn.append(painting)
        assert steps.acquire(timeout=60)
        progress(1, 21)
        return curve(*arguments, (0.0, 1.0), painting=painting, rule=rule)

    curve = blending.curve
    monkeypatch.setattr(blending, "curve", slow)
    session, painting, base = painted_session(toy, Start(), blend=1.0, rule="follow")
    before = replace(session, edit=replace(session.edit, saved_edits=()))
    app = on_inputs(before)
    assert list(traces(app)) == ["now"]
    assert [one.proto.text for one in app.get("progress")] == ["Decoding at every blend: "] or app.get("progress")
    steps.release()
    at_rest(app)
    plain = traces(app)
    assert list(plain) == ["this picture", "now"]
    now = app.session_state[SESSION_KEY]
    app.session_state[SESSION_KEY] = replace(now, edit=session.edit)
    app.run()
    found = traces(app)
    assert list(found) == ["before the last change", "now"]
    assert found["before the last change"].items() <= plain["this picture"].items()
    assert found["now"] == {1.0: pytest.approx(psnr_of(toy, base, painting, 1.0, "follow"), abs=0.01)}
    steps.release()
    at_rest(app)
    assert list(traces(app)) == ["this picture", "now"]
    # Another place on the same curve.
    app.session_state[SESSION_KEY] = replace(app.session_state[SESSION_KEY], blend=0.5)
    app.run()
    assert list(traces(app)) == ["this picture", "now"] and 0.5 in traces(app)["this picture"]
    assert len(drawn) == 2
    app.session_state[SESSION_KEY] = replace(app.session_state[SESSION_KEY], edit=before.edit)
    app.run()
    assert traces(app)["this picture"].items() >= {0.0: plain["this picture"][0.0]}.items()
    assert len(drawn) == 2


def test_a_curve_that_was_stopped_is_drawn_when_asked_for(toy, monkeypatch):
    steps = threading.Semaphore(0)

    def slow(*arguments, painting, rule, progress):
        assert steps.acquire(timeout=60)
        progress(1, 21)
        return curve(*arguments, painting=painting, rule=rule)

    curve = blending.curve
    monkeypatch.setattr(blending, "curve", slow)
    app = on_inputs(Session(working_size=SIZE))
    button(app, "Stop").click().run()
    steps.release()
    at_rest(app)
    app.run()
    assert "The curve was stopped." in captions(app) and list(traces(app)) == ["now"]
    steps.release(2)
    button(app, "Draw it").click().run()
    at_rest(app)
    assert list(traces(app)) == ["this picture", "now"]


# --- two pictures


def same_twice(view: str) -> Session:
    """The first sample, and an upload of its very pixels beside it."""
    picture = open_picture(SAMPLES[0].read(), SAMPLES[0].file, working_size=SIZE)
    upload = Upload("again.png", to_png(picture.pixels))
    session = Session(working_size=SIZE).with_upload(upload).with_picture(SAMPLES[0].name)
    return session.on("inputs", view="pair", pair_view=view, second=upload.digest)


@pytest.mark.parametrize("view", ["swap", "between"])
def test_the_same_picture_twice_is_said_to_be_that(view):
    app = on_inputs(same_twice(view))
    assert not app.exception and not app.error
    assert "the same picture" in app.info[0].value
    assert "closer to" not in captions(app) and not app.get("download_button")
    second = next(box for box in app.selectbox if box.label == "Second picture")
    second.set_value(SAMPLES[1].name).run()
    assert not app.info and (view == "swap" or app.get("download_button"))
    assert (view == "between") == ("closer to" not in captions(app))


@pytest.mark.parametrize(
    ("blend", "said"),
    [
        (-0.5, "With −50% of the embedding blended in; the slider of the view Blend sets it. That is extrapolated"),
        (1.5, "With 150% of the embedding blended in; the slider of the view Blend sets it. That is extrapolated"),
        (0.4, "With 40% of the embedding blended in; the slider"),
    ],
)
def test_a_walk_takes_the_blend_as_it_is(blend, said, monkeypatch):
    asked = []
    frames = blending.frames
    monkeypatch.setattr(
        blending, "frames", lambda *arguments, **named: asked.append(named["weight"]) or frames(*arguments, **named)
    )
    cache.frames_between.clear()
    app = on_inputs(Session(working_size=SIZE, blend=blend).on("inputs", view="pair", pair_view="between"))
    assert not app.exception and not app.error
    assert asked == [blend]
    assert said in captions(app)


# --- the maps


def with_maps(**changes: object) -> Session:
    return Session(working_size=SIZE).on("inputs", view="reliance", shows_maps=True, **changes)


def heats(app: AppTest) -> list[go.Heatmap]:
    return [figure.data[0] for figure in figures(app) if figure.data and figure.data[0].type == "heatmap"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps that are finished after as few rounds as there can be."""
    monkeypatch.setattr(sensitivity, "MOST_PROBES", 2 * ROUND)


def test_the_maps_say_how_sure_they_are_and_are_for_two_sizes_of_change(toy, quick):
    app = at_rest(on_inputs(with_maps()))
    assert not app.exception and not app.error
    by_size = [numbers(heat.z) for heat in heats(app)]
    assert len(by_size) == 3
    assert f"after {2 * ROUND} and {2 * ROUND} probes" in captions(app) and "± " in captions(app)
    assert all((numbers(heat.customdata) > 0).any() for heat in heats(app))
    app.button_group(key="maps-by").set_value("unit").run()
    by_unit = [numbers(heat.z) for heat in heats(app)]
    codes, embedding = (one.mean() / other.mean() for one, other in zip(by_size[:2], by_unit[:2], strict=True))
    np.testing.assert_allclose(by_size[2] - by_unit[2], np.log2(codes / embedding), atol=1e-3)
    assert "how sharply the decoder listens" in captions(app)
    assert not [job for name, job in jobs_of(app).items() if job.state == "running"]


def test_maps_that_were_stopped_are_shown_as_far_as_they_are_and_go_on(toy, quick, monkeypatch):
    steps = threading.Semaphore(0)

    def slow(*arguments, progress, **named):
        def paced(*report):
            assert steps.acquire(timeout=60)
            progress(*report)

        return measured(*arguments, progress=paced, **named)

    measured = sensitivity.sensitivity_map
    monkeypatch.setattr(sensitivity, "sensitivity_map", slow)
    monkeypatch.setattr(sensitivity, "LEAST_ROUNDS", 5)
    monkeypatch.setattr(sensitivity, "MOST_PROBES", 4 * ROUND)
    app = on_inputs(with_maps())
    (name,) = [name for name in jobs_of(app) if name.startswith("maps-")]
    steps.release(5 * ROUND)
    until(lambda: jobs_of(app)[name].done >= 5 * ROUND)
    app.button(key=f"stop-{name}").click().run()  # the reliance test beside it has one, too
    steps.release(1)
    at_rest(app)
    app.run()
    assert len(heats(app)) == 3
    assert f"after {3 * ROUND} and {2 * ROUND} probes" in captions(app) and "Not finished" in captions(app)
    steps.release(100 * ROUND)
    button(app, "Go on").click().run()
    at_rest(app)
    app.run()
    assert f"after {4 * ROUND} and {4 * ROUND} probes" in captions(app)
    assert not [one for one in app.button if one.label == "Go on"]


def test_maps_that_are_switched_off_are_not_measured_on(toy, monkeypatch):
    monkeypatch.setattr(sensitivity, "MOST_PROBES", 10**6)
    monkeypatch.setattr(sensitivity, "REPEATS", 2.0)
    monkeypatch.setattr(sensitivity, "FINEST", 0.0)
    app = on_inputs(with_maps())
    (job,) = [job for name, job in jobs_of(app).items() if name.startswith("maps-")]
    assert job.state == "running"
    app.toggle(key="reliance-maps").set_value(False).run()
    assert job.wait(60) and not [name for name in jobs_of(app) if name.startswith("maps-")]


@pytest.mark.parametrize(
    ("margin", "said"),
    [
        (0.0, "exactly as far away"),
        (4e-9, "less than 0.01% further away"),
        (0.0001, "0.01% further away"),
        (0.0123, "1.23% further away"),
    ],
)
def test_a_second_code_that_is_hardly_further_away_is_not_said_to_be_by_nothing(margin: float, said: str) -> None:
    change = Change(0.25, 0.75, 1.0, 0.0, 1.0)
    assert f"the other code is {said}. At a blend" in border.sentence((3, 4), margin, change, 1.0)
