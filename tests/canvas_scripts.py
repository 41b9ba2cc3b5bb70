"""The editor's scripts without a page: to call their functions in Chromium."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser

from tests.browser import ROOT

CANVAS = ROOT / "explorer" / "ui" / "components" / "canvas"

HELPERS = """
  const stateOf = ({ rows, columns, indices, weights, settings }) => ({
    rows, columns, indices: Uint32Array.from(indices), weights: Int16Array.from(weights), ...(settings && { settings }),
  });
  const contextOf = ({ base, runnerUp, initial }) => ({
    base: Uint32Array.from(base),
    runnerUp: Uint32Array.from(runnerUp),
    ...(initial && { initial: stateOf(initial) }),
  });
  const plain = (state) => ({
    rows: state.rows,
    columns: state.columns,
    indices: [...state.indices],
    weights: [...state.weights],
    settings: settingsOf(state),
  });
  const historyOf = ({ state, context }) => new History(stateOf(state), contextOf(context));
  const look = (history) => ({
    state: plain(history.state),
    position: history.position,
    on: history.entries.map(({ on }) => on),
    ids: history.entries.map(({ id }) => id),
    canUndo: history.canUndo,
    canRedo: history.canRedo,
  });
  const play = (history, steps) => steps.map(([name, ...values]) => {
    const returned = history[name](...values);
    if (returned !== history.state) throw new Error(`${name} returned another state`);
    return look(history);
  });
"""


def sources() -> str:
    return "\n".join((CANVAS / name).read_text() for name in ("tools.js", "history.js", "selection.js"))


@contextmanager
def evaluator(browser: Browser) -> Iterator[Callable[..., Any]]:
    """Evaluate a JavaScript function of one value in the module that the three files make, in one tab."""
    page = browser.new_page()
    run = "window.run = (source, value) => eval(source)(value);"
    page.add_script_tag(content=f"{sources()}\n{HELPERS}\n{run}", type="module")
    page.wait_for_function("() => 'run' in window")
    yield lambda source, value=None: page.evaluate("([source, value]) => run(source, value)", [source, value])
    page.close()
