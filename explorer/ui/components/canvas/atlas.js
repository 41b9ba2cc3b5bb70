// Many small pictures in one: the tiles of the codes as the editor shows them, and the rows of tiles elsewhere.

/** Tiles by number, in one picture: a hundred small canvases would be as many layers to draw. */
class Atlas {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.slots = new Map(); // code -> number of its place, row by row
    this.rows = 0;
    this.columns = 0;
  }

  /** Take in the tiles of some codes, [N, height, width, 3] bytes. */
  add(codes, { shape: [, height, width], values }) {
    if (!this.columns) {
      Object.assign(this, { height, width });
      this.columns = clamp(Math.ceil(Math.sqrt(codes.length)), ATLAS_COLUMNS, Math.max(1, Math.floor(ATLAS_WIDTH / width)));
    }
    for (const code of codes) if (!this.slots.has(code)) this.slots.set(code, this.slots.size);
    this.grow(Math.ceil(this.slots.size / this.columns));
    const brush = this.canvas.getContext("2d", { willReadFrequently: true });
    const size = 3 * height * width;
    codes.forEach((code, number) => {
      const [x, y] = this.corner(code);
      brush.putImageData(toImage([height, width], values.subarray(number * size, (number + 1) * size)), x, y);
    });
  }

  grow(rows) {
    if (rows <= this.rows) return;
    const before = this.canvas;
    this.rows = this.rows ? Math.max(rows, 2 * this.rows) : rows;
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [this.columns * this.width, this.rows * this.height];
    if (before.width && before.height) this.canvas.getContext("2d", { willReadFrequently: true }).drawImage(before, 0, 0);
  }

  has(code) {
    return this.slots.has(code);
  }

  corner(code) {
    const slot = this.slots.get(code);
    return [(slot % this.columns) * this.width, Math.floor(slot / this.columns) * this.height];
  }

  /** Draw a code's tile into a context. */
  draw(brush, code, x, y, width, height = width) {
    if (this.has(code)) brush.drawImage(this.canvas, ...this.corner(code), this.width, this.height, x, y, width, height);
  }

  /** As a URL, for `show`: the element that holds those that show a tile has it as --atlas. */
  url() {
    return `url(${this.canvas.toDataURL()})`;
  }

  /** Make a code's tile the background of an element. */
  show(element, code) {
    if (!this.has(code)) return;
    const slot = this.slots.get(code);
    const [column, row] = [slot % this.columns, Math.floor(slot / this.columns)];
    element.style.backgroundSize = `${100 * this.columns}% ${100 * this.rows}%`;
    element.style.backgroundPosition =
      `${(100 * column) / Math.max(1, this.columns - 1)}% ${(100 * row) / Math.max(1, this.rows - 1)}%`;
  }

  colour(code) {
    const [x, y] = this.corner(code);
    const [red, green, blue] = this.canvas.getContext("2d", { willReadFrequently: true })
      .getImageData(x + (this.width >> 1), y + (this.height >> 1), 1, 1).data;
    return `rgb(${red}, ${green}, ${blue})`;
  }
}

const ATLAS_COLUMNS = 32; // or more, for many tiles: a picture can be only so high
const ATLAS_WIDTH = 4096; // pixels
