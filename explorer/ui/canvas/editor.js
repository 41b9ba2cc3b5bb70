// The editor: a decoded picture to paint on with codes, its palette and its history.
//
// The browser owns the grid: a stroke shows at once, and each change sends the whole grid to Python, which answers with
// the newest picture. As for the canvas, what has to outlive a message is kept by parent element.

const editors = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  let editor = editors.get(parentElement);
  if (!editor) {
    editor = new Editor(parentElement);
    editors.set(parentElement, editor);
  }
  editor.transport.setStateValue = setStateValue;
  if (data) editor.receive(unpack(data));
  return () => editor.unmount();
}

// --- what outlives an editor ----------------------------------------------------------------------------------------

/** How the person likes to work; kept while the tab is open, and not worth telling Python. */
const habits = { tool: "brush", size: 1, percent: 0, layer: "decoded", grid: false };
const habitsOfInputs = { tool: "blend", size: 3, percent: 0, layer: "decoded", grid: false };
const albums = new Map(); // content -> { pictures: Map of entry id -> data URL, ids: of the entries, in order }
let clipboard = null; // { clip, content } of the last copy, for any picture of this tab

/** Drafts in the browser's storage: what a reload or a restarted server would lose. */
const Drafts = {
  prefix: "vqvae-explorer draft ",
  most: 20,

  keep(content, document) {
    const text = JSON.stringify({ time: Date.now(), document });
    for (const key of [null, ...this.keys()]) {
      if (key) localStorage.removeItem(key); // full: the oldest goes first
      try {
        localStorage.setItem(this.prefix + content, text);
        break;
      } catch {
        continue;
      }
    }
    for (const key of this.keys().slice(0, -this.most)) localStorage.removeItem(key);
  },

  find(content) {
    return this.read(this.prefix + content);
  },

  forget(content) {
    localStorage.removeItem(this.prefix + content);
  },

  /** Our keys, oldest draft first. */
  keys() {
    const ours = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    return ours.sort((a, b) => (this.read(a)?.time ?? 0) - (this.read(b)?.time ?? 0));
  },

  read(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  },
};

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

// --- tools ----------------------------------------------------------------------------------------------------------

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
const MOST_FRAMES = 60; // of an animation
const MOST_LISTED = 120; // entries of the history that are in the list at once

const icon = (name) => `<span class="icon" aria-hidden="true">${name}</span>`;
const option = ([value, label]) => `<option value="${value}">${label}</option>`;

const MARKUP = `
  <div class="canvas editor" part="canvas">
    <div class="offer" role="status" hidden><span></span><button data-offer="take">Bring it back</button><button data-offer="drop">Discard it</button></div>
    <div class="bar">
      <div class="segments layers" role="group" aria-label="Layer">
        ${LAYERS.map(([name, label, tip]) => `<button data-layer="${name}" data-tip="${tip}">${label}</button>`).join("")}
      </div>
      <label class="choice"><span>Mark</span><select class="overlay">${OVERLAYS.map(option).join("")}</select></label>
      <p class="readout" aria-live="polite"></p>
      <button class="quiet" data-act="grid" aria-pressed="false" data-tip="Lines between the cells (G)">${icon("grid_on")}</button>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−, or the wheel with Ctrl)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (0)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+, or the wheel with Ctrl); hold the space bar to drag the picture">+</button>
      </div>
    </div>
    <div class="bench">
      <div class="tools" role="toolbar" aria-orientation="vertical" aria-label="Tools">
        ${TOOL_LIST.map(([name, key, glyph, tip]) => `<button data-tool="${name}" aria-label="${tip.split(":")[0]}" data-tip="${tip} · ${key}">${icon(glyph)}</button>`).join("")}
      </div>
      <div class="stage">
        <div class="viewport" tabindex="0" role="application" aria-label="Grid of codes; arrow keys move the cell, Enter applies the tool">
          <canvas class="pixels"></canvas><canvas class="marks"></canvas>
        </div>
        <div class="options">
          <label class="size"><span>Brush</span><input type="range" min="1" max="9" step="1"><output></output></label>
          <label class="percent"><span>Blend to</span><input type="range" min="0" max="100" step="5"><output></output></label>
          <span class="selecting"></span>
          <p class="advice"></p>
        </div>
        <p class="verdict" hidden><i></i><span></span></p>
        <div class="figures"></div>
      </div>
      <aside class="side">
        <section class="second" hidden>
          <div class="viewport"><canvas class="difference"></canvas></div>
          <p>Difference to the codes alone <span class="ramp" data-tip="Mean absolute difference over red, green and blue, in levels of 255"><i>0</i><b></b><i>${ERROR_FULL}+</i></span></p>
        </section>
        <section class="palette">
          <header>
            <i class="chosen tile"></i>
            <div><b class="chosen-name"></b><span class="chosen-note"></span></div>
            <input class="search" type="search" placeholder="Code or 40-60" aria-label="Search codes by number">
          </header>
          <div class="tabs" role="tablist" aria-label="Palette">
            ${PALETTES.map(([name, label, tip]) => `<button role="tab" data-palette="${name}" data-tip="${tip}">${label}</button>`).join("")}
          </div>
          <canvas class="map" tabindex="0" role="img" aria-label="Map of codes" hidden></canvas>
          <div class="swatches" role="listbox" aria-label="Codes"></div>
          <p class="palette-note"></p>
        </section>
        <section class="history">
          <header>
            <b>History</b>
            <button class="quiet" data-act="undo" aria-label="Undo" data-tip="Undo (Ctrl+Z)">${icon("undo")}</button>
            <button class="quiet" data-act="redo" aria-label="Redo" data-tip="Redo (Ctrl+Shift+Z)">${icon("redo")}</button>
            <button class="quiet" data-act="clear" aria-label="Start over" data-tip="Start over; can be undone">${icon("restart_alt")}</button>
            <button class="quiet" data-act="gif" data-tip="Save the history as an animation that any program shows">GIF</button>
            <button class="quiet" data-act="webp" data-tip="Save the history as an animation in full quality">WebP</button>
          </header>
          <ol class="entries"></ol>
        </section>
      </aside>
    </div>
    <div class="controls rules">
      <div class="segments" role="group" aria-label="Embedding of edited cells">
        <button data-rule="follow">Follow</button><button data-rule="carry">Carry</button><button data-rule="keep">Keep</button>
      </div>
      <p class="rule"></p>
    </div>
    ${BLEND_CONTROLS}
  </div>`;

// --- the component --------------------------------------------------------------------------------------------------

