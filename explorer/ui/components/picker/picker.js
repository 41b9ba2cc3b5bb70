// A picture with one cell marked: a click picks a cell, and so do the arrow keys.

const pickers = new WeakMap();
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export default function ({ parentElement, data, setTriggerValue }) {
  let picker = pickers.get(parentElement);
  if (!picker) {
    picker = new Picker(parentElement);
    pickers.set(parentElement, picker);
  }
  picker.setTriggerValue = setTriggerValue;
  picker.receive(data);
}

class Picker {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "picker";
    this.holder.tabIndex = 0;
    this.holder.setAttribute("role", "application");
    this.holder.innerHTML = '<img alt=""><i class="hover" hidden></i><i class="mark"></i>';
    [this.image, this.hover, this.mark] = this.holder.children;
    root.appendChild(this.holder);
    this.holder.addEventListener("pointermove", (event) => this.point(this.cellAt(event)));
    this.holder.addEventListener("pointerleave", () => this.point(null));
    this.holder.addEventListener("click", (event) => this.pick(this.cellAt(event)));
    this.holder.addEventListener("keydown", (event) => this.move(event));
  }

  receive(data) {
    this.data = data;
    this.image.src = data.source;
    this.image.width = data.width;
    this.image.height = data.height;
    this.show(data.cell);
  }

  show([row, column]) {
    this.cell = [row, column];
    this.place(this.mark, this.cell);
    this.holder.dataset.cell = `${row},${column}`;
    this.holder.setAttribute("aria-label", `Picture, cell in row ${row}, column ${column}. Arrow keys pick another.`);
  }

  /** Put a frame around a cell; at the border a cell may be larger than what is there of it. */
  place(frame, [row, column]) {
    const { stride, width, height } = this.data;
    const [left, top] = [column * stride, row * stride];
    frame.style.left = `${(100 * left) / width}%`;
    frame.style.top = `${(100 * top) / height}%`;
    frame.style.width = `${(100 * Math.min(stride, width - left)) / width}%`;
    frame.style.height = `${(100 * Math.min(stride, height - top)) / height}%`;
  }

  cellAt(event) {
    const { stride, width, height, rows, columns } = this.data;
    const box = this.image.getBoundingClientRect();
    const row = Math.floor((((event.clientY - box.top) / box.height) * height) / stride);
    const column = Math.floor((((event.clientX - box.left) / box.width) * width) / stride);
    return row >= 0 && row < rows && column >= 0 && column < columns ? [row, column] : null;
  }

  point(cell) {
    this.hover.hidden = cell === null;
    if (cell) this.place(this.hover, cell);
  }

  pick(cell) {
    if (!cell) return;
    this.show(cell);
    this.setTriggerValue("picked", cell);
  }

  move(event) {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const cell = this.cell.map((place, axis) => place + step[axis]);
    if (cell[0] >= 0 && cell[0] < this.data.rows && cell[1] >= 0 && cell[1] < this.data.columns) this.pick(cell);
  }
}
