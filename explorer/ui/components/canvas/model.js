// What the editor knows: the document, what is asked of Python, what came back, and how the person works. No DOM.
//
// It changes by named methods only, and says what is news afterwards: a set of topics, once for all that one event did.

/** How the person likes to work; kept while the tab is open, and not worth telling Python. */
const HABITS = {
  edit: { tool: "brush", size: 1, percent: 0, layer: "decoded", grid: false },
  inputs: { tool: "blend", size: 3, percent: 0, layer: "decoded", grid: false },
};
let clipboard = null; // { clip, content } of the last copy, for any picture of this tab

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
    this.palette = { kind: "picture", text: "", place: null };
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
    this.selection = null; // a rectangle of cells
    this.drawing = null; // what is being done with the pointer
    this.peeking = false; // the key for the original is held
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
    return this.peeking ? "original" : this.habits.layer;
  }

  get state() {
    return this.history.state;
  }

  /** What the edit is of, in words. */
  get title() {
    const { about } = this.message;
    return about ? `${about.picture}, ${about.size} px, ${about.checkpoint}` : "";
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
    this.drawing = this.hover = this.selection = this.shown = this.answered = null;
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

  chooseCode(code) {
    this.ask({ code });
  }

  chooseBlend(values, dragging) {
    this.dragging = dragging;
    Object.assign(this.asked, values);
    this.tell("blend", "question"); // the rest of the screen follows with the answer
  }

  choosePalette(values) {
    this.palette = { ...this.palette, ...values };
    this.tell("palette", "question");
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

  /** The grid has changed: it shows at once, and its picture is asked for. */
  edited() {
    this.complaint = "";
    if (!this.drawing) Drafts.keep(this.layers.content, this.history, { title: this.title });
    this.tell("grid", "question");
  }

  operate(operation) {
    this.history.do(operation);
    this.edited();
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
    this.history.undo();
    this.edited();
  }

  redo() {
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

  /** Every cell's code and weight, as one step. */
  setAll(indices, weights) {
    this.operate({ tool: "set", places: indices.map((_, place) => place), indices, weights });
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
    if (tool !== "select") this.select(null);
    this.habit({ tool });
  }

  chooseLayer(layer) {
    this.habit({ layer });
    this.tell("picture");
  }

  resizeBrush(by) {
    this.habit({ size: clamp(this.habits.size + by, 1, MOST_SIZE) });
  }

  peek(peeking) {
    if (this.peeking === peeking) return;
    this.peeking = peeking;
    this.tell("picture", "habits");
  }

  setPanning(panning) {
    this.panning = panning;
    this.tell("pointer");
  }

  setHover(cell) {
    if (same(cell, this.hover)) return;
    this.hover = cell;
    this.tell("pointer");
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.tell("pointer");
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.tell("zoom");
  }

  zoomBy(which) {
    const { cell } = this.asked;
    const from = which === "in" && cell && this.zoom.scale === 1
      ? Object.assign(new Zoom(), this.placement.middleOf(cell)) : this.zoom;
    this.setZoom(which === "reset" ? new Zoom() : from.times(which === "in" ? ZOOM_STEP : 1 / ZOOM_STEP));
  }

  /** Move the cell cursor, and the picture where that would be out of sight. */
  goToCell(cell) {
    const { placement } = this;
    const { x, y } = placement.middleOf(cell);
    if (!placement.inSight(cell)) this.setZoom(new Zoom(this.zoom.scale, x, y));
    this.ask({ cell });
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

  select(rectangle) {
    this.selection = rectangle;
    this.tell("selection");
  }

  selectAll() {
    this.chooseTool("select");
    this.select({ top: 0, left: 0, bottom: this.rows, right: this.columns });
  }

  copy() {
    if (!this.selection) return;
    clipboard = { clip: copyClip(this.state, this.selection), content: this.layers.content };
    this.tell("selection");
  }

  paste() {
    if (!clipboard) return;
    const { clip } = clipboard;
    if (clip.indices.some((code) => code >= this.message.codes)) {
      this.complain(`The copy has codes that this codebook of ${this.message.codes.toLocaleString("en")} lacks; copy from a picture of this checkpoint.`);
      return;
    }
    const [row, column] = this.asked.cell ?? (this.selection ? [this.selection.top, this.selection.left] : [0, 0]);
    this.operate({ tool: "paste", row, column, clip });
    this.chooseTool("select");
    this.select(this.clipped({ top: row, left: column, bottom: row + clip.rows, right: column + clip.columns }));
  }

  clipped({ top, left, bottom, right }) {
    const inside = { top: Math.max(0, top), left: Math.max(0, left), bottom: Math.min(this.rows, bottom), right: Math.min(this.columns, right) };
    return inside.top < inside.bottom && inside.left < inside.right ? inside : null;
  }

  /** Do something with the cells that are selected. */
  withSelected(action) {
    if (!this.selection) return;
    const places = rectanglePlaces(this.selection, this.columns);
    if (action === "copy" || action === "cut") this.copy();
    if (action === "cut" || action === "fill") this.paintAll(places);
    if (action === "shuffle") this.operate({ tool: "shuffle", places, seed: Math.floor(Math.random() * 2 ** 32) });
    if (action === "erase" || action === "runner-up") this.operate({ tool: action, places });
    if (action === "blend") this.operate({ tool: "blend", places, percent: this.habits.percent });
  }

  /** Drag what is selected by so many cells. */
  moveSelected(down, across) {
    const { top, left } = this.selection;
    this.operate({ tool: "move", from: this.selection, row: top + down, column: left + across, code: this.asked.code });
    this.select(this.clipped(moved(this.selection, down, across)));
  }

  /** Let go of the selection, or else of the cell. */
  letGo() {
    if (this.selection) this.select(null);
    else this.ask({ cell: null });
  }
}

const MOST_SIZE = 9; // cells across a brush
const ZOOM_STEP = 1.6;

function moved({ top, left, bottom, right }, down, across) {
  return { top: top + down, left: left + across, bottom: bottom + down, right: right + across };
}

function within([row, column], { top, left, bottom, right }) {
  return row >= top && row < bottom && column >= left && column < right;
}