class Editor {
  constructor(root) {
    const holder = document.createElement("div");
    holder.innerHTML = MARKUP;
    root.appendChild(holder);
    this.root = holder;
    this.viewport = this.find(".stage .viewport");
    this.message = null;
    this.layers = null; // what stays while the content does: original, base, runner-up, unedited
    this.history = null;
    this.atlas = new Atlas(this.root);
    this.habits = habits; // of the page that this editor is on
    this.asked = { blend: 1, uses_embedding: true, rule: "follow", cell: null, code: 0, overlay: "none" };
    this.palette = { kind: "picture", text: "", place: null };
    this.animation = null; // the form that is asked for, until it is there
    this.shown = null; // the state that the picture on the screen was decoded from
    this.sent = null; // the state of the request in flight
    this.has = new Map(); // which answers are here: name -> number
    this.loaded = 0; // number of the recipe that was taken in
    this.zoom = new Zoom();
    this.hover = null;
    this.selection = null; // a rectangle of cells
    this.drawing = null; // what is being done with the pointer
    this.pointers = new Map();
    this.peeking = false; // the key for the original is held
    this.panning = false; // so is the space bar
    this.dragging = false; // the blend slider is being moved
    this.complaint = ""; // why the last key or button did nothing, until something else is done
    this.transport = new Transport(() => this.compose());
    this.blend = new BlendControls(holder, (values, dragging) => {
      this.dragging = dragging;
      this.ask(values);
    });
    this.listen();
    this.frame = { width: 0, height: 0 }; // of the viewport, in CSS pixels; to ask for it would lay the page out anew
    this.resizes = new ResizeObserver(([{ contentRect }]) => {
      this.frame = { width: contentRect.width, height: contentRect.height };
      this.drawMarks();
      if (this.palette.kind === "map") this.drawMap();
    });
    this.resizes.observe(this.viewport);
  }

