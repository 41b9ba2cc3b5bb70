// How the editor looks: its markup, and the drawing of what its fields say. What the person does with it is in editor.js.

// --- tools ----------------------------------------------------------------------------------------------------------

const TOOL_LIST = [
  ["brush", "B", "brush", "Brush: paint with the chosen code"],
  ["rectangle", "R", "rectangle", "Rectangle: drag to fill one with the chosen code"],
  ["fill", "F", "format_color_fill", "Fill: neighbouring cells of the same code"],
  ["replace", "X", "find_replace", "Replace: every cell of the code you press on"],
  ["pick", "I", "colorize", "Eyedropper: take the code you press on (Alt with any tool)"],
  ["select", "S", "select", "Select: drag a rectangle; drag it to move it"],
  ["erase", "E", "ink_eraser", "Erase: back to the encoder's own code"],
  ["runner-up", "U", "swap_horiz", "Runner-up: the code that came second there, and back"],
  ["blend", "W", "opacity", "Blend brush: how much of the embedding is blended in, cell by cell"],
];
const TOOLS_OF_INPUTS = ["select", "erase", "blend"]; // where only the embedding is painted with
const STROKES = ["brush", "erase", "runner-up", "blend"];
const LAYERS = [
  ["decoded", "Decoded", "What the decoder makes of your grid", "1"],
  ["original", "Original", "The picture as it is; hold O to see it for a moment", "2"],
  ["codes", "Codes", "Every cell as what its code decodes to, alone", "3"],
  ["changes", "Changes", "Where your picture differs from the unedited reconstruction", "4"],
];
const OVERLAYS = [
  ["none", "Nothing marked"],
  ["margin", "Margin: fragile cells"],
  ["influence", "Influence of the cell"],
  ["cycle", "Cycle check"],
  ["blend", "Blend of each cell"],
];
const PALETTES = [
  ["picture", "Picture", "The codes of this grid, most used first"],
  ["near", "Similar", "The codes nearest to the chosen one"],
  ["alternatives", "Here", "What the picture would look like at the cell, with the codes nearest to its embedding"],
  ["plausible", "Plausible", "Codes that fit the cell's four neighbours, by how often codes stand side by side"],
  ["map", "Map", "The map of codes: click a place"],
  ["starred", "Starred", "The codes that you starred on the Codebook page"],
];
const MOST_FRAMES = 60; // of an animation
const MOST_LISTED = 120; // entries of the history that are in the list at once

const icon = (name) => `<span class="icon" aria-hidden="true">${name}</span>`;
const option = ([value, label]) => `<option value="${value}">${label}</option>`;

