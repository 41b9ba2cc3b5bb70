// What the editor knows: the document, what is asked of Python, what came back, and how the person works. No DOM.
//
// It changes by named methods only, and says what is news afterwards: a set of topics, once for all that one event did.

/** How the person likes to work; kept while the tab is open, and not worth telling Python. */
const HABITS = {
  edit: { tool: "brush", size: 1, percent: 0, layer: "decoded", grid: false, contiguous: true, compare: null, divide: 0.5 },
  inputs: { tool: "blend", size: 3, percent: 0, layer: "decoded", grid: false, contiguous: true, compare: null, divide: 0.5 },
};
let clipboard = null; // { clip, content, corner } of the last copy, for any picture of this tab
const codesUsed = new Map(); // checkpoint -> the codes that were painted with last, the newest first
const MOST_USED = 12;

/**
 * The topics: "question" (Python has to be asked), "grid" (codes, weights, history), "asked" (rule, cell, code,
 * marks), "blend", "answer" (a message was taken in), "picture" (other pixels), "palette", "tiles", "habits", "selection", "zoom",
 * "pointer" (hover, and what is being drawn), "complaint", "content" (another one).
 */
class EditorModel {
  constructor() {
    this.message = null; // the newest, without what is kept elsewhere
    this.layers = null; // what stays while the content does: original, base, runner-up, unedited
    this.history = null;
    this.atlas = new Atlas();
    this.habits = HABITS.edit; // of the page that this editor is on
    this.asked = { blend: 1, uses_embedding: true, rule: "follow", cell: null, code: 0, overlay: "none" };
    this.palette = { kind: "picture", text: "", place: null, patch: null }; // text: numbers, or #rrggbb; patch: RGB bytes
    this.takingColour = false; // the next press on the picture takes its colour
    this.offered = null; // the palette that was answered
    this.marked = null; // so with the marks
    this.map = null;
    this.connected = true; // with the server
    this.animation = null; // the form that is asked for, until it is there
    this.picture = null; // { shape, values }, what the decoder made of `shown`
    this.repainted = null; // [top, left] and part of the picture that its last answer changed; null: all of it
    this.version = 0; // of the picture
    this.shown = null; // the state that the picture was decoded from
    this.answered = null; // id of the entry that the picture is of, where it is of one
    this.zoom = new Zoom();
    this.hover = null;
    this.selection = []; // places, as in selection.js
    this.floating = null; // { clip, row, column, corner }, a paste that is not placed yet
    this.drawing = null; // what is being done with the pointer
    this.finger = null; // where a finger is down, as an event
    this.lastPainted = null; // the cell at which the last stroke ended
    this.nudged = null; // what the arrow keys have moved so far: { from, down, across }
    this.slid = -Infinity; // when the blend slider moved last
    this.previousCode = null; // the one that was chosen before
    this.peeking = null; // the layer that a key shows while it is held
    this.panning = false; // so is the space bar
    this.dragging = false; // the blend slider is being moved
    this.complaint = ""; // why the last key or button did nothing, until something else is done
    this.listeners = [];
    this.news = new Set();
  }

  /** Have a function called with the set of topics after each change. */
  listen(listener) {
    this.listeners.push(listener);
  }

  tell(...topics) {
    if (!this.news.size) queueMicrotask(() => this.publish());
    for (const topic of topics) this.news.add(topic);
  }

  publish() {
    const { news } = this;
    this.news = new Set();
    for (const listener of this.listeners) listener(news);
  }

  // --- what follows from it

  get ready() {
    return Boolean(this.history && this.picture && this.layers.content === this.message.content);
  }

  get inputsPage() {
    return this.message.mode === "inputs";
  }

  /** The grid and its picture, as `Placement` takes them. */
  get measures() {
    const [height, width] = this.layers.original.shape;
    return { rows: this.rows, columns: this.columns, stride: this.message.stride, height, width };
  }

  /** Where the cells lie in a viewport of one CSS pixel's width: for what does not depend on its size. */
  get placement() {
    const { height, width } = this.measures;
    return new Placement(this.measures, this.zoom, { left: 0, top: 0, width: 1, height: height / width });
  }

  get layer() {
    return this.peeking ?? this.habits.layer;
  }

  get state() {
    return this.history.state;
  }

  /** What the edit is of, in words. */
  get title() {
    const { about } = this.message;
    return about ? `${about.picture}, ${about.size} px, ${about.checkpoint}` : "";
  }

