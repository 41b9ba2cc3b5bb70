// The editor's tools: what each does to a grid of codes, as pure functions on plain data; no DOM.
//
// A state is { rows, columns, indices: Uint32Array, weights: Int16Array, settings } and is never changed; without
// `settings` it has DEFAULT_SETTINGS. A place is row * columns + column, a cell [row, column]; a rectangle's bottom and
// right are not included, as in vqvae/window.py; an area is a rectangle or a list of places.
// A weight is how much of the embedding is blended in at a cell, in percent, −50…150, or UNPAINTED: as much as the
// slider says. A context is { base, runnerUp: Uint32Array }, the codes that the encoder took first and second by place,
// and `initial`, the state that "clear" goes back to; without it that is the encoder's grid.

const UNPAINTED = -32768;
const DEFAULT_SETTINGS = Object.freeze({ rule: "follow", blend: 1, uses_embedding: true });
const TOOL_RULES = ["follow", "carry", "keep"];
const TOOL_PAINTED_BY = { rectangle: "Rectangle", cut: "Cut", fill: "Fill selection" }; // else it was the brush
const TOOL_FLIPS = { horizontal: "horizontally", vertical: "vertically" };
const TOOL_NO_CELL = "No cell is selected.";
const TOOL_SAME_CODES = "Both codes are the same: nothing changes.";

/**
 * Each tool: `draw` writes into `next`, which starts as a copy of the state; `label` gives the parts of its name in the
 * history, from the operation, how many cells changed in words, and the grid's columns; `codes` are those that the name
 * speaks of, the one painted with last; `nothing` says why a state stays as it is; `fields` are what an operation has
 * beside its tool's name, each with its check, (value, { rows, columns, codes }, operation).
 */
