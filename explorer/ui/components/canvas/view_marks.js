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
    if (!shown || model.layer === "original") return;
    brush.imageSmoothingEnabled = false;
    for (let place = 0; place < indices.length; place += 1) {
      if (indices[place] !== shown[place]) model.atlas.draw(brush, indices[place], ...this.atPlace(place));
    }
  }

  drawOverlay(brush) {
    const { asked: { overlay }, marked } = this.model;
    if (overlay === "blend") this.drawBlend(brush);
    else if (marked?.kind !== overlay) return;
    else if (overlay === "cycle") this.drawTicks(brush, marked.values);
    else this.drawHeat(brush, marked);
  }

  drawHeat(brush, { kind, values: { shape: [height, width], values }, corner }) {
    const heat = document.createElement("canvas");
    [heat.width, heat.height] = [width, height];
    const image = new ImageData(width, height);
    values.forEach((value, place) => {
      const [red, green, blue] = ERROR_RAMP[value];
      image.data.set([red, green, blue, kind === "margin" ? 190 : Math.min(235, 40 + 2 * value)], 4 * place);
    });
    heat.getContext("2d").putImageData(image, 0, 0);
    const [x, y, side] = this.at(...corner);
    const scale = (kind === "margin" ? 1 : 1 / this.model.message.stride) * side;
    brush.imageSmoothingEnabled = kind !== "margin";
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
    const { drawing, hover, selection, asked } = model;
    const colour = accent(this.canvas);
    if (drawing?.kind === "rectangle") this.frame(brush, rectangleBetween(drawing.start, drawing.last), "#fff", 1.5);
    if (drawing?.kind === "move") {
      this.frame(brush, moved(selection, drawing.last[0] - drawing.start[0], drawing.last[1] - drawing.start[1]), "#fff", 1.5);
    }
    if (selection) this.frame(brush, selection, colour, 2);
    else if (asked.cell) outline(brush, this.at(...asked.cell), colour, 2.5);
    if (!hover || drawing?.kind === "rectangle") return;
    const { tool, size } = model.habits;
    const around = STROKES.includes(tool) ? brushPlaces(...hover, size, model.rows, model.columns) : [model.place(hover)];
    drawEdge(brush, around, model.columns, this.at);
  }

  frame(brush, rectangle, colour, width) {
    const [x, y, side] = this.at(rectangle.top, rectangle.left);
    outlineBox(brush, x, y, (rectangle.right - rectangle.left) * side, (rectangle.bottom - rectangle.top) * side, colour, width);
  }
}

/** 1 came back, 2 did not, 3 changed without being edited. */
function drawTick(brush, [x, y, side], mark) {
  brush.strokeStyle = ["", "#5fd649", "#ff4d38", "rgba(242, 177, 52, 0.65)"][mark];
  brush.lineWidth = mark === 3 ? 1 : Math.max(2, side / 9);
  const inset = brush.lineWidth / 2 + 0.5;
  brush.strokeRect(x + inset, y + inset, side - 2 * inset, side - 2 * inset);
  if (mark !== 2) return;
  brush.beginPath();
  brush.moveTo(x + inset, y + inset);
  brush.lineTo(x + side - inset, y + side - inset);
  brush.stroke();
}

/** A line around a set of places. */
function drawEdge(brush, places, columns, at) {
  const set = new Set(places);
  brush.beginPath();
  for (const place of places) {
    const [row, column] = [Math.floor(place / columns), place % columns];
    const [x, y, side] = at(row, column);
    const line = (fromX, fromY, toX, toY) => {
      brush.moveTo(fromX, fromY);
      brush.lineTo(toX, toY);
    };
    if (!set.has(place - columns)) line(x, y, x + side, y);
    if (!set.has(place + columns)) line(x, y + side, x + side, y + side);
    if (column === 0 || !set.has(place - 1)) line(x, y, x, y + side);
    if (column === columns - 1 || !set.has(place + 1)) line(x + side, y, x + side, y + side);
  }
  for (const [colour, width] of [["rgba(0, 0, 0, 0.75)", 3.5], ["#fff", 1.5]]) {
    brush.strokeStyle = colour;
    brush.lineWidth = width;
    brush.stroke();
  }
}
