// What is selected in the editor: a list of places, in reading order, each once; nothing selected is an empty list.
//
// Pure functions on plain data, as in tools.js, whose words for rows, columns, places and rectangles these are.

// --- how selections are made ----------------------------------------------------------------------------------------

/** How a new selection meets the old one, from the keys that are held: Alt takes away, Shift adds. */
function selectionMode({ altKey, shiftKey }) {
  if (altKey) return "subtract";
  return shiftKey ? "add" : "replace";
}

/** A selection after some places, in any order, were selected in a mode. */
function combineSelections(selection, places, mode) {
  const chosen = new Set(places);
  if (mode === "subtract") return selection.filter((place) => !chosen.has(place));
  return selectionSorted(mode === "add" ? [...selection, ...places] : places);
}

/**
 * The places whose middle is inside a polygon, by the even-odd rule.
 *
 * points: [row, column] in cells, as fractions: the cell [0, 0] reaches from [0, 0] to [1, 1]; they may be off the
 * grid. A middle right on an edge belongs to one side only, so that polygons that meet there share no place.
 */
function lassoPlaces(points, rows, columns) {
  const places = [];
  for (let row = 0; row < rows; row += 1) {
    const crossings = selectionCrossings(points, row + 0.5);
    for (let pair = 0; pair < crossings.length; pair += 2) {
      const first = Math.max(0, Math.ceil(crossings[pair] - 0.5));
      const end = Math.min(columns, Math.ceil(crossings[pair + 1] - 0.5));
      for (let column = first; column < end; column += 1) places.push(row * columns + column);
    }
  }
  return places;
}

/** The places that have the code of one: joined to it, side by side, or all of the grid. */
function wandPlaces(state, place, contiguous) {
  if (contiguous) return selectionSorted(toolFlood(state, place));
  const places = [];
  state.indices.forEach((code, other) => code === state.indices[place] && places.push(other));
  return places;
}

// --- how they move --------------------------------------------------------------------------------------------------

/** A selection so many cells further down and right; what leaves the grid is lost. */
function movePlaces(places, down, right, rows, columns) {
  return selectionMapped(places, rows, columns, (row, column) => [row + down, column + right]);
}

/** Where the cells of a selection come to lie when it is flipped: "horizontal" swaps left and right. */
function flipPlaces(places, axis, columns) {
  const box = boundingBox(places, columns);
  return selectionMapped(places, Infinity, columns, (row, column) =>
    axis === "horizontal" ? [row, box.left + box.right - 1 - column] : [box.top + box.bottom - 1 - row, column]);
}

/** Where they come to lie when it is rotated clockwise, by quarters of a turn; what leaves the grid is lost. */
function rotatePlaces(places, quarters, rows, columns) {
  const box = boundingBox(places, columns);
  if (!box) return [];
  const { top, left, bottom, right } = rotatedBox(box, quarters);
  const turned = {
    1: (row, column) => [top + column - box.left, right - 1 - (row - box.top)],
    2: (row, column) => [bottom - 1 - (row - box.top), right - 1 - (column - box.left)],
    3: (row, column) => [bottom - 1 - (column - box.left), left + row - box.top],
  }[quarters];
  return selectionMapped(places, rows, columns, turned);
}

// --- how they are drawn ---------------------------------------------------------------------------------------------

/**
 * The line around a selection, holes too: segments [row, column, row, column] along the borders of cells, from one
 * corner to another, each as long as it can be; cell [0, 0] has the corners [0, 0] and [1, 1].
 */
function outlineEdges(places, columns) {
  const box = boundingBox(places, columns);
  if (!box) return [];
  const chosen = new Set(places);
  const inside = (row, column) => column >= 0 && column < columns && chosen.has(row * columns + column);
  const edges = [];
  for (let row = box.top; row <= box.bottom; row += 1) {
    const parts = (column) => inside(row - 1, column) !== inside(row, column);
    for (const [from, to] of selectionRuns(box.left, box.right, parts)) edges.push([row, from, row, to]);
  }
  for (let column = box.left; column <= box.right; column += 1) {
    const parts = (row) => inside(row, column - 1) !== inside(row, column);
    for (const [from, to] of selectionRuns(box.top, box.bottom, parts)) edges.push([from, column, to, column]);
  }
  return edges;
}

// --- what they are made of ------------------------------------------------------------------------------------------

function selectionSorted(places) {
  return [...new Set(places)].sort((a, b) => a - b);
}

/** The places that each cell goes to, as far as they are on the grid. */
function selectionMapped(places, rows, columns, target) {
  const cells = places.map((place) => target(Math.floor(place / columns), place % columns));
  const inside = cells.filter(([row, column]) => row >= 0 && column >= 0 && row < rows && column < columns);
  return selectionSorted(inside.map(([row, column]) => row * columns + column));
}

/** Where a horizontal line at y crosses a polygon, from left to right; an even number of times. */
function selectionCrossings(points, y) {
  const crossings = [];
  points.forEach((point, number) => {
    const following = points[(number + 1) % points.length];
    if (point[0] > y === following[0] > y) return;
    const [upper, lower] = point[0] > y ? [following, point] : [point, following]; // one order, either way round
    crossings.push(upper[1] + ((y - upper[0]) / (lower[0] - upper[0])) * (lower[1] - upper[1]));
  });
  return crossings.sort((a, b) => a - b);
}

/** [from, to] for each run of numbers that a test holds for, from `low` to below `high`; `to` is not included. */
function selectionRuns(low, high, holds) {
  const runs = [];
  for (let number = low; number < high; number += 1) {
    if (!holds(number)) continue;
    if (runs.at(-1)?.[1] === number) runs.at(-1)[1] += 1;
    else runs.push([number, number + 1]);
  }
  return runs;
}
