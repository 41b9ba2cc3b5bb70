// The map of the codes. Two canvases: the dots, and above them what is pointed at, open and gathered.

const maps = new WeakMap();
const views = new Map(); // by what is shown: where the person has moved to, also while the map was away
const MOST_CORNERS = 400; // of an outline; as in Python
const ROOM = 22; // CSS pixels around all dots
const NEAR = 4; // CSS pixels beside a dot that still point at it
const CLICK = 4; // CSS pixels that the pointer may move within a click
const DARK = matchMedia("(prefers-color-scheme: dark)");
const THEMED = 300; // ms until the page has the colours of another theme
const FAINT = 0.45; // opacity of a code that no cell has
const ICONS = {
  move: '<path d="M10 3v14M3 10h14M10 3l-2 2M10 3l2 2M10 17l-2-2M10 17l2-2M3 10l2-2M3 10l2 2M17 10l-2-2M17 10l-2 2"/>',
  box: '<rect x="3.5" y="5" width="13" height="10" stroke-dasharray="2.5 2.5"/>',
  lasso: '<path d="M6.5 13C3 11 2.500 7 7 5s10 0 10 3.500-5 5.500-9 4.500c-2.500-.5-2.500 3 0 4" stroke-dasharray="3 2.200"/>',
  nearer: '<path d="M10 4v12M4 10h12"/>',
  farther: '<path d="M4 10h12"/>',
  whole: '<path d="M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4"/>',
};
const TOOLS = [
  ["move", "Move: drag the map, turn the wheel to zoom"],
  ["box", "Box: gather the codes in it (B at two of its corners)"],
  ["lasso", "Lasso: gather the codes inside"],
  ["nearer", "Zoom in (+)"],
  ["farther", "Zoom out (−)"],
  ["whole", "Show the whole map (0)"],
];

export default function ({ parentElement, data, setStateValue }) {
  let map = maps.get(parentElement);
  if (!map) {
    map = new DotMap(parentElement);
    maps.set(parentElement, map);
  }
  map.setStateValue = setStateValue;
  map.receive(unpack(data));
  const deaf = onOpened((code) => map.mark(code));
  const recolour = () => setTimeout(() => map.ask(), THEMED); // the rims of dots are of the theme
  DARK.addEventListener("change", recolour);
  return () => {
    deaf();
    DARK.removeEventListener("change", recolour);
    map.resizes.disconnect();
  };
}

