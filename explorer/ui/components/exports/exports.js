// A figure or a table as a file. PNG and SVG are made here, of what is on the screen, dark on white as paper is, also
// where the app is dark; CSV is made by Python when it is asked for.
//
// For figures of ours see `paper.js`. A chart of plotly is drawn by plotly: it is not to be reached from outside, but
// the button of its mode bar that saves a picture is.

const rows = new WeakMap();
const GRID = "#e1e2e1";
const ZERO = "#a9adaf";
const LEAST_WIDTH = 1600; // pixels of a PNG that is drawn from lines, which are at most so many times as large
const MOST_LARGER = 6;
const LEAST_PICTURE = 128; // pixels across, of a small picture
const PATIENCE = 30_000; // ms until a table that was asked for is given up
const FORMS = { png: "PNG", svg: "SVG", csv: "CSV" };

export default function ({ parentElement, data, setTriggerValue }) {
  let row = rows.get(parentElement);
  if (!row) {
    row = new Row(parentElement);
    rows.set(parentElement, row);
  }
  row.setTriggerValue = setTriggerValue;
  row.receive(data);
  return () => row.leave();
}

class Row {
  constructor(root) {
    this.host = root.host ?? root;
    this.element = document.createElement("div");
    this.element.className = "exports";
    this.element.setAttribute("role", "group");
    this.element.innerHTML = '<span class="said" role="status"></span>';
    root.appendChild(this.element);
    this.said = this.element.firstElementChild;
    this.near = (event) => this.element.classList.toggle("near", event.type === "pointerenter");
  }

  receive(data) {
    this.data = data;
    this.host.dataset.exportsOf = data.of;
    this.host.dataset.exports = data.forms.join(" ");
    this.element.setAttribute("aria-label", `Save: ${data.label}`);
    this.element.classList.toggle("named", data.named);
    const buttons = data.forms.map((form) => {
      const button = document.createElement("button");
      button.textContent = FORMS[form];
      button.title = button.ariaLabel = `${data.label} as ${FORMS[form]}`;
      button.dataset.form = form;
      button.addEventListener("click", () => this.save(form));
      return button;
    });
    const drawn = JSON.stringify([data.forms, data.label, data.named]);
    if (drawn !== this.drawn) {
      const name = document.createElement("span");
      Object.assign(name, { className: "name", textContent: data.label });
      this.element.replaceChildren(this.said, ...(data.named ? [name] : []), ...buttons);
      this.drawn = drawn;
    }
    if (data.csv && data.csv.asked === this.asked) {
      this.asked = null;
      this.say("");
      give(new Blob([data.csv.text], { type: "text/csv" }), `${data.file}.csv`);
    }
    this.watch();
  }

  /** The buttons show well while the pointer is over what they save. */
  watch() {
    this.leave();
    this.watched = placeOf(this.data.of.split("#")[0]);
    for (const type of ["pointerenter", "pointerleave"]) this.watched?.addEventListener(type, this.near);
  }

  leave() {
    for (const type of ["pointerenter", "pointerleave"]) this.watched?.removeEventListener(type, this.near);
  }

  async save(form) {
    if (form === "csv") {
      this.asked = Date.now();
      this.say("Writing …");
      setTimeout(() => this.asked && Date.now() - this.asked >= PATIENCE && this.say("No answer; try again"), PATIENCE);
      return this.setTriggerValue("asked", this.asked);
    }
    this.say("");
    try {
      await saveFigure(this.data, form);
    } catch (fault) {
      this.say(fault.message);
    }
  }

  say(words) {
    this.said.textContent = words;
  }
}

// --- which figure ---------------------------------------------------------------------------------------------------

/** The element that Streamlit has given a key. */
function placeOf(key) {
  return document.querySelector(`.st-key-${CSS.escape(key.trim().replace(/[^a-zA-Z0-9_-]/g, "-"))}`);
}

async function saveFigure({ of, file }, form) {
  const [key, part] = of.split("#");
  const place = placeOf(key);
  const chart = place?.querySelector(".js-plotly-plot");
  if (chart) return saveChart(chart, form, file);
  const figure = place && figureIn(place, part ?? "");
  if (!figure) throw new Error("It is not drawn yet; try again");
  if (form === "svg") return give(new Blob([figure.svg()], { type: "image/svg+xml" }), `${file}.svg`);
  const canvas = figure.canvas ? figure.canvas() : await drawn(figure.svg());
  give(await new Promise((done) => canvas.toBlob(done, "image/png")), `${file}.png`);
}

