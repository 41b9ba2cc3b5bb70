// A training as a film: pictures as they are drawn, step by step, and, where they are known, the codes on a map that
// stays, with the cells of a picture behind them.

const films = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  let film = films.get(parentElement);
  if (!film) {
    film = new Film(parentElement);
    films.set(parentElement, film);
  }
  film.setTriggerValue = setTriggerValue;
  if (data) film.receive(unpack(data));
  const lead = ({ detail }) => film.lead(detail);
  document.addEventListener(WANTED, lead);
  return () => {
    document.removeEventListener(WANTED, lead);
    film.rest();
  };
}

const FRAME_MS = 160;
const GRID_PIXELS = 512; // along the longer side of a grid
const UNIT = 30000; // as in __init__.py
const MAP_PIXELS = 600;
const LANE = `
  <figure><canvas class="map" role="img"></canvas><figcaption><span><i></i><span class="name"></span></span><b></b></figcaption></figure>
  <figure><canvas class="original" role="img"></canvas><figcaption><span></span></figcaption></figure>
  <figure><canvas class="off" role="img"></canvas><figcaption><span>Codes only</span><b></b></figcaption></figure>
  <figure><canvas class="on" role="img"></canvas><figcaption><span>Embedding on</span><b></b></figcaption></figure>
  <figure><canvas class="grid" role="img"></canvas><figcaption><span>Codes</span><b></b></figcaption></figure>`;
const TAKES = `
  <div class="takes" role="group" aria-label="This step in Compare">
    <span>This step:</span>${[1, 2, 3, 4].map((column) => `<button data-column="${column}">Put into column ${column}</button>`).join("")}<button data-column="0">Compare with the last</button>
  </div>`;

