// The editor's tools: what each does to a grid of codes, as pure functions on plain data; no DOM.
//
// A state is { rows, columns, indices: Uint32Array, weights: Int16Array } and is never changed. A place is
// row * columns + column, a cell [row, column]; a rectangle's bottom and right are not included, as in vqvae/window.py.
// A weight is how much of the embedding is blended in at a cell, in percent, −50…150, or UNPAINTED: as much as the
// slider says. A context is { base, runnerUp: Uint32Array }, the codes that the encoder took first and second by place,
// and `initial`, the state that "clear" goes back to; without it that is the encoder's grid.

const UNPAINTED = -32768;

/**
 * Each tool: `draw` writes into `next`, which starts as a copy of the state; `label` is for the history; `fields` are
 * what an operation has beside its tool's name, each with its check, (value, { rows, columns, codes }, operation).
 */
const TOOLS = {
  paint: {
    fields: { places: toolPlaces, code: toolCode },
    label: ({ places }) => `Brush, ${toolCells(places.length)}`,
    draw: (next, { places, code }) => toolEach(places, (place) => (next.indices[place] = code)),
  },
  fill: {
    fields: { place: toolPlace, code: toolCode },
    label: () => "Fill",
    draw: (next, { place, code }, state) => toolEach(toolFlood(state, place), (at) => (next.indices[at] = code)),
  },
  replace: {
    fields: { from: toolCode, to: toolCode },
    label: ({ from, to }) => `Replace ${toolCount(from)} by ${toolCount(to)}`,
    draw: (next, { from, to }, state) => (next.indices = state.indices.map((code) => (code === from ? to : code))),
  },
  shuffle: {
    fields: { places: toolPlaces, seed: (value) => toolWhole(value, 0, 2 ** 32 - 1) },
    label: ({ places }) => `Shuffle, ${toolCells(places.length)}`,
    draw: (next, { places, seed }, state) => {
      const to = [...new Set(places)].sort((a, b) => a - b); // the selection counts, not the order it was made in
      const from = toolPermuted(to, seed);
      to.forEach((place, number) => toolCopyCell(next, place, state, from[number]));
    },
  },
  erase: {
    fields: { places: toolPlaces },
    label: ({ places }) => `Erase, ${toolCells(places.length)}`,
    draw: (next, { places }, state, { base }) =>
      toolEach(places, (place) => {
        next.indices[place] = base[place];
        next.weights[place] = UNPAINTED;
      }),
  },
  "runner-up": {
    fields: { places: toolPlaces },
    label: ({ places }) => `Runner-up, ${toolCells(places.length)}`,
    draw: (next, { places }, { indices }, { base, runnerUp }) =>
      toolEach(places, (at) => (next.indices[at] = indices[at] === runnerUp[at] ? base[at] : runnerUp[at])),
  },
  blend: {
    fields: { places: toolPlaces, percent: (value) => value === null || toolWhole(value, -50, 150) },
    label: ({ places, percent }) =>
      `Blend ${percent === null ? "as the slider" : `${percent} %`.replace("-", "−")}, ${toolCells(places.length)}`,
    draw: (next, { places, percent }) => toolEach(places, (place) => (next.weights[place] = percent ?? UNPAINTED)),
  },
  paste: {
    fields: { row: Number.isSafeInteger, column: Number.isSafeInteger, clip: toolClip },
    label: ({ clip }) => `Paste, ${toolSize(clip.rows, clip.columns)}`,
    draw: (next, { row, column, clip }) => toolPaste(next, row, column, clip),
  },
  move: {
    fields: { from: toolRectangle, row: Number.isSafeInteger, column: Number.isSafeInteger, code: toolCode },
    label: ({ from }) => `Move, ${toolSize(from.bottom - from.top, from.right - from.left)}`,
    draw: (next, { from, row, column, code }, state) => {
      toolEach(rectanglePlaces(from, state.columns), (place) => {
        next.indices[place] = code;
        next.weights[place] = UNPAINTED;
      });
      toolPaste(next, row, column, copyClip(state, from));
    },
  },
  set: {
    fields: {
      places: toolPlaces,
      indices: (value, grid, { places }) => toolListOf(value, places.length, (code) => toolCode(code, grid)),
      weights: (value, grid, { places }) => value === null || toolListOf(value, places.length, toolWeight),
    },
    label: ({ places }) => `Set, ${toolCells(places.length)}`,
    draw: (next, { places, indices, weights }) =>
      places.forEach((place, number) => {
        next.indices[place] = indices[number];
        if (weights) next.weights[place] = weights[number];
      }),
  },
  clear: {
    fields: {},
    label: () => "Start over",
    draw: (next, operation, { rows, columns }, { base, initial }) => {
      const { indices, weights } = initial ?? freshState(base, rows, columns);
      next.indices.set(indices);
      next.weights.set(weights);
    },
  },
};

