// What the browser keeps of edits for itself, so that neither a reload nor a restarted server loses a stroke.
//
// Each load of the page writes drafts of its own and never into those of another: what is offered stays until it is
// answered. Drafts of one content, of which there may be several, are told apart by their tab, time and steps.

const DRAFT_DELAY = 400; // ms from a stroke until it is written; strokes in between are written with it
const OLD_DRAFT = "vqvae-explorer draft "; // and the content: where one draft of each lay in localStorage
const UNSAVED_DRAFT = "vqvae-explorer unsaved "; // and the id: what was not yet written when the page went
const MOST_DRAFTS = 60;
const MOST_DRAFT_BYTES = 64 * 2 ** 20;
const ROLL_CALL = 150; // ms that the other tabs have to say that they are open

/** This tab, and which others are open: each load of the page answers for itself. */
const Tabs = {
  name: "", // of this tab, which a reload keeps; a duplicate takes another
  load: freshName(), // of this load of the page
  open: new Set(), // loads that answered the last roll call
  channel: null,

  start() {
    this.name = readStored("sessionStorage", "vqvae-explorer tab") ?? "";
    if (!this.name) this.rename();
    this.channel = globalThis.BroadcastChannel ? new BroadcastChannel("vqvae-explorer tabs") : null;
    if (!this.channel) return;
    this.channel.onmessage = ({ data }) => this.hear(data);
    this.channel.postMessage({ asks: true });
  },

  rename() {
    this.name = freshName();
    writeStored("sessionStorage", "vqvae-explorer tab", this.name);
  },

  hear({ asks, name, load, since }) {
    if (asks) {
      this.channel.postMessage({ name: this.name, load: this.load, since: performance.timeOrigin });
      return;
    }
    this.open.add(load);
    if (name === this.name && since < performance.timeOrigin) this.rename(); // that tab was duplicated, and is the elder
  },

  /** The loads of the page that are open in other tabs. */
  async others() {
    this.open.clear();
    this.channel?.postMessage({ asks: true });
    await new Promise((resolve) => setTimeout(resolve, ROLL_CALL));
    return new Set(this.open);
  },
};
Tabs.start();