const MARKUP = `
  <div class="canvas editor" part="canvas">
    <div class="bar">
      <div class="segments layers" role="group" aria-label="Layer">
        ${LAYERS.map(([name, label, tip]) => `<button data-layer="${name}" data-tip="${tip}">${label}</button>`).join("")}
      </div>
      <label class="choice"><span>Mark</span><select class="overlay">${OVERLAYS.map(option).join("")}</select></label>
      <p class="readout" aria-live="polite"></p>
      <button class="quiet" data-act="grid" aria-pressed="false" data-tip="Lines between the cells (G)">${icon("grid_on")}</button>
      <div class="segments zoom" role="group" aria-label="Zoom">
        <button data-zoom="out" aria-label="Zoom out" data-tip="Zoom out (−, or the wheel with Ctrl)">−</button>
        <button data-zoom="reset" data-tip="Show the whole picture (0)">Fit</button>
        <button data-zoom="in" aria-label="Zoom in" data-tip="Zoom in (+, or the wheel with Ctrl); hold the space bar to drag the picture">+</button>
      </div>
    </div>
    <div class="bench">
      <div class="tools" role="toolbar" aria-orientation="vertical" aria-label="Tools">
        ${TOOL_LIST.map(([name, key, glyph, tip]) => `<button data-tool="${name}" aria-label="${tip.split(":")[0]}" data-tip="${tip} · ${key}">${icon(glyph)}</button>`).join("")}
      </div>
      <div class="stage">
        <div class="viewport" tabindex="0" role="application" aria-label="Grid of codes; arrow keys move the cell, Enter applies the tool">
          <canvas class="pixels"></canvas><canvas class="marks"></canvas>
        </div>
        <div class="options">
          <label class="size"><span>Brush</span><input type="range" min="1" max="9" step="1"><output></output></label>
          <label class="percent"><span>Blend to</span><input type="range" min="0" max="100" step="5"><output></output></label>
          <span class="selecting"></span>
          <p class="advice"></p>
        </div>
        <p class="verdict" hidden><i></i><span></span></p>
        <div class="figures"></div>
      </div>
      <aside class="side">
        <section class="second" hidden>
          <div class="viewport"><canvas class="difference"></canvas></div>
          <p>Difference to the codes alone <span class="ramp" data-tip="Mean absolute difference over red, green and blue, in levels of 255"><i>0</i><b></b><i>${ERROR_FULL}+</i></span></p>
        </section>
        <section class="palette">
          <header>
            <i class="chosen tile"></i>
            <div><b class="chosen-name"></b><span class="chosen-note"></span></div>
            <input class="search" type="search" placeholder="Code or 40-60" aria-label="Search codes by number">
          </header>
          <div class="tabs" role="tablist" aria-label="Palette">
            ${PALETTES.map(([name, label, tip]) => `<button role="tab" data-palette="${name}" data-tip="${tip}">${label}</button>`).join("")}
          </div>
          <canvas class="map" tabindex="0" role="img" aria-label="Map of codes" hidden></canvas>
          <div class="swatches" role="listbox" aria-label="Codes"></div>
          <p class="palette-note"></p>
        </section>
        <section class="history">
          <header>
            <b>History</b>
            <button class="quiet" data-act="undo" aria-label="Undo" data-tip="Undo (Ctrl+Z)">${icon("undo")}</button>
            <button class="quiet" data-act="redo" aria-label="Redo" data-tip="Redo (Ctrl+Shift+Z)">${icon("redo")}</button>
            <button class="quiet" data-act="clear" aria-label="Start over" data-tip="Start over; can be undone">${icon("restart_alt")}</button>
            <button class="quiet" data-act="gif" data-tip="Save the history as an animation that any program shows">GIF</button>
            <button class="quiet" data-act="webp" data-tip="Save the history as an animation in full quality">WebP</button>
          </header>
          <ol class="entries"></ol>
        </section>
      </aside>
    </div>
    <div class="controls rules">
      <div class="segments" role="group" aria-label="Embedding of edited cells">
        <button data-rule="follow">Follow</button><button data-rule="carry">Carry</button><button data-rule="keep">Keep</button>
      </div>
      <p class="rule"></p>
    </div>
    ${BLEND_CONTROLS}
  </div>`;

// --- the view -------------------------------------------------------------------------------------------------------

const TALLEST = "27rem"; // of the picture
const albums = new Map(); // content -> { pictures: Map of entry id -> data URL, ids: of the entries, in order }

/** Draws the fields that `Editor` has; never changes what they say. */
class EditorView {
  // --- places

  /** Where in the picture a cell's middle is: x and y in 0…1. */
  middleOf([row, column]) {
    const { across, down } = this.extent();
    return { x: ((column + 0.5) / this.columns) * across, y: ((row + 0.5) / this.rows) * down };
  }

  box() {
    return this.viewport.getBoundingClientRect();
  }

  /** The grid's size in pictures: the last cells may reach beyond the picture. */
  extent() {
    const [height, width] = this.layers.original.shape;
    const { stride } = this.message;
    return { across: (this.columns * stride) / width, down: (this.rows * stride) / height };
  }