  /** The part of the content's name that says which checkpoint it is. */
  get checkpoint() {
    return this.layers.content.split("-")[0];
  }

  /** The codes that were painted with last, the newest first. */
  get recent() {
    return codesUsed.get(this.checkpoint) ?? [];
  }

  get selecting() {
    return SELECTING.includes(this.habits.tool);
  }

  /** The marks on the screen: while the blend brush is in hand, the blended cells show by themselves. */
  get shownMarks() {
    const { overlay } = this.asked;
    return overlay === "none" && this.habits.tool === "blend" && !this.peeking ? "blend" : overlay;
  }

  /** Whether there is anything to be seen of them. */
  get hasMarks() {
    if (this.shownMarks === "blend") return this.state.weights.some((weight) => weight !== UNPAINTED);
    return this.shownMarks !== "none" && this.marked?.kind === this.shownMarks;
  }

  /** How much of the embedding the decoder gets where none was painted. */
  get level() {
    return this.asked.uses_embedding ? this.asked.blend : 0;
  }

  get hasCopy() {
    return Boolean(clipboard);
  }

  place([row, column]) {
    return row * this.columns + column;
  }

  cellOf(place) {
    return [Math.floor(place / this.columns), place % this.columns];
  }

  codeAt(cell) {
    return this.state.indices[this.place(cell)];
  }

  usable(tool) {
    return !this.inputsPage || TOOLS_OF_INPUTS.includes(tool);
  }

  /** The cell cursor; where there is none, the middle. */
  cursor() {
    return this.asked.cell ?? [Math.floor(this.rows / 2), Math.floor(this.columns / 2)];
  }

  // --- another picture, and what was answered about it

  /** Another grid: nothing of what was done with the last one's pointer goes on. */
  leave() {
    this.drawing = this.hover = this.floating = this.finger = this.lastPainted = this.nudged = null;
    this.shown = this.answered = null;
    this.selection = [];
    this.zoom = new Zoom();
    this.tell("zoom", "selection", "pointer");
  }

  /** Without the server, what it said of the edit is no longer so. */
  setConnected(connected) {
    this.connected = connected;
    this.tell("answer");
  }

  /** The newest message: what it says of the page, and in words. */
  heed(message) {
    this.message = message;
    this.habits = HABITS[message.mode];
    this.tell("answer");
  }

  /** What Python understood, once nothing more is asked. */
  agree(asked) {
    for (const name of Object.keys(this.asked)) this.asked[name] = asked[name];
  }

  /** Settings that were changed on another page are one more step, but never drop what was undone. */
  adoptSettings() {
    if (!this.history.canRedo) this.history.do({ tool: "settings", ...toolSettings(this.asked) });
    Object.assign(this.asked, this.history.settings);
  }

  /** The parts that stay while the content does; the history only where this is another content. */
  open(layers, [rows, columns], history) {
    Object.assign(this, { layers, rows, columns });
    if (history) {
      this.history = history;
      this.tell("grid", "content");
    }
    this.tell("picture");
  }

  takePicture(picture, { part = null, corner = null, shown, entry }) {
    this.picture = picture;
    this.repainted = part && { part, corner };
    this.version += 1;
    this.markShown(shown, entry);
    this.tell("picture");
  }

  /** Pictures of the grid beside that of the edit: `unedited`, `codesOnly`. */
  learn(layers) {
    Object.assign(this.layers, layers);
    this.tell("picture");
  }

  learnTiles(codes, tiles) {
    this.atlas.add(codes, tiles);
    this.tell("tiles");
  }

  takePalette(offered) {
    this.offered = offered;
    this.tell("palette");
  }

  takeMarks(marked) {
    this.marked = marked;
    this.tell("answer");
  }

  takeMap(map) {
    this.map = map;
    this.tell("palette");
  }

  /** What the picture on the screen is of. */
  markShown(state, entry) {
    this.shown = state;
    this.answered = entry ?? null;
    this.tell("answer");
  }

  // --- what is asked for

  /** Ask for something else than another grid. */
  ask(values) {
    Object.assign(this.asked, values);
    this.complaint = "";
    this.tell("asked", "question");
  }

  /** Move the cell cursor; Python hears of it with whatever comes next. */
  setCell(cell) {
    this.asked.cell = cell;
    this.tell("asked");
  }

  chooseCode(code, cell = this.asked.cell) {
    if (code !== this.asked.code) this.previousCode = this.asked.code;
    this.ask({ code, cell });
  }

