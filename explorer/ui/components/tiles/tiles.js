// Rows of small pictures on one <canvas>: thousands of tiles cost one drawing.

const walls = new WeakMap();
const GAP = 2;
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
  return () => wall.resizes.disconnect();
}

class Wall {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "wall";
    this.holder.innerHTML =
      '<div class="rows" tabindex="0" role="listbox"><canvas></canvas><span class="current" role="option" id="current"></span></div>' +
      '<p class="readout" hidden></p>';
    root.appendChild(this.holder);
    this.rows = this.holder.querySelector(".rows");
    this.canvas = this.holder.querySelector("canvas");
    this.readout = this.holder.querySelector(".readout");
    this.current = this.holder.querySelector(".current"); // what the keyboard is at, for those who cannot see the canvas
    this.hover = null;
    this.cursor = null; // the tile that the keyboard is at
    this.asked = null; // the id that was picked last, until it is answered
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
    this.count = message.tiles.shape[0];
    if (message.selected === this.asked || performance.now() - this.askedAt > PATIENCE) this.asked = null;
    const place = message.ids.indexOf(this.asked ?? message.selected); // an answer to the last pick but one comes late
    this.selected = place < 0 ? null : place;
    if (this.selected !== null || this.cursor >= this.count) this.cursor = this.selected;
    this.atlas = new Atlas();
    this.atlas.add(Array.from({ length: this.count }, (_, number) => number), message.tiles);
    this.rows.setAttribute("aria-label", message.label);
    this.rows.style.maxHeight = message.height ? `${message.height}px` : "";
    this.resizes.observe(this.rows);
    this.draw();
    this.reveal();
  }

  /** Whether one of the tiles is open: then another that is picked is the open one from then on. */
  get opens() {
    return this.message.ids.includes(this.message.selected);
  }

  get pitch() {
    return this.message.side + GAP;
  }

  get rowHeight() {
    return this.pitch + (this.message.captions ? CAPTION : 0);
  }

  get columns() {
    return Math.max(1, Math.floor((this.rows.clientWidth + GAP) / this.pitch));
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
    [this.asked, this.askedAt] = [this.message.ids[number], performance.now()];
    if (!this.opens) this.asked = null;
    this.setTriggerValue("picked", this.message.ids[number]);
  }

  /** Arrows go from tile to tile, Enter picks one; where one of the tiles is open, the arrows open the next one. */
  press(event) {
    const next = event.key === "Enter" || event.key === " " ? this.cursor : this.reached(event.key);
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (next === null || next < 0 || next >= this.count) return;
    const picks = this.opens || next === this.cursor;
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
    const { side, titles, captions, frame, scaling, faint } = this.message;
    const ratio = window.devicePixelRatio || 1;
    const width = this.rows.clientWidth;
    const height = Math.ceil(this.count / this.columns) * this.rowHeight;
    Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const brush = this.canvas.getContext("2d");
    brush.scale(ratio, ratio);
    brush.imageSmoothingEnabled = scaling === "smooth";
    brush.imageSmoothingQuality = "high";
    const styles = getComputedStyle(this.holder);
    brush.font = `400 11px ${styles.fontFamily}`;
    brush.textBaseline = "top";
    for (let number = 0; number < this.count; number += 1) {
      const [x, y] = this.placeOf(number);
      brush.globalAlpha = faint.values[number] ? 0.4 : 1;
      this.atlas.draw(brush, number, x, y, side);
      brush.globalAlpha = 1;
      if (faint.values[number]) strike(brush, x, y, side);
      if (frame) frameTile(brush, x + frame[1] * side, y + frame[0] * side, frame[3] * side, frame[2] * side);
      if (captions) {
        brush.fillStyle = styles.color;
        brush.globalAlpha = 0.7;
        brush.fillText(captions[number], x + 1, y + side + 3, side);
        brush.globalAlpha = 1;
      }
    }
    const chosen = styles.getPropertyValue("--st-primary-color").trim();
    if (this.selected !== null) outlineTile(brush, ...this.placeOf(this.selected), side, chosen, "#fff");
    const keyed = this.rows.matches(":focus-visible") && this.cursor !== this.selected;
    if (keyed && this.cursor !== null) outlineTile(brush, ...this.placeOf(this.cursor), side, "#fff");
    if (this.hover !== null) outlineTile(brush, ...this.placeOf(this.hover), side, "#fff");
    this.describe(titles);
    this.tell(titles);
    this.holder.dataset.drawn = this.count;
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
function outlineTile(brush, x, y, side, colour, around = "rgba(0, 0, 0, 0.7)") {
  brush.lineWidth = 4;
  brush.strokeStyle = around;
  brush.strokeRect(x + 1, y + 1, side - 2, side - 2);
  brush.lineWidth = 2;
  brush.strokeStyle = colour;
  brush.strokeRect(x + 1, y + 1, side - 2, side - 2);
}