  unmount() {
    this.transport.stop();
    this.resizes.disconnect();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  // --- messages

  compose() {
    const { message } = this;
    const complete = this.layers?.content === message.content;
    const history = complete ? this.history : null; // that of another grid is not for this one
    const state = history?.state;
    const settled = !this.drawing && !this.dragging;
    this.find(".editor").dataset.settled = false;
    this.sent = state;
    this.sentEntry = settled ? history?.entries[history.position - 1]?.id : undefined;
    return {
      content: message.content,
      settled,
      complete,
      grid: state ? toBase64(message.codes > 1 << 16 ? state.indices : Uint16Array.from(state.indices)) : null,
      weights: state?.weights.some((weight) => weight !== UNPAINTED) ? toBase64(state.weights) : null,
      document: state && settled ? JSON.stringify(history) : null,
      loaded: this.loaded,
      has: [...this.has.values()],
      palette: this.palette,
      animation: this.animation && !this.animation.sent ? this.frames() : null,
      ...this.asked,
    };
  }

  frames() {
    this.animation.sent = true;
    const states = [this.history.initial, ...this.history.states()];
    const step = Math.max(1, (states.length - 1) / (MOST_FRAMES - 1));
    const numbers = [...new Set(Array.from({ length: MOST_FRAMES }, (_, i) => Math.min(states.length - 1, Math.round(i * step))))];
    return {
      form: this.animation.form,
      frames: numbers.map((number) => ({
        grid: toBase64(this.message.codes > 1 << 16 ? states[number].indices : Uint16Array.from(states[number].indices)),
        weights: toBase64(states[number].weights),
      })),
    };
  }

  receive(message) {
    this.resizes.observe(this.viewport);
    const changed = this.layers?.content !== message.content;
    const [answered, entry] = [this.sent, this.sentEntry]; // before an answer lets the next request go
    if (changed) {
      if (this.message?.content.split("-")[0] !== message.content.split("-")[0]) this.atlas = new Atlas(this.root);
      this.loaded = 0;
      this.transport.answered = this.transport.sequence = Math.max(this.transport.sequence, message.sequence);
      this.transport.waiting = false;
      this.drawing = this.hover = this.selection = this.shown = null;
      this.has.clear();
      this.zoom = new Zoom();
    } else if (!this.transport.accept(message.sequence)) {
      return;
    }
    const fresh = !this.transport.pending;
    this.message = message;
    this.habits = message.mode === "inputs" ? habitsOfInputs : habits;
    this.learnTiles(message);
    if (message.original) this.takeLayers(message, changed);
    else if (changed) {
      Object.assign(this.asked, message.asked);
      this.transport.request(); // the pictures were left out, and this editor has those of another grid
      return;
    }
    this.takeAnswers(message);
    if (fresh || changed) for (const name of Object.keys(this.asked)) this.asked[name] = message.asked[name];
    this.takeLoaded(message);
    this.shown = (message.answers && !changed && answered) || this.history.state;
    this.decoded = message.decoded;
    this.drawPixels();
    if (message.answers && !changed && entry !== undefined) this.keepPicture(entry);
    this.takeAnimation(message);
    this.find(".editor").dataset.sequence = message.sequence;
    this.find(".editor").dataset.settled = fresh;
    this.draw();
  }

  takeLayers(message, changed) {
    const { content, original, base, runner_up } = message;
    const sameHistory = !changed && this.history;
    this.layers = { content, original, base: Uint32Array.from(base.values), runnerUp: Uint32Array.from(runner_up.values) };
    [this.rows, this.columns] = base.shape;
    if (sameHistory) return;
    const context = { base: this.layers.base, runnerUp: this.layers.runnerUp };
    const initial = freshState(this.layers.base, this.rows, this.columns);
    const kept = message.document ? this.parse(message.document, initial, context) : null;
    this.history = kept ?? new History(initial, context);
    this.takeAlbum();
    const draft = kept ? null : Drafts.find(content);
    this.offer = draft?.document?.entries?.length ? draft : null;
    if (kept) this.transport.request(); // Python may know less of it than the document says
  }

  /** A history that was read back has new ids: its pictures are those of the entries in the same places. */
  takeAlbum() {
    const { pictures = new Map(), ids = [] } = albums.get(this.layers.content) ?? {};
    const { entries } = this.history;
    const known = ids.length === entries.length ? entries.map(({ id }, place) => [id, pictures.get(ids[place])]) : [];
    albums.set(this.layers.content, { pictures: new Map(known.filter(([, picture]) => picture)), ids: [] });
    this.listedEntries = null;
  }

  /** What Python sends only when it is news. */
  takeAnswers(message) {
    const { codes_only, codes_only_number, unedited, unedited_number, palette, palette_pictures, overlay, overlay_values, map_points, map_colours } = message;
    if (unedited) {
      this.layers.unedited = unedited;
      this.has.set("unedited", unedited_number);
    }
    if (codes_only) {
      this.layers.codesOnly = codes_only;
      this.has.set("codes only", codes_only_number);
    }
    if (palette) {
      this.offered = { ...palette, pictures: palette_pictures };
      this.has.set("palette", palette.number);
    }
    if (overlay) {
      this.marked = { ...overlay, values: overlay_values };
      this.has.set("overlay", overlay.number);
    }
    if (map_points) {
      this.map = { points: map_points.values, colours: map_colours.values };
      this.has.set("map", message.map_number);
    }
  }

  parse(text, initial, context) {
    try {
      return History.fromJSON(JSON.parse(text), initial, context, this.message.codes);
    } catch {
      return null;
    }
  }

  /** A recipe that was opened becomes one more entry: what was there is one undo away. */
  takeLoaded(message) {
    if (!message.load_indices || message.load <= this.loaded) return;
    this.loaded = message.load;
    const places = Array.from(this.layers.base, (_, place) => place);
    this.history.do({
      tool: "set",
      places,
      indices: Array.from(message.load_indices.values),
      weights: Array.from(message.load_weights.values),
    });
    this.edited();
  }

  takeAnimation({ animation, animation_name, animation_mime }) {
    if (!animation || !this.animation) return;
    this.animation = null;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([animation.values], { type: animation_mime }));
    link.download = animation_name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  learnTiles({ tile_codes, tiles }) {
    if (!tiles) return;
    const rows = this.atlas.rows;
    this.atlas.add(Array.from(tile_codes.values), tiles);
    if (this.atlas.rows !== rows) this.listed = null; // every place in it has moved
  }

  // --- changes

  /** Ask for something else than another grid. */
  ask(values) {
    Object.assign(this.asked, values);
    this.complaint = "";
    this.draw();
    this.transport.request();
  }

  choosePalette(values) {
    this.palette = { ...this.palette, ...values };
    this.draw();
    this.transport.request();
  }

  /** The grid has changed: show it at once, and ask for its picture. */
  edited() {
    this.complaint = "";
    this.drawMarks();
    this.drawHistory();
    this.transport.request();
    if (!this.drawing) Drafts.keep(this.layers.content, this.history);
    this.offer = null;
    this.find(".offer").hidden = true;
  }

  operate(operation) {
    this.history.do(operation);
    this.edited();
  }

  chooseCode(code) {
    this.ask({ code });
  }

  codeAt([row, column]) {
    return this.history.state.indices[row * this.columns + column];
  }

  // --- the pointer

  listen() {
    const on = (selector, event, action) =>
      this.root.querySelectorAll(selector).forEach((element) => element.addEventListener(event, action));
    on("[data-layer]", "click", (event) => this.chooseLayer(event.currentTarget.dataset.layer));
    on("[data-tool]", "click", (event) => this.chooseTool(event.currentTarget.dataset.tool));
    on("[data-rule]", "click", (event) => this.ask({ rule: event.currentTarget.dataset.rule }));
    on("[data-palette]", "click", (event) => {
      this.find(".search").value = "";
      this.choosePalette({ kind: event.currentTarget.dataset.palette, text: "" });
    });
    on("[data-act]", "click", (event) => this.act(event.currentTarget.dataset.act));
    on("[data-zoom]", "click", (event) => this.zoomBy(event.currentTarget.dataset.zoom));
    on("[data-offer]", "click", (event) => this.answerOffer(event.currentTarget.dataset.offer));
    on(".overlay", "change", (event) => this.ask({ overlay: event.target.value }));
    on(".size input", "input", (event) => this.habit({ size: Number(event.target.value) }));
    on(".percent input", "input", (event) => this.habit({ percent: Number(event.target.value) }));
    on(".search", "input", (event) => this.search(event.target.value));
    on(".map", "click", (event) => this.pointOnMap(event));
    this.listenToPointer();
    this.root.addEventListener("keydown", (event) => this.keyDown(event));
    this.root.addEventListener("keyup", (event) => this.keyUp(event));
  }

  listenToPointer() {
    const { viewport } = this;
    viewport.addEventListener("pointerdown", (event) => this.pointerDown(event));
    viewport.addEventListener("pointermove", (event) => this.pointerMove(event));
    viewport.addEventListener("pointerup", (event) => this.pointerUp(event));
    viewport.addEventListener("pointercancel", (event) => this.pointerUp(event));
    viewport.addEventListener("pointerleave", () => this.setHover(null));
    viewport.addEventListener("contextmenu", (event) => event.preventDefault());
    viewport.addEventListener("wheel", (event) => {
      const ours = event.ctrlKey || event.metaKey || this.zoom.scale > 1 || this.root.getRootNode().activeElement === viewport;
      if (!ours) return; // scroll the page
      event.preventDefault();
      this.setZoom(this.zoom.times(Math.exp(-event.deltaY / 300), this.zoom.pointAt(this.box(), event)));
    }, { passive: false });
  }

  pointerDown(event) {
    if (!this.history) return;
    this.viewport.focus({ preventScroll: true });
    this.viewport.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 2) return this.beginPinch();
    if (this.pointers.size > 2) return;
    if (this.panning || event.button === 1) {
      this.drawing = { kind: "pan", x: event.clientX, y: event.clientY, from: this.zoom };
      return;
    }
    const cell = this.cellAt(event);
    if (!cell || event.button > 1) return;
    if (event.altKey || event.button === 2) this.pick(cell);
    else this.begin(cell);
  }