  /** Paint with the code that was chosen before this one; again, and it is this one. */
  swapCodes() {
    if (this.previousCode === null) return this.complain("No other code was chosen before this one.");
    this.chooseCode(this.previousCode);
  }

  chooseRule(rule) {
    this.operate({ tool: "settings", rule });
  }

  /** Blend and switch are steps as well; one drag of the slider is one. */
  chooseBlend({ blend, uses_embedding }, dragging) {
    const goesOn = this.dragging || performance.now() - this.slid < SLIDE;
    this.dragging = dragging;
    if (uses_embedding !== this.history.settings.uses_embedding) this.history.do({ tool: "settings", uses_embedding });
    if (blend !== undefined) {
      this.slid = performance.now();
      if (goesOn) this.history.extend({ tool: "settings", blend });
      else this.history.do({ tool: "settings", blend });
    }
    this.edited("blend"); // the rest of the screen follows with the answer
  }

  choosePalette(values) {
    this.palette = { ...this.palette, ...values };
    this.takingColour = false;
    this.tell("palette", "question");
  }

  /** Have the next press on the picture take its colour, or no more. */
  takeColour() {
    this.takingColour = !this.takingColour;
    this.tell("palette");
  }

  /** Codes that look like the mean of the picture's cell there. */
  lookLike(cell) {
    const { values, shape: [height, width] } = this.picture;
    const { stride } = this.message;
    const sums = [0, 0, 0];
    let count = 0;
    for (let y = cell[0] * stride; y < Math.min(height, (cell[0] + 1) * stride); y += 1) {
      for (let x = cell[1] * stride; x < Math.min(width, (cell[1] + 1) * stride); x += 1, count += 1) {
        for (let channel = 0; channel < 3; channel += 1) sums[channel] += values[3 * (y * width + x) + channel];
      }
    }
    const text = `#${sums.map((sum) => Math.round(sum / Math.max(1, count)).toString(16).padStart(2, "0")).join("")}`;
    this.choosePalette({ kind: "look", text, patch: null });
  }

  endAnimation() {
    this.animation = null;
    this.tell("grid");
  }

  askForAnimation(form) {
    this.animation = { form, sent: false };
    this.tell("grid", "question");
  }

  // --- the document

  /** The grid or its settings have changed: it shows at once, and its picture is asked for. */
  edited(topic = "asked") {
    this.complaint = "";
    Object.assign(this.asked, this.history.settings);
    if (!this.drawing && !this.dragging) Drafts.keep(this.layers.content, this.history, { title: this.title });
    this.tell("grid", topic, "question");
  }

  /** One more step; where it changes nothing, the reason is said. */
  operate(operation) {
    const why = whyNothing(operation, this.state, this.history.context);
    this.nudged = null;
    this.history.do(operation);
    this.edited();
    if (why) this.complain(why);
    else if (["paint", "fill", "replace"].includes(operation.tool)) this.remember(operation.code ?? operation.to);
  }

  /** A code was painted with. */
  remember(code) {
    if (this.recent[0] === code) return;
    codesUsed.set(this.checkpoint, [code, ...this.recent.filter((used) => used !== code)].slice(0, MOST_USED));
    this.tell("palette");
  }

  /** Go on with the stroke that is being drawn. */
  extend(operation) {
    this.history.extend(operation);
    this.edited();
  }

  /** Undo what a stroke has drawn so far, if it has changed anything; `after` is the entry before it. */
  takeBack(after) {
    if (this.history.entries.at(-1)?.id !== after) this.history.takeBack();
    this.edited();
  }

  undo() {
    if (!this.history.canUndo) return this.complain("Nothing is left to undo.");
    this.nudged = null;
    this.history.undo();
    this.edited();
  }

  redo() {
    if (!this.history.canRedo) return this.complain("Nothing is left to do again.");
    this.nudged = null;
    this.history.redo();
    this.edited();
  }

  startOver() {
    this.operate({ tool: "clear" });
  }

  goTo(position) {
    this.history.goTo(position);
    this.edited();
  }

  toggleEntry(number) {
    this.history.toggle(number);
    this.edited();
  }

  paintAll(places) {
    this.operate({ tool: "paint", places, code: this.asked.code });
  }

  /** Put a code at the cell cursor. */
  putHere(code) {
    if (this.asked.cell) this.operate({ tool: "paint", places: [this.place(this.asked.cell)], code });
  }

  /** Every cell's code and weight, and the settings, as one step. */
  setAll(indices, weights) {
    const settings = toolSettings(this.asked);
    this.operate({ tool: "set", places: indices.map((_, place) => place), indices, weights, settings });
  }

