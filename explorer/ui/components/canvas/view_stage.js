// The picture that is painted on, and on the Inputs page its difference to the codes alone.

const STAGE_MARKUP = `
        <div class="viewport" tabindex="0" role="application" aria-label="Grid of codes; arrow keys move the cell, Enter applies the tool">
          <canvas class="pixels"></canvas><canvas class="before" hidden></canvas><canvas class="marks"></canvas>
          <div class="divider" role="slider" aria-label="Before and now" aria-valuemin="0" aria-valuemax="100" tabindex="0" hidden></div>
          <span class="preview" hidden>Preview</span>
          <canvas class="loupe" hidden></canvas>
        </div>
        <p class="scale" hidden></p>`;

const SECOND_MARKUP = `
        <section class="second" hidden>
          <div class="viewport"><canvas class="difference"></canvas></div>
          <p>Difference to the codes alone <span class="ramp" data-tip="Mean absolute difference over red, green and blue, in levels of 255"><i>0</i><b></b><i>${ERROR_FULL}+</i></span></p>
        </section>`;

const LOUPE = 132; // CSS pixels across the loupe
const LOUPE_SCALE = 2;

class StageView extends View {
  topics = ["picture", "grid", "asked", "habits", "selection", "zoom", "pointer", "answer", "tiles"];

  constructor(root, model) {
    super(root, model);
    this.viewport = this.find(".stage .viewport");
    this.pixels = this.find(".pixels");
    this.before = this.find(".before");
    this.divider = this.find(".divider");
    this.loupe = this.find(".loupe");
    this.marks = new Marks(this.find(".marks"), model);
    this.painted = null; // the layer and the version of the picture that the pixels show
    this.frame = { left: 0, top: 0, width: 0, height: 0 }; // of the viewport; to ask for it would lay the page out anew
  }

  resize({ width, height }) {
    this.frame = { left: 0, top: 0, width, height };
    if (this.model.ready) this.marks.draw(this.placement);
  }

  /** Where the cells lie within the viewport. */
  get placement() {
    return new Placement(this.model.measures, this.model.sight.zoom, this.frame);
  }

  draw(news) {
    const { model } = this;
    const { height, width } = model.measures;
    this.viewport.style.setProperty("--ratio", width / height);
    this.viewport.dataset.cursor = model.sight.panning ? "pan" : model.habits.tool;
    if (news.has("picture") || news.has("tiles") || (news.has("grid") && model.sight.layer === "codes")) this.drawPixels();
    const { across, down } = model.sight.placement;
    if (model.sight.layer === "codes") model.sight.zoom.place(this.pixels, across, down);
    else model.sight.zoom.place(this.pixels);
    this.drawBefore(news);
    this.find(".preview").hidden = !model.message.preview || model.sight.layer !== "decoded";
    this.marks.draw(this.placement);
    this.drawScale();
    this.drawLoupe();
  }

  drawPixels() {
    const { model, pixels } = this;
    const { sight: { layer }, layers, picture, version, repainted } = model;
    const goesOn = this.painted?.layer === layer && this.painted.version === version - 1;
    this.painted = { layer, version };
    pixels.dataset.layer = layer;
    if (layer === "codes") return this.drawMosaic();
    if (layer === "original") paint(pixels, layers.original);
    else if (layer === "unedited" && layers.unedited) paint(pixels, layers.unedited);
    else if (layer === "changes" && layers.unedited) paint(pixels, errorMap(layers.unedited, picture));
    else if (goesOn && repainted) {
      const [top, left] = repainted.corner;
      pixels.getContext("2d").putImageData(toImage(repainted.part.shape, repainted.part.values), left, top);
    } else paint(pixels, picture);
  }

  /** Every cell as the tile of its code. */
  drawMosaic() {
    const { model, pixels } = this;
    const side = model.message.stride;
    [pixels.width, pixels.height] = [model.columns * side, model.rows * side];
    const brush = pixels.getContext("2d");
    model.state.indices.forEach((code, place) => {
      const [row, column] = model.cellOf(place);
      model.atlas.draw(brush, code, column * side, row * side, side);
    });
  }

