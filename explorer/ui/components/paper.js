// Figures as they are on paper: dark on white, at their own size, whatever the theme. Joined before each component that
// draws figures, which says how under `figures` of its outermost element: by name, functions that give
// { svg, canvas }: `svg()` is markup, `canvas()`, where there is one, has the pixels of the PNG. See `exports.js`.

const INK = "#1d2021";
const PAPER = "#ffffff";
const FONT = "Inter, Helvetica, Arial, sans-serif";
const SPACE = 12; // pixels between pictures
const LINE = 20; // pixels of a caption
const LETTER = 6; // pixels across, of a letter of a caption, about

function escaped(text) {
  return String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Markup of so many pixels on white. */
function onPaper(width, height, content) {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="${FONT}" font-size="12" fill="${INK}"><rect width="100%" height="100%" fill="${PAPER}"/>${content}</svg>`
  );
}

/** A picture whose pixels are data: it alone, each pixel as so many as `times` along each side. */
function exactly(source, times = 1) {
  const canvas = () => {
    const made = document.createElement("canvas");
    Object.assign(made, { width: source.width * times, height: source.height * times });
    const brush = made.getContext("2d");
    brush.imageSmoothingEnabled = false;
    brush.drawImage(source, 0, 0, made.width, made.height);
    return made;
  };
  const [width, height] = [source.width * times, source.height * times];
  return { canvas, svg: () => onPaper(width, height, picture(source, 0, 0, width, height)) };
}

function picture(source, x, y, width, height) {
  return `<image x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${source.toDataURL("image/png")}"/>`;
}

/** Rows of pictures { canvas, said, times }: each at its own size or a whole number of times that, its caption below. */
function inRows(rows) {
  const placed = [];
  let [width, top] = [0, 0];
  for (const row of rows) {
    let left = 0;
    for (const { canvas, said, times = 1 } of row) {
      const [across, down] = [canvas.width * times, canvas.height * times];
      placed.push({ canvas, said, x: left, y: top, across, down });
      left += Math.max(across, LETTER * said.length) + SPACE;
    }
    width = Math.max(width, left - SPACE);
    top += Math.max(0, ...row.map(({ canvas, times = 1 }) => canvas.height * times)) + LINE + SPACE;
  }
  [width, top] = [Math.ceil(width), top - SPACE];
  const svg = () =>
    onPaper(
      width,
      top,
      placed
        .map(({ canvas, said, x, y, across, down }) =>
          picture(canvas, x, y, across, down) + `<text x="${x}" y="${y + down + 15}">${escaped(said)}</text>`)
        .join(""),
    );
  const canvas = () => {
    const made = document.createElement("canvas");
    Object.assign(made, { width, height: top });
    const brush = made.getContext("2d");
    brush.imageSmoothingEnabled = false;
    brush.fillStyle = PAPER;
    brush.fillRect(0, 0, width, top);
    brush.fillStyle = INK;
    brush.font = `12px ${FONT}`;
    for (const { canvas: source, said, x, y, across, down } of placed) {
      brush.drawImage(source, x, y, across, down);
      brush.fillText(said, x, y + down + 15);
    }
    return made;
  };
  return { svg, canvas };
}
