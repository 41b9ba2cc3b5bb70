// What each tool does with a press, a drag and a release on the grid.

/** Turns what a pointer (or the Enter key) does on cells into changes of the model. */
class Hand {
  constructor(model) {
    this.model = model;
  }

  /** keys: which of Shift and Alt are held; point: [row, column] as fractions, for the lasso. */
  begin(cell, { shiftKey = false, altKey = false } = {}, point = null) {
    const { model } = this;
    const { tool } = model.habits;
    if (model.selected.floating) return model.selected.settle();
    if (model.palette.takingColour) return model.palette.lookLike(cell);
    model.setCell(cell);
    if (STROKES.includes(tool)) this.beginStroke(cell, shiftKey);
    else if (tool === "fill") model.operate({ tool: "fill", place: model.place(cell), code: model.asked.code });
    else if (tool === "replace") model.operate({ tool: "replace", from: model.codeAt(cell), to: model.asked.code });
    else if (tool === "pick") this.pick(cell);
    else if (model.selecting) this.beginSelection(cell, selectionMode({ shiftKey, altKey }), point);
    else model.setDrawing({ kind: "rectangle", start: cell, last: cell });
  }

  /** With Shift, a line from where the last one ended. */
  beginStroke(cell, joined) {
    const { model } = this;
    const { habits: { size }, rows, columns, lastPainted } = model;
    model.setDrawing({ kind: "stroke", last: cell, after: model.history.entries.at(-1)?.id });
    const places = joined && lastPainted ? linePlaces(lastPainted, cell, size, rows, columns) : brushPlaces(...cell, size, rows, columns);
    model.operate(this.stroke(places));
  }

  beginSelection(cell, mode, point) {
    const { model } = this;
    const { tool, contiguous } = model.habits;
    if (mode === "replace" && model.selected.places.includes(model.place(cell))) {
      model.setDrawing({ kind: "move", start: cell, last: cell });
    } else if (tool === "wand") {
      model.selected.take(combineSelections(model.selected.places, wandPlaces(model.state, model.place(cell), contiguous), mode));
    } else if (tool === "lasso") {
      model.setDrawing({ kind: "lasso", mode, points: [point ?? [cell[0] + 0.5, cell[1] + 0.5]], start: cell, last: cell });
    } else model.setDrawing({ kind: "rectangle", mode, start: cell, last: cell });
  }

  goOn(cell, point = null) {
    const { model } = this;
    const { drawing } = model;
    if (drawing.kind === "lasso" && point) return model.setDrawing({ ...drawing, points: [...drawing.points, point], last: cell });
    if (same(cell, drawing.last)) return;
    if (drawing.kind === "stroke") {
      model.extend(this.stroke(linePlaces(drawing.last, cell, model.habits.size, model.rows, model.columns)));
    }
    model.setDrawing({ ...drawing, last: cell });
  }

  end() {
    const { model } = this;
    const { drawing } = model;
    model.setDrawing(null);
    if (drawing.kind === "stroke") this.endStroke(drawing);
    if (drawing.kind === "rectangle") this.endRectangle(drawing);
    if (drawing.kind === "lasso") this.endLasso(drawing);
    if (drawing.kind === "move") this.endMove(drawing);
  }

  /** Leave off: what was drawn so far was not meant. */
  cancel() {
    const { drawing } = this.model;
    this.model.setDrawing(null);
    if (drawing?.kind === "stroke") this.model.takeBack(drawing.after);
  }

  /** Press and let go at once: what Enter does at the cell cursor. */
  applyAt(cell, keys = {}) {
    this.begin(cell, keys);
    const { drawing } = this.model;
    if (["stroke", "rectangle"].includes(drawing?.kind)) this.end();
    else this.model.setDrawing(null);
  }

  pick(cell) {
    this.model.chooseCode(this.model.codeAt(cell), cell);
  }

  /** The operation of a stroke tool at some places. */
  stroke(places) {
    const { tool, percent } = this.model.habits;
    if (tool === "brush") return { tool: "paint", places, code: this.model.asked.code };
    return tool === "blend" ? { tool, places, percent } : { tool, places };
  }

  endStroke({ last, after }) {
    const { model } = this;
    model.lastPainted = last;
    const { complaint } = model;
    model.edited();
    if (complaint && model.history.entries.at(-1)?.id === after) model.complain(complaint); // the whole stroke did nothing
  }

  endRectangle({ start, last, mode }) {
    const { model } = this;
    const places = rectanglePlaces(rectangleBetween(start, last), model.columns);
    if (!model.selecting) return model.operate({ tool: "paint", places, code: model.asked.code, by: "rectangle" });
    const letsGo = mode === "replace" && same(start, last) && model.selected.places.length; // a click beside it
    this.select(letsGo ? [] : combineSelections(model.selected.places, places, mode));
  }

  endLasso({ points, mode, start, last }) {
    const { model } = this;
    const inside = lassoPlaces(points, model.rows, model.columns);
    const letsGo = mode === "replace" && same(start, last) && !inside.length && model.selected.places.length;
    this.select(letsGo ? [] : combineSelections(model.selected.places, inside, mode));
  }

  select(places) {
    this.model.selected.take(places);
    this.model.tell("question"); // now that nothing is being drawn
  }

  endMove({ start, last }) {
    if (!same(start, last)) this.model.selected.move(last[0] - start[0], last[1] - start[1]);
    else this.select([]); // a click lets go of it
  }
}