  /** What the picture is compared with, to the left of a line over it. */
  drawBefore(news) {
    const { before, divider, model } = this;
    const { habits: { compare, divide }, layers, sight: { zoom } } = model;
    const shown = layers[compare] ?? null;
    before.hidden = divider.hidden = !shown;
    if (!shown) return;
    if (this.compared !== shown || news.has("picture")) paint(before, shown);
    this.compared = shown;
    zoom.place(before);
    const left = 0.5 - zoom.x * zoom.scale; // of the picture, in viewports
    before.style.clipPath = `inset(0 ${100 * (1 - clamp((divide - left) / zoom.scale, 0, 1))}% 0 0)`;
    divider.style.left = `${100 * divide}%`;
    divider.setAttribute("aria-valuenow", Math.round(100 * divide));
  }

  /** What the colours on the picture mean. */
  drawScale() {
    const { model } = this;
    const scale = model.sight.hasMarks ? scaleOf(model.sight.marks, model.marked) : SCALES[model.sight.layer];
    const holder = this.find(".scale");
    holder.hidden = !scale;
    if (!scale) return;
    const key = JSON.stringify(scale);
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    holder.replaceChildren(...(scale.chips ? scale.chips.map((word, number) => chip(word, CYCLE_COLOURS[number + 1])) : [ramp(scale.ends)]));
  }

  /** What lies under the finger, larger, in the corner that it is not in. */
  drawLoupe() {
    const { loupe, model, frame } = this;
    const { finger } = model.sight;
    loupe.hidden = !finger;
    if (!finger) return;
    const box = this.viewport.getBoundingClientRect();
    const [x, y] = [finger.clientX - box.left, finger.clientY - box.top];
    loupe.classList.toggle("right", x < frame.width / 2);
    const ratio = window.devicePixelRatio || 1;
    loupe.width = loupe.height = LOUPE * ratio;
    const brush = loupe.getContext("2d");
    brush.setTransform(ratio * LOUPE_SCALE, 0, 0, ratio * LOUPE_SCALE, 0, 0);
    brush.translate(LOUPE / LOUPE_SCALE / 2 - x, LOUPE / LOUPE_SCALE / 2 - y);
    brush.imageSmoothingEnabled = false;
    const { x: middle, y: centre, scale } = model.sight.zoom;
    const { across, down } = model.sight.layer === "codes" ? model.sight.placement : { across: 1, down: 1 };
    const [left, top] = [frame.width * (0.5 - middle * scale), frame.height * (0.5 - centre * scale)];
    brush.drawImage(this.pixels, left, top, frame.width * scale * across, frame.height * scale * down);
    brush.drawImage(this.marks.canvas, 0, 0, frame.width, frame.height);
  }
}

/** The scale of some marks: as their answer says, or as it is of itself. */
function scaleOf(kind, marked) {
  if (kind !== "blend" && marked?.chips?.length) return { chips: marked.chips.map(([word]) => word) };
  return kind !== "blend" && marked?.scale ? { ends: marked.scale } : SCALES[kind];
}

function ramp([low, high]) {
  const scale = document.createElement("span");
  scale.className = "ramp";
  scale.append(textElement("i", low), document.createElement("b"), textElement("i", high));
  return scale;
}

function chip(word, colour) {
  const element = textElement("span", word);
  element.className = "chip";
  const square = document.createElement("i");
  square.style.background = colour;
  element.prepend(square);
  return element;
}

/** Where the picture differs from that of the codes alone. */
class SecondView extends View {
  topics = ["picture", "zoom", "answer"];

  draw() {
    const { layers, picture, sight: { zoom }, measures, inputsPage } = this.model;
    this.find(".second").hidden = !inputsPage;
    if (!inputsPage || !layers.codesOnly) return;
    this.find(".second .viewport").style.setProperty("--ratio", measures.width / measures.height);
    const difference = this.find(".difference");
    zoom.place(difference);
    if (this.compared?.[0] === layers.codesOnly && this.compared[1] === picture) return;
    this.compared = [layers.codesOnly, picture];
    paint(difference, errorMap(...this.compared));
  }
}