/** Drafts in the browser: `{ id, content, tab, load, time, steps, title, bytes }`, and the document of each. */
const Drafts = {
  box: new Box("drafts"),
  numbers: new Map(), // content -> number of the draft that strokes go into
  waiting: new Map(), // id -> what is to be written
  onItsWay: new Set(), // drafts that are being written to the database: not yet there, should the page go
  offered: new Set(), // ids that are on the screen and not answered: never forgotten to make room
  timer: 0,
  moved: null,

  /** The id of the draft that strokes on a content go into. */
  own(content) {
    return `${Tabs.load} ${this.numbers.get(content) ?? 0} ${content}`;
  },

  /** Write a history down soon, as it is by then; one without a step is no draft. */
  keep(content, document, { title = "" } = {}) {
    this.waiting.set(this.own(content), { content, document, title });
    this.timer ||= setTimeout(() => this.write(), DRAFT_DELAY);
  },

  /** Leave the draft of a content as it is: what is kept from now on is another one. */
  seal(content) {
    this.numbers.set(content, (this.numbers.get(content) ?? 0) + 1);
    return this.write();
  },

  /** The drafts of a content, newest first; `here` is the one that strokes go into, `open` one of another tab that is open. */
  async list(content) {
    await this.write();
    await this.moveOld();
    const open = await Tabs.others();
    const drafts = (await this.box.heads()).filter((draft) => draft.content === content);
    return drafts.map((draft) => ({ ...draft, here: draft.id === this.own(content), open: open.has(draft.load) }));
  },

  /** A draft with its document; null where it is gone. */
  async read(id) {
    await this.moveOld();
    const found = await this.box.read(id);
    return found ? { ...found.head, document: JSON.parse(found.body) } : null; // we wrote it, as JSON
  },

  async forget(id) {
    this.offered.delete(id);
    for (const key of [id, UNSAVED_DRAFT + id]) if (storedKeys().includes(key)) localStorage.removeItem(key);
    await this.box.remove([id]);
  },

  async write() {
    const drafts = this.taken();
    drafts.forEach((draft) => this.onItsWay.add(draft));
    for (const draft of drafts) {
      const { head, body } = draft;
      if (head.steps) await this.box.put(head, body, (id) => this.offered.has(id));
      else await this.box.remove([head.id]);
      this.onItsWay.delete(draft);
    }
    const heads = await this.box.heads();
    if (heads.length <= MOST_DRAFTS && heads.reduce((sum, { bytes }) => sum + bytes, 0) <= MOST_DRAFT_BYTES) return;
    const open = await Tabs.others();
    const kept = new Set(heads.filter(({ id, load }) => this.offered.has(id) || open.has(load) || load === Tabs.load).map(({ id }) => id));
    await this.box.bound({ most: MOST_DRAFTS, mostBytes: MOST_DRAFT_BYTES, spared: (id) => kept.has(id) });
  },

  /** What waits to be written, as heads and bodies; it waits no longer. */
  taken() {
    clearTimeout(this.timer);
    this.timer = 0;
    const drafts = [...this.waiting].map(([id, { content, document, title }]) => {
      const body = JSON.stringify(document);
      const steps = document.entries.length;
      const head = { id, content, tab: Tabs.name, load: Tabs.load, time: Date.now(), steps, title, bytes: body.length };
      return { head, body };
    });
    this.waiting.clear();
    return drafts;
  },

  /** The page goes, and with it perhaps what is on its way into the database: keep that where it is kept at once. */
  leave() {
    const drafts = [...this.onItsWay, ...this.taken()]; // the newest of a grid last: it is the one that stays
    for (const draft of drafts) writeStored("localStorage", UNSAVED_DRAFT + draft.head.id, draft);
    for (const { head, body } of drafts) head.steps ? this.box.put(head, body) : this.box.remove([head.id]);
  },

  /** Bring what lies in localStorage, of an earlier version or of a page that went, where the others are; once. */
  moveOld() {
    this.moved ??= this.move();
    return this.moved;
  },

  async move() {
    const lasts = await this.box.lasts();
    const heads = new Map((await this.box.heads()).map((head) => [head.id, head]));
    for (const key of storedKeys()) {
      const found = key.startsWith(UNSAVED_DRAFT) ? readStored("localStorage", key) : this.old(key);
      if (!found?.head) continue;
      if (found.head.steps && !(heads.get(found.head.id)?.time >= found.head.time)) await this.box.put(found.head, found.body);
      if (lasts) localStorage.removeItem(key);
    }
  },

  /** A draft as an earlier version wrote it -> head and body; null where it is none. */
  old(key) {
    const kept = key.startsWith(OLD_DRAFT) ? readStored("localStorage", key) : null;
    if (!Array.isArray(kept?.document?.entries)) return null;
    const [content, body] = [key.slice(OLD_DRAFT.length), JSON.stringify(kept.document)];
    const steps = kept.document.entries.length;
    return { head: { id: key, content, tab: "", load: "", time: Number(kept.time) || 0, steps, title: "", bytes: body.length }, body };
  },
};
addEventListener("pagehide", () => Drafts.leave());
addEventListener("visibilitychange", () => document.hidden && Drafts.write()); // a phone may end the page without another word

function storedKeys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** Histories of this load of the page, so that to leave an editor and come back is exact, whatever the server knows. */
const Histories = {
  most: 24,
  byContent: new Map(), // content -> { history, loaded }, the longest unused first

  /** loaded: number of the newest recipe that is in it. */
  keep(content, history, loaded) {
    this.byContent.delete(content);
    this.byContent.set(content, { history, loaded });
    for (const oldest of [...this.byContent.keys()].slice(0, -this.most)) this.byContent.delete(oldest);
  },

  find(content) {
    return this.byContent.get(content) ?? null;
  },
};