const TOOLS = {
  paint: {
    fields: { places: toolPlaces, code: toolCode, by: toolOptional(toolPaintedBy) },
    label: ({ places, code, by }, cells, columns) =>
      by === "cut" ? ["Cut", toolExtent(places, columns)] : [TOOL_PAINTED_BY[by] ?? "Brush", `code ${code}`, cells],
    codes: ({ code, by }) => (by === "cut" ? [] : [code]),
    nothing: ({ places }) => toolAlready(places.length, "this code"),
    draw: (next, { places, code }) => toolEach(places, (place) => (next.indices[place] = code)),
  },
  fill: {
    fields: { place: toolPlace, code: toolCode },
    label: ({ code }, cells) => ["Fill", `code ${code}`, cells],
    codes: ({ code }) => [code],
    nothing: ({ place }, state) => toolAlready(toolFlood(state, place).length, "this code"),
    draw: (next, { place, code }, state) => toolEach(toolFlood(state, place), (at) => (next.indices[at] = code)),
  },
  replace: {
    fields: { from: toolCode, to: toolCode },
    label: ({ from, to }, cells) => [`Replace code ${from} by code ${to}`, cells],
    codes: ({ from, to }) => [from, to],
    nothing: ({ from, to }) => (from === to ? TOOL_SAME_CODES : `No cell has code ${from}.`),
    draw: (next, { from, to }, state) => (next.indices = state.indices.map((code) => (code === from ? to : code))),
  },
  swap: {
    fields: {
      codes: (value, grid) => toolListOf(value, 2, (code) => toolCode(code, grid)),
      places: toolOptional(toolPlaces),
    },
    label: ({ codes: [one, other] }, cells) => [`Swap code ${one} and code ${other}`, cells],
    codes: ({ codes }) => codes,
    nothing: ({ codes: [one, other], places }) =>
      one === other ? TOOL_SAME_CODES : `No ${places ? "selected " : ""}cell has code ${one} or code ${other}.`,
    draw: (next, { codes: [one, other], places }, { indices }) =>
      toolEach(places ?? indices.keys(), (place) => {
        if (indices[place] === one) next.indices[place] = other;
        else if (indices[place] === other) next.indices[place] = one;
      }),
  },
  shuffle: {
    fields: { places: toolPlaces, seed: (value) => toolWhole(value, 0, 2 ** 32 - 1) },
    label: (operation, cells) => ["Shuffle", cells],
    nothing: ({ places }, { indices, weights }) => {
      const alike = (place) => indices[place] === indices[places[0]] && weights[place] === weights[places[0]];
      if (new Set(places).size < 2) return "It takes two cells to shuffle.";
      if (places.every(alike)) return "All selected cells have the same code: there is nothing to shuffle.";
      return "By chance every cell kept its place: shuffle again.";
    },
    draw: (next, { places, seed }, state) => {
      const to = [...new Set(places)].sort((a, b) => a - b); // the selection counts, not the order it was made in
      const from = toolPermuted(to, seed);
      to.forEach((place, number) => toolCopyCell(next, place, state, from[number]));
    },
  },
  erase: {
    fields: { places: toolPlaces },
    label: (operation, cells) => ["Erase", cells],
    nothing: ({ places }) => toolAlready(places.length, "the encoder's code"),
    draw: (next, { places }, state, { base }) =>
      toolEach(places, (place) => {
        next.indices[place] = base[place];
        next.weights[place] = UNPAINTED;
      }),
  },
  "runner-up": {
    fields: { places: toolPlaces },
    label: (operation, cells) => ["Runner-up", cells],
    nothing: ({ places }) => (places.length ? "The encoder has no second choice here." : TOOL_NO_CELL),
    draw: (next, { places }, { indices }, { base, runnerUp }) =>
      toolEach(places, (at) => (next.indices[at] = indices[at] === runnerUp[at] ? base[at] : runnerUp[at])),
  },
  blend: {
    fields: { places: toolPlaces, percent: (value) => value === null || toolWhole(value, -50, 150) },
    label: ({ percent }, cells) => [`Blend ${percent === null ? "as the slider" : toolPercent(percent)}`, cells],
    nothing: ({ places, percent }) =>
      toolAlready(places.length, percent === null ? "the slider's blend" : "this blend"),
    draw: (next, { places, percent }) => toolEach(places, (place) => (next.weights[place] = percent ?? UNPAINTED)),
  },
  paste: {
    fields: { row: Number.isSafeInteger, column: Number.isSafeInteger, clip: toolClip },
    label: ({ clip }) => ["Paste", toolClipExtent(clip)],
    nothing: ({ row, column, clip }, state, { copiedFrom }) => {
      if (!toolPastedPlaces(row, column, clip, state).length) return "No cell of the copy lies on the grid here.";
      return copiedFrom?.[0] === row && copiedFrom[1] === column
        ? "This is where it was copied from: nothing changes."
        : "The cells here are like the copy already.";
    },
    draw: (next, { row, column, clip }) => toolPaste(next, row, column, clip),
  },
  move: {
    fields: { from: toolArea, row: Number.isSafeInteger, column: Number.isSafeInteger, code: toolCode },
    label: ({ from }, cells, columns) => ["Move", toolExtent(from, columns)],
    nothing: ({ from, row, column }, { columns }) => {
      const { top, left } = toolBox(from, columns);
      return top === row && left === column
        ? "This is where the cells were: nothing changes."
        : "The cells are the same there: nothing changes.";
    },
    draw: (next, { from, row, column, code }, state) => toolPaste(next, row, column, toolLift(next, from, code, state)),
  },
  flip: {
    fields: { from: toolArea, axis: toolAxis, code: toolCode },
    label: ({ from, axis }, cells, columns) => [`Flip ${TOOL_FLIPS[axis]}`, toolExtent(from, columns)],
    nothing: ({ axis }) => `The cells are the same when flipped ${TOOL_FLIPS[axis]}.`,
    draw: (next, { from, axis, code }, state) => {
      const { top, left } = toolBox(from, state.columns);
      toolPaste(next, top, left, flipClip(toolLift(next, from, code, state), axis));
    },
  },
  rotate: {
    fields: { from: toolArea, quarters: (value) => toolWhole(value, 1, 3), code: toolCode },
    label: ({ from, quarters }, cells, columns) => [`Rotate ${90 * quarters}°`, toolExtent(from, columns)],
    nothing: ({ quarters }) => `The cells are the same when rotated by ${90 * quarters}°.`,
    draw: (next, { from, quarters, code }, state) => {
      const { top, left } = rotatedBox(toolBox(from, state.columns), quarters);
      toolPaste(next, top, left, rotateClip(toolLift(next, from, code, state), quarters));
    },
  },
  set: {
    fields: {
      places: toolPlaces,
      indices: (value, grid, { places }) => toolListOf(value, places.length, (code) => toolCode(code, grid)),
      weights: (value, grid, { places }) => value === null || toolListOf(value, places.length, toolWeight),
      settings: toolOptional(checkSettings),
    },
    label: (operation, cells) => ["Open recipe", cells],
    nothing: () => "Everything is as the recipe says already.",
    draw: (next, { places, indices, weights, settings }, state) => {
      places.forEach((place, number) => {
        next.indices[place] = indices[number];
        if (weights) next.weights[place] = weights[number];
      });
      next.settings = { ...settingsOf(state), ...toolSettings(settings ?? {}) };
    },
  },
  settings: {
    fields: {
      rule: (value, grid, operation) => toolSaysSettings(operation) && (value === undefined || toolRule(value)),
      blend: toolOptional(toolLevel),
      uses_embedding: toolOptional(toolFlag),
    },
    label: (operation) =>
      toolSettingNames(operation).map(([name, value]) => (name === "rule" ? `rule: ${value}` : `${name} ${value}`)),
    nothing: (operation) =>
      toolSettingNames(operation).map(([name, value]) => `The ${name} is ${value} already.`).join(" "),
    draw: (next, operation, state) => (next.settings = { ...settingsOf(state), ...toolSettings(operation) }),
  },
  clear: {
    fields: {},
    label: () => ["Start over"],
    nothing: () => "Every cell is as it was at the start.",
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

/** What the history calls it; with how many cells it changed and the grid's columns, as far as they are known. */
function describeOperation(operation, count, columns) {
  const cells = count === undefined ? "" : toolCells(count);
  const label = TOOLS[operation.tool].label(operation, cells, columns).filter(Boolean).join(", ");
  return label[0].toUpperCase() + label.slice(1);
}

/**
 * What an operation did from one state to the next: { label, codes, code, count, box }.
 *
 * `codes` are those that the label speaks of, and `code` the one that was painted with, or undefined. `count` is how
 * many cells have another code or weight, `box` the smallest rectangle around them, or null.
 */
function describeStep(operation, before, after) {
  const codes = TOOLS[operation.tool].codes?.(operation) ?? [];
  const { count, box } = toolDifference(before, after);
  return { label: describeOperation(operation, count, before.columns), codes, code: codes.at(-1), count, box };
}

/**
 * Why an operation leaves a state as it is, in a sentence or two; "" when it does not.
 *
 * The context may have `copiedFrom`, the [row, column] of this picture that a clip to paste was copied from.
 */
function whyNothing(operation, state, context) {
  if (applyOperation(state, operation, context) !== state) return "";
  return TOOLS[operation.tool].nothing(operation, state, context);
}

/** Anything -> an operation that fits a grid of { rows, columns, codes }, with no field too many; else null. */
function checkOperation(operation, grid) {
  const name = operation?.tool;
  if (typeof name !== "string" || !Object.hasOwn(TOOLS, name)) return null;
  const checked = { tool: name };
  for (const [field, fits] of Object.entries(TOOLS[name].fields)) {
    if (!fits(operation[field], grid, operation)) return null;
    if (operation[field] !== undefined) checked[field] = operation[field];
  }
  return checked;
}

// --- states ---------------------------------------------------------------------------------------------------------

/** The encoder's grid, with nothing painted. */
function freshState(base, rows, columns, settings = DEFAULT_SETTINGS) {
  const weights = new Int16Array(rows * columns).fill(UNPAINTED);
  return { rows, columns, indices: Uint32Array.from(base), weights, settings };
}

/** { rule, blend, uses_embedding } of a state: how edited cells are embedded, and how much of the embedding is used. */
function settingsOf(state) {
  return state.settings ?? DEFAULT_SETTINGS;
}

/** Whether a value has all three settings, each as it may be. */
function checkSettings(value) {
  return Boolean(value) && toolRule(value.rule) && toolLevel(value.blend) && toolFlag(value.uses_embedding);
}

function sameState(a, b) {
  if (a === b) return true;
  if (a.rows !== b.rows || a.columns !== b.columns) return false;
  const [ours, theirs] = [settingsOf(a), settingsOf(b)];
  if (Object.keys(DEFAULT_SETTINGS).some((name) => ours[name] !== theirs[name])) return false;
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

/** The places whose code or weight is another in a second state of the grid, in reading order. */
function placesBetween(before, after) {
  const places = [];
  before.indices.forEach((code, place) => toolDiffers(before, after, place) && places.push(place));
  return places;
}

// --- clips ----------------------------------------------------------------------------------------------------------

/**
 * What lies in an area, as far as it is on the grid: { rows, columns, indices, weights }, plain lists.
 *
 * Of places that do not fill their rectangle, it has `mask` too: 1 for a cell of the area, 0 for one beside it.
 */
function copyClip(state, area) {
  const { top, left, bottom, right } = toolBox(area, state.columns);
  const [first, last] = [Math.max(0, top), Math.min(state.rows, bottom)];
  const [from, to] = [Math.max(0, left), Math.min(state.columns, right)];
  const places = rectanglePlaces({ top: first, left: from, bottom: last, right: to }, state.columns);
  const chosen = new Set(Array.isArray(area) ? area : places);
  return {
    rows: Math.max(0, last - first),
    columns: Math.max(0, to - from),
    indices: places.map((place) => state.indices[place]),
    weights: places.map((place) => state.weights[place]),
    ...(chosen.size < places.length && { mask: places.map((place) => Number(chosen.has(place))) }),
  };
}

/** A clip seen in a mirror: "horizontal" swaps left and right, "vertical" top and bottom. */
function flipClip(clip, axis) {
  const { rows, columns } = clip;
  return toolRearranged(clip, rows, columns, (row, column) =>
    axis === "horizontal" ? [row, columns - 1 - column] : [rows - 1 - row, column]);
}

/** A clip turned clockwise, by so many quarters of a turn. */
function rotateClip(clip, quarters = 1) {
  let turned = clip;
  for (let quarter = 0; quarter < quarters; quarter += 1) {
    const { rows, columns } = turned;
    turned = toolRearranged(turned, columns, rows, (row, column) => [rows - 1 - column, row]);
  }
  return turned;
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

/** The smallest rectangle that holds all places; null of none. */
function boundingBox(places, columns) {
  if (!places.length) return null;
  const box = { top: Infinity, left: columns, bottom: 0, right: 0 };
  for (const place of places) toolInclude(box, place, columns);
  return box;
}

/** Where a rectangle comes to lie, turned by quarters of a turn about its middle; four of them lead back exactly. */
function rotatedBox({ top, left, bottom, right }, quarters) {
  const [height, width] = [bottom - top, right - left];
  if (quarters % 2 === 0) return { top, left, bottom, right };
  const corner = [top + Math.trunc((height - width) / 2), left + Math.trunc((width - height) / 2)];
  return { top: corner[0], left: corner[1], bottom: corner[0] + width, right: corner[1] + height };
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
  for (const [place, from] of toolPastedPlaces(row, column, clip, next)) toolCopyCell(next, place, clip, from);
}

/** [place, cell of the clip] for each cell of a clip that comes to lie on the grid. */
function toolPastedPlaces(row, column, clip, { rows, columns }) {
  const pairs = [];
  for (let from = 0; from < clip.rows * clip.columns; from += 1) {
    const [y, x] = [row + Math.floor(from / clip.columns), column + (from % clip.columns)];
    const inside = y >= 0 && x >= 0 && y < rows && x < columns;
    if (inside && (!clip.mask || clip.mask[from])) pairs.push([y * columns + x, from]);
  }
  return pairs;
}

/** Take what lies in an area off the grid and leave a code behind; returns it as a clip. */
function toolLift(next, area, code, state) {
  toolEach(Array.isArray(area) ? area : rectanglePlaces(area, state.columns), (place) => {
    next.indices[place] = code;
    next.weights[place] = UNPAINTED;
  });
  return copyClip(state, area);
}

/** A clip of another shape whose cell at (row, column) is that of `source(row, column)` in the given one. */
function toolRearranged(clip, rows, columns, source) {
  const order = Array.from({ length: rows * columns }, (_, cell) => {
    const [row, column] = source(Math.floor(cell / columns), cell % columns);
    return row * clip.columns + column;
  });
  const { indices, weights, mask } = clip;
  const ordered = (values) => order.map((cell) => values[cell]);
  return { rows, columns, indices: ordered(indices), weights: ordered(weights), ...(mask && { mask: ordered(mask) }) };
}

/** The rectangle of an area; an empty one of no places. */
function toolBox(area, columns) {
  if (!Array.isArray(area)) return area;
  return boundingBox(area, columns) ?? { top: 0, left: 0, bottom: 0, right: 0 };
}

/** Grow a rectangle so that it holds a place. */
function toolInclude(box, place, columns) {
  const [row, column] = [Math.floor(place / columns), place % columns];
  box.top = Math.min(box.top, row);
  box.left = Math.min(box.left, column);
  box.bottom = Math.max(box.bottom, row + 1);
  box.right = Math.max(box.right, column + 1);
}

function toolDiffers(before, after, place) {
  return before.indices[place] !== after.indices[place] || before.weights[place] !== after.weights[place];
}

/** How many cells differ, and the smallest rectangle around them; in one pass, as every step needs it. */
function toolDifference(before, after) {
  const box = { top: Infinity, left: before.columns, bottom: 0, right: 0 };
  let count = 0;
  for (let place = 0; place < before.indices.length; place += 1) {
    if (!toolDiffers(before, after, place)) continue;
    count += 1;
    toolInclude(box, place, before.columns);
  }
  return { count, box: count ? box : null };
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

/** The settings that a value names, and nothing else of it. */
function toolSettings(value) {
  return Object.fromEntries(Object.keys(DEFAULT_SETTINGS)
    .filter((name) => value[name] !== undefined).map((name) => [name, value[name]]));
}

// --- words ----------------------------------------------------------------------------------------------------------

/** [name, value] of each setting that a value names, in words. */
function toolSettingNames({ rule, blend, uses_embedding }) {
  const named = [["rule", rule], ["blend", blend === undefined ? undefined : toolPercent(Math.round(100 * blend))]];
  if (uses_embedding !== undefined) named.push(["embedding", uses_embedding ? "on" : "off"]);
  return named.filter(([, value]) => value !== undefined);
}

function toolCount(number) {
  return number.toLocaleString("en-US");
}

function toolPercent(number) {
  return `${number} %`.replace("-", "−");
}

function toolCells(count) {
  return `${toolCount(count)} ${count === 1 ? "cell" : "cells"}`;
}

function toolSize(rows, columns) {
  return `${toolCount(rows)} × ${toolCount(columns)} cells`;
}

/** How large an area is: rows by columns where it is a rectangle, else how many cells. */
function toolExtent(area, columns) {
  const { top, left, bottom, right } = toolBox(area, columns);
  const [rows, across] = [bottom - top, right - left];
  const count = Array.isArray(area) ? new Set(area).size : rows * across;
  return count === rows * across ? toolSize(rows, across) : toolCells(count);
}

function toolClipExtent({ rows, columns, mask }) {
  const count = mask ? mask.filter(Boolean).length : rows * columns;
  return count === rows * columns ? toolSize(rows, columns) : toolCells(count);
}

function toolAlready(count, what) {
  if (count === 0) return TOOL_NO_CELL;
  return count === 1 ? `The cell already has ${what}.` : `The cells already have ${what}.`;
}

// --- checks ---------------------------------------------------------------------------------------------------------

function toolWhole(value, low, high) {
  return Number.isInteger(value) && value >= low && value <= high;
}

/** A check that passes what is left out, too. */
function toolOptional(fits) {
  return (value, grid, operation) => value === undefined || fits(value, grid, operation);
}

function toolFlag(value) {
  return typeof value === "boolean";
}

function toolRule(value) {
  return TOOL_RULES.includes(value);
}

/** How much of the embedding is blended in, as a fraction. */
function toolLevel(value) {
  return Number.isFinite(value) && value >= -0.5 && value <= 1.5;
}

function toolSaysSettings(operation) {
  return Object.keys(toolSettings(operation)).length > 0;
}

function toolPaintedBy(value) {
  return typeof value === "string" && Object.hasOwn(TOOL_PAINTED_BY, value);
}

function toolAxis(value) {
  return typeof value === "string" && Object.hasOwn(TOOL_FLIPS, value);
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

function toolArea(value, grid) {
  return Array.isArray(value) ? value.length > 0 && toolPlaces(value, grid) : toolRectangle(value, grid);
}

/** A clip may be larger than the grid, as it can come from another picture; its lists tell how large. */
function toolClip(value, grid) {
  if (!value || !toolWhole(value.rows, 1, 2 ** 16) || !toolWhole(value.columns, 1, 2 ** 16)) return false;
  const cells = value.rows * value.columns;
  const { indices, weights, mask } = value;
  const masked = mask === undefined || toolListOf(mask, cells, (flag) => [0, 1, false, true].includes(flag));
  return masked && toolListOf(indices, cells, (code) => toolCode(code, grid)) && toolListOf(weights, cells, toolWeight);
}
