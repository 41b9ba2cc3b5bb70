// From the pointer, the wheel and the keyboard to the model.

// --- the pointer ----------------------------------------------------------------------------------------------------

/** Mouse, pen and fingers on the picture. */
class PointerInput {
  constructor(viewport, divider, model, hand) {
    Object.assign(this, { viewport, divider, model, hand });
    this.pointers = new Map();
    viewport.addEventListener("pointerdown", (event) => this.down(event));
    viewport.addEventListener("pointermove", (event) => this.move(event));
    viewport.addEventListener("pointerup", (event) => this.up(event));
    viewport.addEventListener("pointercancel", (event) => this.up(event));
    viewport.addEventListener("pointerleave", () => model.sight.pointAt(null));
    viewport.addEventListener("contextmenu", (event) => event.preventDefault());
    viewport.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    divider.addEventListener("keydown", (event) => this.moveDivider(event));
  }

  get box() {
    return this.viewport.getBoundingClientRect();
  }

  get placement() {
    return new Placement(this.model.measures, this.model.sight.zoom, this.box);
  }

  down(event) {
    const { model, pointers } = this;
    if (!model.ready) return;
    if (event.target !== this.divider) this.viewport.focus({ preventScroll: true });
    this.viewport.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) return this.beginPinch();
    if (pointers.size > 2) return;
    if (event.target === this.divider) return model.setDrawing({ kind: "divide" });
    if (model.sight.panning || event.button === 1) {
      return model.setDrawing({ kind: "pan", x: event.clientX, y: event.clientY, from: model.sight.zoom });
    }
    const { placement } = this;
    const cell = placement.cellAt(event);
    if (!cell || event.button > 1) return;
    if (event.pointerType === "touch") this.touch(event, cell);
    if (event.button === 2 || (event.altKey && !model.selecting)) this.hand.pick(cell);
    else this.hand.begin(cell, event, placement.pointAt(event));
  }

  /** A finger points only by pressing: it has what floats under it, and the loupe over it. */
  touch(event, cell) {
    this.model.sight.setFinger(event);
    this.model.selected.floatAt(cell);
  }

  move(event) {
    const { model, pointers } = this;
    if (!model.ready) return;
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
    const { drawing } = model;
    if (drawing?.kind === "pinch") return this.pinch();
    if (drawing?.kind === "divide") return this.divide(event);
    if (drawing?.kind === "pan") {
      return model.sight.setZoom(drawing.from.moved(this.box, event.clientX - drawing.x, event.clientY - drawing.y));
    }
    const { placement } = this;
    const cell = placement.cellAt(event, Boolean(drawing));
    if (model.sight.finger) model.sight.setFinger(event);
    model.sight.pointAt(cell);
    if (cell && !model.sight.finger) model.selected.floatAt(cell);
    if (drawing && cell) this.hand.goOn(cell, placement.pointAt(event));
  }

  up(event) {
    const { model, pointers } = this;
    pointers.delete(event.pointerId);
    if (pointers.size) return;
    if (model.sight.finger) {
      model.sight.setFinger(null);
      model.sight.pointAt(null);
    }
    if (!model.drawing) return;
    if (event.type === "pointercancel") this.hand.cancel();
    else this.hand.end();
  }

  beginPinch() {
    const [one, other] = [...this.pointers.values()];
    this.hand.cancel(); // the first finger was not meant to paint
    this.model.sight.setFinger(null);
    this.model.setDrawing({ kind: "pinch", one, other, from: this.model.sight.zoom });
  }

  pinch() {
    const { one, other, from } = this.model.drawing;
    const [a, b] = [...this.pointers.values()];
    if (!b) return;
    const middle = (p, q) => ({ clientX: (p.clientX + q.clientX) / 2, clientY: (p.clientY + q.clientY) / 2 });
    const apart = (p, q) => Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY);
    const [start, now] = [middle(one, other), middle(a, b)];
    const grown = from.times(apart(a, b) / Math.max(1, apart(one, other)), from.pointAt(this.box, start));
    this.model.sight.setZoom(grown.moved(this.box, now.clientX - start.clientX, now.clientY - start.clientY));
  }

  divide(event) {
    const { box } = this;
    this.model.sight.setDivide((event.clientX - box.left) / box.width);
  }

  moveDivider(event) {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation(); // the arrow keys are the line's here
    this.model.sight.setDivide(this.model.habits.divide + step);
  }

  wheel(event) {
    const { zoom } = this.model.sight;
    const focused = this.viewport.getRootNode().activeElement === this.viewport;
    if (!event.ctrlKey && !event.metaKey && zoom.scale === 1 && !focused) return; // scroll the page
    event.preventDefault();
    this.model.sight.setZoom(zoom.times(Math.exp(-event.deltaY / 300), zoom.pointAt(this.box, event)));
  }
}

