// What each tool does with a press, a drag and a release on the grid.

/** Turns what a pointer (or the Enter key) does on cells into changes of the model. */
class Hand {
  constructor(model) {
    this.model = model;
  }

  begin(cell) {
    const { model } = this;
    const { tool } = model.habits;
    model.setCell(cell);
    if (STROKES.includes(tool)) {
      model.setDrawing({ kind: "stroke", last: cell, after: model.history.entries.at(-1)?.id });
      model.operate(this.stroke(brushPlaces(...cell, model.habits.size, model.rows, model.columns)));
    } else if (tool === "fill") model.operate({ tool: "fill", place: model.place(cell), code: model.asked.code });
    else if (tool === "replace") model.operate({ tool: "replace", from: model.codeAt(cell), to: model.asked.code });
    else if (tool === "pick") this.pick(cell);
    else if (tool === "select" && model.selection && within(cell, model.selection)) {
      model.setDrawing({ kind: "move", start: cell, last: cell });
    } else model.setDrawing({ kind: "rectangle", start: cell, last: cell });
  }

  goOn(cell) {
    const { model } = this;
    const { drawing } = model;
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
    if (drawing.kind === "stroke") model.edited();
    if (drawing.kind === "rectangle") this.endRectangle(drawing);
    if (drawing.kind === "move") this.endMove(drawing);
  }

  /** Leave off: what was drawn so far was not meant. */
  cancel() {
    const { drawing } = this.model;
    this.model.setDrawing(null);
    if (drawing?.kind === "stroke") this.model.takeBack(drawing.after);
  }

  /** Press and let go at once: what Enter does at the cell cursor. */
  applyAt(cell) {
    this.begin(cell);
    const { drawing } = this.model;
    if (drawing?.kind === "stroke" || (drawing && this.model.habits.tool === "rectangle")) this.end();
    else this.model.setDrawing(null);
  }

  pick(cell) {
    this.model.ask({ cell, code: this.model.codeAt(cell) });
  }

  /** The operation of a stroke tool at some places. */
  stroke(places) {
    const { tool, percent } = this.model.habits;
    if (tool === "brush") return { tool: "paint", places, code: this.model.asked.code };
    return tool === "blend" ? { tool, places, percent } : { tool, places };
  }

  endRectangle({ start, last }) {
    const { model } = this;
    const rectangle = rectangleBetween(start, last);
    if (model.habits.tool !== "select") return model.paintAll(rectanglePlaces(rectangle, model.columns));
    model.select(same(start, last) && model.selection ? null : rectangle); // a click beside it lets go of it
    model.tell("question"); // now that nothing is being drawn
  }

  endMove({ start, last }) {
    if (!same(start, last)) this.model.moveSelected(last[0] - start[0], last[1] - start[1]);
  }
}