// --- operations -----------------------------------------------------------------------------------------------------

/** The state after an operation; the very same object when that changes nothing. */
function applyOperation(state, operation, context) {
  const next = { ...state, indices: state.indices.slice(), weights: state.weights.slice() };
  TOOLS[operation.tool].draw(next, operation, state, context);
  return sameState(state, next) ? state : next;
}

/** What the history calls it. */
function describeOperation(operation) {
  return TOOLS[operation.tool].label(operation);
}

/** Anything -> an operation that fits a grid of { rows, columns, codes }, with no field too many; else null. */
function checkOperation(operation, grid) {
  const name = operation?.tool;
  if (typeof name !== "string" || !Object.hasOwn(TOOLS, name)) return null;
  const checked = { tool: name };
  for (const [field, fits] of Object.entries(TOOLS[name].fields)) {
    if (!fits(operation[field], grid, operation)) return null;
    checked[field] = operation[field];
  }
  return checked;
}

// --- states ---------------------------------------------------------------------------------------------------------

/** The encoder's grid, with nothing painted. */
function freshState(base, rows, columns) {
  return { rows, columns, indices: Uint32Array.from(base), weights: new Int16Array(rows * columns).fill(UNPAINTED) };
}

function sameState(a, b) {
  if (a === b) return true;
  if (a.rows !== b.rows || a.columns !== b.columns) return false;
  for (let place = 0; place < a.indices.length; place += 1) {
    if (a.indices[place] !== b.indices[place] || a.weights[place] !== b.weights[place]) return false;
  }
  return true;
}

/** The places whose code is not the encoder's, in reading order; what is blended in there does not count. */
function changedPlaces(state, base) {
  const places = [];
  state.indices.forEach((code, place) => code !== base[place] && places.push(place));
  return places;
}

/** What lies in a rectangle, as far as it is on the grid: { rows, columns, indices, weights }, plain lists. */
function copyClip(state, { top, left, bottom, right }) {
  const [first, last] = [Math.max(0, top), Math.min(state.rows, bottom)];
  const [from, to] = [Math.max(0, left), Math.min(state.columns, right)];
  const places = rectanglePlaces({ top: first, left: from, bottom: last, right: to }, state.columns);
  return {
    rows: Math.max(0, last - first),
    columns: Math.max(0, to - from),
    indices: places.map((place) => state.indices[place]),
    weights: places.map((place) => state.weights[place]),
  };
}

// --- places ---------------------------------------------------------------------------------------------------------

/** The places under a round brush so many cells wide, in reading order; an even one reaches further down and right. */
function brushPlaces(row, column, size, rows, columns) {
  const reach = Math.floor((size - 1) / 2); // up and left
  const middle = (size - 1) / 2;
  const places = [];
  for (let down = 0; down < size; down += 1) {
    for (let across = 0; across < size; across += 1) {
      const [y, x] = [row - reach + down, column - reach + across];
      const round = Math.hypot(down - middle, across - middle) <= size / 2;
      if (round && y >= 0 && x >= 0 && y < rows && x < columns) places.push(y * columns + x);
    }
  }
  return places;
}

/** The places that a brush passes from one cell to another, without gaps, each once, in the order it comes to them. */
function linePlaces(from, to, size, rows, columns) {
  const [down, across] = [to[0] - from[0], to[1] - from[1]];
  const steps = Math.max(Math.abs(down), Math.abs(across), 1);
  const places = new Set();
  for (let step = 0; step <= steps; step += 1) {
    const [row, column] = [from[0] + (down * step) / steps, from[1] + (across * step) / steps].map(Math.round);
    for (const place of brushPlaces(row, column, size, rows, columns)) places.add(place);
  }
  return [...places];
}

/** The places of a rectangle that lies on the grid, in reading order. */
function rectanglePlaces({ top, left, bottom, right }, columns) {
  const places = [];
  for (let row = top; row < bottom; row += 1) {
    for (let column = left; column < right; column += 1) places.push(row * columns + column);
  }
  return places;
}

