// The bar above the picture: layers, marks, the cell that is pointed at, zoom.

const BAR_MARKUP = `
    <div class="bar">
      <div class="segments layers" role="group" aria-label="Layer">
        ${LAYERS.map(([name, label, tip, key]) => `<button data-layer="${name}" data-tip="${tip} (${key})">${label}</button>`).join("")}
      </div>
      <select class="overlay" aria-label="Mark">${options(OVERLAYS)}</select>
      <select class="compare" aria-label="Compare">${options(COMPARISONS)}</select>
      <p class="readout" aria-live="polite"></p>
      <button class="quiet grid-lines" aria-pressed="false" aria-label="Lines between the cells" data-tip="Lines between the cells (G)">${icon("grid_on")}</button>
      <button class="quiet show-keys" aria-label="Keys" data-tip="All keys (?)">${icon("keyboard")}</button>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−, or the wheel with Ctrl)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (0)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+, or the wheel with Ctrl); hold the space bar to drag the picture">+</button>
      </div>
    </div>`;

class BarView extends View {
  topics = ["asked", "habits", "answer", "pointer", "grid", "tiles"];

  /** handlers: layer(name), overlay(name), compare(layer or null), lines(), keys(), zoom(way). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("layer", handlers.layer);
    this.onChoice("zoom", handlers.zoom);
    this.on(".overlay", "change", (event) => handlers.overlay(event.target.value));
    this.on(".compare", "change", (event) => handlers.compare(event.target.value || null));
    this.on(".grid-lines", "click", handlers.lines);
    this.on(".show-keys", "click", handlers.keys);
  }

  draw() {
    const { model } = this;
    this.press("layer", model.sight.layer);
    this.find(".grid-lines").setAttribute("aria-pressed", model.habits.grid);
    this.find(".overlay").value = model.asked.overlay;
    this.find(".compare").value = model.habits.compare ?? "";
    this.describe();
  }

  /** What is in the cell that is pointed at, or else at the cell cursor. */
  describe() {
    const { model } = this;
    const readout = this.find(".readout");
    const cell = model.sight.hover ?? model.asked.cell;
    readout.classList.toggle("hint", !cell);
    if (!cell) {
      readout.textContent = "Point at a cell to see its code.";
      return;
    }
    const place = model.place(cell);
    const { indices, weights } = model.state;
    const code = indices[place];
    const was = model.layers.base[place];
    const notes = [`row ${cell[0]}, column ${cell[1]}`];
    if (was !== code) notes.push(`was ${was}`);
    if (weights[place] !== UNPAINTED) notes.push(`blend ${weights[place]} %`);
    readout.replaceChildren(this.swatch(code), textElement("b", `Code ${code}`), textElement("span", notes.join(" · ")));
  }
}
