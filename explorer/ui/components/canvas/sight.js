// How the person looks at the picture: zoom, layer, comparison, and where they point.

class Sight {
  constructor(model) {
    this.model = model;
    this.leave();
    this.peeking = null; // the layer that a key shows while it is held
    this.panning = false; // the space bar is held
  }

  /** Another grid: it is seen whole. */
  leave() {
    this.zoom = new Zoom();
    this.hover = null; // the cell that is pointed at
    this.finger = null; // where a finger is down, as an event
    this.model.tell("zoom", "pointer");
  }

  /** Where the cells lie in a viewport of one CSS pixel's width: for what does not depend on its size. */
  get placement() {
    const { measures } = this.model;
    const box = { left: 0, top: 0, width: 1, height: measures.height / measures.width };
    return new Placement(measures, this.zoom, box);
  }

  get layer() {
    return this.peeking ?? this.model.habits.layer;
  }

  /** The marks on the screen: while the blend brush is in hand, the blended cells show by themselves. */
  get marks() {
    const { asked: { overlay }, habits } = this.model;
    return overlay === "none" && habits.tool === "blend" && !this.peeking ? "blend" : overlay;
  }

  /** Whether there is anything to be seen of them. */
  get hasMarks() {
    const { marked, state } = this.model;
    if (this.marks === "blend") return state.weights.some((weight) => weight !== UNPAINTED);
    return this.marks !== "none" && marked?.kind === this.marks;
  }

  chooseLayer(layer) {
    this.model.habit({ layer });
    this.model.tell("picture");
  }

  /** Show another layer for as long as a key is held; null: that of before. */
  peek(layer) {
    if (this.peeking === layer) return;
    this.peeking = layer;
    this.model.tell("picture", "habits");
  }

  setDivide(divide) {
    this.model.habit({ divide: clamp(divide, 0, 1) });
  }

  setPanning(panning) {
    this.panning = panning;
    this.model.tell("pointer");
  }

  pointAt(cell) {
    if (same(cell, this.hover)) return;
    this.hover = cell;
    this.model.tell("pointer");
  }

  /** A finger is down there, or no more. */
  setFinger(event) {
    this.finger = event;
    this.model.tell("pointer");
  }

  setZoom(zoom) {
    this.zoom = zoom;
    this.model.tell("zoom");
  }

  /** In, at the cell that is pointed at, or else to the selection or the cell cursor; out; or back to all of it. */
  zoomBy(which) {
    const { placement, hover, zoom, model: { selected: { places }, asked: { cell } } } = this;
    if (which === "reset") this.setZoom(new Zoom());
    else if (which === "out") this.setZoom(zoom.times(1 / ZOOM_STEP));
    else if (hover) this.setZoom(zoom.times(ZOOM_STEP, placement.middleOf(hover)));
    else if (zoom.scale === 1 && places.length) this.zoomTo(boundingBox(places, this.model.columns));
    else if (zoom.scale === 1 && cell) this.setZoom(Object.assign(new Zoom(), placement.middleOf(cell)).times(ZOOM_STEP));
    else this.setZoom(zoom.times(ZOOM_STEP));
  }

  /** Have a rectangle of cells fill most of the viewport. */
  zoomTo({ top, left, bottom, right }) {
    const { rows, columns } = this.model;
    const { x, y } = this.placement.middleOf([(top + bottom - 1) / 2, (left + right - 1) / 2]);
    const fits = 0.8 * Math.min(rows / (bottom - top), columns / (right - left));
    this.setZoom(new Zoom(Math.max(ZOOM_STEP, fits), x, y));
  }

  /** Move the picture where a cell would be out of sight. */
  reveal(cell) {
    const { placement } = this;
    const { x, y } = placement.middleOf(cell);
    if (!placement.inSight(cell)) this.setZoom(new Zoom(this.zoom.scale, x, y));
  }
}

const ZOOM_STEP = 1.6;
