"""/healthz and /metrics: what a machine is told of the server, and that it is told nothing of a visitor."""

import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

import explorer
from explorer.ui.transport import counts, health, visitors


def found(base: str = "") -> dict[str, int]:
    """The routes' paths, and with which status each answers."""
    request = Request({"type": "http", "method": "GET", "headers": [], "app": Starlette()})
    return {route.path: route.endpoint(request).status_code for route in health.routes(base)}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> health.State:
    own = health.State()
    monkeypatch.setattr(health, "state", own)
    return own


def asked() -> tuple[int, dict[str, object]]:
    answer = health._health(Request({"type": "http", "method": "GET", "headers": [], "app": Starlette()}))
    return answer.status_code, json.loads(bytes(answer.body))


def test_until_the_first_model_is_loaded_the_server_is_not_ready(state):
    assert asked()[0] == 503
    state.ended, state.name, state.fingerprint = True, "photos", "ab" * 32
    code, said = asked()
    assert code == 200
    assert said["model"] == {"name": "photos", "sha256": "ab" * 32}
    assert said["version"] == explorer.__version__


def test_a_server_without_a_model_says_why_and_serves_all_the_same(state):
    state.ended, state.fault = True, "There is none."
    assert asked() == (200, {**asked()[1], "status": "ok", "model": None, "fault": "There is none."})


def test_figures_are_told_only_where_they_are_switched_on(monkeypatch, state):
    state.ended = True
    monkeypatch.delenv(health.SWITCH, raising=False)
    assert found("/tools/vq/") == {"/tools/vq/healthz": 200, "/tools/vq/metrics": 404}
    monkeypatch.setenv(health.SWITCH, "1")
    assert found() == {"/healthz": 200, "/metrics": 200}
    monkeypatch.setenv(health.SWITCH, "0")
    assert found() == {"/healthz": 200, "/metrics": 404}


def test_figures_have_prometheus_form(monkeypatch):
    monkeypatch.setattr(counts, "_counts", {})
    with pytest.raises(ZeroDivisionError), counts.timed("edits"):
        _ = 1 / 0
    counts.add("edits_total")
    lines = health.text(health.metrics()).splitlines()
    values = dict(line.split(" ") for line in lines if not line.startswith("#"))
    assert values["vqvae_explorer_edits_total"] == "2"
    assert 0 <= float(values["vqvae_explorer_edits_seconds_total"]) < 1
    assert float(values["vqvae_explorer_peak_memory_bytes"]) > 1 << 20
    for name in values:  # each with its kind and its meaning, before it
        place = next(number for number, line in enumerate(lines) if line.startswith(f"{name} "))
        assert lines[place - 2].startswith(f"# HELP {name} ")
        assert lines[place - 1] in (f"# TYPE {name} counter", f"# TYPE {name} gauge")


def test_no_token_is_told():
    visitor = visitors.Visitor()
    assert visitors.number() >= 1
    assert visitor.token not in health.text(health.metrics())
