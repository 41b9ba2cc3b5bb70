// From the pointer, the wheel and the keyboard to the model.

// --- the pointer ----------------------------------------------------------------------------------------------------

/** Mouse, pen and fingers on the picture. */
class PointerInput {
  constructor(viewport, model, hand) {
    Object.assign(this, { viewport, model, hand });
    this.pointers = new Map();
    viewport.addEventListener("pointerdown", (event) => this.down(event));
    viewport.addEventListener("pointermove", (event) => this.move(event));
    viewport.addEventListener("pointerup", (event) => this.up(event));
    viewport.addEventListener("pointercancel", (event) => this.up(event));
    viewport.addEventListener("pointerleave", () => model.setHover(null));
    viewport.addEventListener("contextmenu", (event) => event.preventDefault());
    viewport.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  get box() {
    return this.viewport.getBoundingClientRect();
  }

  /** The cell under an event; with `nearest` also from outside the grid. */
  cellAt(event, nearest = false) {
    return new Placement(this.model.measures, this.model.zoom, this.box).cellAt(event, nearest);
  }

  down(event) {
    const { model, pointers } = this;
    if (!model.ready) return;
    this.viewport.focus({ preventScroll: true });
    this.viewport.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) return this.beginPinch();
    if (pointers.size > 2) return;
    if (model.panning || event.button === 1) {
      return model.setDrawing({ kind: "pan", x: event.clientX, y: event.clientY, from: model.zoom });
    }
    const cell = this.cellAt(event);
    if (!cell || event.button > 1) return;
    if (event.altKey || event.button === 2) this.hand.pick(cell);
    else this.hand.begin(cell);
  }

  move(event) {
    const { model, pointers } = this;
    if (!model.ready) return;
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
    const { drawing } = model;
    if (drawing?.kind === "pinch") return this.pinch();
    if (drawing?.kind === "pan") {
      return model.setZoom(drawing.from.moved(this.box, event.clientX - drawing.x, event.clientY - drawing.y));
    }
    const cell = this.cellAt(event, Boolean(drawing));
    model.setHover(cell);
    if (drawing && cell) this.hand.goOn(cell);
  }

  up(event) {
    const { model, pointers } = this;
    pointers.delete(event.pointerId);
    if (!model.drawing || pointers.size) return;
    if (event.type === "pointercancel") this.hand.cancel();
    else this.hand.end();
  }

  beginPinch() {
    const [one, other] = [...this.pointers.values()];
    this.hand.cancel(); // the first finger was not meant to paint
    this.model.setDrawing({ kind: "pinch", one, other, from: this.model.zoom });
  }

  pinch() {
    const { one, other, from } = this.model.drawing;
    const [a, b] = [...this.pointers.values()];
    if (!b) return;
    const middle = (p, q) => ({ clientX: (p.clientX + q.clientX) / 2, clientY: (p.clientY + q.clientY) / 2 });
    const apart = (p, q) => Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY);
    const [start, now] = [middle(one, other), middle(a, b)];
    const grown = from.times(apart(a, b) / Math.max(1, apart(one, other)), from.pointAt(this.box, start));
    this.model.setZoom(grown.moved(this.box, now.clientX - start.clientX, now.clientY - start.clientY));
  }

  wheel(event) {
    const { zoom } = this.model;
    const focused = this.viewport.getRootNode().activeElement === this.viewport;
    if (!event.ctrlKey && !event.metaKey && zoom.scale === 1 && !focused) return; // scroll the page
    event.preventDefault();
    this.model.setZoom(zoom.times(Math.exp(-event.deltaY / 300), zoom.pointAt(this.box, event)));
  }
}

// --- the keyboard ---------------------------------------------------------------------------------------------------