  pointerMove(event) {
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, event);
    const { drawing } = this;
    if (drawing?.kind === "pinch") return this.pinch();
    if (drawing?.kind === "pan") {
      return this.setZoom(drawing.from.moved(this.box(), event.clientX - drawing.x, event.clientY - drawing.y));
    }
    const cell = this.cellAt(event, Boolean(drawing));
    this.setHover(cell);
    if (drawing && cell && !same(cell, drawing.last)) this.goOn(cell);
  }

  pointerUp(event) {
    this.pointers.delete(event.pointerId);
    const { drawing } = this;
    if (!drawing || this.pointers.size) return;
    this.drawing = null;
    if (event.type === "pointercancel") this.takeBack(drawing);
    else if (drawing.kind === "stroke") this.edited();
    if (drawing.kind === "rectangle") this.endRectangle(drawing);
    if (drawing.kind === "move") this.endMove(drawing);
    this.draw();
  }

  beginPinch() {
    const { drawing } = this;
    const [one, other] = [...this.pointers.values()];
    this.drawing = { kind: "pinch", one, other, from: this.zoom };
    this.takeBack(drawing); // the first finger was not meant to paint
    this.draw();
  }

  /** Undo what a stroke has drawn so far, if it has changed anything. */
  takeBack(drawing) {
    if (drawing?.kind !== "stroke") return;
    if (this.history.entries.at(-1)?.id !== drawing.after) this.history.takeBack();
    this.edited();
  }

  pinch() {
    const { one, other, from } = this.drawing;
    const [a, b] = [...this.pointers.values()];
    const middle = (p, q) => ({ clientX: (p.clientX + q.clientX) / 2, clientY: (p.clientY + q.clientY) / 2 });
    const apart = (p, q) => Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY);
    const [start, now] = [middle(one, other), middle(a, b)];
    const grown = from.times(apart(a, b) / Math.max(1, apart(one, other)), from.pointAt(this.box(), start));
    this.setZoom(grown.moved(this.box(), now.clientX - start.clientX, now.clientY - start.clientY));
  }

  // --- what a tool does with it

  begin(cell) {
    const { tool } = this.habits;
    this.asked.cell = cell;
    if (STROKES.includes(tool)) {
      this.drawing = { kind: "stroke", last: cell, after: this.history.entries.at(-1)?.id };
      this.history.do(this.stroke(brushPlaces(...cell, this.size(), this.rows, this.columns)));
      this.edited();
    } else if (tool === "fill") this.operate({ tool: "fill", place: this.place(cell), code: this.asked.code });
    else if (tool === "replace") this.operate({ tool: "replace", from: this.codeAt(cell), to: this.asked.code });
    else if (tool === "pick") this.pick(cell);
    else if (tool === "select" && this.selection && within(cell, this.selection)) {
      this.drawing = { kind: "move", start: cell, last: cell };
    } else this.drawing = { kind: "rectangle", start: cell, last: cell };
    this.draw();
  }

  goOn(cell) {
    const { drawing } = this;
    if (drawing.kind === "stroke") {
      this.history.extend(this.stroke(linePlaces(drawing.last, cell, this.size(), this.rows, this.columns)));
      drawing.last = cell;
      this.edited();
    } else {
      drawing.last = cell;
      this.drawMarks();
    }
  }

  /** The operation of a stroke tool at some places. */
  stroke(places) {
    const { tool, percent } = this.habits;
    if (tool === "brush") return { tool: "paint", places, code: this.asked.code };
    return tool === "blend" ? { tool, places, percent } : { tool, places };
  }

  endRectangle({ start, last }) {
    const rectangle = rectangleBetween(start, last);
    if (this.habits.tool === "select") {
      this.selection = same(start, last) && this.selection ? null : rectangle; // a click beside it lets go of it
      this.transport.request();
    } else this.operate({ tool: "paint", places: rectanglePlaces(rectangle, this.columns), code: this.asked.code });
  }

  endMove({ start, last }) {
    if (same(start, last)) return;
    const [down, right] = [last[0] - start[0], last[1] - start[1]];
    const { top, left } = this.selection;
    this.operate({ tool: "move", from: this.selection, row: top + down, column: left + right, code: this.asked.code });
    this.selection = this.clipped(moved(this.selection, down, right));
  }

  pick(cell) {
    this.ask({ cell, code: this.codeAt(cell) });
  }

  size() {
    return this.habits.size;
  }

  place([row, column]) {
    return row * this.columns + column;
  }

  // --- the selection and the clipboard

  copy() {
    if (!this.selection) return;
    clipboard = { clip: copyClip(this.history.state, this.selection), content: this.layers.content };
    this.draw();
  }

  paste() {
    if (!clipboard) return;
    const { clip } = clipboard;
    if (clip.indices.some((code) => code >= this.message.codes)) {
      this.complaint = `The copy has codes that this codebook of ${this.message.codes.toLocaleString("en")} lacks; copy from a picture of this checkpoint.`;
      return;
    }
    const [row, column] = this.asked.cell ?? (this.selection ? [this.selection.top, this.selection.left] : [0, 0]);
    this.operate({ tool: "paste", row, column, clip });
    this.selection = this.clipped({ top: row, left: column, bottom: row + clip.rows, right: column + clip.columns });
    this.chooseTool("select");
  }

  clipped({ top, left, bottom, right }) {
    const inside = { top: Math.max(0, top), left: Math.max(0, left), bottom: Math.min(this.rows, bottom), right: Math.min(this.columns, right) };
    return inside.top < inside.bottom && inside.left < inside.right ? inside : null;
  }

  selected(action) {
    if (!this.selection) return;
    const places = rectanglePlaces(this.selection, this.columns);
    if (action === "copy" || action === "cut") this.copy();
    if (action === "cut" || action === "fill") this.operate({ tool: "paint", places, code: this.asked.code });
    if (action === "shuffle") this.operate({ tool: "shuffle", places, seed: Math.floor(Math.random() * 2 ** 32) });
    if (action === "erase" || action === "runner-up") this.operate({ tool: action, places });
    if (action === "blend") this.operate({ tool: "blend", places, percent: this.habits.percent });
    if (action === "none") this.selection = null;
    this.draw();
  }

  // --- keys and buttons

  keyDown(event) {
    if (!this.history) return;
    const typing = event.composedPath()[0].matches?.("input:not([type=range]):not([type=checkbox]), select");
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      const action = { z: event.shiftKey ? "redo" : "undo", y: "redo", c: "copy", x: "cut", v: "paste", a: "all" }[key];
      if (!action || typing) return;
      event.preventDefault();
      this.act(action);
      return;
    }
    if (typing || event.altKey) return;
    if (event.composedPath().includes(this.viewport) && this.keyOnGrid(event)) return;
    const tool = TOOL_LIST.find(([name, key]) => key === event.key.toUpperCase() && this.usable(name));
    const layer = LAYERS.find(([, , , key]) => key === event.key);
    if (tool) this.chooseTool(tool[0]);
    else if (layer) this.chooseLayer(layer[0]);
    else if (event.key === "[" || event.key === "]") this.habit({ size: clamp(this.habits.size + (event.key === "]" ? 1 : -1), 1, 9) });
    else if (event.key === "g") this.act("grid");
    else if (event.key === "h") this.selected("shuffle");
    else if (event.key === "0") this.zoomBy("reset");
    else if (event.key === "+" || event.key === "-") this.zoomBy(event.key === "+" ? "in" : "out");
    else if (event.key === "o") this.peek(true);
    else return;
    event.preventDefault();
  }

  /** Keys that mean something only while the grid has the focus. */
  keyOnGrid(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [row, column] = this.asked.cell ?? [Math.floor(this.rows / 2), Math.floor(this.columns / 2)];
    if (step) this.goToCell([clamp(row + step[0], 0, this.rows - 1), clamp(column + step[1], 0, this.columns - 1)]);
    else if (event.key === "Enter") this.applyHere([row, column]);
    else if (event.key === " ") this.panning = true;
    else if (event.key === "Escape") this.letGo();
    else if (event.key === "Delete" || event.key === "Backspace") this.selected("erase");
    else return false;
    event.preventDefault();
    this.draw();
    return true;
  }

  keyUp(event) {
    if (event.key === " ") this.panning = false;
    if (event.key === "o") this.peek(false);
    this.drawCursor();
  }

  applyHere(cell) {
    this.begin(cell);
    const { drawing } = this;
    this.drawing = null;
    if (drawing?.kind === "rectangle" && this.habits.tool === "rectangle") this.endRectangle(drawing);
    else if (drawing?.kind === "stroke") this.edited();
  }

  letGo() {
    if (this.selection) this.selection = null;
    else this.ask({ cell: null });
  }

  peek(peeking) {
    if (this.peeking === peeking) return;
    this.peeking = peeking;
    this.drawPixels();
    this.draw();
  }

  act(action) {
    if (!this.history) return;
    if (action === "undo" || action === "redo") {
      this.history[action]();
      this.edited();
    } else if (action === "clear") this.operate({ tool: "clear" });
    else if (action === "grid") this.habit({ grid: !this.habits.grid });
    else if (action === "paste") this.paste();
    else if (action === "all") {
      this.selection = { top: 0, left: 0, bottom: this.rows, right: this.columns };
      this.chooseTool("select");
    } else if (action === "gif" || action === "webp") {
      this.animation = { form: action, sent: false };
      this.transport.request();
    } else this.selected(action);
    this.draw();
  }

  answerOffer(answer) {
    const { offer } = this;
    this.offer = null;
    const context = { base: this.layers.base, runnerUp: this.layers.runnerUp };
    const back = answer === "take" && History.fromJSON(offer.document, this.history.initial, context, this.message.codes);
    if (back) {
      this.history = back;
      this.edited();
    } else Drafts.forget(this.layers.content);
    this.draw();
  }

  usable(tool) {
    return this.message.mode !== "inputs" || TOOLS_OF_INPUTS.includes(tool);
  }

  chooseTool(tool) {
    if (tool !== "select") this.selection = null;
    this.habit({ tool });
  }

  chooseLayer(layer) {
    this.habit({ layer });
    this.drawPixels();
  }

  habit(values) {
    Object.assign(this.habits, values);
    this.draw();
  }

  search(text) {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.choosePalette({ kind: text.trim() ? "search" : "picture", text: text.slice(0, 100) }), 200);
  }

  pointOnMap(event) {
    const box = this.find(".map").getBoundingClientRect();
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((p) => clamp(p, 0, 1));
    this.choosePalette({ kind: "map", place });
  }

  setHover(cell) {
    if (same(cell, this.hover)) return;
    this.hover = cell;
    this.drawMarks();
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.draw();
  }

  zoomBy(which) {
    const { cell } = this.asked;
    let from = this.zoom;
    if (which === "in" && cell && from.scale === 1) from = Object.assign(new Zoom(), this.middleOf(cell));
    this.setZoom(which === "reset" ? new Zoom() : from.times(which === "in" ? 1.6 : 1 / 1.6));
  }

  /** Move the cell cursor, and the picture where that would be out of sight. */
  goToCell(cell) {
    const { box, side, at } = this.geometry();
    const [left, top] = at(...cell);
    const inSight = left >= 0 && top >= 0 && left + side <= box.width && top + side <= box.height;
    const { x, y } = this.middleOf(cell);
    if (!inSight) this.zoom = new Zoom(this.zoom.scale, x, y);
    this.ask({ cell });
  }

  // --- places

  /** Where in the picture a cell's middle is: x and y in 0…1. */
  middleOf([row, column]) {
    const { across, down } = this.extent();
    return { x: ((column + 0.5) / this.columns) * across, y: ((row + 0.5) / this.rows) * down };
  }

  box() {
    return this.viewport.getBoundingClientRect();
  }

  /** The grid's size in pictures: the last cells may reach beyond the picture. */
  extent() {
    const [height, width] = this.layers.original.shape;
    const { stride } = this.message;
    return { across: (this.columns * stride) / width, down: (this.rows * stride) / height };
  }

  /** The cell under an event; with `nearest` also from outside the grid, while something is dragged. */
  cellAt(event, nearest = false) {
    if (!this.layers) return null;
    const { x, y } = this.zoom.pointAt(this.box(), event);
    const { across, down } = this.extent();
    const [row, column] = [Math.floor((y / down) * this.rows), Math.floor((x / across) * this.columns)];
    if (nearest) return [clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1)];
    return row >= 0 && column >= 0 && row < this.rows && column < this.columns ? [row, column] : null;
  }

  /** Where cells lie in the viewport: (row, column) -> [x, y, side] in CSS pixels. */
  geometry() {
    const box = this.frame;
    const [, width] = this.layers.original.shape;
    const { scale, x, y } = this.zoom;
    const side = (this.message.stride * box.width * scale) / width;
    const [left, top] = [box.width * (0.5 - x * scale), box.height * (0.5 - y * scale)];
    return { box, side, at: (row, column) => [left + column * side, top + row * side, side] };
  }

  // --- drawing

  draw() {
    if (!this.layers || !this.message) return;
    const { asked, message } = this;
    const [height, width] = this.layers.original.shape;
    this.viewport.style.aspectRatio = `${width} / ${height}`;
    this.viewport.style.maxWidth = `calc(${TALLEST} * ${width / height})`;
    const layer = this.layer();
    press(this.root, "layer", layer);
    press(this.root, "tool", this.habits.tool);
    press(this.root, "rule", asked.rule);
    this.find("[data-act=grid]").setAttribute("aria-pressed", this.habits.grid);
    this.find(".overlay").value = asked.overlay;
    this.drawMode();
    this.find(".rule").textContent = message.rules[asked.rule];
    this.find(".sentence").textContent = message.sentence;
    this.find(".advice").textContent = this.advice();
    this.blend.draw(message.inputs, asked, message.blends);
    this.drawOptions();
    this.drawOffer();
    drawFigures(this.find(".figures"), message.figures);
    const { across, down } = layer === "codes" ? this.extent() : { across: 1, down: 1 };
    this.zoom.place(this.find(".pixels"), across, down);
    this.drawPalette();
    this.drawHistory();
    this.drawCursor();
    this.drawMarks();
  }

  /** What the page that this editor is on has of it. */
  drawMode() {
    const { mode, verdict } = this.message;
    const inputs = mode === "inputs";
    this.find(".editor").dataset.mode = mode;
    this.find(".palette").hidden = this.find(".rules").hidden = inputs;
    this.find(".second").hidden = !inputs;
    this.root.querySelectorAll("[data-tool]").forEach((button) =>
      (button.hidden = inputs && !TOOLS_OF_INPUTS.includes(button.dataset.tool)));
    const percent = this.find(".percent input");
    [percent.min, percent.max] = inputs ? [-50, 150] : [0, 100];
    const said = this.find(".verdict");
    said.hidden = !verdict;
    if (verdict) {
      const [level, sentence, details] = verdict;
      [said.className, said.lastElementChild.textContent, said.tabIndex] = [`verdict ${level}`, sentence, details ? 0 : -1];
      if (details) said.dataset.tip = details;
      else delete said.dataset.tip;
    }
    if (!inputs || !this.layers.codesOnly || !this.decoded) return;
    const [height, width] = this.layers.original.shape;
    this.find(".second .viewport").style.aspectRatio = `${width} / ${height}`;
    const difference = this.find(".difference");
    this.zoom.place(difference);
    if (this.compared?.[0] === this.layers.codesOnly && this.compared[1] === this.decoded) return;
    this.compared = [this.layers.codesOnly, this.decoded];
    paint(difference, errorMap(...this.compared));
  }

  layer() {
    return this.peeking ? "original" : this.habits.layer;
  }

  drawPixels() {
    if (!this.layers || !this.decoded) return;
    const pixels = this.find(".pixels");
    const layer = this.layer();
    pixels.dataset.layer = layer;
    if (layer === "codes") return this.drawMosaic(pixels);
    if (layer === "original") paint(pixels, this.layers.original);
    else if (layer === "changes") paint(pixels, errorMap(this.layers.unedited, this.decoded));
    else paint(pixels, this.decoded);
  }

  /** Every cell as the tile of its code. */
  drawMosaic(pixels) {
    const { indices } = this.history.state;
    const side = this.message.stride;
    pixels.width = this.columns * side;
    pixels.height = this.rows * side;
    const brush = pixels.getContext("2d");
    indices.forEach((code, place) =>
      this.atlas.draw(brush, code, (place % this.columns) * side, Math.floor(place / this.columns) * side, side));
  }

  drawOptions() {
    const { tool, size, percent } = this.habits;
    this.find(".size").hidden = !STROKES.includes(tool);
    this.find(".percent").hidden = tool !== "blend" && tool !== "select";
    this.find(".size input").value = size;
    this.find(".size output").textContent = size;
    fillRange(this.find(".size input"));
    this.find(".percent input").value = percent;
    this.find(".percent output").textContent = `${percent} %`;
    fillRange(this.find(".percent input"));
    const actions = [
      ["copy", "Copy", "Ctrl+C"], ["cut", "Cut", "Ctrl+X: leaves the chosen code"], ["paste", "Paste", "Ctrl+V: at the cell that is outlined"],
      ["fill", "Fill", "With the chosen code"], ["shuffle", "Shuffle", "Mix the cells up (H)"], ["runner-up", "Runner-up", "Each cell takes its second choice"],
      ["blend", "Blend", "Blend as the slider here says"], ["erase", "Erase", "Back to the encoder's codes (Delete)"],
    ].filter(([action]) => this.message.mode !== "inputs" || ["blend", "erase"].includes(action));
    const holder = this.find(".selecting");
    const key = tool === "select" ? `${Boolean(this.selection)} ${Boolean(clipboard)} ${this.message.mode}` : "";
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    refill(holder, (tool === "select" ? actions : []).map(([action, label, tip]) => {
      const button = textElement("button", label);
      button.className = "quiet";
      button.dataset.tip = tip;
      button.disabled = action === "paste" ? !clipboard : !this.selection;
      button.addEventListener("click", () => this.act(action));
      return button;
    }));
  }

  drawOffer() {
    const { offer } = this;
    this.find(".offer").hidden = !offer;
    if (!offer) return;
    const count = offer.document.entries.length;
    this.find(".offer span").textContent =
      `An edit of this picture from ${ago(Date.now() - offer.time)} is kept in this browser: ${count} ${count === 1 ? "step" : "steps"}.`;
  }

  /** What is marked on the grid, or why nothing happened. */
  advice() {
    const { overlay } = this.asked;
    if (this.complaint) return this.complaint;
    if (overlay !== "blend") return this.marked?.kind === overlay ? this.marked.sentence : "";
    const painted = this.history.state.weights.some((weight) => weight !== UNPAINTED);
    return painted ? "Bright cells get all of their embedding, dark ones none; the others are as the slider says."
      : "No cell has a blend of its own yet: paint one with the blend brush (W).";
  }

  drawCursor() {
    const { tool } = this.habits;
    this.viewport.dataset.cursor = this.panning ? "pan" : tool;
  }

  drawMarks() {
    if (!this.layers || !this.history) return;
    const { box, side, at } = this.geometry();
    const marks = this.find(".marks");
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (marks.width !== width || marks.height !== height) [marks.width, marks.height] = [width, height];
    const brush = marks.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, box.width, box.height);
    brush.imageSmoothingEnabled = true;
    this.drawWaiting(brush, at);
    this.drawOverlay(brush, at, side);
    if (this.habits.grid) this.drawGrid(brush, at, box);
    this.drawFrames(brush, at);
    this.describe();
  }

  /** Cells that were painted since the picture on the screen was decoded: as their code looks alone. */
  drawWaiting(brush, at) {
    const { indices } = this.history.state;
    const shown = this.shown?.indices;
    if (!shown || this.layer() === "original") return;
    brush.imageSmoothingEnabled = false;
    for (let place = 0; place < indices.length; place += 1) {
      if (indices[place] === shown[place]) continue;
      this.atlas.draw(brush, indices[place], ...at(Math.floor(place / this.columns), place % this.columns));
    }
  }

  drawOverlay(brush, at, side) {
    const { overlay } = this.asked;
    const found = this.marked;
    if (overlay === "blend") return this.drawBlend(brush, at);
    if (found?.kind !== overlay) return;
    const { shape: [height, width], values } = found.values;
    if (overlay === "cycle") {
      values.forEach((mark, place) => mark && this.drawTick(brush, at(Math.floor(place / width), place % width), mark));
      return;
    }
    const heat = document.createElement("canvas");
    [heat.width, heat.height] = [width, height];
    const image = new ImageData(width, height);
    values.forEach((value, place) => {
      const [red, green, blue] = ERROR_RAMP[value];
      image.data.set([red, green, blue, overlay === "margin" ? 190 : Math.min(235, 40 + 2 * value)], 4 * place);
    });
    heat.getContext("2d").putImageData(image, 0, 0);
    const [row, column] = found.corner;
    const [x, y] = at(row, column);
    const scale = (overlay === "margin" ? 1 : 1 / this.message.stride) * side;
    brush.imageSmoothingEnabled = overlay !== "margin";
    brush.drawImage(heat, x, y, width * scale, height * scale);
  }

  /** How much of the embedding each painted cell has. */
  drawBlend(brush, at) {
    this.history.state.weights.forEach((weight, place) => {
      if (weight === UNPAINTED) return;
      const [x, y, side] = at(Math.floor(place / this.columns), place % this.columns);
      const [red, green, blue] = ERROR_RAMP[clamp(Math.round(weight * 2.55), 0, 255)];
      brush.fillStyle = `rgba(${red}, ${green}, ${blue}, 0.75)`;
      brush.fillRect(x, y, side, side);
    });
  }

  /** 1 came back, 2 did not, 3 changed without being edited. */
  drawTick(brush, [x, y, side], mark) {
    brush.strokeStyle = ["", "#5fd649", "#ff4d38", "rgba(242, 177, 52, 0.65)"][mark];
    brush.lineWidth = mark === 3 ? 1 : Math.max(2, side / 9);
    const inset = brush.lineWidth / 2 + 0.5;
    brush.strokeRect(x + inset, y + inset, side - 2 * inset, side - 2 * inset);
    if (mark !== 2) return;
    brush.beginPath();
    brush.moveTo(x + inset, y + inset);
    brush.lineTo(x + side - inset, y + side - inset);
    brush.stroke();
  }

  drawGrid(brush, at, box) {
    brush.strokeStyle = "rgba(255, 255, 255, 0.35)";
    brush.lineWidth = 1;
    brush.beginPath();
    for (let column = 1; column < this.columns; column += 1) {
      const x = Math.round(at(0, column)[0]) + 0.5;
      brush.moveTo(x, 0);
      brush.lineTo(x, box.height);
    }
    for (let row = 1; row < this.rows; row += 1) {
      const y = Math.round(at(row, 0)[1]) + 0.5;
      brush.moveTo(0, y);
      brush.lineTo(box.width, y);
    }
    brush.stroke();
  }

  drawFrames(brush, at) {
    const { drawing, hover } = this;
    const frame = (rectangle, colour, width) => {
      const [x, y, side] = at(rectangle.top, rectangle.left);
      outlineBox(brush, x, y, (rectangle.right - rectangle.left) * side, (rectangle.bottom - rectangle.top) * side, colour, width);
    };
    const colour = accent(this.root);
    if (drawing?.kind === "rectangle") frame(rectangleBetween(drawing.start, drawing.last), "#fff", 1.5);
    if (drawing?.kind === "move") {
      frame(moved(this.selection, drawing.last[0] - drawing.start[0], drawing.last[1] - drawing.start[1]), "#fff", 1.5);
    }
    if (this.selection) frame(this.selection, colour, 2);
    else if (this.asked.cell) outline(brush, at(...this.asked.cell), colour, 2.5);
    if (!hover || drawing?.kind === "rectangle") return;
    const around = STROKES.includes(this.habits.tool) ? brushPlaces(...hover, this.size(), this.rows, this.columns) : [this.place(hover)];
    drawEdge(brush, around, this.columns, at);
  }

  describe() {
    const readout = this.find(".readout");
    const cell = this.hover ?? this.asked.cell;
    readout.classList.toggle("hint", !cell);
    if (!cell) {
      readout.textContent = this.message.mode === "inputs"
        ? "Press on the picture to paint a blend."
        : "Press on the picture to paint with the chosen code.";
      return;
    }
    const place = this.place(cell);
    const { indices, weights } = this.history.state;
    const code = indices[place];
    const was = this.layers.base[place];
    const notes = [`row ${cell[0]}, column ${cell[1]}`];
    if (was !== code) notes.push(`was ${was}`);
    if (weights[place] !== UNPAINTED) notes.push(`blend ${weights[place]} %`);
    readout.replaceChildren(this.swatch(code), textElement("b", `Code ${code}`), textElement("span", notes.join(" · ")));
  }

  swatch(code) {
    const swatch = document.createElement("i");
    swatch.className = "tile";
    this.atlas.show(swatch, code);
    return swatch;
  }

  // --- the palette

  drawPalette() {
    const { code } = this.asked;
    this.atlas.show(this.find(".chosen"), code);
    this.find(".chosen-name").textContent = `Code ${code}`;
    const count = this.history.state.indices.reduce((sum, index) => sum + (index === code), 0);
    this.find(".chosen-note").textContent = count ? `${count} ${count === 1 ? "cell" : "cells"} here` : "not in this grid";
    this.root.querySelectorAll("[data-palette]").forEach((tab) =>
      tab.setAttribute("aria-selected", tab.dataset.palette === this.palette.kind));
    this.find(".map").hidden = this.palette.kind !== "map";
    if (this.palette.kind === "map") this.drawMap();
    const { offered } = this;
    if (!offered) return;
    this.find(".palette-note").textContent = offered.note;
    const holder = this.find(".swatches");
    holder.classList.toggle("large", offered.kind === "alternatives");
    if (this.listed !== offered) this.listSwatches(holder, offered);
    holder.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-selected", Number(button.dataset.code) === code));
  }

  listSwatches(holder, offered) {
    this.listed = offered;
    const crops = offered.pictures;
    refill(holder, offered.codes.map((code, number) => {
      const button = document.createElement("button");
      button.dataset.code = code;
      button.setAttribute("role", "option");
      button.setAttribute("aria-label", `Code ${code}`);
      button.title = `Code ${code}${offered.labels[number] ? ` · ${offered.labels[number]}` : ""}`;
      if (crops) {
        const picture = document.createElement("canvas");
        const [, height, width] = crops.shape;
        paint(picture, { shape: [height, width], values: crops.values.subarray(3 * number * height * width, 3 * (number + 1) * height * width) });
        button.append(picture);
      } else button.append(this.swatch(code));
      button.addEventListener("click", () => this.takeCode(code, offered.kind));
      button.addEventListener("dblclick", () => this.putHere(code));
      return button;
    }));
  }

  /** Of the alternatives for a cell, a click puts one there: they show what that would look like. */
  takeCode(code, kind) {
    this.chooseCode(code);
    if (kind === "alternatives") this.putHere(code);
  }

  putHere(code) {
    if (this.asked.cell) this.operate({ tool: "paint", places: [this.place(this.asked.cell)], code });
  }

  drawMap() {
    const element = this.find(".map");
    if (!this.map) return;
    const ratio = window.devicePixelRatio || 1;
    const side = element.getBoundingClientRect().width * ratio;
    if (!side) return;
    [element.width, element.height] = [side, side * 0.66];
    const brush = element.getContext("2d");
    const { points, colours } = this.map;
    const many = points.length > 20000;
    const radius = (many ? 1 : 2.2) * ratio;
    brush.strokeStyle = "rgb(128 128 128 / 60%)"; // black codes on a dark page, white ones on a light one
    brush.lineWidth = ratio / 2;
    for (let i = 0; i < points.length / 2; i += 1) {
      brush.fillStyle = `rgb(${colours[3 * i]} ${colours[3 * i + 1]} ${colours[3 * i + 2]})`;
      brush.beginPath();
      brush.arc((points[2 * i] / 65535) * element.width, (points[2 * i + 1] / 65535) * element.height, radius, 0, 7);
      brush.fill();
      if (!many) brush.stroke();
    }
    const { place } = this.palette;
    if (!place) return;
    brush.lineWidth = 2 * ratio;
    brush.strokeStyle = accent(this.root);
    brush.beginPath();
    brush.arc(place[0] * element.width, place[1] * element.height, 9 * ratio, 0, 7);
    brush.stroke();
  }

  // --- the history

  drawHistory() {
    const { history } = this;
    this.find("[data-act=undo]").disabled = !history.canUndo;
    this.find("[data-act=redo]").disabled = !history.canRedo;
    this.find("[data-act=clear]").disabled = !changedPlaces(history.state, this.layers.base).length
      && history.state.weights.every((weight) => weight === UNPAINTED);
    for (const form of ["gif", "webp"]) {
      const button = this.find(`[data-act=${form}]`);
      button.disabled = !history.position || Boolean(this.animation);
      button.classList.toggle("busy", this.animation?.form === form);
    }
    if (this.root.getRootNode().activeElement?.disabled) this.viewport.focus({ preventScroll: true }); // keys go on working
    const { pictures, ids } = albums.get(this.layers.content);
    ids.splice(0, ids.length, ...history.entries.map(({ id }) => id));
    const drawn = JSON.stringify([history.position, pictures.size, history.entries.slice(-MOST_LISTED)
      .map(({ id, on, label }) => [id, on, label, pictures.get(id)?.length])]);
    if (this.listedEntries === drawn) return;
    this.listedEntries = drawn;
    const list = this.find(".entries");
    const first = Math.max(0, history.entries.length - MOST_LISTED);
    const rows = history.entries.slice(first).map((entry, number) => this.historyRow(entry, first + number));
    const start = textElement("li", first ? `Start, and ${first} more steps` : "Start");
    start.className = history.position === 0 ? "now" : "";
    start.tabIndex = 0;
    start.addEventListener("click", () => this.goTo(0));
    refill(list, [...rows.reverse(), start]);
  }

  historyRow(entry, number) {
    const { history } = this;
    const row = document.createElement("li");
    row.className = [number + 1 === history.position && "now", number >= history.position && "undone", !entry.on && "off"]
      .filter(Boolean).join(" ");
    const eye = document.createElement("button");
    eye.className = "quiet";
    eye.innerHTML = icon(entry.on ? "visibility" : "visibility_off");
    eye.setAttribute("aria-label", `${entry.on ? "Switch off" : "Switch on"}: ${entry.label}`);
    eye.setAttribute("aria-pressed", entry.on);
    eye.addEventListener("click", () => {
      history.toggle(number);
      this.edited();
      this.draw();
    });
    const label = textElement("button", entry.label);
    label.className = "label";
    label.addEventListener("click", () => this.goTo(number + 1));
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = albums.get(this.layers.content).pictures.get(entry.id) ?? this.sketchOf(entry);
    row.append(picture, label, eye);
    return row;
  }

  goTo(position) {
    this.history.goTo(position);
    this.edited();
    this.draw();
  }

  /** Keep a small picture of where an entry led, now that its answer is there. */
  keepPicture(entry) {
    const [height, width] = this.decoded.shape;
    const small = document.createElement("canvas");
    const scale = 72 / Math.max(height, width);
    [small.width, small.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const whole = document.createElement("canvas");
    paint(whole, this.decoded);
    small.getContext("2d").drawImage(whole, 0, 0, small.width, small.height);
    albums.get(this.layers.content).pictures.set(entry, small.toDataURL("image/jpeg", 0.8));
  }

  /** An entry whose picture is not here, after a reload: its cells, in the colour of its code. */
  sketchOf({ operation }) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [this.columns, this.rows];
    const brush = small.getContext("2d");
    const code = operation.code ?? operation.to;
    brush.fillStyle = this.atlas.has(code) ? this.atlas.colour(code) : accent(this.root);
    const places = operation.places ?? (operation.place === undefined ? [] : [operation.place]);
    for (const place of places) brush.fillRect(place % this.columns, Math.floor(place / this.columns), 1, 1);
    return small.toDataURL();
  }
}

