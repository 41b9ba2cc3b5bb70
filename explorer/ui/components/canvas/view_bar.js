// The bar above the picture: layers, marks, the cell that is pointed at, zoom.

const BAR_MARKUP = `
    <div class="bar">
      <div class="segments layers" role="group" aria-label="Layer">
        ${LAYERS.map(([name, label, tip]) => `<button data-layer="${name}" data-tip="${tip}">${label}</button>`).join("")}
      </div>
      <label class="choice"><span>Mark</span><select class="overlay">${OVERLAYS.map(([value, label]) => `<option value="${value}">${label}</option>`).join("")}</select></label>
      <p class="readout" aria-live="polite"></p>
      <button class="quiet grid-lines" aria-pressed="false" aria-label="Lines between the cells" data-tip="Lines between the cells (G)">${icon("grid_on")}</button>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−, or the wheel with Ctrl)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (0)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+, or the wheel with Ctrl); hold the space bar to drag the picture">+</button>
      </div>
    </div>`;

class BarView extends View {
  topics = ["asked", "habits", "answer", "pointer", "grid", "tiles"];

  /** handlers: layer(name), overlay(name), lines(), zoom(way). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("layer", handlers.layer);
    this.onChoice("zoom", handlers.zoom);
    this.on(".overlay", "change", (event) => handlers.overlay(event.target.value));
    this.on(".grid-lines", "click", handlers.lines);
  }

  draw() {
    const { model } = this;
    this.press("layer", model.layer);
    this.find(".grid-lines").setAttribute("aria-pressed", model.habits.grid);
    this.find(".overlay").value = model.asked.overlay;
    this.describe();
  }

  describe() {
    const { model } = this;
    const readout = this.find(".readout");
    const cell = model.hover ?? model.asked.cell;
    readout.classList.toggle("hint", !cell);
    if (!cell) {
      readout.textContent = model.inputsPage
        ? "Press on the picture to paint a blend."
        : "Press on the picture to paint with the chosen code.";
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
