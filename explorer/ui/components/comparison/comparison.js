// The comparison: the original and a column for each model, with one zoom, one hover and one chosen place.
//
// Columns have grids of their own: what links them is the place in the picture, in its pixels. Each column outlines the
// cells that it has there.

const comparisons = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  let comparison = comparisons.get(parentElement);
  if (!comparison) {
    comparison = new Comparison(parentElement);
    comparisons.set(parentElement, comparison);
  }
  comparison.transport.setStateValue = setStateValue;
  comparison.listen();
  if (data) comparison.receive(unpack(data));
  return () => comparison.unmount();
}

const LAYERS = { picture: "Reconstruction", error: "Error", codes: "Codes" };
const LAYOUTS = {
  side: ["Side by side", "A column for each model"],
  one: ["One picture", "All in one large place: press 1 to 4 to go from one to another, 0 for the original"],
  difference: ["Difference", "How two of them differ, amplified"],
};
const GAINS = [1, 2, 4, 8, 16, 32];
const TAP = 300; // ms: a key that is let go of sooner has chosen, one that is held longer has only shown
const PATIENT = 60_000; // ms; some models take that long, and each column that answers is a sign of life
const MOST_NAMED = 4; // codes of a place in one column
const EPSILON = 1e-6;

const COMPARISON = `
  <div class="canvas comparison" part="canvas">
    <div class="bar">
      <div class="segments" role="group" aria-label="Layout">${Object.entries(LAYOUTS).map(([name, [title, tip]]) =>
        `<button data-layout-choice="${name}" data-tip="${tip}">${title}</button>`).join("")}</div>
      <div class="segments layers" role="group" aria-label="What is shown of every model">${Object.entries(LAYERS).map(([name, title]) =>
        `<button data-layer-choice="${name}">${title}</button>`).join("")}</div>
      <p class="readout hint"></p>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (F)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+) to the chosen cell; with the key at the pointer">+</button>
      </div>
    </div>
    <div class="place"></div>
    ${BLEND_CONTROLS}
    <p class="spoken" aria-live="polite"></p>
  </div>`;
const LAYER_TIPS = {
  picture: "What each model makes of the picture",
  error: "Where each reconstruction differs from the original",
  codes: "One square per cell, in the colour that its code decodes to; zoom in to read the codes",
};
const HINT = "Point at a picture; click to keep the place, hold 0 to 4 to swap.";
const HELP = "Point at a picture: every column outlines its own cell there and says its code. Click to keep the place. Hold 0 to 4, or a column’s number, to see that column’s picture in the place of another.";

class Comparison {
  constructor(root) {
    const holder = document.createElement("div");
    holder.innerHTML = COMPARISON;
    root.appendChild(holder);
    holder.figures = { "": () => this.onPaper() };
    this.root = holder;
    this.canvas = holder.firstElementChild;
    this.header = null;
    this.original = null; // {content, shape, values}
    this.answers = new Map(); // what models made, by what names model and picture
    this.local = { blend: 1, uses_embedding: true, layout: "side", layers: ["picture"], layer: "picture", shown: 1, pair: [1, 0], signed: true, gain: 8 };
    this.chosen = this.hover = null; // places: {number, cell, box}
    this.pointed = null; // the panel under the pointer
    this.swap = null; // {number, panel}: while a key is held, that column's picture is on a panel, or on all
    this.key = null; // that is held
    this.zoom = new Zoom();
    this.panels = [];
    this.dragging = false;
    this.transport = new Transport(() => this.composed(), { patience: PATIENT });
    this.blend = new BlendControls(holder, (values, dragging) => {
      this.dragging = dragging;
      this.change(values);
    });
    const on = (selector, action) =>
      holder.querySelectorAll(selector).forEach((element) => element.addEventListener("click", () => action(element.dataset)));
    on("[data-layout-choice]", ({ layoutChoice }) => this.change({ layout: layoutChoice }));
    on("[data-layer-choice]", ({ layerChoice }) => this.chooseLayer(layerChoice));
    on("[data-zoom]", ({ zoom }) => this.zoomBy(zoom));
    this.resizes = new ResizeObserver(() => this.draw());
  }

  listen() {
    document.addEventListener(FED, this.fed);
    document.addEventListener("keydown", this.keyDown);
    document.addEventListener("keyup", this.keyUp);
    addEventListener("blur", this.letGo);
    this.resizes.observe(this.find(".place"));
  }

