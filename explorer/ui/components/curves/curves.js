// Lines over the steps of a training. A chart keeps its elements, its size and its axis of steps while its lines grow.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [38, 10, 6, 20];
const holders = new WeakMap();

export default function ({ parentElement, data }) {
  let curves = holders.get(parentElement);
  if (!curves) {
    curves = new Curves(parentElement);
    holders.set(parentElement, curves);
  }
  const hear = ({ detail }) => curves.mark(detail);
  document.addEventListener(SHOWN, hear);
  curves.receive(data.charts, data.columns, data.follows);
  return () => document.removeEventListener(SHOWN, hear);
}

class Curves {
  constructor(root) {
    const holder = document.createElement("div");
    holder.className = "holder";
    this.element = document.createElement("div");
    this.element.className = "curves";
    holder.appendChild(this.element);
    root.appendChild(holder);
    holder.figures = { "": () => this.onPaper() };
    this.charts = [];
    new ResizeObserver(() => this.charts.forEach((chart) => chart.draw())).observe(this.element);
  }

  /** Mark the step that a film shows, if it is the one that is followed. */
  mark({ film, step }) {
    if (film === this.follows) this.charts.forEach((chart) => chart.markAt(step));
  }

  receive(charts, columns, follows) {
    this.follows = follows;
    this.element.style.setProperty("--columns", columns);
    while (this.charts.length < charts.length) this.charts.push(new Chart(this.element));
    while (this.charts.length > charts.length) this.charts.pop().figure.remove();
    charts.forEach((chart, number) => this.charts[number].receive(chart, follows));
    if (follows) lead(follows); // it may have been there before
  }

  /** All charts where they stand, and below them what each line is. */
  onPaper() {
    const whole = this.element.getBoundingClientRect();
    const lines = new Map();
    for (const { chart } of this.charts) for (const line of chart.lines) if (line.name) lines.set(`${line.name} ${line.colour} ${line.dotted}`, line);
    let left = 0;
    const legend = [...lines.values()].map(({ name, colour, dotted }) => {
      const at = left;
      left += 34 + 7 * name.length;
      const dash = dotted ? ' stroke-dasharray="2 4" stroke-linecap="round"' : "";
      return `<path d="M${at} -4h18" fill="none" stroke="${colour}" stroke-width="2"${dash}/><text x="${at + 24}">${escaped(name)}</text>`;
    });
    const height = Math.ceil(whole.height) + (legend.length ? 28 : 4);
    const parts = this.charts.map((chart) => chart.onPaper(whole));
    const style = `.grid{stroke:${INK};opacity:.13}.tick{font-size:11px;opacity:.75}.line{fill:none;stroke-width:2;stroke-linejoin:round}`;
    const below = `<g transform="translate(0 ${height - 6})">${legend.join("")}</g>`;
    const markup = onPaper(Math.ceil(whole.width), height, `<style>${style}</style>${parts.join("")}${below}`);
    return { svg: () => markup };
  }
}

class Chart {
  constructor(parent) {
    this.figure = document.createElement("figure");
    this.figure.innerHTML = "<figcaption><b></b><span></span></figcaption>";
    this.figure.tabIndex = 0;
    this.svg = this.figure.appendChild(document.createElementNS(SVG, "svg"));
    parent.appendChild(this.figure);
    this.at = null; // the step that is read, in place of the unit
    this.marked = null; // the step of the film that is followed
    this.svg.addEventListener("click", (event) => this.follows && lead(this.follows, this.stepAt(event.offsetX)));
    this.svg.addEventListener("pointermove", (event) => this.read(this.stepAt(event.offsetX)));
    this.svg.addEventListener("pointerleave", () => this.read(null));
    this.figure.addEventListener("blur", () => this.read(null));
    this.figure.addEventListener("keydown", (event) => this.move(event));
  }

