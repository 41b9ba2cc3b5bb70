// The tiles of the codes, as the editor shows them.

/** The tiles of many codes in one picture: a hundred small canvases would be as many layers to draw. */
class Atlas {
  constructor(root) {
    this.root = root; // where the picture is kept as a CSS variable
    this.canvas = document.createElement("canvas");
    this.slots = new Map(); // code -> number of its place, row by row
    this.rows = 0;
  }

  /** Take in the tiles of some codes, [N, height, width, 3] bytes. */
  add(codes, { shape: [, height, width], values }) {
    this.side = width;
    for (const code of codes) if (!this.slots.has(code)) this.slots.set(code, this.slots.size);
    this.grow(Math.ceil(this.slots.size / ATLAS_COLUMNS));
    const brush = this.canvas.getContext("2d", { willReadFrequently: true });
    const size = 3 * height * width;
    codes.forEach((code, number) => {
      const [x, y] = this.corner(code);
      brush.putImageData(toImage([height, width], values.subarray(number * size, (number + 1) * size)), x, y);
    });
    this.root.style.setProperty("--atlas", `url(${this.canvas.toDataURL()})`);
  }

  grow(rows) {
    if (rows <= this.rows) return;
    const before = this.canvas;
    this.rows = Math.max(rows, 2 * this.rows);
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [ATLAS_COLUMNS * this.side, this.rows * this.side];
    if (before.width && before.height) this.canvas.getContext("2d", { willReadFrequently: true }).drawImage(before, 0, 0);
  }

  has(code) {
    return this.slots.has(code);
  }

  corner(code) {
    const slot = this.slots.get(code);
    return [(slot % ATLAS_COLUMNS) * this.side, Math.floor(slot / ATLAS_COLUMNS) * this.side];
  }

  /** Draw a code's tile into a context. */
  draw(brush, code, x, y, side) {
    if (this.has(code)) brush.drawImage(this.canvas, ...this.corner(code), this.side, this.side, x, y, side, side);
  }

  /** Make a code's tile the background of an element. */
  show(element, code) {
    if (!this.has(code)) return;
    const slot = this.slots.get(code);
    const [column, row] = [slot % ATLAS_COLUMNS, Math.floor(slot / ATLAS_COLUMNS)];
    element.style.backgroundSize = `${100 * ATLAS_COLUMNS}% ${100 * this.rows}%`;
    element.style.backgroundPosition =
      `${(100 * column) / (ATLAS_COLUMNS - 1)}% ${(100 * row) / Math.max(1, this.rows - 1)}%`;
  }

  colour(code) {
    const [red, green, blue] = this.canvas.getContext("2d", { willReadFrequently: true }).getImageData(
      ...this.corner(code).map((place) => place + (this.side >> 1)), 1, 1).data;
    return `rgb(${red}, ${green}, ${blue})`;
  }
}

const ATLAS_COLUMNS = 32;