class DotMap {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "map";
    this.holder.innerHTML =
      '<div class="plane" tabindex="0" role="application"><canvas></canvas><canvas></canvas></div>' +
      '<div class="scale" hidden></div><div class="tools" role="toolbar" aria-label="Map"></div>' +
      '<p class="note" role="status" hidden></p><div class="chip" aria-live="polite" hidden></div>';
    root.appendChild(this.holder);
    this.holder.map = this;
    this.holder.figures = { "": () => ({ svg: () => this.onPaper() }) };
    [this.plane, this.scale, this.toolbar, this.note, this.chip] = this.holder.children;
    [this.dots, this.marks] = this.plane.children;
    for (const [name, title] of TOOLS) {
      const button = document.createElement("button");
      Object.assign(button, { title, innerHTML: `<svg viewBox="0 0 20 20" aria-hidden="true">${ICONS[name]}</svg>` });
      button.setAttribute("aria-label", title);
      button.dataset.tool = name;
      button.addEventListener("click", () => this.use(name));
      this.toolbar.appendChild(button);
    }
    this.hover = null; // number of the dot that is pointed at
    this.open = null; // code
    this.outline = []; // corners in the plane
    this.corner = null; // code at which the keyboard began a box
    this.use("move");
    this.resizes = new ResizeObserver(() => this.resized());
    this.plane.addEventListener("pointerdown", (event) => this.press(event));
    this.plane.addEventListener("pointermove", (event) => this.drag(event));
    this.plane.addEventListener("pointerup", (event) => this.release(event));
    this.plane.addEventListener("pointercancel", () => this.letGo());
    this.plane.addEventListener("pointerleave", () => this.point(null));
    this.plane.addEventListener("dblclick", () => this.whole());
    this.plane.addEventListener("keydown", (event) => this.key(event));
    this.plane.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaY > 0 && !this.view && !event.ctrlKey && !event.metaKey) return; // nothing farther: the page scrolls
        event.preventDefault();
        this.zoom(Math.exp(-0.0015 * event.deltaY), this.at(event));
      },
      { passive: false },
    );
  }

  receive(message) {
    this.message = message;
    this.count = message.codes.values.length;
    this.numbers = new Map();
    message.codes.values.forEach((code, number) => this.numbers.set(code, number));
    this.hover = null;
    this.view = views.get(message.remembered) ?? null;
    this.plane.style.height = `${message.height}px`;
    this.plane.setAttribute(
      "aria-label",
      `${message.label}. Arrow keys open the next code in a direction, with Shift they move the map; + and − zoom, 0 shows all. ` +
        "B at a code, and again at another, gathers the codes in the box between them; Escape leaves it.",
    );
    this.drawScale();
    this.resizes.observe(this.plane);
    this.mark(openedCode());
    this.resized();
  }

  // --- from the plane to the screen and back

  get width() {
    return this.plane.clientWidth;
  }

  get height() {
    return this.plane.clientHeight;
  }

  /** What is shown: the middle, and CSS pixels for a unit of the plane. Until the person moves, all dots. */
  get shown() {
    return this.view ?? this.around();
  }

  around() {
    const { values } = this.message.points;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < values.length; i += 2) {
      left = Math.min(left, values[i]);
      right = Math.max(right, values[i]);
      low = Math.min(low, values[i + 1]);
      high = Math.max(high, values[i + 1]);
    }
    if (left > right) [left, right, low, high] = [-1, 1, -1, 1];
    const across = Math.max(1, this.width - 2 * ROOM) / Math.max(right - left, 1e-6);
    const down = Math.max(1, this.height - 2 * ROOM) / Math.max(high - low, 1e-6);
    const scale = Math.min(across, down);
    return { x: (left + right) / 2, y: (low + high) / 2, scale: scale > 1e5 ? 200 : scale }; // one dot alone has no size
  }

  /** By how much dots are larger or smaller than they say: small where there are many, until one comes near. */
  get growth() {
    const { crowding } = this.message;
    return this.view ? clamp(crowding * Math.sqrt(this.view.scale / this.around().scale), crowding, 1) : crowding;
  }

  /** Where a point of the plane is, in CSS pixels from the top left. */
  place(x, y) {
    const { x: middle, y: centre, scale } = this.shown;
    return [(x - middle) * scale + this.width / 2, this.height / 2 - (y - centre) * scale];
  }

  plain([across, down]) {
    const { x, y, scale } = this.shown;
    return [x + (across - this.width / 2) / scale, y + (this.height / 2 - down) / scale];
  }

  /** What buttons and keys zoom at: the open code while it is in sight, else the middle. */
  get middle() {
    const open = this.placeOf(this.open);
    const inSight = open && open[0] >= 0 && open[0] <= this.width && open[1] >= 0 && open[1] <= this.height;
    return inSight ? open : [this.width / 2, this.height / 2];
  }

  /** Where a code is, in CSS pixels; null where it is not among those shown. */
  placeOf(code) {
    const number = this.numbers.get(code);
    if (number === undefined) return null;
    const { values } = this.message.points;
    return this.place(values[2 * number], values[2 * number + 1]);
  }

  at(event) {
    const box = this.plane.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The dot at a place; of several the one whose middle is nearest, and a used code before one that is not. */
  dotAt([across, down]) {
    const { points, radii, counts } = this.message;
    const { x: middle, y: centre, scale } = this.shown;
    const [left, top] = [this.width / 2 - middle * scale, this.height / 2 + centre * scale];
    const { growth } = this;
    let [best, least] = [null, Infinity];
    for (let i = 0; i < this.count; i += 1) {
      const dx = points.values[2 * i] * scale + left - across;
      const dy = top - points.values[2 * i + 1] * scale - down;
      const reach = radii.values[i] * growth + NEAR;
      if (dx > reach || dx < -reach || dy > reach || dy < -reach) continue;
      const distance = Math.hypot(dx, dy) + (counts.values[i] ? 0 : reach);
      if (distance <= (counts.values[i] ? reach : 2 * reach) && distance <= least) [best, least] = [i, distance];
    }
    return best;
  }

  // --- moving

  look(view) {
    this.view = view;
    if (view) views.set(this.message.remembered, view);
    else views.delete(this.message.remembered);
    this.ask();
  }

  whole() {
    this.look(null);
  }

  move(across, down) {
    const { x, y, scale } = this.shown;
    this.look({ x: x - across / scale, y: y + down / scale, scale });
  }

  /** By a factor, with what is at a place staying there; never farther than all dots. */
  zoom(factor, place = this.middle) {
    const [x, y] = this.plain(place);
    const scale = Math.min(this.shown.scale * factor, 1e6);
    if (scale <= this.around().scale) return this.whole();
    this.look({
      x: x - (place[0] - this.width / 2) / scale,
      y: y - (this.height / 2 - place[1]) / scale,
      scale,
    });
  }

  // --- the hand

  use(tool) {
    if (tool === "nearer") return this.zoom(1.5);
    if (tool === "farther") return this.zoom(1 / 1.5);
    if (tool === "whole") return this.whole();
    this.tool = tool;
    for (const button of this.toolbar.children) {
      if (["move", "box", "lasso"].includes(button.dataset.tool)) {
        button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
      }
    }
    this.plane.classList.toggle("draws", tool !== "move");
  }

  press(event) {
    if (event.button !== 0) return;
    this.plane.setPointerCapture(event.pointerId);
    this.pressed = { from: this.at(event), last: this.at(event), moved: false, path: [this.at(event)] };
  }

  drag(event) {
    const now = this.at(event);
    if (!this.pressed) return this.point(this.dotAt(now));
    const { from, last, path } = this.pressed;
    if (!this.pressed.moved && Math.hypot(now[0] - from[0], now[1] - from[1]) < CLICK) return;
    this.pressed.moved = true;
    this.point(null);
    this.pressed.last = now;
    if (this.tool === "move") {
      this.plane.classList.add("dragged");
      this.move(now[0] - last[0], now[1] - last[1]);
    } else {
      const end = path[path.length - 1];
      if (this.tool === "box") this.pressed.path = [from, [now[0], from[1]], now, [from[0], now[1]]];
      else if (Math.hypot(now[0] - end[0], now[1] - end[1]) >= 3) path.push(now);
      this.outline = this.pressed.path.map((place) => this.plain(place));
      this.drawMarks();
    }
  }

  release(event) {
    const pressed = this.pressed;
    this.letGo();
    if (!pressed) return;
    if (!pressed.moved) {
      const number = this.dotAt(this.at(event));
      if (number !== null) pickCode(this.message.codes.values[number]);
      else if (this.outline.length) this.gather([]);
    } else if (this.tool !== "move") {
      this.gather(thinned(this.outline, MOST_CORNERS));
    }
  }

  letGo() {
    this.pressed = null;
    this.plane.classList.remove("dragged");
  }

  gather(outline) {
    this.corner = null;
    this.outline = outline;
    this.drawMarks();
    this.setStateValue("outline", outline);
  }

  key(event) {
    const [right, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] ?? [0, 0];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (right || up) {
      if (event.shiftKey) this.move(-60 * right, 60 * up);
      else this.step(right, up);
    } else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.whole();
    else if (event.key === "b" || event.key === "B") this.setCorner();
    else if (event.key === "Escape" && this.begun) this.leaveBox();
    else if (event.key === "Escape" && this.outline.length) this.gather([]);
    else return;
    event.preventDefault();
  }

  /** Begin a box at the open code, or gather what lies in the one that was begun. */
  setCorner() {
    if (!this.numbers.has(this.open)) return;
    if (this.begun) return this.gather(this.boxed);
    this.corner = this.open;
    this.drawMarks();
  }

  leaveBox() {
    this.corner = null;
    this.drawMarks();
  }

  /** Whether a box was begun at a code that is shown. */
  get begun() {
    return this.numbers.has(this.corner);
  }

  /** The corners, in the plane, of the box from the code where it was begun to the open one, both of them in it. */
  get boxed() {
    const ends = [this.corner, this.open].map((code) => this.placeOf(code) ?? this.placeOf(this.corner));
    const [across, down] = [0, 1].map((axis) => ends.map((place) => place[axis]));
    const [west, east] = [Math.min(...across) - NEAR, Math.max(...across) + NEAR];
    const [north, south] = [Math.min(...down) - NEAR, Math.max(...down) + NEAR];
    return [[west, north], [east, north], [east, south], [west, south]].map((place) => this.plain(place));
  }

  /** Open the nearest code that lies in a direction from the open one. */
  step(right, up) {
    const { points, codes } = this.message;
    const here = this.numbers.get(this.open);
    const [x, y] = here === undefined ? [0, 0] : [points.values[2 * here], points.values[2 * here + 1]];
    let [best, least] = [null, Infinity];
    for (let i = 0; i < this.count; i += 1) {
      if (i === here) continue;
      const [dx, dy] = [points.values[2 * i] - x, points.values[2 * i + 1] - y];
      const along = dx * right + dy * up;
      const aside = Math.abs(dx * up) + Math.abs(dy * right);
      if (along <= 0 || aside > along) continue;
      const far = along + 2 * aside;
      if (far < least) [best, least] = [i, far];
    }
    if (best === null) return;
    pickCode(codes.values[best]);
    const [across, down] = this.placeOf(codes.values[best]);
    const [outX, outY] = [outside(across, this.width), outside(down, this.height)];
    if (outX || outY) this.move(-outX, -outY);
    this.point(best);
  }

  // --- drawing

  resized() {
    if (!this.width || !this.message) return;
    this.ask();
  }

  /** Draw at the next frame, once, however often it is asked for. */
  ask() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = null;
      if (!this.width) return;
      this.drawDots();
      this.drawMarks();
    });
  }

  drawDots() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    const { points, radii, colours, counts, places, tints } = this.message;
    const { x, y, scale } = this.shown;
    const [left, top] = [(this.width / 2 - x * scale) * ratio, (this.height / 2 + y * scale) * ratio];
    const raster = new Raster(width, height, rimOn(this.holder));
    const pitch = scale * ratio;
    const size = this.growth * ratio;
    for (let i = 0; i < places.shape[0]; i += 1) {
      raster.dot(places.values[2 * i] * pitch + left, top - places.values[2 * i + 1] * pitch, 1.5 * ratio, tints.values, i, 0.45, 0);
    }
    for (let i = 0; i < this.count; i += 1) {
      const used = counts.values[i] > 0;
      raster.dot(
        points.values[2 * i] * pitch + left,
        top - points.values[2 * i + 1] * pitch,
        radii.values[i] * size,
        colours.values,
        i,
        used ? 1 : FAINT,
        used ? 0 : Math.min(ratio, size),
      );
    }
    Object.assign(this.dots, { width, height });
    this.dots.getContext("2d").putImageData(raster.image, 0, 0);
    this.holder.dataset.drawn = this.count;
    this.holder.dataset.view = [x, y, scale].map((value) => value.toPrecision(6)).join(" ");
  }

  /** The map as it is looked at, as circles, with what its colours stand for. */
  onPaper() {
    const { points, radii, colours, counts, places, tints, codes, scale, stops } = this.message;
    const { width, height, growth } = this;
    const [parts, legend] = [[], []];
    const circle = (at, radius, tint, how) => {
      const [x, y] = this.place(at[0], at[1]);
      if (x < -radius || y < -radius || x > width + radius || y > height + radius) return;
      const colour = `rgb(${tint.join(",")})`;
      parts.push(`<circle cx="${x.toFixed(2)}" cy="${y.toFixed(2)}" r="${radius.toFixed(2)}" ${how(colour)}/>`);
    };
    const part = (values, number, size) => values.subarray(size * number, size * (number + 1));
    for (let i = 0; i < places.shape[0]; i += 1) {
      circle(part(places.values, i, 2), 1.5, part(tints.values, i, 3), (colour) => `fill="${colour}" fill-opacity="0.45"`);
    }
    for (let i = 0; i < this.count; i += 1) {
      const radius = radii.values[i] * growth;
      const full = (colour) => `fill="${colour}" data-code="${codes.values[i]}"`;
      const hollow = (colour) => `fill="none" stroke="${colour}" stroke-opacity="${FAINT}" data-code="${codes.values[i]}"`;
      circle(part(points.values, i, 2), radius, part(colours.values, i, 3), counts.values[i] ? full : hollow);
    }
    if (scale) {
      const shades = stops.map((stop, number) => `<stop offset="${number / (stops.length - 1)}" stop-color="${stop}"/>`);
      legend.push(
        `<linearGradient id="scale">${shades.join("")}</linearGradient>`,
        `<rect x="4" y="4" width="230" height="42" fill="${PAPER}" fill-opacity="0.85"/>`,
        `<text x="10" y="20">${escaped(scale.title)}</text><text x="10" y="38">${shortened(scale.low)}</text>`,
        `<rect x="60" y="30" width="110" height="8" fill="url(#scale)"/><text x="176" y="38">${shortened(scale.high)}</text>`,
      );
    }
    const dots = `<g stroke="rgb(60,60,60)" stroke-opacity="0.3" stroke-width="0.75">${parts.join("")}</g>`;
    return onPaper(width, height, dots + legend.join(""));
  }

  drawMarks() {
    if (!this.width || !this.message) return;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.marks, { width: Math.round(this.width * ratio), height: Math.round(this.height * ratio) });
    const brush = this.marks.getContext("2d");
    brush.scale(ratio, ratio);
    const colour = accent(this.holder);
    const outline = this.begun ? this.boxed : this.outline;
    if (outline.length > 1) {
      brush.beginPath();
      for (const [x, y] of outline) brush.lineTo(...this.place(x, y));
      brush.closePath();
      brush.fillStyle = brush.strokeStyle = colour;
      brush.globalAlpha = 0.1;
      brush.fill();
      brush.globalAlpha = 1;
      brush.lineWidth = 1.5;
      brush.stroke();
    }
    const opened = this.numbers.get(this.open);
    if (opened !== undefined) this.ring(brush, opened, colour, true);
    if (this.hover !== null && this.hover !== opened) this.ring(brush, this.hover, "#fff", false);
    this.remark();
    this.holder.dataset.open = opened === undefined ? "" : this.open;
    this.describe();
  }

  /** A ring around a dot; around the open one with four ticks, so that it is found among thousands. */
  ring(brush, number, colour, ticks) {
    const { points, radii } = this.message;
    const [x, y] = this.place(points.values[2 * number], points.values[2 * number + 1]);
    const radius = radii.values[number] * this.growth + (ticks ? 4 : 2);
    for (const [style, line] of [["rgba(0, 0, 0, 0.75)", ticks ? 5 : 4], ["#fff", ticks ? 3.5 : 2], [colour, 2]]) {
      brush.strokeStyle = style;
      brush.lineWidth = line;
      brush.beginPath();
      brush.arc(x, y, radius, 0, 2 * Math.PI);
      if (ticks) {
        for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
          brush.moveTo(x + across * radius, y + down * radius);
          brush.lineTo(x + across * (radius + 7), y + down * (radius + 7));
        }
      }
      brush.stroke();
    }
  }

  /** What is said in the corner: how to go on with a box, or that the open code is not here. */
  remark() {
    const away = this.open !== null && !this.numbers.has(this.open);
    const lost = away ? `Code ${this.open}, which is open, is not among the codes shown` : "";
    const said = this.begun ? `Box from code ${this.corner}: arrows, then B to gather, Escape to leave` : lost;
    this.note.hidden = !said;
    if (said !== this.note.textContent) this.note.textContent = said;
  }

  mark(code) {
    if (code === this.open) return;
    this.open = code;
    this.drawMarks();
  }

  point(number) {
    if (number === this.hover) return;
    this.hover = number;
    this.plane.classList.toggle("on-a-dot", number !== null && this.tool === "move");
    this.drawMarks();
  }

  /** What is known of the dot that is pointed at, beside it. */
  describe() {
    this.chip.hidden = this.hover === null;
    if (this.hover === null) return;
    const { points, codes, tiled } = this.message;
    const lines = document.createElement("div");
    lines.append(textElement("b", `Code ${codes.values[this.hover]}`), ...this.said(this.hover).map((line) => textElement("span", line)));
    this.chip.replaceChildren(...(tiled ? [this.tile(this.hover)] : []), lines);
    const [x, y] = this.place(points.values[2 * this.hover], points.values[2 * this.hover + 1]);
    const [right, below] = [x > this.width / 2, y < this.height / 2];
    this.chip.style.left = right ? "" : `${Math.max(0, x + 14)}px`;
    this.chip.style.right = right ? `${Math.max(0, this.width - x + 14)}px` : "";
    this.chip.style.top = below ? `${Math.max(0, y + 10)}px` : "";
    this.chip.style.bottom = below ? "" : `${Math.max(0, this.height - y + 10)}px`;
  }

  said(number) {
    const { counts, ranks, own, nearest, cells, ranked } = this.message;
    const count = counts.values[number];
    const lines = ["no cell here has it"];
    if (count) {
      lines[0] = `${count.toLocaleString("en")} ${count === 1 ? "cell" : "cells"} · ${((100 * count) / cells).toFixed(2)}%`;
      lines.push(`rank ${ranks.values[number].toLocaleString("en")} of ${ranked.toLocaleString("en")} in use`);
      lines.push(`its cells lie ${own.values[number].toFixed(2)} from it`);
    }
    if (Number.isFinite(nearest.values[number])) lines.push(`nearest code ${nearest.values[number].toFixed(2)} away`);
    return lines;
  }

  tile(number) {
    const { shape: [, height, width], values } = this.message.tiles;
    const size = 3 * height * width;
    const canvas = document.createElement("canvas");
    paint(canvas, { shape: [height, width], values: values.subarray(number * size, (number + 1) * size) });
    return canvas;
  }

  drawScale() {
    const { scale, stops } = this.message;
    this.scale.hidden = !scale;
    if (!scale) return;
    const bar = document.createElement("div");
    const ramp = document.createElement("i");
    ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    bar.append(textElement("span", shortened(scale.low)), ramp, textElement("span", shortened(scale.high)));
    this.scale.replaceChildren(textElement("span", scale.title), bar);
  }
}

function shortened(value) {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

/** At most so many of the corners, evenly. */
function thinned(corners, most) {
  if (corners.length <= most) return corners;
  return Array.from({ length: most }, (_, number) => corners[Math.floor((number * corners.length) / most)]);
}

/** How far a place is beyond the ends of a side, with a little room. */
function outside(place, side) {
  if (place < ROOM) return place - ROOM;
  return place > side - ROOM ? place - side + ROOM : 0;
}
