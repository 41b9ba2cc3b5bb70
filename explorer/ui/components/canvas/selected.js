// What is selected, what is done with it, and a paste that floats until it is placed.

let clipboard = null; // { clip, content, corner } of the last copy, for any picture of this tab
const AXES = { "flip-across": "horizontal", "flip-down": "vertical" };

class Selected {
  constructor(model) {
    this.model = model;
    this.leave();
  }

  /** Another grid: nothing is selected. */
  leave() {
    this.places = []; // as in selection.js
    this.floating = null; // { clip, row, column, corner }, a paste that is not placed yet
    this.nudged = null; // what the arrow keys have moved so far: { from, down, across }
    this.anchor = this.reached = null; // where steps with Shift began, and what they have selected so far
    this.model.tell("selection");
  }

  get hasCopy() {
    return Boolean(clipboard);
  }

  take(places) {
    this.places = places;
    this.nudged = null;
    this.model.tell("selection");
  }

  /** Select the rectangle from where the first of such steps began to where this one leads. */
  reach(down, across) {
    const { model } = this;
    if (this.reached !== this.places) this.anchor = model.cursor(); // selected in another way since
    model.moveCursor(down, across);
    this.take(rectanglePlaces(rectangleBetween(this.anchor, model.cursor()), model.columns));
    this.reached = this.places;
  }

  takeAll() {
    this.model.chooseTool("select");
    this.take([...this.model.state.indices.keys()]);
  }

  /** Let go of it, or else of the cell. */
  letGo() {
    if (this.places.length) this.take([]);
    else this.model.ask({ cell: null });
  }

  // --- what is done with it

  act(action) {
    const { places, model, model: { asked: { code } } } = this;
    if (action === "paste") this.paste();
    else if (this.floating && TURNS.includes(action)) this.turnFloating(action);
    else if (!places.length) model.complain("Select some cells first, with S, L or M.");
    else if (action === "copy") this.copy();
    else if (action === "cut") this.cut();
    else if (action === "fill") model.operate({ tool: "paint", places, code, by: "fill" });
    else if (action === "shuffle") model.operate({ tool: "shuffle", places, seed: Math.floor(Math.random() * 2 ** 32) });
    else if (action === "blend") model.operate({ tool: "blend", places, percent: model.habits.percent });
    else if (action === "rotate") this.rotate();
    else if (action in AXES) this.flip(AXES[action]);
    else model.operate({ tool: action, places });
  }

  copy() {
    const { places, model: { columns, state, layers: { content } } } = this;
    const { top, left } = boundingBox(places, columns);
    clipboard = { clip: copyClip(state, places), content, corner: [top, left] };
    this.model.tell("selection");
  }

  cut() {
    this.copy();
    this.model.operate({ tool: "paint", places: this.places, code: this.model.asked.code, by: "cut" });
  }

  flip(axis) {
    const { model, places: from } = this;
    model.operate({ tool: "flip", from, axis, code: model.asked.code });
    this.take(flipPlaces(from, axis, model.columns));
  }

  rotate() {
    const { model, places: from } = this;
    model.operate({ tool: "rotate", from, quarters: 1, code: model.asked.code });
    this.take(rotatePlaces(from, 1, model.rows, model.columns));
  }

  /** Drag it by so many cells. */
  move(down, across) {
    const { model, places: from } = this;
    model.operate(this.moveOf(from, down, across));
    this.take(movePlaces(from, down, across, model.rows, model.columns));
  }

  /** Move it, or what floats, as the arrow keys do: cell by cell, and all of it is one step. */
  nudge(down, across) {
    const { floating, model, nudged } = this;
    if (floating) return this.float({ ...floating, row: floating.row + down, column: floating.column + across });
    const before = nudged ?? { from: this.places, down: 0, across: 0 };
    const now = { from: before.from, down: before.down + down, across: before.across + across };
    const operation = this.moveOf(now.from, now.down, now.across);
    if (nudged) model.extend(operation);
    else model.operate(operation);
    this.take(movePlaces(now.from, now.down, now.across, model.rows, model.columns));
    this.nudged = now;
  }

  moveOf(from, down, across) {
    const { top, left } = boundingBox(from, this.model.columns);
    return { tool: "move", from, row: top + down, column: left + across, code: this.model.asked.code };
  }

  // --- a paste

  /** Have the copy float over the grid until it is placed. */
  paste() {
    const { model } = this;
    if (!clipboard) return model.complain("Nothing was copied yet.");
    const { clip, content, corner } = clipboard;
    if (content.split("-")[0] !== model.checkpoint) {
      return model.complain("The copy has codes of another codebook; copy from a picture of this checkpoint.");
    }
    const [row, column] = model.asked.cell ?? corner;
    const at = model.sight.hover ? this.cornerUnder(clip, model.sight.hover) : { row, column };
    model.chooseTool("select");
    this.float({ clip, ...at, corner: content === model.layers.content ? corner : null });
  }

  /** Where a clip's first cell is when its middle is at a cell. */
  cornerUnder({ rows, columns }, [row, column]) {
    return { row: row - (rows >> 1), column: column - (columns >> 1) };
  }

  float(floating) {
    this.floating = floating;
    this.model.complain("");
    this.model.tell("selection");
  }

  /** Have what floats, if anything does, under a pointer. */
  floatAt(cell) {
    const { floating } = this;
    if (!floating) return;
    const { row, column } = this.cornerUnder(floating.clip, cell);
    if (row !== floating.row || column !== floating.column) this.float({ ...floating, row, column });
  }

  turnFloating(action) {
    const { clip } = this.floating;
    this.float({ ...this.floating, clip: action === "rotate" ? rotateClip(clip) : flipClip(clip, AXES[action]), corner: null });
  }

  /** Put what floats where it is, and have it selected. */
  settle() {
    const { model, floating: { clip, row, column, corner } } = this;
    this.floating = null;
    model.operate({ tool: "paste", row, column, clip }, { copiedFrom: corner });
    this.take(selectionSorted(toolPastedPlaces(row, column, clip, model.state).map(([place]) => place)));
  }

  drop() {
    this.float(null);
  }
}

const TURNS = [...Object.keys(AXES), "rotate"];