// --- the keyboard ---------------------------------------------------------------------------------------------------

const step = (down, across) => (model) => model.step(down, across);
const reach = (down, across) => (model) => (model.selecting ? model.selected.reach(down, across) : model.step(down, across));
const selected = (action) => (model) => model.selected.act(action);

/**
 * Groups of keys: their names, what they do in words, and `run`, called with (model, hand, editor); where it returns
 * false, the key is left to the page. `up` is for letting go. `free`: only where no button or slider has the focus.
 * Those without `run` are done with the pointer as well, and are here for the list of keys.
 */
const KEYS = [
  ["Tools", [
    ...TOOL_LIST.map(({ name, key, label, does }) => ({
      keys: [key], does: `${label}: ${does}`, run: (model) => model.usable(name) && model.chooseTool(name),
    })),
    { keys: ["["], does: "Smaller brush", run: (model) => model.resizeBrush(-1) },
    { keys: ["]"], does: "Larger brush", run: (model) => model.resizeBrush(1) },
    { keys: ["X"], does: "Back to the code chosen before, and again", run: (model) => model.palette.swap() },
    { keys: ["Shift+S"], does: "That code and the chosen one change places in the picture", run: (model) => model.palette.exchange() },
    {
      keys: ["Enter"], does: "Apply the tool at the cell; place what is pasted", free: true,
      run: (model, hand) => (model.selected.floating ? model.selected.settle() : hand.applyAt(model.cursor())),
    },
    {
      keys: ["Shift+Enter"], does: "The same with Shift held: a line from the last stroke, one cell more selected", free: true,
      run: (model, hand) => hand.applyAt(model.cursor(), { shiftKey: true }),
    },
    { keys: ["Arrows"], does: "Move the cell, or what is selected or pasted" },
    { keys: ["Shift+click"], does: "A line from where the last stroke ended" },
    { keys: ["Alt+click"], does: "With a brush: take the code you click on" },
  ]],
  ["Selection", [
    { keys: ["Ctrl+A"], does: "Select everything", run: (model) => model.selected.takeAll() },
    { keys: ["Ctrl+C"], does: "Copy", run: selected("copy") },
    { keys: ["Ctrl+X"], does: "Cut: leaves the chosen code", run: selected("cut") },
    { keys: ["Ctrl+V"], does: "Paste; then click where it belongs, or Enter", run: (model) => model.selected.hasCopy && model.selected.paste() },
    { keys: ["H"], does: "Shuffle", run: selected("shuffle") },
    { keys: ["Shift+H"], does: "Flip left and right", run: selected("flip-across") },
    { keys: ["Shift+V"], does: "Flip top and bottom", run: selected("flip-down") },
    { keys: ["Shift+R"], does: "Rotate by a quarter of a turn", run: selected("rotate") },
    { keys: ["Delete", "Backspace"], does: "Erase: back to the encoder's codes", free: true, run: selected("erase") },
    { keys: ["Shift+arrows"], does: "Select from the cell on" },
    { keys: ["Shift+drag", "Alt+drag"], does: "Add to the selection, or take away" },
    { keys: ["Escape"], does: "Leave off a stroke, a paste, a selection, a menu", run: (model, hand, editor) => editor.escape() },
  ]],
  ["History", [
    { keys: ["Ctrl+Z"], does: "Undo", run: (model) => model.undo() },
    { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], does: "Redo", run: (model) => model.redo() },
  ]],
  ["View", [
    ...LAYERS.map(([layer, label, , key]) => ({ keys: [key], does: label, run: (model) => model.sight.chooseLayer(layer) })),
    { keys: ["O"], does: "Hold: the original", run: (model) => model.sight.peek("original"), up: (model) => model.sight.peek(null) },
    { keys: ["\\"], does: "Hold: the unedited reconstruction", run: (model) => model.sight.peek("unedited"), up: (model) => model.sight.peek(null) },
    { keys: ["G"], does: "Lines between the cells", run: (model) => model.habit({ grid: !model.habits.grid }) },
    { keys: ["+"], does: "Zoom in, at the pointer or to the selection", run: (model) => model.sight.zoomBy("in") },
    { keys: ["-"], does: "Zoom out", run: (model) => model.sight.zoomBy("out") },
    { keys: ["0"], does: "The whole picture", run: (model) => model.sight.zoomBy("reset") },
    {
      keys: ["Space"], does: "Hold: drag the picture", free: true,
      run: (model) => model.sight.setPanning(true), up: (model) => model.sight.setPanning(false),
    },
    { keys: ["?"], does: "These keys", run: (model, hand, editor) => editor.showKeys(true) },
  ]],
];
const KEY_LIST = [
  ...KEYS.flatMap(([, entries]) => entries).filter(({ run }) => run),
  { keys: ["ArrowUp"], free: true, run: step(-1, 0) },
  { keys: ["ArrowDown"], free: true, run: step(1, 0) },
  { keys: ["ArrowLeft"], free: true, run: step(0, -1) },
  { keys: ["ArrowRight"], free: true, run: step(0, 1) },
  { keys: ["Shift+ArrowUp"], free: true, run: reach(-1, 0) },
  { keys: ["Shift+ArrowDown"], free: true, run: reach(1, 0) },
  { keys: ["Shift+ArrowLeft"], free: true, run: reach(0, -1) },
  { keys: ["Shift+ArrowRight"], free: true, run: reach(0, 1) },
];

