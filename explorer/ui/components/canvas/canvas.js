// The canvas: original, reconstruction, and error map or grid of codes, with one zoom, one hover and one selection.
//
// Streamlit calls the default export again for every message, with the same parent element and new setters; what has
// to outlive a message is kept in `canvases`.

const canvases = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  let canvas = canvases.get(parentElement);
  if (!canvas) {
    canvas = new Canvas(parentElement);
    canvases.set(parentElement, canvas);
  }
  canvas.transport.setStateValue = setStateValue;
  if (data) canvas.receive(unpack(data));
  return () => canvas.unmount();
}

// --- the component --------------------------------------------------------------------------------------------------

const MARKUP = `
  <div class="canvas" part="canvas">
    <div class="bar">
      <div class="segments" role="group" aria-label="Layout">
        <button data-view="side" data-tip="Original and reconstruction next to each other">Side by side</button>
        <button data-view="slider" data-tip="Both in one place, with a line to drag between them">Before / after</button>
      </div>
      <div class="segments third" role="group" aria-label="Third picture">
        <button data-panel-choice="error" data-tip="Where the reconstruction differs from the original">Error</button>
        <button data-panel-choice="codes" data-tip="One square per cell, in the colour that its code decodes to">Codes</button>
      </div>
      <p class="readout" aria-live="polite"></p>
      <a class="dossier" data-tip="All about the code of the selected cell" hidden></a>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (0)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+) to the selected cell; with the key at the pointer">+</button>
      </div>
    </div>
    <div class="panels">
      ${panelMarkup("original", "Original")}
      ${panelMarkup("reconstruction", "Reconstruction")}
      ${panelMarkup("error", "Error")}
      ${panelMarkup("codes", "Codes")}
    </div>
    ${BLEND_CONTROLS}
    <div class="figures"></div>
  </div>`;

function panelMarkup(name, title) {
  return `<figure data-panel="${name}">
      <div class="viewport" tabindex="0" role="application" aria-label="${title}; arrow keys choose a cell, Escape lets go of it, plus and minus zoom">
        <canvas class="pixels"></canvas><canvas class="before" hidden></canvas><canvas class="marks"></canvas>
        <div class="divider" role="slider" aria-label="Before and after" aria-valuemin="0" aria-valuemax="100" tabindex="0" hidden></div>
      </div>
      <figcaption>${title}</figcaption>
    </figure>`;
}

const PANELS = ["original", "reconstruction", "error", "codes"];
const NARROW = 640; // CSS pixels, as in canvas.css
const TALLEST = "24rem"; // of a picture

class Canvas {
  constructor(root) {
    const holder = document.createElement("div");
    holder.innerHTML = MARKUP;
    root.appendChild(holder);
    this.root = holder;
    this.panels = Object.fromEntries(PANELS.map((name) => [name, this.panelParts(name)]));
    holder.figures = {
      error: () => exactly(this.panels.error.pixels),
      codes: () => exactly(this.panels.codes.pixels, this.message.stride),
      all: () => inRows([PANELS.map((name) => this.onPaper(name))]),
    };
    this.message = null;
    this.layers = null; // what stays the same while the content does: original, indices, colours
    this.local = { blend: 1, uses_embedding: true, cell: null, view: "side", panel: "error" };
    this.hover = null;
    this.zoom = new Zoom(); // the same in all panels
    this.divide = 0.5;
    this.dragging = false; // the blend slider is being moved
    this.transport = new Transport(() => ({
      content: this.message.content,
      settled: !this.dragging,
      complete: this.layers?.content === this.message.content,
      ...this.local,
    }));
    this.blend = new BlendControls(holder, (values, dragging) => {
      this.dragging = dragging;
      this.change(values);
    });
    this.listen();
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(holder.querySelector(".panels"));
  }

  unmount() {
    document.removeEventListener("keydown", this.keyAtPointer);
    this.transport.stop();
    this.resizes.disconnect();
  }

