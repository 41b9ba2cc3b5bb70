// What our pictures with a grid have in common: how they ask for new pixels, paint, zoom and mark. Joined before the
// module of each component that uses it.

// --- pictures -------------------------------------------------------------------------------------------------------

/** Piecewise linear dark-to-bright ramp for the error map: black, purple, orange, pale yellow. */
const ERROR_STOPS = [[8, 6, 20], [92, 24, 110], [226, 82, 66], [253, 231, 160]];
const ERROR_FULL = 64; // mean absolute difference, in levels of 255, that is drawn brightest

function errorColour(difference) {
  const place = Math.min(1, difference / ERROR_FULL) * (ERROR_STOPS.length - 1);
  const low = Math.min(Math.floor(place), ERROR_STOPS.length - 2);
  return ERROR_STOPS[low].map((value, i) => value + (place - low) * (ERROR_STOPS[low + 1][i] - value));
}
const ERROR_RAMP = Array.from({ length: 256 }, (_, i) => errorColour((i / 255) * ERROR_FULL));

/** [height, width] and [height, width, 3] bytes -> ImageData. */
function toImage([height, width], values) {
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < values.length; from += 3, to += 4) {
    image.data[to] = values[from];
    image.data[to + 1] = values[from + 1];
    image.data[to + 2] = values[from + 2];
    image.data[to + 3] = 255;
  }
  return image;
}

/** Fill a <canvas> from [height, width, 3] bytes. */
function paint(element, { shape: [height, width], values }) {
  if (element.width !== width || element.height !== height) [element.width, element.height] = [width, height];
  element.getContext("2d").putImageData(toImage([height, width], values), 0, 0);
}

/** A part of a picture [height, width, 3], with its top left corner, written into a copy of it. */
function withWindow(picture, part, [top, left]) {
  const values = picture.values.slice();
  const [height, width] = part.shape;
  const across = picture.shape[1];
  for (let row = 0; row < height; row += 1) {
    values.set(part.values.subarray(3 * row * width, 3 * (row + 1) * width), 3 * ((top + row) * across + left));
  }
  return { shape: picture.shape, values };
}

/** Mean absolute difference over the channels, through the ramp: [H, W, 3] bytes. */
function errorMap(original, reconstruction) {
  const [a, b] = [original.values, reconstruction.values];
  const values = new Uint8Array(a.length);
  for (let i = 0; i < a.length; i += 3) {
    const sum = Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]);
    const colour = ERROR_RAMP[Math.min(255, Math.round((sum / 3 / ERROR_FULL) * 255))];
    values[i] = colour[0];
    values[i + 1] = colour[1];
    values[i + 2] = colour[2];
  }
  return { shape: original.shape, values };
}

// --- zoom -----------------------------------------------------------------------------------------------------------

const MOST_ZOOM = 24;

/** How a picture lies in its viewport: `scale` times as large as fits, the point x, y (in 0…1) in the middle. */
class Zoom {
  constructor(scale = 1, x = 0.5, y = 0.5) {
    this.scale = clamp(scale, 1, MOST_ZOOM);
    const margin = 0.5 / this.scale;
    this.x = clamp(x, margin, 1 - margin);
    this.y = clamp(y, margin, 1 - margin);
  }

  /** Where in the picture a point of the screen is: x and y in 0…1 while it is over the picture. */
  pointAt(box, event) {
    return {
      x: this.x + ((event.clientX - box.left) / box.width - 0.5) / this.scale,
      y: this.y + ((event.clientY - box.top) / box.height - 0.5) / this.scale,
    };
  }

  /** Larger or smaller, with the point `at` of the picture where it is on the screen. */
  times(factor, at = this) {
    const scale = clamp(this.scale * factor, 1, MOST_ZOOM);
    const kept = this.scale / scale;
    return new Zoom(scale, at.x + (this.x - at.x) * kept, at.y + (this.y - at.y) * kept);
  }

  /** Moved by so many CSS pixels of a viewport. */
  moved(box, right, down) {
    return new Zoom(this.scale, this.x - right / box.width / this.scale, this.y - down / box.height / this.scale);
  }

  /** Put an element that covers so many pictures (1 is the picture itself) behind its viewport. */
  place(element, across = 1, down = 1) {
    element.style.width = `${100 * this.scale * across}%`;
    element.style.height = `${100 * this.scale * down}%`;
    element.style.left = `${100 * (0.5 - this.x * this.scale)}%`;
    element.style.top = `${100 * (0.5 - this.y * this.scale)}%`;
  }
}

// --- the embedding and the figures ----------------------------------------------------------------------------------

