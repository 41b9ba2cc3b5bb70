// Rows of small pictures on one <canvas>: thousands of tiles cost one drawing.

const walls = new WeakMap();
const GAP = 2;
const WIDE_GAP = 10; // between tiles of two halves, so that one sees which halves belong together
const CAPTION = 16;
const PATIENCE = 5000; // ms until a pick that was not answered is given up

export default function ({ parentElement, data, setTriggerValue }) {
  let wall = walls.get(parentElement);
  if (!wall) {
    wall = new Wall(parentElement);
    walls.set(parentElement, wall);
  }
  wall.setTriggerValue = setTriggerValue;
  wall.receive(unpack(data));
  const { opens } = wall.message;
  if (opens) wall.setTriggerValue = (_, code) => pickCode(code);
  const deaf = opens ? onOpened((code) => wall.mark(code)) : () => {};
  return () => {
    deaf();
    wall.resizes.disconnect();
  };
}

class Wall {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "wall";
    this.holder.innerHTML =
      '<div class="rows" tabindex="0" role="listbox"><canvas></canvas><span class="current" role="option" id="current"></span></div>' +
      '<p class="readout" hidden></p>';
    root.appendChild(this.holder);
    this.holder.figures = { "": () => this.onPaper() };
    this.rows = this.holder.querySelector(".rows");
    this.canvas = this.holder.querySelector("canvas");
    this.readout = this.holder.querySelector(".readout");
    this.current = this.holder.querySelector(".current"); // what the keyboard is at, for those who cannot see the canvas
    this.hover = null;
    this.cursor = null; // the tile that the keyboard is at
    this.asked = null; // the id that was picked last, until it is answered
    this.askedAt = 0;
    this.resizes = new ResizeObserver(() => this.draw());
    this.canvas.addEventListener("pointermove", (event) => this.point(this.tileAt(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("click", (event) => this.pick(this.tileAt(event)));
    this.rows.addEventListener("keydown", (event) => this.press(event));
    this.rows.addEventListener("focus", () => this.draw());
    this.rows.addEventListener("blur", () => this.draw());
  }

  receive(message) {
    this.message = message;
    if (message.opens) message.selected = openedCode();
    this.count = message.tiles.shape[0];
    this.select(message.ids.indexOf(this.awaits(message.selected) ? this.asked : message.selected));
    this.atlas = new Atlas();
    this.atlas.add(Array.from({ length: this.count }, (_, number) => number), message.tiles);
    this.rows.setAttribute("aria-label", message.label);
    this.rows.style.maxHeight = message.height ? `${message.height}px` : "";
    this.resizes.observe(this.rows);
    this.draw();
    this.reveal();
  }

  /** Outline the code that was opened, wherever that was done. */
  mark(code) {
    if (this.awaits(code) || code === this.message.selected) return;
    this.message.selected = code;
    this.select(this.message.ids.indexOf(code));
    this.draw();
    this.reveal();
  }

  /** Whether a pick is not answered yet: what is opened meanwhile is the late answer to the last but one. */
  awaits(code) {
    if (code === this.asked || performance.now() - this.askedAt > PATIENCE) this.asked = null;
    return this.asked !== null;
  }

  /** Outline the tile at a place, none where that is negative; the keyboard goes on from there. */
  select(place) {
    this.selected = place < 0 ? null : place;
    if (this.selected !== null || this.cursor >= this.count) this.cursor = this.selected;
  }

  /** Whether one of the tiles is open: then another that is picked is the open one from then on. */
  get oneIsOpen() {
    return this.message.ids.includes(this.message.selected);
  }

  /** Of a tile; one of two halves has a gap between them. */
  get width() {
    const { side, halves } = this.message;
    return halves ? 2 * side + GAP : side;
  }

  get gap() {
    return this.message.halves ? WIDE_GAP : GAP;
  }

  get pitch() {
    return this.width + this.gap;
  }

  get rowHeight() {
    return this.message.side + this.gap + (this.message.captions ? CAPTION : 0);
  }

  get columns() {
    return Math.max(1, Math.floor((this.rows.clientWidth + this.gap) / this.pitch));
  }

  placeOf(number) {
    return [(number % this.columns) * this.pitch, Math.floor(number / this.columns) * this.rowHeight];
  }

  tileAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.pitch);
    const number = Math.floor((event.clientY - box.top) / this.rowHeight) * this.columns + column;
    return column >= 0 && column < this.columns && number >= 0 && number < this.count ? number : null;
  }

