// What all pictures with a grid in a viewport do alike: the hand on them, and what is written over their cells. Joined
// before the module of each component that shows some side by side.

const ZOOM_STEP = 1.6;
const READABLE_CELL = 26; // CSS pixels along a cell from which its index is written into it
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// --- the hand -------------------------------------------------------------------------------------------------------

/**
 * Drag to move the picture, Ctrl and the wheel to zoom it (the wheel alone once it is zoomed), point and click.
 *
 * zoom: () -> the Zoom as it is; setZoom: (zoom) -> take another; point, pick: (event) -> the pointer is there, or
 * chooses that place; leave: () -> it went away; grip: (event) -> what a drag that begins there does instead, as
 * (box, event), or nothing.
 */
function listenToHand(viewport, { zoom, setZoom, point, pick, leave, grip = () => null }) {
  let drag = null;
  viewport.addEventListener("pointermove", (event) => {
    if (drag) {
      const box = viewport.getBoundingClientRect();
      if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) drag.moved = true;
      if (drag.grip) drag.grip(box, event);
      else if (drag.moved) setZoom(drag.from.moved(box, event.clientX - drag.x, event.clientY - drag.y));
    }
    point(event);
  });
  viewport.addEventListener("pointerleave", leave);
  viewport.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = { x: event.clientX, y: event.clientY, from: zoom(), grip: grip(event) };
    viewport.setPointerCapture(event.pointerId);
  });
  viewport.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && !drag.grip) pick(event);
    drag = null;
  });
  viewport.addEventListener("pointercancel", () => (drag = null));
  viewport.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && zoom().scale === 1) return; // scroll the page
    event.preventDefault();
    setZoom(zoom().times(Math.exp(-event.deltaY / 300), zoom().pointAt(viewport.getBoundingClientRect(), event)));
  }, { passive: false });
}

/** Whether a key is typed into a field, wherever it is heard. */
function isTyping(event) {
  return Boolean(event.composedPath()[0].closest?.("textarea, input:not([type=range], [type=checkbox])"));
}

/** Follow a link to another page of the app without leaving it, as Back and Forward do. */
function openInPlace(event) {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // in a tab of its own
  event.preventDefault();
  history.pushState({}, "", event.currentTarget.href);
  dispatchEvent(new PopStateEvent("popstate"));
}

// --- over the cells -------------------------------------------------------------------------------------------------

/** A brush for a <canvas> of marks that lies over a viewport with this box; whatever was on it is gone. */
function cleared(marks, box) {
  const ratio = window.devicePixelRatio || 1;
  marks.width = Math.round(box.width * ratio);
  marks.height = Math.round(box.height * ratio);
  const brush = marks.getContext("2d");
  brush.scale(ratio, ratio);
  return brush;
}

function codeAt({ values, shape: [, columns] }, [row, column]) {
  return values[row * columns + column];
}

/** A faint frame on every cell that has one of these codes. */
function frameCells(brush, placement, { values, shape: [, columns] }, codes) {
  brush.strokeStyle = "rgba(255, 255, 255, 0.75)";
  brush.lineWidth = 1;
  for (let place = 0; place < values.length; place += 1) {
    if (!codes.includes(values[place])) continue;
    const [x, y, side] = placement.at(Math.floor(place / columns), place % columns);
    brush.strokeRect(x + 0.5, y + 0.5, Math.max(1, side - 1), Math.max(1, side - 1));
  }
}

/** The index of each cell, in it, where the cells are large enough to read it; colours: uint8 [h, w, 3]; in the `holder`’s font. */
function writeIndices(brush, placement, indices, colours, holder) {
  const { side, box } = placement;
  if (side < READABLE_CELL) return;
  const { values, shape: [rows, columns] } = indices;
  const widest = String(values.reduce((most, value) => Math.max(most, value), 0)).length;
  brush.font = `500 ${Math.min(15, (side * 1.45) / Math.max(3, widest))}px ${getComputedStyle(holder).fontFamily}`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const [x, y] = placement.at(row, column);
      if (x + side < 0 || y + side < 0 || x > box.width || y > box.height) continue;
      const place = row * columns + column;
      const [red, green, blue] = colours.values.subarray(3 * place, 3 * place + 3);
      brush.fillStyle = 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "rgba(0,0,0,.8)" : "rgba(255,255,255,.92)";
      brush.fillText(values[place], x + side / 2, y + side / 2);
    }
  }
}