// --- small things ---------------------------------------------------------------------------------------------------

/** New children for a holder; where one of the old had the focus, the one in its place has it. */
function refill(holder, children) {
  const focusable = () => [...holder.querySelectorAll("button, [tabindex]")];
  const place = focusable().indexOf(holder.getRootNode().activeElement);
  holder.replaceChildren(...children);
  if (place >= 0) (focusable()[place] ?? focusable().at(-1))?.focus({ preventScroll: true });
}

const TALLEST = "27rem"; // of the picture

function toBase64(values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  return btoa(text);
}

function press(root, name, value) {
  root.querySelectorAll(`[data-${name}]`).forEach((b) => b.setAttribute("aria-pressed", b.dataset[name] === value));
}

function fillRange(range) {
  range.style.setProperty("--filled", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
}

function within([row, column], { top, left, bottom, right }) {
  return row >= top && row < bottom && column >= left && column < right;
}

function moved({ top, left, bottom, right }, down, across) {
  return { top: top + down, left: left + across, bottom: bottom + down, right: right + across };
}

function outlineBox(brush, x, y, width, height, colour, line) {
  brush.lineWidth = line + 2;
  brush.strokeStyle = "rgba(0, 0, 0, 0.75)";
  brush.strokeRect(x, y, width, height);
  brush.lineWidth = line;
  brush.strokeStyle = colour;
  brush.strokeRect(x, y, width, height);
}

/** A line around a set of places. */
function drawEdge(brush, places, columns, at) {
  const set = new Set(places);
  brush.beginPath();
  for (const place of places) {
    const [row, column] = [Math.floor(place / columns), place % columns];
    const [x, y, side] = at(row, column);
    const line = (fromX, fromY, toX, toY) => {
      brush.moveTo(fromX, fromY);
      brush.lineTo(toX, toY);
    };
    if (!set.has(place - columns)) line(x, y, x + side, y);
    if (!set.has(place + columns)) line(x, y + side, x + side, y + side);
    if (column === 0 || !set.has(place - 1)) line(x, y, x, y + side);
    if (column === columns - 1 || !set.has(place + 1)) line(x + side, y, x + side, y + side);
  }
  for (const [colour, width] of [["rgba(0, 0, 0, 0.75)", 3.5], ["#fff", 1.5]]) {
    brush.strokeStyle = colour;
    brush.lineWidth = width;
    brush.stroke();
  }
}

function ago(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 1) return "a moment ago";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}
