// Where the cells of a grid lie on the screen: the one place that turns a point into a cell and back.

/** A grid of cells over a picture of height × width pixels that lies in a viewport as a zoom says. */
class Placement {
  /** box: the viewport's place on the screen; only its width and height matter for what is drawn. */
  constructor({ rows, columns, stride, height, width }, zoom, box) {
    Object.assign(this, { rows, columns, zoom, box });
    this.across = (columns * stride) / width; // the grid's size in pictures: the last cells may reach beyond it
    this.down = (rows * stride) / height;
    this.side = (stride * box.width * zoom.scale) / width; // of a cell, in CSS pixels
  }

  /** The cell under an event, or null; with `nearest` also from outside the grid, while something is dragged. */
  cellAt(event, nearest = false) {
    const { x, y } = this.zoom.pointAt(this.box, event);
    const [row, column] = [Math.floor((y / this.down) * this.rows), Math.floor((x / this.across) * this.columns)];
    if (nearest) return [clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1)];
    return row >= 0 && column >= 0 && row < this.rows && column < this.columns ? [row, column] : null;
  }

  /** Where on the grid an event is: [row, column] as fractions; the cell [0, 0] reaches from [0, 0] to [1, 1]. */
  pointAt(event) {
    const { x, y } = this.zoom.pointAt(this.box, event);
    return [(y / this.down) * this.rows, (x / this.across) * this.columns];
  }

  /** Where a cell lies in the viewport: [x, y, side] in CSS pixels. */
  at(row, column) {
    const { box, side, zoom } = this;
    const [left, top] = [box.width * (0.5 - zoom.x * zoom.scale), box.height * (0.5 - zoom.y * zoom.scale)];
    return [left + column * side, top + row * side, side];
  }

  /** Where in the picture a cell's middle is: x and y in 0…1. */
  middleOf([row, column]) {
    return { x: ((column + 0.5) / this.columns) * this.across, y: ((row + 0.5) / this.rows) * this.down };
  }

  /** Whether all of a cell can be seen. */
  inSight([row, column]) {
    const [left, top, side] = this.at(row, column);
    const slack = side / 1000; // of rounding
    return Math.min(left, top, this.box.width - left - side, this.box.height - top - side) >= -slack;
  }
}