/** The smallest rectangle that holds both cells. */
function rectangleBetween(cellA, cellB) {
  const [rows, columns] = [0, 1].map((axis) => [cellA[axis], cellB[axis]].sort((a, b) => a - b));
  return { top: rows[0], left: columns[0], bottom: rows[1] + 1, right: columns[1] + 1 };
}

// --- what the tools are made of -------------------------------------------------------------------------------------

function toolEach(places, action) {
  for (const place of places) action(place);
}

function toolCopyCell(next, place, source, from) {
  next.indices[place] = source.indices[from];
  next.weights[place] = source.weights[from];
}

function toolPaste(next, row, column, clip) {
  for (let from = 0; from < clip.rows * clip.columns; from += 1) {
    const [y, x] = [row + Math.floor(from / clip.columns), column + (from % clip.columns)];
    const inside = y >= 0 && x >= 0 && y < next.rows && x < next.columns;
    if (inside && (!clip.mask || clip.mask[from])) toolCopyCell(next, y * next.columns + x, clip, from);
  }
}

/** The places that are joined to one, side by side, by cells of its code. */
function toolFlood({ rows, columns, indices }, start) {
  const seen = new Uint8Array(rows * columns);
  const places = [start];
  seen[start] = 1;
  for (let next = 0; next < places.length; next += 1) {
    const place = places[next];
    const column = place % columns;
    const beside = [place - columns, place + columns];
    if (column > 0) beside.push(place - 1);
    if (column < columns - 1) beside.push(place + 1);
    for (const neighbour of beside) {
      if (seen[neighbour] || indices[neighbour] !== indices[start]) continue; // off the grid it is undefined
      seen[neighbour] = 1;
      places.push(neighbour);
    }
  }
  return places;
}

/** Fisher and Yates' permutation, drawn with mulberry32: the same on every machine, as both are of whole numbers. */
function toolPermuted(list, seed) {
  const permuted = [...list];
  let counter = seed >>> 0;
  for (let last = permuted.length - 1; last > 0; last -= 1) {
    counter = (counter + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(counter ^ (counter >>> 15), counter | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    const chosen = Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * (last + 1));
    [permuted[last], permuted[chosen]] = [permuted[chosen], permuted[last]];
  }
  return permuted;
}

function toolCount(number) {
  return number.toLocaleString("en-US");
}

function toolCells(count) {
  return `${toolCount(count)} ${count === 1 ? "cell" : "cells"}`;
}

function toolSize(rows, columns) {
  return `${toolCount(rows)} × ${toolCount(columns)} cells`;
}

// --- checks ---------------------------------------------------------------------------------------------------------

function toolWhole(value, low, high) {
  return Number.isInteger(value) && value >= low && value <= high;
}

/** A list of so many; `for`, as `every` passes over holes. */
function toolListOf(value, length, fits) {
  if (!Array.isArray(value) || value.length !== length) return false;
  for (const item of value) if (!fits(item)) return false;
  return true;
}

function toolCode(value, { codes }) {
  return toolWhole(value, 0, codes - 1);
}

function toolPlace(value, { rows, columns }) {
  return toolWhole(value, 0, rows * columns - 1);
}

function toolPlaces(value, grid) {
  if (!Array.isArray(value) || value.length > grid.rows * grid.columns) return false;
  return toolListOf(value, value.length, (place) => toolPlace(place, grid));
}

function toolWeight(value) {
  return value === UNPAINTED || toolWhole(value, -50, 150);
}

function toolRectangle(value, { rows, columns }) {
  if (!value) return false;
  const { top, left, bottom, right } = value;
  const inside = toolWhole(top, 0, rows - 1) && toolWhole(left, 0, columns - 1);
  return inside && toolWhole(bottom, top + 1, rows) && toolWhole(right, left + 1, columns);
}

/** A clip may be larger than the grid, as it can come from another picture; its lists tell how large. */
function toolClip(value, grid) {
  if (!value || !toolWhole(value.rows, 1, 2 ** 16) || !toolWhole(value.columns, 1, 2 ** 16)) return false;
  const cells = value.rows * value.columns;
  const { indices, weights, mask } = value;
  const masked = mask === undefined || toolListOf(mask, cells, (flag) => [0, 1, false, true].includes(flag));
  return masked && toolListOf(indices, cells, (code) => toolCode(code, grid)) && toolListOf(weights, cells, toolWeight);
}
