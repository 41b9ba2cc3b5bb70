// The editor's history: a list of operations, each of which can be switched off, and how many of them are done.
//
// The state is what the operations make of the initial one. Some states on the way are kept, so that it costs little
// to go anywhere among thousands of entries.

const HISTORY_STEP = 32; // entries from one kept state to the next
const HISTORY_STROKES = ["paint", "erase", "runner-up", "blend"]; // drawn place by place

class History {
  constructor(initialState, context) {
    this.initial = initialState;
    this.context = { ...context, initial: initialState };
    this.entries = []; // oldest first: { id, on, operation }, and what describeStep says; ids are never used again
    this.position = 0; // how many entries are done; those that follow are undone
    this.state = initialState;
    this.kept = [initialState]; // the state after every HISTORY_STEP entries; what is beyond the last entry is void
    this.stroke = null; // the newest operation, and what was there before it, while it can be extended
    this.lastId = 0;
  }

  /**
   * A document that toJSON made -> History; null when any part of it does not fit this grid and so many codes.
   *
   * The settings at its start are the document's; those of the initial state where it is of version 1, which had none.
   */
  static fromJSON(document, initialState, context, codes) {
    const { rows, columns } = initialState;
    if (![1, 2].includes(document?.version) || document.rows !== rows || document.columns !== columns) return null;
    if (document.version === 2 && !checkSettings(document.settings)) return null;
    if (!Array.isArray(document.entries) || !toolWhole(document.position, 0, document.entries.length)) return null;
    const settings = document.version === 2 ? toolSettings(document.settings) : settingsOf(initialState);
    const history = new History({ ...initialState, settings }, context);
    let state = history.initial;
    for (const entry of document.entries) {
      const operation = checkOperation(entry?.operation, { rows, columns, codes });
      if (!operation || typeof entry.on !== "boolean") return null;
      const next = applyOperation(state, operation, history.context);
      history.entries.push(historyEntry(history.freshId(), operation, entry.on, describeStep(operation, state, next)));
      if (entry.on) state = next;
      history.keep(history.entries.length, state);
    }
    history.goTo(document.position);
    return history;
  }

  toJSON() {
    const { rows, columns } = this.initial;
    const entries = this.entries.map(({ operation, on }) => ({ operation, on }));
    const settings = toolSettings(settingsOf(this.initial));
    return { version: 2, rows, columns, settings, entries, position: this.position };
  }

  // --- what the person does; each returns the state it leads to

  /** Add an operation, and drop what was undone; one that changes nothing is not added. */
  do(operation) {
    return this.add(operation, this.freshId());
  }

  /**
   * Go on with the operation that was done last: more places of a brush stroke, another place of a paste or a move
   * (from where it began), another level of the blend slider.
   *
   * It stays one entry, with one id. After anything else, and for another tool or colour, this is `do`.
   */
  extend(operation) {
    const { stroke } = this;
    if (!stroke || !historyGoesOn(stroke.operation, operation)) return this.do(operation);
    if (this.position > stroke.position) {
      this.entries.length = this.position = stroke.position;
      this.state = stroke.before;
    }
    return this.add(historyJoined(stroke.operation, operation), stroke.id);
  }

  /** Back to the initial cells, with the settings of now; an entry like any other. */
  clear() {
    return this.do({ tool: "clear" });
  }

  /** Undo the newest entry that is on. */
  undo() {
    const last = this.entries.findLastIndex(({ on }, number) => on && number < this.position);
    return this.goTo(last < 0 ? this.position : last);
  }

  /** Redo the next entry that is on, and pass those that are off beside it. */
  redo() {
    const next = this.entries.findIndex(({ on }, number) => on && number >= this.position);
    if (next < 0) return this.goTo(this.position);
    const beyond = this.entries.findIndex(({ on }, number) => on && number > next);
    return this.goTo(beyond < 0 ? this.entries.length : beyond);
  }

