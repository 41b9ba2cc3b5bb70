// The list of what was done, with small pictures, and what can be done with it.

const HISTORY_MARKUP = `
        <section class="history">
          <header>
            <b>History</b>
            <button class="quiet" data-act="undo" aria-label="Undo" data-tip="Undo (Ctrl+Z)">${icon("undo")}</button>
            <button class="quiet" data-act="redo" aria-label="Redo" data-tip="Redo (Ctrl+Shift+Z)">${icon("redo")}</button>
            <button class="quiet" data-act="clear" aria-label="Start over" data-tip="Start over; can be undone">${icon("restart_alt")}</button>
            <button class="quiet" data-act="gif" data-tip="Save the history as an animation that any program shows">GIF</button>
            <button class="quiet" data-act="webp" data-tip="Save the history as an animation in full quality">WebP</button>
          </header>
          <ol class="entries"></ol>
        </section>`;

const MOST_LISTED = 120; // entries of the history that are in the list at once
const albums = new Map(); // content -> { pictures: Map of entry id -> data URL, ids: of the entries, in order }

class HistoryView extends View {
  topics = ["grid", "answer", "tiles"];

  /** handlers: undo(), redo(), clear(), gif(), webp(), goTo(position), toggle(number), focusAway(). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("act", (action) => handlers[action]());
    this.pictured = 0; // version of the picture that was kept last
  }

  draw() {
    const { model } = this;
    const { history, state } = model;
    if (this.drawnHistory !== history) this.takeAlbum();
    this.keepPicture();
    this.find("[data-act=undo]").disabled = !history.canUndo;
    this.find("[data-act=redo]").disabled = !history.canRedo;
    this.find("[data-act=clear]").disabled = !changedPlaces(state, model.layers.base).length
      && state.weights.every((weight) => weight === UNPAINTED);
    for (const form of ["gif", "webp"]) {
      const button = this.find(`[data-act=${form}]`);
      button.disabled = !history.position || Boolean(model.animation);
      button.classList.toggle("busy", model.animation?.form === form);
    }
    if (this.root.getRootNode().activeElement?.disabled) this.handlers.focusAway(); // keys go on working
    this.list();
  }

  get album() {
    return albums.get(this.model.layers.content);
  }

  /** A history that was read back has new ids: its pictures are those of the entries in the same places. */
  takeAlbum() {
    const { pictures = new Map(), ids = [] } = this.album ?? {};
    const { history } = this.model;
    const known = ids.length === history.entries.length ? history.entries.map(({ id }, place) => [id, pictures.get(ids[place])]) : [];
    albums.set(this.model.layers.content, { pictures: new Map(known.filter(([, picture]) => picture)), ids: [] });
    this.drawnHistory = history;
    this.listed = null;
  }

  list() {
    const { history } = this.model;
    const { pictures, ids } = this.album;
    ids.splice(0, ids.length, ...history.entries.map(({ id }) => id));
    const drawn = JSON.stringify([history.position, pictures.size, history.entries.slice(-MOST_LISTED)
      .map(({ id, on, label }) => [id, on, label, pictures.get(id)?.length])]);
    if (this.listed === drawn) return;
    this.listed = drawn;
    const first = Math.max(0, history.entries.length - MOST_LISTED);
    const rows = history.entries.slice(first).map((entry, number) => this.row(entry, first + number));
    const start = document.createElement("li");
    start.className = history.position === 0 ? "now" : "";
    start.append(textElement("button", first ? `Start, and ${first} more steps` : "Start"));
    start.firstChild.className = "start";
    start.addEventListener("click", () => this.handlers.goTo(0));
    refill(this.find(".entries"), [...rows.reverse(), start]);
  }

  row(entry, number) {
    const { history } = this.model;
    const row = document.createElement("li");
    row.className = [number + 1 === history.position && "now", number >= history.position && "undone", !entry.on && "off"]
      .filter(Boolean).join(" ");
    const eye = document.createElement("button");
    eye.className = "quiet";
    eye.innerHTML = icon(entry.on ? "visibility" : "visibility_off");
    eye.setAttribute("aria-label", `${entry.on ? "Switch off" : "Switch on"}: ${entry.label}`);
    eye.setAttribute("aria-pressed", entry.on);
    eye.addEventListener("click", () => this.handlers.toggle(number));
    const label = textElement("button", entry.label);
    label.className = "label";
    label.title = entry.label;
    label.prepend(...entry.codes.map((code) => this.swatch(code)));
    label.addEventListener("click", () => this.handlers.goTo(number + 1));
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = this.album.pictures.get(entry.id) ?? this.sketchOf(entry, number);
    row.append(picture, label, eye);
    return row;
  }

  /** Keep a small picture of the part that an entry changed, now that its answer is there. */
  keepPicture() {
    const { answered, picture, version, history } = this.model;
    if (answered === null || version === this.pictured) return;
    this.pictured = version;
    const entry = history.entries.find(({ id }) => id === answered);
    if (!entry) return;
    const whole = document.createElement("canvas");
    paint(whole, picture);
    const { top, left, height, width } = this.partOf(entry);
    const { stride } = this.model.message;
    const small = thumbnail((brush) =>
      brush.drawImage(whole, left * stride, top * stride, width * stride, height * stride, 0, 0, THUMBNAIL, THUMBNAIL_HEIGHT));
    this.album.pictures.set(answered, small);
  }

  /** The cells that an entry's picture shows: what it changed and a little around it, in the picture's shape; or all. */
  partOf({ box }) {
    const { rows, columns, measures: { stride, height, width } } = this.model;
    const whole = { height: Math.min(rows, height / stride), width: Math.min(columns, width / stride) };
    const { top, left, bottom, right } = box ?? { top: 0, left: 0, bottom: whole.height, right: whole.width };
    const margin = box ? 1 : 0;
    const shape = THUMBNAIL / THUMBNAIL_HEIGHT;
    const tall = Math.max(bottom - top + 2 * margin, (right - left + 2 * margin) / shape, Math.min(4, whole.height));
    const size = { height: tall, width: tall * shape };
    const at = (low, high, length, most) => (length >= most ? (most - length) / 2 : clamp((low + high - length) / 2, 0, most - length));
    return { ...size, top: at(top, bottom, size.height, whole.height), left: at(left, right, size.width, whole.width) };
  }

  /** An entry whose picture is not here, after a reload: the same part, of the tiles that its codes look like. */
  sketchOf(entry, number) {
    const { model } = this;
    const { indices } = model.history.stateAt(number + 1);
    const { top, left, height, width } = this.partOf(entry);
    const side = THUMBNAIL / width;
    const sketch = thumbnail((brush) => {
      for (let row = Math.max(0, Math.floor(top)); row < Math.min(model.rows, top + height); row += 1) {
        for (let column = Math.max(0, Math.floor(left)); column < Math.min(model.columns, left + width); column += 1) {
          const code = indices[model.place([row, column])];
          model.atlas.draw(brush, code, (column - left) * side, (row - top) * side, side);
        }
      }
    });
    if (model.atlas.rows) this.album.pictures.set(entry.id, sketch);
    return sketch;
  }
}

function thumbnail(draw) {
  const small = document.createElement("canvas");
  [small.width, small.height] = [THUMBNAIL, THUMBNAIL_HEIGHT];
  draw(small.getContext("2d"));
  return small.toDataURL("image/jpeg", 0.8);
}

const THUMBNAIL = 72; // pixels
const THUMBNAIL_HEIGHT = 48;