  /** The cell under an event; with `nearest` also from outside the grid, while something is dragged. */
  cellAt(event, nearest = false) {
    if (!this.layers) return null;
    const { x, y } = this.zoom.pointAt(this.box(), event);
    const { across, down } = this.extent();
    const [row, column] = [Math.floor((y / down) * this.rows), Math.floor((x / across) * this.columns)];
    if (nearest) return [clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1)];
    return row >= 0 && column >= 0 && row < this.rows && column < this.columns ? [row, column] : null;
  }

  /** Where cells lie in the viewport: (row, column) -> [x, y, side] in CSS pixels. */
  geometry() {
    const box = this.frame;
    const [, width] = this.layers.original.shape;
    const { scale, x, y } = this.zoom;
    const side = (this.message.stride * box.width * scale) / width;
    const [left, top] = [box.width * (0.5 - x * scale), box.height * (0.5 - y * scale)];
    return { box, side, at: (row, column) => [left + column * side, top + row * side, side] };
  }

  // --- drawing

  draw() {
    if (!this.layers || !this.message) return;
    const { asked, message } = this;
    const [height, width] = this.layers.original.shape;
    this.viewport.style.aspectRatio = `${width} / ${height}`;
    this.viewport.style.maxWidth = `calc(${TALLEST} * ${width / height})`;
    const layer = this.layer();
    press(this.root, "layer", layer);
    press(this.root, "tool", this.habits.tool);
    press(this.root, "rule", asked.rule);
    this.find("[data-act=grid]").setAttribute("aria-pressed", this.habits.grid);
    this.find(".overlay").value = asked.overlay;
    this.drawMode();
    this.find(".rule").textContent = message.rules[asked.rule];
    this.find(".sentence").textContent = message.sentence;
    this.find(".advice").textContent = this.advice();
    this.blend.draw(message.inputs, asked, message.blends);
    this.drawOptions();
    drawFigures(this.find(".figures"), message.figures);
    const { across, down } = layer === "codes" ? this.extent() : { across: 1, down: 1 };
    this.zoom.place(this.find(".pixels"), across, down);
    if (message.mode !== "inputs") this.drawPalette();
    this.drawHistory();
    this.drawCursor();
    this.drawMarks();
  }

  /** What the page that this editor is on has of it. */
  drawMode() {
    const { mode, verdict } = this.message;
    const inputs = mode === "inputs";
    this.find(".editor").dataset.mode = mode;
    this.find(".palette").hidden = this.find(".rules").hidden = inputs;
    this.find(".second").hidden = !inputs;
    this.root.querySelectorAll("[data-tool]").forEach((button) =>
      (button.hidden = inputs && !TOOLS_OF_INPUTS.includes(button.dataset.tool)));
    const percent = this.find(".percent input");
    [percent.min, percent.max] = inputs ? [-50, 150] : [0, 100];
    const said = this.find(".verdict");
    said.hidden = !verdict;
    if (verdict) {
      const [level, sentence, details] = verdict;
      [said.className, said.lastElementChild.textContent, said.tabIndex] = [`verdict ${level}`, sentence, details ? 0 : -1];
      if (details) said.dataset.tip = details;
      else delete said.dataset.tip;
    }
    if (!inputs || !this.layers.codesOnly || !this.decoded) return;
    const [height, width] = this.layers.original.shape;
    this.find(".second .viewport").style.aspectRatio = `${width} / ${height}`;
    const difference = this.find(".difference");
    this.zoom.place(difference);
    if (this.compared?.[0] === this.layers.codesOnly && this.compared[1] === this.decoded) return;
    this.compared = [this.layers.codesOnly, this.decoded];
    paint(difference, errorMap(...this.compared));
  }

  layer() {
    return this.peeking ? "original" : this.habits.layer;
  }

  drawPixels() {
    if (!this.layers || !this.decoded) return;
    const pixels = this.find(".pixels");
    const layer = this.layer();
    pixels.dataset.layer = layer;
    if (layer === "codes") return this.drawMosaic(pixels);
    if (layer === "original") paint(pixels, this.layers.original);
    else if (layer === "changes") paint(pixels, errorMap(this.layers.unedited, this.decoded));
    else paint(pixels, this.decoded);
  }

  /** Every cell as the tile of its code. */
  drawMosaic(pixels) {
    const { indices } = this.history.state;
    const side = this.message.stride;
    pixels.width = this.columns * side;
    pixels.height = this.rows * side;
    const brush = pixels.getContext("2d");
    indices.forEach((code, place) =>
      this.atlas.draw(brush, code, (place % this.columns) * side, Math.floor(place / this.columns) * side, side));
  }

  drawOptions() {
    const { tool, size, percent } = this.habits;
    this.find(".size").hidden = !STROKES.includes(tool);
    this.find(".percent").hidden = tool !== "blend" && tool !== "select";
    this.find(".size input").value = size;
    this.find(".size output").textContent = size;
    fillRange(this.find(".size input"));
    this.find(".percent input").value = percent;
    this.find(".percent output").textContent = `${percent} %`;
    fillRange(this.find(".percent input"));
    const actions = [
      ["copy", "Copy", "Ctrl+C"], ["cut", "Cut", "Ctrl+X: leaves the chosen code"], ["paste", "Paste", "Ctrl+V: at the cell that is outlined"],
      ["fill", "Fill", "With the chosen code"], ["shuffle", "Shuffle", "Mix the cells up (H)"], ["runner-up", "Runner-up", "Each cell takes its second choice"],
      ["blend", "Blend", "Blend as the slider here says"], ["erase", "Erase", "Back to the encoder's codes (Delete)"],
    ].filter(([action]) => this.message.mode !== "inputs" || ["blend", "erase"].includes(action));
    const holder = this.find(".selecting");
    const key = tool === "select" ? `${Boolean(this.selection)} ${Boolean(clipboard)} ${this.message.mode}` : "";
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    refill(holder, (tool === "select" ? actions : []).map(([action, label, tip]) => {
      const button = textElement("button", label);
      button.className = "quiet";
      button.dataset.tip = tip;
      button.disabled = action === "paste" ? !clipboard : !this.selection;
      button.addEventListener("click", () => this.act(action));
      return button;
    }));
  }

  /** What is marked on the grid, or why nothing happened. */
  advice() {
    const { overlay } = this.asked;
    if (this.complaint) return this.complaint;
    if (overlay !== "blend") return this.marked?.kind === overlay ? this.marked.sentence : "";
    const painted = this.history.state.weights.some((weight) => weight !== UNPAINTED);
    return painted ? "Bright cells get all of their embedding, dark ones none; the others are as the slider says."
      : "No cell has a blend of its own yet: paint one with the blend brush (W).";
  }

  drawCursor() {
    const { tool } = this.habits;
    this.viewport.dataset.cursor = this.panning ? "pan" : tool;
  }

  drawMarks() {
    if (!this.layers || !this.history) return;
    const { box, side, at } = this.geometry();
    const marks = this.find(".marks");
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (marks.width !== width || marks.height !== height) [marks.width, marks.height] = [width, height];
    const brush = marks.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, box.width, box.height);
    brush.imageSmoothingEnabled = true;
    this.drawWaiting(brush, at);
    this.drawOverlay(brush, at, side);
    if (this.habits.grid) this.drawGrid(brush, at, box);
    this.drawFrames(brush, at);
    this.describe();
  }

  /** Cells that were painted since the picture on the screen was decoded: as their code looks alone. */
  drawWaiting(brush, at) {
    const { indices } = this.history.state;
    const shown = this.shown?.indices;
    if (!shown || this.layer() === "original") return;
    brush.imageSmoothingEnabled = false;
    for (let place = 0; place < indices.length; place += 1) {
      if (indices[place] === shown[place]) continue;
      this.atlas.draw(brush, indices[place], ...at(Math.floor(place / this.columns), place % this.columns));
    }
  }

  drawOverlay(brush, at, side) {
    const { overlay } = this.asked;
    const found = this.marked;
    if (overlay === "blend") return this.drawBlend(brush, at);
    if (found?.kind !== overlay) return;
    const { shape: [height, width], values } = found.values;
    if (overlay === "cycle") {
      values.forEach((mark, place) => mark && this.drawTick(brush, at(Math.floor(place / width), place % width), mark));
      return;
    }
    const heat = document.createElement("canvas");
    [heat.width, heat.height] = [width, height];
    const image = new ImageData(width, height);
    values.forEach((value, place) => {
      const [red, green, blue] = ERROR_RAMP[value];
      image.data.set([red, green, blue, overlay === "margin" ? 190 : Math.min(235, 40 + 2 * value)], 4 * place);
    });
    heat.getContext("2d").putImageData(image, 0, 0);
    const [row, column] = found.corner;
    const [x, y] = at(row, column);
    const scale = (overlay === "margin" ? 1 : 1 / this.message.stride) * side;
    brush.imageSmoothingEnabled = overlay !== "margin";
    brush.drawImage(heat, x, y, width * scale, height * scale);
  }

  /** How much of the embedding each painted cell has. */
  drawBlend(brush, at) {
    this.history.state.weights.forEach((weight, place) => {
      if (weight === UNPAINTED) return;
      const [x, y, side] = at(Math.floor(place / this.columns), place % this.columns);
      const [red, green, blue] = ERROR_RAMP[clamp(Math.round(weight * 2.55), 0, 255)];
      brush.fillStyle = `rgba(${red}, ${green}, ${blue}, 0.75)`;
      brush.fillRect(x, y, side, side);
    });
  }

  /** 1 came back, 2 did not, 3 changed without being edited. */
  drawTick(brush, [x, y, side], mark) {
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

  drawGrid(brush, at, box) {
    brush.strokeStyle = "rgba(255, 255, 255, 0.35)";
    brush.lineWidth = 1;
    brush.beginPath();
    for (let column = 1; column < this.columns; column += 1) {
      const x = Math.round(at(0, column)[0]) + 0.5;
      brush.moveTo(x, 0);
      brush.lineTo(x, box.height);
    }
    for (let row = 1; row < this.rows; row += 1) {
      const y = Math.round(at(row, 0)[1]) + 0.5;
      brush.moveTo(0, y);
      brush.lineTo(box.width, y);
    }
    brush.stroke();
  }

  drawFrames(brush, at) {
    const { drawing, hover } = this;
    const frame = (rectangle, colour, width) => {
      const [x, y, side] = at(rectangle.top, rectangle.left);
      outlineBox(brush, x, y, (rectangle.right - rectangle.left) * side, (rectangle.bottom - rectangle.top) * side, colour, width);
    };
    const colour = accent(this.root);
    if (drawing?.kind === "rectangle") frame(rectangleBetween(drawing.start, drawing.last), "#fff", 1.5);
    if (drawing?.kind === "move") {
      frame(moved(this.selection, drawing.last[0] - drawing.start[0], drawing.last[1] - drawing.start[1]), "#fff", 1.5);
    }
    if (this.selection) frame(this.selection, colour, 2);
    else if (this.asked.cell) outline(brush, at(...this.asked.cell), colour, 2.5);
    if (!hover || drawing?.kind === "rectangle") return;
    const around = STROKES.includes(this.habits.tool) ? brushPlaces(...hover, this.size(), this.rows, this.columns) : [this.place(hover)];
    drawEdge(brush, around, this.columns, at);
  }

  describe() {
    const readout = this.find(".readout");
    const cell = this.hover ?? this.asked.cell;
    readout.classList.toggle("hint", !cell);
    if (!cell) {
      readout.textContent = this.message.mode === "inputs"
        ? "Press on the picture to paint a blend."
        : "Press on the picture to paint with the chosen code.";
      return;
    }
    const place = this.place(cell);
    const { indices, weights } = this.history.state;
    const code = indices[place];
    const was = this.layers.base[place];
    const notes = [`row ${cell[0]}, column ${cell[1]}`];
    if (was !== code) notes.push(`was ${was}`);
    if (weights[place] !== UNPAINTED) notes.push(`blend ${weights[place]} %`);
    readout.replaceChildren(this.swatch(code), textElement("b", `Code ${code}`), textElement("span", notes.join(" · ")));
  }

  swatch(code) {
    const swatch = document.createElement("i");
    swatch.className = "tile";
    this.atlas.show(swatch, code);
    return swatch;
  }

  // --- the palette

  drawPalette() {
    const { code } = this.asked;
    this.atlas.show(this.find(".chosen"), code);
    this.find(".chosen-name").textContent = `Code ${code}`;
    const count = this.history.state.indices.reduce((sum, index) => sum + (index === code), 0);
    this.find(".chosen-note").textContent = count ? `${count} ${count === 1 ? "cell" : "cells"} here` : "not in this grid";
    this.root.querySelectorAll("[data-palette]").forEach((tab) =>
      tab.setAttribute("aria-selected", tab.dataset.palette === this.palette.kind));
    this.find(".map").hidden = this.palette.kind !== "map";
    if (this.palette.kind === "map") this.drawMap();
    const { offered } = this;
    if (!offered) return;
    this.find(".palette-note").textContent = offered.note;
    const holder = this.find(".swatches");
    holder.classList.toggle("large", offered.kind === "alternatives");
    if (this.listed !== offered) this.listSwatches(holder, offered);
    holder.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-selected", Number(button.dataset.code) === code));
  }

  listSwatches(holder, offered) {
    this.listed = offered;
    const crops = offered.pictures;
    refill(holder, offered.codes.map((code, number) => {
      const button = document.createElement("button");
      button.dataset.code = code;
      button.setAttribute("role", "option");
      button.setAttribute("aria-label", `Code ${code}`);
      button.title = `Code ${code}${offered.labels[number] ? ` · ${offered.labels[number]}` : ""}`;
      if (crops) {
        const picture = document.createElement("canvas");
        const [, height, width] = crops.shape;
        paint(picture, { shape: [height, width], values: crops.values.subarray(3 * number * height * width, 3 * (number + 1) * height * width) });
        button.append(picture);
      } else button.append(this.swatch(code));
      button.addEventListener("click", () => this.takeCode(code, offered.kind));
      button.addEventListener("dblclick", () => this.putHere(code));
      return button;
    }));
  }

  /** Of the alternatives for a cell, a click puts one there: they show what that would look like. */
  takeCode(code, kind) {
    this.chooseCode(code);
    if (kind === "alternatives") this.putHere(code);
  }

  putHere(code) {
    if (this.asked.cell) this.operate({ tool: "paint", places: [this.place(this.asked.cell)], code });
  }

  drawMap() {
    const element = this.find(".map");
    if (!this.map) return;
    const ratio = window.devicePixelRatio || 1;
    const side = element.getBoundingClientRect().width * ratio;
    if (!side) return;
    [element.width, element.height] = [side, side * 0.66];
    const brush = element.getContext("2d");
    const { points, colours } = this.map;
    const many = points.length > 20000;
    const radius = (many ? 1 : 2.2) * ratio;
    brush.strokeStyle = "rgb(128 128 128 / 60%)"; // black codes on a dark page, white ones on a light one
    brush.lineWidth = ratio / 2;
    for (let i = 0; i < points.length / 2; i += 1) {
      brush.fillStyle = `rgb(${colours[3 * i]} ${colours[3 * i + 1]} ${colours[3 * i + 2]})`;
      brush.beginPath();
      brush.arc((points[2 * i] / 65535) * element.width, (points[2 * i + 1] / 65535) * element.height, radius, 0, 7);
      brush.fill();
      if (!many) brush.stroke();
    }
    const { place } = this.palette;
    if (!place) return;
    brush.lineWidth = 2 * ratio;
    brush.strokeStyle = accent(this.root);
    brush.beginPath();
    brush.arc(place[0] * element.width, place[1] * element.height, 9 * ratio, 0, 7);
    brush.stroke();
  }

  // --- the history

  drawHistory() {
    const { history } = this;
    this.find("[data-act=undo]").disabled = !history.canUndo;
    this.find("[data-act=redo]").disabled = !history.canRedo;
    this.find("[data-act=clear]").disabled = !changedPlaces(history.state, this.layers.base).length
      && history.state.weights.every((weight) => weight === UNPAINTED);
    for (const form of ["gif", "webp"]) {
      const button = this.find(`[data-act=${form}]`);
      button.disabled = !history.position || Boolean(this.animation);
      button.classList.toggle("busy", this.animation?.form === form);
    }
    if (this.root.getRootNode().activeElement?.disabled) this.viewport.focus({ preventScroll: true }); // keys go on working
    const { pictures, ids } = albums.get(this.layers.content);
    ids.splice(0, ids.length, ...history.entries.map(({ id }) => id));
    const drawn = JSON.stringify([history.position, pictures.size, history.entries.slice(-MOST_LISTED)
      .map(({ id, on, label }) => [id, on, label, pictures.get(id)?.length])]);
    if (this.listedEntries === drawn) return;
    this.listedEntries = drawn;
    const list = this.find(".entries");
    const first = Math.max(0, history.entries.length - MOST_LISTED);
    const rows = history.entries.slice(first).map((entry, number) => this.historyRow(entry, first + number));
    const start = textElement("li", first ? `Start, and ${first} more steps` : "Start");
    start.className = history.position === 0 ? "now" : "";
    start.tabIndex = 0;
    start.addEventListener("click", () => this.goTo(0));
    refill(list, [...rows.reverse(), start]);
  }

  historyRow(entry, number) {
    const { history } = this;
    const row = document.createElement("li");
    row.className = [number + 1 === history.position && "now", number >= history.position && "undone", !entry.on && "off"]
      .filter(Boolean).join(" ");
    const eye = document.createElement("button");
    eye.className = "quiet";
    eye.innerHTML = icon(entry.on ? "visibility" : "visibility_off");
    eye.setAttribute("aria-label", `${entry.on ? "Switch off" : "Switch on"}: ${entry.label}`);
    eye.setAttribute("aria-pressed", entry.on);
    eye.addEventListener("click", () => {
      history.toggle(number);
      this.edited();
      this.draw();
    });
    const label = textElement("button", entry.label);
    label.className = "label";
    label.addEventListener("click", () => this.goTo(number + 1));
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = albums.get(this.layers.content).pictures.get(entry.id) ?? this.sketchOf(entry);
    row.append(picture, label, eye);
    return row;
  }

  goTo(position) {
    this.history.goTo(position);
    this.edited();
    this.draw();
  }

  /** Keep a small picture of where an entry led, now that its answer is there. */
  keepPicture(entry) {
    const [height, width] = this.decoded.shape;
    const small = document.createElement("canvas");
    const scale = 72 / Math.max(height, width);
    [small.width, small.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const whole = document.createElement("canvas");
    paint(whole, this.decoded);
    small.getContext("2d").drawImage(whole, 0, 0, small.width, small.height);
    albums.get(this.layers.content).pictures.set(entry, small.toDataURL("image/jpeg", 0.8));
  }

  /** An entry whose picture is not here, after a reload: its cells, in the colour of its code. */
  sketchOf({ operation }) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [this.columns, this.rows];
    const brush = small.getContext("2d");
    const code = operation.code ?? operation.to;
    brush.fillStyle = this.atlas.has(code) ? this.atlas.colour(code) : accent(this.root);
    const places = operation.places ?? (operation.place === undefined ? [] : [operation.place]);
    for (const place of places) brush.fillRect(place % this.columns, Math.floor(place / this.columns), 1, 1);
    return small.toDataURL();
  }
}

// --- small things ---------------------------------------------------------------------------------------------------

/** New children for a holder; where one of the old had the focus, the one in its place has it. */
function refill(holder, children) {
  const focusable = () => [...holder.querySelectorAll("button, [tabindex]")];
  const place = focusable().indexOf(holder.getRootNode().activeElement);
  holder.replaceChildren(...children);
  if (place >= 0) (focusable()[place] ?? focusable().at(-1))?.focus({ preventScroll: true });
}

function press(root, name, value) {
  root.querySelectorAll(`[data-${name}]`).forEach((b) => b.setAttribute("aria-pressed", b.dataset[name] === value));
}

function fillRange(range) {
  range.style.setProperty("--filled", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
}

function moved({ top, left, bottom, right }, down, across) {
  return { top: top + down, left: left + across, bottom: bottom + down, right: right + across };
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