  point(number) {
    if (number === this.hover) return;
    this.hover = number;
    this.draw();
  }

  /** The title of the tile that is pointed at, or that the keyboard is at, in a chip beside it. */
  describe(titles) {
    const told = this.hover ?? (this.rows.matches(":focus-visible") ? this.cursor : null);
    this.readout.hidden = told === null;
    if (told === null) return;
    this.readout.textContent = titles[told];
    const [x, y] = this.placeOf(told);
    const right = x > this.rows.clientWidth / 2;
    this.readout.style.left = right ? "" : `${x}px`;
    this.readout.style.right = right ? `${this.rows.clientWidth - x - this.pitch}px` : "";
    this.readout.style.top = `${y - this.rows.scrollTop + this.rowHeight + 3}px`;
  }

  /** Say what the keyboard is at. */
  tell(titles) {
    const { cursor, current, rows } = this;
    current.hidden = cursor === null;
    if (cursor === null) return rows.removeAttribute("aria-activedescendant");
    rows.setAttribute("aria-activedescendant", "current");
    current.textContent = titles[cursor];
    const told = { selected: cursor === this.selected, posinset: cursor + 1, setsize: this.count };
    for (const [name, value] of Object.entries(told)) current.setAttribute(`aria-${name}`, value);
  }

  pick(number) {
    if (number === null) return;
    this.selected = this.cursor = number;
    this.draw();
    const id = this.message.ids[number];
    this.asked = null;
    this.setTriggerValue("picked", id);
    if (this.oneIsOpen) [this.asked, this.askedAt] = [id, performance.now()];
  }

  /** Arrows go from tile to tile, Enter picks one; where one of the tiles is open, the arrows open the next one. */
  press(event) {
    const next = event.key === "Enter" || event.key === " " ? this.cursor : this.reached(event.key);
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (next === null || next < 0 || next >= this.count) return;
    const picks = this.oneIsOpen || next === this.cursor;
    this.cursor = next;
    if (picks) this.pick(next);
    else this.draw();
    this.reveal();
  }

