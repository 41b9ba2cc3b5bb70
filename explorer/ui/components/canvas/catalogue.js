// What there is to choose from: tools, layers, marks and palettes, with their words.

/** `does` completes the label; `hint` says what to do with the tool in hand, and after a semicolon, with keys. */
const TOOL_LIST = [
  {
    name: "brush", key: "B", glyph: "brush", label: "Brush",
    does: "paint with the chosen code",
    hint: "Press and drag to paint with the chosen code; Shift+click draws a line from where you left off.",
  },
  {
    name: "rectangle", key: "R", glyph: "rectangle", label: "Rectangle",
    does: "drag to fill one with the chosen code",
    hint: "Drag over the cells that are to have the chosen code.",
  },
  {
    name: "fill", key: "F", glyph: "format_color_fill", label: "Fill",
    does: "neighbouring cells of the same code",
    hint: "Press on a cell: it and the neighbours of its code take the chosen code.",
  },
  {
    name: "replace", key: "Shift+X", glyph: "find_replace", label: "Replace",
    does: "every cell of the code you press on",
    hint: "Press on a code: every cell that has it takes the chosen one.",
  },
  {
    name: "pick", key: "I", glyph: "colorize", label: "Eyedropper",
    does: "take the code you press on (Alt with any brush)",
    hint: "Press on a cell to take its code.",
  },
  {
    name: "select", key: "S", glyph: "select", label: "Select",
    does: "drag a rectangle; drag it to move it",
    hint: "Drag to select, and drag what is selected to move it; Shift adds, Alt takes away, arrow keys move.",
  },
  {
    name: "lasso", key: "L", glyph: "lasso_select", label: "Lasso",
    does: "draw around the cells to select",
    hint: "Draw around cells to select them; Shift adds, Alt takes away.",
  },
  {
    name: "wand", key: "M", glyph: "wand_stars", label: "Wand",
    does: "select the cells of the code you press on",
    hint: "Press on a cell to select those of its code; Shift adds, Alt takes away.",
  },
  {
    name: "erase", key: "E", glyph: "ink_eraser", label: "Erase",
    does: "back to the encoder's own code",
    hint: "Press and drag: the cells take back the encoder's own code.",
  },
  {
    name: "runner-up", key: "U", glyph: "swap_horiz", label: "Runner-up",
    does: "the code that came second there, and back",
    hint: "Press on a cell for the code that came second there, and again for the first.",
  },
  {
    name: "blend", key: "W", glyph: "opacity", label: "Blend brush",
    does: "how much of the embedding is blended in, cell by cell",
    hint: "Press and drag: the cells get as much of the embedding as the slider says.",
  },
];
const TOOLS_OF_INPUTS = ["select", "lasso", "wand", "erase", "blend"]; // where only the embedding is painted with
const STROKES = ["brush", "erase", "runner-up", "blend"];
const SELECTING = ["select", "lasso", "wand"];
const LAYERS = [
  ["decoded", "Decoded", "What the decoder makes of your grid", "1"],
  ["original", "Original", "The picture as it is; hold O to see it for a moment", "2"],
  ["codes", "Codes", "Every cell as what its code decodes to, alone", "3"],
  ["changes", "Changes", "Where your picture differs from the unedited reconstruction", "4"],
];
const COMPARISONS = [
  ["", "No comparison"],
  ["unedited", "Unedited | now"],
  ["original", "Original | now"],
];
const OVERLAYS = [
  ["none", "Nothing marked"],
  ["margin", "Margin: fragile cells"],
  ["neighbours", "Neighbours: odd cells"],
  ["influence", "Influence of the cell"],
  ["cycle", "Cycle check"],
  ["blend", "Blend of each cell"],
];
const PALETTES = [
  ["picture", "Picture", "The codes of this grid, most used first"],
  ["near", "Similar", "The codes nearest to the chosen one"],
  ["alternatives", "Here", "What the picture would look like at the cell, with the codes nearest to its embedding"],
  ["plausible", "Plausible", "Codes that fit the cell's four neighbours, by how often codes stand side by side"],
  ["look", "Look", "Codes that look like a colour, or like a patch of any picture"],
  ["map", "Map", "The map of codes: click a place"],
  ["starred", "Starred", "The codes that you starred on the Codebook page"],
];
/** What can be done with the selected cells: name, label, tip, and whether the Inputs page has it. */
const SELECTION_ACTIONS = [
  ["copy", "Copy", "Ctrl+C", false],
  ["cut", "Cut", "Ctrl+X: leaves the chosen code", false],
  ["paste", "Paste", "Ctrl+V; then click where it belongs, or Enter", false],
  ["fill", "Fill", "With the chosen code", false],
  ["shuffle", "Shuffle", "Mix the cells up (H)", false],
  ["flip-across", "Flip ↔", "Left and right change places (Shift+H)", false],
  ["flip-down", "Flip ↕", "Top and bottom change places (Shift+V)", false],
  ["rotate", "Rotate", "By a quarter of a turn, clockwise (Shift+R)", false],
  ["runner-up", "Runner-up", "Each cell takes its second choice", false],
  ["blend", "Blend", "Blend as the slider here says", true],
  ["erase", "Erase", "Back to the encoder's codes (Delete)", true],
];
/** The scale of each heat map: the words at its ends, or one word for each kind. */
const SCALES = {
  changes: { ends: ["0", `${ERROR_FULL}+ levels`] },
  margin: { ends: ["safe", "a tie"] },
  influence: { ends: ["0", "most"] },
  blend: { ends: ["0 %", "100 %"] },
  cycle: { chips: ["came back", "smoothed away", "changed by itself"] },
};
/** By what a cell's mark is: came back, smoothed away, changed because of the edit, changes without it, too. */
const CYCLE_COLOURS = ["", "#5fd649", "#ff4d38", "#f2b134", "#9aa0a3"];

const icon = (name) => `<span class="icon" aria-hidden="true">${name}</span>`;
const options = (list) => list.map(([value, label]) => `<option value="${value}">${label}</option>`).join("");
