// What there is to choose from: tools, layers, marks and palettes, with their words.

/** Name, key, icon, and what it does. */
const TOOL_LIST = [
  ["brush", "B", "brush", "Brush: paint with the chosen code"],
  ["rectangle", "R", "rectangle", "Rectangle: drag to fill one with the chosen code"],
  ["fill", "F", "format_color_fill", "Fill: neighbouring cells of the same code"],
  ["replace", "X", "find_replace", "Replace: every cell of the code you press on"],
  ["pick", "I", "colorize", "Eyedropper: take the code you press on (Alt with any tool)"],
  ["select", "S", "select", "Select: drag a rectangle; drag it to move it"],
  ["erase", "E", "ink_eraser", "Erase: back to the encoder's own code"],
  ["runner-up", "U", "swap_horiz", "Runner-up: the code that came second there, and back"],
  ["blend", "W", "opacity", "Blend brush: how much of the embedding is blended in, cell by cell"],
];
const TOOLS_OF_INPUTS = ["select", "erase", "blend"]; // where only the embedding is painted with
const STROKES = ["brush", "erase", "runner-up", "blend"];
const LAYERS = [
  ["decoded", "Decoded", "What the decoder makes of your grid", "1"],
  ["original", "Original", "The picture as it is; hold O to see it for a moment", "2"],
  ["codes", "Codes", "Every cell as what its code decodes to, alone", "3"],
  ["changes", "Changes", "Where your picture differs from the unedited reconstruction", "4"],
];
const OVERLAYS = [
  ["none", "Nothing marked"],
  ["margin", "Margin: fragile cells"],
  ["influence", "Influence of the cell"],
  ["cycle", "Cycle check"],
  ["blend", "Blend of each cell"],
];
const PALETTES = [
  ["picture", "Picture", "The codes of this grid, most used first"],
  ["near", "Similar", "The codes nearest to the chosen one"],
  ["alternatives", "Here", "What the picture would look like at the cell, with the codes nearest to its embedding"],
  ["plausible", "Plausible", "Codes that fit the cell's four neighbours, by how often codes stand side by side"],
  ["map", "Map", "The map of codes: click a place"],
  ["starred", "Starred", "The codes that you starred on the Codebook page"],
];
/** What can be done with the selected cells: name, label, tip, and whether the Inputs page has it. */
const SELECTION_ACTIONS = [
  ["copy", "Copy", "Ctrl+C", false],
  ["cut", "Cut", "Ctrl+X: leaves the chosen code", false],
  ["paste", "Paste", "Ctrl+V: at the cell that is outlined", false],
  ["fill", "Fill", "With the chosen code", false],
  ["shuffle", "Shuffle", "Mix the cells up (H)", false],
  ["runner-up", "Runner-up", "Each cell takes its second choice", false],
  ["blend", "Blend", "Blend as the slider here says", true],
  ["erase", "Erase", "Back to the encoder's codes (Delete)", true],
];

const icon = (name) => `<span class="icon" aria-hidden="true">${name}</span>`;