  /** The tile that a key leads to; undefined for a key that is not ours. */
  reached(key) {
    const page = this.columns * Math.max(1, Math.floor(this.rows.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page };
    if (key === "Home") return 0;
    if (key === "End") return this.count - 1;
    if (!(key in steps)) return undefined;
    if (this.cursor === null) return 0;
    const next = this.cursor + steps[key];
    return key.startsWith("Page") ? clamp(next, 0, this.count - 1) : next;
  }

  /** Scroll the tile that the keyboard is at into sight, within the rows alone. */
  reveal() {
    if (this.cursor === null || !this.message.height) return;
    const top = this.placeOf(this.cursor)[1];
    if (top < this.rows.scrollTop || top + this.rowHeight > this.rows.scrollTop + this.rows.clientHeight) {
      this.rows.scrollTop = top - this.rows.clientHeight / 2;
    }
  }

  draw() {
    if (!this.message || !this.rows.clientWidth) return;
    const { side, titles } = this.message;
    const ratio = window.devicePixelRatio || 1;
    const width = this.rows.clientWidth;
    const styles = getComputedStyle(this.holder);
    const brush = this.canvas.getContext("2d");
    const state = [this.message, width, ratio, styles.color];
    if (state.every((part, number) => part === this.drawnAs?.[number])) {
      // Thousands of tiles are not drawn again for one that is pointed at: those that were outlined are.
      for (const number of this.outlined) {
        const [x, y] = this.placeOf(number);
        brush.clearRect(x - 1, y - 1, this.width + 2, side + 2);
        this.drawTile(brush, number, styles);
      }
    } else {
      this.drawnAs = state;
      const height = Math.ceil(this.count / this.columns) * this.rowHeight;
      Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
      this.prepare(brush, ratio, styles.fontFamily);
      for (let number = 0; number < this.count; number += 1) this.drawTile(brush, number, styles);
    }
    this.outlined = [this.selected, this.hover, this.cursor].filter((number) => number !== null);
    const chosen = styles.getPropertyValue("--st-primary-color").trim();
    if (this.selected !== null) outlineTile(brush, ...this.placeOf(this.selected), this.width, side, chosen, "#fff");
    const keyed = this.rows.matches(":focus-visible") && this.cursor !== this.selected;
    if (keyed && this.cursor !== null) outlineTile(brush, ...this.placeOf(this.cursor), this.width, side, "#fff");
    if (this.hover !== null) outlineTile(brush, ...this.placeOf(this.hover), this.width, side, "#fff");
    this.describe(titles);
    this.tell(titles);
    this.holder.dataset.drawn = this.count;
  }

  /** All tiles, without what is pointed at or open: twice as large as here, or a little more, so that pixels are whole. */
  onPaper() {
    const { side, captions, tiles } = this.message;
    const pixels = tiles.shape[1];
    const ratio = (Math.ceil((2 * side) / pixels) * pixels) / side;
    const columns = Math.min(this.columns, this.count);
    const [width, height] = [columns * this.pitch, Math.ceil(this.count / this.columns) * this.rowHeight];
    const drawn = (said) => {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      const brush = canvas.getContext("2d");
      this.prepare(brush, ratio, FONT);
      for (let number = 0; number < this.count; number += 1) this.drawTile(brush, number, { color: INK }, said);
      brush.globalCompositeOperation = "destination-over";
      brush.fillStyle = PAPER;
      brush.fillRect(0, 0, width, height);
      return canvas;
    };
    const texts = (captions ?? []).map((caption, number) => {
      const [x, y] = this.placeOf(number);
      return `<text x="${x + 1}" y="${y + side + 12}" font-size="11">${escaped(caption)}</text>`;
    });
    return {
      canvas: () => drawn(captions),
      svg: () => onPaper(width, height, picture(drawn(null), 0, 0, width, height) + texts.join("")),
    };
  }

  prepare(brush, ratio, font) {
    brush.scale(ratio, ratio);
    brush.imageSmoothingEnabled = this.message.scaling === "smooth";
    brush.imageSmoothingQuality = "high";
    brush.font = `400 11px ${font}`;
    brush.textBaseline = "top";
  }

  drawTile(brush, number, styles, captions = this.message.captions) {
    const { side, frame, faint, halves } = this.message;
    const { width } = this;
    const [x, y] = this.placeOf(number);
    brush.globalAlpha = faint.values[number] ? 0.4 : 1;
    this.atlas.draw(brush, number, x, y, width, side);
    brush.globalAlpha = 1;
    if (halves) brush.clearRect(x + side, y, GAP, side);
    if (faint.values[number]) strike(brush, x, y, side);
    if (frame) frameTile(brush, x + frame[1] * side, y + frame[0] * side, frame[3] * side, frame[2] * side);
    if (captions) {
      brush.fillStyle = styles.color;
      brush.globalAlpha = 0.7;
      brush.clearRect(x - 1, y + side + 1, width + 2, CAPTION - 1);
      brush.fillText(captions[number], x + 1, y + side + 3, width);
      brush.globalAlpha = 1;
    }
  }
}

function strike(brush, x, y, side) {
  brush.strokeStyle = "rgba(128, 128, 128, 0.9)";
  brush.lineWidth = 1;
  brush.beginPath();
  brush.moveTo(x + 3, y + side - 3);
  brush.lineTo(x + side - 3, y + 3);
  brush.stroke();
}

function frameTile(brush, x, y, width, height) {
  brush.lineWidth = 2.5;
  brush.strokeStyle = "rgba(0, 0, 0, 0.55)";
  brush.strokeRect(x, y, width, height);
  brush.lineWidth = 1;
  brush.strokeStyle = "#fff";
  brush.strokeRect(x, y, width, height);
}

/** A frame on a tile, with another around it that sets it off from dark tiles or from light ones. */
function outlineTile(brush, x, y, width, height, colour, around = "rgba(0, 0, 0, 0.7)") {
  brush.lineWidth = 4;
  brush.strokeStyle = around;
  brush.strokeRect(x + 1, y + 1, width - 2, height - 2);
  brush.lineWidth = 2;
  brush.strokeStyle = colour;
  brush.strokeRect(x + 1, y + 1, width - 2, height - 2);
}
