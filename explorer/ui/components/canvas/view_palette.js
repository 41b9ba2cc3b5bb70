// The palette: the chosen code, and the codes on offer.

const PALETTE_MARKUP = `
        <section class="palette">
          <header>
            <i class="chosen tile"></i>
            <div><b class="chosen-name"></b><span class="chosen-note"></span></div>
            <input class="search" type="search" placeholder="#417 or 40-60" aria-label="Search codes by number">
          </header>
          <div class="recent" role="group" aria-label="Codes used last"></div>
          <div class="tabs" role="tablist" aria-label="Palette">
            ${PALETTES.map(([name, label, tip]) => `<button role="tab" data-palette="${name}" data-tip="${tip}">${label}</button>`).join("")}
          </div>
          <div class="look" hidden>
            <label data-tip="A colour, to find the codes that look like it">Colour <input type="color" value="#808080" aria-label="Colour"></label>
            <button class="quiet take-colour" aria-pressed="false" aria-label="Take a colour from the picture" data-tip="Press on the picture to take a colour from it">${icon("colorize")}</button>
            <label class="patch" data-tip="A patch of any picture: choose a file or drop one here">Patch of a picture…<input type="file" accept="image/*" aria-label="Patch of a picture"></label>
          </div>
          <canvas class="map" tabindex="0" role="application" aria-label="Map of codes; arrow keys move the place whose codes are listed below" hidden></canvas>
          <div class="swatches" role="listbox" aria-label="Codes"></div>
          <p class="palette-note"></p>
        </section>`;

const PATCH_CELLS = 5; // across a patch
const MOST_PATCH = 64; // pixels
const MAP_STEP = 0.04; // of the map, for an arrow key
const TYPING = 200; // ms without a key until a search is sent

class PaletteView extends View {
  topics = ["palette", "asked", "answer", "tiles"];

  /** handlers: palette(values), code(code), putHere(code), takeColour(), complain(sentence). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("palette", (kind) => {
      this.find(".search").value = "";
      handlers.palette({ kind, text: kind === "look" ? this.find(".look [type=color]").value : "", patch: null });
    });
    this.on(".search", "input", (event) => this.search(event.target.value));
    this.on(".map", "click", (event) => this.pointOnMap(event));
    this.on(".look [type=color]", "input", (event) => this.lookFor(event.target.value));
    this.on(".take-colour", "click", handlers.takeColour);
    this.on(".patch input", "change", ({ target }) => {
      this.takePatch(target.files[0]);
      target.value = ""; // the same file can be chosen again
    });
    this.on(".patch", "dragover", (event) => event.preventDefault());
    this.on(".patch", "drop", (event) => {
      event.preventDefault();
      this.takePatch(event.dataTransfer.files[0]);
    });
    this.on(".map", "keydown", (event) => this.moveOnMap(event));
    this.tabs = new Roving(this.find(".tabs"));
    this.swatches = new Roving(this.find(".swatches"), () =>
      getComputedStyle(this.find(".swatches")).gridTemplateColumns.split(" ").length);
    this.atlasRows = 0;
  }

  lookFor(colour) {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.handlers.palette({ kind: "look", text: colour, patch: null }), TYPING);
  }

  /** The middle of a picture, as large as the code's context: a square of few pixels is all that Python needs. */
  async takePatch(file) {
    if (!file) return;
    const picture = await createImageBitmap(file).catch(() => null);
    if (!picture) return this.handlers.complain("This file is no picture that the browser can read.");
    const side = Math.min(MOST_PATCH, PATCH_CELLS * this.model.message.stride);
    const square = document.createElement("canvas");
    [square.width, square.height] = [side, side];
    const brush = square.getContext("2d");
    const least = Math.min(picture.width, picture.height);
    brush.imageSmoothingQuality = "high";
    brush.drawImage(picture, (picture.width - least) / 2, (picture.height - least) / 2, least, least, 0, 0, side, side);
    const patch = Uint8Array.from(brush.getImageData(0, 0, side, side).data.filter((_, place) => place % 4 < 3));
    this.handlers.palette({ kind: "look", text: "", patch });
  }

  search(text) {
    clearTimeout(this.typing);
    const numbers = text.replaceAll("#", "").slice(0, 100);
    const ask = () => this.handlers.palette({ kind: numbers.trim() ? "search" : "picture", text: numbers, patch: null });
    this.typing = setTimeout(ask, TYPING);
  }