/** What a component below an element draws, or its pictures in a row. */
function figureIn(place, part) {
  const elements = [...below(place)];
  const drawing = elements.find((element) => element.figures?.[part]);
  if (drawing) return drawing.figures[part]();
  const images = elements.filter((element) => element.tagName === "IMG" && element.naturalWidth);
  return images.length ? rowOf(images) : null;
}

function* below(root) {
  for (const element of root.querySelectorAll("*")) {
    yield element;
    if (element.shadowRoot) yield* below(element.shadowRoot);
  }
}

// --- pictures -------------------------------------------------------------------------------------------------------

/** Pictures side by side at their own size, with what is said of each below it. */
function rowOf(images) {
  return inRows([
    images.map((image) => {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
      canvas.getContext("2d").drawImage(image, 0, 0);
      const caption = image.closest("figure, [data-testid=stImageContainer], [data-testid=stImage]")?.textContent.trim();
      return { canvas, said: caption || image.alt, times: Math.max(1, Math.floor(LEAST_PICTURE / image.naturalWidth)) };
    }),
  ]);
}

/** An SVG as pixels, so many that it can be printed. */
async function drawn(svg) {
  const image = new Image();
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    image.src = address;
    await image.decode();
    const scale = scaleOf(image.naturalWidth);
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: image.naturalWidth * scale, height: image.naturalHeight * scale });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function scaleOf(width) {
  return Math.min(MOST_LARGER, Math.max(2, Math.ceil(LEAST_WIDTH / width)));
}

function give(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- plotly ---------------------------------------------------------------------------------------------------------

/** Have plotly save a chart: it copies data and layout at once, so that they can be those of a chart on paper. */
async function saveChart(chart, format, filename) {
  const button = chart._fullLayout?._modeBar?.buttons?.flat().find(({ name }) => name === "toImage");
  if (!button) throw new Error("It is not drawn yet; try again");
  const { width, height } = chart._fullLayout;
  const { data, layout, _context: context } = chart;
  const before = context.toImageButtonOptions;
  context.toImageButtonOptions = { format, filename, width, height, scale: format === "png" ? scaleOf(width) : 1 };
  [chart.data, chart.layout] = [data.map(traceOnPaper), layoutOnPaper(chart)];
  try {
    button.click(chart);
  } finally {
    [chart.data, chart.layout] = [data, layout];
    context.toImageButtonOptions = before;
  }
}

function inked(part) {
  return { ...part, font: { ...part?.font, color: INK } };
}

function titled(title) {
  return inked(typeof title === "string" ? { text: title } : title);
}

function barOnPaper(bar) {
  return { ...bar, outlinewidth: 0, tickfont: { ...bar?.tickfont, color: INK }, title: titled(bar?.title) };
}

function traceOnPaper(trace) {
  const scaled = trace.type === "heatmap" || trace.colorbar;
  const marked = trace.marker?.colorbar || trace.marker?.showscale;
  return {
    ...trace,
    ...(scaled && { colorbar: barOnPaper(trace.colorbar) }),
    ...(marked && { marker: { ...trace.marker, colorbar: barOnPaper(trace.marker.colorbar) } }),
  };
}

function layoutOnPaper({ layout, _fullLayout: full }) {
  const paper = {
    ...layout,
    paper_bgcolor: PAPER,
    plot_bgcolor: PAPER,
    font: { ...layout.font, color: INK, family: FONT },
    title: titled(layout.title),
    legend: inked({ ...layout.legend, bgcolor: "rgba(255,255,255,0.8)" }),
    annotations: layout.annotations?.map((note) => (note.font?.color ? note : inked(note))),
  };
  for (const name of Object.keys(full)) {
    if (/^[xy]axis\d*$/.test(name)) {
      const axis = layout[name] ?? {};
      paper[name] = {
        ...axis,
        color: INK,
        gridcolor: GRID,
        zerolinecolor: ZERO,
        tickfont: { ...axis.tickfont, color: INK, family: FONT },
        title: titled(axis.title),
      };
    }
    if (/^coloraxis\d*$/.test(name)) paper[name] = { ...layout[name], colorbar: barOnPaper(layout[name]?.colorbar) };
  }
  return paper;
}
