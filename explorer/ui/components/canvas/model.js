// What the editor knows: the document, what is asked of Python, what came back, and how the person works. No DOM.
//
// It changes by named methods only, and says what is news afterwards: a set of topics, once for all that one event did.
// How it is looked at, what is selected and the palette are parts of their own: sight.js, selected.js, palette.js.

/** How the person likes to work; kept while the tab is open, and not worth telling Python. */
const HABITS = {
  edit: { tool: "brush", size: 1, percent: 0, layer: "decoded", grid: false, contiguous: true, compare: null, divide: 0.5 },
  inputs: { tool: "blend", size: 3, percent: 0, layer: "decoded", grid: false, contiguous: true, compare: null, divide: 0.5 },
};
/**
 * The topics: "question" (Python has to be asked), "grid" (codes, weights, history), "asked" (rule, cell, code,
 * marks), "blend", "answer" (a message was taken in), "picture" (other pixels), "palette", "tiles", "habits", "selection", "zoom",
 * "pointer" (hover, and what is being drawn), "complaint", "content" (another one).
 */
class EditorModel {
  constructor() {
    this.listeners = [];
    this.news = new Set();
    this.message = null; // the newest, without what is kept elsewhere
    this.layers = null; // what stays while the content does: original, base, runner-up, unedited
    this.history = null;
    this.atlas = new Atlas();
    this.habits = HABITS.edit; // of the page that this editor is on
    this.asked = { blend: 1, uses_embedding: true, rule: "follow", cell: null, code: 0, overlay: "none" };
    this.marked = null; // what is marked, as it was answered
    this.connected = true; // with the server
    this.animation = null; // the form that is asked for, until it is there
    this.picture = null; // { shape, values }, what the decoder made of `shown`
    this.repainted = null; // [top, left] and part of the picture that its last answer changed; null: all of it
    this.version = 0; // of the picture
    this.shown = null; // the state that the picture was decoded from
    this.answered = null; // id of the entry that the picture is of, where it is of one
    this.drawing = null; // what is being done with the pointer
    this.lastPainted = null; // the cell at which the last stroke ended
    this.slid = -Infinity; // when the blend slider moved last
    this.dragging = false; // the blend slider is being moved
    this.complaint = ""; // why the last key or button did nothing, until something else is done
    this.sight = new Sight(this);
    this.selected = new Selected(this);
    this.palette = new Palette(this);
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

  get selecting() {
    return SELECTING.includes(this.habits.tool);
  }

  /** How much of the embedding the decoder gets where none was painted. */
  get level() {
    return this.asked.uses_embedding ? this.asked.blend : 0;
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
    this.drawing = this.lastPainted = this.shown = this.answered = null;
    this.sight.leave();
    this.selected.leave();
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

  takeMarks(marked) {
    this.marked = marked;
    this.tell("answer");
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
    this.palette.leave(this.asked.code, code);
    this.ask({ code, cell });
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
    this.selected.nudged = null;
    Object.assign(this.asked, this.history.settings);
    if (!this.drawing && !this.dragging) Drafts.keep(this.layers.content, this.history, { title: this.title });
    this.tell("grid", topic, "question");
  }

  /** One more step; where it changes nothing, the reason is said. */
  operate(operation, context = {}) {
    const why = whyNothing(operation, this.state, { ...this.history.context, ...context });
    this.history.do(operation);
    this.edited();
    if (why) this.complain(why);
    else if (["paint", "fill", "replace"].includes(operation.tool)) this.palette.remember(operation.code ?? operation.to);
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
    this.history.undo();
    this.edited();
  }

  redo() {
    if (!this.history.canRedo) return this.complain("Nothing is left to do again.");
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
    if (!SELECTING.includes(tool)) this.selected.leave();
    this.selected.floating = null;
    this.habit({ tool });
  }

  resizeBrush(by) {
    this.habit({ size: clamp(this.habits.size + by, 1, MOST_SIZE) });
  }

  setDrawing(drawing) {
    this.drawing = drawing;
    this.tell("pointer");
  }

  /** What the arrow keys do: move what floats or is selected, or else the cell cursor. */
  step(down, across) {
    const { places, floating } = this.selected;
    if (floating || (places.length && this.selecting)) this.selected.nudge(down, across);
    else this.moveCursor(down, across);
  }

  moveCursor(down, across) {
    const [row, column] = this.cursor();
    const cell = [clamp(row + down, 0, this.rows - 1), clamp(column + across, 0, this.columns - 1)];
    this.sight.reveal(cell);
    this.sight.pointAt(null); // what is said of a cell is said of this one, wherever the mouse lies
    this.ask({ cell });
  }

  complain(sentence) {
    this.complaint = sentence;
    this.tell("complaint");
  }
}

const MOST_SIZE = 9; // cells across a brush
const SLIDE = 1000; // ms between two moves of the blend slider that are one step