class Film {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "holder";
    this.holder.innerHTML = `
      <div class="film">
        <div class="lanes"></div>
        <div class="scrub" hidden>
          <button></button>
          <input type="range" min="0" step="1" aria-label="Step of the training">
          <output></output>
        </div>
        <p class="gap" role="status" hidden></p>
        ${TAKES}
      </div>`;
    root.appendChild(this.holder);
    this.holder.figures = { "": () => inRows([...this.lanes.children].map((lane) => picturesOf(lane))) };
    this.lanes = this.holder.querySelector(".lanes");
    this.scrub = this.holder.querySelector(".scrub");
    this.takes = this.holder.querySelector(".takes");
    this.gap = this.holder.querySelector(".gap");
    for (const button of this.takes.querySelectorAll("button")) {
      button.addEventListener("click", () =>
        this.setTriggerValue("taken", { step: this.moment, column: Number(button.dataset.column) }));
    }
    this.slider = this.holder.querySelector("input");
    this.button = this.holder.querySelector("button");
    this.slider.addEventListener("input", () => {
      this.rest();
      this.draw();
    });
    this.button.addEventListener("click", () => (this.playing ? this.rest() : this.play()));
    showPlaying(this.button, false);
  }

  receive(message) {
    const shown = this.moments?.[Number(this.slider.value)];
    const before = this.moments?.length;
    const followed = Number(this.slider.value) === (before ?? 0) - 1; // whoever looks at the newest goes on to
    this.message = message;
    const steps = message.lanes.flatMap((lane) => [...lane.steps, ...lane.gaps.map(([step]) => step)]);
    this.moments = [...new Set(steps)].sort((one, other) => one - other);
    this.scrub.hidden = this.moments.length < 2;
    this.takes.hidden = !message.takes;
    for (const button of this.takes.querySelectorAll("button")) button.hidden = Number(button.dataset.column) > message.takes;
    const last = this.moments.length - 1;
    this.slider.max = last;
    const place = followed || !before ? last : this.moments.findLastIndex((step) => step <= shown);
    this.slider.value = Math.max(0, place);
    const gridded = message.lanes.some((lane) => lane.gridded);
    this.holder.firstElementChild.classList.toggle("gridded", gridded);
    this.lanes.classList.toggle("stacked", !gridded && message.lanes.every((lane) => !lane.mapped));
    while (this.lanes.children.length < message.lanes.length) {
      const lane = document.createElement("div");
      lane.className = "lane";
      lane.innerHTML = LANE;
      this.lanes.appendChild(lane);
    }
    while (this.lanes.children.length > message.lanes.length) this.lanes.lastChild.remove();
    this.draw();
  }

  get moment() {
    return this.moments[Number(this.slider.value)];
  }

  draw() {
    const moment = this.moment;
    const [gap] = this.message.lanes.flatMap((lane) => lane.gaps.filter(([step]) => step === moment));
    this.lanes.classList.toggle("gone", Boolean(gap));
    this.gap.hidden = !gap;
    this.gap.textContent = gap ? `Not shown: ${gap[1]}` : "";
    const last = moment === this.moments.at(-1);
    for (const button of this.takes.querySelectorAll("button")) button.disabled = Boolean(gap) || (last && button.dataset.column === "0");
    this.message.lanes.forEach((lane, number) => {
      // The newest snapshot of this lane by then.
      const frame = Math.max(0, lane.steps.findLastIndex((step) => step <= moment));
      this.drawLane(this.lanes.children[number], lane, number, frame);
      if (gap) this.lanes.children[number].querySelectorAll("b").forEach((said) => (said.textContent = "–"));
    });
    const shown = `${this.message.words.unit} ${moment.toLocaleString("en")}`;
    this.holder.querySelector("output").textContent = shown;
    this.slider.setAttribute("aria-valuetext", shown);
    this.holder.firstElementChild.dataset.step = moment;
    document.dispatchEvent(new CustomEvent(SHOWN, { detail: { film: this.message.name, step: moment } }));
  }

  drawLane(element, lane, number, frame) {
    const part = (name) => this.message[`${name}${number}`];
    const step = lane.steps[frame].toLocaleString("en");
    element.style.setProperty("--lane", lane.colour);
    element.querySelector(".name").textContent = `Codebook${lane.name ? ` of ${lane.name}` : ""}`;
    const [mapped, off, on, change] = element.querySelectorAll("b");
    mapped.textContent = `step ${step}`;
    off.textContent = decibels(lane.off[frame]);
    on.textContent = decibels(lane.on[frame]);
    change.textContent = lane.changes[frame] ?? "";
    on.previousElementSibling.textContent = this.message.words.on;
    const original = element.querySelector(".original");
    original.setAttribute("aria-label", this.message.title);
    original.parentElement.querySelector("span").textContent = this.message.title;
    paint(original, this.message.original);
    for (const name of ["off", "on"]) {
      const canvas = element.querySelector(`.${name}`);
      canvas.parentElement.hidden = !part(name);
      if (!part(name)) continue;
      const { shape, values } = part(name);
      const size = shape[1] * shape[2] * 3;
      paint(canvas, { shape: shape.slice(1), values: values.subarray(frame * size, (frame + 1) * size) });
      canvas.setAttribute("aria-label", name === "off" ? "Drawn from the codes only" : "Drawn with the embedding");
    }
    const map = element.querySelector(".map");
    map.parentElement.hidden = !lane.mapped;
    if (lane.mapped) this.drawMap(map, lane, frame, part);
    const grid = element.querySelector(".grid");
    grid.parentElement.hidden = !lane.gridded;
    if (lane.gridded) this.drawGrid(grid, frame, part("grid"), part("changed"), lane.stride);
  }

  /** The codes in their colours, a dot on each that has changed; what the picture was padded by is cut off. */
  drawGrid(canvas, frame, colours, changed, stride) {
    const [, rows, columns] = colours.shape;
    const cells = rows * columns;
    const side = Math.max(4, Math.round(GRID_PIXELS / Math.max(rows, columns)));
    const [down, across] = this.message.original.shape.map((pixels) => Math.round((pixels / stride) * side));
    if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
    const brush = canvas.getContext("2d");
    const values = colours.values.subarray(3 * cells * frame, 3 * cells * (frame + 1));
    for (let cell = 0; cell < cells; cell += 1) {
      const [red, green, blue] = values.subarray(3 * cell, 3 * cell + 3);
      const [x, y] = [side * (cell % columns), side * Math.floor(cell / columns)];
      brush.fillStyle = `rgb(${red} ${green} ${blue})`;
      brush.fillRect(x, y, side, side);
      if (!changed.values[cells * frame + cell]) continue;
      brush.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 128 ? "rgb(0 0 0 / 60%)" : "rgb(255 255 255 / 75%)";
      brush.beginPath();
      brush.arc(x + side / 2, y + side / 2, side / 6, 0, 2 * Math.PI);
      brush.fill();
    }
    canvas.setAttribute("aria-label", "The grid of codes, each as what it decodes to; dots on those that changed");
  }

  /** Go where a curve leads: it names the film and the step, or nothing but the film, to hear where it is. */
  lead({ film, step }) {
    if (!this.message || film !== this.message.name) return;
    if (step !== undefined) {
      this.rest();
      this.slider.value = Math.max(0, this.moments.findLastIndex((moment) => moment <= step));
    }
    this.draw();
  }

  drawMap(canvas, lane, frame, part) {
    const height = Math.round(MAP_PIXELS / this.message.aspect);
    if (canvas.width !== MAP_PIXELS) [canvas.width, canvas.height] = [MAP_PIXELS, height];
    const brush = canvas.getContext("2d");
    brush.clearRect(0, 0, MAP_PIXELS, height);
    const of = (packed, number) => {
      const count = packed.shape[1];
      return (point) => [0, 1].map((axis) => {
        const value = packed.values[2 * (number * count + point) + axis] / UNIT;
        return axis ? height / 2 - (MAP_PIXELS / 2) * 0.94 * value : (MAP_PIXELS / 2) * (1 + 0.94 * value);
      });
    };
    const dot = ([x, y], radius) => {
      brush.beginPath();
      brush.arc(x, y, radius, 0, 2 * Math.PI);
    };
    const [cloud, codes, sizes] = ["cloud", "codes", "sizes"].map(part);
    brush.fillStyle = "rgb(140 146 150 / 45%)";
    const cell = of(cloud, frame);
    for (let point = 0; point < cloud.shape[1]; point += 1) {
      dot(cell(point), 3);
      brush.fill();
    }
    const code = of(codes, frame);
    const earlier = of(codes, Math.max(0, frame - 1));
    brush.strokeStyle = lane.colour;
    brush.fillStyle = lane.colour;
    for (let number = 0; number < codes.shape[1]; number += 1) {
      const place = code(number);
      brush.globalAlpha = 0.35;
      brush.lineWidth = 1.5;
      brush.beginPath(); // where it came from
      brush.moveTo(...earlier(number));
      brush.lineTo(...place);
      brush.stroke();
      const size = sizes.values[frame * codes.shape[1] + number];
      brush.globalAlpha = size > DEAD ? 0.85 : 1;
      dot(place, 3 + size / 18);
      if (size > DEAD) brush.fill();
      else brush.stroke(); // dead: hollow
    }
    brush.globalAlpha = 1;
    canvas.setAttribute(
      "aria-label",
      `The codes on a fixed map at step ${lane.steps[frame]}, the cells of the held-out picture in grey behind them`,
    );
  }

  play() {
    if (CALM.matches) return this.goOn(true);
    if (this.ended) this.slider.value = 0;
    this.playing = setInterval(() => (CALM.matches ? this.rest() : this.goOn()), FRAME_MS);
    this.draw();
    showPlaying(this.button, this.playing);
  }

  get ended() {
    return Number(this.slider.value) === Number(this.slider.max);
  }

  /** The next step; after the last one playing ends, or all starts over. */
  goOn(over = false) {
    if (this.ended && !over) return this.rest();
    this.slider.value = this.ended ? 0 : Number(this.slider.value) + 1;
    this.draw();
  }

  rest() {
    clearInterval(this.playing);
    this.playing = null;
    showPlaying(this.button, this.playing);
  }
}

/** What a lane draws now, each with its caption. */
function picturesOf(lane) {
  const shown = [...lane.querySelectorAll("figure")].filter((figure) => !figure.hidden);
  return shown.map((figure) => ({
    canvas: figure.querySelector("canvas"),
    said: [...figure.querySelectorAll("figcaption > *")].map((part) => part.textContent.trim()).filter(Boolean).join(", "),
  }));
}

/** A quality in words; nothing where it is infinite. */
function decibels(value) {
  return value === null ? "" : `${value.toFixed(1)} dB`;
}

const DEAD = 37; // of a size: 255 · √(0.35 / 16), less than 35% of an equal share