/** Each key: its names, what it is called, and what it does with (model, hand). `grid`: only where the grid has the focus. */
const KEYS = [
  ...TOOL_LIST.map(([tool, key, , tip]) => ({
    keys: [key], does: tip, run: (model) => model.usable(tool) && (model.chooseTool(tool), true),
  })),
  ...LAYERS.map(([layer, label, , key]) => ({ keys: [key], does: `Layer: ${label}`, run: (model) => model.chooseLayer(layer) })),
  { keys: ["["], does: "Smaller brush", run: (model) => model.resizeBrush(-1) },
  { keys: ["]"], does: "Larger brush", run: (model) => model.resizeBrush(1) },
  { keys: ["G"], does: "Lines between the cells", run: (model) => model.habit({ grid: !model.habits.grid }) },
  { keys: ["H"], does: "Shuffle what is selected", run: (model) => model.withSelected("shuffle") },
  { keys: ["0"], does: "Show the whole picture", run: (model) => model.zoomBy("reset") },
  { keys: ["+"], does: "Zoom in", run: (model) => model.zoomBy("in") },
  { keys: ["-"], does: "Zoom out", run: (model) => model.zoomBy("out") },
  { keys: ["O"], does: "Hold to see the original", run: (model) => model.peek(true), up: (model) => model.peek(false) },
  { keys: ["Ctrl+Z"], does: "Undo", run: (model) => model.undo() },
  { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], does: "Redo", run: (model) => model.redo() },
  { keys: ["Ctrl+C"], does: "Copy what is selected", run: (model) => model.withSelected("copy") },
  { keys: ["Ctrl+X"], does: "Cut it, and leave the chosen code", run: (model) => model.withSelected("cut") },
  { keys: ["Ctrl+V"], does: "Paste at the cell", run: (model) => model.paste() },
  { keys: ["Ctrl+A"], does: "Select everything", run: (model) => model.selectAll() },
  { keys: ["ArrowUp"], does: "Move the cell", grid: true, run: (model) => model.moveCursor(-1, 0) },
  { keys: ["ArrowDown"], does: "Move the cell", grid: true, run: (model) => model.moveCursor(1, 0) },
  { keys: ["ArrowLeft"], does: "Move the cell", grid: true, run: (model) => model.moveCursor(0, -1) },
  { keys: ["ArrowRight"], does: "Move the cell", grid: true, run: (model) => model.moveCursor(0, 1) },
  { keys: ["Enter"], does: "Apply the tool at the cell", grid: true, run: (model, hand) => hand.applyAt(model.cursor()) },
  { keys: ["Space"], does: "Hold to drag the picture", grid: true, run: (model) => model.setPanning(true), up: (model) => model.setPanning(false) },
  { keys: ["Delete", "Backspace"], does: "Erase what is selected", grid: true, run: (model) => model.withSelected("erase") },
  { keys: ["Escape"], does: "Let go of the selection, then of the cell", grid: true, run: (model) => model.letGo() },
];

class KeyboardInput {
  constructor(root, viewport, model, hand) {
    Object.assign(this, { viewport, model, hand });
    root.addEventListener("keydown", (event) => this.down(event));
    root.addEventListener("keyup", (event) => this.up(event));
  }

  down(event) {
    if (!this.model.ready || event.altKey || isTextField(event.composedPath()[0])) return;
    const onGrid = event.composedPath().includes(this.viewport);
    const entry = keyEntry(event, (found) => onGrid || !found.grid);
    if (entry && entry.run(this.model, this.hand) !== false) event.preventDefault();
  }

  up(event) {
    keyEntry(event, ({ up }) => up)?.up(this.model);
  }
}

/** The entry of KEYS for an event, among those that fit; a letter with Shift is the letter where it has no entry. */
function keyEntry(event, fits) {
  const names = keyNames(event);
  for (const name of names) {
    const found = KEYS.find((entry) => entry.keys.includes(name) && fits(entry));
    if (found) return found;
  }
  return null;
}

function keyNames({ key, ctrlKey, metaKey, shiftKey }) {
  const plain = key === " " ? "Space" : key.length === 1 ? key.toUpperCase() : key;
  if (ctrlKey || metaKey) return [`Ctrl+${shiftKey ? "Shift+" : ""}${plain}`];
  return shiftKey ? [`Shift+${plain}`, plain] : [plain];
}

function isTextField(element) {
  return Boolean(element.matches?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]"));
}
