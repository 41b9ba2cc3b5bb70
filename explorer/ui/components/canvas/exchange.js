// What the editor says to Python, and how it takes in what Python answers.

const CARRIED = ["blends", "rules", "load", "about"]; // what the page alone says, and says once for all

const MOST_FRAMES = 60; // of an animation

/** Makes requests of the model, and puts answers into it. */
class Exchange {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection; // is told of requests and answers
    this.socket = new Socket((bytes) => this.hear(unpack(bytes)), () => model.tell("way"));
    this.transport = new Transport((resting) => this.compose(resting), { socket: this.socket });
    this.has = new Map(); // which answers are here: name -> number
    this.loaded = 0; // number of the recipe that was taken in
    this.sent = null; // the state of the request in flight
    this.sentEntry = undefined; // id of the entry that it ends with, where the hand rests
  }

  /** The whole request, as of now; `resting`: nobody waits for its answer. */
  compose(resting) {
    const { model } = this;
    const complete = model.layers?.content === model.message.content;
    const history = complete ? model.history : null; // that of another grid is not for this one
    const settled = !model.drawing && !model.dragging;
    if (!resting) this.connection.asked();
    this.sent = history?.state;
    this.sentEntry = settled ? history?.entries[history.position - 1]?.id : undefined;
    return {
      content: model.message.content,
      mode: model.message.mode,
      settled,
      complete,
      ...(history ? this.gridOf(history.state) : { grid: null, weights: null }),
      document: history && settled ? JSON.stringify(history) : null,
      loaded: this.loaded,
      has: [...this.has.values()],
      palette: model.palette.choice,
      animation: model.animation && !model.animation.sent ? this.frames() : null,
      ...model.asked,
    };
  }

  /** Codes and weights of a state, in the fewest bytes. */
  gridOf({ indices, weights }) {
    return {
      grid: this.model.message.codes > 1 << 16 ? indices : Uint16Array.from(indices),
      weights: weights.some((weight) => weight !== UNPAINTED) ? weights : null,
    };
  }

  frames() {
    const { animation, history } = this.model;
    animation.sent = true;
    const states = [history.initial, ...history.states()].filter((state, number, all) => !number || placesBetween(all[number - 1], state).length);
    const step = Math.max(1, (states.length - 1) / (MOST_FRAMES - 1));
    const numbers = [...new Set(Array.from({ length: MOST_FRAMES }, (_, i) => Math.min(states.length - 1, Math.round(i * step))))];
    return { form: animation.form, frames: numbers.map((number) => this.gridOf(states[number])) };
  }

  /** What the socket says; only the page brings another content, so about one that was left it comes too late. */
  hear(said) {
    if (said.content === this.model.layers?.content) this.take(said);
  }

  /** An unpacked message; one that is older than what is shown is dropped. */
  take(said) {
    const { model, transport } = this;
    const message = { ...carried(model.message), ...said };
    if (said.more) return this.takeMore(message);
    if (said.live) this.socket.open(said.live);
    const changed = model.layers?.content !== message.content;
    const [sent, entry] = [this.sent, this.sentEntry]; // before an answer lets the next request go
    if (changed) this.leave(message);
    else if (!transport.accept(message.sequence)) return;
    const fresh = !transport.pending;
    this.connection.answered(!fresh);
    model.heed(message);
    if (message.tiles) model.learnTiles(Array.from(message.tile_codes.values), message.tiles);
    if (fresh || changed) model.agree(message.asked);
    if (message.original) this.takeLayers(message, changed);
    else if (changed) return model.tell("question"); // the pictures were left out, and those here are of another grid
    this.takeParts(message);
    this.takeLoaded(message);
    this.takePicture(message, (message.answers && !changed && sent) || model.state, message.answers && !changed ? entry : undefined);
    this.takeAnimation(message);
  }

  /** What took longer than the picture, and came after it. */
  takeMore(message) {
    const { model } = this;
    if (message.content !== model.layers?.content) return;
    if (message.tiles) model.learnTiles(Array.from(message.tile_codes.values), message.tiles);
    this.takeParts(message);
    const { figures, sentence, verdicts } = message;
    if (figures) model.heed({ ...model.message, figures, sentence, verdicts });
  }

  /** Another content: forget what was asked about, and known of, the last one. */
  leave(message) {
    const { model } = this;
    if (model.message?.content.split("-")[0] !== message.content.split("-")[0]) model.atlas = new Atlas();
    this.loaded = 0;
    this.transport.restart(message.sequence);
    this.has.clear();
    model.leave();
  }

  takeLayers({ content, original, base, runner_up, document }, changed) {
    const { model } = this;
    const layers = { content, original, base: Uint32Array.from(base.values), runnerUp: Uint32Array.from(runner_up.values) };
    if (!changed && model.history) return model.open(layers, base.shape, null);
    const initial = freshState(layers.base, ...base.shape, toolSettings(model.asked));
    const context = { base: layers.base, runnerUp: layers.runnerUp };
    const here = Histories.find(content);
    const kept = here?.history ?? (document ? this.parse(document, initial, context) : null);
    this.loaded = here?.loaded ?? 0;
    model.open(layers, base.shape, kept ?? new History(initial, context));
    model.adoptSettings();
    this.remember();
    if (kept) model.tell("question"); // Python may know less of it than the document says
  }

  /** Whoever leaves this content and comes back, in this load of the page, finds the history that is open now. */
  remember() {
    Histories.keep(this.model.layers.content, this.model.history, this.loaded);
  }

  parse(text, initial, context) {
    try {
      return History.fromJSON(JSON.parse(text), initial, context, this.model.message.codes);
    } catch {
      return null;
    }
  }

  /** What Python sends only when it is news. */
  takeParts(message) {
    const { model, has } = this;
    const { codes_only, codes_only_number, unedited, unedited_number, palette, palette_pictures, overlay, overlay_values, map_points, map_colours } = message;
    if (unedited) {
      model.learn({ unedited });
      has.set("unedited", unedited_number);
    }
    if (codes_only) {
      model.learn({ codesOnly: codes_only });
      has.set("codes only", codes_only_number);
    }
    if (palette) {
      model.palette.take({ ...palette, pictures: palette_pictures });
      has.set("palette", palette.number);
    }
    if (overlay) {
      model.takeMarks({ ...overlay, values: overlay_values });
      has.set("overlay", overlay.number);
    }
    if (map_points) {
      model.palette.takeMap({ points: map_points.values, colours: map_colours.values });
      has.set("map", message.map_number);
    }
  }

  /** The new picture, the part of it that changed, or the word that the one here is still right. */
  takePicture({ decoded, decoded_number, window }, shown, entry) {
    const { model } = this;
    if (decoded_number !== undefined) this.has.set("decoded", decoded_number);
    if (!decoded) model.markShown(shown, entry);
    else if (!window) model.takePicture(decoded, { shown, entry });
    else model.takePicture(withWindow(model.picture, decoded, window), { part: decoded, corner: window, shown, entry });
  }

  /** A recipe that was opened becomes one more entry: what was there is one undo away. */
  takeLoaded({ load, load_indices, load_weights }) {
    if (!load_indices || load <= this.loaded) return;
    this.loaded = load;
    this.remember();
    this.model.setAll(Array.from(load_indices.values), Array.from(load_weights.values));
  }

  takeAnimation({ animation, animation_name, animation_mime }) {
    if (!animation || !this.model.animation) return;
    this.model.endAnimation();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([animation.values], { type: animation_mime }));
    link.download = animation_name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

function carried(message) {
  return message ? Object.fromEntries(CARRIED.map((name) => [name, message[name]])) : {};
}