  /** The history that a kept document is; null where it does not fit this grid. */
  historyOf(document) {
    return History.fromJSON(document, this.history.initial, this.history.context, this.message.codes);
  }

  /** Go on with another history of this content. */
  reopen(history) {
    this.history = history;
    this.edited();
  }

  // --- how the person works

  habit(values) {
    Object.assign(this.habits, values);
    this.tell("habits");
  }

  chooseTool(tool) {
    if (!SELECTING.includes(tool)) this.select([]);
    this.floating = null;
    this.habit({ tool });
  }

  chooseLayer(layer) {
    this.habit({ layer });
    this.tell("picture");
  }

  resizeBrush(by) {
    this.habit({ size: clamp(this.habits.size + by, 1, MOST_SIZE) });
  }

  /** Show another layer for as long as a key is held; null: that of before. */
  peek(layer) {
    if (this.peeking === layer) return;
    this.peeking = layer;
    this.tell("picture", "habits");
  }

  /** Have a line over the picture, with something else to its left: "unedited", "original", or null for none. */
  compareWith(layer) {
    this.habit({ compare: layer });
  }

  setDivide(divide) {
    this.habit({ divide: clamp(divide, 0, 1) });
  }

  setPanning(panning) {
    this.panning = panning;
    this.tell("pointer");
  }

  setHover(cell) {
    if (same(cell, this.hover)) return;
    this.hover = cell;
    if (cell && this.floating) this.floatAt(cell);
    this.tell("pointer");
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.tell("pointer");
  }

  /** A finger is down there, or no more. */
  setFinger(event) {
    this.finger = event;
    this.tell("pointer");
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.tell("zoom");
  }

  /** In, at the cell that is pointed at, or else to the selection or the cell cursor; out; or back to all of it. */
  zoomBy(which) {
    if (which === "reset") return this.setZoom(new Zoom());
    const { placement, selection, asked, hover, zoom } = this;
    if (which === "out") return this.setZoom(zoom.times(1 / ZOOM_STEP));
    if (hover) return this.setZoom(zoom.times(ZOOM_STEP, placement.middleOf(hover)));
    if (zoom.scale > 1 || !(selection.length || asked.cell)) return this.setZoom(zoom.times(ZOOM_STEP));
    if (!selection.length) {
      const { x, y } = placement.middleOf(asked.cell);
      return this.setZoom(Object.assign(new Zoom(), { x, y }).times(ZOOM_STEP));
    }
    const { top, left, bottom, right } = boundingBox(selection, this.columns);
    const { x, y } = placement.middleOf([(top + bottom - 1) / 2, (left + right - 1) / 2]);
    const fits = 0.8 * Math.min(this.rows / (bottom - top), this.columns / (right - left));
    this.setZoom(new Zoom(Math.max(ZOOM_STEP, fits), x, y));
  }

  /** Move the cell cursor, and the picture where that would be out of sight. */
  goToCell(cell) {
    const { placement } = this;
    const { x, y } = placement.middleOf(cell);
    if (!placement.inSight(cell)) this.setZoom(new Zoom(this.zoom.scale, x, y));
    this.setHover(null); // what is said of a cell is said of this one, wherever the mouse lies
    this.ask({ cell });
  }

  /** What the arrow keys do: move a paste that floats, the content of a selection, or else the cell cursor. */
  step(down, across) {
    if (this.floating) {
      const { row, column } = this.floating;
      this.float({ ...this.floating, row: row + down, column: column + across });
    } else if (this.selection.length && this.selecting) this.nudge(down, across);
    else this.moveCursor(down, across);
  }

  moveCursor(down, across) {
    const [row, column] = this.cursor();
    this.goToCell([clamp(row + down, 0, this.rows - 1), clamp(column + across, 0, this.columns - 1)]);
  }

  complain(sentence) {
    this.complaint = sentence;
    this.tell("complaint");
  }

  // --- the selection and the clipboard

  select(places) {
    this.selection = places;
    this.nudged = null;
    this.tell("selection");
  }

  selectAll() {
    this.chooseTool("select");
    this.select([...this.state.indices.keys()]);
  }