  unmount() {
    document.removeEventListener(FED, this.fed);
    document.removeEventListener("keydown", this.keyDown);
    document.removeEventListener("keyup", this.keyUp);
    removeEventListener("blur", this.letGo);
    this.resizes.disconnect();
    this.transport.stop();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  // --- messages

  receive(header) {
    const names = (one) => one && [one.content, ...one.columns.map(({ content }) => content)].join();
    const others = names(this.header) !== names(header);
    if (!others && header.sequence < this.transport.answered) return;
    if (others) this.transport.restart(header.sequence);
    if (this.header?.content !== header.content) Object.assign(this, { zoom: new Zoom(), hover: null, chosen: null });
    if (others && this.chosen) this.carryChosen(header);
    this.header = header;
    if (header.original) this.original = { ...header.original, content: header.content };
    for (const content of this.answers.keys()) {
      if (!header.columns.some((column) => column.content === content)) this.answers.delete(content);
    }
    if (!this.transport.pending) this.follow(header);
    for (const message of FEEDS.values()) this.take(message);
    if (this.original?.content !== header.content) return void this.transport.request(); // it was left out, and is not here
    this.finish();
    this.draw();
  }

  /** The chosen cell is of its model, in whichever column that stands now; without it nothing is chosen. */
  carryChosen(header) {
    const model = this.column(this.chosen.number)?.content;
    const now = header.columns.find(({ content }) => content === model);
    this.chosen = now ? { ...this.chosen, number: now.number } : null;
  }

  /** What is chosen, as the page says. */
  follow({ blend, uses_embedding, layout, layers, layer, shown, pair, signed, gain, cell, anchor }) {
    const last = this.header.columns.length;
    const there = (number) => Math.min(number, last);
    Object.assign(this.local, { blend, uses_embedding, layout, layers, layer, shown: there(shown), pair: pair.map(there), signed, gain });
    if (same(cell, this.anchorCell)) return; // what was pointed at more exactly stays
    const owner = this.header.columns.find(({ name }) => name === anchor);
    this.chosen = cell && owner && this.strideOf(owner.number) ? this.placeOf(owner.number, cell) : null;
  }

  fed = ({ detail }) => {
    if (!this.header) return;
    this.take(detail);
    this.transport.sentAt = performance.now(); // a sign of life
    this.finish();
    this.draw();
  };

  /** Take in what a column was fed. */
  take(message) {
    const { content, number, sequence, kind } = message;
    if (!this.header.columns.some((column) => column.number === number && column.content === content)) return;
    const known = this.answers.get(content) ?? {};
    if (kind === "refusal") return void this.answers.set(content, { refusal: message.refusal, sequence });
    const level = this.finestOf(number);
    if (kind === "colours") {
      return void this.answers.set(content, { ...known, colours: message[`colours${level}`] });
    }
    if (sequence < known.sequence) return;
    const fresh = { ...known, refusal: "", sequence, figures: message.figures, psnr: message.psnr ?? Infinity, ssim: message.ssim };
    if (message.pixels) Object.assign(fresh, { pixels: message.pixels, weight: message.weight });
    if (message.indices0) {
      fresh.levels = this.column(number).levels.map((_, place) => message[`indices${place}`]);
      fresh.counts = fresh.levels.map(({ values }) => countOf(values));
    }
    this.answers.set(content, fresh);
    if (!fresh.levels || fresh.weight !== message.weight) this.transport.request(); // it was left out, and is not here
  }

  /** All columns have answered: what waits can be asked for. */
  finish() {
    const { columns, sequence } = this.header;
    const done = ({ refusal, content }) => refusal || this.answers.get(content)?.sequence >= sequence;
    if (!columns.every(done) || this.original?.content !== this.header.content) return;
    if (this.transport.accept(sequence)) this.canvas.dataset.sequence = sequence;
  }

  composed() {
    const { header, local, answers } = this;
    return {
      content: header.content,
      anchor: header.anchor,
      settled: !this.dragging,
      original: this.original?.content === header.content,
      held: [...answers].filter(([, { levels, pixels }]) => levels && pixels).map(([content, { weight, colours }]) =>
        ({ content, weight, coloured: Boolean(colours) })),
      cell: this.anchorCell,
      ...local,
    };
  }

  change(values) {
    Object.assign(this.local, values);
    this.draw();
    this.transport.request();
  }

  // --- columns and their grids

  column(number) {
    return this.header.columns.find((column) => column.number === number);
  }

  answerOf(number) {
    const column = this.column(number);
    return column && this.answers.get(column.content);
  }

  /** Why a column shows nothing, or nothing. */
  refusalOf(number) {
    return this.column(number).refusal || this.answerOf(number)?.refusal || "";
  }

  nameOf(number) {
    return number ? `${number} ${this.column(number)?.name ?? ""}` : "0 Original";
  }

  colourOf(number) {
    return number ? this.column(number)?.colour : "#6b7275";
  }

  /** Which of a model's levels is shown: the finest one whose tokens have a place. */
  finestOf(number) {
    const { levels } = this.column(number);
    const strides = levels.map(({ stride }) => stride ?? Infinity);
    const finest = Math.min(...strides);
    return Number.isFinite(finest) ? strides.indexOf(finest) : -1;
  }

  strideOf(number) {
    return this.column(number)?.levels[this.finestOf(number)]?.stride;
  }

  /** The grid that a column shows: {indices, colours, stride}; null where there is none, or none yet. */
  gridOf(number) {
    const answer = number && this.answerOf(number);
    const indices = answer?.levels?.[this.finestOf(number)];
    return indices ? { indices, colours: answer.colours, stride: this.strideOf(number) } : null;
  }

  /** Whose grid is pointed at on a column's picture: its own, or where it has none the anchor's, or any. */
  gridOwner(number) {
    const anchor = this.header.columns.find(({ name }) => name === this.header.anchor)?.number;
    return [number, anchor, ...this.header.columns.map((column) => column.number)].find((one) => one && this.gridOf(one));
  }

  placementOf(number, box) {
    const { indices: { shape: [rows, columns] }, stride } = this.gridOf(number);
    const [height, width] = this.original.shape;
    return new Placement({ rows, columns, stride, height, width }, this.zoom, box);
  }

  /** A cell of a column as a place: the pixels of the picture that it covers. */
  placeOf(number, [row, column]) {
    const stride = this.strideOf(number);
    return { number, cell: [row, column], box: [column * stride, row * stride, (column + 1) * stride, (row + 1) * stride] };
  }

  /** The cells that a column has at a place. */
  cellsOf(number, { box: [left, top, right, bottom] }, stride = this.strideOf(number), indices = this.gridOf(number).indices) {
    const [rows, columns] = indices.shape;
    const ends = (low, high, most) => [Math.floor(low / stride + EPSILON), Math.min(most, Math.ceil(high / stride - EPSILON))];
    const [[first, last], [from, to]] = [ends(top, bottom, rows), ends(left, right, columns)];
    const cells = [];
    for (let row = first; row < last; row += 1) for (let column = from; column < to; column += 1) cells.push([row, column]);
    return cells;
  }

  /** The cell of the anchor at the chosen place: what a link says. */
  get anchorCell() {
    const owner = this.header?.columns.find(({ name }) => name === this.header.anchor);
    const stride = owner && this.strideOf(owner.number);
    if (!this.chosen || !stride) return null;
    const [left, top, right, bottom] = this.chosen.box;
    const cell = [(top + bottom) / 2, (left + right) / 2].map((middle) => Math.floor(middle / stride));
    const [height, width] = this.original.shape;
    return [clamp(cell[0], 0, Math.ceil(height / stride) - 1), clamp(cell[1], 0, Math.ceil(width / stride) - 1)];
  }

  // --- what the person does

  chooseLayer(layer) {
    const { layout, layers } = this.local;
    if (layout === "one") return this.change({ layer });
    const chosen = layers.includes(layer) ? layers.filter((one) => one !== layer) : [...layers, layer];
    if (chosen.length) this.change({ layers: Object.keys(LAYERS).filter((one) => chosen.includes(one)) });
  }

  point(panel, event) {
    this.pointed = panel;
    const place = panel?.placeAt(event) ?? null;
    if (same(place?.cell, this.hover?.cell) && place?.number === this.hover?.number) return;
    this.hover = place;
    this.drawMarks();
  }

  pick(place) {
    const again = place && this.chosen?.number === place.number && same(place.cell, this.chosen.cell);
    this.chosen = again ? null : place;
    this.change({});
  }

  moveCell(panel, event) {
    if (event.key === "Escape" && this.chosen) this.pick(null);
    const step = ARROWS[event.key];
    const owner = this.original && this.gridOwner(panel.shown.number);
    if (!step || !owner) return;
    event.preventDefault();
    const { indices: { shape: [rows, columns] } } = this.gridOf(owner);
    const [row, column] = this.chosen ? this.cellsOf(owner, this.chosen)[0] : [Math.floor(rows / 2), Math.floor(columns / 2)];
    const cell = [clamp(row + step[0], 0, rows - 1), clamp(column + step[1], 0, columns - 1)];
    const [height, width] = this.original.shape;
    const placement = this.placementOf(owner, { width: 1, height: height / width });
    const { x, y } = placement.middleOf(cell);
    if (!placement.inSight(cell)) this.zoom = new Zoom(this.zoom.scale, x, y);
    this.chosen = this.placeOf(owner, cell);
    this.change({});
    this.find(".spoken").textContent = this.header.columns.map(({ number, name }) =>
      `${name}: ${this.codesAt(number, this.chosen).map(({ code }) => code).join(", ") || "no code"}`).join("; ");
  }

  keyDown = (event) => {
    const focused = this.root.getRootNode().activeElement;
    const here = this.pointed || focused || document.activeElement === document.body;
    if (!here || event.ctrlKey || event.metaKey || event.altKey || isTyping(event) || !this.original) return;
    const zoom = { "+": "in", "=": "in", "-": "out", f: "reset", F: "reset" }[event.key];
    if (zoom && (this.pointed || focused)) {
      event.preventDefault();
      this.zoomBy(zoom, this.pointed && this.hover);
    } else if (/^[0-4]$/.test(event.key) && !event.repeat) {
      if (this.show(Number(event.key), this.pointed ?? this.panels.find(({ viewport }) => viewport === focused))) {
        event.preventDefault();
        this.key = event.key;
      }
    }
  };

  keyUp = (event) => {
    if (event.key === this.key) this.letGo();
  };

  /** Have a column's picture on a panel, or on all, until it is let go of; whether there is such a picture. */
  show(number, panel = null) {
    if (number && !this.answerOf(number)?.pixels) return false;
    if (this.swap) this.letGo();
    this.swap = { number, panel, since: performance.now() };
    this.draw();
    return true;
  }

  letGo = () => {
    const { swap } = this;
    this.swap = this.key = null;
    if (!swap) return;
    const tapped = performance.now() - swap.since < TAP && this.local.layout === "one";
    if (tapped) this.change({ shown: swap.number });
    else this.draw();
  };

  zoomBy(which, at = null) {
    if (!this.original) return;
    if (which === "reset") return this.setZoom(new Zoom());
    const factor = which === "in" ? ZOOM_STEP : 1 / ZOOM_STEP;
    const [height, width] = this.original.shape;
    const middle = ({ box: [left, top, right, bottom] }) => ({ x: (left + right) / 2 / width, y: (top + bottom) / 2 / height });
    if (at) return this.setZoom(this.zoom.times(factor, middle(at)));
    const owner = this.chosen && this.gridOwner(this.chosen.number);
    const seen = owner && this.placementOf(owner, { width: 1, height: height / width }).inSight(this.cellsOf(owner, this.chosen)[0]);
    if (which === "out" || !seen) return this.setZoom(this.zoom.times(factor));
    const { x, y } = middle(this.chosen);
    this.setZoom(new Zoom(this.zoom.scale * factor, x, y));
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.draw();
  }

  // --- what is shown

  /** What a panel shows: {image, name}, and how many pictures it covers; no image where there is none yet. */
  imageOf({ number, layer }) {
    if (layer === "difference") return this.differenceImage();
    if (number === 0) return { image: this.original, name: `original ${this.original.content}` };
    const answer = this.answerOf(number);
    const column = this.column(number);
    if (!answer?.pixels || answer.refusal) return { image: null, name: "" };
    if (layer === "codes") {
      const grid = this.gridOf(number);
      if (!grid?.colours) return { image: null, name: "" };
      const { across, down } = this.placementOf(number, { width: 1, height: 1 });
      return { image: grid.colours, name: `codes ${column.content}`, across, down };
    }
    const name = `${layer} ${column.content} ${answer.weight}`;
    return { image: layer === "error" ? this.kept(name, () => errorMap(this.original, answer.pixels)) : answer.pixels, name };
  }

  /** Maps that were made already: pointing and zooming ask for them again. */
  kept(name, make) {
    this.made ??= new Map();
    if (!this.made.has(name)) {
      if (this.made.size > 12) this.made.delete(this.made.keys().next().value);
      this.made.set(name, make());
    }
    return this.made.get(name);
  }

  /** The whole of each picture that is on a panel, whatever is zoomed: a row for each layer. */
  onPaper() {
    const rows = new Map();
    for (const { shown } of this.panels) {
      const { image } = this.imageOf(shown);
      if (!image) continue;
      const { number, layer } = shown;
      const canvas = document.createElement("canvas");
      paint(canvas, image);
      const said = layer === "difference" ? this.saidOfDifference : `${this.nameOf(number)}${number ? `, ${LAYERS[layer].toLowerCase()}` : ""}`;
      rows.set(layer, [...(rows.get(layer) ?? []), { canvas, said, times: layer === "codes" && number ? this.strideOf(number) : 1 }]);
    }
    return inRows([...rows.values()]);
  }

  get saidOfDifference() {
    const { pair: [a, b], gain } = this.local;
    return `${this.nameOf(a)} − ${this.nameOf(b)}, ${gain} times as strong`;
  }

  pixelsOf(number) {
    return number ? this.answerOf(number)?.pixels : this.original;
  }

  differenceImage() {
    const { pair: [a, b], signed, gain } = this.local;
    const [one, other] = [this.pixelsOf(a), this.pixelsOf(b)];
    if (!one || !other) return { image: null, name: "" };
    const of = (number) => (number ? `${this.column(number).content} ${this.answerOf(number).weight}` : this.original.content);
    const name = `difference ${of(a)} ${of(b)} ${signed} ${gain}`;
    return { image: this.kept(name, () => differenceMap(one, other, { signed, gain })), name };
  }

  /** Why a panel is empty. */
  stateOf({ number, layer }) {
    if (layer === "difference") return "Waiting for both models …";
    if (number && this.refusalOf(number)) return this.refusalOf(number);
    if (layer === "codes" && this.finestOf(number) < 0) return "A row of tokens: none of them has a place in the picture.";
    return layer === "codes" && this.answerOf(number)?.pixels ? "Its codes are being decoded …" : "Working …";
  }

  /** The codes that a column has at a place: {code, level, cells of the picture that have it}. */
  codesAt(number, place) {
    const { levels } = this.column(number);
    const answer = this.answerOf(number);
    if (!answer?.levels || answer.refusal) return [];
    return levels.flatMap(({ name, stride }, level) => {
      if (!stride) return [];
      const indices = answer.levels[level];
      const codes = new Set(this.cellsOf(number, place, stride, indices).map((cell) => codeAt(indices, cell)));
      return [...codes].map((code) => ({ code, level: levels.length > 1 ? name : "", count: answer.counts[level].get(code) }));
    });
  }

  // --- drawing

  draw() {
    if (!this.header || this.original?.content !== this.header.content) return;
    const { layout, layers, layer } = this.local;
    this.build();
    this.canvas.dataset.layout = layout;
    const pressed = (button, on) => button.setAttribute("aria-pressed", Boolean(on));
    this.root.querySelectorAll("[data-layout-choice]").forEach((b) => pressed(b, b.dataset.layoutChoice === layout));
    this.find(".layers").hidden = layout === "difference";
    this.root.querySelectorAll("[data-layer-choice]").forEach((b) => {
      pressed(b, layout === "one" ? b.dataset.layerChoice === layer : layers.includes(b.dataset.layerChoice));
      const more = layout === "one" ? "" : layers.includes(b.dataset.layerChoice) ? ": press to leave it out" : ": press to add it";
      b.dataset.tip = LAYER_TIPS[b.dataset.layerChoice] + more;
    });
    this.root.querySelectorAll(".number").forEach((b) => pressed(b, this.swap && !this.swap.panel && this.swap.number === Number(b.dataset.number)));
    this.root.querySelectorAll("[data-pick]").forEach((b) => pressed(b, (this.swap?.number ?? this.local.shown) === Number(b.dataset.pick)));
    for (const panel of this.panels) panel.draw();
    this.root.querySelectorAll("[data-foot]").forEach((foot) => this.drawFoot(foot, Number(foot.dataset.foot)));
    if (layout === "difference") this.drawDifference();
    this.drawBlend();
    this.describe();
  }

  drawMarks() {
    for (const panel of this.panels) panel.drawMarks();
    this.describe();
  }

  /** Make the place anew where it has another layout or other columns. */
  build() {
    const { layout, layers } = this.local;
    const { columns } = this.header;
    const [height, width] = this.original.shape;
    const wanted = JSON.stringify([layout, layout === "side" && layers, height, width, columns.map(({ number, name, note }) => [number, name, note, this.refusalOf(number)])]);
    const place = this.find(".place");
    place.style.setProperty("--ratio", width / height);
    place.style.setProperty("--rows", layout === "side" ? layers.length : 1);
    place.style.setProperty("--count", layout === "difference" ? 3 : columns.length + 1);
    if (place.dataset.built === wanted) return;
    place.dataset.built = wanted;
    this.panels = [];
    this.pointed = this.hover = null;
    place.replaceChildren(...{ side: () => this.sideBySide(), one: () => this.onePicture(), difference: () => this.twoAndBetween() }[layout]());
    for (const link of place.querySelectorAll(".number")) this.listenToNumber(link);
  }

  panel(what, label) {
    const panel = new Panel(this, what, label);
    this.panels.push(panel);
    return panel.viewport;
  }

  sideBySide() {
    const { layers } = this.local;
    const row = made("div", "columns");
    const original = made("section", "column", this.headOf(0, ""), this.panel(() => ({ number: 0, layer: "picture" }), "Original"));
    original.append(this.aside());
    row.append(original);
    for (const { number, name, note } of this.header.columns) {
      const column = made("section", "column", this.headOf(number, note));
      const refusal = this.refusalOf(number);
      column.dataset.number = number;
      if (refusal) column.append(textMade("p", "refusal", refusal));
      else {
        for (const layer of layers) column.append(this.panel(() => ({ number, layer }), `${name}, ${LAYERS[layer].toLowerCase()}`));
        column.append(this.footOf(number));
      }
      row.append(column);
    }
    return [row];
  }

  onePicture() {
    const stage = made("div", "stage", this.panel(() => ({ number: this.local.shown, layer: this.local.layer }), "The picture"));
    const list = made("div", "picks");
    for (const number of [0, ...this.header.columns.map((column) => column.number)]) {
      const column = number ? this.column(number) : null;
      const button = made("button", "pick", ...this.namesOf(number, column?.note ?? ""));
      button.dataset.pick = number;
      button.dataset.tip = `Show it here; or press ${number}, or hold ${number} to look at it for a moment`;
      button.addEventListener("click", () => this.change({ shown: number }));
      const entry = made("section", "entry", button);
      if (number) entry.append(...(this.refusalOf(number) ? [textMade("p", "refusal", this.refusalOf(number))] : [this.footOf(number)]));
      list.append(entry);
    }
    return [made("div", "one", stage, list)];
  }

  twoAndBetween() {
    const [a, b] = [0, 1].map((side) => () => ({ number: this.local.pair[side], layer: "picture" }));
    const choice = (side, name) => {
      const group = made("div", "segments");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", name);
      for (const number of [0, ...this.header.columns.map((column) => column.number)]) {
        const button = textMade("button", "", number ? String(number) : "0");
        button.dataset.side = side;
        button.dataset.pairNumber = number;
        button.dataset.tip = this.nameOf(number);
        button.setAttribute("aria-label", `${name}: ${this.nameOf(number)}`);
        button.addEventListener("click", () => this.change({ pair: this.local.pair.map((one, place) => (place === side ? number : one)) }));
        group.append(button);
      }
      return group;
    };
    const kind = made("div", "segments");
    kind.setAttribute("role", "group");
    kind.setAttribute("aria-label", "Kind of difference");
    for (const [signed, title, tip] of [[true, "Signed", "A minus B in each channel, on middle grey"], [false, "Absolute", "How far apart they are, whichever is the larger"]]) {
      const button = textMade("button", "", title);
      Object.assign(button.dataset, { signed, tip });
      button.addEventListener("click", () => this.change({ signed }));
      kind.append(button);
    }
    const gain = made("label", "gain", textElement("span", "Amplified"), made("select"));
    for (const times of GAINS) gain.lastChild.append(Object.assign(textElement("option", `${times} ×`), { value: times }));
    gain.lastChild.addEventListener("change", (event) => this.change({ gain: Number(event.target.value) }));
    const part = (name, side, what, label) => {
      const head = made("header", "head", textElement("b", name), choice(side, name), textMade("span", `name of-${side}`, ""));
      return made("section", "column", head, this.panel(what, label), made("p", `code of-${side}`));
    };
    const middle = made("section", "column", made("header", "head", kind, gain), this.panel(() => ({ number: 0, layer: "difference" }), "Difference"), made("p", "scale"), made("dl", "numbers between"));
    return [made("div", "columns three", part("A", 0, a, "A"), middle, part("B", 1, b, "B"))];
  }

  /** A column's number, which shows it everywhere while it is held, its name, and what its decoder is given. */
  headOf(number, note) {
    const button = textMade("button", "number", String(number));
    const name = number ? this.column(number).name : "the original";
    button.dataset.number = number;
    button.style.setProperty("--own", this.colourOf(number));
    button.dataset.tip = `Hold to see ${name} in every column; or hold the key ${number} over a picture to see it there`;
    button.setAttribute("aria-label", `${number}: hold to show ${name} in every column`);
    return made("header", "head", button, ...this.namesOf(number, note).slice(1));
  }

  namesOf(number, note) {
    const badge = textMade("i", "badge", String(number));
    badge.style.setProperty("--own", this.colourOf(number));
    const name = textMade("b", "name", number ? this.column(number).name : "Original");
    name.title = name.textContent;
    return [badge, made("span", "names", name, ...(note ? [textMade("span", "note", note)] : []))];
  }

  listenToNumber(button) {
    const number = Number(button.dataset.number);
    button.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      button.setPointerCapture(event.pointerId);
      this.show(number);
    });
    for (const event of ["pointerup", "pointercancel", "blur"]) button.addEventListener(event, this.letGo);
    const pressing = ({ key }) => key === " " || key === "Enter";
    button.addEventListener("keydown", (event) => {
      if (!pressing(event)) return;
      event.preventDefault();
      if (!event.repeat) this.show(number);
    });
    button.addEventListener("keyup", (event) => pressing(event) && this.letGo());
  }

  /** What stands below the original: what the colours of the error mean, and how large the picture is. */
  aside() {
    const [height, width] = this.original.shape;
    const aside = made("div", "aside", textMade("p", "", `${width} × ${height} pixels`));
    if (this.local.layers.includes("error")) {
      const ramp = made("p", "ramp");
      ramp.innerHTML = `Error <i>0</i><b></b><i>${ERROR_FULL}+</i>`;
      ramp.dataset.tip = "Mean absolute difference over red, green and blue, in levels of 255";
      aside.append(ramp);
    }
    aside.append(textMade("p", "", HELP));
    return aside;
  }

  footOf(number) {
    const foot = made("div", "foot", made("p", "code"), made("dl", "numbers"));
    foot.dataset.foot = number;
    return foot;
  }

  drawFoot(foot, number) {
    const answer = this.answerOf(number);
    const figures = answer?.figures ?? [];
    const numbers = foot.querySelector(".numbers");
    const rows = figures.map(([label, value, meaning]) => [label, value, meaning, this.againstFirst(number, label)]);
    const wanted = JSON.stringify(rows);
    if (numbers.dataset.shown === wanted) return;
    numbers.dataset.shown = wanted;
    numbers.replaceChildren(...rows.map(numberRow));
  }

  /** How far a measure is from that of the first column: [difference, what it means], or nothing. */
  againstFirst(number, label) {
    const measure = { PSNR: "psnr", SSIM: "ssim" }[label];
    const [one, first] = [this.answerOf(number), this.answerOf(1)];
    if (!measure || number === 1 || !first?.pixels || first.refusal) return null;
    const difference = one[measure] - first[measure];
    if (!Number.isFinite(difference) || one[measure] === null || first[measure] === null) return null;
    const text = difference.toFixed(measure === "psnr" ? 2 : 3);
    const sign = Number(text) === 0 ? "±" : difference > 0 ? "+" : "−";
    const said = `${sign}${text.replace("-", "")}`;
    return [said, `${said}${measure === "psnr" ? " dB" : ""} against column 1, ${this.column(1).name}, on this one picture: one picture has no interval; the Table has.`];
  }

  drawDifference() {
    const { pair, signed, gain } = this.local;
    this.root.querySelectorAll("[data-pair-number]").forEach((b) => b.setAttribute("aria-pressed", pair[b.dataset.side] === Number(b.dataset.pairNumber)));
    this.root.querySelectorAll("[data-signed]").forEach((b) => b.setAttribute("aria-pressed", String(signed) === b.dataset.signed));
    this.find(".gain select").value = gain;
    pair.forEach((number, side) => {
      const name = this.find(`.name.of-${side}`);
      name.textContent = name.title = number ? this.column(number).name : "Original";
    });
    const full = fullDifference(signed, gain);
    const end = full >= 10 ? Math.round(full) : full.toFixed(1);
    const scale = this.find(".scale");
    scale.innerHTML = `<span class="ramp ${signed ? "signed" : ""}"><i>${signed ? `−${end}` : 0}</i><b></b><i>${signed ? `+${end}` : `${end}+`}</i></span>`;
    scale.append(textElement("span", signed
      ? `levels of 255, A − B; grey is equal (${gain} ×)`
      : `levels of 255, mean over red, green and blue (${gain} ×)`));
    const [one, other] = pair.map((number) => this.pixelsOf(number));
    const rows = [];
    if (one && other) {
      const { mean, psnr } = differenceOf(one, other);
      rows.push(["Mean absolute difference", `${mean.toFixed(2)} levels`, "Over all pixels and channels, in levels of 255: of these two pictures, before anything is amplified.", null]);
      rows.push(["PSNR between them", Number.isFinite(psnr) ? `${psnr.toFixed(2)} dB` : "∞", "Peak signal-to-noise ratio of the one against the other: how alike they are, and not how good.", null]);
    }
    this.find(".between").replaceChildren(...rows.map(numberRow));
  }

  drawBlend() {
    const { columns } = this.header;
    const open = columns.filter(({ levels }) => levels.length);
    const alone = open.filter(({ inputs }) => inputs === 1).map(({ number }) => number);
    const controls = this.find(".controls");
    const none = alone.length === open.length;
    controls.classList.toggle("none", none);
    controls.hidden = !open.length;
    this.blend.draw(2, this.local);
    this.find(".switch .name").textContent = "Decoders use the embedding";
    this.find(".sentence").textContent = none
      ? "These decoders have one input: every picture is from the codes alone."
      : alone.length
        ? `${alone.length === 1 ? "Column" : "Columns"} ${listed(alone)} ${alone.length === 1 ? "has" : "have"} one input: codes only.`
        : "";
    this.find(".sentence").hidden = !this.find(".sentence").textContent;
  }

  /** What is said of the place that is pointed at, or chosen: in every column its codes there. */
  describe() {
    const place = this.hover ?? this.chosen;
    const readout = this.find(".readout");
    readout.classList.toggle("hint", !place);
    if (place) {
      const [left, top, right, bottom] = place.box;
      readout.replaceChildren(textElement("span",
        `Row ${place.cell[0]}, column ${place.cell[1]} of ${this.column(place.number).name} · pixels ${left}–${right - 1} × ${top}–${bottom - 1}`));
    } else readout.replaceChildren(textElement("span", HINT));
    for (const { number } of this.header.columns) {
      for (const line of this.root.querySelectorAll(`[data-foot="${number}"] .code`)) this.drawCodes(line, number, place);
    }
    this.local.pair.forEach((number, side) => {
      const line = this.find(`.code.of-${side}`);
      if (line) this.drawCodes(line, number, number ? place : null);
    });
  }

  drawCodes(line, number, place) {
    const codes = place ? this.codesAt(number, place) : [];
    const linked = number > 0 && this.column(number).levels.length === 1;
    const parts = codes.slice(0, MOST_NAMED).map(({ code, level, count }) => {
      const cells = count === 1 ? "only here" : `${count.toLocaleString("en")} cells`;
      const name = codes.length === 1 ? `Code ${code}` : [level, code].filter((part) => part !== "").join(" ");
      const part = linked ? this.dossierLink(number, code, name) : textElement("span", name);
      part.title = `Code ${code} of ${this.column(number).name}: ${count === 1 ? cells : `${cells} of this picture`}${linked ? "; open all about it" : ""}`;
      return codes.length === 1 ? [this.swatch(number, code), part, textMade("span", "quiet", `· ${cells}`)] : [this.swatch(number, code), part];
    });
    if (codes.length > MOST_NAMED) parts.push([textMade("span", "quiet", `and ${codes.length - MOST_NAMED} more`)]);
    line.replaceChildren(...parts.flat().filter(Boolean));
  }

  swatch(number, code) {
    const grid = this.gridOf(number);
    const place = grid?.colours && this.column(number).levels.length === 1 ? grid.indices.values.indexOf(code) : -1;
    if (place < 0) return null;
    const swatch = document.createElement("i");
    swatch.style.background = `rgb(${grid.colours.values.subarray(3 * place, 3 * place + 3).join(" ")})`;
    return swatch;
  }

  /** The link to all about a code; a cell that is another model's is left out of it. */
  dossierLink(number, code, text) {
    const { name } = this.column(number);
    const link = textElement("a", text);
    const aim = () => {
      const query = new URLSearchParams(location.search);
      query.set("checkpoint", name);
      query.set("code", code);
      if (name !== this.header.anchor) query.delete("cell");
      link.href = `${this.header.codebook}?${query}`;
    };
    aim();
    link.addEventListener("pointerdown", aim); // the address may say more by now
    link.addEventListener("click", openInPlace);
    return link;
  }
}

function numberRow([label, value, meaning, against]) {
  const row = made("div", "", textElement("dt", label), textElement("dd", value));
  Object.assign(row.dataset, { tip: against ? `${meaning} ${against[1]}` : meaning });
  row.tabIndex = 0;
  if (against) row.lastChild.append(textMade("small", "", against[0]));
  return row;
}

function made(tag, className = "", ...children) {
  const element = Object.assign(document.createElement(tag), { className });
  element.append(...children);
  return element;
}

function textMade(tag, className, text) {
  return made(tag, className, text);
}

function listed(numbers) {
  return numbers.length < 2 ? numbers.join() : `${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}`;
}
