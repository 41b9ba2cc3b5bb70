// One picture of the comparison in its viewport, with the marks over it.

const SMALL_CELL = 9; // CSS pixels along a cell below which a frame would cover it

class Panel {
  /** what: () -> {number, layer}, whose picture it shows; it is another one while a key is held. */
  constructor(comparison, what, label) {
    Object.assign(this, { comparison, what });
    this.viewport = document.createElement("div");
    Object.assign(this.viewport, { className: "viewport", tabIndex: 0 });
    this.viewport.setAttribute("role", "application");
    this.viewport.setAttribute("aria-label", `${label}; arrow keys choose a cell, Escape lets go of it, plus and minus zoom, F shows all, 0 to 4 show another column here while held`);
    this.viewport.innerHTML = '<canvas class="pixels"></canvas><canvas class="marks"></canvas><span class="tag" hidden></span><p class="state"></p>';
    for (const part of ["pixels", "marks", "tag", "state"]) this[part] = this.viewport.querySelector(`.${part}`);
    this.painted = "";
    listenToHand(this.viewport, {
      zoom: () => comparison.zoom,
      setZoom: (zoom) => comparison.setZoom(zoom),
      point: (event) => comparison.point(this, event),
      leave: () => comparison.point(null),
      pick: (event) => comparison.pick(this.placeAt(event)),
    });
    this.viewport.addEventListener("keydown", (event) => comparison.moveCell(this, event));
  }

  /** Whose picture is on it now. */
  get shown() {
    const what = this.what();
    const { swap } = this.comparison;
    return swap && (!swap.panel || swap.panel === this) ? { ...what, number: swap.number, swapped: true } : what;
  }

  get box() {
    return this.viewport.getBoundingClientRect();
  }

  /** The cell under an event, on the grid of the model that is shown, or of another where that has none. */
  placeAt(event) {
    const owner = this.comparison.gridOwner(this.shown.number);
    if (!owner) return null;
    const cell = this.comparison.placementOf(owner, this.box).cellAt(event);
    return cell && this.comparison.placeOf(owner, cell);
  }

  draw() {
    const { comparison, shown } = this;
    const { image, name, across = 1, down = 1 } = comparison.imageOf(shown);
    if (this.painted !== name) {
      this.painted = name;
      this.viewport.dataset.shows = `${shown.number} ${shown.layer}`;
      if (image) paint(this.pixels, image);
      this.viewport.classList.toggle("coarse", shown.layer === "codes" && shown.number > 0);
    }
    this.pixels.hidden = !image;
    this.state.textContent = image ? "" : comparison.stateOf(shown);
    comparison.zoom.place(this.pixels, across, down);
    this.viewport.classList.toggle("zoomed", comparison.zoom.scale > 1);
    this.viewport.classList.toggle("swapped", Boolean(shown.swapped));
    this.tag.hidden = !shown.swapped;
    if (shown.swapped) {
      this.tag.textContent = comparison.nameOf(shown.number);
      this.viewport.style.setProperty("--swapped", comparison.colourOf(shown.number));
    }
    this.drawMarks();
  }

  drawMarks() {
    const { comparison, box, shown: { number, layer } } = this;
    const brush = cleared(this.marks, box);
    const owner = comparison.gridOwner(number);
    if (!owner) return;
    const placement = comparison.placementOf(owner, box);
    const { indices, colours } = comparison.gridOf(owner);
    const own = owner === number; // else it only says where one is, on another model's grid
    if (own && layer === "codes" && colours) writeIndices(brush, placement, indices, colours, this.viewport);
    const { hover, chosen } = comparison;
    const marked = hover ?? chosen;
    if (own && marked) {
      const codes = comparison.cellsOf(owner, marked).map((cell) => codeAt(indices, cell));
      frameCells(brush, placement, indices, [...new Set(codes)]);
    }
    for (const [place, colour, line] of [[hover, "#fff", 1.5], [chosen, accent(this.viewport), 3]]) {
      const cells = place ? comparison.cellsOf(owner, place) : [];
      if (placement.side >= SMALL_CELL) for (const cell of cells) outline(brush, placement.at(...cell), colour, line);
      else if (cells.length) ring(brush, cells.map((cell) => placement.at(...cell)), colour, line);
    }
  }
}

/** A frame around small cells, [x, y, side] each, all together, so far off that they can be seen in it. */
function ring(brush, cells, colour, line) {
  const ends = (axis) => [Math.min(...cells.map((cell) => cell[axis])), Math.max(...cells.map((cell) => cell[axis] + cell[2]))];
  const [[left, right], [top, bottom]] = [ends(0), ends(1)];
  const margin = Math.max(line, (SMALL_CELL + 2 * line - (right - left)) / 2);
  outlineBox(brush, left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin, colour, Math.min(line, 2));
}