  pointOnMap(event) {
    const box = this.find(".map").getBoundingClientRect();
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((p) => clamp(p, 0, 1));
    this.handlers.palette({ kind: "map", place, patch: null });
  }

  moveOnMap(event) {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = this.model.palette.choice.place ?? [0.5, 0.5];
    this.handlers.palette({ kind: "map", place: now.map((place, axis) => clamp(place + MAP_STEP * step[axis], 0, 1)), patch: null });
  }

  draw() {
    const { model } = this;
    const { atlas, palette: { offered, choice, takingColour } } = model;
    this.find(".palette").hidden = model.inputsPage;
    if (model.inputsPage) return;
    if (atlas.rows !== this.atlasRows) this.listed = null; // every place in it has moved
    this.atlasRows = atlas.rows;
    const { code } = model.asked;
    atlas.show(this.find(".chosen"), code);
    this.find(".chosen-name").textContent = `Code ${code}`;
    const count = model.state.indices.reduce((sum, index) => sum + (index === code), 0);
    this.find(".chosen-note").textContent = count ? `${count} ${count === 1 ? "cell" : "cells"} here` : "not in this grid";
    this.root.querySelectorAll("[data-palette]").forEach((tab) =>
      tab.setAttribute("aria-selected", tab.dataset.palette === choice.kind));
    this.tabs.rest();
    this.find(".map").hidden = choice.kind !== "map";
    this.find(".look").hidden = choice.kind !== "look";
    this.find(".take-colour").setAttribute("aria-pressed", takingColour);
    if (choice.kind === "look" && choice.text) this.find(".look [type=color]").value = choice.text;
    this.drawRecent();
    this.drawMap();
    if (!offered) return;
    this.find(".palette-note").textContent = offered.note;
    const holder = this.find(".swatches");
    holder.classList.toggle("large", offered.kind === "alternatives");
    if (this.listed !== offered) this.list(holder, offered);
    holder.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-selected", Number(button.dataset.code) === code));
    this.swatches.rest();
  }

  drawRecent() {
    const { palette: { recent }, asked, atlas } = this.model;
    const holder = this.find(".recent");
    const key = JSON.stringify([recent, asked.code, atlas.rows]);
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    refill(holder, recent.map((code) => {
      const button = document.createElement("button");
      button.title = `Code ${code}, used before`;
      button.setAttribute("aria-label", `Code ${code}, used before`);
      button.setAttribute("aria-pressed", code === asked.code);
      button.append(this.swatch(code));
      button.addEventListener("click", () => this.handlers.code(code));
      return button;
    }));
    holder.hidden = !recent.length;
  }

  list(holder, offered) {
    this.listed = offered;
    refill(holder, offered.codes.map((code, number) => {
      const button = document.createElement("button");
      button.dataset.code = code;
      button.setAttribute("role", "option");
      button.setAttribute("aria-label", `Code ${code}`);
      button.title = `Code ${code}${offered.labels[number] ? ` · ${offered.labels[number]}` : ""}`;
      button.append(offered.pictures ? this.crop(offered.pictures, number) : this.swatch(code));
      button.addEventListener("click", () => this.take(code, offered.kind));
      button.addEventListener("dblclick", () => this.handlers.putHere(code));
      return button;
    }));
  }

  crop({ shape: [, height, width], values }, number) {
    const picture = document.createElement("canvas");
    const size = 3 * height * width;
    paint(picture, { shape: [height, width], values: values.subarray(number * size, (number + 1) * size) });
    return picture;
  }

  /** Of the alternatives for a cell, a click puts one there: they show what that would look like. */
  take(code, kind) {
    this.handlers.code(code);
    if (kind === "alternatives") this.handlers.putHere(code);
  }

  drawMap() {
    const { map, choice } = this.model.palette;
    const element = this.find(".map");
    if (choice.kind !== "map" || !map) return;
    const ratio = window.devicePixelRatio || 1;
    const side = element.getBoundingClientRect().width * ratio;
    if (!side) return;
    [element.width, element.height] = [side, side * 0.66];
    const brush = element.getContext("2d");
    const { points, colours } = map;
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
    if (!choice.place) return;
    brush.lineWidth = 2 * ratio;
    brush.strokeStyle = accent(this.root);
    brush.beginPath();
    brush.arc(choice.place[0] * element.width, choice.place[1] * element.height, 9 * ratio, 0, 7);
    brush.stroke();
  }
}
