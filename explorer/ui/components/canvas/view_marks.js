// What is drawn over the picture: waiting cells, heat maps, lines, the selection and the cell that is pointed at.

class Marks {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
  }

  /** placement: where the cells lie, in CSS pixels of the canvas. */
  draw(placement) {
    const { canvas, model } = this;
    const { box } = placement;
    this.placement = placement;
    this.at = (row, column) => placement.at(row, column);
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const brush = canvas.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, box.width, box.height);
    brush.imageSmoothingEnabled = true;
    this.drawWaiting(brush);
    this.drawOverlay(brush);
    if (model.habits.grid) this.drawGrid(brush, box);
    this.drawFrames(brush);
  }

  atPlace(place) {
    return this.at(...this.model.cellOf(place));
  }

  /** Cells that were painted since the picture on the screen was decoded: as their code looks alone. */
  drawWaiting(brush) {
    const { model } = this;
    const { indices } = model.state;
    const shown = model.shown?.indices;
    if (!shown || model.sight.layer === "original") return;
    brush.imageSmoothingEnabled = false;
    for (let place = 0; place < indices.length; place += 1) {
      if (indices[place] !== shown[place]) model.atlas.draw(brush, indices[place], ...this.atPlace(place));
    }
  }

  drawOverlay(brush) {
    const { sight: { marks: overlay }, marked } = this.model;
    if (overlay === "blend") this.drawBlend(brush);
    else if (marked?.kind !== overlay) return;
    else if (overlay === "cycle") this.drawTicks(brush, marked.values);
    else this.drawHeat(brush, marked);
  }

  drawHeat(brush, { kind, values: { shape: [height, width], values }, corner }) {
    const byCell = kind === "margin" || kind === "neighbours";
    const heat = document.createElement("canvas");
    [heat.width, heat.height] = [width, height];
    const image = new ImageData(width, height);
    values.forEach((value, place) => {
      const [red, green, blue] = ERROR_RAMP[value];
      image.data.set([red, green, blue, kind === "margin" ? 190 : Math.min(235, 3 * value)], 4 * place); // no change is clear
    });
    heat.getContext("2d").putImageData(image, 0, 0);
    const [x, y, side] = this.at(...corner);
    const scale = (byCell ? 1 : 1 / this.model.message.stride) * side;
    brush.imageSmoothingEnabled = !byCell;
    brush.drawImage(heat, x, y, width * scale, height * scale);
  }

  /** How much of the embedding each painted cell has. */
  drawBlend(brush) {
    this.model.state.weights.forEach((weight, place) => {
      if (weight === UNPAINTED) return;
      const [x, y, side] = this.atPlace(place);
      const [red, green, blue] = ERROR_RAMP[clamp(Math.round(weight * 2.55), 0, 255)];
      brush.fillStyle = `rgba(${red}, ${green}, ${blue}, 0.75)`;
      brush.fillRect(x, y, side, side);
    });
  }

  drawTicks(brush, { shape: [, width], values }) {
    values.forEach((mark, place) => mark && drawTick(brush, this.at(Math.floor(place / width), place % width), mark));
  }

  drawGrid(brush, box) {
    const { rows, columns } = this.model;
    brush.strokeStyle = "rgba(255, 255, 255, 0.35)";
    brush.lineWidth = 1;
    brush.beginPath();
    for (let column = 1; column < columns; column += 1) {
      const x = Math.round(this.at(0, column)[0]) + 0.5;
      brush.moveTo(x, 0);
      brush.lineTo(x, box.height);
    }
    for (let row = 1; row < rows; row += 1) {
      const y = Math.round(this.at(row, 0)[1]) + 0.5;
      brush.moveTo(0, y);
      brush.lineTo(box.width, y);
    }
    brush.stroke();
  }

  drawFrames(brush) {
    const { model } = this;
    const { drawing, asked, sight: { hover }, selected: { places, floating } } = model;
    const colour = accent(this.canvas);
    if (drawing?.kind === "rectangle") this.frame(brush, rectangleBetween(drawing.start, drawing.last), "#fff", 1.5);
    if (drawing?.kind === "lasso") this.drawLasso(brush, drawing.points);
    if (drawing?.kind === "move") {
      const [down, across] = [drawing.last[0] - drawing.start[0], drawing.last[1] - drawing.start[1]];
      this.drawOutline(brush, movePlaces(places, down, across, model.rows, model.columns), "#fff", 1.5);
    }
    if (places.length) this.drawOutline(brush, places, colour, 2);
    else if (asked.cell) outline(brush, this.at(...asked.cell), colour, 2.5);
    if (floating) return this.drawFloating(brush, floating, colour);
    if (!hover || ["rectangle", "lasso", "divide"].includes(drawing?.kind)) return;
    const { tool, size } = model.habits;
    const around = STROKES.includes(tool) ? brushPlaces(...hover, size, model.rows, model.columns) : [model.place(hover)];
    this.drawOutline(brush, around, "#fff", 1.5);
  }

  frame(brush, rectangle, colour, width) {
    const [x, y, side] = this.at(rectangle.top, rectangle.left);
    outlineBox(brush, x, y, (rectangle.right - rectangle.left) * side, (rectangle.bottom - rectangle.top) * side, colour, width);
  }

  /** A line around places, with a dark one on either side. */
  drawOutline(brush, places, colour, width) {
    brush.beginPath();
    for (const [row, column, toRow, toColumn] of outlineEdges(places, this.model.columns)) {
      brush.moveTo(...this.at(row, column).slice(0, 2));
      brush.lineTo(...this.at(toRow, toColumn).slice(0, 2));
    }
    strokeTwice(brush, colour, width);
  }

  drawLasso(brush, points) {
    brush.beginPath();
    for (const [row, column] of points) brush.lineTo(...this.at(row, column).slice(0, 2));
    brush.closePath();
    strokeTwice(brush, "#fff", 1.5);
  }

  /** A paste that is not placed yet: its codes as they look alone. */
  drawFloating(brush, { clip, row, column }, colour) {
    const { model } = this;
    const inside = [];
    brush.imageSmoothingEnabled = false;
    for (const [place, from] of toolPastedPlaces(row, column, clip, model)) {
      model.atlas.draw(brush, clip.indices[from], ...this.atPlace(place));
      inside.push(place);
    }
    this.drawOutline(brush, inside, colour, 2);
  }
}

function strokeTwice(brush, colour, width) {
  brush.lineCap = "square";
  for (const [ink, line] of [["rgba(0, 0, 0, 0.75)", width + 2], [colour, width]]) {
    brush.strokeStyle = ink;
    brush.lineWidth = line;
    brush.stroke();
  }
}

/** mark: a number of CYCLE_COLOURS. */
function drawTick(brush, [x, y, side], mark) {
  brush.strokeStyle = CYCLE_COLOURS[mark];
  brush.lineWidth = mark > 2 ? 1 : Math.max(2, side / 9);
  const inset = brush.lineWidth / 2 + 0.5;
  brush.strokeRect(x + inset, y + inset, side - 2 * inset, side - 2 * inset);
  if (mark !== 2) return;
  brush.beginPath();
  brush.moveTo(x + inset, y + inset);
  brush.lineTo(x + side - inset, y + side - inset);
  brush.stroke();
}