const BLEND_CONTROLS = `
    <div class="controls">
      <label class="switch"><input type="checkbox" role="switch"><span class="track"></span><span class="name"></span></label>
      <label class="amount"><span>How much</span><input type="range" min="0" max="1" step="0.01"><output></output></label>
      <button class="reset" data-tip="As it was at first">Reset</button>
      <p class="sentence"></p>
    </div>`;

/** The switch and the slider that say how much of the embedding the decoder gets. */
class BlendControls {
  /** change: (values, dragging) -> what to do with a new {blend, uses_embedding}. */
  constructor(root, change) {
    this.root = root;
    this.range = root.querySelector(".amount input");
    const slide = (dragging) => () => change({ blend: Number(this.range.value), uses_embedding: true }, dragging);
    this.range.addEventListener("input", slide(true));
    this.range.addEventListener("change", slide(false));
    root.querySelector(".switch input").addEventListener("change", (event) =>
      change({ uses_embedding: event.target.checked }, false));
    root.querySelector(".reset").addEventListener("click", () => change({ blend: 1, uses_embedding: this.inputs === 2 }, false));
  }

  /** ends: the slider's; below 0 and above 1 nothing was trained. */
  draw(inputs, { blend, uses_embedding }, ends = [0, 1]) {
    this.inputs = inputs;
    [this.range.min, this.range.max] = ends;
    this.root.querySelector(".switch .name").textContent =
      inputs === 1 ? "Feed the embedding in place of the codes" : "Decoder uses the embedding";
    this.root.querySelector(".switch input").checked = uses_embedding;
    this.range.value = blend;
    const [low, high] = [Number(this.range.min), Number(this.range.max)];
    this.range.style.setProperty("--filled", `${(100 * (blend - low)) / (high - low)}%`);
    this.root.querySelector(".amount").classList.toggle("off", !uses_embedding);
    const beyond = blend < 0 || blend > 1;
    this.root.querySelector(".amount").classList.toggle("wide", ends[0] < 0);
    this.root.querySelector(".amount output").textContent =
      `${Math.round(100 * blend)} %`.replace("-", "−") + (beyond ? ", extrapolated" : "");
  }
}

/** Groups of [label, value, meaning]; the meaning shows on hover or focus. */
function drawFigures(holder, groups) {
  const wanted = JSON.stringify(groups);
  if (holder.dataset.shown === wanted) return;
  holder.dataset.shown = wanted;
  holder.replaceChildren(...groups.map((group) => {
    const list = document.createElement("dl");
    for (const [label, value, meaning] of group) {
      const entry = document.createElement("div");
      entry.dataset.tip = meaning;
      entry.tabIndex = 0;
      entry.append(textElement("dt", label), textElement("dd", value));
      list.append(entry);
    }
    return list;
  }));
}

// --- motion ---------------------------------------------------------------------------------------------------------

/** Whether the person wants nothing to move by itself: what plays goes on by one picture for each press instead. */
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** What a button that plays shows and is called, while it plays or not. */
function showPlaying(button, playing) {
  const [sign, name] = CALM.matches ? ["→", "Next picture"] : playing ? ["❚❚", "Pause"] : ["▶", "Play"];
  button.textContent = sign;
  button.setAttribute("aria-label", name);
  if (CALM.matches) button.removeAttribute("aria-pressed");
  else button.setAttribute("aria-pressed", Boolean(playing));
}

// --- small things ---------------------------------------------------------------------------------------------------

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

function same(one, other) {
  return one === other || (one && other && one[0] === other[0] && one[1] === other[1]) || false;
}

function countOf(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** The theme's accent colour; asked for at most once a second, since to ask for it lays the page out anew. */
function accent(element) {
  if (performance.now() - accentAsked > 1000) {
    accentColour = getComputedStyle(element).getPropertyValue("--st-primary-color").trim() || "#08655f";
    accentAsked = performance.now();
  }
  return accentColour;
}
let [accentColour, accentAsked] = ["", -Infinity];

/** A frame that shows on any picture: a line with a dark one on either side. */
function outlineBox(brush, x, y, width, height, colour, line) {
  brush.lineWidth = line + 2;
  brush.strokeStyle = "rgba(0, 0, 0, 0.75)";
  brush.strokeRect(x, y, width, height);
  brush.lineWidth = line;
  brush.strokeStyle = colour;
  brush.strokeRect(x, y, width, height);
}

/** The same around a cell. */
function outline(brush, [x, y, side], colour, line) {
  outlineBox(brush, x, y, side, side, colour, line);
}