  /** Undo the newest entry, and forget it: it was not meant. */
  takeBack() {
    this.goTo(this.position - 1);
    this.entries.length = this.position;
    return this.state;
  }

  get canUndo() {
    return this.entries.some(({ on }, number) => on && number < this.position);
  }

  get canRedo() {
    return this.entries.some(({ on }, number) => on && number >= this.position);
  }

  /** { rule, blend, uses_embedding } as of now. */
  get settings() {
    return settingsOf(this.state);
  }

  /** Switch an entry off or on, and replay the rest. */
  toggle(number) {
    const entry = this.entries[number];
    if (entry) {
      this.entries[number] = Object.freeze({ ...entry, on: !entry.on });
      this.kept.length = Math.min(this.kept.length, Math.floor(number / HISTORY_STEP) + 1);
    }
    return this.goTo(this.position);
  }

  /** Have so many entries done. */
  goTo(position) {
    this.stroke = null;
    this.position = Math.min(Math.max(0, position), this.entries.length);
    this.state = this.stateAt(this.position);
    return this.state;
  }

  /** The state after each entry that is done and on, oldest first. */
  states() {
    let state = this.initial;
    const done = this.entries.slice(0, this.position).filter(({ on }) => on);
    return done.map(({ operation }) => (state = applyOperation(state, operation, this.context)));
  }

  /** The places that an entry changes, or would if it were on, in reading order. */
  placesOf(number) {
    const before = this.stateAt(number);
    return placesBetween(before, applyOperation(before, this.entries[number].operation, this.context));
  }

  // --- how it is kept

  freshId() {
    this.lastId += 1;
    return this.lastId;
  }

  add(operation, id) {
    const plain = historyOwn(operation);
    this.stroke = { operation: plain, id, before: this.state, position: this.position };
    const state = applyOperation(this.state, plain, this.context);
    if (state === this.state) return state;
    this.entries.length = this.position;
    this.entries.push(historyEntry(id, plain, true, describeStep(plain, this.state, state)));
    this.position += 1;
    this.state = state;
    this.keep(this.position, state);
    return state;
  }

  /** Replay from the nearest kept state; what the entries on the way do there is described anew. */
  stateAt(position) {
    let number = Math.min(Math.floor(position / HISTORY_STEP), this.kept.length - 1) * HISTORY_STEP;
    let state = this.kept[number / HISTORY_STEP];
    for (; number < position; number += 1) {
      const { id, on, operation } = this.entries[number];
      this.keep(number, state);
      if (!on) continue;
      const next = applyOperation(state, operation, this.context);
      this.entries[number] = historyEntry(id, operation, on, describeStep(operation, state, next));
      state = next;
    }
    this.keep(position, state);
    return state;
  }

  keep(position, state) {
    if (position % HISTORY_STEP === 0) this.kept[position / HISTORY_STEP] = state;
  }
}

function historyEntry(id, operation, on, step) {
  return Object.freeze({ id, on, operation, ...step });
}

/** An operation whose lists of places are not the caller's, who may go on with them. */
function historyOwn(operation) {
  const { places, from } = operation;
  if (Array.isArray(places)) return { ...operation, places: [...places] };
  return Array.isArray(from) ? { ...operation, from: [...from] } : operation;
}

/** Whether two operations can be one step: alike in all but where they are, or levels of the blend slider. */
function historyGoesOn(earlier, later) {
  if (earlier.tool === "settings" && later.tool === "settings") return [earlier, later].every(historyIsLevel);
  return ["tool", "code", "percent", "by"].every((field) => earlier[field] === later[field]);
}

function historyIsLevel(operation) {
  return Object.keys(toolSettings(operation)).join() === "blend";
}

function historyJoined(earlier, later) {
  if (!HISTORY_STROKES.includes(later.tool)) return later;
  return { ...later, places: [...new Set([...earlier.places, ...later.places])] };
}
