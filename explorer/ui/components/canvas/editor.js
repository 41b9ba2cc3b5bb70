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
let clipboard = null; // { clip, content } of the last copy, for any picture of this tab

// --- the component --------------------------------------------------------------------------------------------------

class Editor extends EditorView {
  constructor(root) {
    super();
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
      Object.assign(this.asked, values);
      this.blend.draw(this.message.inputs, this.asked, this.message.blends); // the rest follows with the answer
      this.transport.request();
    });
    const bars = this.find(".editor");
    this.offers = new Offers(bars, { present: () => this.history, restore: (document) => this.restore(document) });
    this.leftBehind = new LeftBehind(bars);
    this.connection = new Connection(bars, (connected) => this.connect(connected));
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
    this.connection.stop();
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
    this.connection.asked();
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
    this.connection.start();
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
    if (fresh) this.connection.answered();
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
    const here = Histories.find(content);
    const kept = here?.history ?? (message.document ? this.parse(message.document, initial, context) : null);
    this.history = kept ?? new History(initial, context);
    this.loaded = here?.loaded ?? 0;
    this.takeAlbum();
    this.remember();
    this.offers.show(content);
    if (kept) this.transport.request(); // Python may know less of it than the document says
  }

  /** This is the history that is open now. */
  remember() {
    const { content } = this.layers;
    Histories.keep(content, this.history, this.loaded);
    this.leftBehind.arrive(content, this.message.about, this.history);
  }

  /** Put a history that was kept in place of the one that is open; false where it does not fit this grid. */
  restore(document) {
    const context = { base: this.layers.base, runnerUp: this.layers.runnerUp };
    const back = History.fromJSON(document, this.history.initial, context, this.message.codes);
    if (!back) return false;
    this.history = back;
    this.remember();
    this.edited();
    this.draw();
    return true;
  }

  /** The server went, or came back. */
  connect(connected) {
    this.find(".figures").classList.toggle("stale", !connected);
    if (!connected || !this.transport.pending) return;
    this.transport.sentAt = -Infinity; // what was on its way went with the connection
    this.transport.request();
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
    this.remember();
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
    if (!this.drawing) Drafts.keep(this.layers.content, this.history, { title: this.title() });
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

  /** What the edit is of, in words. */
  title() {
    const { about } = this.message;
    return about ? `${about.picture}, ${about.size} px, ${about.checkpoint}` : "";
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

}

// --- small things ---------------------------------------------------------------------------------------------------

function toBase64(values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  return btoa(text);
}

function within([row, column], { top, left, bottom, right }) {
  return row >= top && row < bottom && column >= left && column < right;
}