  panelParts(name) {
    const figure = this.find(`[data-panel="${name}"]`);
    const parts = { figure };
    for (const part of ["viewport", "pixels", "before", "marks", "divider"]) parts[part] = figure.querySelector(`.${part}`);
    parts.caption = figure.querySelector("figcaption");
    return parts;
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  // --- messages

  receive(message) {
    this.resizes.observe(this.find(".panels"));
    const changed = this.message?.content !== message.content;
    if (changed) {
      this.transport.restart(message.sequence);
    } else if (!this.transport.accept(message.sequence)) {
      return;
    }
    this.message = message;
    if (!this.transport.pending) {
      const { blend, uses_embedding, cell, view, panel } = message;
      this.local = { blend, uses_embedding, cell, view, panel };
    }
    if (message.original) {
      const { content, original, indices, colours } = message;
      this.layers = { content, original, indices, colours, counts: countOf(indices.values) };
      if (changed) Object.assign(this, { hover: null, zoom: new Zoom() });
      paint(this.panels.original.pixels, original);
      paint(this.panels.reconstruction.before, original);
      paint(this.panels.codes.pixels, colours);
    } else if (this.layers?.content !== message.content) {
      this.transport.request(); // the pictures were left out, and this canvas never had them
      return;
    }
    paint(this.panels.reconstruction.pixels, message.reconstruction);
    paint(this.panels.error.pixels, errorMap(this.layers.original, message.reconstruction));
    this.root.firstElementChild.dataset.sequence = message.sequence;
    this.draw();
  }

  change(values) {
    Object.assign(this.local, values);
    this.draw();
    this.transport.request();
  }

  // --- what the person does

  listen() {
    const on = (selector, event, action) =>
      this.root.querySelectorAll(selector).forEach((element) => element.addEventListener(event, action));
    on("[data-view]", "click", (event) => this.change({ view: event.currentTarget.dataset.view }));
    on("[data-panel-choice]", "click", (event) => this.change({ panel: event.currentTarget.dataset.panelChoice }));
    on("[data-zoom]", "click", (event) => this.zoomBy(event.currentTarget.dataset.zoom));
    on(".dossier", "pointerdown", () => this.drawDossier()); // the address may say more by now
    on(".dossier", "click", openInPlace);
    for (const name of PANELS) this.listenTo(this.panels[name]);
  }

  listenTo({ viewport, divider }) {
    listenToHand(viewport, {
      zoom: () => this.zoom,
      setZoom: (zoom) => this.setZoom(zoom),
      point: (event) => {
        this.setHover(this.cellAt(viewport, event));
        document.addEventListener("keydown", this.keyAtPointer);
      },
      leave: () => {
        document.removeEventListener("keydown", this.keyAtPointer);
        this.setHover(null);
      },
      pick: (event) => {
        const cell = this.cellAt(viewport, event);
        this.change({ cell: same(cell, this.local.cell) ? null : cell });
      },
      grip: (event) => event.target === divider && ((box, { clientX }) => this.setDivide((clientX - box.left) / box.width)),
    });
    viewport.addEventListener("keydown", (event) => {
      if (event.target === divider) this.moveDivider(event);
      else this.moveCell(event);
      if (!this.hover) this.zoomKey(event);
    });
  }

  moveCell(event) {
    const step = ARROWS[event.key];
    if (event.key === "Escape") this.change({ cell: null });
    if (!step || !this.layers) return;
    event.preventDefault();
    const [rows, columns] = this.layers.indices.shape;
    const [row, column] = this.local.cell ?? [Math.floor(rows / 2), Math.floor(columns / 2)];
    const cell = [clamp(row + step[0], 0, rows - 1), clamp(column + step[1], 0, columns - 1)];
    this.reveal(cell);
    this.change({ cell });
  }

  /** Move the picture where a cell would be out of sight. */
  reveal(cell) {
    const [height, width] = this.layers.original.shape;
    const placement = this.placement({ width: 1, height: height / width });
    const { x, y } = placement.middleOf(cell);
    if (!placement.inSight(cell)) this.zoom = new Zoom(this.zoom.scale, x, y);
  }

  moveDivider(event) {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.setDivide(this.divide + step);
  }

  /** A key anywhere on the page, while the pointer is over a picture. */
  keyAtPointer = (event) => {
    if (this.hover && !isTyping(event)) this.zoomKey(event);
  };

  zoomKey(event) {
    const which = { "+": "in", "=": "in", "-": "out", 0: "reset" }[event.key];
    if (!which || event.ctrlKey || event.metaKey || event.altKey || !this.layers) return;
    event.preventDefault();
    this.zoomBy(which, this.hover && this.placement({ width: 1, height: 1 }).middleOf(this.hover));
  }

  /** Larger or smaller at a point of the picture, else in to the selected cell while that can be seen; or all of it. */
  zoomBy(which, at = null) {
    if (which === "reset") return this.setZoom(new Zoom());
    const factor = which === "in" ? ZOOM_STEP : 1 / ZOOM_STEP;
    const { cell } = this.local;
    if (at || which === "out" || !cell || !this.inSight(cell)) return this.setZoom(this.zoom.times(factor, at ?? undefined));
    const { x, y } = this.placement({ width: 1, height: 1 }).middleOf(cell);
    this.setZoom(new Zoom(this.zoom.scale * factor, x, y));
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.draw();
  }

  setDivide(divide) {
    this.divide = clamp(divide, 0, 1);
    this.draw();
  }

  setHover(cell) {
    if (same(cell, this.hover)) return;
    this.hover = cell;
    this.drawMarks();
  }

  // --- places

  /** Where the cells lie in a viewport that has this box. */
  placement(box) {
    const [height, width] = this.layers.original.shape;
    const [rows, columns] = this.layers.indices.shape;
    return new Placement({ rows, columns, stride: this.message.stride, height, width }, this.zoom, box);
  }

  inSight(cell) {
    const [height, width] = this.layers.original.shape;
    return this.placement({ width: 1, height: height / width }).inSight(cell);
  }

  cellAt(viewport, event) {
    return this.layers && this.placement(viewport.getBoundingClientRect()).cellAt(event);
  }

  // --- drawing

  draw() {
    if (!this.layers || !this.message) return;
    const { view, panel, uses_embedding, blend } = this.local;
    const [height, width] = this.layers.original.shape;
    this.root.firstElementChild.dataset.layout = view;
    const narrow = this.find(".panels").clientWidth <= NARROW; // two by two, so both error and codes have a place
    for (const name of PANELS) {
      const { figure, viewport } = this.panels[name];
      const unchosen = !narrow && name !== panel && (name === "error" || name === "codes");
      figure.hidden = unchosen || (view === "slider" && name === "original");
      viewport.style.aspectRatio = `${width} / ${height}`;
      viewport.style.maxWidth = `calc(${TALLEST} * ${width / height})`;
    }
    this.root.querySelectorAll("[data-view]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.view === view));
    this.root.querySelectorAll("[data-panel-choice]").forEach((b) =>
      b.setAttribute("aria-pressed", b.dataset.panelChoice === panel));

    const { before, divider } = this.panels.reconstruction;
    before.hidden = divider.hidden = view !== "slider";
    divider.style.left = `${100 * this.divide}%`;
    divider.setAttribute("aria-valuenow", Math.round(100 * this.divide));
    this.panels.reconstruction.caption.textContent = view === "slider" ? "Original | Reconstruction" : "Reconstruction";
    this.panels.error.caption.innerHTML =
      `Error <span class="ramp" data-tip="Mean absolute difference over red, green and blue, in levels of 255"><i>0</i><b></b><i>${ERROR_FULL}+</i></span>`;
    for (const name of PANELS) this.place(this.panels[name]);

    this.blend.draw(this.message.inputs, this.local);
    this.find(".sentence").textContent = this.message.sentence;
    drawFigures(this.find(".figures"), this.message.figures);
    this.drawMarks();
  }

  /** The whole of a picture, whatever is zoomed. */
  onPaper(name) {
    const said = { error: `Error, black 0 to yellow ${ERROR_FULL}+ of 255` }[name] ?? `${name[0].toUpperCase()}${name.slice(1)}`;
    return { canvas: this.panels[name].pixels, said, times: name === "codes" ? this.message.stride : 1 };
  }

  /** Put the picture behind its viewport, as the zoom says. */
  place({ viewport, pixels, before }) {
    const { scale, x } = this.zoom;
    const { across, down } = this.placement({ width: 1, height: 1 });
    for (const element of [pixels, before]) {
      // The grid of codes covers the padding too: its last cells may reach beyond the picture.
      const codes = pixels === this.panels.codes.pixels;
      this.zoom.place(element, codes ? across : 1, codes ? down : 1);
    }
    const left = 0.5 - x * scale; // of the picture, in viewports
    before.style.clipPath = `inset(0 ${100 * (1 - clamp((this.divide - left) / scale, 0, 1))}% 0 0)`;
    viewport.classList.toggle("zoomed", scale > 1);
  }

  drawMarks() {
    if (!this.layers) return;
    for (const name of PANELS) if (!this.panels[name].figure.hidden) this.drawMarksOf(name);
    this.describeCell();
  }

  drawMarksOf(name) {
    const { viewport, marks } = this.panels[name];
    const box = viewport.getBoundingClientRect();
    const brush = cleared(marks, box);
    const placement = this.placement(box);
    const { indices, colours } = this.layers;
    if (name === "codes") writeIndices(brush, placement, indices, colours, this.root);
    const marked = this.hover ?? this.local.cell;
    if (marked) frameCells(brush, placement, indices, [codeAt(indices, marked)]);
    if (this.hover) outline(brush, placement.at(...this.hover), "#fff", 1.5);
    if (this.local.cell) outline(brush, placement.at(...this.local.cell), accent(this.root), 3);
  }

  /** The link to all about the code of the selected cell. */
  drawDossier() {
    const link = this.find(".dossier");
    const { cell } = this.local;
    link.hidden = !cell;
    if (!cell) return;
    const code = codeAt(this.layers.indices, cell);
    const query = new URLSearchParams(location.search);
    query.set("code", code);
    link.href = `${this.message.codebook}?${query}`;
    link.textContent = `Open code ${code}`;
  }

  describeCell() {
    this.drawDossier();
    const readout = this.find(".readout");
    const cell = this.hover ?? this.local.cell;
    if (!cell) {
      readout.textContent = "Point at a cell to see its code; click to keep it.";
      readout.classList.add("hint");
      return;
    }
    readout.classList.remove("hint");
    const { indices, colours, counts } = this.layers;
    const place = cell[0] * indices.shape[1] + cell[1];
    const code = indices.values[place];
    const number = counts.get(code);
    const swatch = document.createElement("i");
    swatch.style.background = `rgb(${colours.values.subarray(3 * place, 3 * place + 3).join(" ")})`;
    const text = `in row ${cell[0]}, column ${cell[1]} · ${number === 1 ? "only here" : `${number} cells of this picture`}`;
    readout.replaceChildren(swatch, textElement("b", `Code ${code}`), textElement("span", text));
  }
}
