// The codes on offer: which are asked for, what was answered, and those that were used last.

const MOST_USED = 12;
const codesUsed = new Map(); // checkpoint -> the codes that were painted with last, the newest first

class Palette {
  constructor(model) {
    this.model = model;
    this.choice = { kind: "picture", text: "", place: null, patch: null }; // text: numbers, or #rrggbb; patch: RGB bytes
    this.offered = null; // what was answered
    this.map = null; // the places and colours of all codes
    this.previous = null; // the code that was chosen before
    this.takingColour = false; // the next press on the picture takes its colour
  }

  /** Ask for other codes. */
  choose(values) {
    this.choice = { ...this.choice, ...values };
    this.takingColour = false;
    this.model.tell("palette", "question");
  }

  take(offered) {
    this.offered = offered;
    this.model.tell("palette");
  }

  takeMap(map) {
    this.map = map;
    this.model.tell("palette");
  }

  /** The codes that were painted with last, the newest first. */
  get recent() {
    return codesUsed.get(this.model.checkpoint) ?? [];
  }

  /** A code was painted with. */
  remember(code) {
    if (this.recent[0] === code) return;
    codesUsed.set(this.model.checkpoint, [code, ...this.recent.filter((used) => used !== code)].slice(0, MOST_USED));
    this.model.tell("palette");
  }

  /** Another code was chosen in place of one. */
  leave(code, next) {
    if (code !== next) this.previous = code;
  }

  /** Paint with the code that was chosen before this one; again, and it is this one. */
  swap() {
    if (this.previous === null) this.model.complain("No other code was chosen before this one.");
    else this.model.chooseCode(this.previous);
  }

  /** The chosen code and the one before it change places: among the selected cells, or everywhere. */
  exchange() {
    const { model, previous } = this;
    const { places } = model.selected;
    if (previous === null) model.complain("No other code was chosen before this one.");
    else model.operate({ tool: "swap", codes: [model.asked.code, previous], ...(places.length && { places }) });
  }

  /** Have the next press on the picture take its colour, or no more. */
  takeColour() {
    this.takingColour = !this.takingColour;
    this.model.tell("palette");
  }

  /** Codes that look like the mean of the picture's cell there. */
  lookLike([row, column]) {
    const { picture: { values, shape: [height, width] }, message: { stride } } = this.model;
    const sums = [0, 0, 0];
    const [bottom, right] = [Math.min(height, (row + 1) * stride), Math.min(width, (column + 1) * stride)];
    for (let y = row * stride; y < bottom; y += 1) {
      for (let x = column * stride; x < right; x += 1) {
        sums.forEach((_, channel) => (sums[channel] += values[3 * (y * width + x) + channel]));
      }
    }
    const count = Math.max(1, (bottom - row * stride) * (right - column * stride));
    const hex = (sum) => Math.round(sum / count).toString(16).padStart(2, "0");
    this.choose({ kind: "look", text: `#${sums.map(hex).join("")}`, patch: null });
  }
}
