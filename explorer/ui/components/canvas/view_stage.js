// The picture that is painted on, and on the Inputs page its difference to the codes alone.

const STAGE_MARKUP = `
        <div class="viewport" tabindex="0" role="application" aria-label="Grid of codes; arrow keys move the cell, Enter applies the tool">
          <canvas class="pixels"></canvas><canvas class="marks"></canvas><span class="preview" hidden>Preview</span>
        </div>`;

const SECOND_MARKUP = `
        <section class="second" hidden>
          <div class="viewport"><canvas class="difference"></canvas></div>
          <p>Difference to the codes alone <span class="ramp" data-tip="Mean absolute difference over red, green and blue, in levels of 255"><i>0</i><b></b><i>${ERROR_FULL}+</i></span></p>
        </section>`;

const TALLEST = "27rem"; // of the picture

class StageView extends View {
  topics = ["picture", "grid", "asked", "habits", "selection", "zoom", "pointer", "answer", "tiles"];

  constructor(root, model) {
    super(root, model);
    this.viewport = this.find(".stage .viewport");
    this.pixels = this.find(".pixels");
    this.marks = new Marks(this.find(".marks"), model);
    this.painted = null; // the layer and the version of the picture that the pixels show
    this.frame = { left: 0, top: 0, width: 0, height: 0 }; // of the viewport; to ask for it would lay the page out anew
  }

  resize({ width, height }) {
    this.frame = { left: 0, top: 0, width, height };
    if (this.model.ready) this.marks.draw(this.placement());
  }

  /** Where the cells lie within the viewport. */
  placement(box = this.frame) {
    return new Placement(this.model.measures, this.model.zoom, box);
  }

  draw(news) {
    const { model } = this;
    const { height, width } = model.measures;
    this.viewport.style.aspectRatio = `${width} / ${height}`;
    this.viewport.style.maxWidth = `calc(${TALLEST} * ${width / height})`;
    this.viewport.dataset.cursor = model.panning ? "pan" : model.habits.tool;
    if (news.has("picture") || news.has("tiles") || (news.has("grid") && model.layer === "codes")) this.drawPixels();
    const { across, down } = model.placement;
    if (model.layer === "codes") model.zoom.place(this.pixels, across, down);
    else model.zoom.place(this.pixels);
    this.find(".preview").hidden = !model.message.preview || model.layer !== "decoded";
    this.marks.draw(this.placement());
  }

  drawPixels() {
    const { model, pixels } = this;
    const { layer, layers, picture, version, repainted } = model;
    const goesOn = this.painted?.layer === layer && this.painted.version === version - 1;
    this.painted = { layer, version };
    pixels.dataset.layer = layer;
    if (layer === "codes") return this.drawMosaic();
    if (layer === "original") paint(pixels, layers.original);
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
}

/** Where the picture differs from that of the codes alone. */
class SecondView extends View {
  topics = ["picture", "zoom", "answer"];

  draw() {
    const { layers, picture, zoom, measures, inputsPage } = this.model;
    this.find(".second").hidden = !inputsPage;
    if (!inputsPage || !layers.codesOnly) return;
    this.find(".second .viewport").style.aspectRatio = `${measures.width} / ${measures.height}`;
    const difference = this.find(".difference");
    zoom.place(difference);
    if (this.compared?.[0] === layers.codesOnly && this.compared[1] === picture) return;
    this.compared = [layers.codesOnly, picture];
    paint(difference, errorMap(...this.compared));
  }
}
