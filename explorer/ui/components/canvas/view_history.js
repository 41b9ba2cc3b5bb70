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
    const start = textElement("li", first ? `Start, and ${first} more steps` : "Start");
    start.className = history.position === 0 ? "now" : "";
    start.tabIndex = 0;
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
    label.addEventListener("click", () => this.handlers.goTo(number + 1));
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = this.album.pictures.get(entry.id) ?? this.sketchOf(entry);
    row.append(picture, label, eye);
    return row;
  }

  /** Keep a small picture of where an entry led, now that its answer is there. */
  keepPicture() {
    const { answered, picture, version } = this.model;
    if (answered === null || version === this.pictured) return;
    this.pictured = version;
    const [height, width] = picture.shape;
    const small = document.createElement("canvas");
    const scale = THUMBNAIL / Math.max(height, width);
    [small.width, small.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const whole = document.createElement("canvas");
    paint(whole, picture);
    small.getContext("2d").drawImage(whole, 0, 0, small.width, small.height);
    this.album.pictures.set(answered, small.toDataURL("image/jpeg", 0.8));
  }

  /** An entry whose picture is not here, after a reload: its cells, in the colour of its code. */
  sketchOf({ operation }) {
    const { model } = this;
    const small = document.createElement("canvas");
    [small.width, small.height] = [model.columns, model.rows];
    const brush = small.getContext("2d");
    const code = operation.code ?? operation.to;
    brush.fillStyle = model.atlas.has(code) ? model.atlas.colour(code) : accent(this.root);
    const places = operation.places ?? (operation.place === undefined ? [] : [operation.place]);
    for (const place of places) brush.fillRect(place % model.columns, Math.floor(place / model.columns), 1, 1);
    return small.toDataURL();
  }
}

const THUMBNAIL = 72; // pixels