/** Keys work on the whole page but in text fields, while the editor is on it. */
class KeyboardInput {
  constructor(editor) {
    this.editor = editor;
    this.onDown = (event) => this.down(event);
    this.onUp = (event) => this.up(event);
    this.onPaste = (event) => this.paste(event);
  }

  attach() {
    document.addEventListener("keydown", this.onDown); // again and again is once
    document.addEventListener("keyup", this.onUp);
    document.addEventListener("paste", this.onPaste);
  }

  detach() {
    document.removeEventListener("keydown", this.onDown);
    document.removeEventListener("keyup", this.onUp);
    document.removeEventListener("paste", this.onPaste);
  }

  down(event) {
    const { model, hand } = this.editor;
    const alone = !event.altKey || event.getModifierState("AltGraph"); // with which [ and \\ are typed on some keyboards
    if (!model.ready || event.defaultPrevented || !alone || this.elsewhere(event)) return;
    if (this.editor.keys.open && !["Escape", "?"].includes(event.key)) return;
    const entry = keyEntry(event, ({ free }) => !free || this.isFree(event.composedPath()[0], event.key));
    if (!entry || this.isForThePage(event)) return;
    if (entry.run(model, hand, this.editor) !== false) event.preventDefault();
  }

  up(event) {
    if (this.editor.model.ready) keyEntry(event, ({ up }) => up)?.up(this.editor.model);
  }

  /** Whether the key belongs to a text field, a dialog or a menu. */
  elsewhere(event) {
    const path = event.composedPath();
    if (isTextField(path[0])) return true;
    return !path.includes(this.editor.root) && Boolean(document.querySelector(OPEN_ABOVE));
  }

  /** Text that is marked on the page is what Ctrl+C copies; and a picture in the clipboard is for the gallery. */
  isForThePage(event) {
    if (event.composedPath().includes(this.editor.stage.viewport)) return false;
    const [name] = keyNames(event);
    return name === "Ctrl+V" || (["Ctrl+C", "Ctrl+X"].includes(name) && !getSelection().isCollapsed);
  }

  /** Ctrl+V away from the picture: codes, where no file is pasted. */
  paste(event) {
    const { model } = this.editor;
    if (!model.ready || event.clipboardData?.files.length || this.elsewhere(event) || !model.selected.hasCopy) return;
    if (!event.composedPath().includes(this.editor.stage.viewport)) model.selected.paste();
  }

  /** Whether an element leaves arrows, Enter and the space bar to us; plain buttons have no use for arrows. */
  isFree(element, key) {
    if (element === this.editor.stage.viewport || !element.matches?.(TAKES_KEYS)) return true;
    return key.startsWith("Arrow") && element.matches("button:not([role])");
  }
}

const OPEN_ABOVE = '[role="dialog"], [data-testid="stPopoverBody"], [data-baseweb="popover"] [role="listbox"]';
const TAKES_KEYS = 'button, a[href], input, select, summary, canvas[tabindex], [role="option"], [role="slider"], [role="radio"], [role="tab"], li[tabindex]';

/** The entry for an event, among those that fit; a letter with Shift is the letter where it has no entry of its own. */
function keyEntry(event, fits) {
  for (const name of keyNames(event)) {
    const found = KEY_LIST.find((entry) => entry.keys.includes(name) && fits(entry));
    if (found) return found;
  }
  return null;
}

function keyNames(event) {
  const { key, ctrlKey, metaKey, shiftKey } = event;
  const plain = key === " " ? "Space" : key.length === 1 ? key.toUpperCase() : key;
  if ((ctrlKey || metaKey) && !event.getModifierState("AltGraph")) return [`Ctrl+${shiftKey ? "Shift+" : ""}${plain}`];
  return shiftKey ? [`Shift+${plain}`, plain] : [plain];
}

function isTextField(element) {
  return Boolean(element.matches?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]"));
}