  receive(chart, follows) {
    this.chart = chart;
    this.follows = follows;
    this.figure.querySelector("b").textContent = chart.title;
    this.figure.querySelector("figcaption").title = chart.meaning;
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth;
    if (!width || !this.chart) return;
    const { lines, last, top } = this.chart;
    const values = lines.flatMap((line) => line.values);
    const low = top === null && values.length ? Math.min(...values) : 0;
    const high = top ?? (values.length ? Math.max(...values) : 1);
    const room = top === null ? 0.06 * (high - low || 1) : 0.03 * high;
    const [floor, roof] = [top === null ? low - room : 0, high + room];
    this.x = (step) => LEFT + ((width - LEFT - RIGHT) * step) / last;
    this.y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - floor)) / (roof - floor);
    const parts = [];
    for (const value of ticks(floor, roof, 4)) {
      parts.push(node("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }));
      parts.push(node("text", { class: "tick", x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const step of ticks(0, last, 5)) {
      parts.push(node("text", { class: "tick", x: this.x(step), y: HEIGHT - 4, "text-anchor": "middle" }, step.toLocaleString("en")));
    }
    // The dotted lines lie above: where two coincide both are seen.
    for (const line of [...lines].sort((one, other) => one.dotted - other.dotted)) {
      const points = line.steps.map((step, number) => `${this.x(step).toFixed(1)} ${this.y(line.values[number]).toFixed(1)}`);
      if (points.length) {
        const dash = line.dotted ? { "stroke-dasharray": "2 4", "stroke-linecap": "round" } : {};
        parts.push(node("path", { class: "line", d: `M${points.join("L")}`, stroke: line.colour, ...dash }));
      }
    }
    if (this.marked !== null) {
      const place = this.x(this.marked);
      parts.push(node("line", { class: "mark", x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM }));
      for (const line of lines) {
        const number = line.steps.indexOf(this.marked);
        if (number < 0) continue;
        parts.push(node("circle", { class: "mark", cx: place, cy: this.y(line.values[number]), r: 4, fill: line.colour }));
      }
    }
    if (this.at !== null) {
      const place = this.x(this.at);
      parts.push(node("line", { class: "cursor", x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    this.svg.replaceChildren(...parts);
    const span = this.figure.querySelector("span");
    const read = this.at ?? this.marked;
    if (this.follows && read !== null) span.replaceChildren(...this.values(read));
    else span.textContent = this.at === null ? this.chart.unit : this.told(this.at);
    this.figure.dataset.points = lines.reduce((most, line) => Math.max(most, line.steps.length), 0);
    this.figure.setAttribute("aria-label", `${this.chart.title}, ${this.told(read ?? last)}`);
  }

  markAt(step) {
    this.marked = step;
    this.draw();
  }

  /** The values of all lines at a step, each with what its line looks like. */
  values(step) {
    const said = this.chart.lines.flatMap((line) => {
      const place = line.steps.indexOf(step);
      const sign = document.createElement("i");
      sign.style.borderTop = `2px ${line.dotted ? "dotted" : "solid"} ${line.colour}`;
      const value = place < 0 ? "–" : line.values[place].toLocaleString("en", { maximumFractionDigits: this.chart.digits });
      return [sign, `${line.name} ${value} `];
    });
    return [...said, this.chart.unit];
  }

  /** The chart at its place within a whole, with its title, its unit, and what lies along it. */
  onPaper(whole) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [box.left - whole.left, box.top - whole.top];
    const { title, unit } = this.chart;
    const drawn = [...this.svg.children].filter((part) => !part.classList.contains("cursor"));
    const content = drawn.map((part) => new XMLSerializer().serializeToString(part)).join("");
    const head = `<text x="${x}" y="${y - 6}"><tspan font-weight="600">${escaped(title)}</tspan> <tspan opacity="0.75">${escaped(unit)}</tspan></text>`;
    const along = `<text x="${x + box.width - RIGHT}" y="${y - 6}" text-anchor="end" opacity="0.75" font-size="11">over steps</text>`;
    return `${head}${along}<g transform="translate(${x} ${y})">${content}</g>`;
  }

  /** The values of all lines at a step, in words. */
  told(step) {
    const said = this.chart.lines.flatMap((line) => {
      const place = nearest(line.steps, step);
      if (place < 0) return [];
      return [`${line.name} ${line.values[place].toFixed(this.chart.digits)}`.trim()];
    });
    const shown = this.steps()[nearest(this.steps(), step)];
    return said.length ? `step ${shown.toLocaleString("en")}: ${said.join(", ")}` : "nothing yet";
  }

  /** The steps that can be read: those of the longest line. */
  steps() {
    return this.chart.lines.reduce((longest, line) => (line.steps.length > longest.length ? line.steps : longest), []);
  }

  stepAt(pixels) {
    const step = ((pixels - LEFT) * this.chart.last) / (this.svg.clientWidth - LEFT - RIGHT);
    return this.steps()[nearest(this.steps(), step)] ?? null;
  }

  read(step) {
    this.at = step;
    this.draw();
  }

  move(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const steps = this.steps();
    if (!by || !steps.length) return;
    event.preventDefault();
    if (this.follows) {
      const here = this.marked ?? steps.at(-1); // which need not be among them
      return lead(this.follows, by < 0 ? steps.findLast((step) => step < here) : steps.find((step) => step > here));
    }
    const place = this.at === null ? steps.length - 1 : nearest(steps, this.at) + by;
    this.read(steps[Math.min(steps.length - 1, Math.max(0, place))]);
  }
}

/** Lead a film to a step; without one, have it say where it is. */
function lead(film, step) {
  if (step !== null) document.dispatchEvent(new CustomEvent(WANTED, { detail: { film, step } }));
}

function node(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Round numbers from low to high, about so many. */
function ticks(low, high, about) {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, number) => (first + number) * step);
}

function short(value) {
  return Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 4 });
}

/** The place of the number nearest to a value in a list; −1 in an empty one. */
function nearest(numbers, value) {
  let best = -1;
  numbers.forEach((number, place) => {
    if (best < 0 || Math.abs(number - value) < Math.abs(numbers[best] - value)) best = place;
  });
  return best;
}