  /** Do something with the cells that are selected. */
  withSelected(action) {
    const { floating, selection: places, asked: { code } } = this;
    if (floating && (action === "flip-across" || action === "flip-down" || action === "rotate")) return this.turnFloating(action);
    if (!places.length) return this.complain("Select some cells first: S, L or M.");
    if (action === "copy" || action === "cut") this.copy();
    if (action === "cut") this.operate({ tool: "paint", places, code, by: "cut" });
    if (action === "fill") this.operate({ tool: "paint", places, code, by: "fill" });
    if (action === "shuffle") this.operate({ tool: "shuffle", places, seed: Math.floor(Math.random() * 2 ** 32) });
    if (action === "erase" || action === "runner-up") this.operate({ tool: action, places });
    if (action === "blend") this.operate({ tool: "blend", places, percent: this.habits.percent });
    if (action === "flip-across" || action === "flip-down") this.flip(action === "flip-across" ? "horizontal" : "vertical");
    if (action === "rotate") this.rotate();
  }

  copy() {
    const { top, left } = boundingBox(this.selection, this.columns);
    clipboard = { clip: copyClip(this.state, this.selection), content: this.layers.content, corner: [top, left] };
    this.tell("selection");
  }

  /** Have the copy float over the grid until it is placed. */
  paste() {
    if (!clipboard) return this.complain("Nothing was copied yet.");
    const { clip, content, corner } = clipboard;
    if (content.split("-")[0] !== this.checkpoint) {
      return this.complain("The copy has codes of another codebook; copy from a picture of this checkpoint.");
    }
    const { hover, asked: { cell } } = this;
    this.chooseTool("select");
    this.float({ clip, ...this.cornerFor(clip, hover, cell ?? corner), corner: content === this.layers.content ? corner : null });
  }

  cornerFor({ rows, columns }, pointed, cell) {
    if (!pointed) return { row: cell[0], column: cell[1] };
    return { row: pointed[0] - (rows >> 1), column: pointed[1] - (columns >> 1) };
  }

  float(floating) {
    this.floating = floating;
    this.complaint = "";
    this.tell("selection");
  }

  /** Have it under a pointer. */
  floatAt(cell) {
    this.float({ ...this.floating, ...this.cornerFor(this.floating.clip, cell) });
  }

  turnFloating(action) {
    const { clip } = this.floating;
    const turned = action === "rotate" ? rotateClip(clip) : flipClip(clip, action === "flip-across" ? "horizontal" : "vertical");
    this.float({ ...this.floating, clip: turned, corner: null });
  }

  /** Put what floats where it is, and have it selected. */
  settle() {
    const { clip, row, column, corner } = this.floating;
    const operation = { tool: "paste", row, column, clip };
    const why = whyNothing(operation, this.state, { ...this.history.context, copiedFrom: corner });
    this.floating = null;
    this.operate(operation);
    if (why) this.complain(why);
    this.select(selectionSorted(toolPastedPlaces(row, column, clip, this.state).map(([place]) => place)));
  }

  dropFloating() {
    this.float(null);
  }

  flip(axis) {
    const from = this.selection;
    this.operate({ tool: "flip", from, axis, code: this.asked.code });
    this.select(flipPlaces(from, axis, this.columns));
  }

  rotate() {
    const from = this.selection;
    this.operate({ tool: "rotate", from, quarters: 1, code: this.asked.code });
    this.select(rotatePlaces(from, 1, this.rows, this.columns));
  }

  /** Drag what is selected by so many cells. */
  moveSelected(down, across) {
    const from = this.selection;
    this.operate(this.moveOf(from, down, across));
    this.select(movePlaces(from, down, across, this.rows, this.columns));
  }

  /** By the arrow keys, cell by cell: all of it is one step. */
  nudge(down, across) {
    const before = this.nudged ?? { from: this.selection, down: 0, across: 0 };
    const now = { from: before.from, down: before.down + down, across: before.across + across };
    if (before === this.nudged) this.history.extend(this.moveOf(now.from, now.down, now.across));
    else this.history.do(this.moveOf(now.from, now.down, now.across));
    this.edited();
    this.select(movePlaces(now.from, now.down, now.across, this.rows, this.columns));
    this.nudged = now;
  }

  moveOf(from, down, across) {
    const { top, left } = boundingBox(from, this.columns);
    return { tool: "move", from, row: top + down, column: left + across, code: this.asked.code };
  }

  /** Let go of the selection, or else of the cell. */
  letGo() {
    if (this.selection.length) this.select([]);
    else this.ask({ cell: null });
  }
}

const MOST_SIZE = 9; // cells across a brush
const ZOOM_STEP = 1.6;
const SLIDE = 1000; // ms between two moves of the blend slider that are one step
